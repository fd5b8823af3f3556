"""Initializers: they make a variable's first value from shape, dtype and a random stream.

Any function `(shape, dtype, rng) -> array` is one; these are the usual ones.
"""

from matrixslow.initializers.plain import Constant, Normal, Ones, TruncatedNormal, Uniform, Zeros
from matrixslow.initializers.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    fans,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
    "fans",
]
