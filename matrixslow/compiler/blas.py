"""Where a matrix product comes from: NumPy's own OpenBLAS, by its C pointers."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Blas:
    """Addresses of CBLAS functions with 64-bit sizes, and the switch for their own threads."""

    sgemm: int
    dgemm: int
    get_threads: int
    set_threads: int


@cache
def find_blas() -> Blas | None:
    """NumPy's OpenBLAS, if NumPy was built with it in the way of its wheels; else None.

    The library is loaded already: opening it once more only gives its handle.
    """
    root = Path(np.__file__).parent
    folders = (root.with_name("numpy.libs"), root / ".dylibs", root / ".libs")
    for file in (file for folder in folders for file in sorted(folder.glob("*openblas*"))):
        try:
            library = ctypes.CDLL(str(file))
            names = ("cblas_sgemm", "cblas_dgemm", "get_num_threads", "set_num_threads")
            found = [
                getattr(library, f"scipy_{name if 'gemm' in name else 'openblas_' + name}64_")
                for name in names
            ]
        except (OSError, AttributeError):
            continue
        addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in found]
        if all(addresses):
            return Blas(*(address or 0 for address in addresses))
    return None
