"""Powers, roots, exponentials, logarithms and the error function, element by element."""

from __future__ import annotations

from functools import reduce
from math import pi, sqrt
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node
from matrixslow.ops.comparison import And, Equal, GreaterOrEqual, Where
from matrixslow.ops.elementwise import FloatingElementwise, NumericElementwise


class Pow(NumericElementwise):
    """y = a ** b.

    The slope by a is 0 where b is 0, that by b is 0 where a is 0 and b is not negative. A negative
    number has fractional powers of NaN, and a slope by b of NaN.

    Shapes: a, b (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Pow([1.0, 2.0, 3.0], 2.0))
    array([1., 4., 9.], dtype=float32)
    """

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a**b

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        a, b = self.inputs
        lowered = Where(Equal(b, 0.0), 1.0, b) - 1.0
        vanishing = And(Equal(a, 0.0), GreaterOrEqual(b, 0.0))
        logarithm = Log(Where(vanishing, 1.0, a))
        return upstream * (b * Pow(a, lowered)), upstream * (self * logarithm)


class Sqrt(FloatingElementwise):
    """y = the square root of x; NaN below 0, and an infinite slope at 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sqrt([4.0, 9.0]))
    array([2., 3.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sqrt(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (0.5 * upstream / self,)


class Exp(FloatingElementwise):
    """y = e ** x.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Exp([0.0, 1.0])).round(3)
    array([1.   , 2.718], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.exp(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * self,)


class Expm1(FloatingElementwise):
    """y = e ** x - 1, exact to the last digits for small x too.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Expm1([0.0, 1e-8]))
    array([0.e+00, 1.e-08], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.expm1(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * (self + 1.0),)


class Log(FloatingElementwise):
    """y = the natural logarithm of x; minus infinity at 0, NaN below.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Log([1.0, 2.0])).round(3)
    array([0.   , 0.693], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.log(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream / self.inputs[0],)


class Log1p(FloatingElementwise):
    """y = log(1 + x), exact to the last digits for small x too.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Log1p([0.0, 1e-8]))
    array([0.e+00, 1.e-08], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.log1p(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream / (1.0 + self.inputs[0]),)


class Erf(FloatingElementwise):
    """y = 2 / sqrt(pi) * the integral of exp(-t**2) from 0 to x.

    Shapes: x (any), y as x.
    Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of
        Computation 23 (1969).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Erf([0.0, 1.0])).round(3)
    array([0.   , 0.843], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return error_function(xp, x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (2.0 / sqrt(pi) * upstream * Exp(-(x * x)),)


# Coefficients of the quotients of polynomials below, the highest power first.
NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 113.864154151050156, 377.485237685302021,
     3209.37758913846947),
    (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062),
)  # fmt: skip
FAR = (
    (2.15311535474403846e-8, 0.564188496988670089, 8.88314979438837594, 66.1191906371416295,
     298.635138197400131, 881.952221241769090, 1712.04761263407058, 2051.07837782607147,
     1230.33935479799725),
    (1.0, 15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019,
     3290.79923573345963, 4362.61909014324716, 3439.36767414372164, 1230.33935480374942),
)  # fmt: skip


def error_function(xp: ModuleType, x: Array) -> Array:
    """The error function of an array: x * P(x**2) near 0, 1 - exp(-x**2) * Q(|x|) further away.

    Beyond 6 it is 1 in every dtype.
    """
    distance = xp.minimum(abs(x), 6.0)
    square = distance * distance
    near = x * _quotient(square, NEAR)
    far = xp.sign(x) * (1.0 - xp.exp(-square) * _quotient(distance, FAR))
    return xp.where(distance < 0.5, near, far)


def _quotient(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    above, below = (reduce(lambda y, c: y * x + c, row) for row in coefficients)
    return above / below
