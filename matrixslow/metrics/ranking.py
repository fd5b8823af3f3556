"""What is known from ranking samples by the score of one class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from matrixslow.errors import ShapeError
from matrixslow.metrics.metric import Array, Floats, Layout, Metric, State, at_least, ratio
from matrixslow.metrics.samples import classified, require_probabilities

if TYPE_CHECKING:
    from matrixslow.core.node import Node


class _Ranking(Metric):
    """The weight of positive and of negative samples at each distinct score, in rising order."""

    layout: ClassVar[Layout] = {"scores": (0,), "positives": (0,), "negatives": (0,)}
    options = ("bins",)

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        bins: int | None = None,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(prediction, target, weight=weight, name=name)
        self.bins = None if bins is None else at_least(self, "bins", bins, 2)

    def measure(self, *arrays: Array) -> State:
        """The score of each sample of a batch, and its weight by class."""
        samples = classified(self, *arrays, numbered=False)
        if samples.prediction.ndim > 1:
            raise ShapeError(
                f"{self}: one score for each sample is wanted, scores of "
                f"{samples.classes} classes came",
                hint="predict the score of class 1, such as Softmax(logits)[:, 1]",
            )
        scores = samples.prediction.astype(np.float64)
        if self.bins is not None:
            require_probabilities(self, scores, "predict the Sigmoid of logits, or leave bins out")
            # The middle of the bin; a score of 1 belongs to the last one.
            scores = (np.minimum(np.floor(scores * self.bins), self.bins - 1) + 0.5) / self.bins
        return {
            "scores": scores,
            "positives": samples.weight * samples.target,
            "negatives": samples.weight * (1 - samples.target),
        }

    def join(self, *states: State) -> State:
        """All scores once each, with the weights of equal ones added."""
        every = {key: np.concatenate([state[key] for state in states]) for key in self.layout}
        scores, places = np.unique(every["scores"], return_inverse=True)
        return {
            "scores": scores,
            "positives": np.bincount(places, every["positives"], minlength=len(scores)),
            "negatives": np.bincount(places, every["negatives"], minlength=len(scores)),
        }

    def state(self) -> dict[str, Floats]:
        """A copy of all that was gathered, as arrays that can be sent or saved."""
        self._settle()
        return super().state()

    def reset(self) -> None:
        """Forget all samples."""
        super().reset()
        self._waiting: list[State] = []
        self._patience = 0

    def _add(self, state: State) -> None:
        # Sorting for every batch would take quadratic time in all: let batches wait until they
        # hold as much as what is sorted.
        self._waiting.append(state)
        self._patience -= len(state["scores"])
        if self._patience < 0:
            self._settle()

    def _settle(self) -> None:
        self._state = self.join(self._state, *self._waiting)
        self._waiting = []
        self._patience = max(len(self._state["scores"]), 2**16)

    def _falling(self) -> tuple[Floats, Floats, Floats]:
        """Scores from the highest, and the weight of positives and negatives at or above each."""
        state = self.state()
        return (
            state["scores"][::-1],
            np.cumsum(state["positives"][::-1]),
            np.cumsum(state["negatives"][::-1]),
        )


class AUC(_Ranking):
    """The chance that a positive sample scores above a negative one; equal scores count half.

    This is the area under the ROC curve. It is exact: every distinct score is kept, with the
    weights of the samples that share it (24 bytes a score). nan where a class is missing.

    Args:
        prediction: One score for each sample, higher for class 1: a probability or any other.
        target: 0 and 1, or -1 and 1.
        bins: Round scores, which must then lie in 0 to 1, to the middle of one of so many equal
            bins: the memory is bounded, and samples in one bin count as equal.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Shapes: prediction and target (...) or (..., 1).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> auc = ms.metrics.AUC(score, label)
        >>> auc.update(np.array([0.9, 0.4]), np.array([1, 0]))
        >>> auc.update(np.array([0.4, 0.1]), np.array([1, 0]))
        >>> auc.result()
        0.875
    """

    def result(self) -> float:
        """The area; nan where there is no positive or no negative sample."""
        state = self.state()
        positives, negatives = state["positives"], state["negatives"]
        below = np.cumsum(negatives) - negatives / 2
        return float(ratio(positives @ below, positives.sum() * negatives.sum()))


class PrecisionRecallAUC(_Ranking):
    """Average precision: sum((recall[n] - recall[n-1]) * precision[n]) over falling scores.

    The area under the precision-recall curve taken as steps, as in scikit-learn's
    ``average_precision_score``; straight lines between the points would promise too much.
    nan where there is no positive sample.

    Args: as for ``AUC``.

    Source: Davis and Goadrich, "The relationship between precision-recall and ROC curves" (2006).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> area = ms.metrics.PrecisionRecallAUC(score, label)
        >>> area.update(np.array([0.9, 0.4, 0.3, 0.2]), np.array([1, 0, 0, 1]))
        >>> area.result()
        0.75
    """

    def result(self) -> float:
        """The average precision; nan where there is no positive sample."""
        _, positives, negatives = self._falling()
        steps = np.diff(positives, prepend=0.0)
        return float(ratio(steps @ ratio(positives, positives + negatives), steps.sum()))


class RocCurve(_Ranking):
    """The rates of true and of false positives at every threshold, from the highest.

    Args: as for ``AUC``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
        >>> roc = ms.metrics.RocCurve(score, label)
        >>> roc.update(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 0, 1, 0]))
        >>> curve = roc.result()
        >>> curve["thresholds"]
        array([inf, 0.9, 0.4, 0.1])
        >>> curve["false_positive_rate"]
        array([0. , 0. , 0.5, 1. ])
        >>> curve["true_positive_rate"]
        array([0. , 0.5, 1. , 1. ])
    """

    def result(self) -> dict[str, Array]:
        """Arrays of the keys false_positive_rate, true_positive_rate and thresholds.

        A sample is positive if its score is at least the threshold. The first threshold is
        infinite; each distinct score follows. A rate is nan where its class is missing.
        """
        scores, positives, negatives = self._falling()
        positives, negatives = np.append(0.0, positives), np.append(0.0, negatives)
        return {
            "false_positive_rate": ratio(negatives, negatives[-1]),
            "true_positive_rate": ratio(positives, positives[-1]),
            "thresholds": np.append(np.inf, scores),
        }
