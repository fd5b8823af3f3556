"""Initializers that look at nothing but the shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.backend import Array, mapped_zeros
from matrixslow.errors import ArgumentError

DRAWN = 1 << 16
"""How many values are drawn at a time."""


@dataclass(frozen=True, slots=True)
class Zeros:
    """All 0.

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.Zeros(), shape=(2,)).value
    array([0., 0.], dtype=float32)
    """

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Zeros of that shape."""
        return np.zeros(shape, dtype)


@dataclass(frozen=True, slots=True)
class Ones:
    """All 1.

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.Ones(), shape=(2,)).value
    array([1., 1.], dtype=float32)
    """

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Ones of that shape."""
        return np.ones(shape, dtype)


@dataclass(frozen=True, slots=True)
class Constant:
    """All the same number.

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.Constant(0.5), shape=(2,)).value
    array([0.5, 0.5], dtype=float32)
    """

    value: float

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """That shape, filled."""
        return np.full(shape, self.value, dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Evenly distributed over low <= value < high.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.Uniform(low=-1, high=1), shape=(4, 3))
    >>> bool(abs(w.value).max() <= 1)
    True
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ArgumentError(
                f"Uniform: low={self.low} is above high={self.high}", hint="give low <= high"
            )

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Values from the stream."""
        return _drawn(shape, dtype, lambda count: rng.uniform(self.low, self.high, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Normally distributed.

    Args:
        mean: The mean.
        scale: The standard deviation.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.Normal(scale=0.01), shape=(4, 3))
    >>> w.shape
    (4, 3)
    """

    mean: float = 0.0
    scale: float = 0.05

    def __post_init__(self) -> None:
        _check_scale(self)

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Values from the stream."""
        return _drawn(shape, dtype, lambda count: rng.normal(self.mean, self.scale, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedNormal:
    """Normally distributed, values beyond `bound` standard deviations drawn again.

    Args:
        mean: The mean.
        scale: The standard deviation before values are drawn again; what comes out is narrower,
            0.88 of it for a bound of 2.
        bound: How many standard deviations from the mean are allowed.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.TruncatedNormal(scale=0.5), shape=(4, 3))
    >>> bool(abs(w.value).max() <= 1)
    True
    """

    mean: float = 0.0
    scale: float = 0.05
    bound: float = 2.0

    def __post_init__(self) -> None:
        _check_scale(self)
        if not self.bound > 0:
            raise ArgumentError(
                f"TruncatedNormal: bound={self.bound}",
                hint="give the number of standard deviations allowed, above 0",
            )

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Values from the stream."""
        values = rng.standard_normal(shape)
        while (beyond := np.abs(values) > self.bound).any():
            values[beyond] = rng.standard_normal(np.count_nonzero(beyond))
        return (self.mean + self.scale * values).astype(dtype)


def _drawn(
    shape: tuple[int, ...], dtype: np.dtype[Any], draw: Callable[[int], NDArray[np.float64]]
) -> Array:
    """Values drawn in float64 and kept in a dtype, some at a time: a large table is never twice."""
    values = mapped_zeros(shape, dtype)
    flat = values.reshape(-1)
    for start in range(0, flat.size, DRAWN):
        part = flat[start : start + DRAWN]
        part[...] = draw(part.size)
    return values


def _check_scale(initializer: Normal | TruncatedNormal) -> None:
    if not initializer.scale >= 0:
        raise ArgumentError(
            f"{type(initializer).__name__}: scale={initializer.scale}",
            hint="scale is the standard deviation: give a number from 0 up",
        )
