"""Samples of matrixslow/ops/reduction.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

import matrixslow as ms
from matrixslow.core.node import Node
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 3, 4)
ONE_ZERO = X * (numbers(2, 3, 4) < 1.9)
TIES = np.array([[3, 1, 3], [2, 2, 0]])


def over_axes(
    operator: type[Node],
    reduce: Callable[..., Any],
    x: np.ndarray[Any, Any] = X,
    *,
    about: str = "",
) -> tuple[Sample, ...]:
    """The samples that every reduction of floating-point numbers has."""
    name = operator.__name__ + about
    return (
        Sample(f"{name}, all axes", operator, (x,), reduce(x, axis=None, keepdims=True)),
        Sample(
            f"{name}, to a scalar",
            lambda x: operator(x, keepdims=False),
            (x,),
            reduce(x, axis=None, keepdims=False),
        ),
        Sample(
            f"{name}, the first axis",
            lambda x: operator(x, axes=0, keepdims=False),
            (x,),
            reduce(x, axis=0, keepdims=False),
        ),
        Sample(
            f"{name}, two axes, kept",
            lambda x: operator(x, axes=(-1, 0)),
            (x,),
            reduce(x, axis=(0, 2), keepdims=True),
        ),
        Sample(
            f"{name}, two axes, dropped",
            lambda x: operator(x, axes=(1, -1), keepdims=False),
            (x,),
            reduce(x, axis=(1, 2), keepdims=False),
        ),
        Sample(
            f"{name}, no axis",
            lambda x: operator(x, axes=(), keepdims=False),
            (x,),
            reduce(x[None], axis=0, keepdims=False),
        ),
    )


SAMPLES = (
    *over_axes(ms.ops.ReduceSum, np.sum),
    *over_axes(ms.ops.ReduceMean, np.mean),
    *over_axes(ms.ops.ReduceProd, np.prod),
    *over_axes(ms.ops.ReduceProd, np.prod, ONE_ZERO, about=" with a zero"),
    *over_axes(ms.ops.ReduceL1, lambda x, **over: np.sum(np.abs(x), **over)),
    *over_axes(ms.ops.ReduceL2, lambda x, **over: np.sqrt(np.sum(x**2, **over))),
    *over_axes(ms.ops.ReduceSumSquare, lambda x, **over: np.sum(x**2, **over)),
    *over_axes(ms.ops.ReduceLogSumExp, scipy.special.logsumexp),
    Sample("ReduceSum, integers", lambda x: ms.ops.ReduceSum(x), (TIES,), [[11]], order=0),
    Sample("Count", lambda x: ms.ops.Count(x, axes=(0, -1)), (X,), 8.0),
    Sample(
        "ProductOfOthers",
        lambda x: ms.ops.ProductOfOthers(x, axis=1),
        (X,),
        X.prod(axis=1, keepdims=True) / X,
    ),
    Sample("CumSum", lambda x: ms.ops.CumSum(x, axis=1), (X,), X.cumsum(axis=1)),
    Sample(
        "CumSum, exclusive",
        lambda x: ms.ops.CumSum(x, axis=0, exclusive=True),
        (X[0],),
        np.vstack([np.zeros(4), X[0, :-1].cumsum(axis=0)]),
    ),
    Sample(
        "CumSum, in reverse",
        lambda x: ms.ops.CumSum(x, axis=-1, reverse=True),
        (X,),
        X[..., ::-1].cumsum(axis=-1)[..., ::-1],
    ),
    Sample(
        "CumSum, in reverse, exclusive",
        lambda x: ms.ops.CumSum(x, axis=-1, reverse=True, exclusive=True),
        (X,),
        X[..., ::-1].cumsum(axis=-1)[..., ::-1] - X,
    ),
    Sample(
        "CumSum, integers",
        lambda x: ms.ops.CumSum(x, axis=1),
        (TIES,),
        TIES.cumsum(axis=1),
        order=0,
    ),
)
