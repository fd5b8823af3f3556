"""Picture: which boxes there are for a graph, what they say, and how scopes fold."""

import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.render.item import Category, Item, read_items
from matrixslow.render.picture import Picture, make_picture

C = Category


def item(name: str, *inputs: str, **options: object) -> Item:
    category = options.pop("category", C.OPERATOR)
    return Item(name, "Add", category, (None, 4), inputs=inputs, **options)


def blocks(count: int) -> list[Item]:
    """A chain of scopes, each with a variable, an operator, and two in a scope of their own."""
    items, last = [item("x", category=C.INPUT)], "x"
    for number in range(count):
        scope = f"block_{number}"
        items += [
            item(f"{scope}/w", category=C.VARIABLE, parameters=4, trainable=True),
            item(f"{scope}/add", last, f"{scope}/w"),
            item(f"{scope}/deep/a", f"{scope}/add"),
            item(f"{scope}/deep/b", f"{scope}/deep/a"),
        ]
        last = f"{scope}/deep/b"
    return [*items, item("loss", last, category=C.OUTPUT)]


def names(picture: Picture) -> list[str]:
    return [box.name for box in picture.boxes]


def named_edges(picture: Picture) -> set[tuple[str, str]]:
    return {(picture.boxes[tail].name, picture.boxes[head].name) for tail, head in picture.edges}


# ---- boxes and edges --------------------------------------------------------------------------


def test_unfolded_every_node_is_a_box() -> None:
    items = blocks(2)
    picture = make_picture(items)
    assert names(picture) == [node.name for node in items]
    assert named_edges(picture) == {(x, node.name) for node in items for x in node.inputs}
    clusters = [(cluster.name, cluster.parent) for cluster in picture.clusters]
    assert clusters == [("block_0", -1), ("block_0/deep", 0), ("block_1", -1), ("block_1/deep", 2)]
    assert picture.clusters[0].title == "block_0 · 4 parameters"
    assert picture.clusters[1].title == "deep"
    assert picture.note == ""


def test_what_boxes_say() -> None:
    items = [
        Item("x", "Input", C.INPUT, (None, 8), built="train.py:3"),
        Item("half", "Constant", C.CONSTANT, (), value="0.5"),
        Item("mul", "Mul", C.OPERATOR, (None, 8), inputs=("x", "half"), built="train.py:4"),
        Item("mul_1", "Mul", C.OUTPUT, (None, 8), inputs=("mul", "mul")),
    ]
    x, half, mul, last = make_picture(items).boxes
    assert (x.title, x.lines, x.label) == ("x", (), "(None, 8) float32")
    assert (half.title, half.label) == ("0.5", "() float32")
    assert (mul.title, mul.lines) == ("Mul", ())
    assert (last.title, last.lines, last.label) == ("Mul", ("mul_1",), "")
    assert mul.detail == "mul\nMul (None, 8) float32\nfrom x\nfrom half\nbuilt train.py:4"


@pytest.mark.parametrize(
    ("name", "subtitle"),
    [
        ("maxpool", ""),
        ("maxpool_1", "maxpool_1"),
        ("max_pool/maxpool", ""),
        ("max_pool_1/maxpool", "max_pool_1"),
        ("shrink/maxpool", "shrink"),
        ("shrink/peak", "shrink/peak"),
    ],
)
def test_a_name_is_shown_where_it_says_more_than_the_operator(name: str, subtitle: str) -> None:
    (box,) = make_picture([Item(name, "MaxPool", C.OUTPUT)]).boxes
    assert (box.title, "".join(box.lines)) == ("MaxPool", subtitle)


def test_a_node_read_twice_has_one_edge() -> None:
    picture = make_picture([item("x"), item("y", "x", "x")])
    assert picture.edges == ((0, 1),)


def test_a_long_name_is_shortened_and_kept_in_the_tooltip() -> None:
    name = "a_name_that_goes_on_and_on_" * 4
    (box,) = make_picture([item(name, category=C.INPUT)]).boxes
    assert len(box.title) == 30
    assert name in box.detail


def test_a_scope_with_one_thing_in_it_has_no_frame() -> None:
    picture = make_picture([item("outer/inner/x", category=C.INPUT)])
    assert picture.clusters == ()
    assert picture.boxes[0].title == "outer/inner/x"
    items = [item("a/b/x", category=C.INPUT), item("a/b/y", "a/b/x")]
    assert [cluster.title for cluster in make_picture(items).clusters] == ["a/b"]


# ---- folding ----------------------------------------------------------------------------------


def test_a_folded_scope_shows_what_is_in_it() -> None:
    picture = make_picture(blocks(2), fold={"block_0"})
    box = picture.boxes[1]
    assert (box.name, box.title, box.folded) == ("block_0", "block_0", True)
    assert box.lines == ("4 nodes · 4 parameters",)
    assert box.label == "(None, 4) float32"
    assert box.detail == "block_0\n4 nodes · 4 parameters\n4 × Add"
    assert ("x", "block_0") in named_edges(picture)
    assert ("block_0", "block_1/add") in named_edges(picture)


def test_a_folded_scope_that_gives_several_shapes_counts_them() -> None:
    items = [
        Item("a/x", "Input", C.INPUT, (2,)),
        Item("a/y", "Input", C.INPUT, (3,)),
        item("z", "a/x", "a/y"),
    ]
    assert make_picture(items, fold="a").boxes[0].label == "2 tensors"


def test_a_node_with_the_name_of_a_folded_scope_stays_apart() -> None:
    items = [item("a/b", category=C.VARIABLE), item("a/b/next", "a/b"), item("a/b/more", "a/b")]
    picture = make_picture(items, fold="a/b")
    assert [(box.name, box.folded) for box in picture.boxes] == [("a/b", False), ("a/b", True)]
    assert picture.edges == ((0, 1),)


def test_folding_may_close_a_cycle() -> None:
    items = [item("a/x"), item("b/y", "a/x"), item("a/z", "b/y")]
    picture = make_picture(items, fold=("a", "b"))
    assert named_edges(picture) == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    ("limit", "boxes"),
    [
        (0, ["x", "block", "block", "loss"]),
        (7, ["x", "block", "block", "loss"]),
        (8, ["x", "w", "add", "deep", "w", "add", "deep", "loss"]),
        (9, ["x", "w", "add", "deep", "w", "add", "deep", "loss"]),
        (10, ["x", "w", "add", "a", "b", "w", "add", "a", "b", "loss"]),
    ],
)
def test_like_scopes_are_folded_together_to_a_limit(limit: int, boxes: list[str]) -> None:
    found = [
        name.rpartition("/")[2].partition("_")[0]
        for name in names(make_picture(blocks(2), fold=limit))
    ]
    assert found == boxes


def test_training_is_opened_when_all_of_the_model_is() -> None:
    items = [*blocks(2), item("gradients/a", "loss", auxiliary=True)]
    items.append(item("gradients/b", "gradients/a", auxiliary=True))
    assert "gradients" in names(make_picture(items, fold=6, gradients=True))
    assert "gradients/a" in names(make_picture(items, fold=12, gradients=True))
    assert "count/x" in names(
        make_picture([*items, item("count/x", auxiliary=True)], fold=0, gradients=True)
    )


def test_a_large_graph_is_folded_to_a_screen() -> None:
    assert len(make_picture(blocks(24)).boxes) == 98
    assert len(make_picture(blocks(25)).boxes) == 27
    assert len(make_picture([item("x"), *(item(f"s/n{i}", "x") for i in range(200))]).boxes) == 2


def test_a_deep_tree_of_scopes_is_quick() -> None:
    items = [item("/".join(f"s{k}" for k in range(i % 50)) + f"/n{i}") for i in range(5000)]
    assert len(make_picture(items, fold=0).boxes) <= 101


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (-1, "draw: fold=-1 is no number of boxes\n  hint   give a limit >= 0, or the names of the "
             "scopes to fold"),
        ("blok_0", "draw: fold names 'blok_0', which is no scope of what is drawn\n"
                   "  hint   did you mean 'block_0'?"),
        ({"zz"}, "draw: fold names 'zz', which is no scope of what is drawn\n"
                 "  hint   did you mean 'block_0' or 'block_0/deep'?"),
    ],
)  # fmt: skip
def test_refusals_of_fold(fold: object, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make_picture(blocks(1), fold=fold)
    assert str(caught.value) == message


def test_refusal_of_fold_without_scopes() -> None:
    with pytest.raises(ArgumentError) as caught:
        make_picture([item("x")], fold=["a"])
    assert str(caught.value) == (
        "draw: fold names 'a', which is no scope of what is drawn\n"
        "  hint   the graph has no scopes: leave fold out"
    )


# ---- what is read from a graph ------------------------------------------------------------------


@pytest.fixture
def trained() -> ms.Graph:
    """A model in a scope, its gradients, and the update of an optimizer's kind."""
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
        with graph.scope("dense"):
            w = ms.Variable([1.0, 2.0], name="w")
            h = x * w * 0.5
        hidden = ms.ops.Tanh(h, name="hidden")
        loss = ms.ops.ReduceSum(hidden, name="loss")
        (slope,) = ms.gradients(loss, [w])
        with graph.scope("descent"):
            steps = ms.Variable(0, dtype="int64", trainable=False, name="steps")
            _ = steps + 1
            velocity = ms.Variable([0.0, 0.0], trainable=False, name="velocity")
            _ = w - (velocity * 0.9 + slope)
    return graph


def test_categories_are_read_from_the_graph(trained: ms.Graph) -> None:
    found = {node.name: node for node in read_items(trained)}
    expected = {
        "x": C.INPUT,
        "dense/w": C.VARIABLE,
        "dense/mul": C.OPERATOR,
        "dense/constant": C.CONSTANT,
        "hidden": C.OPERATOR,
        "loss": C.LOSS,
        "descent/steps": C.VARIABLE,
        "descent/add": C.UPDATE,
        "descent/sub": C.UPDATE,
    }
    assert {name: found[name].category for name in expected} == expected
    assert all(
        node.category in (C.GRADIENT, C.CONSTANT)
        for name, node in found.items()
        if name.startswith("gradients/")
    )


def test_what_training_adds_is_told_from_the_model(trained: ms.Graph) -> None:
    for node in read_items(trained):
        assert node.auxiliary == node.name.startswith(("gradients/", "descent/"))


def test_a_penalty_on_gradients_is_part_of_the_model() -> None:
    with ms.Graph() as graph:
        w = ms.Variable([1.0], name="w")
        (slope,) = ms.gradients(w * w, [w])
        with graph.scope("penalty"):
            loss = ms.ops.Mul(slope, slope, name="loss")
        ms.gradients(loss, [w])
    found = {node.name: node for node in read_items(graph)}
    assert not found["penalty/loss"].auxiliary


def test_what_gradients_are_made_of_stays_in_the_model() -> None:
    with ms.Graph() as graph, graph.scope("net"):
        w = ms.Variable([1.0], name="w")
        loss = ms.ops.Mul(w, w, name="loss")
        (slope,) = ms.gradients(loss, [w])
        ms.ops.Mul(slope, slope, name="norm")
    auxiliary = {node.name: node.auxiliary for node in read_items(graph)}
    assert not auxiliary["net/w"]
    assert not auxiliary["net/loss"]
    assert auxiliary["net/norm"]


def test_the_run_counter_is_not_part_of_the_model() -> None:
    with ms.Graph() as graph:
        x = ms.Input((4,), name="x")
        y = ms.ops.Dropout(x, name="y")
        ms.function([x], y, training=True)
    found = {node.name: node for node in read_items(graph)}
    assert found["random/counter"].auxiliary
    assert names(make_picture(read_items(graph))) == ["x", "y"]


def test_gradients_are_drawn_on_request(trained: ms.Graph) -> None:
    items = read_items(trained)
    model = make_picture(items)
    assert not any(name.startswith(("gradients", "descent")) for name in names(model))
    hidden = sum(node.auxiliary for node in items)
    assert model.note == (
        f"not drawn: {hidden} nodes for training only (gradients=True draws them)"
    )
    assert len(make_picture(items, gradients=True).boxes) == len(items)


def test_edges_into_folded_training_are_counted_but_for_those_of_outputs(
    trained: ms.Graph,
) -> None:
    picture = make_picture(read_items(trained), gradients=True, fold=("gradients", "descent"))
    edges = named_edges(picture)
    assert ("gradients", "descent") in edges
    assert ("dense/w", "descent") not in edges
    assert ("hidden", "gradients") not in edges
    assert picture.note.startswith("not drawn: ")
    assert picture.note.endswith(" edges from the model into folded scopes of training")
    kinds = {box.name: box.category for box in picture.boxes if box.folded}
    assert kinds == {"gradients": C.GRADIENT, "descent": C.UPDATE}


def test_nodes_bring_all_they_are_made_of(trained: ms.Graph) -> None:
    assert [node.name for node in read_items(trained["dense/mul"])] == ["x", "dense/w", "dense/mul"]
    assert [node.name for node in read_items([trained["x"], trained["dense/w"]])] == [
        "x",
        "dense/w",
    ]


@pytest.mark.parametrize("wrong", ["model", 3, [], [1, 2], None])
def test_refusal_of_what_is_no_graph(wrong: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        read_items(wrong)
    assert str(caught.value) == (
        f"a graph or nodes are needed, {wrong!r} came\n"
        "  hint   give the graph, a node, or a list of nodes"
    )
