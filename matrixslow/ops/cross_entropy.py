"""Cross entropy between scores of classes and the classes that are true."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.leaf import Input
from matrixslow.core.node import Node, Operand, operator
from matrixslow.core.spec import Spec, floating_dtype
from matrixslow.errors import ArgumentError, DTypeError, ShapeError
from matrixslow.ops.options import as_choice, may_equal
from matrixslow.ops.reduction import ReduceSum
from matrixslow.ops.shaping import Unsqueeze

REDUCTIONS = ("mean", "sum", "none")


class ClassLoss(Node):
    """Base of the losses that compare scores of classes with targets.

    Args:
        scores: What is judged, with the classes along axis 1.
        target: Class numbers, or the probability of each class.
        weight: The weight of each sample; data, not something with a slope.
        class_weight: The weight of each class.
        ignore_index: The class number that marks samples to pass over.
        label_smoothing: The share of the target that is spread over all classes.
        reduction: "mean", "sum" or "none". The mean over class numbers is weighted: it divides by
            the weights of the samples' own classes, as PyTorch does. The mean over probabilities
            divides by the number of samples, or by the sum of their weights.
        name: Unique in the graph.
    """

    def __init__(
        self,
        scores: Operand,
        target: Operand,
        weight: Operand | None = None,
        *,
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        name: str | None = None,
    ) -> None:
        self.class_weight = None if class_weight is None else tuple(map(float, class_weight))
        self.ignore_index = None if ignore_index is None else int(ignore_index)
        self.label_smoothing = float(label_smoothing)
        self.reduction = as_choice(self, "reduction", reduction, REDUCTIONS)
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise ArgumentError(
                f"{type(self).__name__}: label_smoothing={label_smoothing}",
                hint="give a share between 0 and 1",
            )
        super().__init__(
            *((scores, target) if weight is None else (scores, target, weight)), name=name
        )
        classes = self.inputs[0].shape[1]
        label = self.inputs[1]
        if isinstance(label, Input) and label.dtype.kind in "iu" and classes is not None:
            label.limit(0, classes, self, besides=self.ignore_index)

    def infer(self, scores: Spec, target: Spec, weight: Spec | None = None) -> Spec:
        dtype = floating_dtype(scores)
        if scores.ndim < 2:
            raise ShapeError(
                f"scores of shape {scores.shape} have no axis of classes",
                hint="give {scores} the shape (batch, classes, ...)",
            )
        each = (scores.shape[0], *scores.shape[2:])
        _check_target(scores, target, each)
        if weight is not None and not (weight.dtype == dtype and may_equal(weight.shape, each)):
            raise ShapeError(
                f"weights {weight} do not fit samples {Spec(each, dtype)}",
                hint="give one weight for each sample, in the dtype of {scores}",
            )
        if self.class_weight is not None and scores.shape[1] not in (None, len(self.class_weight)):
            raise ShapeError(
                f"{len(self.class_weight)} class weights, {scores.shape[1]} classes",
                hint="give one weight for each class",
            )
        return self.shaped(scores, each)

    def shaped(self, scores: Spec, each: tuple[int | None, ...]) -> Spec:
        """The spec of the result, for samples of this shape."""
        return Spec(each if self.reduction == "none" else (), scores.dtype)

    def entropy(self, xp: ModuleType, logarithms: Array, shares: Array) -> Array:
        """The loss, from the logarithms of probabilities."""
        each = -(shares * logarithms).sum(axis=1)
        return each if self.reduction == "none" else each.sum(dtype=each.dtype)

    def shares(self) -> Node:
        """How much each class of each sample weighs in the loss, as a node."""
        return TargetShares(*self.inputs, **self.attributes)

    def spread(self, upstream: Node) -> Node:
        """The gradient of the loss with an axis of classes, to be stretched over it."""
        return Unsqueeze(upstream, axes=(1,)) if self.reduction == "none" else upstream


class TargetShares(ClassLoss):
    """How much the logarithm of each class's probability weighs in a loss.

    For class numbers it is one-hot, smoothed, weighted and divided as `ClassLoss` says.

    Shapes: scores (batch, classes, ...), target (batch, ...) or as scores, y as scores.
    """

    gradient = None

    def shaped(self, scores: Spec, each: tuple[int | None, ...]) -> Spec:
        return scores

    def compute(
        self, xp: ModuleType, scores: Array, target: Array, weight: Array | None = None
    ) -> Array:
        return _shares(self, xp, scores, target, weight)


class SoftmaxCrossEntropy(ClassLoss):
    """loss = -sum_c t_c log softmax(scores)_c, over the classes c of axis 1.

    The softmax is inside: give it scores (logits), not probabilities.

    Shapes: scores (batch, classes, ...); target (batch, ...) integers, or as scores; weight
    (batch, ...); loss () for "mean" and "sum", (batch, ...) for "none".

    >>> with ms.Graph() as graph:
    ...     scores = ms.Input((None, 3), name="scores")
    ...     loss = ms.ops.SoftmaxCrossEntropy(scores, [2])
    >>> graph.forward(loss, {scores: [[0.0, 0.0, 0.0]]})
    array(1.0986123, dtype=float32)
    """

    def compute(
        self, xp: ModuleType, scores: Array, target: Array, weight: Array | None = None
    ) -> Array:
        shifted = scores - scores.max(axis=1, keepdims=True)
        logarithms = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
        return self.entropy(xp, logarithms, _shares(self, xp, scores, target, weight))

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        scores, *rest = self.inputs
        shares = self.shares()
        probabilities = operator("Softmax")(scores, axis=1)
        slope = probabilities * ReduceSum(shares, axes=(1,)) - shares
        return (self.spread(upstream) * slope, *(None for _ in rest))


class NegativeLogLikelihood(ClassLoss):
    """loss = -sum_c t_c scores_c, where the scores are logarithms of probabilities.

    Shapes: as SoftmaxCrossEntropy.
    """

    def compute(
        self, xp: ModuleType, scores: Array, target: Array, weight: Array | None = None
    ) -> Array:
        return self.entropy(xp, scores, _shares(self, xp, scores, target, weight))

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        _, *rest = self.inputs
        return (-(self.spread(upstream) * self.shares()), *(None for _ in rest))


def _check_target(scores: Spec, target: Spec, each: tuple[int | None, ...]) -> None:
    if target.dtype.kind in "iu":
        if not may_equal(target.shape, each):
            hint = "give one class number for each sample"
            if target.ndim == scores.ndim:
                hint = "one-hot rows must be floating-point; or give class numbers, {target}.argmax"
            raise ShapeError(f"class numbers {target.shape} do not fit samples {each}", hint=hint)
    elif target.dtype != scores.dtype:
        raise DTypeError(
            f"targets are {target.dtype}, scores {scores.dtype}",
            hint='give class numbers as integers (dtype="int64"), or probabilities like the scores',
        )
    elif not may_equal(target.shape, scores.shape):
        raise ShapeError(
            f"probabilities {target.shape} do not fit scores {scores.shape}",
            hint='for class numbers declare {target} with dtype="int64"',
        )


def _shares(
    loss: ClassLoss, xp: ModuleType, scores: Array, target: Array, weight: Array | None
) -> Array:
    """How much each class of each sample weighs: one-hot, smoothed, weighted, divided."""
    dtype, classes = scores.dtype, scores.shape[1]
    along = (1, classes, *(1 for _ in scores.shape[2:]))
    smoothing = dtype.type(loss.label_smoothing)
    numbered = target.dtype.kind in "iu"
    if numbered:
        own = target[:, None] == xp.arange(classes).reshape(along)
        kept = (
            xp.ones(target.shape, bool)
            if loss.ignore_index is None
            else (target != loss.ignore_index)
        )
        if not bool((own.any(axis=1) | ~kept).all()):
            raise ValueError(f"a class number is outside 0 to {classes - 1}")
        shares = own.astype(dtype)
        scale = kept.astype(dtype)
    else:
        shares = target
        scale = xp.ones((target.shape[0], *target.shape[2:]), dtype)
    if weight is not None:
        scale = scale * weight
    divisor = scale.sum(dtype=dtype)
    shares = shares * (1 - smoothing) + smoothing / dtype.type(classes)
    if loss.class_weight is not None:
        by_class = xp.asarray(loss.class_weight, dtype=dtype).reshape(along)
        if numbered:
            divisor = (scale * (own * by_class).sum(axis=1)).sum(dtype=dtype)
        shares = shares * by_class
    if loss.reduction == "mean":
        scale = scale / divisor
    return shares * scale[:, None]
