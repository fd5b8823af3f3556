"""Initializers: their statistics against the published formulas."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import scipy.stats
import torch

import matrixslow as ms
from matrixslow import initializers

SHAPE = (80, 120)
KERNEL = (24, 10, 5, 5)
"""A convolution's kernel: fan_in 250, fan_out 600."""

SOFT = np.dtype("float64")

RANDOM = [
    initializers.Uniform(low=-2, high=3),
    initializers.Normal(mean=1, scale=2),
    initializers.TruncatedNormal(mean=1, scale=2),
    initializers.GlorotNormal(),
    initializers.GlorotUniform(),
    initializers.HeNormal(),
    initializers.HeUniform(),
    initializers.LecunNormal(),
    initializers.LecunUniform(),
    initializers.Orthogonal(),
]


def drawn(initializer: ms.core.Initializer, shape: tuple[int, ...], *, seed: int = 3) -> np.ndarray:
    return initializer(shape, SOFT, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("initializer", "value"),
    [
        (initializers.Zeros(), 0.0),
        (initializers.Ones(), 1.0),
        (initializers.Constant(-0.25), -0.25),
    ],
)
def test_constant_values(initializer: ms.core.Initializer, value: float) -> None:
    np.testing.assert_array_equal(drawn(initializer, (3, 2)), np.full((3, 2), value))


def uniform(variance: float) -> object:
    return scipy.stats.uniform(-sqrt(3 * variance), 2 * sqrt(3 * variance))


def normal(variance: float) -> object:
    return scipy.stats.norm(0, sqrt(variance))


@pytest.mark.parametrize(
    ("initializer", "shape", "distribution"),
    [
        (initializers.Uniform(low=-2, high=3), SHAPE, scipy.stats.uniform(-2, 5)),
        (initializers.Normal(mean=1, scale=2), SHAPE, scipy.stats.norm(1, 2)),
        (initializers.TruncatedNormal(mean=1, scale=2), SHAPE, scipy.stats.truncnorm(-2, 2, 1, 2)),
        (
            initializers.TruncatedNormal(scale=2, bound=0.5),
            SHAPE,
            scipy.stats.truncnorm(-0.5, 0.5, 0, 2),
        ),
        (initializers.GlorotNormal(), SHAPE, normal(2 / 200)),
        (initializers.GlorotNormal(), KERNEL, normal(2 / 850)),
        (initializers.GlorotUniform(), SHAPE, uniform(2 / 200)),
        (initializers.GlorotUniform(), KERNEL, uniform(2 / 850)),
        (initializers.HeNormal(), SHAPE, normal(2 / 80)),
        (initializers.HeNormal(), KERNEL, normal(2 / 250)),
        (initializers.HeNormal(negative_slope=0.5), KERNEL, normal(2 / (1.25 * 250))),
        (initializers.HeUniform(), SHAPE, uniform(2 / 80)),
        (initializers.HeUniform(negative_slope=0.5), SHAPE, uniform(2 / (1.25 * 80))),
        (initializers.LecunNormal(), SHAPE, normal(1 / 80)),
        (initializers.LecunNormal(), KERNEL, normal(1 / 250)),
        (initializers.LecunUniform(), SHAPE, uniform(1 / 80)),
    ],
    ids=repr,
)
def test_values_are_distributed_by_the_formula(
    initializer: ms.core.Initializer, shape: tuple[int, ...], distribution: scipy.stats.rv_frozen
) -> None:
    values = drawn(initializer, shape).ravel()
    assert scipy.stats.kstest(values, distribution.cdf).pvalue > 0.01
    assert values.std() == pytest.approx(distribution.std(), rel=0.05)


@pytest.mark.parametrize("shape", [(30, 20), (9, 4, 3), (5, 4, 3, 2)])
def test_fans_of_dense_and_convolution(shape: tuple[int, ...]) -> None:
    """torch keeps dense weights as (out, in), kernels as we do."""
    theirs = torch.empty(shape[::-1] if len(shape) == 2 else shape)
    assert initializers.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(theirs)


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (3, 2, 2), (8, 2, 2)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    matrix = drawn(initializers.Orthogonal(gain=3), shape).reshape(shape[0], -1)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(tall.T @ tall, 9 * np.eye(tall.shape[1]), atol=1e-12)


def test_orthogonal_has_no_preferred_sign() -> None:
    """The entries of an evenly distributed orthogonal matrix have mean 0, the diagonal too."""
    diagonals = [drawn(initializers.Orthogonal(), (4, 4), seed=i).diagonal() for i in range(500)]
    assert abs(np.mean(diagonals)) < 4 * 0.5 / sqrt(2000)


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_same_stream_same_values(initializer: ms.core.Initializer, dtype: str) -> None:
    first, again = (
        initializer((6, 4), np.dtype(dtype), np.random.default_rng(1)) for _ in range(2)
    )
    other = initializer((6, 4), np.dtype(dtype), np.random.default_rng(2))
    assert first.dtype == dtype
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_variables_of_a_graph_draw_from_streams_of_their_own() -> None:
    def values(seed: int) -> list[np.ndarray]:
        with ms.Graph(seed=seed):
            return [
                ms.Variable(initializers.HeNormal(), shape=(3, 4), name=name).value
                for name in ("first", "second")
            ]

    first, second = values(0)
    assert (first != second).any()
    np.testing.assert_array_equal(first, values(0)[0])
    assert (first != values(1)[0]).any()


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_no_elements(initializer: ms.core.Initializer) -> None:
    assert drawn(initializer, (0, 3)).shape == (0, 3)


def test_equal_settings_are_equal() -> None:
    assert initializers.HeNormal(negative_slope=0.5) == initializers.HeNormal(negative_slope=0.5)
    assert initializers.HeNormal() != initializers.HeUniform()
    assert repr(initializers.Normal()) == "Normal(mean=0.0, scale=0.05)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: initializers.Uniform(low=1, high=0),
            "Uniform: low=1 is above high=0\n  hint   give low <= high",
        ),
        (
            lambda: initializers.Normal(scale=-1),
            "Normal: scale=-1\n  hint   scale is the standard deviation: give a number from 0 up",
        ),
        (
            lambda: initializers.TruncatedNormal(bound=0),
            "TruncatedNormal: bound=0\n"
            "  hint   give the number of standard deviations allowed, above 0",
        ),
        (
            lambda: drawn(initializers.HeNormal(), (3,)),
            "weights of shape (3,) have no fan_in and fan_out\n"
            "  hint   biases and scales take initializers.Zeros, Ones, Constant, Uniform or Normal",
        ),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ms.errors.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
