"""Samples of matrixslow/ops/gather.py."""

from __future__ import annotations

import numpy as np
import torch

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(3, 4)
TWICE = np.array([[2, 0], [-1, 2]])
COLUMN = np.array([[1], [3], [-4]])


def added(x: np.ndarray, indices: np.ndarray, like: np.ndarray) -> np.ndarray:
    total = np.zeros_like(like)
    np.add.at(total, indices, x)
    return total


def scattered(x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    index = torch.tensor(indices % x.shape[1])
    return torch.tensor(x).scatter(1, index, torch.tensor(updates)).numpy()


SAMPLES = (
    Sample(
        "Gather rows, some twice",
        lambda x, indices: ms.ops.Gather(x, indices),
        (X, TWICE),
        lambda x, indices: x[indices],
    ),
    Sample(
        "Gather along the last axis",
        lambda x, indices: ms.ops.Gather(x, indices, axis=-1),
        (numbers(2, 2, 3), TWICE),
        lambda x, indices: x[:, :, indices],
    ),
    Sample(
        "Gather in the middle, one index",
        lambda x: ms.ops.Gather(x, 1, axis=1),
        (numbers(2, 3, 2),),
        lambda x: x[:, 1],
    ),
    Sample(
        "Gather nothing",
        lambda x, indices: ms.ops.Gather(x, indices, axis=1),
        (X, np.zeros(0, np.int64)),
        lambda x, indices: x[:, :0],
    ),
    Sample(
        "GatherGradient",
        lambda x, indices, like: ms.ops.GatherGradient(x, indices, like),
        (numbers(2, 2, 4), TWICE, X),
        added,
    ),
    Sample(
        "GatherGradient along the last axis",
        lambda x, indices, like: ms.ops.GatherGradient(x, indices, like, axis=-1),
        (numbers(3, 2, 2), TWICE, X),
        lambda x, indices, like: added(x.transpose(1, 2, 0), indices, like.T).T,
    ),
    Sample(
        "GatherElements, fewer on every axis",
        lambda x, indices: ms.ops.GatherElements(x, indices, axis=1),
        (X, COLUMN[:2]),
        lambda x, indices: np.take_along_axis(x[:2], indices, 1),
    ),
    Sample(
        "GatherElements, one position twice",
        lambda x, indices: ms.ops.GatherElements(x, indices),
        (X, np.array([[0, 2, 1, -1], [0, 1, 2, 2]])),
        lambda x, indices: np.take_along_axis(x, indices, 0),
    ),
    Sample(
        "ScatterElements",
        lambda x, indices, updates: ms.ops.ScatterElements(x, indices, updates, axis=-1),
        (X, COLUMN, numbers(3, 1)),
        scattered,
    ),
    Sample(
        "ScatterElements, added up",
        lambda x, indices, updates: ms.ops.ScatterElements(x, indices, updates, reduction="add"),
        (numbers(3), np.array([2, 0, 2]), numbers(3, seed=1)),
        lambda x, indices, updates: x + added(updates, indices, x),
    ),
    Sample(
        "Embedding, ids twice",
        lambda table, ids: ms.ops.Embedding(table, ids),
        (X, TWICE % 3),
        lambda table, ids: table[ids],
    ),
    Sample(
        "Embedding, no ids",
        lambda table, ids: ms.ops.Embedding(table, ids),
        (X, np.zeros((0, 2), np.int32)),
        lambda table, ids: np.zeros((0, 2, 4)),
    ),
    Sample(
        "EmbeddingGradient",
        lambda table, ids, rows: ms.ops.EmbeddingGradient(table, ids, rows),
        (X, np.array([2, 0, 2]), numbers(3, 4, seed=1)),
        lambda table, ids, rows: added(rows, ids, table),
    ),
)
