"""Cross entropy between scores of classes and the classes that are true."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.gradient import gradients
from matrixslow.core.leaf import Constant, Input
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec, floating_dtype, same_dtype
from matrixslow.errors import ArgumentError, DTypeError, RunError, ShapeError
from matrixslow.ops.comparison import Equal, Not
from matrixslow.ops.elementwise import Cast, Identity
from matrixslow.ops.indexing import OneHot
from matrixslow.ops.options import as_choice, may_equal
from matrixslow.ops.reduction import Count, ReduceSum, log_sum_exp
from matrixslow.ops.shaping import Unsqueeze
from matrixslow.ops.softmax import LogSoftmax, Softmax

REDUCTIONS = ("mean", "sum", "none")


class ClassLoss(Node):
    """Base of the losses that compare scores of classes with targets.

    For a sample with the probabilities t_c as target, and logarithms of probabilities l_c that
    come of its scores, the loss is -sum_c w_c t_c l_c, where w_c is the weight of class c. A class
    number stands for the probabilities 1 of that class and 0 of the others. Where t_c is 0, l_c
    may be minus infinity.

    Args:
        scores: What is judged, with the classes along axis 1.
        target: Class numbers, or the probability of each class.
        weight: The weight of each sample.
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
        label, classes = self.inputs[1], self.inputs[0].shape[1]
        if isinstance(label, Input) and not label.spec.floating:
            assert classes is not None
            label.limit(0, classes, self, besides=self.ignore_index)

    def infer(self, scores: Spec, target: Spec, weight: Spec | None = None) -> Spec:
        dtype = floating_dtype(scores)
        if scores.ndim < 2:
            raise ShapeError(
                f"scores of shape {scores.shape} have no axis of classes",
                hint="give {scores} the shape (batch, classes, ...)",
            )
        if scores.shape[1] is None:
            raise ShapeError(
                f"the number of classes is unknown in scores of shape {scores.shape}",
                hint="declare the size of axis 1 of {scores}",
            )
        each = (scores.shape[0], *scores.shape[2:])
        _check_target(scores, target, each, self.ignore_index)
        if weight is not None:
            same_dtype(scores, weight)
            if not may_equal(weight.shape, each):
                raise ShapeError(
                    f"weights {weight.shape} do not fit samples {each}",
                    hint="give one weight for each sample",
                )
        if self.class_weight is not None and scores.shape[1] != len(self.class_weight):
            raise ShapeError(
                f"{len(self.class_weight)} class weights, {scores.shape[1]} classes",
                hint="give one weight for each class",
            )
        return Spec(each if self.reduction == "none" else (), dtype)

    def compute(
        self, xp: ModuleType, scores: Array, target: Array, weight: Array | None = None
    ) -> Array:
        judge = self._by_probability if target.dtype.kind == "f" else self._by_number
        each, counts = judge(xp, self.logarithms(xp, scores), target)
        if weight is not None:
            each, counts = each * weight, counts * weight
        if self.reduction == "none":
            return each
        total = xp.sum(each)
        return total / xp.sum(counts) if self.reduction == "mean" else total

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        scores, *data = self.inputs
        # Copies, so that the slopes by target and weight are right where one is made of the other.
        data = [Identity(x) if x.spec.floating else x for x in data]
        shares, scale = self._shares(scores, *data)
        spread = Unsqueeze(upstream, axes=1) if self.reduction == "none" else upstream
        factor = spread if scale is None else spread * scale
        slopes: list[Node | None] = [factor * self.slope(scores, shares)]
        floating = [x for x in data if x.spec.floating]
        if floating:
            total = ReduceSum(-(factor * shares * self.logarithm_nodes(scores)))
            found = dict(zip(floating, gradients(total, floating), strict=True))
            slopes += [found.get(x) for x in data]
        return (*slopes, *(None for _ in self.inputs[len(slopes) :]))

    def logarithms(self, xp: ModuleType, scores: Array) -> Array:
        """The logarithms of probabilities that come of the scores."""
        raise NotImplementedError

    def logarithm_nodes(self, scores: Node) -> Node:
        """The same, as a node."""
        raise NotImplementedError

    def slope(self, scores: Node, shares: Node) -> Node:
        """The slope of -sum(shares * logarithms) by the scores."""
        raise NotImplementedError

    def sums_to_one(self) -> bool:
        """Whether the shares of the classes of a sample are known to add up to 1."""
        return self.class_weight is None and not self.inputs[1].spec.floating

    def divisor(self) -> Node | None:
        """What the mean divides by, as a node; None for the number of samples, or no mean."""
        count = self._count(*self.inputs) if self.reduction == "mean" else None
        return None if count is None else ReduceSum(count, keepdims=False)

    def _count(self, scores: Node, target: Node, weight: Node | None = None) -> Node | None:
        """How much each sample counts in the mean; None where all count the same."""
        factors = self._factors(scores, target, weight)
        if self.class_weight is not None and not target.spec.floating:
            own = OneHot(target, depth=len(self.class_weight), dtype=scores.dtype, axis=1)
            factors.append(ReduceSum(own * self._by_class(scores), axes=1, keepdims=False))
        return _product(factors)

    def _factors(self, scores: Node, target: Node, weight: Node | None) -> list[Node]:
        """What the loss of a sample is multiplied by, whatever its class."""
        factors: list[Node] = [] if weight is None else [weight]
        if self.ignore_index is not None and not target.spec.floating:
            factors.insert(0, Cast(Not(Equal(target, self.ignore_index)), dtype=scores.dtype))
        return factors

    def _by_class(self, scores: Node) -> Node:
        """The weights of the classes, along the scores' axis of classes."""
        column = np.reshape(np.array(self.class_weight), (-1, *(1,) * (scores.ndim - 2)))
        return Constant(column, dtype=scores.dtype)

    def _by_number(self, xp: ModuleType, logarithms: Array, number: Array) -> tuple[Array, Array]:
        """The loss of each sample, and how much it counts in a mean."""
        dtype, classes = logarithms.dtype, logarithms.shape[1]
        kept = xp.ones(number.shape, bool)
        if self.ignore_index is not None:
            kept = number != self.ignore_index
        if not (((number >= 0) & (number < classes)) | ~kept).all():
            raise RunError(f"a class number is outside 0 to {classes - 1}")
        place = xp.where(kept, number, 0)
        own = xp.take_along_axis(logarithms, xp.expand_dims(place, 1), axis=1)
        each = xp.where(kept, -xp.squeeze(own, axis=1), 0.0)
        counts = kept.astype(dtype)
        if self.class_weight is not None:
            counts = counts * xp.asarray(self.class_weight, dtype)[place]
            each = each * counts
        if self.label_smoothing:
            every = -xp.sum(self._weighted(xp, logarithms), axis=1) / classes
            each += self.label_smoothing * (xp.where(kept, every, 0.0) - each)
        return each, counts

    def _by_probability(
        self, xp: ModuleType, logarithms: Array, shares: Array
    ) -> tuple[Array, Array]:
        """The loss of each sample, and how much it counts in a mean."""
        if self.label_smoothing:
            spread = self.label_smoothing / shares.shape[1]
            shares = (1.0 - self.label_smoothing) * shares + spread
        shares = self._weighted(xp, shares)
        each = -xp.sum(xp.where(shares == 0.0, 0.0, shares * logarithms), axis=1)
        return each, xp.ones(each.shape, each.dtype)

    def _weighted(self, xp: ModuleType, x: Array) -> Array:
        """Values of classes, times the weights of the classes."""
        if self.class_weight is None:
            return x
        return x * xp.asarray(self.class_weight, x.dtype).reshape(-1, *(1,) * (x.ndim - 2))

    def _shares(
        self, scores: Node, target: Node, weight: Node | None = None
    ) -> tuple[Node, Node | None]:
        """How much each class weighs in the loss of a sample, and that in the whole, as nodes."""
        classes = scores.shape[1]
        assert classes is not None
        numbered = not target.spec.floating
        factors = self._factors(scores, target, weight)
        shares = OneHot(target, depth=classes, dtype=scores.dtype, axis=1) if numbered else target
        if self.label_smoothing:
            shares = (1.0 - self.label_smoothing) * shares + self.label_smoothing / classes
        if self.class_weight is not None:
            shares = shares * self._by_class(scores)
        scale = _product(factors)
        if self.reduction == "mean":
            every = [axis for axis in range(scores.ndim) if axis != 1]
            count = self._count(scores, target, weight)
            total = Count(scores, axes=every) if count is None else ReduceSum(count, keepdims=False)
            scale = 1.0 / total if scale is None else scale / total
        return shares, Unsqueeze(scale, axes=1) if scale is not None and scale.ndim else scale


class SoftmaxCrossEntropy(ClassLoss):
    """loss = -sum_c t_c log(softmax(scores)_c), over the classes c of axis 1.

    The softmax is inside: give it scores (logits), not probabilities.

    Args:
        scores: What is judged, with the classes along axis 1.
        target: Class numbers, or the probability of each class, of the dtype of the scores.
        weight: The weight of each sample.
        class_weight: The weight of each class.
        ignore_index: The class number that marks samples to pass over.
        label_smoothing: The share of the target that is spread over all classes.
        reduction: "mean", "sum" or "none". The mean over class numbers is weighted: it divides by
            the weights of the samples' own classes, as PyTorch does. The mean over probabilities
            divides by the number of samples, or by the sum of their weights.
        name: Unique in the graph.

    Shapes: scores (batch, classes, ...); target (batch, ...) integers, or as scores; weight
        (batch, ...); loss () for "mean" and "sum", (batch, ...) for "none".

    Raises:
        ShapeError: The shapes do not fit together.
        DTypeError: The target holds neither integers nor numbers of the dtype of the scores.
        RunError: A class number is out of range; where it is fed directly, a FeedError tells.
    Source: C. Szegedy et al., "Rethinking the inception architecture for computer vision" (2016),
        section 7, for label smoothing.

    >>> with ms.Graph() as graph:
    ...     scores = ms.Input((None, 3), name="scores")
    ...     loss = ms.ops.SoftmaxCrossEntropy(scores, [2])
    >>> graph.forward(loss, {scores: [[0.0, 0.0, 0.0]]}).round(4)
    np.float32(1.0986)
    """

    def logarithms(self, xp: ModuleType, scores: Array) -> Array:
        """The logarithms of the softmax."""
        return scores - log_sum_exp(xp, scores, 1)

    def logarithm_nodes(self, scores: Node) -> Node:
        """The same, as a node."""
        return LogSoftmax(scores, axis=1)

    def slope(self, scores: Node, shares: Node) -> Node:
        """Softmax less shares, where these add up to 1."""
        probabilities: Node = Softmax(scores, axis=1)
        if not self.sums_to_one():
            probabilities = probabilities * ReduceSum(shares, axes=1)
        return probabilities - shares


class NegativeLogLikelihood(ClassLoss):
    """loss = -sum_c t_c scores_c, where the scores are logarithms of probabilities.

    Args:
        scores: Logarithms of probabilities, with the classes along axis 1.
        target: Class numbers, or the probability of each class, of the dtype of the scores.
        weight: The weight of each sample.
        class_weight: The weight of each class.
        ignore_index: The class number that marks samples to pass over.
        label_smoothing: The share of the target that is spread over all classes.
        reduction: "mean", "sum" or "none", as in `SoftmaxCrossEntropy`.
        name: Unique in the graph.

    Shapes: as those of `SoftmaxCrossEntropy`.

    >>> with ms.Graph() as graph:
    ...     logarithms = ms.ops.LogSoftmax(ms.Input((None, 3), name="scores"))
    ...     loss = ms.ops.NegativeLogLikelihood(logarithms, [2])
    >>> graph.forward(loss, {graph["scores"]: [[0.0, 0.0, 0.0]]}).round(4)
    np.float32(1.0986)
    """

    def logarithms(self, xp: ModuleType, scores: Array) -> Array:
        """The scores."""
        return scores

    def logarithm_nodes(self, scores: Node) -> Node:
        """The same."""
        return scores

    def slope(self, scores: Node, shares: Node) -> Node:
        """The shares, negative."""
        return -shares


def _check_target(scores: Spec, target: Spec, each: Shape, ignored: int | None) -> None:
    if target.dtype.kind in "iu":
        if ignored is not None and np.array(ignored).astype(target.dtype) != ignored:
            raise DTypeError(
                f"{target.dtype} class numbers are never ignore_index={ignored}",
                hint='declare {target} with dtype="int64"',
            )
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


def _product(factors: Sequence[Node]) -> Node | None:
    product: Node | None = None
    for factor in factors:
        product = factor if product is None else product * factor
    return product
