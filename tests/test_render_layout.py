"""Layout: boxes keep apart, clusters hold their own, lines run down and through no box."""

import itertools
import random
import sys
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.render import layered
from matrixslow.render.item import Category
from matrixslow.render.layered import Layers, Link, count_crossings, feedback, order_rows, ranks
from matrixslow.render.layout import Layout, arrange, label_size
from matrixslow.render.lettering import text_width
from matrixslow.render.level import PADDING
from matrixslow.render.picture import SMALL, Box, Cluster, Picture
from matrixslow.render.places import place_rows
from matrixslow.render.shapes import Curve, Point, Rect


def random_picture(seed: int, size: int, *, depth: int = 0, cyclic: bool = False) -> Picture:
    """A random graph whose boxes stand in random nested clusters."""
    rng = random.Random(seed)
    clusters = [Cluster(f"c{i}", f"c{i}", rng.randrange(-1, i)) for i in range(depth)]
    boxes = [
        Box(f"n{i}", "box", rng.choice(("", "x")), "(3,)", cluster=rng.randrange(-1, depth))
        for i in range(size)
    ]
    pairs = {(rng.randrange(head), head) for head in range(1, size) for _ in range(2)}
    if cyclic:
        pairs |= {(head, tail) for tail, head in rng.sample(sorted(pairs), size // 5)}
    return Picture(tuple(boxes), tuple(sorted(pairs)), tuple(clusters))


def chain_with_slopes(length: int) -> Picture:
    """A chain, and a second one back that reads every link of the first: edges of any length."""
    boxes = [Box(f"n{i}", f"n{i}") for i in range(2 * length)]
    edges = [(i, i + 1) for i in range(2 * length - 1)]
    edges += [(i, 2 * length - 1 - i) for i in range(length - 1)]
    return Picture(tuple(boxes), tuple(edges))


def overlap(one: Rect, two: Rect) -> bool:
    across = min(one.right, two.right) - max(one.left, two.left)
    down = min(one.bottom, two.bottom) - max(one.top, two.top)
    return across > 0.01 and down > 0.01


def contains(outer: Rect, inner: Rect) -> bool:
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


def points_of(curve: Curve) -> list[Point]:
    """Points along a curve."""
    points = []
    for start in range(0, len(curve) - 1, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = curve[start : start + 4]
        for step in range(21):
            t = step / 20
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            points.append(
                (
                    sum(w * x for w, x in zip(weights, (x0, x1, x2, x3), strict=True)),
                    sum(w * y for w, y in zip(weights, (y0, y1, y2, y3), strict=True)),
                )
            )
    return points


def inside(rect: Rect, point: Point) -> bool:
    x, y = point
    return rect.left + 0.1 < x < rect.right - 0.1 and rect.top + 0.1 < y < rect.bottom - 0.1


def around(picture: Picture, cluster: int) -> list[int]:
    """A cluster and those around it."""
    found = []
    while cluster >= 0:
        found.append(cluster)
        cluster = picture.clusters[cluster].parent
    return found


def check_boxes(layout: Layout) -> None:
    for one, two in itertools.combinations(layout.boxes, 2):
        assert not overlap(one, two)
    for rect in (*layout.boxes, *layout.clusters):
        assert contains(Rect(-0.01, -0.01, layout.width + 0.02, layout.height + 0.02), rect)


def check_clusters(layout: Layout) -> None:
    picture = layout.picture
    homes = [around(picture, box.cluster) for box in picture.boxes]
    for number, frame in enumerate(layout.clusters):
        for home, rect in zip(homes, layout.boxes, strict=True):
            assert contains(frame, rect) if number in home else not overlap(frame, rect)
        for other, inner in enumerate(layout.clusters):
            if number in around(picture, other):
                assert contains(frame, inner)
            elif other not in around(picture, number):
                assert not overlap(frame, inner)


def check_lines(layout: Layout) -> None:
    """Lines run through no box and no label, and there is an arrow head on each edge's box."""
    labelled = []
    for box, rect in zip(layout.picture.boxes, layout.boxes, strict=True):
        width, height = label_size(box)
        labelled += [rect, Rect(rect.middle - width / 2, rect.bottom, width, height)]
    tips = Counter()
    for route in layout.routes:
        for curve in route.curves:
            for point in points_of(curve):
                assert not any(inside(rect, point) for rect in labelled)
        for _, (x, y) in route.arrows:
            heads = [
                number
                for number, rect in enumerate(layout.boxes)
                if rect.left <= x <= rect.right and abs(rect.top - y) < 0.01
            ]
            tips[route.tail, heads[0]] += 1
    assert tips == Counter(layout.picture.edges)


@pytest.mark.parametrize("seed", range(6))
def test_a_flat_graph(seed: int) -> None:
    layout = arrange(random_picture(seed, 60))
    check_boxes(layout)
    check_lines(layout)
    for tail, head in layout.picture.edges:
        assert layout.boxes[tail].bottom < layout.boxes[head].top


@pytest.mark.parametrize("seed", range(6))
def test_nested_clusters_that_form_cycles(seed: int) -> None:
    """Boxes are put into clusters at random, so that clusters lead into each other both ways."""
    layout = arrange(random_picture(seed, 60, depth=8))
    check_boxes(layout)
    check_clusters(layout)
    check_lines(layout)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_in_a_cycle(seed: int) -> None:
    layout = arrange(random_picture(seed, 40, depth=3, cyclic=True))
    check_boxes(layout)
    check_clusters(layout)
    check_lines(layout)


def test_an_edge_of_a_cycle_enters_from_above() -> None:
    boxes = (Box("a", "a"), Box("b", "b"))
    layout = arrange(Picture(boxes, ((0, 1), (1, 0))))
    (up,) = (route for route in layout.routes if route.tail == 1)
    ((_, base_y), (_, tip_y)) = up.arrows[0]
    assert base_y < tip_y == layout.boxes[0].top
    assert min(y for curve in up.curves for _, y in curve) >= 0


def test_what_a_line_leads_to_stands_at_the_top_of_its_row() -> None:
    boxes = (Box("a", "a"), Box("b", "b"), Box("tall", "tall", ("subtitle",)), Box("free", "free"))
    edges = ((0, 1), (1, 0), (2, 1), (3, 1))
    a, _, tall, free = arrange(Picture(boxes, edges)).boxes
    assert a.top == tall.top
    assert free.bottom == tall.bottom


@pytest.mark.parametrize("boxes", [0, 1])
def test_almost_nothing(boxes: int) -> None:
    layout = arrange(Picture((Box("x", "x"),) * boxes))
    assert len(layout.boxes) == boxes
    assert layout.routes == ()


def test_the_trunk_runs_straight_and_weights_stand_beside_it() -> None:
    names = ["x", "w1", "matmul", "w2", "add", "relu", "softmax", "loss"]
    edges = [(0, 2), (1, 2), (2, 4), (3, 4), (4, 5), (5, 6), (5, 7), (6, 7)]
    layout = arrange(Picture(tuple(Box(name, name) for name in names), tuple(edges)))
    middles = [round(layout.boxes[i].middle, 3) for i in (0, 2, 4, 5, 6, 7)]
    assert len(set(middles)) == 1
    tops = {name: rect.top for name, rect in zip(names, layout.boxes, strict=True)}
    assert tops["w1"] == tops["x"]
    assert tops["w2"] == tops["matmul"]


def test_a_title_has_room_and_lines_enter_beside_it() -> None:
    boxes = (Box("x", "x"), Box("a/y", "y", cluster=0))
    cluster = Cluster("a", "a scope with a rather long title · 1,000 parameters")
    layout = arrange(Picture(boxes, ((0, 1),), (cluster,)))
    frame = layout.clusters[0]
    ((x, _), *_) = layout.routes[0].curves[0]
    assert frame.left + PADDING + text_width(cluster.title, SMALL) < x < frame.right


def test_lines_between_clusters_do_not_cross_needlessly() -> None:
    """Laid out each by itself, these clusters want lines in different orders."""
    boxes = [Box(f"n{i}", f"n{i}", cluster=int(i > 2)) for i in range(6)]
    edges = ((0, 1), (0, 2), (0, 5), (1, 3), (1, 4))
    layout = arrange(Picture(tuple(boxes), edges, (Cluster("a", "a"), Cluster("b", "b"))))
    lines = [(curve[0], curve[-1], route.tail) for route in layout.routes for curve in route.curves]
    assert any(start[1] == layout.clusters[0].bottom for start, _, _ in lines)
    for (start, end, tail), (other_start, other_end, other) in itertools.combinations(lines, 2):
        if tail != other and start[1] == other_start[1]:
            assert (start[0] - other_start[0]) * (end[0] - other_end[0]) > 0


def test_long_edges_become_references() -> None:
    layout = arrange(chain_with_slopes(20), bends=30)
    references = [b for b in layout.picture.boxes if b.category is Category.REFERENCE]
    assert references
    assert {box.title for box in references} <= {f"n{i}" for i in range(20)}
    assert len(layout.picture.edges) == len(chain_with_slopes(20).edges)
    check_boxes(layout)
    check_lines(layout)


def test_a_picture_of_usual_size_has_no_references() -> None:
    picture = chain_with_slopes(40)
    assert arrange(picture).picture is picture


def hub(size: int) -> Picture:
    """One box that a great many read, all of which another reads."""
    boxes = [Box(f"n{i}", f"n{i}") for i in range(size + 2)]
    edges = [(0, i) for i in range(1, size + 1)] + [(i, size + 1) for i in range(1, size + 1)]
    return Picture(tuple(boxes), tuple(edges))


def calls_for(picture: Picture) -> tuple[int, int]:
    """How many functions are called to lay out a picture, and of how many curves it consists."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        layout = arrange(picture)
    finally:
        sys.setprofile(before)
    return calls, sum(len(route.curves) for route in layout.routes)


@pytest.mark.parametrize("graph", [chain_with_slopes, hub])
def test_work_and_size_grow_linearly(graph: Callable[[int], Picture]) -> None:
    """Drawn in full, the edges of the chains would cross a number of rows that grows squarely."""
    (calls, curves), (more_calls, more_curves) = calls_for(graph(150)), calls_for(graph(600))
    assert more_calls < 4 * 1.5 * calls
    assert more_curves < 4 * 1.5 * curves


# ---- the steps --------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 20))
    vertex = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(vertex, vertex), max_size=40))
    return count, [(tail, head) for tail, head in pairs if tail != head]


@given(graphs())
def test_without_feedback_every_edge_leads_down(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    closing = feedback(count, edges)
    forward = [edge for edge in edges if edge not in closing]
    rows = ranks(count, forward)
    assert all(rows[tail] < rows[head] for tail, head in forward)
    assert closing <= set(edges)
    if all(tail < head for tail, head in edges):
        assert not closing


@st.composite
def layers(draw: st.DrawFn) -> Layers:
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    numbers = itertools.count()
    rows = [[next(numbers) for _ in range(size)] for size in sizes]
    links = []
    for upper, lower in itertools.pairwise(rows):
        pair = st.tuples(st.sampled_from(upper), st.sampled_from(lower))
        links.append([Link(*ends) for ends in draw(st.lists(pair, max_size=9, unique=True))])
    count = sum(sizes)
    widths = draw(st.lists(st.sampled_from([0.0, 20.0, 90.0]), min_size=count, max_size=count))
    return Layers(rows, links, widths, [width == 0 for width in widths])


@given(layers())
def test_rows_are_ordered_and_placed_apart(drawn: Layers) -> None:
    rows = order_rows(drawn)
    assert [sorted(row) for row in rows] == drawn.rows
    assert count_crossings(rows, drawn) == brute_crossings(rows, drawn)
    gaps = [5.0] * len(drawn.widths)
    x = place_rows(drawn, rows, gaps)
    for row in rows:
        for one, two in itertools.pairwise(row):
            least = (drawn.widths[one] + drawn.widths[two]) / 2 + 10
            assert x[two] - x[one] > least - 1e-6


def brute_crossings(rows: layered.Rows, drawn: Layers) -> int:
    place = {vertex: index for row in rows for index, vertex in enumerate(row)}
    return sum(
        (place[a.upper] - place[b.upper]) * (place[a.lower] - place[b.lower]) < 0
        for links in drawn.links
        for a, b in itertools.combinations(links, 2)
    )


def test_a_known_tangle_is_undone() -> None:
    links = [[Link(0, 5), Link(1, 4), Link(2, 3)]]
    drawn = Layers([[0, 1, 2], [3, 4, 5]], links, [10.0] * 6, [False] * 6)
    assert brute_crossings(drawn.rows, drawn) == 3
    assert count_crossings(order_rows(drawn), drawn) == 0


@pytest.mark.parametrize(("fixed", "order"), [({0}, [3, 2]), ({0, 1}, [2, 3])])
def test_a_fixed_row_keeps_its_order(fixed: set[int], order: list[int]) -> None:
    links = [[Link(0, 3), Link(1, 2)]]
    drawn = Layers([[0, 1], [2, 3]], links, [10.0] * 4, [False] * 4, frozenset(fixed))
    assert order_rows(drawn) == [[0, 1], order]


def test_a_dense_tangle_stays_as_narrow_as_its_rows() -> None:
    rng = random.Random(0)
    size, depth = 30, 12
    rows = [list(range(size * row, size * (row + 1))) for row in range(depth)]
    links = [
        [Link(u, v) for u in upper for v in rng.sample(lower, 3)]
        for upper, lower in itertools.pairwise(rows)
    ]
    count = size * depth
    drawn = Layers(rows, links, [80.0] * count, [False] * count)
    x = place_rows(drawn, order_rows(drawn), [10.0] * count)
    assert max(x) - min(x) <= 2 * size * 100


@pytest.mark.parametrize("category", [Category.OPERATOR, Category.LOSS, Category.UPDATE])
@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_all_lines_end_on_the_upper_side(category: Category, count: int) -> None:
    """However wide its label is, and wherever the line from right above stands among them."""
    label = "(None, 1000, 1000, 1000) float32"
    boxes = [Box(f"x{number}", "x", label="(1,)") for number in range(count)]
    boxes += [Box("concat", "Concat", label=label, category=category), Box("y", "y")]
    edges = [*((number, count) for number in range(count)), (count, count + 1)]
    layout = arrange(Picture(tuple(boxes), tuple(edges)))
    place, corner = layout.boxes[count], (boxes[count].width - boxes[count].face) / 2
    tips = [tip for route in layout.routes[:count] for _, tip in route.arrows]
    assert len(tips) == len(set(tips)) == count
    for x, y in tips:
        assert y == pytest.approx(place.top)
        assert place.left + corner <= x <= place.right - corner
