"""Level: one cluster laid out by itself, with the edges that cross its upper and lower side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from matrixslow.render.layered import Layers, Link, count_crossings, feedback, order_rows, ranks
from matrixslow.render.places import place_rows
from matrixslow.render.shapes import Arrow, Curve, Point, bent, turned, upright

ENTRY = -1
"""Where a net starts that comes in from outside."""

FRAME_TITLE = 24.0
"""The height of the strip at the top of a cluster that holds its title."""

PADDING = 14.0
"""The room between a cluster's sides and what is in it."""

ARROW = 6.5
"""The length of an arrow head."""

BOX_GAP, LINE_GAP = 15.0, 8.0
"""The room on either side of a box, and of a line."""

GAP, BORDER_GAP, SLANT = 22.0, 9.0, 0.1
"""The least gap between two rows, the one between a row and a cluster's border, and how both grow
with how far lines lead aside."""


@dataclass(slots=True)
class Net:
    """The part of one box's outgoing edges that lies in a level.

    Attributes:
        start: The item that it comes from, or ENTRY.
        heads: The items that it goes to, in order.
        leaves: Whether it also leaves the level at the lower side.
    """

    start: int
    heads: dict[int, None] = field(default_factory=dict)
    leaves: bool = False


@dataclass(slots=True)
class Level:
    """What is directly in a cluster: items, their rows, and nets by the box they come from."""

    items: list[int] = field(default_factory=list)
    nets: defaultdict[int, Net] = field(default_factory=lambda: defaultdict(lambda: Net(ENTRY)))
    rows: dict[int, int] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """The number of rows."""
        return 1 + max(self.rows.values(), default=0)

    def rank(self) -> None:
        """Give each item its row."""
        number = {item: index for index, item in enumerate(self.items)}
        inner = [net for net in self.nets.values() if net.start != ENTRY]
        edges = [(number[net.start], number[head]) for net in inner for head in net.heads]
        closing = feedback(len(number), edges)
        entered = {number[h] for net in self.nets.values() if net.start == ENTRY for h in net.heads}
        rows = ranks(len(number), [edge for edge in edges if edge not in closing], entered)
        self.rows = {item: rows[index] - min(rows) for item, index in number.items()}


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of an item, and where nets end on it, counted from its middle.

    Attributes:
        width: With its label.
        height: With its label.
        inlets: Where nets enter a cluster.
        outlets: Where nets leave a cluster.
        face: How much of a box's upper side lines may end on.
    """

    width: float
    height: float
    inlets: Mapping[int, float] = field(default_factory=dict)
    outlets: Mapping[int, float] = field(default_factory=dict)
    face: float = 0.0


@dataclass(slots=True)
class Plan:
    """A level with places, counted from its left upper corner.

    Attributes:
        shape: The size of the whole, and where nets cross its border.
        places: The left upper corner of each item.
        curves: The lines of each net.
        arrows: Its arrow heads.
        sources: For each item the x that each net reaches it from.
        targets: For each item the x that each net leads to from it.
        crossings: How often lines cross.
    """

    shape: Shape
    places: dict[int, Point]
    curves: defaultdict[int, list[Curve]] = field(default_factory=lambda: defaultdict(list))
    arrows: defaultdict[int, list[Arrow]] = field(default_factory=lambda: defaultdict(list))
    sources: defaultdict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    targets: defaultdict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    crossings: int = 0


def solve_level(
    level: Level,
    shapes: Mapping[int, Shape],
    *,
    title: float | None = None,
    entries: Mapping[int, float] | None = None,
    exits: Mapping[int, float] | None = None,
) -> Plan:
    """Lay out one level.

    Args:
        level: The items, with their rows, and the nets.
        shapes: The shape of each item.
        title: The width of the cluster's title; None for the whole picture, which has none.
        entries: By which x to order the nets that come in; None leaves their order free.
        exits: By which x to order the nets that go out.
    """
    grid = _Grid(level, shapes, title)
    fixed = grid.fix_ports(entries, exits)
    layers = Layers(grid.rows, grid.links, grid.widths, grid.bends, fixed)
    rows = order_rows(layers)
    plan = _Drawing(grid, place_rows(layers, rows, grid.gaps)).plan
    plan.crossings = count_crossings(rows, layers)
    return plan


@dataclass(frozen=True, slots=True)
class _Turn:
    """A line from an item down and back up, or from there to an item above: around the boxes."""

    net: int
    item: int
    bend: int
    upward: bool


class _Grid:
    """The vertices of a level in rows: its items, the ports on its border, and bends of lines."""

    def __init__(self, level: Level, shapes: Mapping[int, Shape], title: float | None) -> None:
        self.level, self.shapes, self.titled = level, shapes, title is not None
        self.widths: list[float] = []
        self.heights: list[float] = []
        self.gaps: list[float] = []
        self.bends: list[bool] = []
        self.row_of: list[int] = []
        self.item_of: dict[int, int] = {}
        self.net_of: dict[int, int] = {}
        self.vertices: dict[int, int] = {}
        self.entries: dict[int, int] = {}
        self.exits: dict[int, int] = {}
        self.turns: list[_Turn] = []
        leaving = any(net.leaves for net in level.nets.values())
        self.rows: list[list[int]] = [[] for _ in range(level.depth + self.titled + leaving)]
        self.links: list[list[Link]] = [[] for _ in self.rows[1:]]
        if title is not None:
            self._add(0, title, FRAME_TITLE, LINE_GAP)
        for item in level.items:
            vertex = self._add(self._row(item), shapes[item].width, shapes[item].height, BOX_GAP)
            self.vertices[item], self.item_of[vertex] = vertex, item
        for name, net in level.nets.items():
            self._descend(name, net)
            if net.start != ENTRY:
                self._ascend(name, net)

    def fix_ports(
        self, entries: Mapping[int, float] | None, exits: Mapping[int, float] | None
    ) -> frozenset[int]:
        """Order the ports as wished. Returns the rows whose order is fixed by that."""
        fixed = set()
        if self.entries and entries is not None:
            ports = [self.entries[name] for name in sorted(self.entries, key=entries.__getitem__)]
            self.rows[0] = [*self.rows[0][:1], *ports]
            fixed.add(0)
        if self.exits and exits is not None:
            last = len(self.rows) - 1
            self.rows[last] = [
                self.exits[name] for name in sorted(self.exits, key=exits.__getitem__)
            ]
            fixed.add(last)
        return frozenset(fixed)

    def _descend(self, name: int, net: Net) -> None:
        """Link a net to what lies below its start: one line of bends with branches."""
        if net.start == ENTRY:
            row, offset = 0, 0.0
            start = self.entries[name] = self._point(name, 0, bend=False)
        else:
            row, offset = self._row(net.start), self.shapes[net.start].outlets.get(name, 0.0)
            start = self.vertices[net.start]
        below = defaultdict(list)
        for head in net.heads:
            if self._row(head) > row:
                inlet = self.shapes[head].inlets.get(name, 0.0)
                below[self._row(head)].append((self.vertices[head], inlet))
        if net.leaves:
            last = len(self.rows) - 1
            self.exits[name] = self._point(name, last, bend=False)
            below[last].append((self.exits[name], 0.0))
        lowest = max(below, default=row)
        for line in range(row + 1, lowest + 1):
            links = [Link(start, head, offset, inlet, name) for head, inlet in below[line]]
            if line < lowest:
                bend = self._point(name, line)
                links.append(Link(start, bend, offset, 0.0, name))
                start, offset = bend, 0.0
            self.links[line - 1] += links

    def _ascend(self, name: int, net: Net) -> None:
        """Link a net to items that lie above or beside its start, around the boxes."""
        row = self._row(net.start)
        heads = [head for head in net.heads if self._row(head) <= row]
        bend = -1
        for line in range(row, min(map(self._row, heads), default=row + 1) - 1, -1):
            upper = self._point(name, line)
            if line == row:
                self.turns.append(_Turn(name, net.start, upper, upward=False))
            else:
                self.links[line].append(Link(upper, bend, net=name))
            bend = upper
            here = (head for head in heads if self._row(head) == line)
            self.turns += (_Turn(name, head, bend, upward=True) for head in here)

    def _row(self, item: int) -> int:
        return self.level.rows[item] + self.titled

    def _point(self, name: int, row: int, *, bend: bool = True) -> int:
        vertex = self._add(row, 0.0, 0.0, LINE_GAP, bend=bend)
        self.net_of[vertex] = name
        return vertex

    def _add(self, row: int, width: float, height: float, gap: float, *, bend: bool = False) -> int:
        vertex = len(self.widths)
        self.widths.append(width)
        self.heights.append(height)
        self.gaps.append(gap)
        self.bends.append(bend)
        self.row_of.append(row)
        self.rows[row].append(vertex)
        return vertex


class _Drawing:
    """Gives rows their heights and nets their lines, once every vertex has its x.

    Lines stand upright where they pass a row, and bend only in the gaps between rows.
    """

    def __init__(self, grid: _Grid, x: list[float]) -> None:
        self.grid = grid
        side = PADDING if grid.titled else 0.0
        halves = [width / 2 for width in grid.widths]
        left = min((v - half for v, half in zip(x, halves, strict=True)), default=0.0) - side
        right = max((v + half for v, half in zip(x, halves, strict=True)), default=0.0) + side
        self.x = [v - left for v in x]
        self.tops: list[float] = []
        self.bottoms: list[float] = []
        height = self._stack_rows()
        self.top = self._tops_of_vertices()
        middle = (right - left) / 2
        self.plan = Plan(
            Shape(
                right - left,
                height,
                {name: self.x[port] - middle for name, port in grid.entries.items()},
                {name: self.x[port] - middle for name, port in grid.exits.items()},
            ),
            {item: (self.x[v] - halves[v], self.top[v]) for v, item in grid.item_of.items()},
        )
        self._draw_lines()

    def _stack_rows(self) -> float:
        """Find where each row begins and ends. Returns the height of the whole."""
        grid, last = self.grid, len(self.grid.rows) - 1
        turning = {(grid.row_of[turn.bend], turn.upward) for turn in grid.turns}
        y = GAP if (0, True) in turning else 0.0
        for row, vertices in enumerate(grid.rows):
            if row:
                at_border = (row == 1 and grid.titled) or (row == last and grid.exits)
                slant = max(
                    (abs(a - b) for a, b in map(self._ends, grid.links[row - 1])), default=0
                )
                y += (BORDER_GAP if at_border else GAP) + min(SLANT * slant, GAP)
            self.tops.append(y)
            y += max((grid.heights[v] for v in vertices), default=0.0)
            self.bottoms.append(y)
        if (last, False) in turning:
            return y + GAP
        return y + (PADDING if grid.titled and not grid.exits else 0.0)

    def _tops_of_vertices(self) -> list[float]:
        """Items stand at the top of their row; those that nothing leads to, at the bottom."""
        grid = self.grid
        reached = {link.lower for links in grid.links for link in links}
        reached.update(grid.vertices[turn.item] for turn in grid.turns if turn.upward)
        return [
            self.tops[row] if v in reached else self.bottoms[row] - grid.heights[v]
            for v, row in enumerate(grid.row_of)
        ]

    def _draw_lines(self) -> None:
        grid, plan = self.grid, self.plan
        self.arrivals: defaultdict[int, list[tuple[float, int, bool]]] = defaultdict(list)
        for v, net in grid.net_of.items():
            row = grid.row_of[v]
            if self.bottoms[row] > self.tops[row]:
                plan.curves[net].append(upright(self.x[v], self.tops[row], self.bottoms[row]))
        for link in (link for links in grid.links for link in links):
            start, end = self._ends(link)
            if link.upper in grid.item_of:
                self._leave(link.net, link.upper, start, end)
            self._arrive(link.net, link.lower, start, end, turning=False)
        for turn in grid.turns:
            shape, v, x = grid.shapes[turn.item], grid.vertices[turn.item], self.x[turn.bend]
            if turn.upward:
                end = self.x[v] + shape.inlets.get(turn.net, 0.0)
                self._arrive(turn.net, v, x, end, turning=True)
            else:
                start = self.x[v] + shape.outlets.get(turn.net, 0.0)
                self._leave(turn.net, v, start, x)
                low = self.bottoms[grid.row_of[v]]
                plan.curves[turn.net].append(turned((start, low), (x, low), 0.9 * GAP))
        for v, lines in self.arrivals.items():
            lines.sort()
            face = grid.shapes[grid.item_of[v]].face
            ends = _spread(self.x[v], face, [start for start, _, _ in lines])
            for (start, net, turning), end in zip(lines, ends, strict=True):
                tip = end, self.top[v]
                base = end, self.top[v] - ARROW
                self._join(net, v, start, base, turning=turning)
                plan.arrows[net].append((base, tip))

    def _leave(self, net: int, v: int, start: float, end: float) -> None:
        """Draw a line from an item to the end of its row, from where it leads to some x."""
        self.plan.targets[self.grid.item_of[v]][net] = end
        top, bottom = self.top[v] + self.grid.heights[v], self.bottoms[self.grid.row_of[v]]
        if top < bottom:
            self.plan.curves[net].append(upright(start, top, bottom))

    def _arrive(self, net: int, v: int, start: float, end: float, *, turning: bool) -> None:
        """Draw a line to a bend or cluster; those to a box wait until all are known."""
        item = self.grid.item_of.get(v)
        if item is not None and net not in self.grid.shapes[item].inlets:
            self.arrivals[v].append((start, net, turning))
            return
        if item is not None:
            self.plan.sources[item][net] = start
        self._join(net, v, start, (end, self.tops[self.grid.row_of[v]]), turning=turning)

    def _join(self, net: int, v: int, start: float, end: Point, *, turning: bool) -> None:
        row = self.grid.row_of[v]
        if turning:
            line = turned((start, self.tops[row]), end, -0.9 * GAP)
        else:
            line = bent((start, self.bottoms[row - 1]), end)
        self.plan.curves[net].append(line)

    def _ends(self, link: Link) -> tuple[float, float]:
        start = self.x[link.upper] + link.upper_offset
        return start, self.x[link.lower] + link.lower_offset


def _spread(middle: float, face: float, starts: list[float]) -> list[float]:
    """Where lines end on a box, from left to right: apart, one from right above at the middle."""
    straight = [index for index, start in enumerate(starts) if abs(start - middle) < 1]
    centre = straight[0] if straight else (len(starts) - 1) / 2
    step = min(12.0, face / (2 * max(centre, len(starts) - 1 - centre) + 1))
    return [middle + step * (index - centre) for index in range(len(starts))]
