"""Samples of matrixslow/ops/einsum.py."""

from __future__ import annotations

from typing import Any

import numpy as np

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

M, N, V = numbers(2, 3), numbers(3, 4, seed=1), numbers(3, seed=2)
STACK, STACK_N = numbers(2, 2, 3), numbers(2, 3, 4, seed=1)
SQUARE, CUBE = numbers(3, 3), numbers(2, 2, 2)


def einsum(equation: str, *xs: np.ndarray[Any, Any]) -> Sample:
    return Sample(
        f"Einsum, {equation} of {', '.join(str(x.shape) for x in xs)}",
        lambda *nodes: ms.ops.Einsum(*nodes, equation=equation),
        xs,
        np.einsum(equation, *xs),
    )


SAMPLES = (
    einsum("ij,jk->ik", M, N),
    einsum("ij,jk", M, N),
    einsum("ba", M),
    einsum("i,i->", V, V + 1.0),
    einsum("i,j->ij", V, M[:, 0]),
    einsum("ij->", M),
    einsum("ij->j", M),
    einsum("ij,j->j", M, V),
    einsum("ij, kj -> k i", M, N.T),
    einsum("bij,bjk->bik", STACK, STACK_N),
    einsum("ij,jk,k->i", M, N, N[0]),
    einsum("ii->i", SQUARE),
    einsum("ii", SQUARE),
    einsum("iij->ij", CUBE),
    einsum("iii->", CUBE),
    einsum("iji,k->kj", CUBE, V),
    einsum("ij,ij->ij", M[:, :1], M),
    einsum("ij,jk->ik", M[:, :1], N),
    einsum("ij,jk->ik", M, N[:1]),
    einsum("...ij,...jk->...ik", STACK, N),
    einsum("...ij,...jk", STACK[:1], STACK_N),
    einsum("...i->...", STACK),
    einsum("i...->...i", STACK),
    einsum("...,i->i...", V, V - 1.0),
    einsum(",ij->ij", V[0], M),
    Sample(
        "Einsum, integers",
        lambda a, b: ms.ops.Einsum(a, b, equation="i,ij"),
        (np.arange(2), np.arange(6).reshape(2, 3)),
        np.arange(2) @ np.arange(6).reshape(2, 3),
        order=0,
    ),
)
