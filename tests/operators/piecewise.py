"""Samples of matrixslow/ops/piecewise.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

A, B = numbers(2, 3), numbers(2, 3, seed=1)
ROW = numbers(3, seed=2)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, -0.51])
DIVIDENDS = np.array([5.3, -5.3, 5.3, -5.3])
DIVISORS = np.array([1.7, 1.7, -1.7, -1.7])
WHOLE, PARTS = np.array([7, -7, 7, -7]), np.array([3, 3, -3, -3])

SAMPLES = (
    Sample("Abs", lambda x: ms.ops.Abs(x), (A,), np.abs(A)),
    Sample("Abs, integers", lambda x: ms.ops.Abs(x), (WHOLE,), np.abs(WHOLE), order=0),
    Sample("Sign", lambda x: ms.ops.Sign(x), (A,), np.sign(A)),
    Sample("Floor", lambda x: ms.ops.Floor(x), (HALVES,), np.floor(HALVES)),
    Sample("Ceil", lambda x: ms.ops.Ceil(x), (HALVES,), np.ceil(HALVES)),
    Sample("Round, half to even", lambda x: ms.ops.Round(x), (HALVES,), np.round(HALVES), order=0),
    Sample(
        "Mod, the divisor's sign",
        lambda a, b: ms.ops.Mod(a, b),
        (DIVIDENDS, DIVISORS),
        np.mod(DIVIDENDS, DIVISORS),
    ),
    Sample(
        "Mod, the dividend's sign",
        lambda a, b: ms.ops.Mod(a, b, fmod=True),
        (DIVIDENDS, DIVISORS),
        np.fmod(DIVIDENDS, DIVISORS),
    ),
    Sample("Mod, integers", lambda a, b: ms.ops.Mod(a, b), (WHOLE, PARTS), WHOLE % PARTS, order=0),
    Sample("Clip, both bounds", lambda x: ms.ops.Clip(x, min=-1, max=1), (A,), A.clip(-1, 1)),
    Sample("Clip, from below", lambda x: ms.ops.Clip(x, min=0.1), (A,), A.clip(0.1, None)),
    Sample("Clip, from above", lambda x: ms.ops.Clip(x, max=0.1), (A,), A.clip(None, 0.1)),
    Sample("Clip, no bound", lambda x: ms.ops.Clip(x), (A,), A),
    Sample(
        "Clip, integers",
        lambda x: ms.ops.Clip(x, min=-1, max=2),
        (WHOLE,),
        WHOLE.clip(-1, 2),
        order=0,
    ),
    Sample("Min, two", lambda a, b: ms.ops.Min(a, b), (A, B), np.minimum(A, B)),
    Sample(
        "Min, three, stretched",
        lambda a, b, row: ms.ops.Min(a, b, row),
        (A, B, ROW),
        np.minimum(np.minimum(A, B), ROW),
    ),
    Sample("Max, two", lambda a, b: ms.ops.Max(a, b), (A, B), np.maximum(A, B)),
    Sample("Max, a number", lambda a: ms.ops.Max(a, 0), (A,), np.maximum(A, 0.0)),
    Sample(
        "Max, three, stretched",
        lambda a, b, row: ms.ops.Max(a, b, row),
        (A, B, ROW),
        np.maximum(np.maximum(A, B), ROW),
    ),
)
