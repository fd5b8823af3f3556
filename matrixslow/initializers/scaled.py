"""Initializers that keep signals of one size through many layers, by the number of connections.

How many numbers flow into and out of a unit (its fans) is read off the number of axes:

    2 axes     dense         (in, out)                   fan_in = in             fan_out = out
    3 or more  convolution   (out, in / group, *kernel)  fan_in = k in / group   fan_out = k out

where k is the number of the kernel's positions. Weights in another layout are drawn in one of
these and rearranged: see `layers.lstm`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.errors import ArgumentError


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of connections into and out of a unit, for weights of that shape.

    Raises:
        ArgumentError: It has fewer than 2 axes.

    >>> ms.initializers.fans((784, 10)), ms.initializers.fans((32, 3, 5, 5))
    ((784, 10), (75, 800))
    """
    if len(shape) < 2:
        raise ArgumentError(
            f"weights of shape {shape} have no fan_in and fan_out",
            hint="biases and scales take initializers.Zeros, Ones, Constant, Uniform or Normal",
        )
    if len(shape) == 2:
        return shape[0], shape[1]
    outputs, inputs, *kernel = shape
    return inputs * prod(kernel), outputs * prod(kernel)


class Scaled(ABC):
    """Base of the initializers whose variance follows from the fans."""

    @abstractmethod
    def variance(self, fan_in: int, fan_out: int) -> float:
        """The variance of one weight."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Values of mean 0 and variance 1."""
        return rng.standard_normal(shape)

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """Values from the stream, scaled."""
        fan_in, fan_out = (max(fan, 1) for fan in fans(shape))
        return (sqrt(self.variance(fan_in, fan_out)) * self.draw(rng, shape)).astype(dtype)


def evenly(initializer: Scaled, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values of mean 0 and variance 1, evenly distributed."""
    return rng.uniform(-sqrt(3), sqrt(3), shape)


@dataclass(frozen=True)
class GlorotNormal(Scaled):
    """Normal with variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 12.

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.GlorotNormal(), shape=(4, 2)).shape
    (4, 2)
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """The mean of what keeps activations and what keeps gradients."""
        return 2 / (fan_in + fan_out)


@dataclass(frozen=True)
class GlorotUniform(GlorotNormal):
    """Uniform over +-sqrt(6 / (fan_in + fan_out)), which has variance 2 / (fan_in + fan_out).

    For units that are nearly linear around 0: tanh, softmax. It is what the layers take where
    nothing else is said, as in Keras.

    Source: Glorot and Bengio (2010), equation 16.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.GlorotUniform(), shape=(4, 2)).value
    >>> bool(abs(w).max() <= 1)
    True
    """

    draw = evenly


@dataclass(frozen=True, kw_only=True)
class HeNormal(Scaled):
    """Normal with variance 2 / ((1 + negative_slope**2) fan_in): for units followed by Relu.

    Args:
        negative_slope: The slope below 0 of the LeakyRelu that follows; 0 for Relu.

    Source: He et al., "Delving deep into rectifiers" (2015), equations 10 and 15.

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.HeNormal(), shape=(32, 3, 5, 5)).shape
    (32, 3, 5, 5)
    """

    negative_slope: float = 0.0

    def variance(self, fan_in: int, fan_out: int) -> float:
        """What makes up for the half that Relu throws away."""
        return 2 / ((1 + self.negative_slope**2) * fan_in)


@dataclass(frozen=True, kw_only=True)
class HeUniform(HeNormal):
    """Uniform over +-sqrt(6 / ((1 + negative_slope**2) fan_in)), the variance of HeNormal.

    Args:
        negative_slope: The slope below 0 of the LeakyRelu that follows; 0 for Relu.

    Source: He et al. (2015), equations 10 and 15.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.HeUniform(), shape=(6, 2)).value
    >>> bool(abs(w).max() <= 1)
    True
    """

    draw = evenly


@dataclass(frozen=True)
class LecunNormal(Scaled):
    """Normal with variance 1 / fan_in: what Selu needs.

    Source: LeCun et al., "Efficient BackProp" (1998), section 4.6; Klambauer et al.,
    "Self-normalizing neural networks" (2017).

    >>> with ms.Graph():
    ...     ms.Variable(ms.initializers.LecunNormal(), shape=(3, 2)).shape
    (3, 2)
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """What keeps the size of activations through a linear unit."""
        return 1 / fan_in


@dataclass(frozen=True)
class LecunUniform(LecunNormal):
    """Uniform over +-sqrt(3 / fan_in), which has variance 1 / fan_in.

    Source: LeCun et al. (1998), section 4.6.

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.LecunUniform(), shape=(3, 2)).value
    >>> bool(abs(w).max() <= 1)
    True
    """

    draw = evenly


@dataclass(frozen=True, kw_only=True)
class Orthogonal:
    """A random orthogonal matrix times `gain`, evenly distributed over all of them.

    Weights with more than 2 axes are taken as a matrix of shape[0] rows. A matrix that is not
    square has orthonormal rows or columns, whichever are fewer.

    Args:
        gain: By what the matrix is multiplied.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2014); signs after Mezzadri, "How to generate random matrices from the
    classical compact groups" (2007).

    >>> with ms.Graph():
    ...     w = ms.Variable(ms.initializers.Orthogonal(), shape=(3, 3), dtype="float64").value
    >>> np.allclose(w @ w.T, np.eye(3))
    True
    """

    gain: float = 1.0

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """A matrix from the stream."""
        fans(shape)  # refuses vectors
        rows, columns = shape[0], prod(shape[1:])
        tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        # QR alone prefers certain signs, and its matrices are not evenly distributed.
        q *= np.copysign(1.0, np.diagonal(r))
        return (self.gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)
