"""What the workloads are fed: made up, the same for every peer, from NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = list[np.ndarray[Any, Any]]

ROWS = 100_000
"""How many ids each field of W7 has."""


def arrays_of(name: str) -> Arrays:
    """An array for each input of a workload; for inference, of the input alone."""
    if name.startswith("i"):
        kind, batch = name.split("_")
        x, _ = vectors(64) if kind == "i1" else images(64, 1, 28)
        return [x[: int(batch)]]
    rng = np.random.default_rng(0)
    if name == "w7":
        ids = rng.integers(0, ROWS, (512, 26)) + np.arange(26) * ROWS
        return [ids, rng.integers(0, 2, (512, 1)).astype(np.float32)]
    if name == "w8":
        text = rng.integers(0, 65, (16, 65))
        return [text[:, :-1].copy(), text[:, 1:].copy()]
    return {
        "w1": lambda: vectors(32),
        "w2": lambda: vectors(256),
        "w3": lambda: images(64, 1, 28),
        "w4": lambda: sequences(32, 144, 9, 25),
        "w5": lambda: sequences(32, 64, 64, 10),
        "w6": lambda: images(64, 3, 32),
        "w9": lambda: images(32, 1, 28),
    }[name]()


def vectors(batch: int) -> Arrays:
    """As many numbers as digits have pixels, of ten classes."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((batch, 784), dtype=np.float32), rng.integers(0, 10, batch)]


def images(batch: int, channels: int, size: int) -> Arrays:
    """Images of ten classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, size, size), dtype=np.float32)
    return [x, rng.integers(0, 10, batch)]


def sequences(batch: int, steps: int, features: int, classes: int) -> Arrays:
    """Sequences of some classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, features), dtype=np.float32)
    return [x, rng.integers(0, classes, batch)]
