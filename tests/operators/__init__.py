"""Samples of every operator, a file for each family: what the contract suite tries."""

from __future__ import annotations

from typing import Any

import numpy as np


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Distinct numbers between -2 and 2, each at least 0.01 from zero and from the others."""
    count = int(np.prod(shape))
    rng = np.random.default_rng([seed, count])
    grid = (np.arange(count) + 0.5) / max(count, 1) * 4 - 2
    return rng.permutation(grid + rng.uniform(-0.3, 0.3, count) / max(count, 1)).reshape(shape)
