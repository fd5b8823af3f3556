"""Mean and variance, and their moving averages, which batch normalization uses at inference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, floating_dtype
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.options import may_equal
from matrixslow.ops.reduction import Count, FloatingReduction, ReduceMean


class ReduceVariance(FloatingReduction):
    """y = the mean of (x - mean of x) ** 2 over axes.

    Args:
        x: Floating-point numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceVariance([[1.0, 3.0], [2.0, 2.0]], axes=1))
    array([[1.],
           [0.]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        axes = self.reduced(x.ndim)
        centred = x - mean_over(xp, x, axes)
        y = mean_over(xp, centred * centred, axes)
        return y if self.keepdims else xp.squeeze(y, axis=axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        axes = self.reduced(x.ndim)
        share = self.kept(upstream) * (2.0 / Count(x, axes=axes))
        return (share * (x - ReduceMean(x, axes=axes)),)


def moments(
    x: Node, *, axes: int | Iterable[int] | None = None, keepdims: bool = True
) -> tuple[Node, Node]:
    """The mean and the variance over axes, as nodes.

    Args:
        x: Floating-point numbers.
        axes: Over which axes; without it over all of them.
        keepdims: Whether these axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     x = ms.Constant([1.0, 3.0])
    ...     mean, variance = ms.ops.moments(x, keepdims=False)
    >>> graph.forward([mean, variance])
    [array(2., dtype=float32), array(1., dtype=float32)]
    """
    return (
        ReduceMean(x, axes=axes, keepdims=keepdims),
        ReduceVariance(x, axes=axes, keepdims=keepdims),
    )


class MovingAverage(Node):
    """The value while training, its moving average at inference.

    A program that trains updates the average at its end:
    average <- average * momentum + value * (1 - momentum).

    Args:
        value: What is averaged, of the last batch.
        average: The variable that holds the average.
        momentum: The share of the average that stays.

    Shapes: value (any), average and y as value.

    >>> with ms.Graph() as graph:
    ...     x, average = ms.Input((), name="x"), ms.Variable(0.0, trainable=False, name="average")
    ...     y = ms.ops.MovingAverage(x, average, momentum=0.75)
    >>> ms.function([x], y, training=True)(4.0), average.value
    (array(4., dtype=float32), array(1., dtype=float32))
    >>> ms.function([x], y, training=False)(4.0)
    array(1., dtype=float32)
    """

    def __init__(
        self, value: Operand, average: Operand, *, momentum: float = 0.9, name: str | None = None
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ArgumentError(
                f"MovingAverage: momentum={momentum!r}", hint="give 0 <= momentum <= 1"
            )
        self.momentum = float(momentum)
        self._updates: tuple[tuple[Node, Node], ...] = ()
        super().__init__(value, average, name=name)

    def infer(self, value: Spec, average: Spec) -> Spec:
        if not may_equal(value.shape, average.shape):
            raise ShapeError(
                f"the value has shape {value.shape}, its average {average.shape}",
                hint="give {average} the shape of {value}",
            )
        return Spec(value.shape, floating_dtype(value, average))

    def compute(self, xp: ModuleType, value: Array, average: Array) -> Array:
        return value

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return upstream, None

    def inference(self) -> Node:
        """The average."""
        return self.inputs[1]

    def updates(self) -> Sequence[tuple[Node, Node]]:
        """The average and its new value, whose nodes are made when they are first asked for."""
        if not self._updates:
            value, average = self.inputs
            with self.graph, self.graph.scope(f"updates/{average.name}", absolute=True):
                new = average * self.momentum + value * (1.0 - self.momentum)
            self._updates = ((average, new),)
        return self._updates


def mean_over(xp: ModuleType, x: Array, axes: tuple[int, ...]) -> Array:
    """The mean, NaN without a warning where there is nothing to average."""
    total = x.sum(axis=axes, keepdims=True)
    return total / xp.asarray(prod(x.shape[axis] for axis in axes), x.dtype)
