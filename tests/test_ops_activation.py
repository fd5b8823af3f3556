"""Activations: slopes at kinks and far out as torch's, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, ShapeError
from tests.against_torch import assert_as_torch

ops = ms.ops
INF = np.inf
NEAR = [-3.0, -2.0, -1.0, -1e-9, 1e-9, 1.0, 2.0, 3.0, 6.0]
FAR = [-100.0, -20.0, 20.0, 100.0]  # further out, torch's own slopes become NaN


# ---- slopes where torch's convention decides -----------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.Relu, functional.relu),
        (ops.LeakyRelu, functional.leaky_relu),
        (lambda x: ops.LeakyRelu(x, alpha=0.2), lambda x: functional.leaky_relu(x, 0.2)),
        (ops.Elu, functional.elu),
        (lambda x: ops.Elu(x, alpha=0.5), lambda x: functional.elu(x, 0.5)),
        (ops.Celu, functional.celu),
        (lambda x: ops.Celu(x, alpha=2.5), lambda x: functional.celu(x, 2.5)),
        (ops.Selu, functional.selu),
        (ops.Sigmoid, functional.sigmoid),
        (ops.Silu, functional.silu),
        (ops.Mish, functional.mish),
        (ops.Gelu, functional.gelu),
        (
            lambda x: ops.Gelu(x, approximate="tanh"),
            lambda x: functional.gelu(x, approximate="tanh"),
        ),
        (ops.Softplus, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
        (ops.Softsign, functional.softsign),
    ],
)
@pytest.mark.parametrize("values", [NEAR, FAR], ids=["near", "far"])
def test_as_torch(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor], values: list[float]
) -> None:
    assert_as_torch(ours, theirs, np.array(values))
    assert_as_torch(ours, theirs, np.array([-0.0, 0.0]), order=1)


def test_those_with_flat_parts_as_torch() -> None:
    x = np.array([*NEAR, *FAR, 0.0])
    assert_as_torch(ops.HardSwish, functional.hardswish, x)
    # Torch multiplies by 1 / 6 in float32 here.
    assert_as_torch(
        lambda x: ops.HardSigmoid(x, alpha=1.0 / 6.0),
        functional.hardsigmoid,
        x,
        order=1,
        tolerance=1e-7,
    )


def test_prelu_learns_its_slope() -> None:
    x = np.array([[-2.0, -0.2, 3.0], [1.0, -1.0, -0.5]])
    for slope in ([0.1, 0.2, -0.3], [0.25]):
        assert_as_torch(ops.PRelu, functional.prelu, x, np.array(slope))
    assert_as_torch(ops.PRelu, functional.prelu, np.zeros(2), np.array([0.25]), order=1)


@pytest.mark.parametrize(
    "operator",
    [ops.Softmax, ops.LogSoftmax, ops.Sigmoid, ops.Softplus, ops.Mish, ops.Silu, ops.Elu, ops.Selu],
)
def test_float32_does_not_overflow_far_out(
    graph: ms.Graph, operator: Callable[..., ms.Node]
) -> None:
    x = ms.Variable([-1e30, -500.0, 0.0, 500.0, 1e30])
    y = operator(x)
    (slope,) = ms.gradients(y, [x], upstream=ops.OnesLike(y))
    for value in graph.forward([y, slope]):
        assert value.dtype == np.float32
        assert np.isfinite(value).all()


# ---- softmax -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.Softmax, torch.softmax),
        (ops.LogSoftmax, torch.log_softmax),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_as_torch(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor], axis: int
) -> None:
    rng = np.random.default_rng(4)
    for array in (
        rng.standard_normal((3, 4)),
        rng.standard_normal((2, 3, 2)),
        1000.0 * rng.standard_normal((3, 4)),
        np.zeros((2, 1)),
        np.zeros((2, 0)),
        np.zeros((0, 2)),
    ):
        assert_as_torch(lambda x: ours(x, axis=axis), lambda x: theirs(x, dim=axis), array)


def test_what_minus_infinity_shuts_out_has_no_share(graph: ms.Graph) -> None:
    x = ms.Variable([[0.0, -INF, 0.0]])
    y = ops.Softmax(x)
    (slope,) = ms.gradients(ops.ReduceSum(y * [[1.0, 2.0, 3.0]]), [x])
    value, found = graph.forward([y, slope])
    np.testing.assert_array_equal(value, [[0.5, 0.0, 0.5]])
    np.testing.assert_array_equal(found, [[-0.5, 0.0, 0.5]])


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "rule", "hint"),
    [
        (
            lambda x: ops.Relu(ops.Cast(x, dtype="int64")),
            DTypeError,
            "Relu 'relu': floating-point values are needed, int64 came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x: ops.Gelu(x, approximate="erf"),
            ArgumentError,
            "Gelu: approximate='erf' is unknown",
            "one of 'none', 'tanh'",
        ),
        (
            lambda x: ops.Celu(x, alpha=0),
            ArgumentError,
            "Celu: alpha=0 divides by zero",
            "near 0 it is ms.ops.Relu",
        ),
        (
            lambda x: ops.PRelu(x, np.ones((2, 1, 1))),
            ShapeError,
            "PRelu 'prelu': a slope of shape (2, 1, 1) does not broadcast to (2, 3)",
            "for a slope in each channel of an image give constant shape (channels, 1, 1)",
        ),
        (
            lambda x: ops.PRelu(ops.ReduceSum(x, axes=1), np.ones(3)),
            ShapeError,
            "PRelu 'prelu': a slope of shape (3,) does not broadcast to (2, 1)",
            "for a slope in each channel of an image give constant shape (channels, 1, 1)",
        ),
        (
            lambda x: ops.Softmax(x, axis=2),
            ShapeError,
            "Softmax 'softmax': axis 2 does not exist in 2 dimensions",
            "give -2 <= axis < 2",
        ),
        (
            lambda x: ops.LogSoftmax(ops.ReduceSum(x, keepdims=False)),
            ShapeError,
            "LogSoftmax 'logsoftmax': axis -1 does not exist in 0 dimensions",
            "a scalar has no axis",
        ),
    ],
)
def test_refusals(
    graph: ms.Graph,
    build: Callable[[ms.Node], ms.Node],
    error: type[MatrixSlowError],
    rule: str,
    hint: str,
) -> None:
    with pytest.raises(MatrixSlowError) as caught:
        build(ms.Input((2, 3), name="x"))
    assert (type(caught.value), caught.value.rule, caught.value.hint) == (error, rule, hint)


def test_options_are_kept_as_numbers(graph: ms.Graph) -> None:
    x: Any = ms.Input((2,))
    assert ops.Elu(x, alpha=1).attributes == {"alpha": 1.0}
    assert ops.Softmax(x, axis=np.int64(0)).attributes == {"axis": 0}
