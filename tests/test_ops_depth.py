"""Channels and places: as torch, there and back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.errors import ArgumentError, MatrixSlowError, ShapeError
from matrixslow.ops import DepthToSpace, SpaceToDepth
from tests.operators import numbers


@pytest.mark.parametrize(("batch", "block"), [(2, 2), (1, 3), (0, 2), (2, 1)])
def test_it_is_as_torch(graph: ms.Graph, batch: int, block: int) -> None:
    x = ms.Input((None, 2 * block**2, 4, 3), dtype="float64", name="x")
    images = numbers(batch, 2 * block**2, 4, 3)
    y = DepthToSpace(x, blocksize=block, mode="CRD")
    assert y.shape == (None, 2, 4 * block, 3 * block)
    theirs = functional.pixel_shuffle(torch.tensor(images), block)
    np.testing.assert_array_equal(graph.forward(y, {x: images}), theirs.numpy())


def test_the_block_comes_first_by_default(graph: ms.Graph) -> None:
    # The example of the ONNX standard: 8 channels of 2 x 3, channel c being 9 c and up.
    x = np.arange(8.0).reshape(1, 8, 1, 1) * 9.0 + np.arange(6.0).reshape(2, 3)
    y = graph.forward(DepthToSpace(x, blocksize=2))
    assert y[0, 0, :2].tolist() == [[0, 18, 1, 19, 2, 20], [36, 54, 37, 55, 38, 56]]
    crd = graph.forward(DepthToSpace(x, blocksize=2, mode="CRD"))
    assert crd[0, 0, :2].tolist() == [[0, 9, 1, 10, 2, 11], [18, 27, 19, 28, 20, 29]]


def test_there_and_back(graph: ms.Graph) -> None:
    x = ms.Input((None, 3, 4, 6), dtype="float64", name="x")
    images = numbers(2, 3, 4, 6)
    deep = SpaceToDepth(x, blocksize=2, name="deep")
    assert (deep.name, deep.shape) == ("deep", (None, 12, 2, 3))
    back = DepthToSpace(deep, blocksize=2)
    np.testing.assert_array_equal(graph.forward(back, {x: images}), images)
    (slope,) = ms.gradients(ms.ops.ReduceSum(deep * deep, keepdims=False), [x])
    np.testing.assert_allclose(graph.forward(slope, {x: images}), 2 * images)
    np.testing.assert_array_equal(ms.function([x], back)(images), images)


REFUSALS: dict[str, tuple[Callable[[ms.Node], ms.Node], type[MatrixSlowError], str]] = {
    "channels left over": (
        lambda x: DepthToSpace(x, blocksize=2),
        ShapeError,
        "DepthToSpace: 3 channels do not fill blocks of 2 x 2\n"
        "  x      Input 'x' (None, 3, 4, 5) float32   SITE\n"
        "  hint   give a multiple of 4 channels",
    ),
    "pixels left over": (
        lambda x: SpaceToDepth(x, blocksize=2),
        ShapeError,
        "SpaceToDepth: blocks of 2 x 2 do not fill 4 x 5\n"
        "  x      Input 'x' (None, 3, 4, 5) float32   SITE\n"
        "  hint   pad or crop the images",
    ),
    "an unknown mode": (
        lambda x: DepthToSpace(x, blocksize=2, mode="RCD"),
        ArgumentError,
        'DepthToSpace: mode=\'RCD\'\n  hint   give "DCR" or "CRD"',
    ),
    "no block": (
        lambda x: SpaceToDepth(x, blocksize=0),
        ArgumentError,
        "SpaceToDepth: blocksize=0\n  hint   give 1 or more",
    ),
    "no images": (
        lambda x: SpaceToDepth(x[:, 0], blocksize=2),
        ShapeError,
        "SpaceToDepth: images (N, C, H, W) of known sizes are needed",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, expected = REFUSALS[what]
    x = ms.Input((None, 3, 4, 5), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert str(caught.value).startswith(expected.replace("SITE", str(x.site)))
