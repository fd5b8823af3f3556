"""Operators with kinks or steps, element by element: Abs, Sign, rounding, Mod, Clip, Min, Max."""

from __future__ import annotations

from functools import reduce
from types import ModuleType

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec
from matrixslow.errors import ArgumentError, DTypeError
from matrixslow.ops.comparison import Equal, GreaterOrEqual, LessOrEqual, Where
from matrixslow.ops.elementwise import Cast, FloatingElementwise, NumericElementwise


class Abs(NumericElementwise):
    """y = |x|, with slope 0 at 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Abs([-1.0, 2.0]))
    array([1., 2.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return abs(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * Sign(self.inputs[0]),)


class Sign(NumericElementwise):
    """y = -1, 0 or 1 for x below, at or above 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sign([-3.0, 0.0, 3.0]))
    array([-1.,  0.,  1.], dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sign(x)


class Floor(FloatingElementwise):
    """y = the largest integer <= x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Floor([-1.5, 1.5]))
    array([-2.,  1.], dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.floor(x)


class Ceil(FloatingElementwise):
    """y = the smallest integer >= x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Ceil([-1.5, 1.5]))
    array([-1.,  2.], dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.ceil(x)


class Round(FloatingElementwise):
    """y = the integer nearest to x; of two equally near ones, the even one.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Round([0.5, 1.5, 1.7]))
    array([0., 2., 2.], dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.rint(x)


class Mod(NumericElementwise):
    """y = a - b * q: the remainder of a division with a whole quotient q.

    The quotient is a / b rounded down, so that y has the sign of b, as Python's `%`; with `fmod`
    it is rounded towards zero, so that y has the sign of a, as C's `fmod`.

    Args:
        a: Numbers.
        b: Of the dtype of a.
        fmod: Whether the quotient is rounded towards zero.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Mod([5.0, -5.0], 3.0))
    array([2., 1.], dtype=float32)
    """

    def __init__(
        self, a: Operand, b: Operand, *, fmod: bool = False, name: str | None = None
    ) -> None:
        self.fmod = bool(fmod)
        super().__init__(a, b, name=name)

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return xp.fmod(a, b) if self.fmod else a % b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        a, b = self.inputs
        quotient = Round((a - self) / b)
        return upstream, -(upstream * quotient)


class Clip(NumericElementwise):
    """y = x held between two bounds: min(max(x, low), high).

    The slope is 1 between the bounds and at them, 0 beyond.

    Args:
        x: Numbers.
        min: The lower bound; without it there is none.
        max: The upper bound; without it there is none.

    Shapes: x (any), y as x.

    Raises:
        ArgumentError: The lower bound is above the upper one.
        DTypeError: A bound of integers is no integer.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Clip([-3.0, 0.5, 3.0], min=-1.0, max=1.0))
    array([-1. ,  0.5,  1. ], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        min: float | None = None,  # noqa: A002 - ONNX's names
        max: float | None = None,  # noqa: A002
        name: str | None = None,
    ) -> None:
        if min is not None and max is not None and not min <= max:
            raise ArgumentError(
                f"Clip: min={min} is not below max={max}", hint="exchange the two bounds"
            )
        self.min = None if min is None else np.asarray(min).item()
        self.max = None if max is None else np.asarray(max).item()
        super().__init__(x, name=name)

    def infer(self, *specs: Spec) -> Spec:
        spec = super().infer(*specs)
        for bound in (self.min, self.max):
            if isinstance(bound, float) and not spec.floating:
                raise DTypeError(
                    f"the bound {bound} is no {spec.dtype}",
                    hint="give integers as bounds of integers",
                )
        return spec

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x if self.min is None and self.max is None else xp.clip(x, self.min, self.max)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        if self.min is not None:
            upstream = Where(GreaterOrEqual(x, self.min), upstream, 0.0)
        if self.max is not None:
            upstream = Where(LessOrEqual(x, self.max), upstream, 0.0)
        return (upstream,)


class Extreme(NumericElementwise):
    """Base of the operators that choose among their operands; equal ones share the gradient."""

    def __init__(self, *xs: Operand, name: str | None = None) -> None:
        if len(xs) < 2:
            raise ArgumentError(
                f"{type(self).__name__}: {len(xs)} operands came, two or more are needed",
                hint=f"over the axes of one node, take ms.ops.Reduce{type(self).__name__}",
            )
        super().__init__(*xs, name=name)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        shares: list[Node] = [Cast(Equal(x, self), dtype=self.dtype) for x in self.inputs]
        part = upstream / sum(shares[1:], start=shares[0])
        return tuple(part * share for share in shares)


class Min(Extreme):
    """y = the smallest of the operands; equal ones share the gradient.

    Shapes: xs (two or more that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Min([1.0, 5.0], [4.0, 2.0], 3.0))
    array([1., 2.], dtype=float32)
    """

    def compute(self, xp: ModuleType, *xs: Array) -> Array:
        return reduce(xp.minimum, xs)


class Max(Extreme):
    """y = the largest of the operands; equal ones share the gradient.

    Shapes: xs (two or more that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Max([1.0, 5.0], [4.0, 2.0], 3.0))
    array([4., 5.], dtype=float32)
    """

    def compute(self, xp: ModuleType, *xs: Array) -> Array:
        return reduce(xp.maximum, xs)
