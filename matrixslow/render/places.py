"""Places: where the vertices of a layered drawing stand in their rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matrixslow.render.layered import Layers, Neighbours, Rows, neighbours_of

SPREAD = 2.0
"""How much wider than its widest row a picture may become for the sake of straight lines."""

SETTLING = 12
"""How often a tangle is settled, down and up in turn."""


def place_rows(layers: Layers, rows: Rows, gaps: Sequence[float]) -> list[float]:
    """The middle of each vertex, so that neighbours keep apart and long edges run straight.

    The method of U. Brandes and B. Köpf, "Fast and simple horizontal coordinate assignment" (2001):
    vertices are aligned with the median of their neighbours in four ways (from above or below, from
    the left or right), and the mean of the middle two is taken. In a tangle, where straight lines
    would make the picture much wider than its widest row, rows are settled by least squares.

    Args:
        layers: The links and widths.
        rows: The order in each row.
        gaps: The room that each vertex needs on either side.
    """
    above, below = neighbours_of(layers)
    yielding = _crossed_links(rows, above, layers.bends)
    yielding |= _side_links(layers, rows, above, below)
    reach = [width / 2 + gap for width, gap in zip(layers.widths, gaps, strict=True)]
    drafts = []
    for downward in (True, False):
        for leftward in (True, False):
            ways = rows if downward else rows[::-1]
            sign = 1.0 if leftward else -1.0
            ways = ways if leftward else [row[::-1] for row in ways]
            near = above if downward else below
            draft = _compact(ways, *_align(ways, near, yielding, layers.bends, sign), reach)
            drafts.append([sign * x for x in draft])
    places = _balance(drafts, reach)
    needed = max((sum(reach[vertex] for vertex in row) for row in rows), default=0.0) * 2
    if max(places, default=0.0) - min(places, default=0.0) <= SPREAD * needed:
        return places
    return _settle(rows, above, below, layers.bends, reach)


def _crossed_links(rows: Rows, above: Neighbours, bends: Sequence[bool]) -> set[tuple[int, int]]:
    """The links that cross the inner part of a long edge; such links give way."""
    crossed = set()
    for upper, lower in itertools.pairwise(rows):
        place = {vertex: index for index, vertex in enumerate(upper)}
        left, done = 0, 0
        for index, vertex in enumerate(lower):
            inner = [u for u, _, _ in above[vertex] if bends[vertex] and bends[u]]
            if not inner and index != len(lower) - 1:
                continue
            right = place[inner[0]] if inner else len(upper) - 1
            while done <= index:
                other = lower[done]
                for u, _, _ in above[other]:
                    if not left <= place[u] <= right and not (bends[u] and bends[other]):
                        crossed.add((u, other))
                done += 1
            left = right
    return crossed


def _side_links(
    layers: Layers, rows: Rows, above: Neighbours, below: Neighbours
) -> set[tuple[int, int]]:
    """The links that give way to a more important one at an end, so that data runs straight down.

    What flows comes before what only starts, short edges before the ends of long ones, and among
    short edges that on the longest path: weights, shortcuts and long edges stand at the side.
    """
    bends = layers.bends
    behind = _path_lengths(rows, above, bends)
    ahead = _path_lengths(rows[::-1], below, bends)
    side: set[tuple[int, int]] = set()
    for vertex in range(len(above)):
        tails: dict[int, tuple[int, ...]] = {}
        for place, (tail, _, _) in enumerate(above[vertex]):
            flows = bool(above[tail]) or not layers.widths[tail]
            tails[tail] = flows, not bends[tail], behind[tail], 0 if flows else -place
        side.update((tail, vertex) for tail in _minor(tails))
        if not bends[vertex]:
            heads = {head: (not bends[head], ahead[head]) for head, _, _ in below[vertex]}
            side.update((vertex, head) for head in _minor(heads))
    return side


def _minor(importance: Mapping[int, tuple[int, ...]]) -> list[int]:
    """All but the most important."""
    most = max(importance.values(), default=())
    return [vertex for vertex, own in importance.items() if own < most]


def _path_lengths(rows: Rows, near: Neighbours, bends: Sequence[bool]) -> list[int]:
    """How many boxes there are on the longest path that ends at each vertex."""
    lengths = [0] * len(near)
    for row in rows:
        for vertex in row:
            longest = max((lengths[other] for other, _, _ in near[vertex]), default=0)
            lengths[vertex] = longest + (not bends[vertex])
    return lengths


def _align(
    rows: Rows,
    near: Neighbours,
    yielding: set[tuple[int, int]],
    bends: Sequence[bool],
    sign: float,
) -> tuple[list[int], list[float]]:
    """Chains of vertices that stand in one vertical line; a long edge goes on as itself.

    Returns:
        For each vertex the first of its chain, and how far it stands right of that one.
    """
    root = list(range(len(near)))
    shift = [0.0] * len(near)
    place = [0] * len(near)
    for row in rows:
        for index, vertex in enumerate(row):
            place[vertex] = index
    for row in rows:
        last = -1
        for vertex in row:
            ends = [end for end in near[vertex] if bends[vertex] and bends[end[0]]] or near[vertex]
            ends = sorted(ends, key=lambda end: (place[end[0]], sign * end[1]))
            for middle in range((len(ends) - 1) // 2, len(ends) // 2 + 1) if ends else ():
                other, there, here = ends[middle]
                free = (other, vertex) not in yielding and (vertex, other) not in yielding
                if root[vertex] == vertex and last < place[other] and free:
                    root[vertex] = root[other]
                    shift[vertex] = shift[other] + sign * (there - here)
                    last = place[other]
    return root, shift


def _compact(
    rows: Rows, root: list[int], shift: list[float], reach: Sequence[float]
) -> list[float]:
    """The leftmost places for chains, each then moved right up to its neighbour."""
    right: dict[int, dict[int, float]] = {vertex: {} for vertex in set(root)}
    waiting = dict.fromkeys(right, 0)
    for row in rows:
        for one, two in itertools.pairwise(row):
            a, b = root[one], root[two]
            distance = reach[one] + reach[two] + shift[one] - shift[two]
            if b not in right[a]:
                waiting[b] += 1
            right[a][b] = max(distance, right[a].get(b, distance))
    order = [chain for row in rows for chain in row if root[chain] == chain and not waiting[chain]]
    x = dict.fromkeys(right, 0.0)
    for chain in order:
        for other, distance in right[chain].items():
            x[other] = max(x[other], x[chain] + distance)
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    for chain in reversed(order):
        if right[chain]:
            x[chain] = min(x[other] - distance for other, distance in right[chain].items())
    return [x[root[vertex]] + shift[vertex] for vertex in range(len(root))]


def _balance(drafts: Sequence[Sequence[float]], reach: Sequence[float]) -> list[float]:
    """The mean of the middle two places of each vertex, drafts moved over the narrowest one."""
    if not reach:
        return []
    edges = [
        (
            min(x - half for x, half in zip(draft, reach, strict=True)),
            max(x + half for x, half in zip(draft, reach, strict=True)),
        )
        for draft in drafts
    ]
    low, high = min(edges, key=lambda edge: edge[1] - edge[0])
    moves = [
        low - left if index % 2 == 0 else high - right for index, (left, right) in enumerate(edges)
    ]
    places = []
    for row in zip(*drafts, strict=True):
        middle = sorted(x + move for x, move in zip(row, moves, strict=True))[1:3]
        places.append(sum(middle) / 2)
    return places


def _settle(
    rows: Rows,
    above: Neighbours,
    below: Neighbours,
    bends: Sequence[bool],
    reach: Sequence[float],
) -> list[float]:
    """Places near the mean of the neighbours, row by row, up and down, from packed rows."""
    x = [0.0] * len(reach)
    for row in rows:
        place = -sum(reach[vertex] for vertex in row)
        for vertex in row:
            x[vertex] = place + reach[vertex]
            place += 2 * reach[vertex]
    for sweep in range(SETTLING):
        downward = sweep % 2 == 0
        near = above if downward else below
        for row in rows if downward else reversed(rows):
            wishes = []
            for vertex in row:
                ends = [
                    (x[u] + there - here, 4 if bends[u] else 1) for u, there, here in near[vertex]
                ]
                weight = sum(part for _, part in ends)
                mean = sum(end * part for end, part in ends) / weight if weight else x[vertex]
                wishes.append((mean, weight or 0.1))
            for vertex, place in zip(row, _apart(row, wishes, reach), strict=True):
                x[vertex] = place
    return x


def _apart(
    row: Sequence[int], wishes: Sequence[tuple[float, float]], reach: Sequence[float]
) -> list[float]:
    """The places nearest to the wished ones, by weighted least squares, at which no two overlap.

    Counted from where each vertex stands in the packed row, places must not fall: vertices whose
    wishes do are pooled at their mean (isotonic regression).
    """
    packed, at = [], 0.0
    for vertex in row:
        packed.append(at + reach[vertex])
        at += 2 * reach[vertex]
    pools: list[tuple[float, float, int]] = []
    for (wish, weight), own in zip(wishes, packed, strict=True):
        mean, count = wish - own, 1
        while pools and pools[-1][0] > mean:
            other, heavy, many = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + many
        pools.append((mean, weight, count))
    moves = [mean for mean, _, count in pools for _ in range(count)]
    return [move + own for move, own in zip(moves, packed, strict=True)]
