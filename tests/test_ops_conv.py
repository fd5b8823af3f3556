"""Convolution against torch, with sizes that are fed, in tiles, and what is refused."""

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
from matrixslow.ops import conv
from tests.operators import numbers


def slopes_of(
    graph: ms.Graph, y: ms.Node, feeds: dict[ms.Node, Any], upstream: np.ndarray[Any, Any]
) -> list[np.ndarray[Any, Any]]:
    """The value of y, then the gradients of <upstream, y>."""
    weights = ms.Input(y.shape, dtype="float64")
    slopes = ms.gradients(y, list(feeds), upstream=weights)
    return graph.forward([y, *slopes], {**feeds, weights: upstream})


@given(
    axes=st.integers(1, 3),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    group=st.integers(1, 2),
    samples=st.integers(0, 3),
    more=st.integers(0, 2),
    transposed=st.booleans(),
)
def test_values_and_gradients_are_torchs(
    axes: int,
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
    group: int,
    samples: int,
    more: int,
    transposed: bool,
) -> None:
    size = 5 if axes < 3 else 4
    if transposed:
        assume(more < stride)
        assume((size - 1) * stride + (kernel - 1) * dilation + 1 + more > 2 * pad)
    else:
        more = 0
        assume(size + 2 * pad >= (kernel - 1) * dilation + 1)
    options = {"stride": stride, "padding": pad, "dilation": dilation, "groups": group}
    arrays = [
        numbers(samples, 2 * group, *(size,) * axes),
        numbers(2 * group, 2, *(kernel,) * axes, seed=1),
        numbers(2 * group, seed=2),
    ]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    if transposed:
        name, kind, options["output_padding"] = f"conv_transpose{axes}d", ms.ops.ConvTranspose, more
    else:
        name, kind = f"conv{axes}d", ms.ops.Conv
    expected = getattr(torch.nn.functional, name)(*tensors, **options)
    upstream = numbers(*expected.shape, seed=3)
    expected_slopes = torch.autograd.grad(expected, tensors, torch.tensor(upstream))

    with ms.Graph() as graph:
        inputs = [
            ms.Input((None, 2 * group, *(None,) * axes), dtype="float64"),
            *(ms.Input(array.shape, dtype="float64") for array in arrays[1:]),
        ]
        y = kind(
            *inputs,
            strides=stride,
            pads=pad,
            dilations=dilation,
            group=group,
            **({"output_padding": more} if transposed else {}),
        )
        assert y.shape == (None, 2 * group, *(None,) * axes)
        found = slopes_of(graph, y, dict(zip(inputs, arrays, strict=True)), upstream)
    for mine, theirs in zip(found, (expected, *expected_slopes), strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 2000, 2**20])
def test_tiles_of_any_size_give_the_same(
    graph: ms.Graph, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    arrays = [numbers(5, 2, 6, 6), numbers(3, 2, 3, 3, seed=1)]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = torch.nn.functional.conv2d(*tensors)
    upstream = numbers(*expected.shape, seed=3)
    expected_slopes = torch.autograd.grad(expected, tensors, torch.tensor(upstream))
    monkeypatch.setattr(conv, "TILE", tile)
    inputs = [ms.Input(array.shape, dtype="float64") for array in arrays]
    y = ms.ops.Conv(*inputs)
    found = slopes_of(graph, y, dict(zip(inputs, arrays, strict=True)), upstream)
    for mine, theirs in zip(found, (expected, *expected_slopes), strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("size", [5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_leaves_as_many_as_the_stride_tells(
    graph: ms.Graph, auto_pad: str, size: int, stride: int
) -> None:
    image = ms.Input((1, 1, size))
    kernel = ms.Constant(np.ones((1, 1, 4)))
    y = ms.ops.Conv(image, kernel, strides=stride, auto_pad=auto_pad)
    assert y.shape == (1, 1, -(-size // stride))
    total = max((y.shape[2] - 1) * stride + 4 - size, 0)
    before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
    padded = np.pad(np.ones(size), (before, total - before))
    sums = [padded[i * stride : i * stride + 4].sum() for i in range(y.shape[2])]
    np.testing.assert_array_equal(graph.forward(y, {image: np.ones((1, 1, size))})[0, 0], sums)
    back = ms.ops.ConvTranspose(y, kernel, strides=stride, auto_pad=auto_pad)
    assert back.shape == (1, 1, y.shape[2] * stride)


def test_options_are_kept_in_full(graph: ms.Graph) -> None:
    y = ms.ops.Conv(ms.Input((None, 2, 5, 5)), np.zeros((2, 1, 3, 3)), pads=(1, 0), group=2)
    assert y.attributes == {
        "strides": (1, 1),
        "pads": (1, 0, 1, 0),
        "dilations": (1, 1),
        "group": 2,
        "auto_pad": "NOTSET",
    }


def test_a_convolution_stays_float32(graph: ms.Graph) -> None:
    x, w = ms.Input((2, 1, 4, 4)), ms.Variable(numbers(2, 1, 2, 2))
    y = ms.ops.Conv(x, w, np.ones(2))
    slopes = ms.gradients(ms.ops.ReduceSum(y * y), [x, w])
    values = graph.forward([y, *slopes], {x: numbers(2, 1, 4, 4)})
    assert {value.dtype.name for value in values} == {"float32"}


# ---- what is refused -----------------------------------------------------------------------------


def kernel(*shape: int) -> ms.Node:
    return ms.Variable(np.zeros(shape), name="kernel")


REFUSALS: dict[str, tuple[Callable[[ms.Node], Any], type[MatrixSlowError], str, str]] = {
    "images without channels": (
        lambda x: ms.ops.Conv(x[0, 0], kernel(4, 3, 3, 3)),
        ShapeError,
        "Conv 'conv': images (N, C, *sizes) with 1 to 3 sizes are needed, (5, 5) came",
        "give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
    ),
    "a kernel of other dimensions": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3)),
        ShapeError,
        "Conv 'conv': a kernel with 2 known sizes goes with images (None, 3, 5, 5), (4, 3, 3) came",
        "give kernel the shape (M, C / group, *sizes)",
    ),
    "a kernel for other channels": (
        lambda x: ms.ops.Conv(x, kernel(4, 1, 3, 3)),
        ShapeError,
        "Conv 'conv': the images have 3 channels, the kernel is made for 1",
        "give kernel the shape (M, C / group, *sizes)",
    ),
    "a transposed kernel for other channels": (
        lambda x: ms.ops.ConvTranspose(x, kernel(4, 1, 3, 3)),
        ShapeError,
        "ConvTranspose 'convtranspose': the images have 3 channels, the kernel is made for 4",
        "give kernel the shape (C, M / group, *sizes)",
    ),
    "unequal groups": (
        lambda x: ms.ops.Conv(x, kernel(4, 1, 3, 3), group=3),
        ShapeError,
        "Conv 'conv': 4 channels cannot be divided into 3 groups",
        "give each group as many",
    ),
    "no groups": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), group=0),
        ArgumentError,
        "Conv: group=0",
        "give group >= 1",
    ),
    "a window that is too large": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 1, 4), pads=(0, 0, 0, 1), dilations=2),
        ShapeError,
        "Conv 'conv': a window of 7 elements does not fit on axis 3, which has 5 and 1 of padding",
        "make the window smaller or the image larger, or pad more",
    ),
    "a bias for other channels": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), np.zeros(3)),
        ShapeError,
        "Conv 'conv': a bias of shape (3,) came for 4 channels",
        "give it the shape (4,)",
    ),
    "integers": (
        lambda x: ms.ops.Conv(np.zeros((1, 1, 3), int), np.zeros((1, 1, 3), int)),
        DTypeError,
        "Conv 'conv': floating-point values are needed, int64 came",
        'convert it: ms.ops.Cast(x, dtype="float32")',
    ),
    "strides for another image": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), strides=(1, 1, 1)),
        ArgumentError,
        "Conv: strides=(1, 1, 1) does not fit 2 spatial axes",
        "give numbers >= 1, one for each axis of the image or one for all",
    ),
    "windows that do not move": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), strides=0),
        ArgumentError,
        "Conv: strides=0 does not fit 2 spatial axes",
        "give numbers >= 1, one for each axis of the image or one for all",
    ),
    "padding in words that nobody knows": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), auto_pad="same"),
        ArgumentError,
        "Conv: auto_pad='same' is unknown",
        "one of 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'",
    ),
    "padding in words and numbers": (
        lambda x: ms.ops.Conv(x, kernel(4, 3, 3, 3), pads=1, auto_pad="VALID"),
        ArgumentError,
        "Conv: pads=(1, 1, 1, 1) and auto_pad='VALID' contradict",
        "give one of the two",
    ),
    "nothing left": (
        lambda x: ms.ops.ConvTranspose(x, kernel(3, 1, 3, 3), pads=(0, 4)),
        ShapeError,
        "ConvTranspose 'convtranspose': nothing is left of axis 3: 7 elements, less 8 for padding",
        "cut off less: smaller pads",
    ),
    "more output padding than the stride": (
        lambda x: ms.ops.ConvTranspose(x, kernel(3, 1, 3, 3), strides=2, output_padding=2),
        ArgumentError,
        "ConvTranspose: output_padding=2 is too much for strides=2 and auto_pad='NOTSET'",
        "it tells apart sizes that give as many windows: 0 to stride - 1, and 0 where auto_pad "
        "tells the size",
    ),
    "columns of other images": (
        lambda x: ms.ops.CombinePatches(ms.Input((None, 12, 9)), x, kernel_shape=2),
        ShapeError,
        "CombinePatches 'combinepatches': columns of shape (None, 12, 9) came, images "
        "(None, 3, 5, 5) give (None, 12, 16)",
        "give the options and the images that the columns were extracted with",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, rule, hint = REFUSALS[what]
    x = ms.Input((None, 3, 5, 5), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)


def test_an_image_that_is_fed_too_small_is_refused(graph: ms.Graph) -> None:
    x = ms.Input((None, 1, None), name="x")
    y = ms.ops.Conv(x, np.zeros((1, 1, 3)), name="y")
    with pytest.raises(ShapeError) as caught:
        graph.forward(y, {x: np.zeros((1, 1, 2))})
    assert caught.value.rule == (
        "Conv 'y': a window of 3 elements does not fit on axis 2, which has 2 and 0 of padding"
    )
