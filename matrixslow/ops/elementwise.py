"""Operators that act on each element alone: arithmetic, and the bases of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import (
    DTypeLike,
    Spec,
    broadcast_shapes,
    check_dtype,
    floating_dtype,
    same_dtype,
)
from matrixslow.errors import DTypeError, ShapeError


class Elementwise(Node):
    """Base of the operators that act on each element alone.

    Operands broadcast and share one dtype; a number or array among them takes it.

    `compute` may use Python's operators, the array module's elementwise functions and `where`, and
    nothing that depends on shapes. That makes it the meaning per scalar as well: a compiler calls
    it with symbols in place of arrays.
    """

    broadcasts = True

    def infer(self, *specs: Spec) -> Spec:
        return Spec(broadcast_shapes(*(spec.shape for spec in specs)), same_dtype(*specs))

    def operands(self, inputs: Sequence[Operand]) -> tuple[Node, ...]:
        """The inputs as nodes; numbers take the dtype of the first node that holds numbers."""
        dtypes = (x.dtype for x in inputs if isinstance(x, Node) and x.dtype.kind != "b")
        dtype = next(dtypes, None)
        if dtype is not None:
            inputs = [x if isinstance(x, Node) else _beside(x, dtype) for x in inputs]
        return super().operands(inputs)


def _beside(x: Operand, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number or array in the dtype of the nodes beside it, where that keeps its value."""
    array = np.asarray(x)
    if array.dtype.kind not in "iu" or array.dtype == dtype:
        return array
    converted = array.astype(dtype)
    return converted if dtype.kind == "f" or np.array_equal(converted, array) else array


class NumericElementwise(Elementwise):
    """Base of the elementwise operators that need numbers: of any dtype but bool."""

    def infer(self, *specs: Spec) -> Spec:
        return Spec(broadcast_shapes(*(spec.shape for spec in specs)), numeric_dtype(*specs))


class FloatingElementwise(Elementwise):
    """Base of the elementwise operators that need floating-point numbers."""

    def infer(self, *specs: Spec) -> Spec:
        return Spec(broadcast_shapes(*(spec.shape for spec in specs)), floating_dtype(*specs))


def numeric_dtype(*specs: Spec) -> np.dtype[Any]:
    """The dtype of numbers that all specs share.

    Raises:
        DTypeError: They differ, or are bool.
    """
    dtype = same_dtype(*specs)
    if dtype.kind == "b":
        raise DTypeError(
            "numbers are needed, bool came", hint='convert it: ms.ops.Cast(x, dtype="float32")'
        )
    return dtype


class Add(NumericElementwise):
    """y = a + b.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Add([1.0, 2.0], 3.0))
    array([4., 5.], dtype=float32)
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a + b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        return upstream, upstream


class Sub(NumericElementwise):
    """y = a - b.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sub([1.0, 2.0], 3.0))
    array([-2., -1.], dtype=float32)
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a - b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        return upstream, -upstream


class Mul(NumericElementwise):
    """y = a * b, element by element.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Mul([1.0, 2.0], 3.0))
    array([3., 6.], dtype=float32)
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a * b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        a, b = self.inputs
        return upstream * b, upstream * a


class ScalarMultiply(Mul):
    """y = scalar * x: every element of x times the same number, which is a node of one element.

    Shapes: scalar (one element, no more axes than x), x (any), y as x.

    Raises:
        ShapeError: The first operand has more than one element, or more axes than x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ScalarMultiply(2.0, [[1.0, 2.0]]))
    array([[2., 4.]], dtype=float32)
    """

    def infer(self, *specs: Spec) -> Spec:
        scalar, x = specs
        if scalar.ndim > x.ndim or any(size not in (1, None) for size in scalar.shape):
            raise ShapeError(
                f"a scalar is needed beside {x.shape}, shape {scalar.shape} came",
                hint="for products element by element write {scalar} * {x}",
            )
        return Spec(x.shape, numeric_dtype(scalar, x))

    def compute(self, xp: ModuleType, scalar: Array, x: Array) -> Array:
        return scalar * x


class Div(FloatingElementwise):
    """y = a / b.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Div([1.0, 3.0], 2.0))
    array([0.5, 1.5], dtype=float32)
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a / b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        _, b = self.inputs
        slope = upstream / b
        return slope, -(slope * self)


class Neg(NumericElementwise):
    """y = -x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Neg([1.0, -2.0]))
    array([-1.,  2.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return -x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (-upstream,)


class Reciprocal(FloatingElementwise):
    """y = 1 / x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Reciprocal([2.0, 4.0]))
    array([0.5 , 0.25], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return 1.0 / x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (-(upstream * self * self),)


class Identity(Elementwise):
    """y = x: another name for a value.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Identity([1.0, 2.0], name="output"))
    array([1., 2.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream,)


class StopGradient(Elementwise):
    """y = x, as a constant in every gradient.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     x = ms.Variable(3.0)
    ...     slope, = ms.gradients(x * ms.ops.StopGradient(x), [x])
    ...     graph.forward(slope)
    array(3., dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x


class Cast(Elementwise):
    """x with its elements converted to another dtype, as NumPy does.

    Floating-point numbers lose their fraction when they become integers; whatever is not zero
    becomes True. Only from floating-point to floating-point there is a gradient.

    Args:
        x: Any node.
        dtype: What the elements become.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Cast([1.7, -1.7], dtype="int64"))
    array([ 1, -1])
    """

    def __init__(self, x: Operand, *, dtype: DTypeLike, name: str | None = None) -> None:
        self._target = check_dtype(dtype)
        super().__init__(x, name=name)

    def infer(self, *specs: Spec) -> Spec:
        return Spec(specs[0].shape, self._target)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x.astype(self._target, copy=False)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (Cast(upstream, dtype=x.dtype),)
