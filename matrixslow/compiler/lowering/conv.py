"""Convolutions: patches of one image, in a matrix that stays in the cache, times a kernel."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from matrixslow.compiler.indices import Axis, Index, flat, of, row_major
from matrixslow.compiler.loops import (
    Gemm,
    Kernel,
    Matrix,
    Statement,
    Store,
    loops,
    make_kernel,
)
from matrixslow.compiler.lowering import direct, winograd
from matrixslow.compiler.lowering.linalg import floating
from matrixslow.compiler.lowering.patches import columns, flipped, meeting, taps
from matrixslow.compiler.lowering.table import Table, sizes
from matrixslow.compiler.symbols import Buffer, Symbol, constant, load
from matrixslow.core.node import Node
from matrixslow.ops.windows import Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


def convolution(plan: Plan, node: Node) -> list[Kernel]:
    """y[n] = kernel @ patches(x[n]), image by image."""
    images, kernel = node.inputs
    windows = _windows(node, images, kernel)
    if direct.is_direct(plan, node):
        return _by_pixels(plan, node, windows, turned=False)
    return _convolved(plan, node, 0, plan.contiguous(node, 1), windows, sizes(kernel))


def _by_pixels(plan: Plan, node: Node, windows: Windows, *, turned: bool) -> list[Kernel]:
    channels, filters = sizes(node.inputs[0])[1], sizes(node)[1]
    if winograd.fits(node, windows, channels, filters):
        kernel, first = winograd.packed(plan, node, turned=turned)
        own = flipped(windows) if turned else windows
        return [first, winograd.convolved(plan, node, kernel, own)]
    kernel, first = direct.packed(plan, node, turned=turned)
    return [first, direct.convolved(plan, node, kernel, windows, turned=turned)]


def input_slope(plan: Plan, node: Node) -> list[Kernel]:
    """Where windows move by 1, the convolution with the kernel turned; else its transpose."""
    _, kernel, like = node.inputs
    windows = _windows(node, like, kernel)
    if direct.is_direct(plan, node):
        return _by_pixels(plan, node, windows, turned=True)
    if any(track.stride > 1 for track in windows.tracks):
        return _spread(plan, node, windows)
    shape = sizes(kernel)
    groups: int = node.attributes["group"]
    m, c, k = shape[0] // groups, shape[1], prod(shape[2:])
    turned = Buffer(
        node.name + ".turned", node.dtype, (groups * c, m, k), row_major((groups * c, m, k))
    )
    source = plan.contiguous(node, 1)
    g, i, j, tap = Axis(groups), Axis(c), Axis(m), Axis(k)
    target = of(g) * (c * m * k) + of(i) * (m * k) + of(j) * k + of(tap)
    origin = of(g) * (m * c * k) + of(j) * (c * k) + of(i) * k + of(tap) * -1 + (k - 1)
    copy = loops([g, i, j, tap], [Store(turned, target, load(source, origin))])
    first = make_kernel([node], copy, i if c > 1 else None)
    other = (groups * c, m, *shape[2:])
    return [first, *_convolved(plan, node, 0, turned, flipped(windows), other)]


def _convolved(
    plan: Plan, node: Node, number: int, kernel: Buffer, windows: Windows, shape: tuple[int, ...]
) -> list[Kernel]:
    """One input of a node, convolved with a kernel (M, C / groups, *sizes) in a buffer."""
    groups: int = node.attributes["group"]
    m, c, k = shape[0] // groups, shape[1], prod(shape[2:])
    p = prod(windows.counts)
    out = plan.buffer(node)
    image, group = Axis(sizes(node)[0]), Axis(groups)
    rows, inner, places = Axis(m), Axis(c * k), Axis(p)
    plain = k == 1 and all(
        track.stride == 1 and track.count == track.size and not track.before
        for track in windows.tracks
    )
    a = Matrix(kernel, of(group) * (m * c * k) + of(rows) * (c * k) + of(inner))
    body: list[Statement] = []
    if plain:
        source = plan.contiguous(node, number)
        start = of(image) * (groups * c * p) + of(group) * (c * p)
        b = Matrix(source, start + of(inner) * p + of(places))
    else:
        scratch = plan.scratch(c * k * p, node.dtype)

        def read(channel: Index, pixels: tuple[Index, ...]) -> Symbol:
            index = (of(image), of(group) * c + channel, *pixels)
            return plan.value(node.inputs[number], index)

        body += columns(windows, c, read, scratch)
        b = Matrix(scratch, of(inner) * p + of(places))
    target = of(image) * (groups * m * p) + of(group) * (m * p) + of(rows) * p + of(places)
    body.append(Gemm(rows, places, inner, a, b, Matrix(out, target)))
    return [make_kernel([node], loops([image, group], body), image)]


def _spread(plan: Plan, node: Node, windows: Windows) -> list[Kernel]:
    """x[n] = what kernel^T @ upstream[n] adds up to where windows overlap."""
    shape = sizes(node.inputs[1])
    groups: int = node.attributes["group"]
    m, c, k = shape[0] // groups, shape[1], prod(shape[2:])
    p = prod(windows.counts)
    kernel, upstream, out = plan.contiguous(node, 1), plan.contiguous(node, 0), plan.buffer(node)
    scratch = plan.scratch(c * k * p, node.dtype)
    image, group = Axis(sizes(node)[0]), Axis(groups)
    rows, inner, places = Axis(c * k), Axis(m), Axis(p)
    gemm = Gemm(
        rows,
        places,
        inner,
        Matrix(kernel, of(group) * (m * c * k) + of(inner) * (c * k) + of(rows)),
        Matrix(
            upstream,
            of(image) * (groups * m * p) + of(group) * (m * p) + of(inner) * p + of(places),
        ),
        Matrix(scratch, of(rows) * p + of(places)),
    )
    pixels_of = sizes(node)[2:]
    size = prod(pixels_of)
    start = of(image) * (groups * c * size) + of(group) * (c * size)
    every = Axis(c * size)
    body: list[Statement] = [
        gemm,
        *loops([every], [Store(out, start + of(every), constant(0, node.dtype))]),
    ]
    for number, tap in enumerate(taps(windows)):
        channel = Axis(c)
        axes, where, pixels = meeting(windows, tap)
        if not all(axis.size for axis in axes):
            continue
        index = start + of(channel) * size + flat(pixels, row_major(pixels_of))
        column = of(channel) * (k * p) + number * p + flat(where, row_major(windows.counts))
        more = load(out, index) + load(scratch, column)
        body += loops([channel, *axes], [Store(out, index, more)])
    return [make_kernel([node], loops([image, group], body), image)]


def kernel_slope(plan: Plan, node: Node) -> list[Kernel]:
    """The sum over images of patches(x[n]) @ upstream[n]^T: each thread adds up its own images.

    That is the transpose of the kernel's slope; so the longer side of the product comes first.
    """
    images, _, like = node.inputs
    windows = _windows(node, images, like)
    shape = sizes(like)
    groups: int = node.attributes["group"]
    if direct.is_direct_slope(node, shape[0]):
        if winograd.fits(node, windows, shape[1], shape[0]) and plan.is_by_pixels(node.inputs[1]):
            return winograd.slope(plan, node, windows)
        return direct.slope(plan, node, windows)
    m, c, k = shape[0] // groups, shape[1], prod(shape[2:])
    p, total = prod(windows.counts), prod(shape)
    image, group = Axis(sizes(images)[0]), Axis(groups)
    part, own = plan.shares(node.name + ".share", total, node.dtype, image)
    rows, inner, elements = Axis(m), Axis(p), Axis(c * k)
    source = plan.contiguous(node, 1)
    scratch = plan.scratch(c * k * p, node.dtype)

    def read(channel: Index, pixels: tuple[Index, ...]) -> Symbol:
        return plan.value(images, (of(image), of(group) * c + channel, *pixels))

    start = of(image) * (groups * m * p) + of(group) * (m * p)
    gemm = Gemm(
        elements,
        rows,
        inner,
        Matrix(scratch, of(elements) * p + of(inner)),
        Matrix(source, start + of(rows) * p + of(inner)),
        Matrix(part, own + of(group) * (m * c * k) + of(elements) * m + of(rows)),
        accumulate=True,
    )
    every = Axis(total)
    zero = loops([every], [Store(part, own + of(every), constant(0, node.dtype))])
    body = loops([image, group], [*columns(windows, c, read, scratch), gemm])
    first = make_kernel([node], [*zero, *body], image)
    group, rows, elements = Axis(groups), Axis(m), Axis(c * k)
    target = of(group) * (m * c * k) + of(rows) * (c * k) + of(elements)
    place = of(group) * (m * c * k) + of(elements) * m + of(rows)
    store = Store(plan.buffer(node), target, plan.joined(part, place))
    split = rows if m > 1 else group if groups > 1 else elements
    return [first, make_kernel([node], loops([group, rows, elements], [store]), split)]


def _windows(node: Any, images: Node, kernel: Node) -> Windows:
    found: Windows = node.windows(sizes(images)[2:], sizes(kernel)[2:])
    return found


PRODUCTS = {"Conv": convolution, "ConvInput": input_slope, "ConvKernel": kernel_slope}

TABLE = Table(products={**PRODUCTS}, checks=dict.fromkeys(PRODUCTS, floating))
