"""Activations: what a layer does to each of its outputs."""

from __future__ import annotations

from math import pi, sqrt
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.comparison import And, Greater, GreaterOrEqual, Less, Where
from matrixslow.ops.elementwise import FloatingElementwise
from matrixslow.ops.options import as_choice
from matrixslow.ops.piecewise import Abs
from matrixslow.ops.powers import Erf, Exp, error_function
from matrixslow.ops.trigonometry import Tanh


class Relu(FloatingElementwise):
    """y = max(x, 0), with slope 0 at 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Relu([-1.0, 2.0]))
    array([0., 2.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.maximum(x, 0.0)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Where(Greater(self, 0.0), upstream, 0.0),)


class LeakyRelu(FloatingElementwise):
    """y = x for x > 0, alpha * x elsewhere.

    Args:
        x: Floating-point numbers.
        alpha: The slope for x <= 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.LeakyRelu([-1.0, 2.0], alpha=0.5))
    array([-0.5,  2. ], dtype=float32)
    """

    def __init__(self, x: Operand, *, alpha: float = 0.01, name: str | None = None) -> None:
        self.alpha = float(alpha)
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.where(x > 0.0, x, self.alpha * x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (Where(Greater(x, 0.0), upstream, self.alpha * upstream),)


class PRelu(FloatingElementwise):
    """y = x for x > 0, slope * x elsewhere, where the slope is learned.

    Args:
        x: Floating-point numbers.
        slope: The slope for x <= 0; for one in each channel of an image, of shape (channels, 1, 1).

    Shapes: x (any), slope (any that broadcasts to the shape of x), y as x.

    Raises:
        ShapeError: The slope does not broadcast to the shape of x.
    Source: K. He et al., "Delving deep into rectifiers" (2015).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.PRelu([-1.0, 2.0], 0.5))
    array([-0.5,  2. ], dtype=float32)
    """

    def infer(self, *specs: Spec) -> Spec:
        x, slope = specs
        spec = super().infer(x, slope)
        if spec.ndim > x.ndim or any(
            size == 1 and wide not in (1, None)
            for size, wide in zip(x.shape, spec.shape, strict=True)
        ):
            raise ShapeError(
                f"a slope of shape {slope.shape} does not broadcast to {x.shape}",
                hint="for a slope in each channel of an image give {slope} shape (channels, 1, 1)",
            )
        return spec

    def compute(self, xp: ModuleType, x: Array, slope: Array) -> Array:
        return xp.where(x > 0.0, x, slope * x)

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        x, slope = self.inputs
        positive = Greater(x, 0.0)
        return Where(positive, upstream, slope * upstream), Where(positive, 0.0, x * upstream)


class Elu(FloatingElementwise):
    """y = x for x > 0, alpha * (e ** x - 1) elsewhere.

    Args:
        x: Floating-point numbers.
        alpha: The distance of the lower limit from 0.

    Shapes: x (any), y as x.
    Source: D. Clevert et al., "Fast and accurate deep network learning by exponential linear units
        (ELUs)" (2015).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Elu([-1.0, 2.0])).round(3)
    array([-0.632,  2.   ], dtype=float32)
    """

    def __init__(self, x: Operand, *, alpha: float = 1.0, name: str | None = None) -> None:
        self.alpha = float(alpha)
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.where(x > 0.0, x, self.alpha * xp.expm1(x))

    def gradient(self, upstream: Node) -> tuple[Node]:
        positive = Greater(self.inputs[0], 0.0)
        return (Where(positive, upstream, upstream * (self + self.alpha)),)


class Celu(FloatingElementwise):
    """y = x for x > 0, alpha * (e ** (x / alpha) - 1) elsewhere: smooth for every alpha.

    Args:
        x: Floating-point numbers.
        alpha: The distance of the lower limit from 0.

    Shapes: x (any), y as x.

    Raises:
        ArgumentError: alpha is 0.
    Source: J. Barron, "Continuously differentiable exponential linear units" (2017).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Celu([-1.0, 2.0], alpha=2.0)).round(3)
    array([-0.787,  2.   ], dtype=float32)
    """

    def __init__(self, x: Operand, *, alpha: float = 1.0, name: str | None = None) -> None:
        if alpha == 0.0:
            raise ArgumentError("Celu: alpha=0 divides by zero", hint="near 0 it is ms.ops.Relu")
        self.alpha = float(alpha)
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.where(x > 0.0, x, self.alpha * xp.expm1(x / self.alpha))

    def gradient(self, upstream: Node) -> tuple[Node]:
        positive = Greater(self.inputs[0], 0.0)
        return (Where(positive, upstream, upstream * (self / self.alpha + 1.0)),)


class Selu(FloatingElementwise):
    """y = gamma * x for x > 0, gamma * alpha * (e ** x - 1) elsewhere.

    With the given constants, activations of mean 0 and variance 1 keep them from layer to layer.

    Args:
        x: Floating-point numbers.
        alpha: The distance of the lower limit from 0, before scaling.
        gamma: The scale.

    Shapes: x (any), y as x.
    Source: G. Klambauer et al., "Self-normalizing neural networks" (2017).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Selu([-1.0, 2.0])).round(3)
    array([-1.111,  2.101], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        alpha: float = 1.6732632423543772,
        gamma: float = 1.0507009873554805,
        name: str | None = None,
    ) -> None:
        self.alpha = float(alpha)
        self.gamma = float(gamma)
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return self.gamma * xp.where(x > 0.0, x, self.alpha * xp.expm1(x))

    def gradient(self, upstream: Node) -> tuple[Node]:
        slope = Where(Greater(self.inputs[0], 0.0), self.gamma, self + self.gamma * self.alpha)
        return (upstream * slope,)


class Gelu(FloatingElementwise):
    """y = x * P(a standard normal number is below x).

    Args:
        x: Floating-point numbers.
        approximate: "none" computes x / 2 * (1 + erf(x / sqrt(2))), "tanh" comes near it with
            x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))).

    Shapes: x (any), y as x.
    Source: D. Hendrycks and K. Gimpel, "Gaussian error linear units (GELUs)" (2016).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Gelu([-1.0, 2.0])).round(3)
    array([-0.159,  1.954], dtype=float32)
    """

    def __init__(self, x: Operand, *, approximate: str = "none", name: str | None = None) -> None:
        self.approximate = as_choice(self, "approximate", approximate, ("none", "tanh"))
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        if self.approximate == "none":
            return 0.5 * x * (1.0 + error_function(xp, sqrt(0.5) * x))
        return 0.5 * x * (1.0 + xp.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        if self.approximate == "none":
            below = 0.5 * (1.0 + Erf(sqrt(0.5) * x))
            density = 1.0 / sqrt(2.0 * pi) * Exp(-0.5 * x * x)
            return (upstream * (below + x * density),)
        bend = Tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x))
        steepness = sqrt(2.0 / pi) * (1.0 + 3.0 * 0.044715 * x * x)
        return (upstream * 0.5 * (1.0 + bend + x * (1.0 - bend * bend) * steepness),)


class Sigmoid(FloatingElementwise):
    """y = 1 / (1 + e ** -x), which is 0 and 1 at the ends, without overflow.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Sigmoid([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return 1.0 / (1.0 + xp.exp(-x))  # far below 0, 1 / infinity is the 0 that is wanted

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * self * (1.0 - self),)


class Silu(FloatingElementwise):
    """y = x * sigmoid(x), also called swish.

    Shapes: x (any), y as x.
    Source: S. Elfwing et al., "Sigmoid-weighted linear units for neural network function
        approximation in reinforcement learning" (2017).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Silu([-1.0, 2.0])).round(3)
    array([-0.269,  1.762], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x / (1.0 + xp.exp(-x))

    def gradient(self, upstream: Node) -> tuple[Node]:
        share = Sigmoid(self.inputs[0])
        return (upstream * (share + self * (1.0 - share)),)


class Mish(FloatingElementwise):
    """y = x * tanh(softplus(x)).

    Shapes: x (any), y as x.
    Source: D. Misra, "Mish: a self regularized non-monotonic activation function" (2019).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Mish([-1.0, 2.0])).round(3)
    array([-0.303,  1.944], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * xp.tanh(softplus(xp, x))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        bend = Tanh(Softplus(x))
        return (upstream * (bend + x * (1.0 - bend * bend) * Sigmoid(x)),)


class HardSigmoid(FloatingElementwise):
    """y = alpha * x + beta, held between 0 and 1; the slope is 0 where it is held.

    Args:
        x: Floating-point numbers.
        alpha: The slope in the middle.
        beta: The value at 0.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.HardSigmoid([-5.0, 0.0, 1.0]))
    array([0. , 0.5, 0.7], dtype=float32)
    """

    def __init__(
        self, x: Operand, *, alpha: float = 0.2, beta: float = 0.5, name: str | None = None
    ) -> None:
        self.alpha = float(alpha)
        self.beta = float(beta)
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.clip(self.alpha * x + self.beta, 0.0, 1.0)

    def gradient(self, upstream: Node) -> tuple[Node]:
        inside = And(Greater(self, 0.0), Less(self, 1.0))
        return (Where(inside, self.alpha * upstream, 0.0),)


class HardSwish(FloatingElementwise):
    """y = x * (x / 6 + 1 / 2 held between 0 and 1).

    Shapes: x (any), y as x.
    Source: A. Howard et al., "Searching for MobileNetV3" (2019).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.HardSwish([-4.0, 0.0, 1.5, 4.0]))
    array([-0.   ,  0.   ,  1.125,  4.   ], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * xp.clip(x / 6.0 + 0.5, 0.0, 1.0)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        slope = Where(GreaterOrEqual(x, 3.0), 1.0, Where(Greater(x, -3.0), x / 3.0 + 0.5, 0.0))
        return (upstream * slope,)


class Softplus(FloatingElementwise):
    """y = log(1 + e ** x), without overflow.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Softplus([-90.0, 0.0, 90.0])).round(3)
    array([ 0.   ,  0.693, 90.   ], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return softplus(xp, x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * Sigmoid(self.inputs[0]),)


def softplus(xp: ModuleType, x: Array) -> Array:
    """log(1 + e ** x) of an array, without overflow."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-abs(x)))


class Softsign(FloatingElementwise):
    """y = x / (1 + |x|).

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Softsign([-1.0, 3.0]))
    array([-0.5 ,  0.75], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x / (1.0 + abs(x))

    def gradient(self, upstream: Node) -> tuple[Node]:
        scale = 1.0 + Abs(self.inputs[0])
        return (upstream / (scale * scale),)


class Step(FloatingElementwise):
    """y = 1 for x >= 0, 0 elsewhere; it has no slope.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Step([-1.0, 0.0, 2.0]))
    array([0., 1., 1.], dtype=float32)
    """

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return (x >= 0.0).astype(x.dtype)
