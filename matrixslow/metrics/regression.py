"""How far predicted values are from the true ones."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from matrixslow.metrics.average import Average
from matrixslow.metrics.metric import Array, Floats, Layout, Metric, State, ratio
from matrixslow.metrics.samples import paired, require_finite, weighted


class _Errors(Average):
    """An average over the errors of all values."""

    def errors(self, *arrays: Array) -> tuple[Floats, Floats]:
        """Prediction - target and the weight, of each value of a batch."""
        prediction, target, weight = paired(self, *arrays)
        weights, prediction, target = weighted(self, target.shape, weight, prediction, target)
        require_finite(self, prediction=prediction, target=target)
        return prediction - target, weights


class MeanSquaredError(_Errors):
    """mean((prediction - target)**2), over all values; nan before the first.

    Args:
        prediction: The predicted values.
        target: The true values.
        weight: As for ``Metric``; it may also hold one weight for each value.
        name: As for ``Metric``.

    Shapes: prediction and target alike, (N, ...); (N, 1) fits (N,).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> error = ms.metrics.MeanSquaredError(guess, truth)
        >>> error.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        >>> error.result()
        2.0
    """

    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """Each squared error."""
        errors, weights = self.errors(*arrays)
        return errors**2, weights


class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((prediction - target)**2)), one root over all values; nan before the first.

    Args: as for ``MeanSquaredError``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> error = ms.metrics.RootMeanSquaredError(guess, truth)
        >>> error.update(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        >>> error.result()
        2.0
    """

    def result(self) -> float:
        """The root of the average; nan before the first value."""
        return math.sqrt(super().result())


class MeanAbsoluteError(_Errors):
    """mean(abs(prediction - target)), over all values; nan before the first.

    Args: as for ``MeanSquaredError``.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> error = ms.metrics.MeanAbsoluteError(guess, truth)
        >>> error.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
        >>> error.result()
        1.0
    """

    def values(self, *arrays: Array) -> tuple[Array, Floats]:
        """Each error's size."""
        errors, weights = self.errors(*arrays)
        return np.abs(errors), weights


class R2(Metric):
    """1 - sum((target - prediction)**2) / sum((target - mean(target))**2), the mean over outputs.

    The share of the target's variance that is explained. An output whose target never varies
    scores 1 if all predictions hit it and 0 if not, as in scikit-learn. nan before the second
    sample. The squares are taken about the mean, which moves with the samples (Chan's method):
    a target far from zero loses no digits.

    Args:
        prediction: The predicted values.
        target: The true values.
        weight: As for ``Metric``.
        name: As for ``Metric``.

    Shapes: prediction and target alike, (N,) or (N, ..., outputs); (N, 1) fits (N,). All axes
    but the outputs are samples.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979).

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> r2 = ms.metrics.R2(guess, truth)
        >>> r2.update(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        >>> r2.result()
        0.5
    """

    layout: ClassVar[Layout] = {
        "samples": (),
        "weight": (),
        "mean": (0,),
        "scatter": (0,),
        "error": (0,),
    }

    def measure(self, *arrays: Array) -> State:
        """Count, weight, mean of the target, scatter about it and squared error of a batch."""
        prediction, target, weight = paired(self, *arrays)
        if target.ndim == 1:
            prediction, target = prediction[:, None], target[:, None]
        weights, prediction, target = weighted(self, target.shape[:-1], weight, prediction, target)
        require_finite(self, prediction=prediction, target=target)
        mean, scatter = _spread(weights, target)
        return {
            "samples": np.float64(len(weights)),
            "weight": weights.sum(),
            "mean": mean,
            "scatter": scatter,
            "error": weights @ (prediction - target) ** 2,
        }

    def join(self, *states: State) -> State:
        """The sums, and the scatter about the common mean."""
        seen = [state for state in states if state["weight"] > 0]
        joined = super().join(*seen)
        if seen:
            joined["mean"], between = _spread(
                np.array([state["weight"] for state in seen]),
                np.array([state["mean"] for state in seen]),
            )
            joined["scatter"] += between
        return joined

    def result(self) -> float:
        """The mean over outputs; nan before the second sample."""
        state = self.state()
        if state["samples"] < 2:
            return math.nan
        error, scatter = state["error"], state["scatter"]
        unexplained = np.where(scatter > 0, ratio(error, scatter), error > 0)
        return float(1 - unexplained.mean())


def _spread(weights: Floats, points: Floats) -> tuple[Floats, Floats]:
    """The weighted mean of points (M, outputs), and the sum of squares about it.

    The mean is reckoned from the first point, so that points that are all equal have exactly
    that mean and no scatter.
    """
    if not len(points):
        return np.zeros(points.shape[1]), np.zeros(points.shape[1])
    offset = points - points[0]
    shift = weights @ offset / weights.sum()
    return points[0] + shift, weights @ (offset - shift) ** 2
