"""Samples of matrixslow/ops/indexing.py."""

from __future__ import annotations

import numpy as np
import torch

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3, 4)
TIES = np.array([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0]])

SAMPLES = (
    Sample(
        "OneHot, one index negative, one out of range",
        lambda indices: ms.ops.OneHot(indices, depth=3, dtype="float64"),
        (np.array([[0, -1], [3, 1]]),),
        np.array([[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 1, 0]]]),
        order=0,
    ),
    Sample(
        "OneHot, new axis in front, integers",
        lambda indices: ms.ops.OneHot(indices, depth=2, dtype="int32", axis=0),
        (np.array([1, 0, 1]),),
        np.array([[0, 1, 0], [1, 0, 1]]),
        order=0,
    ),
    Sample(
        "TopKIndices, equal elements in order",
        lambda x: ms.ops.TopKIndices(x, k=3),
        (TIES,),
        np.array([[1, 2, 3], [0, 1, 2]]),
        order=0,
    ),
    Sample(
        "TopKIndices, smallest, equal elements in order",
        lambda x: ms.ops.TopKIndices(x, k=3, largest=False),
        (TIES,),
        np.array([[0, 3, 1], [0, 1, 2]]),
        order=0,
    ),
    Sample(
        "TopK, values",
        lambda x: ms.ops.TopK(x, k=2)[0],
        (X,),
        lambda x: torch.topk(torch.tensor(x), 2).values.numpy(),
    ),
    Sample(
        "TopK, smallest values in the middle",
        lambda x: ms.ops.TopK(x, k=2, axis=1, largest=False)[0],
        (X,),
        lambda x: np.sort(x, axis=1)[:, :2],
    ),
    Sample("x[1]", lambda x: x[1], (X,), X[1]),
    Sample("x[:, -1]", lambda x: x[:, -1], (X,), X[:, -1]),
    Sample("x[..., 1:3]", lambda x: x[..., 1:3], (X,), X[..., 1:3]),
    Sample("x[::-1, None, 2]", lambda x: x[::-1, None, 2], (X,), X[::-1, None, 2]),
    Sample("x[:, :, 3:0:-2]", lambda x: x[:, :, 3:0:-2], (X,), X[:, :, 3:0:-2]),
    Sample("x[None, ..., None]", lambda x: x[None, ..., None], (X,), X[None, ..., None]),
    Sample("x[:, [2, 0, -1]]", lambda x: x[:, [2, 0, -1]], (X,), X[:, [2, 0, -1]]),
    Sample(
        "x[None, 1:, positions]",
        lambda x, positions: x[None, 1:, positions],
        (X, np.array([[2, 0], [1, 1]])),
        lambda x, positions: x[None, 1:, positions],
    ),
)
