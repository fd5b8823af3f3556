"""Convolutions with their results in registers: a few pixels by a vector or two of channels.

Images lie pixel by pixel, in frames with zeros around them, so that no window has to look where it
ends. A turn of the loops multiplies a vector of kernel elements, one for each output channel, with
one number for each of several pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING

from matrixslow.compiler.indices import ZERO, Axis, Index, flat, of
from matrixslow.compiler.llvm import lanes_of, many_registers
from matrixslow.compiler.loops import (
    Kernel,
    Loop,
    Set,
    Statement,
    Store,
    loops,
    make_kernel,
)
from matrixslow.compiler.lowering.table import sizes
from matrixslow.compiler.symbols import Buffer, DType, Local, Symbol, constant, load, local
from matrixslow.core.node import Node
from matrixslow.ops.windows import Track, Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


@dataclass(frozen=True, slots=True)
class Frame:
    """Images pixel by pixel in a thread's memory, with room for zeros around them.

    Attributes:
        start: Of the first image.
        channels, height, width: Of each.
        images: How many.
    """

    scratch: Buffer
    start: int
    channels: int
    height: int
    width: int
    images: int = 1

    @property
    def end(self) -> int:
        """Behind the last image."""
        return self.start + self.images * self.height * self.width * self.channels

    def element(self, y: Index, x: Index, channel: Index, image: Index | None = None) -> Index:
        """Where an element lies."""
        place = (y * self.width + x) * self.channels + channel + self.start
        return (
            place if image is None else place + image * (self.height * self.width * self.channels)
        )

    def filled(
        self, before: Sequence[int], shape: Sequence[int], read: Callable[..., Symbol]
    ) -> list[Statement]:
        """Statements that put images in, and zeros where they end.

        Args:
            before: How many zeros come before each axis.
            shape: The size of an image.
            read: Its element, from image, channel, row and column.
        """
        top, left = before
        zero = constant(0, self.scratch.dtype)
        rows, columns = min(shape[0], self.height - top), min(shape[1], self.width - left)
        if rows <= 0 or columns <= 0:  # no window reaches the image
            every = Axis(self.end - self.start)
            return [*loops([every], [Store(self.scratch, of(every) + self.start, zero)])]
        image, channel = Axis(self.images), Axis(self.channels)
        y, x = Axis(rows), Axis(columns)
        first = self.element(Index(top, {}), Index(left, {}), ZERO, of(image))
        line, kept = self.width * self.channels, columns * self.channels
        end = (rows - 1) * line + kept
        ahead = Axis((top * self.width + left) * self.channels)
        between, gap = Axis(rows - 1), Axis(line - kept)
        behind = Axis(self.height * line - ahead.size - end)
        body: list[Statement] = []
        # Zeros lie before the first row, between two rows, and behind the last.
        for axes, place in (
            ([ahead], of(ahead) + -ahead.size),
            ([between, gap], of(between) * line + of(gap) + kept),
            ([behind], of(behind) + end),
        ):
            if all(axis.size for axis in axes):
                body += loops([image, *axes], [Store(self.scratch, first + place, zero)])
        place = first + of(y) * line + of(x) * self.channels + of(channel)
        value = read(of(image), of(channel), of(y), of(x))
        return [*body, *loops([image, y, x, channel], [Store(self.scratch, place, value)])]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Results along one axis that see the same elements of the kernel.

    Result first + step * i, for i < count, is the sum over j < taps of the kernel's element tap +
    tap_step * j times the source at offset + stride * i + offset_step * j.
    """

    first: int
    step: int
    count: int
    stride: int
    taps: int
    tap: int
    tap_step: int
    offset: int
    offset_step: int

    def reach(self) -> tuple[int, int]:
        """The least and the largest place in the source."""
        ends = (self.offset, self.offset + (self.taps - 1) * self.offset_step)
        return min(ends), max(ends) + (self.count - 1) * self.stride


def forward(track: Track) -> list[Sweep]:
    """A convolution's windows."""
    taps, before = track.kernel, -track.before
    return [Sweep(0, 1, track.count, track.stride, taps, 0, 1, before, track.dilation)]


def backward(track: Track) -> list[Sweep]:
    """The slope of its images: pixels between windows see different elements of the kernel."""
    found = []
    stride, step = track.stride, track.stride // gcd(track.stride, track.dilation)
    for first in range(min(stride, track.size)):
        count = (track.size - first - 1) // stride + 1
        at = first + track.before
        taps = [k for k in range(track.kernel) if (at - k * track.dilation) % stride == 0]
        offset = (at - taps[0] * track.dilation) // stride if taps else 0
        back = -step * track.dilation // stride
        tap = taps[0] if taps else 0
        found.append(Sweep(first, stride, count, 1, len(taps), tap, step, offset, back))
    return found


def is_direct(plan: Plan, node: Node) -> bool:
    """Whether the images that a convolution gives are made this way: where they lie by pixels."""
    return node.ndim == 4 and node.attributes["group"] == 1 and plan.buffer(node).strides[1] == 1


def is_direct_slope(node: Node, filters: int) -> bool:
    """Whether the slope of a kernel is computed this way."""
    return node.ndim == 4 and node.attributes["group"] == 1 and filters % lanes_of(node.dtype) == 0


def most(dtype: DType, filters: int) -> tuple[int, int]:
    """How many pixels or input channels, and how many vectors of output channels, to take."""
    registers = 32 if many_registers() else 16
    lanes = lanes_of(dtype)
    vectors = 2 if filters % (2 * lanes) == 0 else 1
    return (registers - 4) // vectors, vectors


def blocks(count: int, limit: int) -> Iterator[tuple[int, Axis, int]]:
    """A count in blocks of nearly equal size: (first, axis over blocks, size of each)."""
    number = -(-count // limit)
    size = -(-count // number)
    yield 0, Axis(count // size), size
    if count % size:
        yield count - count % size, Axis(1), count % size


def packed(plan: Plan, node: Node, *, turned: bool) -> tuple[Buffer, Kernel]:
    """A kernel (M, C, height, width) as (height, width, C, M), or as (height, width, M, C)."""
    m, c, *window = sizes(node.inputs[1])
    size = prod(window)
    inner, outer = (m, c) if turned else (c, m)
    buffer = Buffer(
        node.name + ".kernel", node.dtype, (size, inner, outer), (inner * outer, outer, 1)
    )
    tap, i, o = Axis(size), Axis(inner), Axis(outer)
    a, b = (i, o) if turned else (o, i)
    strides = (c * size, size, 1)
    value = load(plan.contiguous(node, 1), flat((of(a), of(b), of(tap)), strides))
    store = Store(buffer, flat((of(tap), of(i), of(o)), buffer.strides), value)
    return buffer, make_kernel([node], loops([i, tap, o], [store]), i)


def convolved(plan: Plan, node: Node, kernel: Buffer, windows: Windows, *, turned: bool) -> Kernel:
    """Images convolved with a packed kernel; turned, the slope of images."""
    source, out = node.inputs[0], plan.buffer(node)
    (_, m, *_), (n, c, *shape) = sizes(node), sizes(source)
    ways = [(backward if turned else forward)(track) for track in windows.tracks]
    ends = [[sweep.reach() for sweep in way if sweep.taps] for way in ways]
    before = [max(0, -min(low for low, _ in each)) for each in ends]
    height, width = (
        max(high for _, high in each) + b + 1 for each, b in zip(ends, before, strict=True)
    )
    height, width = max(height, before[0] + 1), max(width, before[1] + 1)
    image = Axis(n)
    frame = Frame(plan.scratch(c * height * width, node.dtype), 0, c, height, width)
    body: list[Statement] = frame.filled(
        before, shape, lambda i, channel, y, x: plan.value(source, (of(image), channel, y, x))
    )
    limit, vectors = most(node.dtype, m)
    lanes = lanes_of(node.dtype)
    lane, block, channel = Axis(lanes, lanes=True), Axis(m // (vectors * lanes)), Axis(c)
    _, columns = (track.kernel for track in windows.tracks)
    for tall in ways[0]:
        for wide in ways[1]:
            for first, turns, pixels in blocks(wide.count, limit):
                y, x = Axis(tall.count), of(turns) * pixels + first
                ky, kx = Axis(tall.taps), Axis(wide.taps)
                totals = [[Local(node.dtype, lanes) for _ in range(vectors)] for _ in range(pixels)]
                tap = (
                    (of(ky) * tall.tap_step + tall.tap) * columns
                    + of(kx) * wide.tap_step
                    + wide.tap
                )
                weight = tap * (c * m) + of(channel) * m + of(block) * (vectors * lanes) + of(lane)
                ws = [load(kernel, weight + v * lanes) for v in range(vectors)]
                row = of(y) * tall.stride + of(ky) * tall.offset_step + (tall.offset + before[0])
                inner: list[Statement] = []
                for number, found in enumerate(totals):
                    column = (x + number) * wide.stride + of(kx) * wide.offset_step
                    place = frame.element(row, column + (wide.offset + before[1]), of(channel))
                    pixel = load(frame.scratch, place)
                    inner += [Set(t, local(t) + pixel * w) for t, w in zip(found, ws, strict=True)]
                stores = []
                for number, found in enumerate(totals):
                    for v, total in enumerate(found):
                        at = (x + number) * wide.step + wide.first
                        to = (of(image), of(block) * (vectors * lanes) + of(lane) + v * lanes)
                        place = flat((*to, of(y) * tall.step + tall.first, at), out.strides)
                        stores.append(Store(out, place, local(total)))
                zeros = [Set(t, constant(0, node.dtype)) for found in totals for t in found]
                sums = loops([ky, kx, channel], inner) if tall.taps and wide.taps else ()
                body += loops([block, y, turns], [Loop(lane, (*zeros, *sums, *stores))])
    return make_kernel([node], [Loop(image, tuple(body))] if n > 1 else body, image)


def slope(plan: Plan, node: Node, windows: Windows) -> list[Kernel]:
    """The slope of a kernel: each thread adds up what its images give."""
    images, upstream, like = node.inputs
    m, c, *window = sizes(like)
    n, _, *shape = sizes(images)
    size = m * c * prod(window)
    image = Axis(n)
    tall, wide = windows.tracks
    before = [track.before for track in windows.tracks]
    height, width = (
        (track.count - 1) * track.stride + (track.kernel - 1) * track.dilation + 1
        for track in windows.tracks
    )
    area = c * height * width
    scratch = plan.scratch(area + m * tall.count * wide.count, node.dtype)
    frame = Frame(scratch, 0, c, height, width)
    body = frame.filled(
        before, shape, lambda i, channel, y, x: plan.value(images, (of(image), channel, y, x))
    )
    given = Frame(scratch, area, m, tall.count, wide.count)
    body += given.filled(
        (0, 0),
        windows.counts,
        lambda i, channel, y, x: plan.value(upstream, (of(image), channel, y, x)),
    )
    part, own = plan.shares(node.name + ".share", size, node.dtype, image)
    limit, vectors = most(node.dtype, m)
    lanes = lanes_of(node.dtype)
    lane, block = Axis(lanes, lanes=True), Axis(m // (vectors * lanes))
    ky, kx = Axis(tall.kernel), Axis(wide.kernel)
    y, x = Axis(tall.count), Axis(wide.count)
    whole = prod(window) * c <= limit
    # Of a small kernel all elements are taken at once, of others some channels of one element.
    taken = prod(window) * c if whole else max(d for d in range(1, limit + 1) if c % d == 0)
    some = Axis(1 if whole else c // taken)
    totals = [[Local(node.dtype, lanes) for _ in range(vectors)] for _ in range(taken)]
    first: list[Statement] = []
    inner: list[Statement] = []
    last: list[Statement] = []
    to = of(block) * (vectors * lanes) + of(lane)
    gs = [load(scratch, given.element(of(y), of(x), to + v * lanes)) for v in range(vectors)]
    for number, found in enumerate(totals):
        if whole:
            tap, channel = divmod(number, c)
            row, column = (Index(k, {}) for k in divmod(tap, wide.kernel))
            which = Index(number, {})
            at = Index(channel, {})
        else:
            row, column, at = of(ky), of(kx), of(some) * taken + number
            which = (row * wide.kernel + column) * c + at
        place = frame.element(
            of(y) * tall.stride + row * tall.dilation,
            of(x) * wide.stride + column * wide.dilation,
            at,
        )
        pixel = load(scratch, place)
        for v, total in enumerate(found):
            target = own + which * m + to + v * lanes
            first.append(Set(total, load(part, target)))
            inner.append(Set(total, local(total) + pixel * gs[v]))
            last.append(Store(part, target, local(total)))
    around = [block] if whole else [block, ky, kx, some]
    body += loops(around, [Loop(lane, (*first, *loops([y, x], inner), *last))])
    every = Axis(size)
    zero = loops([every], [Store(part, own + of(every), constant(0, node.dtype))])
    sums = make_kernel([node], [*zero, *([Loop(image, tuple(body))] if n > 1 else body)], image)
    return [sums, joined(plan, node, part, (prod(window), c, m))]


def joined(plan: Plan, node: Node, part: Buffer, shape: tuple[int, int, int]) -> Kernel:
    """The slope from the shares (taps, C, M) of all threads."""
    k, c, m = shape
    tap, i, o = Axis(k), Axis(c), Axis(m)
    place = flat((of(tap), of(i), of(o)), (c * m, m, 1))
    store = Store(
        plan.buffer(node), flat((of(o), of(i), of(tap)), (c * k, k, 1)), plan.joined(part, place)
    )
    return make_kernel([node], loops([i, tap, o], [store]), i if c > 1 else None)
