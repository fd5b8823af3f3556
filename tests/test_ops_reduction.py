"""Reductions: axes that are fed or empty, zeros and ties, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, ShapeError
from tests.against_torch import assert_as_torch

ops = ms.ops
INF = np.inf


# ---- slopes where torch's convention decides -----------------------------------------------------

ZEROS = [
    [[2.0, 3.0], [4.0, -5.0]],
    [[0.0, 3.0], [4.0, 5.0]],
    [[0.0, 3.0], [0.0, 5.0]],
    [[0.0, 0.0], [4.0, 5.0]],
    [[0.0, 0.0], [0.0, 0.0]],
]


@pytest.mark.parametrize("values", ZEROS)
def test_the_slopes_of_a_product_are_right_at_zeros(values: list[list[float]]) -> None:
    x = np.array(values)
    assert_as_torch(
        lambda x: ops.ReduceProd(x, keepdims=False), lambda x: x.reshape(-1).prod(dim=0), x, order=3
    )
    assert_as_torch(lambda x: ops.ReduceProd(x, axes=1), lambda x: x.prod(1, keepdim=True), x)
    assert_as_torch(lambda x: ops.ReduceProd(x, axes=0, keepdims=False), lambda x: x.prod(0), x)


def test_the_slopes_of_a_product_of_many_factors(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 7))
    x[0, 2] = x[1, 1] = x[1, 5] = 0.0
    assert_as_torch(lambda x: ops.ReduceProd(x, axes=1, keepdims=False), lambda x: x.prod(1), x)


def test_equal_peaks_share_the_gradient() -> None:
    x = np.array([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 1.0, 0.0], [5.0, 4.0, 3.0, 3.0]])
    for ours, theirs in ((ops.ReduceMax, torch.amax), (ops.ReduceMin, torch.amin)):
        for axes, dims in ((1, (1,)), (0, (0,)), (None, (0, 1))):
            for kept in (True, False):
                assert_as_torch(
                    lambda x, ours=ours, axes=axes, kept=kept: ours(x, axes=axes, keepdims=kept),
                    lambda x, theirs=theirs, dims=dims, kept=kept: theirs(x, dims, keepdim=kept),
                    x,
                )


def test_norms_at_zero() -> None:
    x = np.array([[0.0, 0.0], [3.0, -4.0], [0.0, 2.0]])
    assert_as_torch(
        lambda x: ops.ReduceL2(x, axes=1, keepdims=False),
        lambda x: torch.linalg.vector_norm(x, dim=1),
        x,
        order=1,
    )
    assert_as_torch(
        lambda x: ops.ReduceL1(x, axes=1, keepdims=False),
        lambda x: torch.linalg.vector_norm(x, ord=1, dim=1),
        x,
    )


def test_the_second_slope_of_a_norm_is_zero_at_zero(graph: ms.Graph) -> None:
    x = ms.Variable([[0.0, 0.0], [3.0, -4.0]], dtype="float64")
    (slope,) = ms.gradients(ops.ReduceSum(ops.ReduceL2(x, axes=1)), [x])
    assert slope is not None
    (second,) = ms.gradients(ops.ReduceSum(slope), [x])
    assert second is not None
    expected = [[0.0, 0.0], [0.2 - 3.0 * -1.0 / 125.0, 0.2 - -4.0 * -1.0 / 125.0]]
    np.testing.assert_allclose(graph.forward(second), expected, rtol=1e-12)


def test_log_sum_exp_of_nothing_but_minus_infinity_has_slope_zero(graph: ms.Graph) -> None:
    x = ms.Variable([-INF, -INF])
    y = ops.ReduceLogSumExp(x)
    (slope,) = ms.gradients(y, [x])
    value, found = graph.forward([y, slope])
    np.testing.assert_array_equal(value, [-INF])
    np.testing.assert_array_equal(found, [0.0, 0.0])


def test_log_sum_exp_far_out() -> None:
    x = np.array([[1000.0, 999.0], [-1000.0, -999.0], [-INF, 0.0]])
    assert_as_torch(
        lambda x: ops.ReduceLogSumExp(x, axes=1, keepdims=False),
        lambda x: torch.logsumexp(x, dim=1),
        x,
        order=1,
    )
    assert_as_torch(
        lambda x: ops.ReduceLogSumExp(x, axes=1),
        lambda x: torch.logsumexp(x, 1, keepdim=True),
        x[:2],
    )


def test_running_sums_as_torch(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    assert_as_torch(lambda x: ops.CumSum(x, axis=-1), lambda x: x.cumsum(-1), x)
    assert_as_torch(
        lambda x: ops.CumSum(x, axis=0, reverse=True, exclusive=True),
        lambda x: x.flip(0).cumsum(0).flip(0) - x,
        x,
    )


# ---- sizes that are fed, and empty ones ----------------------------------------------------------

REDUCTIONS = [
    (ops.ReduceSum, torch.sum),
    (ops.ReduceMean, torch.mean),
    (lambda x, **o: ops.ReduceSumSquare(x, **o), lambda x, **o: torch.sum(x * x, **o)),
    (ops.ReduceLogSumExp, torch.logsumexp),
    (ops.ReduceProd, torch.prod),
]


@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize(("ours", "theirs"), REDUCTIONS)
def test_a_fed_axis_of_any_size_is_reduced(
    graph: ms.Graph, ours: Callable[..., ms.Node], theirs: Callable[..., Any], size: int
) -> None:
    x = ms.Input((None, 3), dtype="float64")
    array = np.random.default_rng(size).standard_normal((size, 3))
    y = ours(x, axes=0, keepdims=False)
    assert y.shape == (3,)
    (slope,) = ms.gradients(y, [x], upstream=ms.Constant(np.ones(3), dtype="float64"))
    assert slope is not None
    tensor = torch.tensor(array, requires_grad=True)
    expected = theirs(tensor, dim=0)
    expected.sum().backward()
    value, found = graph.forward([y, slope], {x: array})
    np.testing.assert_allclose(value, expected.numpy(force=True), rtol=1e-12)
    np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-12)


def test_no_samples_leave_the_other_axes_alone(graph: ms.Graph) -> None:
    x = ms.Input((None, 3))
    for y in (
        ops.ReduceMax(x, axes=1),
        ops.ReduceMean(x, axes=1),
        ops.ReduceLogSumExp(x, axes=1),
        ops.ArgMax(x, axis=1),
        ops.CumSum(x, axis=0, exclusive=True),
    ):
        (*_, width) = y.shape
        assert graph.forward(y, {x: np.ones((0, 3))}).shape == (0, width)


def test_nothing_to_choose_from(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), name="x")
    for build, name in (
        (lambda: ops.ReduceMax(x, axes=0, name="most"), "ReduceMax 'most'"),
        (lambda: ops.ArgMin(x, axis=0, name="least"), "ArgMin 'least'"),
    ):
        y = build()
        with pytest.raises(ShapeError) as caught:
            graph.forward(y, {x: np.ones((0, 3))})
        assert caught.value.rule == (
            f"{name}: axis 0 of (0, 3) has size 0: there is nothing to choose from"
        )
        assert caught.value.hint == "give at least one element"
        assert caught.value.rows[-1].split() == ["fed", "x", "(0,", "3)", "float32"]


def test_the_count_of_a_mean_is_that_of_the_fed_axes(graph: ms.Graph) -> None:
    x = ms.Input((None, 2, None))
    for axes, expected in ((None, 30), (0, 3), ((0, 2), 15), ((), 1)):
        count = ops.Count(x, axes=axes)
        assert count.shape == ()
        assert graph.forward(count, {x: np.ones((3, 2, 5))}) == expected


# ---- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "int64"])
def test_integers_keep_their_dtype(graph: ms.Graph, dtype: str) -> None:
    x = ms.Input((2, 2), dtype=dtype)
    array = np.array([[1, 2], [3, 1]], dtype)
    for y, expected in (
        (ops.ReduceSum(x), 7),
        (ops.ReduceProd(x), 6),
        (ops.ReduceMax(x), 3),
        (ops.ReduceMin(x), 1),
        (ops.ReduceL1(x), 7),
        (ops.ReduceSumSquare(x), 15),
    ):
        value = graph.forward(y, {x: array})
        assert (value.dtype, value.item()) == (np.dtype(dtype), expected)
    assert ops.CumSum(x, axis=0).dtype == dtype
    assert ops.ArgMax(x).dtype == np.int64


def test_positions_of_equal_peaks_and_of_not_a_number(graph: ms.Graph) -> None:
    x = ms.Constant([[1.0, 3.0, 3.0], [2.0, np.nan, 9.0]])
    for last, expected in ((False, [1, 1]), (True, [2, 1])):
        y = ops.ArgMax(x, axis=1, keepdims=False, select_last_index=last)
        np.testing.assert_array_equal(graph.forward(y), expected)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "rule", "hint"),
    [
        (
            lambda x, b: ops.ReduceSum(x, axes=2),
            ShapeError,
            "ReduceSum 'reducesum': axis 2 does not exist in 2 dimensions",
            "give -2 <= axis < 2",
        ),
        (
            lambda x, b: ops.ReduceSum(x, axes=(0, -2)),
            ShapeError,
            "ReduceSum 'reducesum': an axis is named twice in (0, -2)",
            "name each axis once",
        ),
        (
            lambda x, b: ops.ReduceSum(x, axes=1.5),
            ArgumentError,
            "ReduceSum: axes=1.5 is not made of integers",
            "give axes as an integer or a tuple of integers",
        ),
        (
            lambda x, b: ops.ReduceSum(b),
            DTypeError,
            "ReduceSum 'reducesum': numbers are needed, bool came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x, b: ops.ReduceMean([1, 2]),
            DTypeError,
            "ReduceMean 'reducemean': floating-point values are needed, int64 came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x, b: ops.ArgMax(b),
            DTypeError,
            "ArgMax 'argmax': numbers are needed, bool came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x, b: ops.ArgMax(ops.ReduceSum(x, keepdims=False)),
            ShapeError,
            "ArgMax 'argmax': axis 0 does not exist in 0 dimensions",
            "a scalar has no axis",
        ),
        (
            lambda x, b: ops.CumSum(x, axis=-3),
            ShapeError,
            "CumSum 'cumsum': axis -3 does not exist in 2 dimensions",
            "give -2 <= axis < 2",
        ),
        (
            lambda x, b: ops.ReduceMin(np.ones((0, 2))),
            ShapeError,
            "ReduceMin 'reducemin': axis 0 of (0, 2) has size 0: there is nothing to choose from",
            "give at least one element",
        ),
    ],
)
def test_refusals(
    graph: ms.Graph,
    build: Callable[[ms.Node, ms.Node], ms.Node],
    error: type[MatrixSlowError],
    rule: str,
    hint: str,
) -> None:
    x, b = ms.Input((2, 3), name="x"), ms.Input((2, 3), dtype="bool", name="b")
    with pytest.raises(MatrixSlowError) as caught:
        build(x, b)
    assert (type(caught.value), caught.value.rule, caught.value.hint) == (error, rule, hint)
