"""Samples of matrixslow/ops/powers.py."""

from __future__ import annotations

import numpy as np
import scipy.special

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3)
POSITIVE, EXPONENT = np.abs(X), numbers(2, 3, seed=1)
WIDE = np.array([-7.0, -3.0, -0.6, -0.4, -1e-9, 1e-9, 0.3, 0.49, 0.51, 2.0, 4.1, 6.5])

SAMPLES = (
    Sample("Pow", lambda a, b: ms.ops.Pow(a, b), (POSITIVE, EXPONENT), POSITIVE**EXPONENT),
    Sample("Pow, a square", lambda a: a**2, (X,), X**2),
    Sample("Pow, a cube of negative numbers", lambda a: a**3.0, (X,), X**3),
    Sample("Pow, a number to a node", lambda b: 2**b, (EXPONENT,), 2**EXPONENT),
    Sample("Pow, integers", lambda a: a**2, (np.array([-3, 0, 4]),), np.array([9, 0, 16]), order=0),
    Sample("Sqrt", lambda x: ms.ops.Sqrt(x), (POSITIVE,), np.sqrt(POSITIVE)),
    Sample("Exp", lambda x: ms.ops.Exp(x), (X,), np.exp(X)),
    Sample("Expm1", lambda x: ms.ops.Expm1(x), (WIDE,), np.expm1(WIDE)),
    Sample("Log", lambda x: ms.ops.Log(x), (POSITIVE,), np.log(POSITIVE)),
    Sample("Log1p", lambda x: ms.ops.Log1p(x), (POSITIVE,), np.log1p(POSITIVE)),
    Sample("Erf", lambda x: ms.ops.Erf(x), (WIDE,), scipy.special.erf(WIDE), tolerance=1e-15),
)
