"""Losses that compare a prediction with a target, element by element.

Each is a function that wires operators in a scope of its own; the node it returns has the scope's
name. What they share:

- `target` has the shape and dtype of the prediction. It is never stretched: a column beside a row
  is a mistake, not a wish.
- `weight` is a number for each sample: its axes are the first ones of the losses.
- `reduction` is "mean" (a scalar: the sum divided by the number of losses, or by the sum of their
  weights), "sum" (a scalar) or "none" (every loss, times its weight).
"""
# The functions stand beside the operators, under names like theirs.
# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.leaf import Constant
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, floating_dtype
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.activation import Relu, Sigmoid, Softplus
from matrixslow.ops.comparison import Greater, Where
from matrixslow.ops.cross_entropy import REDUCTIONS
from matrixslow.ops.elementwise import Elementwise, FloatingElementwise, Identity
from matrixslow.ops.like import BroadcastLike
from matrixslow.ops.options import may_equal
from matrixslow.ops.piecewise import Abs, Clip
from matrixslow.ops.powers import Log, Log1p
from matrixslow.ops.reduction import ReduceMean, ReduceSum
from matrixslow.ops.shaping import Unsqueeze


def MeanSquaredError(
    prediction: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = (prediction - target)**2.

    Args:
        prediction: What is judged.
        target: What is true.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: prediction (batch, ...), target as prediction, weight (batch) or (batch, ...); loss ()
        for "mean" and "sum", as prediction for "none".

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.MeanSquaredError(ms.Constant([1.0, 3.0]), [0.0, 0.0]))
    array(5., dtype=float32)
    """

    def each(x: Node, t: Node) -> Node:
        difference = x - t
        return difference * difference

    return _loss("MeanSquaredError", each, prediction, target, weight, reduction, name)


def MeanAbsoluteError(
    prediction: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = |prediction - target|, with slope 0 where they are equal.

    Args:
        prediction: What is judged.
        target: What is true.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: prediction (batch, ...), target as prediction, weight (batch) or (batch, ...); loss ()
        for "mean" and "sum", as prediction for "none".

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.MeanAbsoluteError(ms.Constant([1.0, 3.0]), [0.0, 0.0]))
    array(2., dtype=float32)
    """
    return _loss(
        "MeanAbsoluteError", lambda x, t: Abs(x - t), prediction, target, weight, reduction, name
    )


def Huber(
    prediction: Node,
    target: Operand,
    *,
    delta: float = 1.0,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = d**2 / 2 for d = |prediction - target| <= delta, delta * (d - delta / 2) beyond.

    With c as the difference held between -delta and delta, both are c * (difference - c / 2).

    Args:
        prediction: What is judged.
        target: What is true.
        delta: Up to which difference the loss is quadratic.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: prediction (batch, ...), target as prediction, weight (batch) or (batch, ...); loss ()
        for "mean" and "sum", as prediction for "none".

    Raises:
        ArgumentError: delta is not above 0.
    Source: P. Huber, "Robust estimation of a location parameter" (1964).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Huber(ms.Constant([1.0, 3.0]), [0.0, 0.0]))
    array(1.5, dtype=float32)
    """
    if not delta > 0.0:
        raise ArgumentError(f"Huber: delta={delta}", hint="give a number above 0")

    def each(x: Node, t: Node) -> Node:
        difference = x - t
        held = Clip(difference, min=-delta, max=delta)
        return held * (difference - 0.5 * held)

    return _loss("Huber", each, prediction, target, weight, reduction, name)


def BinaryCrossEntropy(
    probability: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = -(target * log(probability) + (1 - target) * log(1 - probability)).

    The logarithms are at least -100, so that a loss is at most 100, as in PyTorch. Scores are
    better given to `BinaryCrossEntropyWithLogits`, which has no such bound.

    Args:
        probability: Of the class 1: what is judged.
        target: 0 or 1, or a probability.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: probability (batch, ...), target as probability, weight (batch) or (batch, ...); loss
        () for "mean" and "sum", as probability for "none".

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.BinaryCrossEntropy(ms.Constant([0.0, 1.0]), [1.0, 1.0]))
    array(50., dtype=float32)
    """
    return _loss("BinaryCrossEntropy", BinaryEntropy, probability, target, weight, reduction, name)


def BinaryCrossEntropyWithLogits(
    score: Node,
    target: Operand,
    *,
    positive_weight: float = 1.0,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = positive_weight * target * softplus(-score) + (1 - target) * softplus(score).

    It is the binary cross entropy of sigmoid(score), exact for every score.

    Args:
        score: What is judged: the logit of the class 1.
        target: 0 or 1, or a probability.
        positive_weight: The weight of the class 1 beside that of the class 0, which is 1. It does
            not enter what a mean is divided by.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: score (batch, ...), target as score, weight (batch) or (batch, ...); loss () for "mean"
        and "sum", as score for "none".

    >>> with ms.Graph() as graph:
    ...     score = ms.Constant([-1000.0, 1000.0])
    ...     graph.forward(ms.ops.BinaryCrossEntropyWithLogits(score, [1.0, 1.0]))
    array(500., dtype=float32)
    """

    def each(x: Node, t: Node) -> Node:
        share = t if positive_weight == 1.0 else positive_weight * t
        return share * Softplus(-x) + (1.0 - t) * Softplus(x)

    return _loss("BinaryCrossEntropyWithLogits", each, score, target, weight, reduction, name)


def Focal(
    score: Node,
    target: Operand,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = -a * (1 - q)**gamma * log(q), where sigmoid(score) gives the true class q.

    What is judged well already counts little. The factor a is alpha for the class 1, 1 - alpha for
    the class 0.

    Args:
        score: What is judged: the logit of the class 1.
        target: 0 or 1.
        gamma: How fast the weight of what is judged well falls.
        alpha: The share of the class 1 in the loss.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: score (batch, ...), target as score, weight (batch) or (batch, ...); loss () for "mean"
        and "sum", as score for "none".
    Source: T. Lin et al., "Focal loss for dense object detection" (2017), equation 5.

    >>> with ms.Graph() as graph:
    ...     score = ms.Constant([0.0, 1000.0])
    ...     graph.forward(ms.ops.Focal(score, [1.0, 1.0], reduction="none")).round(4)
    array([0.0433, 0.    ], dtype=float32)
    """

    def each(x: Node, t: Node) -> Node:
        against = x * (1.0 - 2.0 * t)  # the logit of the wrong class
        share = alpha * t + (1.0 - alpha) * (1.0 - t)
        return share * Sigmoid(against) ** gamma * Softplus(against)

    return _loss("Focal", each, score, target, weight, reduction, name)


def KLDivergence(
    log_probability: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = the sum over the last axis of target * (log(target) - log_probability).

    Where the target is 0, so is the term. There is one loss for each row, so that the mean is the
    mean over rows (PyTorch calls it "batchmean").

    Args:
        log_probability: Logarithms of probabilities, as of `LogSoftmax`: what is judged.
        target: Probabilities.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: log_probability (batch, ..., classes), target as log_probability, weight (batch) or
        (batch, ...); loss () for "mean" and "sum", (batch, ...) for "none".

    >>> with ms.Graph() as graph:
    ...     logarithms = ms.ops.LogSoftmax([[0.0, 0.0]])
    ...     graph.forward(ms.ops.KLDivergence(logarithms, [[0.0, 1.0]])).round(4)
    np.float32(0.6931)
    """

    def each(x: Node, t: Node) -> Node:
        logarithm = Log(Where(Greater(t, 0.0), t, 1.0))
        return ReduceSum(t * (logarithm - x), axes=-1, keepdims=False)

    return _loss("KLDivergence", each, log_probability, target, weight, reduction, name)


def Hinge(
    score: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = max(0, 1 - target * score), for targets of -1 and 1.

    Args:
        score: What is judged: its sign decides.
        target: -1 or 1.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: score (batch, ...), target as score, weight (batch) or (batch, ...); loss () for "mean"
        and "sum", as score for "none".

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Hinge(ms.Constant([-1.0, 3.0]), [1.0, 1.0]))
    array(1., dtype=float32)
    """
    return _loss("Hinge", lambda x, t: Relu(1.0 - t * x), score, target, weight, reduction, name)


def LogLoss(
    score: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = log(1 + e ** (-target * score)), for targets of -1 and 1, without overflow.

    Args:
        score: What is judged: its sign decides.
        target: -1 or 1.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: score (batch, ...), target as score, weight (batch) or (batch, ...); loss () for "mean"
        and "sum", as score for "none".

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.LogLoss(ms.Constant([-1000.0, 1000.0]), [1.0, 1.0]))
    array(500., dtype=float32)
    """
    return _loss("LogLoss", lambda x, t: Softplus(-(t * x)), score, target, weight, reduction, name)


def PerceptronLoss(
    score: Node,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    name: str | None = None,
) -> Node:
    """Loss = max(0, -target * score), for targets of -1 and 1.

    Args:
        score: What is judged: its sign decides.
        target: -1 or 1.
        weight: The weight of each sample.
        reduction: "mean", "sum" or "none".
        name: Of the loss, and of the scope that its parts are built in.

    Shapes: score (batch, ...), target as score, weight (batch) or (batch, ...); loss () for "mean"
        and "sum", as score for "none".
    Source: F. Rosenblatt, "The perceptron" (1958).

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.PerceptronLoss(ms.Constant([-1.0, 3.0]), [1.0, 1.0]))
    array(0.5, dtype=float32)
    """
    return _loss(
        "PerceptronLoss", lambda x, t: Relu(-(t * x)), score, target, weight, reduction, name
    )


class BinaryEntropy(FloatingElementwise):
    """y = -(t * log(p) + (1 - t) * log(1 - p)), with logarithms of at least -100.

    The slope is (p - t) / (p * (1 - p)), whose divisor is at least 1e-12: both bounds are
    PyTorch's.

    Shapes: p, t (any that broadcast), y their broadcast shape.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.BinaryEntropy([0.5, 0.0], 1.0)).round(3)
    array([  0.693, 100.   ], dtype=float32)
    """

    def compute(self, xp: ModuleType, p: Array, t: Array) -> Array:
        one, other = xp.maximum(xp.log(p), -100.0), xp.maximum(xp.log1p(-p), -100.0)
        return -(t * one + (1.0 - t) * other)

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        p, t = self.inputs
        one, other = Clip(Log(p), min=-100.0), Clip(Log1p(-p), min=-100.0)
        return upstream * (p - t) / Clip(p * (1.0 - p), min=1e-12), upstream * (other - one)


class Target(Elementwise):
    """y = target, held to the shape and dtype of the prediction that it is compared with.

    Raises:
        ShapeError: The shapes differ.
        DTypeError: The dtypes differ, or are not floating-point.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Target([1, 0], ms.Constant([0.9, 0.2])))
    array([1., 0.], dtype=float32)
    """

    broadcasts = False

    def infer(self, *specs: Spec) -> Spec:
        target, prediction = specs
        dtype = floating_dtype(target, prediction)
        if not may_equal(target.shape, prediction.shape):
            raise ShapeError(
                f"the target has shape {target.shape}, the prediction {prediction.shape}",
                hint="give both one shape: ms.ops.Reshape, ms.ops.Squeeze or ms.ops.Unsqueeze",
            )
        return Spec(target.shape, dtype)

    def compute(self, xp: ModuleType, target: Array, prediction: Array) -> Array:
        return target

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return upstream, None


def _loss(
    kind: str,
    each: Callable[[Node, Node], Node],
    prediction: Node,
    target: Operand,
    weight: Operand | None,
    reduction: str,
    name: str | None,
) -> Node:
    """The losses of all elements, weighted and reduced, under one name."""
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            f"{kind}: reduction={reduction!r} is unknown",
            hint=f"one of {', '.join(map(repr, REDUCTIONS))}",
        )
    graph = prediction.graph
    with graph:
        with graph.scope(name or kind.lower(), unique=name is None) as full:
            losses = each(prediction, Target(target, prediction))
            if weight is not None:
                weights = _for_each(kind, weight, losses)
                if reduction == "mean":
                    total = ReduceSum(BroadcastLike(weights, losses), keepdims=False)
                    weights = weights / total
                losses = losses * weights
        name = name or full.rpartition("/")[2]
        if reduction == "none":
            return Identity(losses, name=name)
        if reduction == "mean" and weight is None:
            return ReduceMean(losses, keepdims=False, name=name)
        return ReduceSum(losses, keepdims=False, name=name)


def _for_each(kind: str, weight: Operand, losses: Node) -> Node:
    """The weights of samples with axes of size 1 behind, so that they stretch over the losses."""
    given = weight if isinstance(weight, Node) else Constant(weight, dtype=losses.dtype)
    if not may_equal(given.shape, losses.shape[: given.ndim]):
        raise ShapeError(
            f"{kind}: weights of shape {given.shape} do not fit losses of shape {losses.shape}",
            rows=(f"weight  {given!r}   {given.site}",),
            hint="give a weight for each sample: its axes are the first ones of the losses",
        )
    behind = range(given.ndim, losses.ndim)
    return Unsqueeze(given, axes=behind) if behind else given
