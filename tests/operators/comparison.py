"""Samples of matrixslow/ops/comparison.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]])
B = np.array([2.0, 2.0, 2.0])
P, Q = np.array([[True, True], [False, False]]), np.array([True, False])
ODD = np.array([[1.0, np.inf, -np.inf], [np.nan, 0.0, -2.0]])
X, Y = numbers(2, 3), numbers(2, 3, seed=1)
CONDITION = np.array([[True, False, True], [False, True, True]])

SAMPLES = (
    Sample("Equal", lambda a, b: ms.ops.Equal(a, b), (A, B), A == B, order=0),
    Sample("Equal, of bool", lambda a, b: ms.ops.Equal(a, b), (P, Q), P == Q, order=0),
    Sample("Less", lambda a, b: ms.ops.Less(a, b), (A, B), A < B, order=0),
    Sample("Less, than a number", lambda a: ms.ops.Less(a, 2), (A,), A < 2, order=0),
    Sample("LessOrEqual", lambda a, b: ms.ops.LessOrEqual(a, b), (A, B), A <= B, order=0),
    Sample("Greater", lambda a, b: ms.ops.Greater(a, b), (A, B), A > B, order=0),
    Sample("GreaterOrEqual", lambda a, b: ms.ops.GreaterOrEqual(a, b), (A, B), A >= B, order=0),
    Sample("And", lambda a, b: ms.ops.And(a, b), (P, Q), P & Q, order=0),
    Sample("Or", lambda a, b: ms.ops.Or(a, b), (P, Q), P | Q, order=0),
    Sample("Xor", lambda a, b: ms.ops.Xor(a, b), (P, Q), P ^ Q, order=0),
    Sample("Not", lambda x: ms.ops.Not(x), (P,), ~P, order=0),
    Sample("IsNaN", lambda x: ms.ops.IsNaN(x), (ODD,), np.isnan(ODD), order=0),
    Sample("IsInf", lambda x: ms.ops.IsInf(x), (ODD,), np.isinf(ODD), order=0),
    Sample(
        "IsInf, plus infinity",
        lambda x: ms.ops.IsInf(x, detect_negative=False),
        (ODD,),
        np.isposinf(ODD),
        order=0,
    ),
    Sample(
        "IsInf, minus infinity",
        lambda x: ms.ops.IsInf(x, detect_positive=False),
        (ODD,),
        np.isneginf(ODD),
        order=0,
    ),
    Sample(
        "Where, equal shapes",
        lambda condition, x, y: ms.ops.Where(condition, x, y),
        (CONDITION, X, Y),
        np.where(CONDITION, X, Y),
    ),
    Sample(
        "Where, all stretched",
        lambda condition, x, y: ms.ops.Where(condition, x, y),
        (CONDITION[:, :1], X[0], Y[0, 0]),
        np.where(CONDITION[:, :1], X[0], Y[0, 0]),
    ),
    Sample(
        "Where, a number beside",
        lambda condition, x: ms.ops.Where(condition, x, 0),
        (CONDITION, X),
        np.where(CONDITION, X, 0.0),
    ),
)
