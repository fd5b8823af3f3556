"""Pooling against torch, ties, sizes that are fed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, ShapeError
from tests.operators import numbers


@given(
    axes=st.integers(1, 3),
    size=st.integers(2, 6),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 4),
    pad=st.integers(0, 1),
    dilation=st.integers(1, 2),
    ceil=st.booleans(),
    samples=st.integers(0, 2),
    kind=st.sampled_from(["max", "with padding", "without padding"]),
)
def test_values_and_gradients_are_torchs(
    axes: int,
    size: int,
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
    ceil: bool,
    samples: int,
    kind: str,
) -> None:
    dilation = dilation if kind == "max" else 1
    assume(2 * pad <= kernel)
    assume(size + 2 * pad >= (kernel - 1) * dilation + 1)
    array = numbers(samples, 2, *(min(size, 4) if axes == 3 else size,) * axes)
    assume(array.shape[-1] + 2 * pad >= (kernel - 1) * dilation + 1)
    tensor = torch.tensor(array, requires_grad=True)
    theirs: dict[str, Any] = {"stride": stride, "padding": pad, "ceil_mode": ceil}
    mine: dict[str, Any] = {"strides": stride, "pads": pad, "ceil_mode": ceil}
    if kind == "max":
        function, operator = f"max_pool{axes}d", ms.ops.MaxPool
        theirs["dilation"] = mine["dilations"] = dilation
    else:
        function, operator = f"avg_pool{axes}d", ms.ops.AveragePool
        theirs["count_include_pad"] = mine["count_include_pad"] = kind == "with padding"
    # torch refuses some empty batches: one sample tells their shape.
    shown = tensor if samples else torch.zeros(1, *array.shape[1:], dtype=torch.float64)
    expected = getattr(torch.nn.functional, function)(shown, kernel, **theirs)[: len(array)]
    upstream = numbers(*expected.shape, seed=1)

    with ms.Graph() as graph:
        x = ms.Input((None, 2, *(None,) * axes), dtype="float64")
        y = operator(x, kernel_shape=kernel, **mine)
        weights = ms.Input(y.shape, dtype="float64")
        (slope,) = ms.gradients(y, [x], upstream=weights)
    value, found = graph.forward([y, slope], {x: array, weights: upstream})
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    if samples:
        (by_torch,) = torch.autograd.grad(expected, tensor, torch.tensor(upstream))
        np.testing.assert_allclose(found, by_torch.numpy(), rtol=1e-12, atol=1e-12)
    else:
        assert found.shape == array.shape


def test_the_first_of_equal_elements_takes_the_gradient(graph: ms.Graph) -> None:
    x = ms.Input((1, 1, 4, 4))
    y = ms.ops.MaxPool(x, kernel_shape=2, strides=2)
    (slope,) = ms.gradients(ms.ops.ReduceSum(y), [x])
    array = np.zeros((1, 1, 4, 4))
    array[0, 0, 1, 0] = array[0, 0, 0, 1] = 1.0
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[0, 2] = expected[2, 0] = expected[2, 2] = 1.0
    np.testing.assert_array_equal(graph.forward(slope, {x: array})[0, 0], expected)


def test_overlapping_windows_add_up(graph: ms.Graph) -> None:
    x = ms.Input((1, 1, 5))
    y = ms.ops.MaxPool(x, kernel_shape=3)
    (slope,) = ms.gradients(ms.ops.ReduceSum(y), [x])
    found = graph.forward(slope, {x: [[[0.0, 1.0, 5.0, 1.0, 0.0]]]})
    np.testing.assert_array_equal(found[0, 0], [0.0, 0.0, 3.0, 0.0, 0.0])


def test_the_largest_of_negative_numbers_is_not_the_padding(graph: ms.Graph) -> None:
    y = ms.ops.MaxPool([[[-3.0, -2.0]]], kernel_shape=2, pads=1)
    np.testing.assert_array_equal(graph.forward(y), [[[-3.0, -2.0, -2.0]]])


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_norm_of_nothing_has_no_slope(graph: ms.Graph, p: int) -> None:
    x = ms.Input((1, 1, 4))
    windows = ms.ops.LpPool(x, kernel_shape=2, strides=2, p=p)
    whole = ms.ops.GlobalLpPool(x, p=p)
    for y in (windows, whole):
        (slope,) = ms.gradients(ms.ops.ReduceSum(y), [x])
        np.testing.assert_array_equal(graph.forward(slope, {x: np.zeros((1, 1, 4))}), 0.0)
    (slope,) = ms.gradients(ms.ops.ReduceSum(windows), [x])
    found = graph.forward(slope, {x: [[[0.0, 0.0, 0.0, -2.0]]]})
    np.testing.assert_array_equal(found, [[[0.0, 0.0, 0.0, -1.0]]])


def test_pooling_stays_float32(graph: ms.Graph) -> None:
    x = ms.Input((2, 1, 4, 4))
    options: dict[str, Any] = {"kernel_shape": 2, "pads": 1}
    pools = [ms.ops.MaxPool(x, **options), ms.ops.AveragePool(x, **options)]
    pools += [ms.ops.LpPool(x, **options, p=3), ms.ops.GlobalLpPool(x, p=3)]
    pools += [ms.ops.GlobalAveragePool(x), ms.ops.GlobalMaxPool(x)]
    slopes = [ms.gradients(ms.ops.ReduceSum(y * y), [x])[0] for y in pools]
    values = graph.forward([*pools, *slopes], {x: numbers(2, 1, 4, 4)})
    assert {value.dtype.name for value in values} == {"float32"}


# ---- what is refused -----------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Callable[[ms.Node], Any], type[MatrixSlowError], str, str]] = {
    "images without channels": (
        lambda x: ms.ops.GlobalAveragePool(x[0, 0]),
        ShapeError,
        "GlobalAveragePool 'globalaveragepool': images (N, C, *sizes) with 1 to 3 sizes are "
        "needed, (5, 5) came",
        "give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
    ),
    "windows in the padding": (
        lambda x: ms.ops.MaxPool(x, kernel_shape=2, pads=(0, 0, 2, 0)),
        ShapeError,
        "MaxPool 'maxpool': pads=(0, 0, 2, 0) lay a window of (2, 2) wholly outside the image",
        "pad less than the size of a window",
    ),
    "windows larger than the image": (
        lambda x: ms.ops.AveragePool(x, kernel_shape=(1, 6)),
        ShapeError,
        "AveragePool 'averagepool': a window of 6 elements does not fit on axis 3, which has 5 "
        "and 0 of padding",
        "make the window smaller or the image larger, or pad more",
    ),
    "windows for other images": (
        lambda x: ms.ops.MaxPool(x, kernel_shape=(2,)),
        ArgumentError,
        "MaxPool: kernel_shape=(2,) does not fit 2 spatial axes",
        "give numbers >= 1, one for each axis of the image or one for all",
    ),
    "integers": (
        lambda x: ms.ops.MaxPool(np.zeros((1, 1, 3), int), kernel_shape=2),
        DTypeError,
        "MaxPool 'maxpool': floating-point values are needed, int64 came",
        'convert it: ms.ops.Cast(x, dtype="float32")',
    ),
    "an exponent below 1": (
        lambda x: ms.ops.LpPool(x, kernel_shape=2, p=0),
        ArgumentError,
        "LpPool: p=0 gives no norm",
        "give p >= 1",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, rule, hint = REFUSALS[what]
    x = ms.Input((None, 3, 5, 5), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)
