"""Samples of matrixslow/ops/like.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3, 4)

SAMPLES = (
    Sample("OnesLike", lambda x: ms.ops.OnesLike(x), (X,), np.ones_like, order=0),
    Sample("ZerosLike", lambda x: ms.ops.ZerosLike(x), (X,), np.zeros_like, order=0),
    Sample(
        "SumLike, fewer axes and axes of size 1",
        lambda x, like: ms.ops.SumLike(x, like),
        (X, numbers(3, 1)),
        lambda x, like: x.sum(axis=(0, 2))[:, None],
    ),
    Sample(
        "SumLike, the same shape",
        lambda x, like: ms.ops.SumLike(x, like),
        (X, numbers(2, 3, 4, seed=1)),
        lambda x, like: x,
    ),
    Sample(
        "BroadcastLike",
        lambda x, like: ms.ops.BroadcastLike(x, like),
        (numbers(3, 1), X),
        lambda x, like: np.broadcast_to(x, like.shape),
    ),
    Sample(
        "ReshapeLike",
        lambda x, like: ms.ops.ReshapeLike(x, like),
        (numbers(6, 4), X),
        lambda x, like: x.reshape(like.shape),
    ),
)
