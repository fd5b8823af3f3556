"""Convolutions of few channels, with the results in registers.

Of a copy of the image with its padding, a turn of the loops takes a stretch of windows and computes
eight output channels.

In the padded image, windows that follow each other along all rows lie beside each other, so that
rows need no ends: what is computed across them is left out when the result is copied.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from matrixslow.compiler.indices import Axis, flat, number, of
from matrixslow.compiler.llvm import vector_bytes
from matrixslow.compiler.loops import (
    THREAD,
    Kernel,
    Loop,
    Set,
    Statement,
    Store,
    loops,
    make_kernel,
)
from matrixslow.compiler.lowering.patches import outside, taps
from matrixslow.compiler.lowering.table import sizes
from matrixslow.compiler.symbols import Buffer, Local, constant, load, local
from matrixslow.core.node import Node
from matrixslow.ops.windows import Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

ROWS, VECTORS = 8, 2
"""Output channels, and vectors of windows, that one turn of the loops keeps in registers."""

SLOPES = 25
"""How many sums of a kernel's slope stay in registers."""

MOST_SLOPES = 9_216
"""The slopes of larger kernels are left to the matrix product: their sums would fill the cache."""

MOST = 64
"""Kernels of more channels are left to the matrix product."""


def is_direct(windows: Windows, groups: int, shape: tuple[int, ...]) -> bool:
    """Whether a convolution with a kernel of that shape is done this way."""
    if len(windows.tracks) != 2 or groups > 1 or shape[0] % ROWS or shape[1] > MOST:
        return False
    if vector_bytes() < 64 or prod(shape[2:]) == 1:
        return False
    return all(track.stride == 1 for track in windows.tracks) and windows.counts[1] >= 8


def direct(
    plan: Plan,
    node: Node,
    place: int,
    kernel: Buffer,
    windows: Windows,
    shape: tuple[int, ...],
) -> Kernel:
    """One input of a node, convolved with a kernel (M, C, height, width) in a buffer."""
    m, c, k = shape[0], shape[1], prod(shape[2:])
    lanes = vector_bytes() // node.dtype.itemsize
    tall, wide = windows.tracks
    reach = [(track.kernel - 1) * track.dilation for track in windows.tracks]
    height, width = tall.count + reach[0], wide.count + reach[1]
    plane, chunk = height * width, lanes * VECTORS
    blocks = -(-((tall.count - 1) * width + wide.count) // chunk)
    last = blocks * chunk + reach[0] * width + reach[1]
    padded = c * plane + max(0, last - plane)
    scratch = plan.scratch(padded + m * blocks * chunk, node.dtype)
    image = Axis(sizes(node)[0])

    channel = Axis(c)
    ranges = [
        (track.before, min(track.before + track.size, extent))
        for track, extent in zip(windows.tracks, (height, width), strict=True)
    ]
    inside = [Axis(end - start) for start, end in ranges]
    where = [of(axis) + start for axis, (start, _) in zip(inside, ranges, strict=True)]
    pixel = (of(image), of(channel), *(of(axis) for axis in inside))
    target = of(channel) * plane + flat(where, (width, 1))
    x = plan.value(node.inputs[place], pixel)
    body: list[Statement] = [*loops([channel, *inside], [Store(scratch, target, x)])]
    for box in outside(ranges, (height, width)):
        border = [Axis(end - start) for start, end in box]
        where = [of(axis) + start for axis, (start, _) in zip(border, box, strict=True)]
        target = of(channel) * plane + flat(where, (width, 1))
        body += loops([channel, *border], [Store(scratch, target, constant(0, node.dtype))])

    row, block, lane, one = Axis(m // ROWS), Axis(blocks), Axis(lanes, lanes=True), Axis(c)
    totals = [[Local(node.dtype, lanes) for _ in range(VECTORS)] for _ in range(ROWS)]
    start = of(block) * chunk + of(lane)
    zero = constant(0, node.dtype)
    inner: list[Statement] = []
    for position, tap in enumerate(taps(windows)):
        offset = tap[0] * tall.dilation * width + tap[1] * wide.dilation
        xs = [load(scratch, of(one) * plane + start + (offset + v * lanes)) for v in range(VECTORS)]
        for r, found in enumerate(totals):
            w = load(kernel, of(row) * (ROWS * c * k) + of(one) * k + (r * c * k + position))
            inner += [Set(total, local(total) + w * x) for total, x in zip(found, xs, strict=True)]
    turn = [
        *(Set(total, zero) for found in totals for total in found),
        *loops([one], inner),
        *(
            Store(
                scratch,
                of(row) * (ROWS * blocks * chunk)
                + start
                + (padded + r * blocks * chunk + v * lanes),
                local(total),
            )
            for r, found in enumerate(totals)
            for v, total in enumerate(found)
        ),
    ]
    body += loops([row, block], [Loop(lane, tuple(turn))])

    every, y, z = Axis(m), Axis(tall.count), Axis(wide.count)
    result = load(scratch, of(every) * (blocks * chunk) + of(y) * width + of(z) + padded)
    out = plan.buffer(node)
    to = flat((of(image), of(every), of(y), of(z)), out.strides)
    body += loops([every, y, z], [Store(out, to, result)])
    return make_kernel([node], [Loop(image, tuple(body))], image)


def is_direct_slope(windows: Windows, groups: int, shape: tuple[int, ...]) -> bool:
    """Whether the slope of such a kernel is computed this way."""
    small = prod(shape) <= MOST_SLOPES and prod(shape[2:]) <= SLOPES
    return small and is_direct(windows, groups, shape)


def direct_slope(plan: Plan, node: Node, windows: Windows, shape: tuple[int, ...]) -> list[Kernel]:
    """The slope of a kernel (M, C, height, width): images times upstream gradients, tap by tap.

    Both lie in rows of the padded width, the gradients with zeros behind each row. Every lane keeps
    a sum of its own, until all images are done.
    """
    m, c, k = shape[0], shape[1], prod(shape[2:])
    lanes = vector_bytes() // node.dtype.itemsize
    tall, wide = windows.tracks
    reach = [(track.kernel - 1) * track.dilation for track in windows.tracks]
    height, width = tall.count + reach[0], wide.count + reach[1]
    plane = height * width
    blocks = -(-((tall.count - 1) * width + wide.count) // lanes)
    stretch = blocks * lanes
    padded = c * plane + max(0, stretch + reach[0] * width + reach[1] - plane)
    scratch = plan.scratch(padded + m * stretch, node.dtype)
    part = plan.shares(node.name + ".share", m * c * k * lanes, node.dtype)
    own = of(THREAD) * (m * c * k * lanes)
    zero = constant(0, node.dtype)
    image = Axis(sizes(node.inputs[0])[0])
    body: list[Statement] = []
    for buffer, start in ((scratch, number(0)), (part, own)):
        every = Axis(padded + m * stretch if buffer is scratch else m * c * k * lanes)
        body += loops([every], [Store(buffer, start + of(every), zero)])

    extents = zip(windows.tracks, (height, width), strict=True)
    row, column = (Axis(min(track.size, extent - track.before)) for track, extent in extents)
    channel = Axis(c)
    x = plan.value(node.inputs[0], (of(image), of(channel), of(row), of(column)))
    place = of(channel) * plane + (of(row) + tall.before) * width + of(column) + wide.before
    turn: list[Statement] = [*loops([channel, row, column], [Store(scratch, place, x)])]
    out, row, column = Axis(m), Axis(tall.count), Axis(wide.count)
    slope = plan.value(node.inputs[1], (of(image), of(out), of(row), of(column)))
    place = of(out) * stretch + of(row) * width + of(column) + padded
    turn += loops([out, row, column], [Store(scratch, place, slope)])

    rows = 2 if 2 * k <= SLOPES else 1
    pair, one, block, lane = Axis(m // rows), Axis(c), Axis(blocks), Axis(lanes, lanes=True)
    totals = [[Local(node.dtype, lanes) for _ in range(k)] for _ in range(rows)]
    offsets = [tap[0] * tall.dilation * width + tap[1] * wide.dilation for tap in taps(windows)]
    start = of(block) * lanes + of(lane)
    xs = [load(scratch, of(one) * plane + start + offset) for offset in offsets]
    inner: list[Statement] = []
    first: list[Statement] = []
    last: list[Statement] = []
    for r, found in enumerate(totals):
        g = load(scratch, of(pair) * (rows * stretch) + start + (r * stretch + padded))
        inner += [Set(t, local(t) + g * x) for t, x in zip(found, xs, strict=True)]
        for position, total in enumerate(found):
            sums = of(pair) * (rows * c * k) + of(one) * k + (r * c * k + position)
            target = own + sums * lanes + of(lane)
            first.append(Set(total, load(part, target)))
            last.append(Store(part, target, local(total)))
    vector = Loop(lane, (*first, *loops([block], inner), *last))
    body.append(Loop(image, (*turn, *loops([pair, one], [vector]))))

    every, thread, each = Axis(m * c * k), Axis(plan.threads), Axis(lanes)
    kept = Local(node.dtype)
    term = load(part, of(thread) * (m * c * k * lanes) + of(every) * lanes + of(each))
    joined = (
        Set(kept, zero),
        *loops([thread, each], [Set(kept, local(kept) + term)]),
        Store(plan.buffer(node), of(every), local(kept)),
    )
    return [
        make_kernel([node], body, image),
        make_kernel([node], loops([every], joined), every),
    ]
