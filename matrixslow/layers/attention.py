"""Layers that let the positions of a sequence look at each other."""

from __future__ import annotations

from matrixslow import ops
from matrixslow.core import Initializer, Node
from matrixslow.core.node import Operand
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.layers.dense import dense, dropout
from matrixslow.layers.layer import GLOROT_UNIFORM, Activation, check_count, known_size, layer
from matrixslow.layers.normalization import layer_norm


def attention(
    query: Node,
    key: Node | None = None,
    value: Node | None = None,
    *,
    heads: int,
    mask: Operand | None = None,
    causal: bool = False,
    bias: bool = True,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    name: str | None = None,
) -> Node:
    """Several heads of attention side by side, each over a projection of its own.

    Args:
        query: The positions that look.
        key: The positions that are looked at; the query itself by default.
        value: What is seen there; the key by default.
        heads: How many; they share out the features of the query.
        mask: Where a query may look, in any shape that broadcasts to (batch, heads, queries, keys):
            booleans, or numbers added to the scores.
        causal: Whether a position may only look at those no later than itself.
        bias: Whether the four projections have biases.
        kernel_initializer: Makes the weights of the projections.
        name: Of the layer; "attention" with a number by default.

    Shapes: query (batch, queries, features), key (batch, keys, any), value (batch, keys, any), y as
        query.

    Raises:
        ShapeError: The layout is another, or the number of features is not known.
        ArgumentError: The heads cannot share out the features.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.2.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 10, 64), name="x")
    ...     ms.layers.attention(x, heads=8, causal=True).shape
    (None, 10, 64)
    """
    heads = check_count("attention", "heads", heads)
    key = query if key is None else key
    value = key if value is None else value
    with layer("attention", query, name):
        if query.ndim != 3:
            raise ShapeError(
                f"attention: sequences (batch, steps, features) are needed, {query!r} came",
                hint="give each step a vector of features, as ms.layers.embedding does",
            )
        features = known_size("attention", query, -1)
        if features % heads:
            raise ArgumentError(
                f"attention: {features} features do not make {heads} equal heads",
                hint="give a number of heads that divides the features",
            )

        def projection(x: Node, name: str) -> Node:
            return dense(x, features, bias=bias, kernel_initializer=kernel_initializer, name=name)

        def split(x: Node) -> Node:
            return ops.Transpose(
                ops.Reshape(x, shape=(0, 0, heads, features // heads)), perm=(0, 2, 1, 3)
            )

        seen = ops.Attention(
            split(projection(query, "query")),
            split(projection(key, "key")),
            split(projection(value, "value")),
            mask,
            causal=causal,
            name="heads",
        )
        joined = ops.Reshape(ops.Transpose(seen, perm=(0, 2, 1, 3)), shape=(0, 0, features))
        return projection(joined, "output")


def transformer_block(
    x: Node,
    *,
    heads: int,
    hidden: int | None = None,
    activation: Activation = "gelu",
    dropout_ratio: float = 0.0,
    mask: Operand | None = None,
    causal: bool = False,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> Node:
    """Attention, then two dense layers, each beside a way around it.

    h = x + attention(norm(x)), y = h + dense(activation(dense(norm(h)))). Normalization comes
    first, so that deep stacks train without a warm-up; put a `layer_norm` behind the last block.

    Args:
        x: Sequences.
        heads: The number of heads of attention.
        hidden: The units between the two dense layers; four times the features by default.
        activation: Between the two dense layers.
        dropout_ratio: The share that dropout drops of both branches while training.
        mask: Where a position may look: see `attention`.
        causal: Whether a position may only look at those no later than itself.
        epsilon: Of the normalizations.
        name: Of the layer; "transformer_block" with a number by default.

    Shapes: x (batch, steps, features), y as x.

    Raises:
        ShapeError: The layout is another, or the number of features is not known.
        ArgumentError: An option has a value it cannot have.

    Source: Xiong et al., "On layer normalization in the transformer architecture" (2020).

    >>> with ms.Graph():
    ...     x = ms.Input((None, 10, 64), name="x")
    ...     ms.layers.transformer_block(x, heads=4, dropout_ratio=0.1, causal=True).shape
    (None, 10, 64)
    """
    with layer("transformer_block", x, name):
        features = known_size("transformer_block", x, -1)
        normal = layer_norm(x, epsilon=epsilon, name="norm1")
        seen = attention(normal, heads=heads, mask=mask, causal=causal, name="attention")
        h = x + (dropout(seen, dropout_ratio, name="dropout1") if dropout_ratio else seen)
        normal = layer_norm(h, epsilon=epsilon, name="norm2")
        wide = dense(normal, hidden or 4 * features, activation=activation, name="fc1")
        narrow = dense(wide, features, name="fc2")
        return h + (dropout(narrow, dropout_ratio, name="dropout2") if dropout_ratio else narrow)
