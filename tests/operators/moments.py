"""Samples of matrixslow/ops/moments.py."""

from __future__ import annotations

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3, 4)

SAMPLES = (
    Sample(
        "ReduceVariance, all axes",
        lambda x: ms.ops.ReduceVariance(x),
        (X,),
        lambda x: x.var(keepdims=True),
    ),
    Sample(
        "ReduceVariance, two axes, dropped",
        lambda x: ms.ops.ReduceVariance(x, axes=(0, -1), keepdims=False),
        (X,),
        lambda x: x.var(axis=(0, 2)),
    ),
    Sample(
        "moments",
        lambda x: ms.ops.Concat(*ms.ops.moments(x, axes=1), axis=1),
        (X,),
        lambda x: (
            x.mean(axis=1, keepdims=True).repeat(2, 1) * [[[1.0], [0.0]]]
            + x.var(axis=1, keepdims=True).repeat(2, 1) * [[[0.0], [1.0]]]
        ),
    ),
    Sample(
        "MovingAverage",
        lambda value: ms.ops.MovingAverage(
            value, ms.Variable(numbers(3), dtype=value.dtype, trainable=False)
        ),
        (numbers(3, seed=1),),
        lambda value: value,
    ),
)
