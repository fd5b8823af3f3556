"""Elementwise operators: their own `compute`, traced with symbols."""

from __future__ import annotations

from matrixslow.compiler.indices import ZERO, Index
from matrixslow.compiler.lowering.table import Indices, Read, Table, sizes
from matrixslow.compiler.symbols import TRACER, Symbol, Unsupported, cast, constant
from matrixslow.core.node import Node
from matrixslow.ops.elementwise import Elementwise


def is_elementwise(node: Node) -> bool:
    """Whether the operator's `compute` can be traced."""
    return isinstance(node, Elementwise)


def traced(node: Node, read: Read, index: Indices) -> Symbol:
    """y[i] = compute(x[i], ...), with the inputs stretched over each other."""
    elements = [read(number, stretched(index, sizes(x))) for number, x in enumerate(node.inputs)]
    try:
        result = node.compute(TRACER, *elements)
    except (TypeError, AttributeError, ValueError) as error:
        raise Unsupported(f"compute cannot be traced: {error}") from error
    if not isinstance(result, Symbol):
        result = constant(result, node.dtype)
    return cast(result, node.dtype)


def stretched(index: Indices, shape: tuple[int, ...]) -> tuple[Index, ...]:
    """The position in an operand that broadcasts to the indexed shape."""
    own = index[len(index) - len(shape) :]
    return tuple(ZERO if size == 1 else i for i, size in zip(own, shape, strict=True))


TABLE = Table()
