"""Layout: places for boxes and clusters, and curves for edges.

Each cluster is laid out by itself, with the edges that enter and leave it on its upper and lower
side, and is one large box in the layout around it. So boxes and clusters never overlap, and since
edges bend only in the gaps between rows, none runs through a box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matrixslow.render.item import Category
from matrixslow.render.lettering import shorten, text_width
from matrixslow.render.level import Level, Plan, Shape, solve_level
from matrixslow.render.picture import LONGEST, SMALL, Box, Picture
from matrixslow.render.shapes import Arrow, Curve, Rect

LABEL = 16.0
"""The height of the strip below a box that holds the label of its edges."""

FEW, MANY = 2000, 8
"""How many rows all edges of a picture may cross together, and how many more for each box."""


@dataclass(frozen=True, slots=True)
class Route:
    """All edges that leave one box, as one branching line.

    Attributes:
        tail: The number of the box.
        curves: The pieces of the line.
        arrows: The arrow heads.
    """

    tail: int
    curves: tuple[Curve, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture with places, in pixels, y downwards.

    Attributes:
        picture: What is drawn, with the references that stand for very long edges.
        width: The width of the whole.
        height: The height of the whole.
        boxes: A rectangle for each box.
        clusters: A rectangle for each cluster.
        routes: The edges, by the box that they leave.
    """

    picture: Picture
    width: float
    height: float
    boxes: tuple[Rect, ...]
    clusters: tuple[Rect, ...]
    routes: tuple[Route, ...]


def arrange(picture: Picture, *, bends: int | None = None) -> Layout:
    """Find places for everything in a picture.

    Time and memory grow with the number of boxes and edges, for lines may bend only so often.

    Args:
        picture: What is drawn.
        bends: How many rows all edges may cross together. Where they cross more, the longest edges
            are drawn as references: small boxes that name the box where the edge starts.
    """
    levels = _levels(picture)
    if bends is None:
        bends = FEW + MANY * len(picture.boxes)
    if far := _far_edges(picture, levels, bends):
        picture = _with_references(picture, far)
        levels = _levels(picture)
    best = plans = _solve(picture, levels)
    if picture.clusters:
        for exits in (False, True):
            plans = _solve(picture, levels, former=plans, exits=exits)
            best = min(best, plans, key=_crossings)
    return _assemble(picture, best)


def label_size(box: Box) -> tuple[float, float]:
    """The room that the label below a box needs."""
    return (text_width(box.label, SMALL) + 6, LABEL) if box.label else (0.0, 0.0)


def _outer(picture: Picture, cluster: int) -> int:
    """The level around a cluster; the whole comes last."""
    parent = picture.clusters[cluster].parent
    return parent if parent >= 0 else len(picture.clusters)


def _home(picture: Picture, box: int) -> int:
    """The level that a box stands in."""
    cluster = picture.boxes[box].cluster
    return cluster if cluster >= 0 else len(picture.clusters)


def _steps(picture: Picture, box: int) -> dict[int, int]:
    """The levels around a box, from the inside, and the item that it is in each.

    Items are numbered: boxes first, then clusters.
    """
    level = _home(picture, box)
    steps = {level: box}
    while level < len(picture.clusters):
        item, level = len(picture.boxes) + level, _outer(picture, level)
        steps[level] = item
    return steps


def _levels(picture: Picture) -> list[Level]:
    """The levels: one for each cluster, then the whole."""
    levels = [Level() for _ in range(len(picture.clusters) + 1)]
    entered: set[int] = set()
    for box in range(len(picture.boxes)):
        for level, item in _steps(picture, box).items():
            if item not in entered:
                entered.add(item)
                levels[level].items.append(item)
    for tail, head in picture.edges:
        up, down = _steps(picture, tail), _steps(picture, head)
        for level, item in up.items():
            net = levels[level].nets[tail]
            net.start = item
            if level in down:
                break
            net.leaves = True
        for level, item in down.items():
            net = levels[level].nets[tail]
            net.heads[item] = None
            if level in up:
                break
    for finished in levels:
        finished.rank()
    return levels


def _far_edges(picture: Picture, levels: Sequence[Level], bends: int) -> set[tuple[int, int]]:
    """The edges to draw as references: all but short ones, of the boxes with the longest lines."""
    lengths = {edge: _length(picture, levels, *edge) for edge in picture.edges}
    lines: defaultdict[int, int] = defaultdict(int)
    for (tail, _), length in lengths.items():
        lines[tail] = max(lines[tail], length)
    cut = set()
    for tail in sorted(lines, key=lines.__getitem__):
        bends -= lines[tail]
        if bends < 0:
            cut.add(tail)
    return {edge for edge, length in lengths.items() if edge[0] in cut and length > MANY}


def _length(picture: Picture, levels: Sequence[Level], tail: int, head: int) -> int:
    """How many rows an edge crosses, in all levels together."""
    up, down = _steps(picture, tail), _steps(picture, head)
    shared = next(level for level in up if level in down)
    rows = levels[shared].rows
    length = abs(rows[down[shared]] - rows[up[shared]])
    for level, item in up.items():
        if level not in down:
            length += levels[level].depth - levels[level].rows[item]
    for level, item in down.items():
        if level not in up:
            length += levels[level].rows[item]
    return length


def _with_references(picture: Picture, far: set[tuple[int, int]]) -> Picture:
    """The picture with a small named box before the head of each far edge, in the edge's place."""
    boxes = list(picture.boxes)
    edges = [edge for edge in picture.edges if edge not in far]
    for tail, head in sorted(far):
        origin = boxes[tail]
        edges.append((len(boxes), head))
        boxes.append(
            Box(
                origin.name,
                shorten(origin.name, LONGEST),
                detail=f"from {origin.detail}",
                category=Category.REFERENCE,
                cluster=boxes[head].cluster,
            )
        )
    return replace(picture, boxes=tuple(boxes), edges=tuple(edges))


def _solve(
    picture: Picture,
    levels: Sequence[Level],
    *,
    former: Sequence[Plan] = (),
    exits: bool = False,
) -> list[Plan]:
    """A plan for each level, inner ones first.

    Args:
        picture: What is drawn.
        levels: The levels, ranked.
        former: Earlier plans, which say in which order lines reach a cluster from outside.
        exits: Whether they also say in which order lines leave it.
    """
    size, root = len(picture.boxes), len(picture.clusters)
    shapes = {}
    for number, box in enumerate(picture.boxes):
        width, height = label_size(box)
        shapes[number] = Shape(max(box.width, width), box.height + height, face=box.face)
    plans: dict[int, Plan] = {}
    for index in (*range(root - 1, -1, -1), root):
        title, inward, outward = None, None, None
        if index < root:
            title = text_width(picture.clusters[index].title, SMALL)
            if former:
                around = former[_outer(picture, index)]
                inward = around.sources[size + index]
                outward = around.targets[size + index] if exits else None
        plans[index] = solve_level(
            levels[index], shapes, title=title, entries=inward, exits=outward
        )
        shapes[size + index] = plans[index].shape
    return [plans[index] for index in range(root + 1)]


def _crossings(plans: Sequence[Plan]) -> int:
    return sum(plan.crossings for plan in plans)


def _assemble(picture: Picture, plans: Sequence[Plan]) -> Layout:
    """All plans put into their places."""
    size, root = len(picture.boxes), len(picture.clusters)
    boxes: list[Rect] = [Rect(0, 0, 0, 0)] * size
    clusters: list[Rect] = [Rect(0, 0, 0, 0)] * root
    curves: list[list[Curve]] = [[] for _ in range(size)]
    arrows: list[list[Arrow]] = [[] for _ in range(size)]
    origin = {root: (0.0, 0.0)}
    for index in (root, *range(root)):
        plan, (left, top) = plans[index], origin[index]
        for item, (x, y) in plan.places.items():
            if item >= size:
                shape = plans[item - size].shape
                origin[item - size] = (left + x, top + y)
                clusters[item - size] = Rect(left + x, top + y, shape.width, shape.height)
            else:
                box = picture.boxes[item]
                room = max(box.width, label_size(box)[0])
                inset = (room - box.width) / 2
                boxes[item] = Rect(left + x + inset, top + y, box.width, box.height)
        for net, lines in plan.curves.items():
            curves[net] += [tuple((left + x, top + y) for x, y in line) for line in lines]
        for net, tips in plan.arrows.items():
            arrows[net] += [
                ((left + x1, top + y1), (left + x2, top + y2)) for (x1, y1), (x2, y2) in tips
            ]
    routes = tuple(
        Route(tail, tuple(curves[tail]), tuple(arrows[tail]))
        for tail in range(size)
        if curves[tail]
    )
    whole = plans[root].shape
    return Layout(picture, whole.width, whole.height, tuple(boxes), tuple(clusters), routes)
