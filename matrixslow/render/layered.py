"""Layered drawing of one flat graph: in which row each vertex stands, and in which order.

The method of K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical
system structures" (1981). All functions are pure; vertices are numbers.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Rows = list[list[int]]

SWEEPS = 24
"""How often rows are sorted at most; sorting stops when crossings stay the same for a while."""


@dataclass(frozen=True, slots=True)
class Link:
    """An edge from a vertex to one in the next row.

    Attributes:
        upper: The vertex that it starts at.
        lower: The vertex that it ends at.
        upper_offset: How far right of the upper vertex's middle it starts.
        lower_offset: How far right of the lower vertex's middle it ends.
        net: The number of the line that it belongs to.
    """

    upper: int
    lower: int
    upper_offset: float = 0.0
    lower_offset: float = 0.0
    net: int = 0


@dataclass(frozen=True, slots=True)
class Layers:
    """Vertices in rows, and links between neighbouring rows.

    Attributes:
        rows: The vertices of each row, from left to right.
        links: For each row the links from it to the next.
        widths: The width of each vertex; 0 for a point that an edge passes.
        bends: Whether a vertex is a mere bend of a long edge.
        fixed: The rows whose order is given.
    """

    rows: Rows
    links: Sequence[Sequence[Link]]
    widths: Sequence[float]
    bends: Sequence[bool]
    fixed: frozenset[int] = frozenset()


# ---- ranks -------------------------------------------------------------------------------------


def feedback(count: int, edges: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """The edges that close a cycle, when the graph is walked from vertex 0 upwards.

    Without them the graph has no cycle.

    >>> feedback(3, [(0, 1), (1, 2), (2, 0)])
    {(2, 0)}
    """
    heads: list[list[int]] = [[] for _ in range(count)]
    for tail, head in edges:
        heads[tail].append(head)
    state = [0] * count  # 1 while a vertex is on the path, 2 once all behind it is known
    closing = set()
    for start in range(count):
        path = [(start, iter(heads[start]))] if not state[start] else []
        while path:
            vertex, rest = path[-1]
            state[vertex] = 1
            for head in rest:
                if state[head] == 1:
                    closing.add((vertex, head))
                elif state[head] == 0:
                    path.append((head, iter(heads[head])))
                    break
            else:
                state[vertex] = 2
                path.pop()
    return closing


def ranks(count: int, edges: Sequence[tuple[int, int]], anchored: Iterable[int] = ()) -> list[int]:
    """The row of each vertex: each edge of an acyclic graph leads to a later row.

    Rows are as early as can be; then vertices move down to their users where that makes edges
    no longer in all, so that a weight stands beside what it is multiplied with.

    Args:
        count: The number of vertices.
        edges: Pairs of vertices, from and to.
        anchored: Vertices that also hang on something above all rows.

    >>> ranks(4, [(0, 1), (1, 2), (3, 2)])
    [0, 1, 2, 1]
    """
    tails: list[list[int]] = [[] for _ in range(count)]
    heads: list[list[int]] = [[] for _ in range(count)]
    for tail, head in edges:
        tails[head].append(tail)
        heads[tail].append(head)
    waiting = [len(above) for above in tails]
    order = [vertex for vertex in range(count) if not waiting[vertex]]
    row = [0] * count
    for vertex in order:
        for head in heads[vertex]:
            row[head] = max(row[head], row[vertex] + 1)
            waiting[head] -= 1
            if not waiting[head]:
                order.append(head)
    held = set(anchored)
    furthest = [max((row[head] for head in below), default=0) for below in heads]
    for vertex in (vertex for vertex in reversed(order) if heads[vertex]):
        stretched = [tail for tail in tails[vertex] if tails[tail]]
        stretched = [tail for tail in stretched if furthest[tail] == row[vertex]]
        if len(stretched) + (vertex in held) <= 1:
            row[vertex] = min(row[head] for head in heads[vertex]) - 1
            for tail in tails[vertex]:
                furthest[tail] = max(furthest[tail], row[vertex])
    return row


# ---- order -------------------------------------------------------------------------------------


def order_rows(layers: Layers) -> Rows:
    """Rows in an order with few crossings: sorted by their neighbours' places, up and down.

    Vertices without neighbours keep their places.
    """
    above, below = neighbours_of(layers)
    rows = _first_order(layers, below)
    best, fewest, patience = [row[:] for row in rows], count_crossings(rows, layers), 0
    for sweep in range(SWEEPS):
        if not fewest or patience == 6:
            break
        downward = sweep % 2 == 0
        turns = range(1, len(rows)) if downward else range(len(rows) - 2, -1, -1)
        for turn in turns:
            if turn not in layers.fixed:
                reference = rows[turn - 1 if downward else turn + 1]
                neighbours = above if downward else below
                rows[turn] = _sorted_row(
                    rows[turn], reference, neighbours, layers.widths, from_right=sweep % 4 > 1
                )
        crossings = count_crossings(rows, layers)
        patience += 1
        if crossings < fewest:
            best, fewest, patience = [row[:] for row in rows], crossings, 0
    return best


def count_crossings(rows: Rows, layers: Layers) -> int:
    """How often two links cross."""
    total = 0
    place = {vertex: index for row in rows for index, vertex in enumerate(row)}
    for links in layers.links:
        ends = sorted(
            (
                place[link.upper] + _fraction(link.upper_offset, layers.widths[link.upper]),
                place[link.lower] + _fraction(link.lower_offset, layers.widths[link.lower]),
            )
            for link in links
        )
        passed: list[float] = []
        for _, lower in ends:
            total += len(passed) - bisect_right(passed, lower)
            insort(passed, lower)
    return total


Neighbours = list[list[tuple[int, float, float]]]
"""For each vertex its neighbours in one direction: number, offset there, offset here."""


def neighbours_of(layers: Layers) -> tuple[Neighbours, Neighbours]:
    """The neighbours of each vertex above, and those below."""
    above: Neighbours = [[] for _ in layers.widths]
    below: Neighbours = [[] for _ in layers.widths]
    for links in layers.links:
        for link in links:
            above[link.lower].append((link.upper, link.upper_offset, link.lower_offset))
            below[link.upper].append((link.lower, link.lower_offset, link.upper_offset))
    return above, below


def _first_order(layers: Layers, below: Neighbours) -> Rows:
    """Rows in the order in which a walk along the links comes by, which leaves trees uncrossed."""
    row_of = {vertex: index for index, row in enumerate(layers.rows) for vertex in row}
    rows: Rows = [[] for _ in layers.rows]
    seen: set[int] = set()
    for start in (vertex for row in layers.rows for vertex in row):
        pending = [start]
        while pending:
            vertex = pending.pop()
            if vertex not in seen:
                seen.add(vertex)
                rows[row_of[vertex]].append(vertex)
                pending.extend(head for head, _, _ in reversed(below[vertex]))
    for index in layers.fixed:
        rows[index] = list(layers.rows[index])
    return rows


def _sorted_row(
    row: list[int],
    reference: list[int],
    neighbours: Neighbours,
    widths: Sequence[float],
    *,
    from_right: bool,
) -> list[int]:
    """The row sorted by the mean place of each vertex's neighbours; others keep their places."""
    place = {vertex: index for index, vertex in enumerate(reference)}
    keys = {}
    for vertex in row:
        if near := neighbours[vertex]:
            ends = [place[other] + _fraction(offset, widths[other]) for other, offset, _ in near]
            keys[vertex] = sum(ends) / len(ends)
    movable = [vertex for vertex in row if vertex in keys]
    if from_right:
        movable.reverse()
    movable.sort(key=keys.__getitem__)
    chosen = iter(movable)
    return [next(chosen) if vertex in keys else vertex for vertex in row]


def _fraction(offset: float, width: float) -> float:
    """An offset as a part of one place, so that it never reaches the next vertex's."""
    return 0.9 * offset / width if width else 0.0
