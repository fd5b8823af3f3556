"""A batch in one form: flat samples of a prediction, a target and a weight, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matrixslow.errors import ArgumentError, DTypeError, FeedError, ShapeError
from matrixslow.metrics.metric import Array, Floats, Metric


@dataclass(frozen=True, slots=True)
class Samples:
    """Classified samples.

    Attributes:
        prediction: Shape (M, C), a score for each class; or (M,), a score of class 1 if it holds
            floats, a class number if not.
        target: Shape (M,), class numbers.
        weight: Shape (M,), all above zero.
        classes: How many classes there are, or None where nothing says so.
    """

    prediction: Array
    target: NDArray[np.int64]
    weight: Floats
    classes: int | None


def classified(
    metric: Metric,
    prediction: Array,
    target: Array,
    weight: Array | None = None,
    *,
    classes: int | None = None,
    numbered: bool = True,
) -> Samples:
    """Read predictions of classes.

    Shapes: prediction (..., C) of float scores with C above 1, or (...) or (..., 1) of one score
    or class number each; target (...) or (..., 1) of class numbers, or one-hot rows (..., C).

    Args:
        metric: Who asks; errors name it.
        prediction: Scores, or class numbers if it holds integers or truth values.
        target: Class numbers or one-hot rows; of two classes, -1 and 1 serve for 0 and 1.
        weight: As in ``weighted``.
        classes: The number of classes where predictions are class numbers.
        numbered: Whether integers are class numbers; else they are scores.
    """
    require_real(metric, prediction=prediction, target=target)
    if not numbered and prediction.dtype.kind != "f":
        prediction = prediction.astype(np.float64)
    scored = prediction.dtype.kind == "f"
    by_class = scored and prediction.ndim > 1 and prediction.shape[-1] > 1
    if prediction.ndim > 1 and prediction.shape[-1] == 1:
        prediction = prediction[..., 0]
    shape = prediction.shape[:-1] if by_class else prediction.shape
    one_hot = by_class and target.shape == prediction.shape
    if target.shape == (*shape, 1):
        target = target[..., 0]
    if not shape or not (one_hot or target.shape == shape):
        rows = f", or one-hot rows of shape {prediction.shape}" if by_class else ""
        raise ShapeError(
            f"{metric}: one target is wanted for each sample",
            rows=_rows(prediction=prediction, target=target),
            hint=f"give class numbers of shape {shape}{rows}",
        )
    weights, prediction, target = weighted(metric, shape, weight, prediction, target)
    if scored:
        if np.isnan(prediction).any():
            raise FeedError(
                f"{metric}: scores must be numbers, the prediction holds nan",
                hint="find the first node that became nan: check the learning rate and the data",
            )
        classes = prediction.shape[1] if by_class else 2
    elif prediction.dtype.kind == "b":
        classes = 2
    else:
        prediction = _class_numbers(metric, "prediction", prediction, classes)
    if one_hot:
        target = _one_hot_rows(metric, target)
    elif prediction.ndim == 1 and classes == 2 and (target == -1).any():
        target = _signs(metric, target)
    else:
        target = _class_numbers(metric, "target", target, classes)
    return Samples(prediction, target, weights, classes)


def choose(metric: Metric, samples: Samples, threshold: float | None) -> NDArray[np.int64]:
    """The class that is predicted for each sample: the best, or 1 where a score is above.

    Without a threshold it is 0.5, and the scores are held to be probabilities.
    """
    prediction = samples.prediction
    one_score = prediction.ndim == 1 and prediction.dtype.kind == "f"
    if threshold is not None and not one_score:
        came = f"scores of {samples.classes} classes" if prediction.ndim > 1 else "class numbers"
        raise ArgumentError(
            f"{metric}: a threshold needs one score for each sample, {came} came",
            hint="leave threshold out, or predict the score of class 1 alone",
        )
    if not one_score:
        return np.asarray(prediction if prediction.ndim == 1 else prediction.argmax(1), np.int64)
    if threshold is None:
        require_probabilities(metric, prediction, "give threshold=0.0 if these are logits")
    return (prediction > (0.5 if threshold is None else threshold)).astype(np.int64)


def require_probabilities(metric: Metric, scores: Array, hint: str) -> None:
    """Refuse scores below 0 or above 1."""
    outside = scores[(scores < 0) | (scores > 1)]
    if outside.size:
        raise FeedError(
            f"{metric}: scores from 0 to 1 are wanted, the prediction holds {outside[0]}",
            hint=hint,
        )


def paired(
    metric: Metric, prediction: Array, target: Array, weight: Array | None = None
) -> tuple[Floats, Floats, Array | None]:
    """Predicted and true values in float64 and in one shape; (N, 1) fits (N,)."""
    require_real(metric, prediction=prediction, target=target)
    if prediction.shape != target.shape:
        if prediction.shape == (*target.shape, 1):
            prediction = prediction[..., 0]
        elif target.shape == (*prediction.shape, 1):
            target = target[..., 0]
    if prediction.shape != target.shape or not target.shape:
        raise ShapeError(
            f"{metric}: prediction and target must have one shape, with a batch axis",
            rows=_rows(prediction=prediction, target=target),
            hint="reshape one of them: values are compared one by one, never broadcast",
        )
    return prediction.astype(np.float64), target.astype(np.float64), weight


def weighted(
    metric: Metric, shape: tuple[int, ...], weight: Array | None, *arrays: Array
) -> tuple[Array, ...]:
    """The weights and the arrays with the sample axes made one, less samples of weight zero.

    Shapes: shape (...) of the samples; weight as its first axes, such as (N,) for (N, T), and
    repeated along the rest; arrays (..., rest), and (M, rest) when returned.
    """
    count = math.prod(shape)
    flat = [array.reshape(count, *array.shape[len(shape) :]) for array in arrays]
    if weight is None:
        return np.ones(count), *flat
    require_real(metric, weight=weight)
    while weight.ndim > 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if weight.shape != shape[: weight.ndim]:
        shapes = " or ".join(str(shape[: axes + 1]) for axes in range(len(shape)))
        raise ShapeError(
            f"{metric}: one weight is wanted for each sample",
            rows=(f"samples  {shape}", f"weight   {weight.shape}"),
            hint=f"give weights of shape {shapes}",
        )
    weight = weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
    weights = np.broadcast_to(weight, shape).reshape(count).astype(np.float64)
    bad = weights[~(np.isfinite(weights) & (weights >= 0))]
    if bad.size:
        raise FeedError(
            f"{metric}: weights must be finite and not negative, {bad[0]} came",
            hint="give weight 0 to samples that do not count",
        )
    counts = weights > 0
    if counts.all():
        return weights, *flat
    return weights[counts], *(array[counts] for array in flat)


def require_real(metric: Metric, **arrays: Array) -> None:
    """Refuse text, complex numbers and objects, by the name of the array."""
    for role, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise DTypeError(
                f"{metric}: real numbers are wanted, the {role} is of {array.dtype}",
                hint="feed integers or floats",
            )


def require_finite(metric: Metric, **arrays: Array) -> None:
    """Refuse nan and infinities, by the name of the array."""
    for role, array in arrays.items():
        bad = array[~np.isfinite(array)]
        if bad.size:
            raise FeedError(
                f"{metric}: values must be finite, the {role} holds {bad[0]}",
                hint="find the first node that became so: check the learning rate and the data",
            )


def _class_numbers(
    metric: Metric, role: str, array: Array, classes: int | None
) -> NDArray[np.int64]:
    bad = array < 0
    if classes is not None:
        bad |= array >= classes
    if array.dtype.kind == "f":
        bad |= array != np.floor(array)
    if bad.any():
        wanted = "from 0" if classes is None else f"from 0 to {classes - 1}"
        raise FeedError(
            f"{metric}: class numbers {wanted} are wanted, the {role} holds {array[bad][0]}",
            hint="number the classes from 0; give weight 0 to samples that do not count",
        )
    return array.astype(np.int64)


def _one_hot_rows(metric: Metric, rows: Array) -> NDArray[np.int64]:
    good = ((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1)
    if not good.all():
        raise FeedError(
            f"{metric}: one-hot rows hold one 1 and else 0, "
            f"the target holds {np.array2string(rows[~good][0], threshold=8)}",
            hint="give class numbers, such as the ArgMax of soft targets; "
            "for yes-or-no scores, add a last axis of 1 to the prediction",
        )
    return np.asarray(rows.argmax(axis=1), np.int64)


def _signs(metric: Metric, target: Array) -> NDArray[np.int64]:
    bad = target[np.abs(target) != 1]
    if bad.size:
        raise FeedError(
            f"{metric}: targets beside -1 must be -1 or 1, the target holds {bad[0]}",
            hint="use 0 and 1 or -1 and 1, not a mixture",
        )
    return (target > 0).astype(np.int64)


def _rows(**arrays: Array) -> tuple[str, ...]:
    return tuple(f"{role:<10}  {array.shape} {array.dtype}" for role, array in arrays.items())
