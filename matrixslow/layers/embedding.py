"""Layers over ids: embeddings, and the factorization machine that is made of them."""

from __future__ import annotations

from matrixslow import ops
from matrixslow.core import Initializer, Node, Variable
from matrixslow.core.spec import FLOAT, DTypeLike
from matrixslow.errors import ShapeError
from matrixslow.initializers import Normal, Uniform
from matrixslow.layers.layer import ZEROS, check_count, layer

SMALL_UNIFORM = Uniform(low=-0.05, high=0.05)

SMALL_NORMAL = Normal(scale=0.01)


def embedding(
    ids: Node,
    rows: int,
    features: int,
    *,
    sparse: bool = False,
    dtype: DTypeLike = FLOAT,
    initializer: Initializer = SMALL_UNIFORM,
    name: str | None = None,
) -> Node:
    """The rows of a table that the ids name.

    With `sparse=True` a training step changes only the rows that it reads, so that its time
    depends on the batch and not on the table: see `ms.optimizers.Optimizer`.

    Args:
        ids: Integers, 0 <= id < rows.
        rows: How many different ids there are.
        features: The size of a row.
        sparse: Whether the gradient stays sparse.
        dtype: The type of the table.
        initializer: Makes the table (rows, features).
        name: Of the layer; "embedding" with a number by default.

    Shapes: ids (...), y (..., features).

    Raises:
        DTypeError: The ids are not integers.

    >>> with ms.Graph() as graph:
    ...     words = ms.Input((None, 20), dtype="int64", name="words")
    ...     ms.layers.embedding(words, 1000, 16).shape
    ...     graph.variables
    (None, 20, 16)
    [Variable 'embedding/table' (1000, 16) float32]
    """
    rows = check_count("embedding", "rows", rows)
    features = check_count("embedding", "features", features)
    with layer("embedding", ids, name, floating=False):
        table = Variable(initializer, shape=(rows, features), dtype=dtype, name="table")
        return ops.Embedding(table, ids, sparse=sparse)


def pairwise_interactions(embeddings: Node, *, name: str | None = None) -> Node:
    """The sum of the inner products of all pairs of fields.

    Written as half of (the square of the sum - the sum of the squares), summed over features: a
    time linear in the number of fields.

    Args:
        embeddings: A vector for each field.
        name: Of the layer; "pairwise_interactions" with a number by default.

    Shapes: embeddings (batch, fields, features), y (batch, 1).

    Raises:
        ShapeError: The embeddings have another layout.

    Source: Rendle, "Factorization machines" (2010), lemma 3.1.

    >>> with ms.Graph() as graph:
    ...     y = ms.layers.pairwise_interactions(ms.Constant([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> graph.forward(y)
    array([[11.]], dtype=float32)
    """
    with layer("pairwise_interactions", embeddings, name):
        if embeddings.ndim != 3:
            raise ShapeError(
                f"pairwise_interactions: embeddings (batch, fields, features) are needed, "
                f"{embeddings!r} came",
                hint="embed ids of shape (batch, fields): ms.layers.embedding(ids, rows, features)",
            )
        total = ops.ReduceSum(embeddings, axes=1, keepdims=False)
        squares = ops.ReduceSum(embeddings * embeddings, axes=1, keepdims=False)
        return ops.ReduceSum(total * total - squares, axes=1) * 0.5


def factorization_machine(
    ids: Node,
    rows: int,
    features: int,
    *,
    values: Node | None = None,
    sparse: bool = False,
    dtype: DTypeLike = FLOAT,
    initializer: Initializer = SMALL_NORMAL,
    name: str | None = None,
) -> Node:
    """Weights for ids and for all pairs of ids.

    y = b + sum over i of w[i] v[i] + sum over i < j of <e[i], e[j]> v[i] v[j], where i and j go
    over the ids of a sample, and w holds a number and e a vector for each id.

    Args:
        ids: The ids that a sample has, one for each field: 0 <= id < rows.
        rows: How many different ids there are, those of all fields together.
        features: The size of the vectors e.
        values: What each id counts; 1 by default.
        sparse: Whether the gradients of e and w stay sparse: see `embedding`.
        dtype: The type of the weights.
        initializer: Makes the table of the vectors e (rows, features); w and b start at 0.
        name: Of the layer; "factorization_machine" with a number by default.

    Shapes: ids (batch, fields), values (batch, fields), y (batch, 1).

    Raises:
        ShapeError: The ids have another layout.
        DTypeError: The ids are not integers.

    Source: Rendle, "Factorization machines" (2010), equation 1.

    >>> with ms.Graph() as graph:
    ...     ids = ms.Input((None, 3), dtype="int64", name="ids")
    ...     ms.layers.factorization_machine(ids, 100, 8, name="fm").shape
    ...     [variable.name for variable in graph.variables]
    (None, 1)
    ['fm/e/table', 'fm/w/table', 'fm/b']
    """
    with layer("factorization_machine", ids, name, floating=False):
        if ids.ndim != 2:
            raise ShapeError(
                f"factorization_machine: ids (batch, fields) are needed, {ids!r} came",
                hint="give the ids of all fields side by side, each with rows of its own",
            )
        e = embedding(
            ids, rows, features, sparse=sparse, dtype=dtype, initializer=initializer, name="e"
        )
        w = embedding(ids, rows, 1, sparse=sparse, dtype=dtype, initializer=ZEROS, name="w")
        b = Variable(ZEROS, shape=(1,), dtype=dtype, name="b")
        if values is not None:
            weight = ops.Unsqueeze(values, axes=2)
            e, w = e * weight, w * weight
        second = pairwise_interactions(e, name="pairs")
        return second + ops.ReduceSum(w, axes=1, keepdims=False) + b
