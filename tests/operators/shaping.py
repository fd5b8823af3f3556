"""Samples of matrixslow/ops/shaping.py."""

from __future__ import annotations

import numpy as np
import torch

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3, 4)

SAMPLES = (
    Sample(
        "Reshape, sizes given",
        lambda x: ms.ops.Reshape(x, shape=(3, 8)),
        (X,),
        X.reshape(3, 8),
    ),
    Sample(
        "Reshape, one axis copied and one worked out",
        lambda x: ms.ops.Reshape(x, shape=(0, -1, 2)),
        (X,),
        X.reshape(2, 6, 2),
    ),
    Sample(
        "Reshape, to a scalar",
        lambda x: ms.ops.Reshape(x, shape=()),
        (numbers(1, 1),),
        numbers(1, 1).reshape(()),
    ),
    Sample(
        "Reshape, no samples",
        lambda x: ms.ops.Reshape(x, shape=(0, -1)),
        (numbers(0, 3, 4),),
        np.zeros((0, 12)),
    ),
    Sample("Transpose, axes reversed", lambda x: ms.ops.Transpose(x), (X,), X.T),
    Sample(
        "Transpose, a cycle with negative axes",
        lambda x: ms.ops.Transpose(x, perm=(-1, 0, 1)),
        (X,),
        X.transpose(2, 0, 1),
    ),
    Sample("Flatten", lambda x: ms.ops.Flatten(x), (X,), X.reshape(2, 12)),
    Sample("Flatten, axis 0", lambda x: ms.ops.Flatten(x, axis=0), (X,), X.reshape(1, 24)),
    Sample(
        "Flatten, axis after the last", lambda x: ms.ops.Flatten(x, axis=3), (X,), X.reshape(24, 1)
    ),
    Sample(
        "Flatten, axis from the end", lambda x: ms.ops.Flatten(x, axis=-1), (X,), X.reshape(6, 4)
    ),
    Sample(
        "Squeeze, axes named",
        lambda x: ms.ops.Squeeze(x, axes=(-1, 1)),
        (numbers(3, 1, 2, 1),),
        lambda x: x.reshape(3, 2),
    ),
    Sample(
        "Squeeze, all axes of size 1",
        lambda x: ms.ops.Squeeze(x),
        (numbers(3, 1, 2, 1),),
        lambda x: x.reshape(3, 2),
    ),
    Sample(
        "Unsqueeze, in front and at the end",
        lambda x: ms.ops.Unsqueeze(x, axes=(0, -1)),
        (numbers(3, 2),),
        lambda x: x.reshape(1, 3, 2, 1),
    ),
    Sample(
        "Expand, both ways",
        lambda x: ms.ops.Expand(x, shape=(2, 1, 4)),
        (numbers(3, 1),),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
    ),
    Sample(
        "Tile",
        lambda x: ms.ops.Tile(x, repeats=(2, 1, 3)),
        (numbers(2, 3, 2),),
        lambda x: torch.tile(torch.tensor(x), (2, 1, 3)).numpy(),
    ),
    Sample(
        "TileGradient",
        lambda x: ms.ops.TileGradient(x, repeats=(2, 3)),
        (numbers(4, 6),),
        lambda x: x[:2, :2] + x[2:, :2] + x[:2, 2:4] + x[2:, 2:4] + x[:2, 4:] + x[2:, 4:],
    ),
    Sample(
        "Flip, two axes",
        lambda x: ms.ops.Flip(x, axes=(0, -1)),
        (X,),
        X[::-1, :, ::-1],
    ),
)
