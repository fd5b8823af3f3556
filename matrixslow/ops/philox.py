"""Random numbers by counting: arrays of words, of uniform and of normal numbers.

Everything is plain arithmetic of the array module, so that every device draws the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.spec import Spec

WORD = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

CHUNK = 8192
"""How many blocks of four words are mixed at once on the host, so that they stay in its cache."""


def philox(
    xp: ModuleType, key: int, words: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Philox4x32-10: four 32-bit words and a 64-bit key, mixed to four random words.

    Args:
        xp: The array module.
        key: From 0 to 2**64 - 1.
        words: Arrays of uint64 that hold values below 2**32, which broadcast.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), section 3.3.
    """
    a, b, c, d = words
    low, high = key & WORD, key >> 32
    for _ in range(ROUNDS):
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (second >> 32) ^ b ^ low, second & WORD, (first >> 32) ^ d ^ high, first & WORD
        low, high = (low + KEY_STEPS[0]) & WORD, (high + KEY_STEPS[1]) & WORD
    return a, b, c, d


def bits(xp: ModuleType, key: int, counter: Array, count: int) -> Array:
    """Random 32-bit words, shape (count,).

    Args:
        xp: The array module.
        key: What tells one stream from another, from 0 to 2**64 - 1.
        counter: An integer scalar array: what tells one run from another.
        count: How many.
    """
    blocks = -(-count // 4)
    run = xp.asarray(counter).astype(xp.uint64)
    words = xp.empty((blocks, 4), xp.uint32)
    for part in _chunks(blocks, CHUNK if xp is np else max(blocks, 1)):
        index = xp.arange(part.start, part.stop, dtype=xp.uint64)
        mixed = philox(xp, key, (index & WORD, index >> 32, run & WORD, run >> 32))
        for place, word in enumerate(mixed):
            words[part, place] = word
    return words.reshape(-1)[:count]


def unit(xp: ModuleType, key: int, counter: Array, count: int, dtype: np.dtype[Any]) -> Array:
    """Numbers in 0 <= u < 1, evenly spread: float64 where that is the dtype, else float32."""
    if dtype == np.float64:
        words = bits(xp, key, counter, 2 * count).astype(xp.uint64)
        return ((words[0::2] >> 5 << 26) + (words[1::2] >> 6)) * 2.0**-53
    return (bits(xp, key, counter, count) >> 8).astype(xp.float32) * 2.0**-24


def uniform(xp: ModuleType, key: int, counter: Array, spec: Spec, low: float, high: float) -> Array:
    """Numbers in low <= y < high, evenly spread."""
    assert spec.size is not None
    u = unit(xp, key, counter, spec.size, spec.dtype).reshape(spec.shape)
    y = (low + (high - low) * u).astype(spec.dtype)
    # Rounding may reach `high`.
    return xp.minimum(y, np.nextafter(spec.dtype.type(high), spec.dtype.type(low)))


def normal(
    xp: ModuleType, key: int, counter: Array, spec: Spec, mean: float, scale: float
) -> Array:
    """Numbers with a normal distribution, two from every two even ones.

    Source: Box and Muller, "A note on the generation of random normal deviates" (1958).
    """
    assert spec.size is not None
    half = -(-spec.size // 2)
    u = unit(xp, key, counter, 2 * half, spec.dtype)
    radius, angle = xp.sqrt(-2.0 * xp.log1p(-u[:half])), 2.0 * pi * u[half:]
    z = xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)])[: spec.size]
    return (mean + scale * z).reshape(spec.shape).astype(spec.dtype)


def _chunks(size: int, length: int) -> Iterator[slice]:
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
