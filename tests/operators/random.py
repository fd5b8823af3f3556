"""Samples of the random operators: what they draw, worked out number by number.

The counter is a constant, so that every run draws the same, and the graph's seed is 0.
"""

from __future__ import annotations

import hashlib
from math import cos, log, pi, sin, sqrt

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample

RUN = 5


def counter() -> ms.Node:
    return ms.Constant(RUN, dtype="int64")


def block(key: int, place: int) -> list[int]:
    """Philox4x32-10 in plain integers, one block."""
    a, b, c, d = place, 0, RUN, 0
    low, high = key % 2**32, key >> 32
    for turn in range(10):
        k = (low + turn * 0x9E3779B9) % 2**32, (high + turn * 0xBB67AE85) % 2**32
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q // 2**32 ^ b ^ k[0], q % 2**32, p // 2**32 ^ d ^ k[1], p % 2**32
    return [a, b, c, d]


def words(stream: str, count: int) -> list[int]:
    digest = hashlib.blake2b(f"0/{stream}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "little")
    return [word for place in range(count // 4 + 1) for word in block(key, place)][:count]


def uniform(stream: str, count: int) -> list[float]:
    """In float64: 53 bits of two words each."""
    pairs = zip(*[iter(words(stream, 2 * count))] * 2, strict=True)
    return [((first >> 5) * 2**26 + (second >> 6)) / 2**53 for first, second in pairs]


def normal(stream: str, count: int) -> list[float]:
    half = (count + 1) // 2
    u = uniform(stream, 2 * half)
    polar = [(sqrt(-2 * log(1 - u[i])), 2 * pi * u[half + i]) for i in range(half)]
    return [*(r * cos(t) for r, t in polar), *(r * sin(t) for r, t in polar)][:count]


def order(stream: str, count: int) -> list[int]:
    pairs = zip(*[iter(words(stream, 2 * count))] * 2, strict=True)
    return sorted(range(count), key=list(pairs).__getitem__)


X = np.linspace(-1.0, 2.0, 12).reshape(3, 4)
PROBABILITIES = np.array([[0.0, 0.2, 0.5], [0.7, 0.9, 1.0]])
KEPT = np.reshape([word >= 0.25 * 2**32 for word in words("drop", 12)], (3, 4))

SAMPLES = (
    Sample(
        "RandomUniform, float64",
        lambda: ms.ops.RandomUniform(
            counter(), shape=(2, 3), low=-1, high=3, dtype="float64", stream="u"
        ),
        (),
        4 * np.reshape(uniform("u", 6), (2, 3)) - 1,
        order=0,
    ),
    Sample(
        "RandomUniform, float32",
        lambda: ms.ops.RandomUniform(counter(), shape=(5,), stream="u"),
        (),
        np.array([word >> 8 for word in words("u", 5)]) / 2**24,
        order=0,
    ),
    Sample(
        "RandomUniformLike",
        lambda x: ms.ops.RandomUniformLike(
            x, counter(), low=2, high=2.5, dtype="float64", stream="like"
        ),
        (X,),
        2 + np.reshape(uniform("like", 12), (3, 4)) / 2,
        order=0,
    ),
    Sample(
        "RandomNormal, an odd number",
        lambda: ms.ops.RandomNormal(
            counter(), shape=(7,), mean=1, scale=2, dtype="float64", stream="n"
        ),
        (),
        1 + 2 * np.array(normal("n", 7)),
        order=0,
    ),
    Sample(
        "RandomNormalLike",
        lambda x: ms.ops.RandomNormalLike(x, counter(), dtype="float64", stream="like"),
        (X,),
        np.reshape(normal("like", 12), (3, 4)),
        order=0,
    ),
    Sample(
        "Bernoulli",
        lambda x: ms.ops.Bernoulli(x, counter(), dtype="bool", stream="coin"),
        (PROBABILITIES,),
        np.reshape(uniform("coin", 6), (2, 3)) < PROBABILITIES,
        order=0,
    ),
    Sample(
        "Dropout",
        lambda x: ms.ops.Dropout(x, counter(), ratio=0.25, stream="drop"),
        (X,),
        lambda x: x * KEPT / 0.75,
    ),
    Sample(
        "Dropout, nothing",
        lambda x: ms.ops.Dropout(x, ratio=0.0),
        (X,),
        lambda x: x,
    ),
    Sample(
        "Shuffle, rows",
        lambda x: ms.ops.Shuffle(x, counter(), stream="cards"),
        (X,),
        lambda x: x[order("cards", 3)],
    ),
    Sample(
        "Shuffle, the last axis",
        lambda x: ms.ops.Shuffle(x, counter(), axis=-1, stream="cards"),
        (X,),
        lambda x: x[:, order("cards", 4)],
    ),
    Sample(
        "Shuffle, undone",
        lambda x: ms.ops.Shuffle(x, counter(), axis=1, inverse=True, stream="cards"),
        (X,),
        lambda x: x[:, np.argsort(order("cards", 4))],
    ),
)
