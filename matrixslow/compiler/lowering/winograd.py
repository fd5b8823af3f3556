"""Winograd's convolutions: tiles of 4 x 4 results of a 3 x 3 kernel from 36 products, not 144.

Seen as polynomials, a row of 6 pixels and one of 3 kernel elements are multiplied by their values
at six points. What a matrix makes of tiles and kernels is multiplied place by place, over all
channels at once: that is a product of matrices for each of 6 x 6 places, in registers as in direct
convolutions. The points keep the error near that of a direct convolution: 0 and infinity, and two
pairs of opposite ones, whose halves of even and of odd powers are computed once.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016); Barabasz et al.,
"Error analysis and improving the accuracy of Winograd convolution" (2020), on the choice of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from matrixslow.compiler.indices import Axis, Index, flat, of, row_major
from matrixslow.compiler.llvm import lanes_of
from matrixslow.compiler.loops import (
    Kernel,
    Loop,
    Set,
    Statement,
    Store,
    loops,
    make_kernel,
)
from matrixslow.compiler.lowering.direct import Frame, blocks, most
from matrixslow.compiler.lowering.table import sizes
from matrixslow.compiler.symbols import Buffer, Local, Symbol, constant, load, local
from matrixslow.core.node import Node
from matrixslow.ops.windows import Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

TILE, TAPS = 4, 3
SIZE = TILE + TAPS - 1
PLACES = SIZE * SIZE

POINTS = tuple(Fraction(p, 4) for p in (0, 3, -3, 6, -6))
"""Where polynomials are evaluated; the last point is infinity."""

Matrix = tuple[tuple[float, ...], ...]


def _values(degree: int) -> Matrix:
    """A polynomial's values at all points, from its coefficients."""
    rows = [tuple(float(p**k) for k in range(degree)) for p in POINTS]
    return (*rows, tuple(float(k == degree - 1) for k in range(degree)))


def _scaled() -> Matrix:
    """The same for a kernel, divided by what the other points contribute."""
    *rows, last = _values(TAPS)
    found = []
    for p, row in zip(POINTS, rows, strict=True):
        others = prod(p - q for q in POINTS if q != p)
        found.append(tuple(float(Fraction(x) / others) for x in row))
    return (*found, last)


def _others() -> Matrix:
    """For each point the coefficients of the polynomial that is zero at the others."""
    found = []
    for left_out in (*POINTS, None):
        row = [Fraction(1)]
        for q in POINTS:
            if q != left_out:
                row = [
                    a - q * b for a, b in zip([Fraction(0), *row], [*row, Fraction(0)], strict=True)
                ]
        found.append(tuple(float(x) for x in row) + (0.0,) * (SIZE - len(row)))
    return tuple(found)


RESULTS, KERNEL, PIXELS = _values(TILE), _scaled(), _others()
"""y = RESULTS^T ((KERNEL g) * (PIXELS d)): how results, kernel elements and pixels enter."""


def _dot(row: Sequence[float], xs: Sequence[Symbol]) -> Symbol | None:
    total: Symbol | None = None
    for factor, x in zip(row, xs, strict=True):
        if factor:
            term = x if factor == 1 else x * factor
            total = term if total is None else total + term
    return total


def spread(matrix: Matrix, xs: Sequence[Symbol]) -> list[Symbol]:
    """The matrix times a vector: at opposite points, even powers plus and minus odd ones."""
    found: list[Symbol | None] = [_dot(matrix[0], xs)]
    for row in (matrix[1], matrix[3]):
        halves = [[f if k % 2 == odd else 0.0 for k, f in enumerate(row)] for odd in (0, 1)]
        even, odd = (_dot(half, xs) for half in halves)
        assert even is not None
        assert odd is not None
        found += [even + odd, even - odd]
    return [x for x in (*found, _dot(matrix[5], xs)) if x is not None]


def gathered(matrix: Matrix, ys: Sequence[Symbol]) -> list[Symbol]:
    """The matrix, transposed, times a vector: opposite points are added and subtracted first."""
    sums = [ys[1] + ys[2], ys[3] + ys[4]]
    differences = [ys[1] - ys[2], ys[3] - ys[4]]
    found = []
    for k, column in enumerate(zip(*matrix, strict=True)):
        pairs = differences if k % 2 else sums
        factors = (column[0], column[1], column[3], column[5])
        x = _dot(factors, (ys[0], *pairs, ys[5]))
        assert x is not None
        found.append(x)
    return found


def fits(node: Node, windows: Windows, channels: int, filters: int) -> bool:
    """Whether a convolution is done this way: both kinds of channels are vectors."""
    lanes = lanes_of(node.dtype)
    if len(windows.tracks) != 2 or channels % lanes or filters % lanes:
        return False
    if any((t.kernel, t.stride, t.dilation) != (TAPS, 1, 1) for t in windows.tracks):
        return False
    return prod(windows.counts) * 2 > prod(_tiles(windows)) * TILE * TILE


def _tiles(windows: Windows) -> list[int]:
    return [-(-count // TILE) for count in windows.counts]


@dataclass(frozen=True, slots=True)
class Halfway:
    """Where lies what is made of the columns of a tile, until its rows are taken."""

    scratch: Buffer
    start: int
    lane: Axis

    def columns(self, column: Axis, values: Sequence[Symbol]) -> tuple[Statement, ...]:
        """Statements that keep the values of each column."""
        first = of(column) * self.lane.size + of(self.lane) + self.start
        step = SIZE * self.lane.size
        stores = [Store(self.scratch, first + i * step, value) for i, value in enumerate(values)]
        return loops([column], stores)

    def row(self, row: Axis, count: int) -> list[Symbol]:
        """What was kept, of all columns."""
        first = of(row) * (SIZE * self.lane.size) + of(self.lane) + self.start
        return [load(self.scratch, first + j * self.lane.size) for j in range(count)]


def packed(plan: Plan, node: Node, *, turned: bool) -> tuple[Buffer, Kernel]:
    """The values (36, C, M) of a kernel (M, C, 3, 3); turned, (36, M, C) of it back to front."""
    m, c, *_ = sizes(node.inputs[1])
    inner, outer = (m, c) if turned else (c, m)
    shape, size = (PLACES, inner, outer), TAPS * TAPS
    buffer = Buffer(node.name + ".kernel", node.dtype, shape, row_major(shape))
    lane = Axis(lanes_of(node.dtype), lanes=True)
    scratch = plan.scratch(size * outer + PLACES * lane.size, node.dtype)
    half = Halfway(scratch, size * outer, lane)
    i, o, tap, block = Axis(inner), Axis(outer), Axis(size), Axis(outer // lane.size)
    a, b = (i, o) if turned else (o, i)
    which = of(tap) * -1 + (size - 1) if turned else of(tap)
    source = load(plan.contiguous(node, 1), of(a) * (c * size) + of(b) * size + which)
    filter_ = of(block) * lane.size + of(lane)
    column, row = Axis(TAPS), Axis(SIZE)
    elements = [load(scratch, of(column) * outer + filter_ + k * TAPS * outer) for k in range(TAPS)]
    stores = [
        Store(buffer, flat((of(row) * SIZE + j, of(i), filter_), buffer.strides), value)
        for j, value in enumerate(spread(KERNEL, half.row(row, TAPS)))
    ]
    turn = (*half.columns(column, spread(KERNEL, elements)), *loops([row], stores))
    body = (
        *loops([tap, o], [Store(scratch, of(tap) * outer + of(o), source)]),
        *loops([block], [Loop(lane, turn)]),
    )
    return buffer, make_kernel([node], loops([i], body), i)


class Tiles:
    """A thread's tiles: some images at a time in a frame, then some rows of tiles at a time.

    Args:
        plan: Lends the memory.
        node: The convolution.
        windows: Over images.
        channels: Of the images, and of the results.
        wanted: How many tiles make a good block.
    """

    def __init__(
        self, plan: Plan, node: Node, windows: Windows, channels: tuple[int, int], wanted: int
    ) -> None:
        self.plan, self.node, self.windows = plan, node, windows
        self.inner, self.outer = channels
        number = sizes(node.inputs[0])[0]
        down, self.across = _tiles(windows)
        whole = down * self.across
        fitting = [
            d for d in range(1, number + 1) if number % d == 0 and d * plan.threads <= number
        ]
        self.images = next((d for d in fitting if d * whole >= wanted), max(fitting, default=1))
        # Where the last row of tiles is cut off, it must not be taken for one that is not.
        cut = windows.counts[0] % TILE
        rows = [d for d in range(1, down + 1) if down % d == 0 and not cut]
        self.rows = next((d for d in rows if self.images * d * self.across >= wanted), down)
        self.count = self.images * self.rows * self.across
        self.group, self.block = Axis(number // self.images), Axis(down // self.rows)
        self.lanes = lanes_of(node.dtype)
        self.lane = Axis(self.lanes, lanes=True)
        self.limit, self.vectors = most(node.dtype, self.outer)
        self.filters = Axis(self.outer // (self.vectors * self.lanes))
        # Threads share the images; all of them spread one image, and share what follows.
        self.split = self.group if self.group.size > 1 else self.filters
        height, width = down * TILE + TAPS - 1, self.across * TILE + TAPS - 1
        line = 64 // node.dtype.itemsize
        # A line more, so that the places do not fall upon the same lines of the cache.
        self.steps = (self.count * self.inner + line, self.count * self.outer + line)
        area = self.images * self.inner * height * width
        self.starts = (area, area + PLACES * self.steps[0])
        end = self.starts[1] + PLACES * self.steps[1]
        self.scratch = plan.scratch(end + PLACES * self.lanes, node.dtype)
        self.half = Halfway(self.scratch, end, self.lane)
        self.frame = Frame(self.scratch, 0, self.inner, height, width, self.images)

    def image(self, one: Index) -> Index:
        """The number of an image, from that among those in the frame."""
        return of(self.group) * self.images + one

    def place(self, side: int, tile: Index, channel: Index, place: Index) -> Index:
        """Where the value of a tile at a place lies: of images (side 0) or results (side 1)."""
        width = (self.inner, self.outer)[side]
        return tile * width + channel + place * self.steps[side] + self.starts[side]

    def filled(self) -> list[Statement]:
        """The frame."""
        source = self.node.inputs[0]
        before = [track.before for track in self.windows.tracks]

        def read(image: Index, channel: Index, y: Index, x: Index) -> Symbol:
            return self.plan.value(source, (self.image(image), channel, y, x))

        return self.frame.filled(before, sizes(source)[2:], read)

    def images_spread(self) -> list[Statement]:
        """The values of all tiles of a block."""
        one, y, x, block = (
            Axis(self.images),
            Axis(self.rows),
            Axis(self.across),
            Axis(self.inner // self.lanes),
        )
        channel = of(block) * self.lanes + of(self.lane)
        tile = flat((of(one), of(y), of(x)), (self.rows * self.across, self.across, 1))
        top = (of(self.block) * self.rows + of(y)) * TILE
        first = self.frame.element(top, of(x) * TILE, channel, of(one))
        column, row = Axis(SIZE), Axis(SIZE)
        places = [
            first + of(column) * self.inner + i * (self.frame.width * self.inner)
            for i in range(SIZE)
        ]
        values = spread(PIXELS, [load(self.scratch, place) for place in places])
        stores = [
            Store(self.scratch, self.place(0, tile, channel, of(row) * SIZE + j), value)
            for j, value in enumerate(spread(PIXELS, self.half.row(row, SIZE)))
        ]
        body = (*self.half.columns(column, values), *loops([row], stores))
        return [*loops([one, y, x, block], [Loop(self.lane, body)])]

    def products(self, kernel: Buffer) -> list[Statement]:
        """At each place the tiles of the images times the kernel's matrix (C, M)."""
        m, lanes, dtype = self.outer, self.lanes, kernel.dtype
        limit, vectors, block = self.limit, self.vectors, self.filters
        channel, place = Axis(self.inner), Axis(PLACES)
        filter_ = of(block) * (vectors * lanes) + of(self.lane)
        weight = of(place) * (self.inner * m) + of(channel) * m + filter_
        ws = [load(kernel, weight + v * lanes) for v in range(vectors)]
        body: list[Statement] = []
        for first, turns, size in blocks(self.count, limit):
            totals = [[Local(dtype, lanes) for _ in range(vectors)] for _ in range(size)]
            zeros: list[Statement] = []
            inner: list[Statement] = []
            stores: list[Statement] = []
            for number, found in enumerate(totals):
                tile = of(turns) * size + (first + number)
                x = load(self.scratch, self.place(0, tile, of(channel), of(place)))
                for v, (total, w) in enumerate(zip(found, ws, strict=True)):
                    zeros.append(Set(total, constant(0, dtype)))
                    inner.append(Set(total, local(total) + x * w))
                    at = self.place(1, tile, filter_ + v * lanes, of(place))
                    stores.append(Store(self.scratch, at, local(total)))
            turn = Loop(self.lane, (*zeros, *loops([channel], inner), *stores))
            body += loops([place, block, turns], [turn])
        return body

    def sums(self, part: Buffer, start: Index) -> list[Statement]:
        """At each place the tiles of images, transposed, times those of results, added up."""
        m, lanes, dtype = self.outer, self.lanes, part.dtype
        limit, vectors, block = self.limit, self.vectors, self.filters
        place, tile = Axis(PLACES), Axis(self.count)
        filter_ = of(block) * (vectors * lanes) + of(self.lane)
        gs = [
            load(self.scratch, self.place(1, of(tile), filter_ + v * lanes, of(place)))
            for v in range(vectors)
        ]
        body: list[Statement] = []
        for first, turns, size in blocks(self.inner, limit):
            totals = [[Local(dtype, lanes) for _ in range(vectors)] for _ in range(size)]
            sets: list[Statement] = []
            inner: list[Statement] = []
            stores: list[Statement] = []
            for number, found in enumerate(totals):
                channel = of(turns) * size + (first + number)
                x = load(self.scratch, self.place(0, of(tile), channel, of(place)))
                for v, (total, g) in enumerate(zip(found, gs, strict=True)):
                    at = start + of(place) * (self.inner * m) + channel * m + filter_ + v * lanes
                    sets.append(Set(total, load(part, at)))
                    inner.append(Set(total, local(total) + x * g))
                    stores.append(Store(part, at, local(total)))
            turn = Loop(self.lane, (*sets, *loops([tile], inner), *stores))
            body += loops([place, block, turns], [turn])
        return body

    def results_gathered(self, out: Buffer) -> list[Statement]:
        """The results of all tiles of a block, into a buffer."""
        body: list[Statement] = []
        for tile, filter_, first, axes, (height, width) in self._edges(out):
            column, row = Axis(SIZE), Axis(height)
            places = [self.place(1, tile, filter_, of(column) + i * SIZE) for i in range(SIZE)]
            values = gathered(RESULTS, [load(self.scratch, place) for place in places])
            results = gathered(RESULTS, self.half.row(row, SIZE))[:width]
            stores = [
                Store(out, first + of(row) * out.strides[2] + j * out.strides[3], result)
                for j, result in enumerate(results)
            ]
            inner = (*self.half.columns(column, values[:height]), *loops([row], stores))
            body += loops(axes, [Loop(self.lane, inner)])
        return body

    def results_spread(self, given: Buffer) -> list[Statement]:
        """The values that results in a buffer have at all tiles of a block."""
        nothing = constant(0, given.dtype)
        body: list[Statement] = []
        for tile, filter_, first, axes, (height, width) in self._edges(given):
            column, row = Axis(width), Axis(SIZE)
            start = first + of(column) * given.strides[3]
            results = [load(given, start + i * given.strides[2]) for i in range(height)]
            values = spread(RESULTS, results + [nothing] * (TILE - height))
            across = self.half.row(row, width) + [nothing] * (TILE - width)
            stores = [
                Store(self.scratch, self.place(1, tile, filter_, of(row) * SIZE + j), value)
                for j, value in enumerate(spread(RESULTS, across))
            ]
            inner = (*self.half.columns(column, values), *loops([row], stores))
            body += loops(axes, [Loop(self.lane, inner)])
        return body

    def _edges(
        self, buffer: Buffer
    ) -> Iterator[tuple[Index, Index, Index, list[Axis], tuple[int, int]]]:
        """Tiles with as many results.

        Yields:
            Which tile, which channels, where the first result lies, the axes around, and how many
            rows and columns of results there are.
        """
        rest = [count % TILE for count in self.windows.counts]
        tall = [(self.rows - bool(rest[0]), TILE, 0), (1, rest[0], self.rows - 1)]
        wide = [(self.across - bool(rest[1]), TILE, 0), (1, rest[1], self.across - 1)]
        for (rows, height, top), (columns, width, left) in product(tall, wide):
            if not (rows and columns and height and width):
                continue
            one, y, x = Axis(self.images), Axis(rows), Axis(columns)
            vector = Axis(self.vectors)
            filter_ = (of(self.filters) * self.vectors + of(vector)) * self.lanes + of(self.lane)
            row, column = of(y) + top, of(x) + left
            tile = flat((of(one), row, column), (self.rows * self.across, self.across, 1))
            above = (of(self.block) * self.rows + row) * TILE
            pixel = (self.image(of(one)), filter_, above, column * TILE)
            axes = [one, y, x, self.filters, vector]
            yield tile, filter_, flat(pixel, buffer.strides), axes, (height, width)

    def kernel(self, *, before: Sequence[Statement] = (), each: Sequence[Statement]) -> Kernel:
        """A kernel: statements for each block of tiles, after some for all."""
        body = loops([self.group], [*self.filled(), *loops([self.block], each)])
        return make_kernel([self.node], [*before, *body], self.split)


def convolved(plan: Plan, node: Node, kernel: Buffer, windows: Windows) -> Kernel:
    """Images convolved with the values of a kernel (36, C, M)."""
    tiles = Tiles(plan, node, windows, (sizes(node.inputs[0])[1], sizes(node)[1]), 16)
    results = tiles.results_gathered(plan.buffer(node))
    return tiles.kernel(each=[*tiles.images_spread(), *tiles.products(kernel), *results])


def slope(plan: Plan, node: Node, windows: Windows) -> list[Kernel]:
    """The slope of a kernel: the same matrices, turned around.

    KERNEL^T (the sum over tiles of (PIXELS d) * (RESULTS g)) gives it; the sum is a product of
    matrices for each place, and each thread keeps that of its images.
    """
    m, c, *_ = sizes(node)
    tiles = Tiles(plan, node, windows, (c, m), 32)
    given = tiles.results_spread(plan.buffer(node.inputs[1]))
    every = Axis(PLACES * c * m)
    part, own = plan.shares(node.name + ".share", every.size, node.dtype, tiles.split)
    zero = loops([every], [Store(part, own + of(every), constant(0, node.dtype))])
    each = [*tiles.images_spread(), *given, *tiles.sums(part, own)]
    return [tiles.kernel(before=zero, each=each), _joined(plan, node, part, c, m)]


def _joined(plan: Plan, node: Node, part: Buffer, c: int, m: int) -> Kernel:
    """The slope, from the shares of all threads."""
    size, lane = TAPS * TAPS, Axis(lanes_of(node.dtype), lanes=True)
    scratch = plan.scratch(size * m + PLACES * lane.size, node.dtype)
    half = Halfway(scratch, size * m, lane)
    i, o, tap, block = Axis(c), Axis(m), Axis(size), Axis(m // lane.size)
    filter_ = of(block) * lane.size + of(lane)
    column, row = Axis(SIZE), Axis(TAPS)
    totals = []
    for k in range(SIZE):
        at = flat((of(column) + k * SIZE, of(i), filter_), (c * m, m, 1))
        totals.append(plan.joined(part, at))
    stores = [
        Store(scratch, (of(row) * TAPS + j) * m + filter_, element)
        for j, element in enumerate(gathered(KERNEL, half.row(row, SIZE)))
    ]
    turn = (*half.columns(column, gathered(KERNEL, totals)), *loops([row], stores))
    target = of(o) * (c * size) + of(i) * size + of(tap)
    element = load(scratch, of(tap) * m + of(o))
    body = (
        *loops([block], [Loop(lane, turn)]),
        *loops([o, tap], [Store(plan.buffer(node), target, element)]),
    )
    return make_kernel([node], loops([i], body), i)
