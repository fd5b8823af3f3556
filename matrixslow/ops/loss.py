"""Losses that compare a prediction with a target element by element.

Each is wired from operators in a scope of its own; the last node has the loss's name. `reduction`
is "mean", "sum" or "none". With `weight`, one number for each sample, the mean divides by the sum
of the weights.
"""
# The functions stand beside the operators, under names like theirs.
# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.context import current_graph
from matrixslow.core.node import Node, Operand, operator
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.activation import Relu, Sigmoid, Softplus
from matrixslow.ops.comparison import LessOrEqual, Where
from matrixslow.ops.cross_entropy import REDUCTIONS
from matrixslow.ops.elementwise import FloatingElementwise, Identity
from matrixslow.ops.like import BroadcastLike
from matrixslow.ops.piecewise import Abs, Max
from matrixslow.ops.reduction import ReduceMean, ReduceSum
from matrixslow.ops.shaping import Unsqueeze


def MeanSquaredError(
    prediction: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """(prediction - target)**2.

    Shapes: prediction (batch, ...), target as prediction, weight (batch).

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((2,), name="x")
    ...     loss = ms.ops.MeanSquaredError(x, [0.0, 0.0])
    >>> graph.forward(loss, {x: [1.0, 3.0]})
    array(5., dtype=float32)
    """

    def each(x: Node, t: Node) -> Node:
        difference = x - t
        return difference * difference

    return _loss("meansquarederror", each, prediction, target, weight, reduction, name)


def MeanAbsoluteError(
    prediction: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """abs(prediction - target).

    Shapes: prediction (batch, ...), target as prediction, weight (batch).
    """
    return _loss(
        "meanabsoluteerror", lambda x, t: Abs(x - t), prediction, target, weight, reduction, name
    )


def Huber(
    prediction: Node,
    target: Operand,
    *,
    delta: float = 1.0,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """d**2 / 2 where d = abs(prediction - target) <= delta, else delta (d - delta / 2).

    Shapes: prediction (batch, ...), target as prediction, weight (batch).
    Raises: ArgumentError unless delta > 0.
    Source: Huber, "Robust Estimation of a Location Parameter" (1964).
    """
    if not delta > 0:
        raise ArgumentError(f"Huber: delta={delta}", hint="give a number above 0")

    def each(x: Node, t: Node) -> Node:
        d = Abs(x - t)
        return Where(LessOrEqual(d, delta), 0.5 * d * d, delta * (d - 0.5 * delta))

    return _loss("huber", each, prediction, target, weight, reduction, name)


class EntropyOfProbability(FloatingElementwise):
    """y = -(t log p + (1 - t) log(1 - p)), with logarithms no less than -100.

    The slope is (p - t) / (p (1 - p)), its divisor no less than 1e-12: PyTorch has these bounds.

    Shapes: p, t (any that broadcast), y their broadcast shape.
    """

    def compute(self, xp: ModuleType, p: Array, t: Array) -> Array:
        return -(t * xp.maximum(xp.log(p), -100.0) + (1 - t) * xp.maximum(xp.log1p(-p), -100.0))

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        p, t = self.inputs
        return upstream * (p - t) / Max(p * (1.0 - p), 1e-12), None


def BinaryCrossEntropy(
    probability: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """-(t log p + (1 - t) log(1 - p)); for scores use `BinaryCrossEntropyWithLogits`.

    Shapes: probability (batch, ...) in 0 to 1, target as probability, weight (batch).
    """
    return _loss(
        "binarycrossentropy", EntropyOfProbability, probability, target, weight, reduction, name
    )


def BinaryCrossEntropyWithLogits(
    score: Node,
    target: Operand,
    *,
    positive_weight: float = 1.0,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """positive_weight t softplus(-x) + (1 - t) softplus(x): the sigmoid is inside, and stable.

    Shapes: score (batch, ...), target as score, weight (batch).

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((1,), name="x")
    ...     loss = ms.ops.BinaryCrossEntropyWithLogits(x, [1.0])
    >>> graph.forward(loss, {x: [-1000.0]})
    array(1000., dtype=float32)
    """

    def each(x: Node, t: Node) -> Node:
        positive = t * Softplus(-x)
        return (positive if positive_weight == 1.0 else positive_weight * positive) + (
            1.0 - t
        ) * Softplus(x)

    return _loss("binarycrossentropywithlogits", each, score, target, weight, reduction, name)


def KLDivergence(
    log_probability: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """sum_c t_c (log t_c - log p_c) over the last axis, a value for each sample; 0 log 0 is 0.

    Shapes: log_probability (batch, ..., classes), target as log_probability, weight (batch).
    """

    def each(x: Node, t: Node) -> Node:
        return ReduceSum(EntropyOfTarget(t) - t * x, axes=(-1,), keepdims=False)

    return _loss("kldivergence", each, log_probability, target, weight, reduction, name)


class EntropyOfTarget(FloatingElementwise):
    """y = t log t, and 0 where t is 0.

    Shapes: t (any), y as t.
    """

    def compute(self, xp: ModuleType, t: Array) -> Array:
        return t * xp.log(xp.where(t > 0, t, 1))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (t,) = self.inputs
        return (upstream * (operator("Log")(t) + 1.0),)


def Hinge(
    score: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """max(0, 1 - t x), for targets of -1 and 1.

    Shapes: score (batch, ...), target as score, weight (batch).
    """
    return _loss("hinge", lambda x, t: Relu(1.0 - t * x), score, target, weight, reduction, name)


def LogLoss(
    score: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """log(1 + exp(-t x)), for targets of -1 and 1.

    Shapes: score (batch, ...), target as score, weight (batch).
    """
    return _loss("logloss", lambda x, t: Softplus(-(t * x)), score, target, weight, reduction, name)


def PerceptronLoss(
    score: Node,
    target: Operand,
    *,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """max(0, -t x), for targets of -1 and 1.

    Shapes: score (batch, ...), target as score, weight (batch).
    Source: Rosenblatt, "The Perceptron" (1958).
    """
    return _loss(
        "perceptronloss", lambda x, t: Relu(-(t * x)), score, target, weight, reduction, name
    )


def Focal(
    score: Node,
    target: Operand,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Node | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """-A (1 - q)**gamma log q, q the probability of the true class; for targets of 0 and 1.

    A is alpha where the target is 1, and 1 - alpha where it is 0. The sigmoid is inside.

    Shapes: score (batch, ...), target as score, weight (batch).
    Source: Lin et al., "Focal Loss for Dense Object Detection" (2017), equation 5.
    """

    def each(x: Node, t: Node) -> Node:
        z = x * (2.0 * t - 1.0)
        balance = alpha * t + (1.0 - alpha) * (1.0 - t)
        return balance * Sigmoid(-z) ** gamma * Softplus(-z)

    return _loss("focal", each, score, target, weight, reduction, name)


def _loss(
    default: str,
    each: Callable[[Node, Node], Node],
    prediction: Node,
    target: Operand,
    weight: Node | None,
    reduction: str,
    name: str | None,
) -> Node:
    """The loss of each element, weighted and reduced, under one name."""
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            f"{default}: reduction={reduction!r} is unknown",
            hint=f"one of {', '.join(map(repr, REDUCTIONS))}",
        )
    graph = prediction.graph if isinstance(prediction, Node) else current_graph()
    with graph, graph.scope(name or default, unique=name is None) as full:
        wanted = target if isinstance(target, Node) else _beside(prediction, target)
        _check_shapes(default, prediction, wanted)
        values = each(prediction, wanted)
        weights = None if weight is None else _aligned(weight, values)
        if weights is not None:
            values = values * weights
        last = full.rpartition("/")[2]
        if reduction == "none":
            return Identity(values, name=last)
        if reduction == "sum":
            return ReduceSum(values, keepdims=False, name=last)
        if weights is None:
            return ReduceMean(values, keepdims=False, name=last)
        return operator("Div")(
            ReduceSum(values, keepdims=False), ReduceSum(weights, keepdims=False), name=last
        )


def _beside(prediction: Node, target: Operand) -> Node:
    return operator("Constant")(target, dtype=prediction.dtype)


def _check_shapes(loss: str, prediction: Node, target: Node) -> None:
    """A target that would be stretched over the prediction is a mistake, not a wish."""
    same = prediction.ndim == target.ndim and all(
        size == other or None in (size, other)
        for size, other in zip(prediction.shape, target.shape, strict=True)
    )
    if not same:
        raise ShapeError(
            f"{loss}: the prediction has shape {prediction.shape}, the target {target.shape}",
            rows=(
                f"prediction  {prediction!r}   {prediction.site}",
                f"target      {target!r}   {target.site}",
            ),
            hint="give both one shape: ms.ops.Reshape, ms.ops.Squeeze or ms.ops.Unsqueeze",
        )


def _aligned(weight: Node, values: Node) -> Node:
    """One weight for each sample, stretched over the values of the sample."""
    axes = tuple(range(weight.ndim, values.ndim))
    return BroadcastLike(Unsqueeze(weight, axes=axes) if axes else weight, values)
