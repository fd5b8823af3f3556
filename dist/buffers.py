"""Buffers: memory that is used again, since to get a fresh page costs more than to fill it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.message import PIECE

Array = NDArray[Any]

KEPT = 16
"""Buffers that lie ready at most."""


class Buffers:
    """Hands out bytes, and takes them back; any thread may do either."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Array] = []

    def take(self, size: int) -> Array:
        """So many bytes, not cleared: from what was given back, if that has the same size.

        The sizes recur, since every push of a job has the same arrays.
        """
        with self._lock:
            for place, buffer in enumerate(self._free):
                if len(buffer) == size:
                    return self._free.pop(place)
        return np.empty(size, np.uint8)

    def give(self, buffer: Array) -> None:
        """Take back what `take` gave, which nobody reads any more."""
        if len(buffer) >= PIECE:
            with self._lock:
                self._free = [*self._free, buffer][-KEPT:]
