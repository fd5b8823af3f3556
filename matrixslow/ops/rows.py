"""Rows of large tables: the slope of an embedding as ids and rows, and tables changed in rows."""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, same_dtype
from matrixslow.errors import GradientError, ShapeError
from matrixslow.ops.comparison import Less, Where
from matrixslow.ops.gather import (
    Embedding,
    EmbeddingGradient,
    check_integers,
    check_range,
    limit_ids,
)
from matrixslow.ops.joining import Concat
from matrixslow.ops.like import ZerosLike
from matrixslow.ops.options import as_integers, may_equal
from matrixslow.ops.piecewise import Max
from matrixslow.ops.shaping import Reshape


class DistinctIds(Node):
    """Each id once, in ascending order; -1 fills the rest.

    Args:
        ids: Integers, 0 <= id < rows.
        rows: How many different ids there are.

    Shapes: ids (any) of n elements, y (n,) int64.

    Raises:
        RunError: An id is out of range.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.DistinctIds([[7, 2], [7, 7]], rows=9)
    >>> graph.forward(y)
    array([ 2,  7, -1, -1])
    """

    gradient = None

    def __init__(self, ids: Operand, *, rows: int, name: str | None = None) -> None:
        (self.rows,) = as_integers(self, "rows", rows)
        super().__init__(ids, name=name)
        limit_ids(self.inputs[0], self.rows, self)

    def infer(self, ids: Spec) -> Spec:
        check_integers(ids)
        return Spec((ids.size,), "int64")

    def compute(self, xp: ModuleType, ids: Array) -> Array:
        check_range(ids, 0, self.rows)
        found = xp.unique(ids)
        y = xp.full(ids.size, -1, "int64")
        y[: len(found)] = found
        return y


class IdRanks(Node):
    """Where each id stands among the distinct ones.

    Args:
        distinct: What DistinctIds made of these ids.
        ids: The ids.

    Shapes: distinct (n,), ids (any) of n elements, y as ids, int64.

    Raises:
        RunError: An id is not among them.

    >>> with ms.Graph() as graph:
    ...     ids = ms.Constant([[7, 2], [7, 7]])
    ...     y = ms.ops.IdRanks(ms.ops.DistinctIds(ids, rows=9), ids)
    >>> graph.forward(y)
    array([[1, 0],
           [1, 1]])
    """

    gradient = None

    def infer(self, distinct: Spec, ids: Spec) -> Spec:
        check_integers(distinct)
        check_integers(ids)
        return Spec(ids.shape, "int64")

    def compute(self, xp: ModuleType, distinct: Array, ids: Array) -> Array:
        known = distinct[distinct >= 0]
        y = xp.searchsorted(known, ids)
        if ids.size and (y.max() >= len(known) or (known[y] != ids).any()):
            raise IndexError("an id is not among the distinct ones")
        return y.astype("int64")


class ReplacedRows(Node):
    """The table with other rows at the ids; rows whose id is -1 are left out.

    As the new value of the table itself it is written in place by compiled programs: the other
    rows are not touched.

    Shapes: table (n, ...), ids (k,) of integers, each at most once but for -1, rows (k, ...),
        y as table.

    Raises:
        RunError: An id is out of range.

    >>> with ms.Graph() as graph:
    ...     table = ms.Variable([[1.0], [2.0], [3.0]])
    ...     y = ms.ops.ReplacedRows(table, [2, -1], [[7.0], [8.0]])
    >>> graph.forward(y)
    array([[1.],
           [2.],
           [7.]], dtype=float32)
    """

    def infer(self, table: Spec, ids: Spec, rows: Spec) -> Spec:
        check_integers(ids)
        if ids.ndim != 1 or not may_equal((*ids.shape, *table.shape[1:]), rows.shape):
            raise ShapeError(
                f"table {table.shape}, ids {ids.shape} and rows {rows.shape} do not fit",
                hint="give a list of ids, and a row of the table's width for each",
            )
        return Spec(table.shape, same_dtype(table, rows))

    def compute(self, xp: ModuleType, table: Array, ids: Array, rows: Array) -> Array:
        check_range(ids, -1, len(table))
        y = table.copy()
        y[ids[ids >= 0]] = rows[ids >= 0]
        return y

    def gradient(self, upstream: Node) -> tuple[Node, None, Node]:
        _, ids, rows = self.inputs
        absent = Reshape(Less(ids, 0), shape=(-1, *(1,) * (rows.ndim - 1)))
        kept = ReplacedRows(upstream, ids, ZerosLike(rows))
        return kept, None, Where(absent, 0.0, Embedding(upstream, Max(ids, 0)))


def merged_rows(slope: Node) -> tuple[Node, Node]:
    """The ids and rows that the sparse gradient of a table consists of, as nodes.

    What an optimizer reads of a table that is embedded with `sparse=True`, and what a distributed
    trainer sends. Rows of equal ids are summed.

    Args:
        slope: The gradient with respect to a table, from `ms.gradients`.

    Returns:
        The ids (n,) int64, each once, ascending, then -1; and the rows (n, ...), then zeros. n is
        the number of ids that were looked up, equal ones counted.

    Raises:
        GradientError: The gradient is not sparse.

    >>> with ms.Graph() as graph:
    ...     table = ms.Variable(np.ones((1000, 2)), name="table")
    ...     loss = ms.ops.ReduceSum(ms.ops.Embedding(table, [7, 2, 7], sparse=True))
    ...     (slope,) = ms.gradients(loss, [table])
    ...     ids, rows = ms.merged_rows(slope)
    >>> graph.forward([ids, rows])
    [array([ 2,  7, -1]), array([[1., 1.],
           [2., 2.],
           [0., 0.]], dtype=float32)]
    """
    parts = _sparse_parts(slope)
    if not parts:
        raise GradientError(
            f"merged_rows: the gradient {slope!r} is not sparse",
            hint="embed with sparse=True, and use the table for nothing else",
        )
    table, ids, rows = parts[0]
    count, *width = [size for size in table.shape if size is not None]
    with slope.graph, slope.graph.scope(f"{slope.scope}/merged", absolute=True, unique=True):
        if len(parts) > 1:
            ids = Concat(*(Reshape(ids, shape=(-1,)) for _, ids, _ in parts), axis=0)
            rows = Concat(*(Reshape(x, shape=(-1, *width)) for _, _, x in parts), axis=0)
        distinct = DistinctIds(ids, rows=count, name="ids")
        ranks = IdRanks(distinct, ids, name="ranks")
        places = Reshape(rows, shape=(-1, *width), name="places")
        return distinct, EmbeddingGradient(places, ranks, rows, name="rows")


def is_sparse(slope: Node) -> bool:
    """Whether a gradient consists of ids and rows alone."""
    return bool(_sparse_parts(slope))


def _sparse_parts(slope: Node) -> list[tuple[Node, ...]]:
    """The inputs of all sparse gradients that a slope is the sum of; none where it is not."""
    found: list[tuple[Node, ...]] = []
    pending = [slope]
    while pending:
        node = pending.pop()
        if isinstance(node, EmbeddingGradient) and node.sparse and node.size is not None:
            found.append(node.inputs)
        elif type(node).__name__ == "Add" and all(x.spec == slope.spec for x in node.inputs):
            pending += reversed(node.inputs)
        else:
            return []
    return found
