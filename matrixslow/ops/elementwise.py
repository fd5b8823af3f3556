"""Operators that act on each element alone, with broadcasting, and the bases they share."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, broadcast_shapes, floating_dtype, same_dtype


class Elementwise(Node):
    """Base of the operators that act on each element alone.

    Operands broadcast and share one dtype; a number or array among them takes it.

    `compute` may use Python's operators, the array module's elementwise functions and `where`, and
    nothing that depends on shapes. That makes it the meaning per scalar as well: a compiler calls
    it with symbols in place of arrays.
    """

    broadcasts = True

    def infer(self, *specs: Spec) -> Spec:
        """The broadcast shape, the shared dtype."""
        return Spec(broadcast_shapes(*(spec.shape for spec in specs)), same_dtype(*specs))

    def operands(self, inputs: Sequence[Operand]) -> tuple[Node, ...]:
        """The inputs as nodes; integers beside floating-point nodes become floating-point."""
        nodes = [x for x in inputs if isinstance(x, Node)]
        if nodes and nodes[0].spec.floating:
            inputs = [
                x if isinstance(x, Node) else np.asarray(x, dtype=_floating(x, nodes[0]))
                for x in inputs
            ]
        return super().operands(inputs)


def _floating(x: Operand, beside: Node) -> np.dtype[Any]:
    dtype = np.asarray(x).dtype
    return beside.dtype if dtype.kind in "iuf" else dtype


class FloatingElementwise(Elementwise):
    """Base of the elementwise operators that need floating-point operands."""

    def infer(self, *specs: Spec) -> Spec:
        """The broadcast shape, the shared floating dtype."""
        return Spec(broadcast_shapes(*(spec.shape for spec in specs)), floating_dtype(*specs))


class Add(Elementwise):
    """y = a + b.

    Shapes: a, b (any that broadcast), y their broadcast shape.
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a + b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        return upstream, upstream


class Sub(Elementwise):
    """y = a - b.

    Shapes: a, b (any that broadcast), y their broadcast shape.
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a - b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        return upstream, -upstream


class Mul(Elementwise):
    """y = a * b, element by element.

    Shapes: a, b (any that broadcast), y their broadcast shape.
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a * b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        a, b = self.inputs
        return upstream * b, upstream * a


class Div(FloatingElementwise):
    """y = a / b.

    Shapes: a, b (any that broadcast), y their broadcast shape.
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a / b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        _, b = self.inputs
        slope = upstream / b
        return slope, -(slope * self)


class Neg(Elementwise):
    """y = -x.

    Shapes: x (any), y as x.
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return -x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (-upstream,)


class Tanh(FloatingElementwise):
    """y = tanh(x).

    The slope 1 - y**2 is written in y, so x may be freed after the forward pass.

    Shapes: x (any), y as x.
    Source: LeCun et al., "Efficient BackProp" (1998), section 4.4.
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.tanh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * (1.0 - self * self),)
