"""How often the predicted class is the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.metrics.average import Average
from matrixslow.metrics.metric import Array, Floats, at_least
from matrixslow.metrics.samples import choose, classified

if TYPE_CHECKING:
    from matrixslow.core.node import Node


class Accuracy(Average):
    """The share of samples whose predicted class is the true one.

    Of equal scores the first class is predicted. nan before the first sample.

    Args:
        prediction: A score for each class (logits or probabilities), one score of class 1 for
            each sample, or class numbers (integers or truth values).
        target: Class numbers or one-hot rows. With one score each, -1 and 1 serve for 0 and 1.
        threshold: For one score each: class 1 is predicted above it. 0.5 unless given, and then
            the scores must lie in 0 to 1; give 0.0 for logits.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Shapes: prediction (..., C), (..., 1) or (...); target (...), (..., 1) or (..., C).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     logits, label = ms.Input((None, 2)), ms.Input((None,), dtype="int64")
        >>> accuracy = ms.metrics.Accuracy(logits, label)
        >>> accuracy.update(np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([0, 1]))
        >>> accuracy.update(np.array([[0.0, 1.0], [5.0, 2.0]]), np.array([0, 0]))
        >>> accuracy.result()
        0.75
    """

    options = ("threshold",)

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        threshold: float | None = None,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(prediction, target, weight=weight, name=name)
        self.threshold = threshold

    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """Whether each sample's class is right."""
        samples = classified(self, *arrays)
        return choose(self, samples, self.threshold) == samples.target, samples.weight


class TopKAccuracy(Average):
    """The share of samples whose true class is among the k classes of the highest scores.

    Of equal scores the later class ranks higher, as in scikit-learn. nan before the first sample.

    Args:
        prediction: A score for each class.
        target: Class numbers or one-hot rows.
        k: How many classes may be named.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Shapes: prediction (..., C); target (...), (..., 1) or (..., C).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     logits, label = ms.Input((None, 3)), ms.Input((None,), dtype="int64")
        >>> top = ms.metrics.TopKAccuracy(logits, label, k=2)
        >>> top.update(np.array([[3.0, 1.0, 2.0], [0.0, 2.0, 1.0]]), np.array([2, 0]))
        >>> top.result()
        0.5
    """

    options = ("k",)

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        k: int,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(prediction, target, weight=weight, name=name)
        self.k = at_least(self, "k", k, 1)

    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """Whether fewer than k classes outrank each sample's true class."""
        samples = classified(self, *arrays, numbered=False)
        scores, target = samples.prediction, samples.target
        if scores.ndim == 1:
            raise ShapeError(
                f"{self}: a score for each class is wanted, one for each sample came",
                hint="use Accuracy to judge two classes by one score",
            )
        if self.k > scores.shape[1]:
            raise ArgumentError(
                f"{self}: k must not exceed the number of classes, "
                f"k={self.k} and {scores.shape[1]} classes came",
                hint=f"give k={scores.shape[1]} or less",
            )
        own = np.take_along_axis(scores, target[:, None], axis=1)
        later = np.arange(scores.shape[1]) > target[:, None]
        ahead = (scores > own) | ((scores == own) & later)
        return ahead.sum(axis=1) < self.k, samples.weight
