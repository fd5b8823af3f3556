"""Sums, maxima and their like over axes."""

from __future__ import annotations

import numpy as np

from matrixslow.compiler.indices import Axis, Index, of
from matrixslow.compiler.lowering.table import Indices, Read, Reduction, Table, sizes
from matrixslow.compiler.symbols import Symbol, apply
from matrixslow.core.node import Node
from matrixslow.core.spec import normalize_axes


def over_axes(node: Node, ufunc: str, initial: float, axes: tuple[int, ...]) -> Reduction:
    """The terms are the elements of x along the axes; the node may keep them with size 1."""
    shape = sizes(node.inputs[0])
    loops = {axis: Axis(shape[axis]) for axis in axes}
    kept = [axis for axis in range(len(shape)) if axis not in loops]

    def term(read: Read, index: Indices) -> Symbol:
        own = index if node.ndim < len(shape) else tuple(index[axis] for axis in kept)
        position: dict[int, Index] = dict(zip(kept, own, strict=True))
        return read(
            0,
            tuple(
                of(loops[axis]) if axis in loops else position[axis] for axis in range(len(shape))
            ),
        )

    return Reduction(tuple(loops.values()), ufunc, initial, term)


def _axes(node: Node) -> tuple[int, ...]:
    return normalize_axes(node.attributes["axes"], node.inputs[0].ndim)


def total(node: Node) -> Reduction:
    """The sum."""
    return over_axes(node, "add", 0.0, _axes(node))


def factors(node: Node) -> Reduction:
    """The product."""
    return over_axes(node, "multiply", 1.0, _axes(node))


def mean(node: Node) -> Reduction:
    """The sum, divided by the number of terms."""
    found = total(node)
    count = int(np.prod([axis.size for axis in found.axes], initial=1))

    def finish(x: Symbol) -> Symbol:
        return apply(np.true_divide, x, float(count))

    return Reduction(found.axes, found.ufunc, found.initial, found.term, finish)


def largest(node: Node) -> Reduction:
    """The largest element."""
    return over_axes(node, "maximum", _end(node, least=True), _axes(node))


def smallest(node: Node) -> Reduction:
    """The smallest element."""
    return over_axes(node, "minimum", _end(node, least=False), _axes(node))


def squares(node: Node) -> Reduction:
    """The sum of squares."""
    found = total(node)

    def term(read: Read, index: Indices) -> Symbol:
        x = found.term(read, index)
        return x * x

    return Reduction(found.axes, found.ufunc, found.initial, term)


def undone_broadcast(node: Node) -> Reduction:
    """The sum over the axes along which a node of this one's shape was stretched."""
    x, y = sizes(node.inputs[0]), sizes(node)
    added = len(x) - len(y)
    axes = tuple(
        axis for axis, size in enumerate(x) if axis < added or (y[axis - added] == 1 and size != 1)
    )
    kept = [axis for axis in range(added, len(x)) if axis not in axes]
    loops = {axis: Axis(x[axis]) for axis in axes}

    def term(read: Read, index: Indices) -> Symbol:
        position = {axis: index[axis - added] for axis in kept}
        return read(
            0,
            tuple(of(loops[axis]) if axis in loops else position[axis] for axis in range(len(x))),
        )

    return Reduction(tuple(loops.values()), "add", 0.0, term)


def tiles(node: Node) -> Reduction:
    """The sum over the copies that Tile has made."""
    x, y = sizes(node.inputs[0]), sizes(node)
    copies = tuple(Axis(many // one) for many, one in zip(x, y, strict=True))

    def term(read: Read, index: Indices) -> Symbol:
        return read(0, tuple(of(k) * n + i for k, n, i in zip(copies, y, index, strict=True)))

    return Reduction(copies, "add", 0.0, term)


def _end(node: Node, *, least: bool) -> float:
    if node.dtype.kind == "f":
        return -np.inf if least else np.inf
    if node.dtype.kind == "b":
        return 0.0 if least else 1.0
    limits = np.iinfo(node.dtype)
    return limits.min if least else limits.max


TABLE = Table(
    reductions={
        "ReduceSum": total,
        "ReduceMean": mean,
        "ReduceProd": factors,
        "ReduceMax": largest,
        "ReduceMin": smallest,
        "ReduceSumSquare": squares,
        "SumLike": undone_broadcast,
        "TileGradient": tiles,
    }
)
