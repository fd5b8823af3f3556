"""Losses: torch's values and slopes in every option, extremes, weights, names, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.errors import (
    ArgumentError,
    DTypeError,
    FeedError,
    MatrixSlowError,
    RunError,
    ShapeError,
)
from tests.against_torch import assert_as_torch

ops = ms.ops
INF = np.inf

RNG = np.random.default_rng(6)
SCORES, LABELS = 2.0 * RNG.standard_normal((5, 3)), np.array([2, 0, 1, 1, 2])
SHARES = RNG.dirichlet(np.ones(3), 5)
CLASS_WEIGHTS = (0.5, 2.0, 3.0)


# ---- cross entropy over classes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduction", "smoothing", "class_weight"),
    list(product(["mean", "sum", "none"], [0.0, 0.1, 1.0], [None, CLASS_WEIGHTS])),
)
def test_cross_entropy_as_torch_in_every_option(
    reduction: str, smoothing: float, class_weight: tuple[float, ...] | None
) -> None:
    weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float64)
    ours: dict[str, Any] = {
        "reduction": reduction,
        "label_smoothing": smoothing,
        "class_weight": class_weight,
    }
    theirs: dict[str, Any] = {
        "reduction": reduction,
        "label_smoothing": smoothing,
        "weight": weight,
    }
    for target in (LABELS, SHARES):
        assert_as_torch(
            lambda x, t: ops.SoftmaxCrossEntropy(x, t, **ours),
            lambda x, t: functional.cross_entropy(x, t, **theirs),
            SCORES,
            target,
        )
    ignored = np.array([2, -100, 1, -100, 0])
    assert_as_torch(
        lambda x, t: ops.SoftmaxCrossEntropy(x, t, ignore_index=-100, **ours),
        lambda x, t: functional.cross_entropy(x, t, **theirs),
        SCORES,
        ignored,
    )


def test_cross_entropy_of_pixels_and_its_parts(graph: ms.Graph) -> None:
    scores = RNG.standard_normal((2, 3, 2, 2))
    labels = RNG.integers(0, 3, (2, 2, 2))
    assert_as_torch(ops.SoftmaxCrossEntropy, functional.cross_entropy, scores, labels)
    assert_as_torch(
        lambda x, t: ops.NegativeLogLikelihood(ops.LogSoftmax(x, axis=1), t),
        lambda x, t: functional.nll_loss(torch.log_softmax(x, 1), t),
        scores,
        labels,
    )


def test_the_slopes_by_weights_are_right_where_weights_and_targets_hang_together() -> None:
    """Weights made of the target, and both made of what is learned."""

    def ours(x: ms.Node, a: ms.Node) -> ms.Node:
        shares = ops.Softmax(a)
        weight = ops.ReduceMax(shares, axes=1, keepdims=False)
        return ops.SoftmaxCrossEntropy(x, shares, weight)

    def theirs(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        shares = torch.softmax(a, -1)
        weight = shares.amax(1)
        each = functional.cross_entropy(x, shares, reduction="none")
        return (weight * each).sum() / weight.sum()

    assert_as_torch(ours, theirs, SCORES, RNG.standard_normal((5, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_confident_scores_are_neither_capped_nor_infinite(graph: ms.Graph, dtype: str) -> None:
    scores = ms.Variable(np.array([[1e4, 0.0], [0.0, 1e4]], dtype), dtype=dtype)
    loss = ops.SoftmaxCrossEntropy(scores, [1, 1], reduction="none")
    (slope,) = ms.gradients(loss, [scores], upstream=ms.Constant([1.0, 1.0], dtype=dtype))
    value, found = graph.forward([loss, slope])
    np.testing.assert_array_equal(value, [1e4, 0.0])
    np.testing.assert_array_equal(found, [[1.0, -1.0], [0.0, 0.0]])
    assert value.dtype == found.dtype == dtype


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("target", [[2, 1], [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
def test_a_class_that_is_shut_out_does_no_harm(
    graph: ms.Graph, target: Any, compiled: bool
) -> None:
    scores = ms.Input((2, 3))
    loss = ops.SoftmaxCrossEntropy(scores, target)
    step = ms.function([scores], [loss, *ms.gradients(loss, [scores])], compile=compiled)
    value, slope = step([[0.0, -INF, 0.0], [-INF, 0.0, -INF]])
    np.testing.assert_allclose(value, np.log(2.0) / 2.0, rtol=1e-6)
    np.testing.assert_allclose(slope, [[0.25, 0.0, -0.25], [0.0, 0.0, 0.0]], atol=1e-7)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("compiled", [False, True])
def test_class_numbers_of_any_integer_dtype_and_a_fed_batch(
    graph: ms.Graph, dtype: str, compiled: bool
) -> None:
    scores, label = ms.Input((None, 3), dtype="float64"), ms.Input((None,), dtype=dtype)
    loss = ops.SoftmaxCrossEntropy(scores, label)
    step = ms.function([scores, label], [loss, *ms.gradients(loss, [scores])], compile=compiled)
    for size in (1, 5, 3):
        value, slope = step(SCORES[:size], LABELS[:size].astype(dtype))
        tensor = torch.tensor(SCORES[:size], requires_grad=True)
        expected = functional.cross_entropy(tensor, torch.tensor(LABELS[:size]))
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
        np.testing.assert_allclose(slope, tensor.grad.numpy(), atol=1e-14)


def test_a_wrong_label_is_refused_when_it_is_fed(graph: ms.Graph) -> None:
    scores = ms.Input((None, 3), name="scores")
    label = ms.Input((None,), dtype="int64", name="label")
    loss = ops.SoftmaxCrossEntropy(scores, label, name="loss")
    for wrong in (3, -1):
        with pytest.raises(FeedError) as caught:
            graph.forward(loss, {scores: np.zeros((2, 3)), label: [0, wrong]})
        assert caught.value.rule == (
            f"Input 'label' ({label.site}): values 0 to 2 are allowed, {wrong} was fed"
        )
        assert caught.value.hint == (
            f"SoftmaxCrossEntropy 'loss' ({loss.site}) has 3 classes or rows: count from 0, or "
            "give it more"
        )


def test_a_label_to_ignore_is_allowed_when_it_is_fed(graph: ms.Graph) -> None:
    scores, label = ms.Input((None, 3)), ms.Input((None,), dtype="int64")
    loss = ops.SoftmaxCrossEntropy(scores, label, ignore_index=255)
    value = graph.forward(loss, {scores: np.zeros((3, 3)), label: [0, 255, 2]})
    np.testing.assert_allclose(value, np.log(3.0), rtol=1e-6)


def test_a_wrong_label_that_is_computed_is_refused_too(graph: ms.Graph) -> None:
    label = ms.Input((2,), dtype="int64")
    loss = ops.SoftmaxCrossEntropy(np.zeros((2, 3)), label + 2, name="loss")
    with pytest.raises(RunError) as caught:
        graph.forward(loss, {label: [0, 1]})
    assert caught.value.rule == "SoftmaxCrossEntropy 'loss': a class number is outside 0 to 2"


# ---- losses of elements --------------------------------------------------------------------------

AT_KINKS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.MeanSquaredError, functional.mse_loss),
        (ops.MeanAbsoluteError, functional.l1_loss),
        (ops.Huber, functional.huber_loss),
        (
            lambda x, t, **o: ops.Huber(x, t, delta=0.5, **o),
            lambda x, t, **o: functional.huber_loss(x, t, delta=0.5, **o),
        ),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_regression_as_torch_at_kinks_too(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor], reduction: str
) -> None:
    for prediction, order in ((AT_KINKS, 1), (AT_KINKS + 0.1, 2)):
        assert_as_torch(
            lambda x, t: ours(x, t, reduction=reduction),
            lambda x, t: theirs(x, t, reduction=reduction),
            prediction,
            np.zeros(7),
            order=order,
        )


@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_binary_cross_entropy_as_torch_at_the_bounds_too(target: float) -> None:
    probability = np.array([0.0, 1e-40, 1e-13, 0.2, 0.5, 1.0 - 1e-13, 1.0])
    targets = np.full(7, target)

    def theirs(p: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy(p, torch.tensor(targets), reduction="none")

    # Torch's 1e-12 is a float32 number.
    assert_as_torch(
        lambda p: ops.BinaryCrossEntropy(p, targets, reduction="none"),
        theirs,
        probability,
        order=1,
        tolerance=1e-8,
    )


def test_binary_cross_entropy_has_slopes_by_its_target(graph: ms.Graph) -> None:
    p, t = RNG.uniform(0.1, 0.9, 4), RNG.uniform(0.1, 0.9, 4)
    assert_as_torch(ops.BinaryCrossEntropy, functional.binary_cross_entropy, p, t)


@pytest.mark.parametrize("positive_weight", [1.0, 3.0])
def test_binary_cross_entropy_of_scores_as_torch(positive_weight: float) -> None:
    scores = np.array([-800.0, -30.0, -1.0, 0.0, 1.0, 30.0, 800.0])
    for target in (0.0, 1.0, 0.3):
        assert_as_torch(
            lambda x, t: ops.BinaryCrossEntropyWithLogits(
                x, t, positive_weight=positive_weight, reduction="none"
            ),
            lambda x, t: functional.binary_cross_entropy_with_logits(
                x, t, pos_weight=torch.tensor(positive_weight), reduction="none"
            ),
            scores,
            np.full(7, target),
        )


@pytest.mark.parametrize("loss", [ops.BinaryCrossEntropyWithLogits, ops.LogLoss, ops.Focal])
def test_what_is_judged_well_keeps_its_small_loss(
    graph: ms.Graph, loss: Callable[..., ms.Node]
) -> None:
    """In float32, where 1 + e ** -30 is 1."""
    x = ms.Variable([30.0])
    value = graph.forward(loss(x, [1.0]))
    expected = np.exp(-30.0) * (0.25 * np.exp(-60.0) if loss is ops.Focal else 1.0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
def test_focal_as_torch(gamma: float) -> None:
    """The formula of torchvision's sigmoid_focal_loss."""
    x, t = np.array([-3.0, -0.5, 0.0, 0.7, 4.0]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])

    def theirs(x: torch.Tensor) -> torch.Tensor:
        targets = torch.tensor(t)
        p = torch.sigmoid(x)
        true = p * targets + (1 - p) * (1 - targets)
        entropy = functional.binary_cross_entropy_with_logits(x, targets, reduction="none")
        return ((0.4 * targets + 0.6 * (1 - targets)) * entropy * (1 - true) ** gamma).sum()

    assert_as_torch(lambda x: ops.Focal(x, t, gamma=gamma, alpha=0.4, reduction="sum"), theirs, x)


def test_divergence_as_torch_and_of_shares_of_zero(graph: ms.Graph) -> None:
    logarithms = torch.log_softmax(torch.tensor(SCORES), -1).numpy()
    for reduction, theirs in (("mean", "batchmean"), ("sum", "sum")):
        assert_as_torch(
            lambda x, t, reduction=reduction: ops.KLDivergence(x, t, reduction=reduction),
            lambda x, t, theirs=theirs: functional.kl_div(x, t, reduction=theirs),
            logarithms,
            SHARES,
        )
    x, t = ms.Variable(logarithms[:1]), ms.Variable([[1.0, 0.0, 0.0]])
    loss = ops.KLDivergence(x, t)
    value, *slopes = graph.forward([loss, *ms.gradients(loss, [x, t])])
    np.testing.assert_allclose(value, -logarithms[0, 0], rtol=1e-6)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("loss", [ops.Hinge, ops.PerceptronLoss, ops.LogLoss])
def test_losses_of_signs_as_torch(loss: Callable[..., ms.Node]) -> None:
    formula = {
        ops.Hinge: lambda margin: torch.relu(1.0 - margin),
        ops.PerceptronLoss: lambda margin: torch.relu(-margin),
        ops.LogLoss: lambda margin: functional.softplus(-margin),
    }[loss]
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    assert_as_torch(
        lambda x: loss(x, signs), lambda x: formula(torch.tensor(signs) * x).mean(), AT_KINKS
    )


# ---- weights, targets, names ---------------------------------------------------------------------


def test_weights_of_samples_as_torch() -> None:
    x, t = RNG.standard_normal((3, 2)), RNG.standard_normal((3, 2))
    for weight in (np.array([0.5, 0.0, 2.0]), RNG.uniform(size=(3, 2))):
        stretched = np.broadcast_to(weight.reshape(3, -1), (3, 2)).copy()
        assert_as_torch(
            lambda x, t, weight=weight: ops.MeanSquaredError(x, t, weight=weight),
            lambda x, t, weight=stretched: functional.mse_loss(x, t, weight=torch.tensor(weight)),
            x,
            t,
        )


def test_integers_beside_a_prediction_become_its_dtype(graph: ms.Graph) -> None:
    x = ms.Variable([0.5, 2.0], dtype="float64")
    loss = ops.MeanSquaredError(x, [0, 1], weight=[1, 3])
    assert (loss.dtype, loss.shape) == (np.float64, ())
    assert graph.forward(loss) == (0.25 + 3.0) / 4.0


def test_a_loss_has_the_name_it_is_given_and_its_parts_are_below(graph: ms.Graph) -> None:
    x = ms.Variable([0.5, 2.0])
    for reduction in ("mean", "sum", "none"):
        for weight in (None, [1.0, 3.0]):
            name = f"{reduction}{'_weighted' * (weight is not None)}"
            loss = ops.Huber(x, [0, 1], reduction=reduction, weight=weight, name=name)
            assert loss.name == name
            assert f"{name}/target" in graph
    with graph.scope("head"):
        first, second = (ops.Hinge(x, [1, -1]) for _ in range(2))
    assert (first.name, second.name) == ("head/hinge", "head/hinge_1")


def test_a_target_that_would_be_stretched_when_it_is_fed_is_refused(graph: ms.Graph) -> None:
    x = ms.Input((None, 2), name="x")
    for shape in ((None, 2), (1, 2)):
        t = ms.Input(shape, name=f"t{shape[0]}")
        loss = ops.MeanSquaredError(x, t, name=f"loss{shape[0]}")
        with pytest.raises(ShapeError) as caught:
            graph.forward(loss, {x: np.zeros((3, 2)), t: np.zeros((1, 2))})
        assert caught.value.rule == (
            f"Target '{loss.name}/target': the target has shape (1, 2), the prediction (3, 2)"
        )


# ---- refusals ------------------------------------------------------------------------------------

ONE_SHAPE = "give both one shape: ms.ops.Reshape, ms.ops.Squeeze or ms.ops.Unsqueeze"


@pytest.mark.parametrize(
    ("build", "error", "rule", "hint"),
    [
        (
            lambda x, t: ops.MeanSquaredError(x, t),
            ShapeError,
            "Target 'meansquarederror/target': the target has shape (None,), the prediction "
            "(None, 3)",
            ONE_SHAPE,
        ),
        (
            lambda x, t: ops.Hinge(x, ops.Cast(x, dtype="int64")),
            DTypeError,
            "Target 'hinge/target': dtypes differ, int64 and float32",
            'convert one of them: ms.ops.Cast(x, dtype="int64")',
        ),
        (
            lambda x, t: ops.LogLoss(x, x, reduction="average"),
            ArgumentError,
            "LogLoss: reduction='average' is unknown",
            "one of 'mean', 'sum', 'none'",
        ),
        (
            lambda x, t: ops.Huber(x, x, delta=0),
            ArgumentError,
            "Huber: delta=0",
            "give a number above 0",
        ),
        (
            lambda x, t: ops.MeanSquaredError(x, x, weight=ms.Constant(np.ones((5, 2)))),
            ShapeError,
            "MeanSquaredError: weights of shape (5, 2) do not fit losses of shape (None, 3)",
            "give a weight for each sample: its axes are the first ones of the losses",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(t, t),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': scores of shape (None,) have no axis of "
            "classes",
            "give t the shape (batch, classes, ...)",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(x, t),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': probabilities (None,) do not fit scores "
            "(None, 3)",
            'for class numbers declare t with dtype="int64"',
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(x, ops.Cast(x, dtype="int64", name="rows")),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': class numbers (None, 3) do not fit samples "
            "(None,)",
            "one-hot rows must be floating-point; or give class numbers, rows.argmax",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(x, ops.Cast(x, dtype="float64")),
            DTypeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': targets are float64, scores float32",
            'give class numbers as integers (dtype="int64"), or probabilities like the scores',
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(ms.Input((4, None), name="wide"), [0, 1, 2, 3]),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': the number of classes is unknown in scores "
            "of shape (4, None)",
            "declare the size of axis 1 of wide",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(np.zeros((2, 3)), [0, 1], [1.0, 2.0, 3.0]),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': weights (3,) do not fit samples (2,)",
            "give one weight for each sample",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(x, x, class_weight=[1.0, 2.0]),
            ShapeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': 2 class weights, 3 classes",
            "give one weight for each class",
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(
                x, ops.Cast(t, dtype="uint8", name="label"), ignore_index=-100
            ),
            DTypeError,
            "SoftmaxCrossEntropy 'softmaxcrossentropy': uint8 class numbers are never "
            "ignore_index=-100",
            'declare label with dtype="int64"',
        ),
        (
            lambda x, t: ops.SoftmaxCrossEntropy(x, x, label_smoothing=1.5),
            ArgumentError,
            "SoftmaxCrossEntropy: label_smoothing=1.5",
            "give a share between 0 and 1",
        ),
        (
            lambda x, t: ops.NegativeLogLikelihood(x, x, reduction="all"),
            ArgumentError,
            "NegativeLogLikelihood: reduction='all' is unknown",
            "one of 'mean', 'sum', 'none'",
        ),
    ],
)
def test_refusals(
    graph: ms.Graph,
    build: Callable[[ms.Node, ms.Node], ms.Node],
    error: type[MatrixSlowError],
    rule: str,
    hint: str,
) -> None:
    x, t = ms.Input((None, 3), name="x"), ms.Input((None,), name="t")
    with pytest.raises(MatrixSlowError) as caught:
        build(x, t)
    assert (type(caught.value), caught.value.rule, caught.value.hint) == (error, rule, hint)
