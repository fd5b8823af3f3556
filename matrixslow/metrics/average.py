"""Weighted averages over samples."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from matrixslow.metrics.metric import Array, Floats, Layout, Metric, State, ratio
from matrixslow.metrics.samples import require_finite, require_real, weighted

if TYPE_CHECKING:
    from matrixslow.core.node import Node


class Average(Metric):
    """sum(weight * value) / sum(weight): the base of metrics that are a mean over samples.

    One of one's own says what a sample's value is: ``values`` returns a value and a weight for
    each sample of a batch, both of shape (M,).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> class Exact(ms.metrics.Average):
        ...     def values(self, prediction, target):
        ...         return prediction == target, np.ones(len(target))
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> exact = Exact(guess, truth)
        >>> exact.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        >>> exact.result()
        0.5
    """

    layout: ClassVar[Layout] = {"sum": (), "weight": ()}

    @abstractmethod
    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """The value and the weight of each sample of a batch."""

    def measure(self, *arrays: Array) -> State:
        """The weighted sum of a batch's values, and the sum of the weights."""
        values, weights = self.values(*arrays)
        return {"sum": np.asarray(values @ weights), "weight": np.asarray(weights.sum())}

    def result(self) -> float:
        """The average; nan before the first sample."""
        state = self.state()
        return float(ratio(state["sum"], state["weight"]))


class Mean(Average):
    """The mean of any node's values.

    A value without axes stands for the whole batch: it counts once, or as much as the weights
    that come with it. All other values count one by one, with the weight of their sample.

    Args:
        value: The node to average.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     length = ms.Input((None,))
        >>> mean = ms.metrics.Mean(length, name="length")
        >>> mean.update(np.array([1.0, 2.0]))
        >>> mean.update(np.array([6.0]))
        >>> mean.result()
        3.0
    """

    def __init__(self, value: Node, *, weight: Node | None = None, name: str | None = None) -> None:
        super().__init__(value, value, weight=weight, name=name)
        self.nodes = (value, *self.nodes[2:])

    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """Each value of the node."""
        value, weight = arrays if len(arrays) == 2 else (arrays[0], None)
        require_real(self, value=value)
        if value.ndim == 0 and weight is not None:
            value = np.broadcast_to(value, weight.shape)
        weights, value = weighted(self, value.shape, weight, value)
        require_finite(self, value=value)
        return value.astype(np.float64), weights
