"""Zeros that take no memory before they are written."""

from __future__ import annotations

import mmap
from math import prod
from typing import Any

import numpy as np

from matrixslow.backend.device import Array

LARGE = 1 << 22


def unwritten_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Zeros that take memory page by page, as they are written.

    NumPy asks for pages of 2 MiB, of which a few rows here and there take all.

    >>> unwritten_zeros((2, 2), np.dtype("float32"))
    array([[0., 0.],
           [0., 0.]], dtype=float32)
    """
    size = prod(shape) * dtype.itemsize
    return np.zeros(shape, dtype) if size < LARGE else np.ndarray(shape, dtype, mmap.mmap(-1, size))
