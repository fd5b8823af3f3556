"""Softmax and its logarithm: what a layer does to a row of its outputs."""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, floating_dtype, normalize_axis
from matrixslow.ops.options import as_integers
from matrixslow.ops.powers import Exp
from matrixslow.ops.reduction import ReduceSum, log_sum_exp


class AlongAxis(Node):
    """Base of the operators that look at all elements along an axis."""

    def __init__(self, x: Operand, *, axis: int = -1, name: str | None = None) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        normalize_axis(self.axis, x.ndim)
        return Spec(x.shape, floating_dtype(x))


class Softmax(AlongAxis):
    """y = e ** x, divided by the sum of these along an axis: shares that add up to 1.

    Args:
        x: Floating-point numbers, often called logits.
        axis: Along which the shares add up.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Softmax([1000.0, 1000.0, -1000.0]))
    array([0.5, 0.5, 0. ], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        if not x.size:
            return x
        y = xp.exp(x - xp.max(x, axis=self.axis, keepdims=True))
        y /= xp.sum(y, axis=self.axis, keepdims=True)
        return y

    def gradient(self, upstream: Node) -> tuple[Node]:
        mean = ReduceSum(upstream * self, axes=self.axis)
        return (self * (upstream - mean),)


class LogSoftmax(AlongAxis):
    """y = x - log(the sum of e ** x along an axis): the logarithm of Softmax, without overflow.

    Args:
        x: Floating-point numbers, often called logits.
        axis: Along which the shares add up.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.LogSoftmax([0.0, -1000.0]))
    array([    0., -1000.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x - log_sum_exp(xp, x, self.axis)

    def gradient(self, upstream: Node) -> tuple[Node]:
        total = ReduceSum(upstream, axes=self.axis)
        return (upstream - Exp(self) * total,)
