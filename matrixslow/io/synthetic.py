"""Made-up data sets, each a pure function of its arguments: points, series and a regression."""

from __future__ import annotations

import numpy as np

from matrixslow.errors import ArgumentError
from matrixslow.io.batching import whole_number
from matrixslow.io.readers import Array


def circles(
    samples: int = 1000, *, noise: float = 0.05, ratio: float = 0.5, seed: int = 0
) -> tuple[Array, Array]:
    """Points on two circles about the origin: class 0 on radius 1, class 1 on radius `ratio`.

    Args:
        samples: How many points, half of them in each class.
        noise: Standard deviation of the normal noise added to each coordinate.
        ratio: Radius of the inner circle.
        seed: Decides the noise and the order.

    Shapes: points (samples, 2) float32, labels (samples,) int64.

    >>> points, labels = circles(4, noise=0)
    >>> np.hypot(*points[labels == 1].T)
    array([0.5, 0.5], dtype=float32)
    """
    random, labels = _labels("circles", samples, 2, seed)
    angles = 2 * np.pi * _places(random, labels)
    radii = np.where(labels == 0, 1.0, ratio)
    return _points(random, radii * np.cos(angles), radii * np.sin(angles), noise), labels


def moons(samples: int = 1000, *, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Points on two half circles that reach into each other.

    Class 0 is the upper half of the unit circle; class 1 the lower half of the one about (1, 0.5).

    Args:
        samples: How many points, half of them in each class.
        noise: Standard deviation of the normal noise added to each coordinate.
        seed: Decides the noise and the order.

    Shapes: points (samples, 2) float32, labels (samples,) int64.

    >>> points, labels = moons(200)
    >>> points.shape, points.dtype, labels.dtype
    ((200, 2), dtype('float32'), dtype('int64'))
    """
    random, labels = _labels("moons", samples, 2, seed)
    angles = np.pi * _places(random, labels, closed=True)
    side = 1 - 2 * labels
    x, y = labels + side * np.cos(angles), 0.5 * labels + side * np.sin(angles)
    return _points(random, x, y, noise), labels


def spirals(
    samples: int = 1000,
    *,
    arms: int = 2,
    turns: float = 1.5,
    noise: float = 0.02,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Points on spiral arms, one class an arm: radius t, angle 2 pi (turns t + class / arms).

    Args:
        samples: How many points, shared evenly by the arms.
        arms: How many arms wind about the origin.
        turns: How often each winds on its way to radius 1.
        noise: Standard deviation of the normal noise added to each coordinate.
        seed: Decides the noise and the order.

    Shapes: points (samples, 2) float32, labels (samples,) int64.

    >>> points, labels = spirals(9, arms=3)
    >>> np.bincount(labels)
    array([3, 3, 3])
    """
    random, labels = _labels("spirals", samples, whole_number("spirals: arms", arms, 1), seed)
    radii = _places(random, labels, closed=True)
    angles = 2 * np.pi * (turns * radii + labels / arms)
    return _points(random, radii * np.cos(angles), radii * np.sin(angles), noise), labels


def sequences(
    samples: int = 1000,
    *,
    classes: int = 3,
    steps: int = 64,
    shortest: int | None = None,
    noise: float = 0.1,
    seed: int = 0,
) -> tuple[Array, Array, Array]:
    """Sine waves to tell apart by frequency: class k makes k + 1 turns in `steps` steps.

    Each wave begins at a random phase. Series may differ in length; behind its end a series is 0.

    Args:
        samples: How many series, shared evenly by the classes.
        classes: How many frequencies.
        steps: Length of the longest series.
        shortest: Least length of a series, for lengths drawn evenly up to `steps`; None: all equal.
        noise: Standard deviation of the normal noise on each step.
        seed: Decides phases, lengths, noise and order.

    Shapes: series (samples, 1, steps) float32, labels (samples,) int64, lengths (samples,) int64.

    >>> series, labels, lengths = sequences(6, steps=8, shortest=5)
    >>> series.shape, lengths.min() >= 5
    ((6, 1, 8), np.True_)
    """
    random, labels = _labels(
        "sequences", samples, whole_number("sequences: classes", classes, 1), seed
    )
    shortest = whole_number("sequences: steps", steps, 1) if shortest is None else shortest
    if whole_number("sequences: shortest", shortest, 1) > steps:
        raise ArgumentError(
            f"sequences: shortest is {shortest}, the longest series has {steps} steps",
            hint="take shortest <= steps",
        )
    lengths = random.integers(shortest, steps, samples, endpoint=True)
    phases = random.uniform(0, 2 * np.pi, (samples, 1))
    times = np.arange(steps)
    waves = np.sin(2 * np.pi * (labels[:, None] + 1) * times / steps + phases)
    waves += random.normal(0, noise, waves.shape)
    waves[times >= lengths[:, None]] = 0
    return waves[:, None].astype(np.float32), labels, lengths


def linear(
    samples: int = 1000, *, features: int = 3, noise: float = 0.1, seed: int = 0
) -> tuple[Array, Array, Array, Array]:
    """A regression with its answer: y = x @ weights + bias + noise, all normally distributed.

    Args:
        samples: How many rows.
        features: How many columns x has.
        noise: Standard deviation of the noise on y.
        seed: Decides everything.

    Returns:
        x, y, weights and bias.

    Shapes: x (samples, features), y (samples, 1), weights (features, 1), bias (1,), all float32.

    >>> x, y, weights, bias = linear(50, noise=0)
    >>> np.allclose(x @ weights + bias, y)
    True
    """
    samples = whole_number("linear: samples", samples, 1)
    random = np.random.default_rng(whole_number("linear: seed", seed, 0))
    weights = random.normal(size=(whole_number("linear: features", features, 1), 1))
    bias = random.normal(size=1)
    x = random.normal(size=(samples, features))
    y = x @ weights + bias + random.normal(0, noise, (samples, 1))
    return (
        x.astype(np.float32),
        y.astype(np.float32),
        weights.astype(np.float32),
        bias.astype(np.float32),
    )


def _labels(
    caller: str, samples: int, classes: int, seed: int
) -> tuple[np.random.Generator, Array]:
    """The random stream, and as many labels of each class as of any other, in random order."""
    random = np.random.default_rng(whole_number(f"{caller}: seed", seed, 0))
    labels = np.arange(whole_number(f"{caller}: samples", samples, 1)) % classes
    return random, random.permutation(labels)


def _places(random: np.random.Generator, labels: Array, *, closed: bool = False) -> Array:
    """Even steps from 0 to 1 within each class, in any order, 1 included when `closed`."""
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = labels == label
        places[members] = random.permutation(np.linspace(0, 1, members.sum(), endpoint=closed))
    return places


def _points(random: np.random.Generator, x: Array, y: Array, noise: float) -> Array:
    """The points (x, y) with normal noise, (samples, 2) float32."""
    points = np.stack([x, y], axis=1)
    return (points + random.normal(0, noise, points.shape)).astype(np.float32)
