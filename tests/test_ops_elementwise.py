"""Elementwise operators: numbers beside nodes, slopes at kinks as torch's, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, ShapeError
from matrixslow.ops.powers import error_function
from tests.against_torch import assert_as_torch

ops = ms.ops
INF, NAN = np.inf, np.nan
AROUND_ZERO = [-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0]


# ---- numbers beside nodes ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "uint8"])
@pytest.mark.parametrize("operator", [ops.Add, ops.Sub, ops.Mul, ops.Max, ops.Mod, ops.Pow])
def test_a_number_takes_the_dtype_of_the_node(
    graph: ms.Graph, operator: Callable[..., ms.Node], dtype: str
) -> None:
    x = ms.Input((2,), dtype=dtype)
    for y in (operator(x, 3), operator(3, x), operator(x, np.int64(3)), operator(x, [3, 3])):
        assert y.dtype == dtype
        assert graph.forward(y, {x: np.ones(2, dtype)}).dtype == dtype


def test_a_number_beside_a_condition_takes_the_dtype_of_the_other_branch(graph: ms.Graph) -> None:
    condition, x = ms.Input((2,), dtype="bool"), ms.Input((2,), dtype="float64")
    assert ops.Where(condition, 1, x).dtype == np.float64
    assert ops.Where(condition, 1.0, 0.0).dtype == np.float32
    assert ops.Where(condition, 1, 0).dtype == np.int64


@pytest.mark.parametrize(
    ("number", "came"), [(300, "int64"), (-1, "int64"), (0.5, "float32"), ([1, 300], "int64")]
)
def test_a_number_that_the_dtype_cannot_hold_is_refused(
    graph: ms.Graph, number: Any, came: str
) -> None:
    x = ms.Input((2,), dtype="uint8", name="x")
    with pytest.raises(DTypeError, match=f"dtypes differ, uint8 and {came}"):
        ops.Add(x, number)


def test_two_nodes_of_different_dtypes_are_refused(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), dtype="float64", name="y")
    with pytest.raises(DTypeError) as caught:
        ops.Add(x, y, name="sum")
    lines = str(caught.value).splitlines()
    assert lines[0] == "Add 'sum': dtypes differ, float32 and float64"
    assert lines[1].startswith("  a      x  Input  (2,)  float32  test_ops_elementwise.py:")
    assert lines[2].startswith("  b      y  Input  (2,)  float64  test_ops_elementwise.py:")
    assert lines[-2].endswith('ops.Add(x, y, name="sum")')
    assert lines[-1] == '  hint   convert one of them: ms.ops.Cast(x, dtype="float32")'


def rule_of(build: Callable[[], ms.Node]) -> tuple[type, str, str]:
    with pytest.raises(MatrixSlowError) as caught:
        build()
    return type(caught.value), caught.value.rule, caught.value.hint


FLOATS = 'convert it: ms.ops.Cast(x, dtype="float32")'


@pytest.mark.parametrize(
    ("build", "error", "rule", "hint"),
    [
        (lambda x, b: ops.Add(b, b), DTypeError, "Add 'y': numbers are needed, bool came", FLOATS),
        (
            lambda x, b: ops.Div(1, 2),
            DTypeError,
            "Div 'y': floating-point values are needed, int64 came",
            FLOATS,
        ),
        (
            lambda x, b: ops.Exp([1, 2]),
            DTypeError,
            "Exp 'y': floating-point values are needed, int64 came",
            FLOATS,
        ),
        (
            lambda x, b: ops.Not(x),
            DTypeError,
            "Not 'y': truth values are needed, float32 came",
            "compare first, as with ms.ops.Greater(x, 0.0)",
        ),
        (
            lambda x, b: ops.Where(x, x, x),
            DTypeError,
            "Where 'y': truth values are needed, float32 came",
            "compare first, as with ms.ops.Greater(x, 0.0)",
        ),
        (
            lambda x, b: ops.Less(b, b),
            DTypeError,
            "Less 'y': numbers are needed, bool came",
            FLOATS,
        ),
        (
            lambda x, b: ops.ScalarMultiply(x, x),
            ShapeError,
            "ScalarMultiply 'y': a scalar is needed beside (2, 3), shape (2, 3) came",
            "for products element by element write x * x",
        ),
        (
            lambda x, b: ops.ScalarMultiply([[[1.0]]], x),
            ShapeError,
            "ScalarMultiply 'y': a scalar is needed beside (2, 3), shape (1, 1, 1) came",
            "for products element by element write constant * x",
        ),
        (
            lambda x, b: ops.Max(x),
            ArgumentError,
            "Max: 1 operands came, two or more are needed",
            "over the axes of one node, take ms.ops.ReduceMax",
        ),
        (
            lambda x, b: ops.Clip(x, min=2, max=1),
            ArgumentError,
            "Clip: min=2 is not below max=1",
            "exchange the two bounds",
        ),
        (
            lambda x, b: ops.Clip(ops.Cast(x, dtype="int8"), min=0.5),
            DTypeError,
            "Clip 'y': the bound 0.5 is no int8",
            "give integers as bounds of integers",
        ),
        (
            lambda x, b: ops.Cast(x, dtype="complex64"),
            DTypeError,
            "no such dtype: 'complex64'",
            "one of bool, float16, float32, float64, int8, int16, int32, int64, uint8, uint16, "
            "uint32, uint64",
        ),
        (
            lambda x, b: x + np.ones((3, 2)),
            ShapeError,
            "Add 'y': shapes (2, 3), (3, 2) do not broadcast: axis -2 has sizes 2 and 3",
            "make the sizes equal, or one of them 1",
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
    found, said, remedy = rule_of(lambda: build(x, b))
    kind = rule.partition(" ")[0]
    assert (found, said, remedy) == (error, rule.replace("'y'", repr(kind.lower())), hint)


# ---- slopes where torch's convention decides -----------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (ops.Abs, torch.abs, AROUND_ZERO),
        (ops.Sqrt, torch.sqrt, [0.0, 1.0, 4.0]),
        (ops.Reciprocal, torch.reciprocal, [-1.0, 2.0]),
        (lambda x: ops.Clip(x, min=-1.0, max=1.0), lambda x: x.clamp(-1, 1), AROUND_ZERO),
        (lambda x: ops.Clip(x, min=0.5), lambda x: x.clamp(min=0.5), AROUND_ZERO),
        (lambda x: ops.Clip(x, max=0.5), lambda x: x.clamp(max=0.5), AROUND_ZERO),
        (lambda x: x**2, lambda x: x**2, AROUND_ZERO),
        (lambda x: x**3, lambda x: x**3, AROUND_ZERO),
        (lambda x: x**1, lambda x: x**1, AROUND_ZERO),
        (lambda x: x**0, lambda x: x**0, AROUND_ZERO),
        (lambda x: x**-2, lambda x: x**-2, [-1.0, 0.5]),
        (lambda x: x**0.5, lambda x: x**0.5, [0.25, 4.0]),
        (lambda x: 2.0**x, lambda x: 2.0**x, AROUND_ZERO),
        (ops.Log, torch.log, [0.5, 3.0]),
        (ops.Log1p, torch.log1p, AROUND_ZERO[2:]),
        (ops.Expm1, torch.expm1, [-50.0, -1e-10, 0.0, 1e-10, 3.0]),
        (ops.Erf, torch.erf, AROUND_ZERO),
        (ops.Tan, torch.tan, AROUND_ZERO),
        (ops.Tanh, torch.tanh, [-50.0, *AROUND_ZERO, 50.0]),
        (ops.Acosh, torch.acosh, [1.5, 100.0]),
        (ops.Asinh, torch.asinh, AROUND_ZERO),
        (ops.Sinh, torch.sinh, AROUND_ZERO),
        (ops.Cosh, torch.cosh, AROUND_ZERO),
    ],
)
def test_one_operand_as_torch(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor], values: list[float]
) -> None:
    assert_as_torch(ours, theirs, np.array(values))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ops.Asin, torch.asin), (ops.Acos, torch.acos), (ops.Atanh, torch.atanh)],
)
def test_inverses_at_the_ends_of_their_range(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor]
) -> None:
    assert_as_torch(ours, theirs, np.array([-1.0, -0.5, 0.0, 0.5, 1.0]), order=1)
    assert_as_torch(ours, theirs, np.array([-0.5, 0.0, 0.5]))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ops.Max, torch.maximum), (ops.Min, torch.minimum)],
)
def test_equal_operands_share_the_gradient(
    ours: Callable[..., ms.Node], theirs: Callable[..., torch.Tensor]
) -> None:
    a = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]])
    b = np.array([[1.0, 5.0, 3.0], [0.0, 7.0, -2.0]])
    assert_as_torch(ours, theirs, a, b)
    assert_as_torch(ours, theirs, a, b[0])


def test_three_equal_operands_share_the_gradient(graph: ms.Graph) -> None:
    a, b, c = (ms.Variable(value) for value in (2.0, 2.0, 2.0))
    slopes = ms.gradients(ops.Max(a, b, c), [a, b, c])
    np.testing.assert_allclose(graph.forward(slopes), 1.0 / 3.0, rtol=1e-7)
    twice = ms.gradients(ops.Min(a, a), [a])
    np.testing.assert_array_equal(graph.forward(twice), [1.0])


def test_power_of_zero(graph: ms.Graph) -> None:
    bases = np.array([0.0, 0.0, 0.0, 2.0, 2.0, -1.5, -1.5])
    exponents = np.array([2.0, 1.0, 3.0, 0.0, 3.0, 2.0, 0.0])
    assert_as_torch(ops.Pow, torch.pow, bases, exponents, order=1)
    assert_as_torch(ops.Pow, torch.pow, np.array([0.0, 0.0]), np.array([0.0, 0.5]), order=1)


@pytest.mark.parametrize(("fmod", "theirs"), [(False, torch.remainder), (True, torch.fmod)])
def test_mod_as_torch(fmod: bool, theirs: Callable[..., torch.Tensor]) -> None:
    a = np.array([5.0, -5.0, 5.0, -5.0, 7.5, 6.0])
    b = np.array([3.0, 3.0, -3.0, -3.0, 2.5, -4.0])
    assert_as_torch(lambda a, b: ops.Mod(a, b, fmod=fmod), theirs, a, b)


def test_where_keeps_the_branch_that_is_not_taken_out_of_the_gradient() -> None:
    def ours(x: ms.Node) -> ms.Node:
        positive = ops.Greater(x, 0.0)
        return ops.Where(positive, ops.Log(ops.Where(positive, x, 1.0)), 0.0)

    def theirs(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, torch.log(torch.where(x > 0, x, 1.0)), 0.0)

    assert_as_torch(ours, theirs, np.array([-1.0, 0.0, 2.0]))


@pytest.mark.parametrize("operator", [ops.Sign, ops.Floor, ops.Ceil, ops.Round, ops.StopGradient])
def test_what_has_no_slope(graph: ms.Graph, operator: Callable[..., ms.Node]) -> None:
    x = ms.Variable([0.5])
    assert ms.gradients(operator(x), [x]) == [None]
    (slope,) = ms.gradients(x * operator(x), [x])
    assert slope is not None
    assert graph.forward(slope) == graph.forward(operator(x))


def test_a_cast_between_floating_dtypes_hands_the_gradient_on(graph: ms.Graph) -> None:
    x = ms.Variable([0.5, 2.0])
    y = ops.Cast(x, dtype="float64")
    (slope,) = ms.gradients(ops.ReduceSum(y * y * y), [x])
    assert slope is not None
    assert slope.dtype == np.float32
    np.testing.assert_allclose(graph.forward(slope), [0.75, 12.0], rtol=1e-6)
    through_integers = ops.Cast(ops.Cast(x, dtype="int64"), dtype="float32")
    assert ms.gradients(ops.ReduceSum(through_integers), [x]) == [None]


# ---- values --------------------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=9))
def test_erf_is_right_everywhere(values: list[float]) -> None:
    x = np.array(values)
    with np.errstate(all="ignore"):
        y = error_function(np, x)
        narrow = error_function(np, x.astype("float32"))
    np.testing.assert_allclose(y, scipy.special.erf(x), rtol=2e-15, atol=1e-300)
    assert narrow.dtype == np.float32
    with np.errstate(all="ignore"):
        expected = scipy.special.erf(x.astype("float32").astype("float64"))
    np.testing.assert_allclose(narrow, expected, rtol=5e-7, atol=1e-37)


def test_integers_stay_integers(graph: ms.Graph) -> None:
    x = ms.Input((4,), dtype="int8")
    given = np.array([-7, -1, 0, 7], "int8")
    for y, expected in (
        (ops.Abs(x), [7, 1, 0, 7]),
        (ops.Sign(x), [-1, -1, 0, 1]),
        (ops.Clip(x, min=-3, max=5), [-3, -1, 0, 5]),
        (ops.Clip(x, min=-1000), [-7, -1, 0, 7]),
        (ops.Mod(x, 3), [2, 2, 0, 1]),
        (ops.Mod(x, 3, fmod=True), [-1, -1, 0, 1]),
        (ops.Min(x, 2, 1), [-7, -1, 0, 1]),
        (-x, [7, 1, 0, -7]),
        (x**2, [49, 1, 0, 49]),
    ):
        value = graph.forward(y, {x: given})
        assert value.dtype == np.int8
        np.testing.assert_array_equal(value, expected)


def test_not_a_number_stays_so(graph: ms.Graph) -> None:
    x = ms.Constant([NAN, 1.0])
    for y in (ops.Max(x, 0.0), ops.Min(x, 0.0), ops.Clip(x, min=0.0, max=1.0), ops.Erf(x)):
        np.testing.assert_array_equal(np.isnan(graph.forward(y)), [True, False])


def test_a_scalar_of_one_element_multiplies_in_any_form(graph: ms.Graph) -> None:
    x = ms.Input((2, 3), dtype="float64")
    for scalar in (ms.Variable(2.0, dtype="float64"), ms.Variable([[2.0]], dtype="float64")):
        y = ops.ScalarMultiply(scalar, x)
        (slope,) = ms.gradients(ops.ReduceSum(y), [scalar])
        assert slope is not None
        assert slope.shape == scalar.shape
        assert graph.forward(slope, {x: np.arange(6.0).reshape(2, 3)}).item() == 15.0
