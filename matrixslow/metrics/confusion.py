"""What is known from counting which class was taken for which."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.metrics.metric import Array, Floats, Layout, Metric, State, at_least, ratio
from matrixslow.metrics.samples import choose, classified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matrixslow.core.node import Node

AVERAGES = ("binary", "macro", "micro", "weighted", None)


class _Classes(Metric):
    """Metrics that count by class: they must know how many classes there are."""

    options = ("threshold",)

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        threshold: float | None = None,
        classes: int | None = None,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(prediction, target, weight=weight, name=name)
        self.threshold = threshold
        self.classes = None if classes is None else at_least(self, "classes", classes, 2)

    def chosen(self, *arrays: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, int]:
        """Predicted class, true class and weight of each sample, and the number of classes."""
        samples = classified(self, *arrays, classes=self.classes)
        if samples.classes is None:
            raise ArgumentError(
                f"{self}: predicted class numbers do not say how many classes there are",
                hint="give classes=, or predict scores",
            )
        if self.classes not in (None, samples.classes):
            raise ShapeError(
                f"{self}: scores of {self.classes} classes are wanted, of {samples.classes} came",
                hint=self._remedy(samples.classes),
            )
        predicted = choose(self, samples, self.threshold)
        return predicted, samples.target, samples.weight, samples.classes

    def _remedy(self, classes: int) -> str:
        """What to do where another number of classes came."""
        return f"give classes={classes}, or leave it out"


class ConfusionMatrix(_Classes):
    """matrix[i, j]: the weight of samples of class i that were predicted to be of class j.

    The result has shape (C, C); before the first batch C is ``classes``, or 0 without it.

    Args:
        prediction: As for ``Accuracy``.
        target: As for ``Accuracy``.
        threshold: As for ``Accuracy``.
        classes: The number of classes; needed where predictions are class numbers.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> matrix = ms.metrics.ConfusionMatrix(score, label)
        >>> matrix.update(np.array([0.9, 0.2, 0.7]), np.array([1, 1, 0]))
        >>> matrix.result()
        array([[0., 1.],
               [1., 1.]])
    """

    layout: ClassVar[Layout] = {"matrix": (0, 0)}

    def measure(self, *arrays: Array) -> State:
        """The matrix of one batch."""
        predicted, true, weights, classes = self.chosen(*arrays)
        cells = _tally(true * classes + predicted, weights, classes**2)
        return {"matrix": cells.reshape(classes, classes)}

    def result(self) -> Floats:
        """The matrix of all samples."""
        matrix = self.state()["matrix"]
        return matrix if matrix.size else np.zeros((self.classes or 0, self.classes or 0))


class _ClassScore(_Classes):
    """A score of each class from its counts, averaged over classes."""

    layout: ClassVar[Layout] = {"hits": (0,), "predicted": (0,), "true": (0,)}

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        average: Literal["binary", "macro", "micro", "weighted"] | None = "binary",
        zero_division: float = 0.0,
        threshold: float | None = None,
        classes: int | None = None,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        if average == "binary" and classes is None:
            classes = 2
        super().__init__(
            prediction, target, threshold=threshold, classes=classes, weight=weight, name=name
        )
        if average not in AVERAGES:
            raise ArgumentError(
                f"{self}: average must be one of {', '.join(map(repr, AVERAGES))}, "
                f"{average!r} came",
                hint="'macro' weighs classes equally, None gives one score for each",
            )
        if average == "binary" and classes != 2:
            raise ArgumentError(
                f"{self}: average='binary' is for 2 classes, {classes} came",
                hint="give average='macro', 'micro', 'weighted' or None",
            )
        number = isinstance(zero_division, int | float)
        if not (number and (zero_division in (0, 1) or math.isnan(zero_division))):
            raise ArgumentError(
                f"{self}: zero_division must be 0, 1 or nan, {zero_division!r} came",
                hint="give what a class scores that has nothing to divide by",
            )
        self.average = average
        self.zero_division = zero_division

    @abstractmethod
    def fraction(self, hits: Floats, predicted: Floats, true: Floats) -> tuple[Floats, Floats]:
        """Numerator and denominator of each class's score."""

    def _remedy(self, classes: int) -> str:
        """What to do where another number of classes came."""
        if self.average == "binary":
            return "give average='macro', 'micro', 'weighted' or None"
        return super()._remedy(classes)

    def measure(self, *arrays: Array) -> State:
        """For each class, the weight of samples rightly predicted, predicted and true."""
        predicted, true, weights, classes = self.chosen(*arrays)
        hit = predicted == true
        return {
            "hits": _tally(true[hit], weights[hit], classes),
            "predicted": _tally(predicted, weights, classes),
            "true": _tally(true, weights, classes),
        }

    def result(self) -> float | Floats:
        """The averaged score, nan before the first sample; an array of (C,) for average=None."""
        state = self.state()
        part, whole = self.fraction(**state)
        if not state["true"].any():
            return math.nan if self.average is not None else np.full(part.shape, math.nan)
        if self.average == "micro":
            return float(ratio(part.sum(), whole.sum(), self.zero_division))
        scores = ratio(part, whole, self.zero_division)
        if self.average is None:
            return scores
        if self.average == "binary":
            return float(scores[1])
        occurs = (state["predicted"] + state["true"] > 0).astype(np.float64)
        weights = state["true"] if self.average == "weighted" else occurs
        counted = ~np.isnan(scores)
        scores, weights = scores[counted], weights[counted]
        # Every class that has a weight may score nan: the plain mean of the others is left then.
        weights = weights if weights.any() else np.ones_like(weights)
        return float(ratio(scores @ weights, weights.sum()))


class Precision(_ClassScore):
    """Of the samples predicted to be of a class, the share that is: hits / predicted.

    Classes that occur neither as a prediction nor as a target have no part in 'macro'.
    Scores that are nan by ``zero_division`` are left out of averages.

    Args:
        prediction: As for ``Accuracy``.
        target: As for ``Accuracy``.
        average: 'binary' for the score of class 1 of two classes; 'macro' for the mean over
            classes; 'weighted' for the mean weighted by how often a class is true; 'micro' for
            the score of all classes' counts together; None for an array of each class's score.
        zero_division: The score of a class that has nothing to divide by: 0, 1 or nan.
        threshold: As for ``Accuracy``.
        classes: The number of classes; needed where predictions are numbers of more than two.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> precision = ms.metrics.Precision(score, label)
        >>> precision.update(np.array([0.9, 0.2, 0.7, 0.6]), np.array([1, 1, 0, 0]))
        >>> precision.update(np.array([0.8]), np.array([1]))
        >>> precision.result()
        0.5
    """

    def fraction(self, hits: Floats, predicted: Floats, true: Floats) -> tuple[Floats, Floats]:
        """Hits over what was predicted."""
        return hits, predicted


class Recall(_ClassScore):
    """Of the samples that are of a class, the share predicted to be: hits / true.

    Args: as for ``Precision``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> recall = ms.metrics.Recall(score, label, average=None)
        >>> recall.update(np.array([0.9, 0.2, 0.7]), np.array([1, 1, 0]))
        >>> recall.result()
        array([0. , 0.5])
    """

    def fraction(self, hits: Floats, predicted: Floats, true: Floats) -> tuple[Floats, Floats]:
        """Hits over what is true."""
        return hits, true


class F1(_ClassScore):
    """The harmonic mean of precision and recall: 2 hits / (predicted + true).

    Args: as for ``Precision``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> f1 = ms.metrics.F1(score, label, average="micro")
        >>> f1.update(np.array([0.9, 0.2, 0.7, 0.8]), np.array([1, 1, 0, 1]))
        >>> f1.result()
        0.5
    """

    def fraction(self, hits: Floats, predicted: Floats, true: Floats) -> tuple[Floats, Floats]:
        """Twice the hits over the sum of what was predicted and what is true."""
        return 2 * hits, predicted + true


def _tally(numbers: NDArray[np.int64], weights: Floats, count: int) -> Floats:
    """The weight of each number from 0 to count - 1."""
    return np.bincount(numbers, weights, minlength=count).astype(np.float64, copy=False)
