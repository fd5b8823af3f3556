"""The graph: names and scopes, what it holds, running it step by step, and its state."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.core import Node
from matrixslow.errors import ArgumentError, FeedError, GradientError, GraphError, ShapeError

ONE = np.ones(2, "float32")


def total(x: Node) -> Node:
    return ms.ops.ReduceSum(x, keepdims=False)


# ---- names and scopes ---------------------------------------------------------------------------


def test_names_that_are_not_given_are_numbered(graph: ms.Graph) -> None:
    x = ms.Input((2,))
    names = [(-x).name for _ in range(3)] + [ms.Input((2,)).name]
    assert names == ["neg", "neg_1", "neg_2", "input_1"]


def test_a_number_that_is_taken_is_left_out(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    ms.ops.Neg(x, name="neg_1")
    assert [(-x).name for _ in range(3)] == ["neg", "neg_2", "neg_3"]


def test_scopes_are_nested(graph: ms.Graph) -> None:
    with graph.scope("encoder") as outer, graph.scope("layer/a") as inner:
        x = ms.Input((2,), name="x")
        y = -x
    assert (outer, inner) == ("encoder", "encoder/layer/a")
    assert (x.name, y.name, y.scope) == ("encoder/layer/a/x", "encoder/layer/a/neg", inner)
    assert (-x).name == "neg"


def test_scopes_may_be_opened_again_and_names_go_on(graph: ms.Graph) -> None:
    x = ms.Input((2,))
    names = []
    for _ in range(2):
        with graph.scope("layer"):
            names.append((-x).name)
    assert names == ["layer/neg", "layer/neg_1"]
    with graph.scope("layer"), pytest.raises(GraphError, match="'layer/neg' is taken"):
        ms.ops.Neg(x, name="neg")


def test_unique_scopes_are_numbered(graph: ms.Graph) -> None:
    ms.Input((2,), name="dense")
    found = []
    for _ in range(3):
        with graph.scope("dense", unique=True) as scope:
            found.append(scope)
            with graph.scope("part", unique=True) as part:
                found.append(part)
    assert found == [
        *("dense_1", "dense_1/part", "dense_2", "dense_2/part", "dense_3", "dense_3/part"),
    ]


def test_a_scope_is_closed_by_an_error_too(graph: ms.Graph) -> None:
    with pytest.raises(KeyError), graph.scope("a"):
        raise KeyError
    assert ms.Input((2,), name="x").name == "x"


def test_absolute_scopes_hold_what_is_derived(graph: ms.Graph) -> None:
    with graph.scope("model"):
        x = ms.Input((2,), name="x")
        with graph.scope("extra", absolute=True), graph.scope("deep"):
            y = ms.ops.Neg(x, name="y")
        z = ms.ops.Neg(x, name="z")
    assert [(node.name, node.derived) for node in graph.nodes] == [
        *(("model/x", False), ("extra/deep/y", True), ("model/z", False)),
    ]
    assert (y.scope, z.scope) == ("extra/deep", "model")


@pytest.mark.parametrize("name", ["", "/", "a//b", " "])
def test_scopes_need_a_name(graph: ms.Graph, name: str) -> None:
    with pytest.raises(ArgumentError) as caught, graph.scope(name):
        pass
    assert str(caught.value) == (
        f'not a name: {name!r}\n  hint   give printable text, with "/" between scopes'
    )


def test_nodes_by_name(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="encoder/x")
    assert graph["encoder/x"] is x
    assert "encoder/x" in graph
    assert "x" not in graph
    for name, near in (("encoder/y", "; did you mean 'encoder/x'?"), ("loss", "")):
        with pytest.raises(GraphError) as caught:
            graph[name]
        assert str(caught.value) == f"no node is named {name!r}{near}"


def test_what_a_graph_says_of_itself() -> None:
    with ms.Graph(seed=3) as graph:
        x, w = ms.Input((2,)), ms.Variable(ONE)
        b = ms.Variable(0, trainable=False)
        y = w * x
    assert repr(graph) == "Graph of 4 nodes, seed 3, on cpu"
    assert (len(graph), graph.nodes) == (4, (x, w, b, y))
    assert graph.variables == [w, b]


# ---- the open graph -----------------------------------------------------------------------------


def test_blocks_nest() -> None:
    with ms.Graph() as outer:
        x = ms.Input((2,), name="x")
        with ms.Graph() as inner:
            assert ms.Input((2,), name="x").graph is inner
            with outer:
                assert ms.current_graph() is outer
        assert ms.current_graph() is outer
        assert (-x).graph is outer
    with pytest.raises(GraphError):
        ms.current_graph()


def test_each_thread_has_its_own_open_graph() -> None:
    both_open = threading.Barrier(2, timeout=10)
    graphs: dict[int, ms.Graph] = {}

    def build(seed: int) -> None:
        with ms.Graph(seed=seed) as graph:
            both_open.wait()
            x = ms.Variable(np.full(3, float(seed)), name="x")
            for _ in range(200):
                x = ms.ops.Tanh(x)
            both_open.wait()
            graph.forward(total(x))
            graphs[seed] = graph

    threads = [threading.Thread(target=build, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(graphs[seed]) for seed in (1, 2)] == [202, 202]
    for seed in (1, 2):
        assert {node.graph for node in graphs[seed].nodes} == {graphs[seed]}
        np.testing.assert_array_equal(graphs[seed]["x"].value, [seed] * 3)


def test_a_graph_is_freed_with_its_last_reference() -> None:
    with ms.Graph() as graph:
        y = total(ms.Variable(ONE))
    graph.forward(y)
    graph.backward(y)
    remains = weakref.ref(graph)
    del graph, y
    gc.collect()
    assert remains() is None


# ---- prune --------------------------------------------------------------------------------------


def test_prune_drops_what_was_made_since_and_is_not_needed(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    unused = ms.ops.Neg(x, name="unused")
    mark = graph.mark()
    a = ms.ops.Neg(x, name="a")
    b = ms.ops.Add(a, unused, name="b")
    ms.ops.Add(a, x, name="c")
    graph.prune(mark, [b])
    assert graph.nodes == (x, unused, a, b)
    graph.prune(mark, [])
    assert graph.nodes == (x, unused)
    assert ms.ops.Neg(x, name="a").index > b.index


# ---- forward ------------------------------------------------------------------------------------


def test_every_node_on_the_way_keeps_its_value(graph: ms.Graph) -> None:
    x, w = ms.Input((None, 2), name="x"), ms.Variable(ONE, name="w")
    h = ms.ops.Tanh(x * w)
    y = total(h)
    aside = -x
    found = graph.forward(y, {x: [[0.5, 1.0]]})
    assert found.shape == ()
    np.testing.assert_allclose(found, np.tanh([0.5, 1.0]).sum(), rtol=1e-6)
    np.testing.assert_array_equal(x.value, np.float32([[0.5, 1.0]]))
    np.testing.assert_allclose(h.value, np.tanh([[0.5, 1.0]]), rtol=1e-6)
    assert y.value == found
    assert isinstance(y.value, np.ndarray)
    assert aside.value is None


def test_values_last_until_the_next_forward(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    y, z = total(x * x), -x
    graph.forward(y, {x: [1.0, 2.0]})
    graph.backward(y)
    assert x.gradient is not None
    graph.forward(z, {x: [3.0, 4.0]})
    assert (y.value, x.gradient) == (None, None)
    np.testing.assert_array_equal(x.value, [3, 4])


def test_several_outputs(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    y = -x
    found = graph.forward([y, x, y], {x: [1.0, 2.0]})
    np.testing.assert_array_equal(found, [[-1, -2], [1, 2], [-1, -2]])
    assert graph.forward([], {}) == []


def test_batches_of_any_size_in_turn(graph: ms.Graph) -> None:
    x = ms.Input((None, 2), name="x")
    y = x * ms.Variable(ONE) + 1.0
    for n in (3, 1, 0, 3, 2):
        assert graph.forward(y, {x: np.zeros((n, 2))}).shape == (n, 2)


def test_a_graph_may_grow_between_runs(graph: ms.Graph) -> None:
    w = ms.Variable(ONE)
    y = total(w * w)
    graph.forward(y)
    graph.backward(y)
    z = total(w * w * w)
    graph.forward(z)
    graph.backward(z)
    np.testing.assert_array_equal(w.gradient, [3, 3])
    graph.forward(y)
    graph.backward(y)
    np.testing.assert_array_equal(w.gradient, [2, 2])


def test_only_what_is_needed_must_be_fed(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    z = x + y
    np.testing.assert_array_equal(graph.forward(-x, {x: ONE}), [-1, -1])
    np.testing.assert_array_equal(graph.forward(-x, {x: ONE, y: ONE}), [-1, -1])
    with pytest.raises(FeedError) as caught:
        graph.forward([z, x])
    assert str(caught.value) == (
        "2 of 2 inputs are not fed\n"
        f"  missing  Input 'x' (2,) float32   {x.site}\n"
        f"  missing  Input 'y' (2,) float32   {y.site}\n"
        "  hint   give an array for each: {node: array, ...}"
    )


def test_only_inputs_of_this_graph_can_be_fed(graph: ms.Graph) -> None:
    x, w = ms.Input((2,), name="x"), ms.Variable(ONE, name="w")
    with ms.Graph() as other:
        foreign = ms.Input((2,), name="x")
    for key in (w, foreign, "X"):
        with pytest.raises(FeedError) as caught:
            graph.forward(x, {key: ONE})  # type: ignore[dict-item]
        assert str(caught.value) == (
            f"only inputs of this graph can be fed, not {key!r}\n  hint   its inputs are: x"
        )
    with pytest.raises(FeedError, match="hint   feed the node, not its name"):
        graph.forward(x, {"x": ONE})  # type: ignore[dict-item]
    with other, pytest.raises(FeedError, match="hint   its inputs are: x"):
        other.forward(foreign, {x: ONE})
    with ms.Graph() as bare, pytest.raises(FeedError, match="hint   it has no inputs"):
        bare.forward([], {x: ONE})


def test_sizes_that_do_not_fit_are_named_with_what_was_fed(graph: ms.Graph) -> None:
    x = ms.Input((None, 2), name="x")
    y = ms.Input((None,), name="y")
    z = ms.ops.Add(x, y, name="z")
    with pytest.raises(ShapeError) as caught:
        graph.forward(z, {x: np.zeros((3, 2)), y: np.zeros(4)})
    assert str(caught.value) == (
        "Add 'z': shapes (3, 2), (4,) do not broadcast: axis -1 has sizes 2 and 4\n"
        f"  a      x  Input  (None, 2)  float32  {x.site}\n"
        f"  b      y  Input  (None,)    float32  {y.site}\n"
        f'  built  {z.site}   z = ms.ops.Add(x, y, name="z")\n'
        "  fed    x (3, 2) float32  y (4,) float32\n"
        "  hint   make the sizes equal, or one of them 1"
    )


def test_unknown_sizes_that_meet_are_not_stretched(graph: ms.Graph) -> None:
    x, y = ms.Input((None, 2), name="x"), ms.Input((None, 2), name="y")
    z = ms.ops.Add(x, y, name="z")
    with pytest.raises(ShapeError) as caught:
        graph.forward(z, {x: np.zeros((3, 2)), y: np.zeros((1, 2))})
    message = str(caught.value)
    assert message.startswith(
        "Add 'z': two axes of unknown size meet in axis -2 and were fed 1 and 3\n"
    )
    assert message.endswith(
        "\n  fed    x (3, 2) float32  y (1, 2) float32\n"
        "  hint   feed equal sizes, or declare the axis that is stretched with size 1"
    )


# ---- backward -----------------------------------------------------------------------------------


def test_every_node_on_the_way_keeps_its_gradient(graph: ms.Graph) -> None:
    x, w = ms.Input((2,), name="x"), ms.Variable([2.0, 3.0], name="w")
    h = x * w
    y = total(h * h + 1.0)
    aside = ms.Variable(ONE)
    graph.forward(y, {x: [1.0, 2.0]})
    graph.backward(y)
    np.testing.assert_array_equal(y.gradient, 1)
    np.testing.assert_array_equal(h.gradient, [4, 12])
    np.testing.assert_array_equal(w.gradient, [4, 24])
    np.testing.assert_array_equal(x.gradient, [8, 36])
    assert aside.gradient is None
    assert all(node.gradient is None for node in graph.nodes if isinstance(node, ms.Constant))
    assert h.gradient.dtype == np.float32


def test_backward_uses_the_values_of_forward(graph: ms.Graph) -> None:
    w = ms.Variable([2.0, 3.0], name="w")
    y = total(w * w)
    graph.forward(y)
    w.value = [10.0, 10.0]
    graph.backward(y)
    np.testing.assert_array_equal(w.gradient, [4, 6])


def test_backward_adds_its_nodes_once(graph: ms.Graph) -> None:
    w = ms.Variable([2.0, 3.0], name="w")
    y = total(w * w)
    for _ in range(3):
        graph.forward(y)
        graph.backward(y)
        nodes = graph.nodes
    graph.forward([y, w * w])
    graph.backward(y)
    assert len(graph) == len(nodes) + 1
    assert {node.scope.partition("/")[0] for node in nodes if node.derived} == {"gradients"}


def test_backward_needs_forward(graph: ms.Graph) -> None:
    w = ms.Variable(ONE, name="w")
    y = ms.ops.Neg(w, name="y")
    with pytest.raises(GraphError) as caught:
        graph.backward(y)
    assert str(caught.value) == (
        "backward: Neg 'y' (2,) float32 has no value yet\n"
        "  hint   call graph.forward(target, feeds) first"
    )
    graph.forward(y)
    with pytest.raises(GradientError, match="gradients: the target Neg 'y'"):
        graph.backward(y)


def test_backward_of_a_graph_without_slopes(graph: ms.Graph) -> None:
    count = ms.Variable(0.0, name="count")
    y = ms.stop_gradient(count)
    graph.forward(y)
    graph.backward(y)
    assert y.gradient == 1
    assert count.gradient is None


def test_counters_move_once_for_forward_and_backward(graph: ms.Graph) -> None:
    x = ms.Variable(np.ones((4, 50)), name="x")
    y = total(ms.ops.Dropout(x, ratio=0.5))
    (counter,) = [v for v in graph.variables if not v.trainable]
    values, gradients = [], []
    for run in (1, 2):
        values.append(graph.forward(y))
        graph.backward(y)
        gradients.append(x.gradient)
        assert counter.value == run
        # The same elements were dropped on the way forward and on the way back.
        np.testing.assert_allclose(gradients[-1].sum(), values[-1], rtol=1e-6)
    assert not np.array_equal(*gradients)


def test_inference_has_values_and_no_gradients(graph: ms.Graph) -> None:
    x = ms.Variable(np.ones((4, 50)), name="x")
    dropped = ms.ops.Dropout(x, ratio=0.5, name="dropped")
    y = total(dropped)
    assert graph.forward(y, training=False) == 200
    np.testing.assert_array_equal(graph.forward(dropped, training=False), x.value)
    np.testing.assert_array_equal(dropped.value, x.value)
    graph.forward(y, training=False)
    with pytest.raises(GraphError) as caught:
        graph.backward(y)
    assert str(caught.value) == (
        f"backward: {dropped!r} has no gradient at inference\n"
        "  hint   call graph.forward(target, feeds) without training=False"
    )
    graph.forward(y)
    graph.backward(y)
    assert x.gradient is not None


def test_inference_without_stand_ins_has_gradients(graph: ms.Graph) -> None:
    x = ms.Variable(ONE)
    y = total(x * x)
    graph.forward(y, training=False)
    graph.backward(y)
    np.testing.assert_array_equal(x.gradient, [2, 2])


# ---- state --------------------------------------------------------------------------------------


def build_model() -> ms.Graph:
    with ms.Graph() as graph:
        with graph.scope("layer"):
            ms.Variable([[1.0, 2.0]], name="w")
        ms.Variable([3.0], name="b")
        ms.Variable(7, trainable=False, name="steps")
    return graph


def test_the_state_is_a_copy_of_every_variable() -> None:
    graph = build_model()
    state = graph.state_dict()
    assert {name: array.tolist() for name, array in state.items()} == {
        "layer/w": [[1.0, 2.0]],
        "b": [3.0],
        "steps": 7,
    }
    state["b"][:] = 9
    assert graph["b"].value == [3.0]


def test_a_state_comes_back() -> None:
    first, second = build_model(), build_model()
    first["b"].value, first["steps"].value = [5.0], 8
    second.load_state_dict(first.state_dict())
    assert (second["b"].value, second["steps"].value) == ([5.0], 8)
    state = first.state_dict()
    second.load_state_dict(state)
    state["b"][:] = 9
    assert second["b"].value == [5.0]


BAD: dict[str, Any] = {
    "layer/w": np.zeros((2, 1)),
    "b": [1.0],
    "steps": 1.5,
    "c": [1.0],
}


def test_all_entries_that_do_not_fit_are_named_at_once_and_nothing_changes() -> None:
    graph = build_model()
    with pytest.raises(GraphError) as caught:
        graph.load_state_dict({name: x for name, x in BAD.items() if name != "b"})
    assert str(caught.value) == (
        "load_state_dict: 4 entries do not fit; nothing was changed\n"
        "  mismatched  layer/w: (1, 2) float32 here, (2, 1) float64 in the state\n"
        "  mismatched  steps: () int64 here, () float64 in the state\n"
        "  missing     b\n"
        "  unexpected  c\n"
        "  hint   build the same graph, or give strict=False to load what fits by name"
    )
    with pytest.raises(GraphError):
        graph.load_state_dict(BAD)
    assert graph["b"].value == [3.0]


def test_what_fits_by_name_can_be_loaded_alone() -> None:
    graph = build_model()
    graph.load_state_dict({"b": [1.0], "c": [1.0]}, strict=False)
    assert (graph["b"].value, graph["steps"].value) == ([1.0], 7)
    with pytest.raises(GraphError) as caught:
        graph.load_state_dict({"b": [4.0], "steps": [1, 2]}, strict=False)
    assert str(caught.value).startswith("load_state_dict: 1 entries do not fit")
    assert graph["b"].value == [1.0]


# ---- seeds --------------------------------------------------------------------------------------


def test_keys_and_streams_come_from_seed_and_name() -> None:
    one, again, other = ms.Graph(seed=1), ms.Graph(seed=1), ms.Graph(seed=2)
    assert one.key("a") == again.key("a")
    assert len({one.key("a"), one.key("b"), other.key("a")}) == 3
    assert 0 <= one.key("a") < 2**64
    assert one.stream("a").random() == again.stream("a").random() != one.stream("b").random()


# ---- float64 ------------------------------------------------------------------------------------


def test_a_float64_graph_stays_float64(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), dtype="float64", name="x")
    w = ms.Variable(np.full((3, 2), 0.1), dtype="float64", name="w")
    y = total(ms.ops.Tanh(x @ w + 0.1) ** 2 / 3)
    graph.forward(y, {x: np.full((2, 3), 0.1)})
    graph.backward(y)
    assert {node.dtype for node in graph.nodes if node.spec.floating} == {np.dtype("float64")}
    np.testing.assert_allclose(y.value, 4 * np.tanh(0.13) ** 2 / 3, rtol=1e-14)
    assert w.gradient.dtype == np.float64
