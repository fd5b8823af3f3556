"""Pooling over windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.compiler.indices import Axis, Index, flat, of
from matrixslow.compiler.loops import Kernel, Statement, Store, loops, make_kernel, ordered
from matrixslow.compiler.lowering.patches import is_inside, meeting, taps
from matrixslow.compiler.lowering.table import Indices, Read, Table, sizes
from matrixslow.compiler.symbols import (
    BOOL,
    DType,
    Symbol,
    Unsupported,
    apply,
    constant,
    load,
    position,
    where,
)
from matrixslow.core.node import Node
from matrixslow.ops.windows import Windows

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


def largest(node: Node, read: Read, index: Indices) -> Symbol:
    """The largest element of a window."""
    x = node.inputs[0]
    places = _pixels(_windows(node, x), index)
    elements = [_inside(place, sizes(x), node.dtype, lambda i: read(0, i)) for place in places]
    total = elements[0]
    for element in elements[1:]:
        total = apply(np.maximum, total, element)
    return total


def _inside(
    place: tuple[Index, ...],
    shape: tuple[int, ...],
    dtype: DType,
    read: Callable[[tuple[Index, ...]], Symbol],
) -> Symbol:
    """An element of an image; what lies outside is -inf."""
    condition, nearest = _nearest(place, shape)
    if condition is None:
        return read(place)
    return where(condition, read(nearest), constant(-np.inf, dtype))


def _nearest(
    place: tuple[Index, ...], shape: tuple[int, ...]
) -> tuple[Symbol | None, tuple[Index, ...]]:
    """Whether a place is inside, None where it always is, and the nearest place that is."""
    condition: Symbol | None = None
    nearest = []
    for index, size in zip(place, shape, strict=True):
        limits = index.limits()
        assert limits is not None
        if limits[0] < 0 or limits[1] >= size:
            value = position(index)
            here = (value >= 0) & (value < size)
            condition = here if condition is None else condition & here
            clipped = apply(np.minimum, apply(np.maximum, value, 0), size - 1)
            index = Index(0, {clipped: 1})
        nearest.append(index)
    return condition, tuple(nearest)


def average(node: Node, read: Read, index: Indices) -> Symbol:
    """The mean of a window that lies inside the image."""
    elements = [read(0, place) for place in _elements(node, index)]
    total = elements[0]
    for x in elements[1:]:
        total = total + x
    divisor = node.attributes["divisor_override"]
    return total / float(len(elements) if divisor is None else divisor)


def largest_slope(plan: Plan, node: Node) -> list[Kernel]:
    """Each window gives its upstream gradient to the first of its largest elements."""
    upstream, x, maximum = node.inputs
    windows = _windows(node, x)
    shape = sizes(node)
    axes = [Axis(size) for size in sizes(maximum)]
    place = tuple(of(axis) for axis in axes)
    best = plan.value(maximum, place)
    slope = plan.value(upstream, place)
    out = plan.buffer(node)
    sought: Symbol = constant(True, BOOL)
    stores = []
    apart = is_inside(windows) and all(
        t.stride >= (t.kernel - 1) * t.dilation + 1 for t in windows.tracks
    )
    for outer_pixel in _pixels(windows, place):
        condition, pixel = _nearest(outer_pixel, shape)
        found = (plan.value(x, pixel) == best) & sought
        if condition is not None:
            found = found & condition
        sought = sought & ~found
        share = where(found, slope, constant(0, node.dtype))
        target = flat(pixel, out.strides)
        if not apart:
            share = load(out, target) + share
        stores.append(Store(out, target, share))
    body: list[Statement] = []
    covered = apart and all(
        t.count * t.stride == t.size and t.stride == t.kernel for t in windows.tracks
    )
    outer = [Axis(axes[0].size), *(Axis(size) for size in sizes(node)[1:])]
    if not covered:
        outer[0] = axes[0]
        every = flat([of(axis) for axis in outer], out.strides)
        body += loops(ordered(outer, every), [Store(out, every, constant(0, node.dtype))])
    inner = ordered(axes, flat(place, out.strides))
    if apart:
        body += loops(inner, stores)
    else:
        for store in stores:
            body += loops(inner, [store])
    return [make_kernel([node], body, axes[0])]


def average_slope(plan: Plan, node: Node) -> list[Kernel]:
    """Each window gives an equal share of its upstream gradient to all of its elements."""
    upstream, like = node.inputs
    windows = _windows(node, like)
    divisor = node.attributes["divisor_override"]
    count = float(len(list(taps(windows))) if divisor is None else divisor)
    out = plan.buffer(node)
    image, channel = (Axis(size) for size in sizes(node)[:2])
    pixels = [Axis(size) for size in sizes(node)[2:]]
    every = flat([of(axis) for axis in (image, channel, *pixels)], out.strides)
    body: list[Statement] = [
        *loops(
            ordered([image, channel, *pixels], every),
            [Store(out, every, constant(0, node.dtype))],
        )
    ]
    for tap in taps(windows):
        axes, places, found = meeting(windows, tap)
        share = plan.value(upstream, (of(image), of(channel), *places)) / count
        target = flat((of(image), of(channel), *found), out.strides)
        inner = ordered([image, channel, *axes], target)
        body += loops(inner, [Store(out, target, load(out, target) + share)])
    return [make_kernel([node], body, image)]


def _elements(node: Node, index: Indices) -> list[tuple[Index, ...]]:
    windows = _windows(node, node.inputs[0])
    if not is_inside(windows):
        raise Unsupported("windows that reach beyond the image")
    return _pixels(windows, index)


def _pixels(windows: Windows, index: Indices) -> list[tuple[Index, ...]]:
    return [
        (
            *index[:2],
            *(
                place * track.stride + (one * track.dilation - track.before)
                for place, track, one in zip(index[2:], windows.tracks, tap, strict=True)
            ),
        )
        for tap in taps(windows)
    ]


def _windows(node: Any, x: Node) -> Windows:
    found: Windows = node.windows(sizes(x)[2:], node.kernel_shape, ceil=node.ceil_mode)
    return found


def _inside_only(node: Node) -> None:
    if not is_inside(_windows(node, node.inputs[1])):
        raise Unsupported("windows that reach beyond the image")


def overlaps(node: Node) -> bool:
    """Whether a pooling operator reads elements several times."""
    if type(node).__name__ not in TABLE.maps:
        return False
    tracks = _windows(node, node.inputs[0]).tracks
    return any(t.stride < (t.kernel - 1) * t.dilation + 1 for t in tracks)


TABLE = Table(
    maps={"MaxPool": largest, "AveragePool": average},
    products={"MaxPoolGradient": largest_slope, "AveragePoolGradient": average_slope},
    checks={"AveragePoolGradient": _inside_only},
)
