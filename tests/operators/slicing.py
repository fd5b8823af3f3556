"""Samples of matrixslow/ops/slicing.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(5, 4)


def placed(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    y = np.zeros_like(like)
    y[:0:-2, 1:3] = x
    return y


SAMPLES = (
    Sample(
        "Slice, one axis",
        lambda x: ms.ops.Slice(x, starts=1, ends=4),
        (X,),
        X[1:4],
    ),
    Sample(
        "Slice, steps and negative ends",
        lambda x: ms.ops.Slice(x, starts=(-4, 1), ends=(-1, 100), axes=(0, 1), steps=(2, 1)),
        (X,),
        X[-4:-1:2, 1:],
    ),
    Sample(
        "Slice, backwards past the first element",
        lambda x: ms.ops.Slice(x, starts=100, ends=-100, axes=-1, steps=-3),
        (X,),
        X[:, ::-3],
    ),
    Sample(
        "Slice, nothing left",
        lambda x: ms.ops.Slice(x, starts=3, ends=3, axes=1),
        (X,),
        X[:, 3:3],
    ),
    Sample(
        "SliceGradient, backwards",
        lambda x, like: ms.ops.SliceGradient(
            x, like, starts=(4, 1), ends=(0, 3), axes=(0, 1), steps=(-2, 1)
        ),
        (numbers(2, 2), X),
        placed,
    ),
)
