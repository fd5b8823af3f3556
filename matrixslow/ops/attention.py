"""Attention: every position of a sequence takes from others what its query asks for."""

from __future__ import annotations

from math import sqrt
from types import ModuleType

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.leaf import Constant
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec
from matrixslow.errors import ShapeError
from matrixslow.ops.comparison import And, IsInf, Not, Where
from matrixslow.ops.linalg import swapped
from matrixslow.ops.softmax import Softmax


class CausalMask(Node):
    """y[i, j] = j <= i: whether a key lies no later than a query.

    Args:
        like: Scores, which lend the sizes of their last two axes.

    Shapes: like (..., queries, keys), y (queries, keys), booleans.

    >>> with ms.Graph() as graph:
    ...     mask = ms.ops.CausalMask(ms.Constant(np.zeros((2, 3))))
    >>> graph.forward(mask)
    array([[ True, False, False],
           [ True,  True, False]])
    """

    gradient = None

    def infer(self, like: Spec) -> Spec:
        if like.ndim < 2:
            raise ShapeError(
                f"shape {like.shape} has no queries and keys", hint="give scores (queries, keys)"
            )
        return Spec(like.shape[-2:], "bool")

    def compute(self, xp: ModuleType, like: Array) -> Array:
        queries, keys = like.shape[-2:]
        return xp.arange(keys) <= xp.arange(queries)[:, None]


def Attention(  # noqa: N802 - it stands beside the operators, under ONNX's name
    query: Node,
    key: Node,
    value: Node,
    mask: Operand | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    name: str | None = None,
) -> Node:
    """Scaled dot-product attention: y = softmax(scale * query key' + mask) value.

    Args:
        query: What is asked for, (..., queries, features).
        key: What is offered, (..., keys, features).
        value: What is handed out, (..., keys, width).
        mask: Which keys a query may take from, in any shape that broadcasts to (..., queries,
            keys): booleans, or numbers added to the scores. Where a query may take from none, the
            result is 0.
        scale: By what scores are multiplied; by default 1 / sqrt(features).
        causal: Whether a query may only take from keys that lie no later than itself.
        name: Of the scope that the nodes are built in.

    Returns:
        A node (..., queries, width).

    Raises:
        ShapeError: The shapes do not fit together.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.1.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 4, 10, 8), name="heads")  # batch, heads, length, features
    ...     ms.ops.Attention(x, x, x, causal=True).shape
    (None, 4, 10, 8)
    """
    graph = query.graph
    with graph, graph.scope(name or "attention", unique=name is None):
        scores = _scores(query, key, scale)
        allowed: Node | None = CausalMask(scores) if causal else None
        if mask is not None:
            mask = mask if isinstance(mask, Node) else _constant(mask, query)
            if mask.spec.floating:
                finite = Not(IsInf(mask, detect_positive=False))
                scores = scores + Where(finite, mask, 0.0)
                mask = finite
            allowed = mask if allowed is None else And(mask, allowed)
        if allowed is None:
            return Softmax(scores) @ value
        # A finite lowest score, so that a row without any key does not become NaN.
        lowest = float(np.finfo(query.dtype).min)
        shares = Softmax(Where(allowed, scores, lowest))
        return Where(allowed, shares, 0.0) @ value


def _scores(query: Node, key: Node, scale: float | None) -> Node:
    features = query.shape[-1]
    if scale is None and features is None:
        raise ShapeError(
            f"Attention: {query!r} has an unknown number of features",
            hint="give scale=, or declare the size of the last axis",
        )
    factor = 1.0 / sqrt(features or 1) if scale is None else scale
    return (query * factor) @ swapped(key)


def _constant(mask: Operand, query: Node) -> Node:
    array = np.asarray(mask)
    return Constant(array, dtype=query.dtype if array.dtype.kind == "f" else None)
