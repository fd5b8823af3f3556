"""Operators that move elements: reshape, transpose, slice, pad, concatenate, broadcast."""

from __future__ import annotations

from matrixslow.compiler.indices import flat, row_major, unflat
from matrixslow.compiler.lowering.elementwise import stretched
from matrixslow.compiler.lowering.table import Indices, Read, Table, sizes
from matrixslow.compiler.symbols import Symbol, constant
from matrixslow.core.node import Node


def reshaped(node: Node, read: Read, index: Indices) -> Symbol:
    """The elements in the same order."""
    position = flat(index, row_major(sizes(node)))
    return read(0, unflat(position, sizes(node.inputs[0])))


def transposed(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i, j] = x[j, i], for any order of axes."""
    perm = node.attributes["perm"]
    order = range(node.ndim)[::-1] if perm is None else [axis % node.ndim for axis in perm]
    source = dict(zip(order, index, strict=True))
    return read(0, tuple(source[axis] for axis in range(node.ndim)))


def broadcast(node: Node, read: Read, index: Indices) -> Symbol:
    """X stretched."""
    return read(0, stretched(index, sizes(node.inputs[0])))


def same(node: Node, read: Read, index: Indices) -> Symbol:
    """X itself."""
    return read(0, index)


def ones(node: Node, read: Read, index: Indices) -> Symbol:
    """1 everywhere."""
    return constant(1, node.dtype)


def zeros(node: Node, read: Read, index: Indices) -> Symbol:
    """0 everywhere."""
    return constant(0, node.dtype)


TABLE = Table(
    maps={
        **dict.fromkeys(("Reshape", "ReshapeLike", "Flatten", "Squeeze", "Unsqueeze"), reshaped),
        **dict.fromkeys(("Expand", "BroadcastLike"), broadcast),
        "Transpose": transposed,
        "Identity": same,
        "StopGradient": same,
        "OnesLike": ones,
        "ZerosLike": zeros,
    }
)
