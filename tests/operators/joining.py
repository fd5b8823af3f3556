"""Samples of matrixslow/ops/joining.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

A, B = numbers(2, 3), numbers(2, 1, seed=1)


def swapped(x: ms.Node) -> ms.Node:
    first, second, third = ms.ops.Split(x, axis=-1, sizes=(2, 0, 3))
    return ms.ops.Concat(third, second, first, axis=1)


SAMPLES = (
    Sample(
        "Concat, unequal sizes",
        lambda a, b: ms.ops.Concat(a, b, axis=1),
        (A, B),
        lambda a, b: np.concatenate([a, b], 1),
    ),
    Sample(
        "Concat, the same node twice",
        lambda a: ms.ops.Concat(a, a, axis=-1),
        (A,),
        lambda a: np.concatenate([a, a], 1),
    ),
    Sample(
        "Concat, along the axis of the samples",
        lambda a, b: ms.ops.Concat(a, b, a, axis=0),
        (A, numbers(3, 3, seed=1)),
        lambda a, b: np.concatenate([a, b, a]),
    ),
    Sample(
        "ConcatPart, the second of three",
        lambda x, a, b: ms.ops.ConcatPart(x, a, b, a, axis=-1, position=1),
        (numbers(2, 7), A, B),
        lambda x, a, b: x[:, 3:4],
    ),
    Sample(
        "Split by sizes",
        swapped,
        (numbers(2, 5),),
        lambda x: np.concatenate([x[:, 2:], x[:, :2]], 1),
    ),
    Sample(
        "Split in pieces of which the last is smaller",
        lambda x: ms.ops.Split(x, axis=1, num_outputs=3)[2],
        (numbers(2, 5),),
        lambda x: x[:, 4:],
    ),
)
