"""Attention: sizes that are fed, masks of every form, no NaN, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import matrixslow as ms
from tests.operators.attention import by_torch


def heads(rng: np.random.Generator, length: int) -> np.ndarray:
    return rng.normal(size=(2, 3, length, 4))


@pytest.mark.parametrize("causal", [False, True])
def test_lengths_that_are_fed(graph: ms.Graph, rng: np.random.Generator, causal: bool) -> None:
    query = ms.Input((None, 3, None, 4), dtype="float64", name="query")
    key = ms.Input((None, 3, None, 4), dtype="float64", name="key")
    y = ms.ops.Attention(query, key, key, causal=causal)
    assert y.shape == (None, 3, None, 4)
    for queries, keys in ((5, 5), (2, 6), (1, 1)):
        q, k = heads(rng, queries), heads(rng, keys)
        expected = by_torch(q, k, k, is_causal=causal)
        np.testing.assert_allclose(graph.forward(y, {query: q, key: k}), expected, atol=1e-12)


def test_masks_broadcast_and_combine_with_causality(
    graph: ms.Graph, rng: np.random.Generator
) -> None:
    """A mask per sample hides the padding, as a node that is fed."""
    x = heads(rng, 5)
    valid = np.arange(5) < np.array([[3], [5]])
    mask = ms.Input((None, 5), dtype="bool", name="valid")
    node = ms.Constant(x, dtype="float64")
    y = ms.ops.Attention(node, node, node, mask[:, None, None], causal=True)
    allowed = valid[:, None, None] & np.tril(np.ones((5, 5), bool))
    expected = by_torch(x, x, x, attn_mask=allowed)
    np.testing.assert_allclose(graph.forward(y, {mask: valid}), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_query_that_sees_nothing_gets_zeros_and_gives_none_a_gradient(
    graph: ms.Graph, rng: np.random.Generator, dtype: str
) -> None:
    x = ms.Variable(10 * heads(rng, 4), dtype=dtype)
    mask = np.ones((4, 4), bool)
    mask[1] = False
    y = ms.ops.Attention(x, x, x, mask)
    (slope,) = ms.gradients(y, [x], upstream=ms.ops.OnesLike(y))
    value, gradient = graph.forward([y, slope])
    assert value.dtype == gradient.dtype == dtype
    assert abs(value[:, :, 1]).max() == 0
    assert abs(value[:, :, 0]).max() > 0
    assert np.isfinite(gradient).all()


def test_gradients_of_an_added_bias(graph: ms.Graph, rng: np.random.Generator) -> None:
    """The bias is trained where it is finite, as in relative position embeddings."""
    x, bias = heads(rng, 4), rng.normal(size=(3, 4, 4))
    bias[0, 2, 1:] = -np.inf
    fed = torch.from_numpy(bias).requires_grad_()
    query = torch.from_numpy(x)
    torch.nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=fed)[
        ..., 0
    ].sum().backward()
    node, b = ms.Constant(x, dtype="float64"), ms.Variable(bias, dtype="float64")
    y = ms.ops.Attention(node, node, node, b)[..., 0]
    (slope,) = ms.gradients(y, [b], upstream=ms.ops.OnesLike(y))
    np.testing.assert_allclose(graph.forward(slope), fed.grad.numpy(), atol=1e-12)


def test_nodes_are_built_in_a_scope_of_their_own(graph: ms.Graph) -> None:
    x = ms.Input((2, 3, 4), name="x")
    names = [ms.ops.Attention(x, x, x, name=name).scope for name in (None, None, "mine")]
    assert names == ["attention", "attention_1", "mine"]


def test_unknown_features_need_a_scale(graph: ms.Graph) -> None:
    x = ms.Input((2, 3, None), name="x")
    assert ms.ops.Attention(x, x, x, scale=1.0).shape == (2, 3, None)
    with pytest.raises(ms.errors.ShapeError) as caught:
        ms.ops.Attention(x, x, x)
    assert str(caught.value) == (
        "Attention: Input 'x' (2, 3, None) float32 has an unknown number of features\n"
        "  hint   give scale=, or declare the size of the last axis"
    )


def test_a_mask_of_integers_is_refused(graph: ms.Graph) -> None:
    x = ms.Input((2, 3, 4), name="x")
    with pytest.raises(ms.errors.DTypeError) as caught:
        ms.ops.Attention(x, x, x, np.ones((3, 3), "int64"))
    assert caught.value.rule == "Where 'attention/where': truth values are needed, int64 came"
    assert "test_ops_attention.py" in caught.value.rows[-1]


def test_scores_without_keys_have_no_causal_mask(graph: ms.Graph) -> None:
    with pytest.raises(ms.errors.ShapeError) as caught:
        ms.ops.CausalMask(ms.Input((3,), name="x"))
    assert caught.value.rule == "CausalMask 'causalmask': shape (3,) has no queries and keys"
    assert caught.value.hint == "give scores (queries, keys)"
