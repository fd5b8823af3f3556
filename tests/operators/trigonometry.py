"""Samples of matrixslow/ops/trigonometry.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3)
INSIDE, BEYOND = X / 2.1, np.abs(X) + 1.0

SAMPLES = (
    Sample("Sin", lambda x: ms.ops.Sin(x), (X,), np.sin(X)),
    Sample("Cos", lambda x: ms.ops.Cos(x), (X,), np.cos(X)),
    Sample("Tan", lambda x: ms.ops.Tan(x), (INSIDE,), np.tan(INSIDE)),
    Sample("Asin", lambda x: ms.ops.Asin(x), (INSIDE,), np.arcsin(INSIDE)),
    Sample("Acos", lambda x: ms.ops.Acos(x), (INSIDE,), np.arccos(INSIDE)),
    Sample("Atan", lambda x: ms.ops.Atan(x), (X,), np.arctan(X)),
    Sample("Sinh", lambda x: ms.ops.Sinh(x), (X,), np.sinh(X)),
    Sample("Cosh", lambda x: ms.ops.Cosh(x), (X,), np.cosh(X)),
    Sample("Tanh", lambda x: ms.ops.Tanh(x), (X,), np.tanh(X)),
    Sample("Asinh", lambda x: ms.ops.Asinh(x), (X,), np.arcsinh(X)),
    Sample("Acosh", lambda x: ms.ops.Acosh(x), (BEYOND,), np.arccosh(BEYOND)),
    Sample("Atanh", lambda x: ms.ops.Atanh(x), (INSIDE,), np.arctanh(INSIDE)),
)
