"""Samples of matrixslow/ops/extremes.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators.reduction import TIES, X, over_axes

SAMPLES = (
    *over_axes(ms.ops.ReduceMax, np.max),
    *over_axes(ms.ops.ReduceMin, np.min),
    Sample(
        "ReduceMax, integers", lambda x: ms.ops.ReduceMax(x, axes=1), (TIES,), [[3], [2]], order=0
    ),
    Sample("ArgMax", lambda x: ms.ops.ArgMax(x), (X,), X.argmax(axis=0, keepdims=True), order=0),
    Sample(
        "ArgMax, the last of equal ones",
        lambda x: ms.ops.ArgMax(x, axis=1, select_last_index=True),
        (TIES,),
        [[2], [1]],
        order=0,
    ),
    Sample(
        "ArgMax, the last axis, dropped",
        lambda x: ms.ops.ArgMax(x, axis=-1, keepdims=False),
        (X,),
        X.argmax(axis=-1),
        order=0,
    ),
    Sample("ArgMin", lambda x: ms.ops.ArgMin(x), (X,), X.argmin(axis=0, keepdims=True), order=0),
    Sample(
        "ArgMin, the last of equal ones, dropped",
        lambda x: ms.ops.ArgMin(x, axis=-1, keepdims=False, select_last_index=True),
        (-TIES,),
        [2, 1],
        order=0,
    ),
)
