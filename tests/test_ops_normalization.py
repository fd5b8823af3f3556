"""Normalization: training and inference, large means, no samples, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, ShapeError
from tests.operators import numbers

FOUR = np.ones(4)

# ---- batch normalization as layers wire it -------------------------------------------------------


def normalized(x: ms.Node, *, momentum: float) -> tuple[ms.Node, list[ms.Variable]]:
    """A batch normalization over (N, C, ...), and its four variables."""
    channels = x.shape[1]
    assert channels is not None
    variables = [
        ms.Variable(np.full(channels, start), dtype=x.dtype, trainable=trainable, name=name)
        for name, start, trainable in (
            ("scale", 1.5, True),
            ("bias", 0.5, True),
            ("mean", 0.0, False),
            ("variance", 1.0, False),
        )
    ]
    scale, bias, *averages = variables
    moments = ms.ops.moments(x, axes=(0, *range(2, x.ndim)), keepdims=False)
    used = [
        ms.ops.MovingAverage(value, average, momentum=momentum)
        for value, average in zip(moments, averages, strict=True)
    ]
    return ms.ops.BatchNormalization(x, scale, bias, *used), variables


def test_training_and_inference_are_torchs(graph: ms.Graph) -> None:
    x = ms.Input((None, 3, 2, 2), dtype="float64")
    y, (*_, mean, variance) = normalized(x, momentum=0.8)
    step = ms.function([x], y, training=True)
    module = torch.nn.BatchNorm2d(3, momentum=0.2, dtype=torch.float64)
    torch.nn.init.constant_(module.weight, 1.5)
    torch.nn.init.constant_(module.bias, 0.5)
    for seed in range(3):
        batch = numbers(4, 3, 2, 2, seed=seed)
        expected = module(torch.tensor(batch)).detach().numpy()
        np.testing.assert_allclose(step(batch), expected, rtol=1e-12)
    np.testing.assert_allclose(mean.value, module.running_mean.numpy(), rtol=1e-12)
    # torch averages the variance of a sample, with n - 1; ONNX and the formula take n.
    theirs = 0.8**3 + (module.running_var.numpy() - 0.8**3) * 15 / 16
    np.testing.assert_allclose(variance.value, theirs, rtol=1e-12)

    module.running_var.copy_(torch.tensor(variance.value))
    module.eval()
    batch = numbers(1, 3, 2, 2, seed=9)
    before = mean.value, variance.value
    expected = module(torch.tensor(batch)).detach().numpy()
    np.testing.assert_allclose(ms.function([x], y)(batch), expected, rtol=1e-12)
    assert mean.value is before[0]
    assert variance.value is before[1]


def test_gradients_through_the_moments_are_torchs(graph: ms.Graph) -> None:
    x = ms.Input((None, 3, 2, 2), dtype="float64")
    y, (scale, bias, *_) = normalized(x, momentum=0.9)
    weights = ms.Input((None, 3, 2, 2), dtype="float64")
    slopes = ms.gradients(y, [x, scale, bias], upstream=weights)
    batch, upstream = numbers(4, 3, 2, 2), numbers(4, 3, 2, 2, seed=1)
    tensors = [torch.tensor(a, requires_grad=True) for a in (batch, scale.value, bias.value)]
    output = torch.nn.functional.batch_norm(
        tensors[0], None, None, tensors[1], tensors[2], training=True
    )
    expected = torch.autograd.grad(output, tensors, torch.tensor(upstream))
    for mine, theirs in zip(
        graph.forward(slopes, {x: batch, weights: upstream}), expected, strict=True
    ):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-10, atol=1e-12)


def test_an_average_makes_its_update_once(graph: ms.Graph) -> None:
    value, average = ms.Input((), name="value"), ms.Variable(1.0, trainable=False, name="average")
    node = ms.ops.MovingAverage(value, average, momentum=0.75)
    count = len(graph)
    (pair,) = node.updates()
    grown = len(graph)
    assert node.updates() == (pair,)
    assert len(graph) == grown > count
    assert pair[0] is average
    assert {made.scope for made in graph.nodes[count:]} == {"updates/average"}
    step = ms.function([value], node, training=True)
    assert [float(step(5.0)), float(average.value)] == [5.0, 2.0]
    assert len(graph) == grown


def test_an_average_is_kept_where_its_node_is_not_needed(graph: ms.Graph) -> None:
    value, average = ms.Input(()), ms.Variable(1.0, trainable=False)
    node = ms.ops.MovingAverage(value, average)
    ms.function([value], value + 1.0, training=True)(5.0)
    assert float(average.value) == 1.0
    assert node.attributes == {"momentum": 0.9}


# ---- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda x, one, zero: ms.ops.LayerNormalization(
            x, ms.ops.Reshape(one, shape=(-1, 1)), axis=1
        ),
        lambda x, one, zero: ms.ops.InstanceNormalization(x, one, zero),
        lambda x, one, zero: ms.ops.GroupNormalization(x, one, zero, num_groups=2),
        lambda x, one, zero: ms.ops.BatchNormalization(
            x, one, zero, *ms.ops.moments(x, axes=(0, 2), keepdims=False)
        ),
    ],
)
def test_a_large_mean_costs_few_digits_in_float32(
    graph: ms.Graph, build: Callable[..., ms.Node], rng: np.random.Generator
) -> None:
    spread = rng.normal(size=(3, 4, 50)).astype("float32")
    x = ms.Input((None, 4, 50))
    y = build(x, ms.Constant(np.ones(4)), ms.Constant(np.zeros(4)))
    shifted = graph.forward(y, {x: spread + np.float32(4096)})
    np.testing.assert_allclose(shifted, graph.forward(y, {x: spread}), atol=2e-3)


def test_no_samples_give_nothing_and_no_warning(graph: ms.Graph) -> None:
    x, one = ms.Input((None, 4, 3)), ms.Variable(np.ones(4))
    nodes = [
        ms.ops.LayerNormalization(x, np.ones(3)),
        ms.ops.InstanceNormalization(x, one, one),
        ms.ops.GroupNormalization(x, one, one, num_groups=2),
        ms.ops.BatchNormalization(x, one, one, one, one),
        ms.ops.LRN(x, size=3),
    ]
    slopes = [ms.gradients(ms.ops.ReduceSum(y), [x])[0] for y in nodes]
    values = graph.forward([*nodes, *slopes], {x: np.zeros((0, 4, 3))})
    assert {value.shape for value in values} == {(0, 4, 3)}
    _, variance = ms.ops.moments(x, axes=0, keepdims=False)
    assert np.isnan(graph.forward(variance, {x: np.zeros((0, 4, 3))})).all()


def test_sizes_that_are_fed_are_normalized(graph: ms.Graph) -> None:
    x = ms.Input((None, 4, None, None), dtype="float64")
    array = numbers(2, 4, 3, 5)
    theirs = torch.nn.functional
    expected = {
        ms.ops.GroupNormalization(x, FOUR, FOUR, num_groups=2): theirs.group_norm(
            torch.tensor(array), 2
        ).numpy()
        + 1.0,
        ms.ops.InstanceNormalization(x, FOUR, FOUR): theirs.instance_norm(
            torch.tensor(array)
        ).numpy()
        + 1.0,
        ms.ops.LRN(x, size=3): theirs.local_response_norm(torch.tensor(array), 3).numpy(),
    }
    for node, value in expected.items():
        np.testing.assert_allclose(graph.forward(node, {x: array}), value, rtol=1e-10)
        (slope,) = ms.gradients(ms.ops.ReduceSum(node), [x])
        assert graph.forward(slope, {x: array}).shape == array.shape


# ---- what is refused -----------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Callable[[ms.Node], Any], type[MatrixSlowError], str, str]] = {
    "a scale for other channels": (
        lambda x: ms.ops.BatchNormalization(x, np.ones(3), FOUR, FOUR, FOUR),
        ShapeError,
        "BatchNormalization 'batchnormalization': shape (3,) came for the channels of (None, 4, 3)",
        "x is (N, C, ...): give one number for each channel, (C,)",
    ),
    "moments with axes kept": (
        lambda x: ms.ops.BatchNormalization(x, FOUR, FOUR, *ms.ops.moments(x, axes=(0, 2))),
        ShapeError,
        "BatchNormalization 'batchnormalization': shape (1, 4, 1) came for the channels of "
        "(None, 4, 3)",
        "x is (N, C, ...): give one number for each channel, (C,)",
    ),
    "a scale for other axes": (
        lambda x: ms.ops.LayerNormalization(x, np.ones((4, 3))),
        ShapeError,
        "LayerNormalization 'layernormalization': shape (4, 3) does not fit (3,), what is "
        "normalized together",
        "give scale and bias the shape (3,)",
    ),
    "nothing to normalize over": (
        lambda x: ms.ops.InstanceNormalization(x[:, :, 0], FOUR, FOUR),
        ShapeError,
        "InstanceNormalization 'instancenormalization': images (N, C, *sizes) with 1 to 3 sizes "
        "are needed, (None, 4) came",
        "give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
    ),
    "unequal groups": (
        lambda x: ms.ops.GroupNormalization(x, FOUR, FOUR, num_groups=3),
        ShapeError,
        "GroupNormalization 'groupnormalization': 4 channels cannot be divided into 3 groups",
        "give each group as many",
    ),
    "no groups": (
        lambda x: ms.ops.GroupNormalization(x, FOUR, FOUR, num_groups=0),
        ArgumentError,
        "GroupNormalization: num_groups=0",
        "give num_groups >= 1",
    ),
    "unknown channels": (
        lambda x: ms.ops.LRN(ms.Input((2, None)), size=3),
        ShapeError,
        "LRN 'lrn': samples (N, C, ...) with a known number of channels are needed, (2, None) came",
        "declare the number of channels",
    ),
    "no neighbours": (
        lambda x: ms.ops.LRN(x, size=0),
        ArgumentError,
        "LRN: size=0",
        "give size >= 1",
    ),
    "integers": (
        lambda x: ms.ops.LRN(np.ones((2, 2), int), size=3),
        DTypeError,
        "LRN 'lrn': floating-point values are needed, int64 came",
        'convert it: ms.ops.Cast(x, dtype="float32")',
    ),
    "an average of another shape": (
        lambda x: ms.ops.MovingAverage(x, ms.Variable(FOUR, name="average")),
        ShapeError,
        "MovingAverage 'movingaverage': the value has shape (None, 4, 3), its average (4,)",
        "give average the shape of x",
    ),
    "a share above 1": (
        lambda x: ms.ops.MovingAverage(x, x, momentum=1.5),
        ArgumentError,
        "MovingAverage: momentum=1.5",
        "give 0 <= momentum <= 1",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, rule, hint = REFUSALS[what]
    x = ms.Input((None, 4, 3), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)
