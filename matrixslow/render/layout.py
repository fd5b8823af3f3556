"""Layout: places for boxes and clusters, and curves for edges.

Each cluster is laid out by itself, with the edges that enter and leave it on its upper and lower
side, and is one large box in the layout around it. So boxes and clusters never overlap, and since
edges bend only in the gaps between rows, none runs through a box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from matrixslow.render.item import Category
from matrixslow.render.layered import Layers, Link, feedback, order_rows, place_rows, ranks
from matrixslow.render.lettering import text_width
from matrixslow.render.picture import SMALL, Box, Picture

Point = tuple[float, float]
Curve = tuple[Point, ...]
"""Control points of joined cubic Bezier curves: a start, then three points for each curve."""

LABEL = 20.0
"""The height of the strip below a box that holds the label of its edges."""

FRAME_TITLE = 26.0
"""The height of the strip at the top of a cluster that holds its title."""

PADDING = 16.0
ARROW = 7.0
REACH = 40
"""The most rows that an edge crosses; a longer one is drawn as a reference to its start."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle: its left upper corner and its size."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.top + self.height

    @property
    def middle(self) -> float:
        """The x of the middle."""
        return self.left + self.width / 2


@dataclass(frozen=True, slots=True)
class Route:
    """All edges that leave one box, as one branching line.

    Attributes:
        tail: The number of the box.
        curves: The pieces of the line.
        arrows: The tips of the arrow heads, which point down.
    """

    tail: int
    curves: tuple[Curve, ...]
    arrows: tuple[Point, ...]


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


def arrange(picture: Picture, *, reach: int = REACH) -> Layout:
    """Find places for everything in a picture.

    Args:
        picture: What is drawn.
        reach: The most rows that an edge crosses.

    Shapes: time and memory grow with boxes + edges, times `reach` at most.
    """
    levels = _levels(picture)
    if far := _far_edges(picture, levels, reach):
        picture = _with_references(picture, far)
        levels = _levels(picture)
    plans = _solve(picture, levels, {})
    if picture.clusters:
        plans = _solve(picture, levels, _port_places(picture, plans))
    return _assemble(picture, plans)


# ---- levels: what is directly in each cluster --------------------------------------------------


@dataclass(slots=True)
class _Net:
    """The part of a box's outgoing edges that lies in one level."""

    start: int  # the item it comes from; ENTRY where it comes from outside
    heads: list[int] = field(default_factory=list)
    leaves: bool = False

    def add(self, head: int) -> None:
        if head not in self.heads:
            self.heads.append(head)


ENTRY = -1


@dataclass(slots=True)
class _Level:
    """One cluster, or the whole: its items (boxes, and clusters as one) and nets by box."""

    items: list[int] = field(default_factory=list)  # box numbers, or len(boxes) + cluster number
    nets: dict[int, _Net] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)


def _levels(picture: Picture) -> list[_Level]:
    """The levels: one for each cluster, then the whole."""
    size = len(picture.boxes)
    root = len(picture.clusters)
    levels = [_Level() for _ in range(root + 1)]
    home = [box.cluster if box.cluster >= 0 else root for box in picture.boxes]
    outer = [c.parent if c.parent >= 0 else root for c in picture.clusters]
    entered = set()
    for box in range(size):
        levels[home[box]].items.append(box)
        cluster = home[box]
        while cluster != root and cluster not in entered:
            entered.add(cluster)
            levels[outer[cluster]].items.append(size + cluster)
            cluster = outer[cluster]

    def chain(box: int) -> list[tuple[int, int]]:
        """The levels around a box, from the inside, and what stands for it in each."""
        steps = [(home[box], box)]
        while steps[-1][0] != root:
            cluster = steps[-1][0]
            steps.append((outer[cluster], size + cluster))
        return steps

    for tail, head in picture.edges:
        up, down = chain(tail), chain(head)
        shared = {level for level, _ in up} & {level for level, _ in down}
        for level, item in up:
            net = levels[level].nets.setdefault(tail, _Net(item))
            if level in shared:
                break
            net.leaves = True
        for level, item in down:
            if level in shared:
                levels[level].nets[tail].add(item)
                break
            levels[level].nets.setdefault(tail, _Net(ENTRY)).add(item)
    for level in levels:
        _rank(level)
    return levels


def _rank(level: _Level) -> None:
    number = {item: index for index, item in enumerate(level.items)}
    edges = [
        (number[net.start], number[head])
        for net in level.nets.values()
        if net.start != ENTRY
        for head in net.heads
    ]
    closing = feedback(len(number), edges)
    anchored = {number[h] for net in level.nets.values() if net.start == ENTRY for h in net.heads}
    found = ranks(len(number), [edge for edge in edges if edge not in closing], anchored)
    low = min(found, default=0)
    level.rows = {item: found[index] - low for item, index in number.items()}


def _far_edges(
    picture: Picture, levels: Sequence[_Level], reach: int
) -> set[tuple[int, int]]:
    """The edges that cross more than so many rows, in all levels together."""
    size, root = len(picture.boxes), len(picture.clusters)
    deepest = [max(level.rows.values(), default=0) for level in levels]

    def steps(box: int) -> dict[int, int]:
        rows, cluster = {}, picture.boxes[box].cluster
        item = box
        while cluster >= 0:
            rows[cluster] = levels[cluster].rows[item]
            item, cluster = size + cluster, picture.clusters[cluster].parent
        rows[root] = levels[root].rows[item]
        return rows

    far = set()
    for tail, head in picture.edges:
        up, down = steps(tail), steps(head)
        shared = next(level for level in up if level in down)
        length = abs(down[shared] - up[shared])
        length += sum(deepest[level] - row for level, row in up.items() if level not in down)
        length += sum(row for level, row in down.items() if level not in up)
        if length > reach:
            far.add((tail, head))
    return far


def _with_references(picture: Picture, far: set[tuple[int, int]]) -> Picture:
    """The picture with a small named box beside the head of each far edge, in the edge's place."""
    boxes = list(picture.boxes)
    edges = [edge for edge in picture.edges if edge not in far]
    for tail, head in sorted(far):
        origin = boxes[tail]
        edges.append((len(boxes), head))
        boxes.append(
            Box(
                origin.name,
                origin.subtitle if origin.subtitle and not origin.folded else origin.title,
                detail=origin.detail,
                category=Category.REFERENCE,
                cluster=boxes[head].cluster,
            )
        )
    return replace(picture, boxes=tuple(boxes), edges=tuple(edges))


# ---- one level ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Plan:
    """A level laid out by itself, from (0, 0)."""

    width: float = 0.0
    height: float = 0.0
    places: dict[int, Rect] = field(default_factory=dict)
    entries: dict[int, float] = field(default_factory=dict)  # the x of each net that comes in
    exits: dict[int, float] = field(default_factory=dict)
    curves: defaultdict[int, list[Curve]] = field(default_factory=lambda: defaultdict(list))
    arrows: defaultdict[int, list[Point]] = field(default_factory=lambda: defaultdict(list))


Ports = dict[tuple[int, int, str], float]
"""Where nets want to enter ("in") and leave ("out") a cluster: x by (cluster, net, side)."""


def _solve(picture: Picture, levels: Sequence[_Level], wishes: Ports) -> list[_Plan]:
    """A plan for each level, inner ones first."""
    plans: list[_Plan] = [_Plan() for _ in levels]
    for index in range(len(levels) - 2, -1, -1):
        plans[index] = _LevelSolver(picture, index, levels[index], plans, wishes).plan()
    plans[-1] = _LevelSolver(picture, -1, levels[-1], plans, wishes).plan()
    return plans


class _LevelSolver:
    """Lays out one level: items, the ports of the nets that cross its border, and bends."""

    def __init__(
        self,
        picture: Picture,
        cluster: int,
        level: _Level,
        plans: Sequence[_Plan],
        wishes: Ports,
    ) -> None:
        self.picture, self.cluster, self.level, self.plans = picture, cluster, level, plans
        self.widths: list[float] = []
        self.heights: list[float] = []
        self.bends: list[bool] = []
        self.gaps: list[float] = []
        self.first = 1 if cluster >= 0 else 0
        depth = max(level.rows.values(), default=0) + 1 + self.first
        self.rows: list[list[int]] = [[] for _ in range(depth)]
        self.links: list[list[Link]] = []
        self.vertex: dict[int, int] = {}
        self.item_of: dict[int, int] = {}
        self.entries: dict[int, int] = {}
        self.exits: dict[int, int] = {}
        self.turns: list[tuple[int, int, int, int, int]] = []
        self.net_of: dict[tuple[int, int, float], int] = {}
        self._add_vertices(wishes)
        self.links = [[] for _ in self.rows[1:]]
        self.pieces: list[tuple[int, int, Link]] = []
        for net in level.nets:
            self._add_net(net)

    def _add(self, row: int, width: float, height: float, gap: float, *, bend: bool = False) -> int:
        self.widths.append(width)
        self.heights.append(height)
        self.gaps.append(gap)
        self.bends.append(bend)
        self.rows[row].append(len(self.widths) - 1)
        return len(self.widths) - 1
