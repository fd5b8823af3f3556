"""The compiler's float32 functions against float64, in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.compiler.program import Program

EVERYWHERE = np.concatenate(
    [
        np.linspace(-104, 89, 400_001),
        np.linspace(-1, 1, 200_001),
        *(sign * np.logspace(-44, 38, 100_001) for sign in (1.0, -1.0)),
    ]
).astype(np.float32)


def distance(found: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> float:
    """The largest error in units in the last place, where the exact value is a normal number."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    normal = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(np.float32).tiny)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    np.testing.assert_array_equal(np.isinf(found[~normal]), np.isinf(rounded[~normal]))
    unit = np.spacing(np.abs(rounded[normal])).astype(np.float64)
    return float((np.abs(found[normal] - exact[normal]) / unit).max())


@pytest.mark.parametrize(
    ("operator", "peer", "most"),
    [
        (ms.ops.Exp, np.exp, 2.0),
        (ms.ops.Log, np.log, 2.0),
        (ms.ops.Tanh, np.tanh, 2.0),
        (ms.ops.Sqrt, np.sqrt, 0.5),
        (ms.ops.Sigmoid, lambda x: 1 / (1 + np.exp(-x)), 3.0),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_functions_are_right_to_the_last_digits(operator: Any, peer: Any, most: float) -> None:
    with ms.Graph():
        x = ms.Input((None,), name="x")
        program = Program([x], [operator(x)], training=False)
    (found,) = program.run([EVERYWHERE])
    assert "by compute" not in program.explain()
    with np.errstate(all="ignore"):
        exact = peer(EVERYWHERE.astype(np.float64))
    assert distance(found, exact) <= most


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.4e38, -3.4e38])
def test_the_edges_of_the_range(value: float) -> None:
    with ms.Graph():
        x = ms.Input((17,), name="x")
        outputs = [f(x) for f in (ms.ops.Exp, ms.ops.Log, ms.ops.Tanh, ms.ops.Sigmoid)]
        program = Program([x], outputs, training=False)
    feeds = [np.full(17, value, np.float32)]
    for found, wanted in zip(program.run(feeds), program.reference.run(feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=3e-7)
