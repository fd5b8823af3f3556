"""Large zeros on pages of their own."""

from __future__ import annotations

import mmap
from math import prod
from typing import Any

import numpy as np

from matrixslow.backend.device import Array

LARGE = 1 << 22


def mapped_zeros(shape: tuple[int, ...], dtype: np.dtype[Any], *, sparse: bool = False) -> Array:
    """Zeros whose rows of 64 bytes lie on one cache line each, where there are many of them.

    Args:
        shape: The sizes of the axes.
        dtype: Of the elements.
        sparse: Whether memory is taken in small pages, as they are written, because only some rows
            will be. NumPy asks for pages of 2 MiB, of which a few rows here and there take all.

    >>> mapped_zeros((2, 2), np.dtype("float32"))
    array([[0., 0.],
           [0., 0.]], dtype=float32)
    """
    size = prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size)
    if not sparse and hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.ndarray(shape, dtype, pages)
