"""Operators that compare and decide, element by element: comparisons, logic, and Where."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, broadcast_shapes, same_dtype
from matrixslow.errors import DTypeError, GraphError
from matrixslow.ops.elementwise import Elementwise, FloatingElementwise, NumericElementwise

BOOL = np.dtype("bool")


class Comparison(NumericElementwise):
    """Base of the operators that compare two numbers.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.
    """

    gradient = None

    def infer(self, *specs: Spec) -> Spec:
        return Spec(super().infer(*specs).shape, BOOL)


class Equal(Elementwise):
    """y = whether a equals b: numbers, or both bool.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Equal([1.0, 2.0, 3.0], 2.0))
    array([False,  True, False])
    """

    gradient = None

    def infer(self, *specs: Spec) -> Spec:
        return Spec(super().infer(*specs).shape, BOOL)

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a == b


class Less(Comparison):
    """y = whether a < b.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Less([1.0, 2.0, 3.0], 2.0))
    array([ True, False, False])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a < b


class LessOrEqual(Comparison):
    """y = whether a <= b.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.LessOrEqual([1.0, 2.0, 3.0], 2.0))
    array([ True,  True, False])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a <= b


class Greater(Comparison):
    """y = whether a > b.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Greater([1.0, 2.0, 3.0], 2.0))
    array([False, False,  True])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a > b


class GreaterOrEqual(Comparison):
    """y = whether a >= b.

    Shapes: a, b (any that broadcast), y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.GreaterOrEqual([1.0, 2.0, 3.0], 2.0))
    array([False,  True,  True])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a >= b


class Logical(Elementwise):
    """Base of the operators on truth values.

    Shapes: operands (any that broadcast) of bool, y their broadcast shape, of bool.
    """

    gradient = None

    def infer(self, *specs: Spec) -> Spec:
        for spec in specs:
            _check_truth(spec)
        return super().infer(*specs)


class And(Logical):
    """y = a and b.

    Shapes: a, b (any that broadcast) of bool, y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.And([True, False], True))
    array([ True, False])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a & b


class Or(Logical):
    """y = a or b, or both.

    Shapes: a, b (any that broadcast) of bool, y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Or([True, False], False))
    array([ True, False])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a | b


class Xor(Logical):
    """y = either a or b.

    Shapes: a, b (any that broadcast) of bool, y their broadcast shape, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Xor([True, False], True))
    array([False,  True])
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a ^ b


class Not(Logical):
    """y = not x.

    Shapes: x (any) of bool, y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Not([True, False]))
    array([False,  True])
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return ~x


class IsNaN(FloatingElementwise):
    """y = whether x is not a number.

    Shapes: x (any), y as x, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.IsNaN([np.nan, np.inf, 1.0]))
    array([ True, False, False])
    """

    gradient = None

    def infer(self, *specs: Spec) -> Spec:
        return Spec(super().infer(*specs).shape, BOOL)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x != x


class IsInf(FloatingElementwise):
    """y = whether x is infinite.

    Args:
        x: Floating-point numbers.
        detect_negative: Whether minus infinity counts.
        detect_positive: Whether plus infinity counts.

    Shapes: x (any), y as x, of bool.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.IsInf([np.inf, -np.inf, 1.0], detect_negative=False))
    array([ True, False, False])
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        *,
        detect_negative: bool = True,
        detect_positive: bool = True,
        name: str | None = None,
    ) -> None:
        self.detect_negative = bool(detect_negative)
        self.detect_positive = bool(detect_positive)
        super().__init__(x, name=name)

    def infer(self, *specs: Spec) -> Spec:
        return Spec(super().infer(*specs).shape, BOOL)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        negative, positive = x == -xp.inf, x == xp.inf
        return (negative & self.detect_negative) | (positive & self.detect_positive)


class Where(Elementwise):
    """y = x where the condition holds, else y.

    The gradient goes to the operand that was taken; that of the other one is zero. A value that
    is not taken still is computed: where it is infinite, its own slope must not become NaN, which
    a harmless operand in its place prevents, as in `Where(c, Log(Where(c, x, 1.0)), 0.0)`.

    Args:
        condition: Of bool.
        x: Taken where the condition holds.
        y: Taken elsewhere; of the dtype of x.

    Shapes: condition, x, y (any that broadcast), the result their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Where([True, False], [1.0, 2.0], 0.0))
    array([1., 0.], dtype=float32)
    """

    def operands(self, inputs: Sequence[Operand]) -> tuple[Node, ...]:
        """The inputs as nodes; a condition that Python has decided is refused."""
        if isinstance(inputs[0], bool):
            raise GraphError(
                f"the condition is {inputs[0]}, decided before the graph runs",
                hint="compare nodes by name, as with ms.ops.Equal(x, y); x == y asks whether they "
                "are the same node",
            )
        return super().operands(inputs)

    def infer(self, *specs: Spec) -> Spec:
        condition, x, y = specs
        _check_truth(condition)
        return Spec(broadcast_shapes(condition.shape, x.shape, y.shape), same_dtype(x, y))

    def compute(self, xp: ModuleType, condition: Array, x: Array, y: Array) -> Array:
        return xp.where(condition, x, y)

    def gradient(self, upstream: Node) -> tuple[None, Node, Node]:
        condition, _, _ = self.inputs
        return None, Where(condition, upstream, 0.0), Where(condition, 0.0, upstream)


def _check_truth(spec: Spec) -> None:
    if spec.dtype != BOOL:
        raise DTypeError(
            f"truth values are needed, {spec.dtype} came",
            hint="compare first, as with ms.ops.Greater(x, 0.0)",
        )
