"""Samples of matrixslow/ops/rows.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

IDS = np.array([[7, 2, 7], [0, 8, 2]])
DISTINCT = np.array([0, 2, 7, 8, -1, -1])


def replaced(table: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    y = table.copy()
    for number, row in zip(ids, rows, strict=True):
        if number >= 0:
            y[number] = row
    return y


SAMPLES = (
    Sample(
        "DistinctIds",
        lambda ids: ms.ops.DistinctIds(ids, rows=9),
        (IDS,),
        DISTINCT,
        order=0,
    ),
    Sample(
        "DistinctIds of a table that takes more than one round of sorting",
        lambda ids: ms.ops.DistinctIds(ids, rows=2**40),
        (np.array([2**39 + 5, 3, 2**20, 2**39 + 5, 2**39, 3 + 2**11], np.int64),),
        np.array([3, 3 + 2**11, 2**20, 2**39, 2**39 + 5, -1]),
        order=0,
    ),
    Sample(
        "IdRanks",
        lambda distinct, ids: ms.ops.IdRanks(distinct, ids),
        (DISTINCT, IDS),
        np.array([[2, 1, 2], [0, 3, 1]]),
        order=0,
    ),
    Sample(
        "IdRanks of the ids themselves",
        lambda ids: ms.ops.IdRanks(ms.ops.DistinctIds(ids, rows=9), ids),
        (IDS,),
        np.array([[2, 1, 2], [0, 3, 1]]),
        order=0,
    ),
    Sample(
        "ReplacedRows",
        lambda table, ids, rows: ms.ops.ReplacedRows(table, ids, rows),
        (numbers(5, 3), np.array([3, 0, -1]), numbers(3, 3)),
        replaced,
    ),
    Sample(
        "ReplacedRows of a table of numbers",
        lambda table, ids, rows: ms.ops.ReplacedRows(table, ids, rows),
        (numbers(5), np.array([-1, 4]), numbers(2)),
        replaced,
    ),
)
