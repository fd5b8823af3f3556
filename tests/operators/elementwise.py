"""Samples of matrixslow/ops/elementwise.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

A, B = numbers(2, 3), numbers(2, 3, seed=1)
ROW, COLUMN = numbers(3, seed=2), numbers(2, 1, seed=3)
FAR = ROW + 3.0
INTEGERS = np.array([[3, -2, 0], [1, 5, -7]])

SAMPLES = (
    Sample("Add, equal shapes", lambda a, b: ms.ops.Add(a, b), (A, B), A + B),
    Sample("Add, a column and a row", lambda a, b: a + b, (COLUMN, ROW), COLUMN + ROW),
    Sample("Add, a number", lambda a: 1.5 + a, (A,), 1.5 + A),
    Sample("Add, integers", lambda a: a + 1, (INTEGERS,), INTEGERS + 1, order=0),
    Sample("Sub, equal shapes", lambda a, b: ms.ops.Sub(a, b), (A, B), A - B),
    Sample("Sub, a row less a column", lambda a, b: a - b, (ROW, COLUMN), ROW - COLUMN),
    Sample("Mul, equal shapes", lambda a, b: ms.ops.Mul(a, b), (A, B), A * B),
    Sample("Mul, a matrix and a row", lambda a, b: a * b, (A, ROW), A * ROW),
    Sample("ScalarMultiply", lambda a, b: ms.ops.ScalarMultiply(a, b), (A[0, 0], B), A[0, 0] * B),
    Sample(
        "ScalarMultiply, 1 x 1",
        lambda a, b: ms.ops.ScalarMultiply(a, b),
        (A[:1, :1], B),
        A[0, 0] * B,
    ),
    Sample("Div, equal shapes", lambda a, b: ms.ops.Div(a, b), (A, B), A / B),
    Sample("Div, a number by a matrix", lambda a: 2.0 / a, (A,), 2.0 / A),
    Sample("Div, a column by a row", lambda a, b: a / b, (COLUMN, FAR), COLUMN / FAR),
    Sample("Neg", lambda x: ms.ops.Neg(x), (A,), -A),
    Sample("Reciprocal", lambda x: ms.ops.Reciprocal(x), (A,), 1.0 / A),
    Sample("Identity", lambda x: ms.ops.Identity(x), (A,), A),
    Sample("Identity, of bool", lambda x: ms.ops.Identity(x), (A > 0,), A > 0, order=0),
    Sample("StopGradient", lambda x: ms.ops.StopGradient(x), (A,), A, order=0),
    Sample(
        "Cast, to integers", lambda x: ms.ops.Cast(x, dtype="int64"), (A,), np.trunc(A), order=0
    ),
    Sample("Cast, to bool", lambda x: ms.ops.Cast(x, dtype="bool"), (INTEGERS,), INTEGERS != 0),
    Sample("Cast, from bool", lambda x: ms.ops.Cast(x, dtype="float64"), (A > 0,), 1.0 * (A > 0)),
    Sample("Cast, to itself", lambda x: ms.ops.Cast(x, dtype=x.dtype), (A,), A),
)
