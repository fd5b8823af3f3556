"""Matrix products, einsum, solutions and factors: sizes that are fed, torch's slopes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, MatrixSlowError, RunError, ShapeError
from tests.against_torch import assert_as_torch

ops = ms.ops


# ---- products ------------------------------------------------------------------------------------


def test_inner_sizes_that_differ_are_told_with_everything_there_is(graph: ms.Graph) -> None:
    x = ms.Input((None, 784), name="x")
    w = ms.Variable(np.zeros((512, 10)), name="w")
    with pytest.raises(ShapeError) as caught:
        ops.MatMul(x, w, name="product")
    (rule, left, right, built, hint) = str(caught.value).splitlines()
    assert rule == "MatMul 'product': inner sizes differ, 784 and 512"
    assert left.split()[:5] == ["left", "x", "Input", "(None,", "784)"]
    assert right.split()[:5] == ["right", "w", "Variable", "(512,", "10)"]
    assert built.endswith('ops.MatMul(x, w, name="product")')
    assert hint == "  hint   give w 784 rows, or reshape x to (..., 512)"


def test_a_node_times_itself(graph: ms.Graph) -> None:
    values = np.random.default_rng(0).standard_normal((3, 3))
    assert_as_torch(lambda a: ops.MatMul(a, a), lambda a: a @ a, values)
    assert_as_torch(lambda a: ops.MatMul(a, ops.Transpose(a)), lambda a: a @ a.T, values)
    assert_as_torch(lambda a: ops.Gemm(a, a, a, transB=True), lambda a: a @ a.T + a, values)


@pytest.mark.parametrize("samples", [0, 1, 4])
@pytest.mark.parametrize("shape", [(2, 3), (5, 2, 3), (3,)])
def test_a_batch_that_is_fed(graph: ms.Graph, samples: int, shape: tuple[int, ...]) -> None:
    """A batch of vectors, of matrices or of stacks, times one matrix."""
    rng = np.random.default_rng(1)
    array, weights = rng.standard_normal((samples, *shape)), rng.standard_normal((3, 2))
    x = ms.Input((None, *shape), dtype="float64")
    w = ms.Variable(weights, dtype="float64")
    y = x @ w
    assert y.shape == (None, *shape[:-1], 2)
    slopes = ms.gradients(y, [x, w], upstream=ops.OnesLike(y))
    value, by_x, by_w = graph.forward([y, *slopes], {x: array})
    np.testing.assert_allclose(value, array @ weights)
    np.testing.assert_allclose(by_x, np.ones(value.shape) @ weights.T)
    rows = array.reshape(-1, 3)
    np.testing.assert_allclose(by_w, rows.T @ np.ones((len(rows), 2)), atol=1e-12)


def test_stacks_of_unknown_sizes_that_are_stretched(graph: ms.Graph) -> None:
    a, b = (ms.Input((None, 2, 2), dtype="float64", name=name) for name in "ab")
    y = a @ b
    slopes = ms.gradients(y, [a, b], upstream=ops.OnesLike(y))
    feeds = {a: np.ones((1, 2, 2)), b: np.ones((3, 2, 2))}
    value, by_a, by_b = graph.forward([y, *slopes], feeds)
    assert (value.shape, by_a.shape, by_b.shape) == ((3, 2, 2), (1, 2, 2), (3, 2, 2))
    np.testing.assert_array_equal(by_a, np.full((1, 2, 2), 6.0))


def test_sizes_that_are_fed_and_do_not_fit_are_refused(graph: ms.Graph) -> None:
    a, b = ms.Input((2, None), name="a"), ms.Input((None, 2), name="b")
    y = ops.MatMul(a, b, name="y")
    with pytest.raises(ShapeError) as caught:
        graph.forward(y, {a: np.ones((2, 3)), b: np.ones((4, 2))})
    assert caught.value.rule == "MatMul 'y': inner sizes differ, 3 and 4"
    assert caught.value.rows[-1] == "fed    a (2, 3) float32  b (4, 2) float32"


def test_empty_products(graph: ms.Graph) -> None:
    for left, right in (((2, 0), (0, 3)), ((0, 2), (2, 3)), ((2, 0, 4), (4, 3)), ((0,), (0,))):
        expected = np.ones(left) @ np.ones(right)
        value = graph.forward(ops.MatMul(np.ones(left), np.ones(right)))
        np.testing.assert_array_equal(value, expected)
        assert value.shape == expected.shape


# ---- einsum --------------------------------------------------------------------------------------


@st.composite
def einsums(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """A random equation, and shapes that fit it: diagonals, sums, "..." and stretched axes."""
    letters = {letter: draw(st.integers(1, 3)) for letter in "ijk"}
    further = draw(st.lists(st.integers(1, 2), max_size=2))
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, 3))):
        term = draw(st.text("ijk", max_size=3))
        stretched = {letter for letter in "ijk" if draw(st.integers(0, 5)) == 0}
        shape = [1 if letter in stretched else letters[letter] for letter in term]
        if further:
            place = draw(st.integers(0, len(term)))
            count = draw(st.integers(0, len(further)))
            term = f"{term[:place]}...{term[place:]}"
            shape[place:place] = further[len(further) - count :]
        terms.append(term)
        shapes.append(tuple(shape))
    equation = ",".join(terms)
    if draw(st.booleans()):
        used = sorted(set(equation) & set("ijk"))
        result = draw(st.permutations(used)) if used else []
        result = "".join(result[: draw(st.integers(0, len(used)))])
        place = draw(st.integers(0, len(result)))
        equation += f"->{result[:place]}{'...' * bool(further)}{result[place:]}"
    return equation, shapes


@settings(max_examples=60)
@given(einsums())
def test_any_einsum_as_numpy_with_the_slopes_of_differences(
    sample: tuple[str, list[tuple[int, ...]]],
) -> None:
    equation, shapes = sample
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    with ms.Graph() as graph:
        inputs = [ms.Input(shape, dtype="float64") for shape in shapes]
        y = ops.Einsum(*inputs, equation=equation)
    feeds = dict(zip(inputs, arrays, strict=True))
    expected = np.einsum(equation, *arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(graph.forward(y, feeds), expected, rtol=1e-10, atol=1e-10)
    ms.testing.check_gradients(y, inputs, feeds)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_einsum_over_fed_axes(graph: ms.Graph, length: int) -> None:
    query, key = (ms.Input((2, None, 4), dtype="float64") for _ in range(2))
    y = ops.Einsum(query, key, equation="bqd,bkd->bqk")
    assert y.shape == (2, None, None)
    rng = np.random.default_rng(0)
    feeds = {query: rng.standard_normal((2, length, 4)), key: rng.standard_normal((2, 5, 4))}
    slopes = ms.gradients(y, [query, key], upstream=ops.OnesLike(y))
    value, by_query, by_key = graph.forward([y, *slopes], feeds)
    np.testing.assert_allclose(value, feeds[query] @ feeds[key].swapaxes(1, 2))
    ones = np.ones(value.shape)
    np.testing.assert_allclose(by_query, ones @ feeds[key])
    np.testing.assert_allclose(by_key, ones.swapaxes(1, 2) @ feeds[query])


# ---- solutions and factors -----------------------------------------------------------------------


def square(*batch: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).standard_normal((*batch, 3, 3)) + 3.0 * np.eye(3)


@pytest.mark.parametrize("batch", [(), (2,), (2, 1)])
def test_solutions_and_factors_as_torch(batch: tuple[int, ...]) -> None:
    a, b = square(*batch), np.random.default_rng(3).standard_normal((2, 3, 2))
    assert_as_torch(ops.Inverse, torch.linalg.inv, a)
    assert_as_torch(ops.Det, torch.linalg.det, a)
    assert_as_torch(ops.Solve, torch.linalg.solve, a, b)
    positive = a @ a.swapaxes(-1, -2)
    assert_as_torch(ops.Cholesky, torch.linalg.cholesky, positive)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_determinant_has_a_slope_where_there_is_no_inverse(graph: ms.Graph, rank: int) -> None:
    rng = np.random.default_rng(4)
    matrix = rng.standard_normal((3, rank)) @ rng.standard_normal((rank, 3))
    x = ms.Input((3, 3), dtype="float64", name="x")
    (slope,) = ms.gradients(ops.Det(x), [x])
    (second,) = ms.gradients(ops.ReduceSum(slope * slope, keepdims=False), [x])
    found = graph.forward(slope, {x: matrix})
    for i, j in np.ndindex(3, 3):
        rest = np.delete(np.delete(matrix, i, axis=0), j, axis=1)
        wanted = (-1) ** (i + j) * np.linalg.det(rest)
        assert found[i, j] == pytest.approx(wanted, abs=1e-12)
    if rank == 0:  # others are singular up to rounding only
        with pytest.raises(RunError):
            graph.forward(second, {x: matrix})


def test_a_system_of_unknown_size(graph: ms.Graph) -> None:
    a, b = ms.Input((None, None), dtype="float64"), ms.Input((None,), dtype="float64")
    y = ops.Solve(a, b)
    assert y.shape == (None,)
    slopes = ms.gradients(y, [a, b], upstream=ops.OnesLike(y))
    matrix, vector = square(), np.arange(3.0)
    value, by_a, by_b = graph.forward([y, *slopes], {a: matrix, b: vector})
    np.testing.assert_allclose(matrix @ value, vector, atol=1e-12)
    np.testing.assert_allclose(by_b, np.linalg.solve(matrix.T, np.ones(3)))
    np.testing.assert_allclose(by_a, -np.outer(by_b, value))


def test_the_numerical_library_names_what_has_no_solution(graph: ms.Graph) -> None:
    x = ms.Input((2, 2), name="x")
    for y, said in (
        (ops.Inverse(x, name="y"), "Inverse 'y': LinAlgError: Singular matrix"),
        (ops.Solve(x, [1.0, 2.0], name="z"), "Solve 'z': LinAlgError: Singular matrix"),
        (
            ops.Cholesky(x - 1.0, name="l"),
            "Cholesky 'l': LinAlgError: Matrix is not positive definite",
        ),
    ):
        with pytest.raises(RunError) as caught:
            graph.forward(y, {x: np.zeros((2, 2))})
        assert caught.value.rule == said


# ---- refusals ------------------------------------------------------------------------------------


def einsum(*shapes: tuple[int, ...], equation: str) -> ms.Node:
    return ops.Einsum(*(ms.Input(shape) for shape in shapes), equation=equation)


@pytest.mark.parametrize(
    ("build", "error", "rule", "hint"),
    [
        (
            lambda a: a @ a,
            ShapeError,
            "MatMul 'matmul': inner sizes differ, 3 and 2",
            "give a 3 rows, or reshape a to (..., 2)",
        ),
        (
            lambda a: ops.MatMul(a, 2.0),
            ShapeError,
            "MatMul 'matmul': a scalar has no rows and columns, shapes (2, 3) and () came",
            "multiply by a scalar with a * constant",
        ),
        (
            lambda a: np.ones((5, 2, 2)) @ ops.Reshape(a, shape=(3, 2, 1)),
            ShapeError,
            "MatMul 'matmul': shapes (5,), (3,) do not broadcast: axis -1 has sizes 5 and 3",
            "make the sizes equal, or one of them 1",
        ),
        (
            lambda a: ops.MatMul(a, ops.Cast(a, dtype="float64")),
            DTypeError,
            "MatMul 'matmul': dtypes differ, float32 and float64",
            'convert one of them: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda a: ops.Gemm(a, a, transA=True, transB=True),
            ShapeError,
            "Gemm 'gemm': inner sizes differ, 2 and 3",
            "give a 2 rows, or reshape a to (..., 3)",
        ),
        (
            lambda a: ops.Gemm(a, [1.0, 2.0, 3.0]),
            ShapeError,
            "Gemm 'gemm': matrices are needed, shape (3,) came",
            "for more or fewer axes take ms.ops.MatMul",
        ),
        (
            lambda a: ops.Gemm(a, a, np.ones(3), transB=True),
            ShapeError,
            "Gemm 'gemm': c of shape (3,) does not broadcast to the product, (2, 2)",
            "give constant sizes of 1 or those of the product",
        ),
        (
            ops.Inverse,
            ShapeError,
            "Inverse 'inverse': square matrices are needed, shape (2, 3) came",
            "the last two axes must have equal sizes",
        ),
        (
            lambda a: ops.Det(np.ones(3)),
            ShapeError,
            "Det 'det': square matrices are needed, shape (3,) came",
            "the last two axes must have equal sizes",
        ),
        (
            lambda a: ops.Cholesky(ops.Cast(np.eye(2), dtype="float16")),
            DTypeError,
            "Cholesky 'cholesky': float32 or float64 is needed, float16 came",
            'convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda a: ops.Solve(np.eye(3), a),
            ShapeError,
            "Solve 'solve': b has 2 rows, a has 3",
            "give a as many rows as constant",
        ),
        (
            lambda a: ops.Solve(np.eye(3), 1.0),
            ShapeError,
            "Solve 'solve': b is a scalar",
            "give constant_1 as many rows as constant",
        ),
        (
            lambda a: ops.Trilu(np.ones(3)),
            ShapeError,
            "Trilu 'trilu': matrices are needed, shape (3,) came",
            "give at least two axes",
        ),
        (
            lambda a: einsum((2, 3), equation="i-j"),
            ArgumentError,
            "Einsum: equation='i-j' is not made of letters, ',', '...' and '->'",
            'write it like "ij,jk->ik"',
        ),
        (
            lambda a: einsum((2, 3), equation="ij,jk->ik"),
            ArgumentError,
            "Einsum: equation='ij,jk->ik' has 2 terms, 1 operands came",
            "give the letters of each operand, with commas between them",
        ),
        (
            lambda a: einsum((2, 3), equation="ij->k"),
            ArgumentError,
            "Einsum: equation='ij->k' has 'k' in the result only",
            "every letter of the result stands for an axis of an operand",
        ),
        (
            lambda a: einsum((2, 3), equation="ij->ii"),
            ArgumentError,
            "Einsum: equation='ij->ii' has 'i' twice in the result",
            "name each axis of the result once",
        ),
        (
            lambda a: einsum((2, 3), equation="...i->i"),
            ArgumentError,
            "Einsum: equation='...i->i' has '...' on one side only",
            'write it on both sides: "...ij->...ji"',
        ),
        (
            lambda a: einsum((2, 3), equation="ijk->ik"),
            ShapeError,
            "Einsum 'einsum': 'ijk' names 3 axes, the operand has shape (2, 3)",
            "give a letter for each axis, or '...' for those that are not named",
        ),
        (
            lambda a: einsum((2, 3), (4, 5), equation="ij,jk->ik"),
            ShapeError,
            "Einsum 'einsum': 'j' stands for sizes 3 and 4",
            "make them equal, or one of them 1",
        ),
        (
            lambda a: einsum((2, 3), equation="ii"),
            ShapeError,
            "Einsum 'einsum': 'i' stands for sizes 2 and 3 of one operand",
            "a diagonal needs equal sizes",
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
        build(ms.Input((2, 3), name="a"))
    assert (type(caught.value), caught.value.rule, caught.value.hint) == (error, rule, hint)
