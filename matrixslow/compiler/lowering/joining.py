"""Operators that lay arrays beside each other or into a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from matrixslow.compiler.indices import Axis, Index, flat, of
from matrixslow.compiler.loops import Kernel, Statement, Store, loops, make_kernel
from matrixslow.compiler.lowering.table import Table, sizes
from matrixslow.compiler.symbols import Unsupported, constant
from matrixslow.core.node import Node

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

WIDE = 2**16
"""So many elements are filled by all threads."""


def joined(plan: Plan, node: Node) -> list[Kernel]:
    """Each input is copied to its stretch of the result."""
    axis = node.attributes["axis"] % node.ndim
    starts, start = [], 0
    for x in node.inputs:
        starts.append([start if place == axis else 0 for place in range(node.ndim)])
        start += sizes(x)[axis]
    return _laid(plan, node, list(range(len(node.inputs))), starts, fill=None, shared=axis)


def padded(plan: Plan, node: Node) -> list[Kernel]:
    """A constant everywhere, then the input in the middle."""
    before = node.attributes["pads"][: node.ndim]
    return _laid(plan, node, [0], [before], fill=node.attributes["constant_value"])


def put_back(plan: Plan, node: Any) -> list[Kernel]:
    """Zeros everywhere, then the input where a slice takes it from."""
    parts = [
        part.indices(size) for part, size in zip(node.slices(node.ndim), sizes(node), strict=True)
    ]
    starts, steps = [start for start, _, _ in parts], [step for _, _, step in parts]
    return _laid(plan, node, [0], [starts], fill=0.0, steps=steps)


def _laid(
    plan: Plan,
    node: Node,
    numbers: Sequence[int],
    starts: Sequence[Sequence[int]],
    *,
    fill: float | None,
    steps: Sequence[int] | None = None,
    shared: int | None = None,
) -> list[Kernel]:
    """Inputs at positions of the result, row by row where axis 0 is the same for all of them."""
    out = plan.buffer(node)
    shape = sizes(node)
    rows = Axis(shape[0]) if shape else Axis(1)
    filled: list[Kernel] = []
    body: list[Statement] = []
    common = shared not in (None, 0)
    if fill is not None:
        axes = [Axis(size) for size in shape]
        every = flat([of(axis) for axis in axes], out.strides)
        zeros = loops(axes, [Store(out, every, constant(fill, node.dtype))])
        if prod(shape) < WIDE:
            body += zeros
        else:
            filled.append(make_kernel([node], zeros, _long(axes)))
    for number, start in zip(numbers, starts, strict=True):
        size = sizes(node.inputs[number])
        own = [Axis(count) for count in size]
        if common:
            own[0] = rows
        index = tuple(of(axis) for axis in own)
        place: list[Index] = [
            i * (steps[n] if steps else 1) + first
            for n, (i, first) in enumerate(zip(index, start, strict=True))
        ]
        store = Store(out, flat(place, out.strides), plan.value(node.inputs[number], index))
        body += loops(own, [store])
    split = rows if common else _long(own) if filled else None
    return [*filled, make_kernel([node], body, split)]


def _long(axes: Sequence[Axis]) -> Axis | None:
    """An axis that threads can share."""
    return next((axis for axis in axes if axis.size >= 8), None)


def _constant_only(node: Node) -> None:
    if node.attributes["mode"] != "constant":
        raise Unsupported(f"no lowering for mode {node.attributes['mode']!r}")


TABLE = Table(
    products={"Concat": joined, "Pad": padded, "SliceGradient": put_back},
    checks={"Pad": _constant_only},
)
