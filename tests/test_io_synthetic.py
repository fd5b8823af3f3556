"""Made-up data: repeatable, of the promised shapes, on the promised curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from matrixslow.errors import ArgumentError
from matrixslow.io import circles, linear, moons, sequences, spirals

SETS = [circles, moons, spirals, sequences, linear]


@pytest.mark.parametrize("make", SETS)
def test_the_seed_decides_everything(make: Callable[..., tuple[Any, ...]]) -> None:
    first, again, other = make(60), make(60, seed=0), make(60, seed=1)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("make", SETS)
def test_types_are_those_a_graph_takes(make: Callable[..., tuple[Any, ...]]) -> None:
    x, *others = make(61)
    assert len(x) == 61
    assert x.dtype == np.float32
    for array in others:
        assert array.dtype == (np.float32 if make is linear else np.int64)


@pytest.mark.parametrize("make", [circles, moons, spirals])
def test_points_are_mixed_and_balanced(make: Callable[..., tuple[Any, ...]]) -> None:
    points, labels = make(1001)
    assert points.shape == (1001, 2)
    assert np.bincount(labels).tolist() == [501, 500]
    assert 400 < np.abs(np.diff(labels)).sum() < 600
    spread = make(4000, noise=0.3)[0] - make(4000, noise=0)[0]
    assert spread.std() == pytest.approx(0.3, rel=0.05)


def by_class(points: Any, labels: Any) -> list[tuple[int, float, float]]:
    return sorted(
        (int(label), round(float(x), 4) + 0.0, round(float(y), 4) + 0.0)
        for label, (x, y) in zip(labels, points, strict=True)
    )


def test_circles_and_moons_are_scikit_learns() -> None:
    theirs = datasets.make_circles(50, noise=None, factor=0.4, shuffle=False)
    assert by_class(*circles(50, noise=0, ratio=0.4)) == by_class(*theirs)
    theirs = datasets.make_moons(50, noise=None, shuffle=False)
    assert by_class(*moons(50, noise=0)) == by_class(*theirs)


def test_spirals_wind_as_promised() -> None:
    points, labels = spirals(300, arms=3, turns=1.25, noise=0)
    radii = np.hypot(*points.T)
    angles = 2 * np.pi * (1.25 * radii + labels / 3)
    np.testing.assert_allclose(points[:, 0], radii * np.cos(angles), atol=1e-5)
    np.testing.assert_allclose(points[:, 1], radii * np.sin(angles), atol=1e-5)
    assert radii.max() == pytest.approx(1)


def test_sequences_differ_by_frequency() -> None:
    series, labels, lengths = sequences(90, classes=3, steps=64, noise=0)
    assert series.shape == (90, 1, 64)
    assert np.bincount(labels).tolist() == [30, 30, 30]
    assert lengths.tolist() == [64] * 90
    strongest = np.abs(np.fft.rfft(series[:, 0])).argmax(axis=1)
    assert strongest.tolist() == (labels + 1).tolist()


def test_sequences_of_unequal_lengths_end_in_zeros() -> None:
    series, _, lengths = sequences(200, steps=20, shortest=5)
    assert set(lengths.tolist()) == set(range(5, 21))
    behind = np.arange(20) >= lengths[:, None]
    assert not series[:, 0][behind].any()
    assert series[:, 0][~behind].all()


def test_linear_tells_its_answer() -> None:
    x, y, weights, bias = linear(500, features=4, noise=0.01)
    assert (x.shape, y.shape, weights.shape, bias.shape) == ((500, 4), (500, 1), (4, 1), (1,))
    columns = np.column_stack([x, np.ones(500)])
    found = np.linalg.lstsq(columns, y)[0]
    np.testing.assert_allclose(found, np.vstack([weights, bias]), atol=3e-3)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: circles(0),
            "circles: samples must be a whole number of at least 1\n  came   0",
        ),
        (
            lambda: moons(seed=-1),
            "moons: seed must be a whole number of at least 0\n  came   -1",
        ),
        (
            lambda: spirals(arms=0),
            "spirals: arms must be a whole number of at least 1\n  came   0",
        ),
        (
            lambda: sequences(classes=0),
            "sequences: classes must be a whole number of at least 1\n  came   0",
        ),
        (
            lambda: sequences(steps=8, shortest=9),
            "sequences: shortest is 9, the longest series has 8 steps\n"
            "  hint   take shortest <= steps",
        ),
        (
            lambda: linear(features=0),
            "linear: features must be a whole number of at least 1\n  came   0",
        ),
    ],
)
def test_options_that_are_refused(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == expected
