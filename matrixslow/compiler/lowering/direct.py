"""Convolutions of few channels, with the results in registers.

Of a copy of the image with its padding, a turn of the loops takes a stretch of windows and computes
eight output channels.

In the padded image, windows that follow each other along all rows lie beside each other, so that
rows need no ends: what is computed across them is left out when the result is copied.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from matrixslow.compiler.indices import Axis, flat, of
from matrixslow.compiler.llvm import vector_bytes
from matrixslow.compiler.loops import Kernel, Loop, Set, Statement, Store, loops, make_kernel
from matrixslow.compiler.lowering.patches import outside, taps
from matrixslow.compiler.lowering.table import sizes
from matrixslow.compiler.symbols import Buffer, Local, constant, load, local
from matrixslow.core.node import Node
from matrixslow.ops.windows import Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

ROWS, VECTORS = 8, 2
"""Output channels, and vectors of windows, that one turn of the loops keeps in registers."""

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
    number: int,
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
    x = plan.value(node.inputs[number], pixel)
    body: list[Statement] = [*loops([channel, *inside], [Store(scratch, target, x)])]
    for box in outside(ranges, (height, width)):
        border = [Axis(end - start) for start, end in box]
        where = [of(axis) + start for axis, (start, _) in zip(border, box, strict=True)]
        place = of(channel) * plane + flat(where, (width, 1))
        body += loops([channel, *border], [Store(scratch, place, constant(0, node.dtype))])

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
