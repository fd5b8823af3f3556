"""Samples of matrixslow/ops/linalg.py."""

from __future__ import annotations

import numpy as np

import matrixslow as ms
from matrixslow.core.node import Node
from matrixslow.testing.sample import Sample
from tests.operators import numbers

A, B, C = numbers(2, 3), numbers(3, 4, seed=1), numbers(4, seed=2)
STACK, STACK_B = numbers(2, 2, 3), numbers(2, 3, 2, seed=1)
DEEP = numbers(2, 1, 2, 3)
U, V = numbers(3), numbers(3, seed=1)

SQUARE = numbers(3, 3) + 3.0 * np.eye(3)
SQUARES = numbers(2, 3, 3) + 3.0 * np.eye(3)
POSITIVE = SQUARES @ SQUARES.swapaxes(1, 2)


def positive(x: Node) -> Node:
    """A symmetric, positive definite matrix of each matrix."""
    return ms.ops.MatMul(x, ms.ops.Transpose(x, perm=(0, 2, 1)))


def cofactors(matrices: np.ndarray) -> np.ndarray:
    """By their definition: signed determinants of what is left without a row and a column."""
    y = np.empty_like(matrices)
    for i, j in np.ndindex(*matrices.shape[-2:]):
        rest = np.delete(np.delete(matrices, i, axis=-2), j, axis=-1)
        y[..., i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return y


SAMPLES = (
    Sample("MatMul, two matrices", lambda a, b: ms.ops.MatMul(a, b), (A, B), A @ B),
    Sample("MatMul, two vectors", lambda a, b: a @ b, (U, V), U @ V),
    Sample("MatMul, a vector and a matrix", lambda a, b: a @ b, (U, B), U @ B),
    Sample("MatMul, a matrix and a vector", lambda a, b: a @ b, (A, U), A @ U),
    Sample("MatMul, a vector and a stack", lambda a, b: a @ b, (U, STACK_B), U @ STACK_B),
    Sample("MatMul, a stack and a vector", lambda a, b: a @ b, (STACK, U), STACK @ U),
    Sample("MatMul, two stacks", lambda a, b: a @ b, (STACK, STACK_B), STACK @ STACK_B),
    Sample("MatMul, a stack and a matrix", lambda a, b: a @ b, (STACK, B), STACK @ B),
    Sample("MatMul, a matrix and a stack", lambda a, b: a @ b, (A, STACK_B), A @ STACK_B),
    Sample("MatMul, stacks that broadcast", lambda a, b: a @ b, (DEEP, STACK_B), DEEP @ STACK_B),
    Sample("MatMul, square", lambda a, b: a @ b, (SQUARE, SQUARE.T), SQUARE @ SQUARE.T),
    Sample(
        "MatMul, integers",
        lambda a, b: a @ b,
        (np.arange(6).reshape(2, 3), np.arange(3)),
        np.arange(6).reshape(2, 3) @ np.arange(3),
        order=0,
    ),
    Sample("Gemm", lambda a, b: ms.ops.Gemm(a, b), (A, B), A @ B),
    Sample(
        "Gemm, scaled, a row added",
        lambda a, b, c: ms.ops.Gemm(a, b, c, alpha=0.5, beta=-2.0),
        (A, B, C),
        0.5 * A @ B - 2.0 * C,
    ),
    Sample(
        "Gemm, the first transposed, a matrix added",
        lambda a, b, c: ms.ops.Gemm(a, b, c, transA=True),
        (A.T, B, A @ B),
        2.0 * A @ B,
    ),
    Sample(
        "Gemm, the second transposed",
        lambda a, b: ms.ops.Gemm(a, b, alpha=3.0, transB=True),
        (A, B.T),
        3.0 * A @ B,
    ),
    Sample(
        "Gemm, both transposed, a scalar added",
        lambda a, b, c: ms.ops.Gemm(a, b, c, transA=True, transB=True),
        (A.T, B.T, C[0]),
        A @ B + C[0],
    ),
    Sample("Inverse", lambda x: ms.ops.Inverse(x), (SQUARES,), np.linalg.inv(SQUARES)),
    Sample("Det", lambda x: ms.ops.Det(x), (SQUARE,), np.linalg.det(SQUARE)),
    Sample("Cofactors", lambda x: ms.ops.Cofactors(x), (SQUARES,), cofactors(SQUARES)),
    Sample("Det, a stack", lambda x: ms.ops.Det(x), (SQUARES,), np.linalg.det(SQUARES)),
    Sample(
        "Cholesky",
        lambda x: ms.ops.Cholesky(positive(x)),
        (SQUARES,),
        np.linalg.cholesky(POSITIVE),
    ),
    Sample("Trilu, above", lambda x: ms.ops.Trilu(x), (STACK,), np.triu(STACK)),
    Sample(
        "Trilu, below another diagonal",
        lambda x: ms.ops.Trilu(x, k=-1, upper=False),
        (SQUARE,),
        np.tril(SQUARE, -1),
    ),
    Sample(
        "Solve, a vector", lambda a, b: ms.ops.Solve(a, b), (SQUARE, U), np.linalg.solve(SQUARE, U)
    ),
    Sample(
        "Solve, a stack and a vector",
        lambda a, b: ms.ops.Solve(a, b),
        (SQUARES, U),
        np.linalg.solve(SQUARES, U),
    ),
    Sample(
        "Solve, a matrix", lambda a, b: ms.ops.Solve(a, b), (SQUARE, B), np.linalg.solve(SQUARE, B)
    ),
    Sample(
        "Solve, stacks",
        lambda a, b: ms.ops.Solve(a, b),
        (SQUARES, STACK_B),
        np.linalg.solve(SQUARES, STACK_B),
    ),
    Sample(
        "Solve, a stack and a matrix",
        lambda a, b: ms.ops.Solve(a, b),
        (SQUARES, B),
        np.linalg.solve(SQUARES, B),
    ),
    Sample(
        "Solve, a matrix and a stack",
        lambda a, b: ms.ops.Solve(a, b),
        (SQUARE, STACK_B),
        np.linalg.solve(SQUARE, STACK_B),
    ),
)
