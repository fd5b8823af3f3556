"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node
from matrixslow.ops.elementwise import FloatingElementwise
from matrixslow.ops.powers import Sqrt


class Sin(FloatingElementwise):
    """y = sin(x), x in radians.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sin([0.0, 1.0])).round(3)
    array([0.   , 0.841], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sin(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * Cos(self.inputs[0]),)


class Cos(FloatingElementwise):
    """y = cos(x), x in radians.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Cos([0.0, 1.0])).round(3)
    array([1.  , 0.54], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.cos(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (-(upstream * Sin(self.inputs[0])),)


class Tan(FloatingElementwise):
    """y = tan(x), x in radians.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Tan([0.0, 1.0])).round(3)
    array([0.   , 1.557], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.tan(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * (1.0 + self * self),)


class Asin(FloatingElementwise):
    """y = the angle between -pi/2 and pi/2 whose sine is x; NaN beyond -1 and 1.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Asin([0.0, 1.0])).round(3)
    array([0.   , 1.571], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arcsin(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream / Sqrt((1.0 - x) * (1.0 + x)),)


class Acos(FloatingElementwise):
    """y = the angle between 0 and pi whose cosine is x; NaN beyond -1 and 1.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Acos([0.0, 1.0])).round(3)
    array([1.571, 0.   ], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arccos(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (-(upstream / Sqrt((1.0 - x) * (1.0 + x))),)


class Atan(FloatingElementwise):
    """y = the angle between -pi/2 and pi/2 whose tangent is x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Atan([0.0, 1.0])).round(3)
    array([0.   , 0.785], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arctan(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream / (1.0 + x * x),)


class Sinh(FloatingElementwise):
    """y = (e ** x - e ** -x) / 2.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sinh([0.0, 1.0])).round(3)
    array([0.   , 1.175], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sinh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * Cosh(self.inputs[0]),)


class Cosh(FloatingElementwise):
    """y = (e ** x + e ** -x) / 2.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Cosh([0.0, 1.0])).round(3)
    array([1.   , 1.543], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.cosh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * Sinh(self.inputs[0]),)


class Tanh(FloatingElementwise):
    """y = tanh(x).

    The slope 1 - y**2 is written in y, so x may be freed after the forward pass.

    Shapes: x (any), y as x.
    Source: LeCun et al., "Efficient BackProp" (1998), section 4.4.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Tanh([0.0, 1.0])).round(3)
    array([0.   , 0.762], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.tanh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * (1.0 - self * self),)


class Asinh(FloatingElementwise):
    """y = the number whose hyperbolic sine is x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Asinh([0.0, 1.0])).round(3)
    array([0.   , 0.881], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arcsinh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream / Sqrt(x * x + 1.0),)


class Acosh(FloatingElementwise):
    """y = the number >= 0 whose hyperbolic cosine is x; NaN below 1.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Acosh([1.0, 2.0])).round(3)
    array([0.   , 1.317], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arccosh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream / Sqrt((x - 1.0) * (x + 1.0)),)


class Atanh(FloatingElementwise):
    """y = the number whose hyperbolic tangent is x; NaN beyond -1 and 1.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Atanh([0.0, 0.5])).round(3)
    array([0.   , 0.549], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.arctanh(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream / ((1.0 - x) * (1.0 + x)),)
