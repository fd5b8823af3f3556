"""Operators that pick elements by position, and comparisons of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrixslow.compiler.indices import Axis, Index, flat, of
from matrixslow.compiler.loops import Kernel, Store, loops, make_kernel
from matrixslow.compiler.lowering.table import Indices, Read, Table, sizes
from matrixslow.compiler.symbols import (
    INDEX,
    Symbol,
    Unsupported,
    cast,
    constant,
    load,
    position,
    where,
)
from matrixslow.core.leaf import Constant, Input
from matrixslow.core.node import Node
from matrixslow.ops.gather import moved_from
from matrixslow.ops.rows import DistinctIds

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


def sliced(node: Any, read: Read, index: Indices) -> Symbol:
    """y[i] = x[start + i * step]."""
    shape = sizes(node.inputs[0])
    parts = [part.indices(size) for part, size in zip(node.slices(len(shape)), shape, strict=True)]
    places = zip(index, parts, strict=True)
    return read(0, tuple(i * step + start for i, (start, _, step) in places))


def part_of_joined(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = x[start + i] along the axis."""
    axis = node.attributes["axis"] % node.ndim
    before = node.inputs[1 : 1 + node.attributes["position"]]
    start = sum(sizes(x)[axis] for x in before)
    return read(0, tuple(i + start if n == axis else i for n, i in enumerate(index)))


def unpadded(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = x[before + i]."""
    if node.attributes["mode"] != "constant":
        raise Unsupported(f"no lowering for mode {node.attributes['mode']!r}")
    pads = node.attributes["pads"]
    return read(0, tuple(i + before for i, before in zip(index, pads, strict=False)))


def tiled(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = x[i modulo size]."""
    shape = sizes(node.inputs[0])
    return read(0, tuple(i.divided(size)[1] for i, size in zip(index, shape, strict=True)))


def flipped(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = x[size - 1 - i] along the axes."""
    shape = sizes(node)
    turned = {axis % node.ndim for axis in node.attributes["axes"]}
    return read(
        0, tuple(i * -1 + (shape[n] - 1) if n in turned else i for n, i in enumerate(index))
    )


def gathered(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = x[indices[i]]."""
    kind = type(node).__name__
    table, asked = node.inputs
    axis = 0 if kind == "Embedding" else node.attributes["axis"] % table.ndim
    size = sizes(table)[axis]
    _check(node, asked, size)
    own = index[axis : axis + asked.ndim]
    row = cast(read(1, own), INDEX)
    if kind != "Embedding":
        row = where(row < 0, row + size, row)
    place = Index(0, {row: 1}) if row.operation != "constant" else Index(int(row.value), {})
    return read(0, (*index[:axis], place, *index[axis + asked.ndim :]))


def _check(node: Node, asked: Node, size: int) -> None:
    """Refuse indices that may be out of range."""
    if type(node).__name__.startswith("Embedding"):
        known = is_checked(asked, size)
    else:
        known = isinstance(asked, Constant) and _within(asked, -size, size)
    if not known:
        raise Unsupported("indices that are not checked before the run")


def is_checked(asked: Node, rows: int) -> bool:
    """Whether 0 <= id < rows is sure before a run.

    It is for what is fed and for constants, which are held to their limits, for the ranks of ids
    among all of them, and for distinct ids whose filling is taken for 0.
    """
    kind = type(asked).__name__
    if kind == "IdRanks":
        return asked.size == rows
    if kind == "Max":
        distinct, low = asked.inputs
        known = isinstance(distinct, DistinctIds) and distinct.rows <= rows
        return known and isinstance(low, Constant) and low.size == 1 and low.array.item() == 0
    return all(
        _within(x, 0, rows) if isinstance(x, Constant) else type(x) is Input
        for x, _ in moved_from(asked)
    )


def _within(x: Constant, low: int, high: int) -> bool:
    return not x.size or bool(x.array.min() >= low and x.array.max() < high)


def one_hot(node: Node, read: Read, index: Indices) -> Symbol:
    """1 where the position is the index, counted from either end."""
    axis = node.attributes["axis"] % node.ndim
    depth = node.attributes["depth"]
    wanted = cast(read(0, (*index[:axis], *index[axis + 1 :])), INDEX)
    place = position(index[axis])
    return cast((wanted == place) | (wanted == place - depth), node.dtype)


def triangle(node: Node, read: Read, index: Indices) -> Symbol:
    """X on one side of a diagonal, 0 on the other."""
    row, column = position(index[-2]), position(index[-1])
    edge = row + node.attributes["k"]
    inside = column >= edge if node.attributes["upper"] else column <= edge
    return where(inside, read(0, index), constant(0, node.dtype))


def causal(node: Node, read: Read, index: Indices) -> Symbol:
    """Whether a key lies no later than a query."""
    return position(index[1]) <= position(index[0])


def added_entries(plan: Plan, node: Node) -> list[Kernel]:
    """Zeros, to which every entry is added where it was taken; threads share the other axes."""
    more, asked, axis = _added(node)
    out, shape = plan.buffer(node), sizes(node)
    axes = [Axis(size) for size in shape]
    before, after = axes[:axis], axes[axis + 1 :]
    picked = [Axis(size) for size in sizes(asked)]
    row = cast(plan.value(asked, tuple(of(axis) for axis in picked)), INDEX)
    if type(node).__name__ == "GatherGradient":
        row = where(row < 0, row + shape[axis], row)
    every = [of(each) for each in axes]
    target = flat((*every[:axis], Index(0, {row: 1}), *every[axis + 1 :]), out.strides)
    value = plan.value(more, tuple(of(each) for each in (*before, *picked, *after)))
    body = (
        *loops(axes, [Store(out, flat(every, out.strides), constant(0, node.dtype))]),
        *loops([*before, *picked, *after], [Store(out, target, load(out, target) + value)]),
    )
    split = next((each for each in (*before, *after) if each.size > 1), None)
    return [make_kernel([node], body, split)]


def _added(node: Node) -> tuple[Node, Node, int]:
    """The entries that are added, where they go, and the axis along which that counts."""
    if type(node).__name__ == "EmbeddingGradient":
        _, ids, rows = node.inputs
        return rows, ids, 0
    x, indices, _ = node.inputs
    return x, indices, node.attributes["axis"] % node.ndim


def _added_in_range(node: Node) -> None:
    _, asked, axis = _added(node)
    _check(node, asked, sizes(node)[axis])
    if not node.size:
        raise Unsupported("an empty table")


TABLE = Table(
    maps={
        "Slice": sliced,
        "ConcatPart": part_of_joined,
        "PadGradient": unpadded,
        "Tile": tiled,
        "Flip": flipped,
        "Gather": gathered,
        "Embedding": gathered,
        "OneHot": one_hot,
        "Trilu": triangle,
        "CausalMask": causal,
    },
    products={"EmbeddingGradient": added_entries, "GatherGradient": added_entries},
    checks={"EmbeddingGradient": _added_in_range, "GatherGradient": _added_in_range},
)
