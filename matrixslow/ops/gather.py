"""Operators that pick entries by the positions that another node holds, and put them back."""

from __future__ import annotations

from math import prod
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.leaf import Input
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, normalize_axis, same_dtype
from matrixslow.errors import DTypeError, ShapeError
from matrixslow.ops.like import ZerosLike
from matrixslow.ops.options import as_choice, as_integers, may_equal


class Gather(Node):
    """The entries of x along an axis at the positions that `indices` holds.

    Args:
        x: Any node.
        indices: Integers; negative ones count from the end.
        axis: Along which to pick.

    Shapes: x (..., n, ...), indices (any), y (..., *indices.shape, ...).

    Raises:
        RunError: An index is out of range.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Gather([[1.0, 2.0], [3.0, 4.0]], [1, 0, -1])
    >>> graph.forward(y)
    array([[3., 4.],
           [1., 2.],
           [3., 4.]], dtype=float32)
    """

    def __init__(
        self, x: Operand, indices: Operand, *, axis: int = 0, name: str | None = None
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, indices, name=name)

    def infer(self, x: Spec, indices: Spec) -> Spec:
        check_integers(indices)
        axis = normalize_axis(self.axis, x.ndim)
        return Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)

    def compute(self, xp: ModuleType, x: Array, indices: Array) -> Array:
        size = x.shape[self.axis]
        check_range(indices, -size, size)
        return xp.take(x, indices, axis=self.axis)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        x, indices = self.inputs
        return GatherGradient(upstream, indices, x, axis=self.axis), None


class GatherGradient(Node):
    """x added to zeros of the shape of `like`, at the positions that Gather picks.

    Shapes: x (..., *indices.shape, ...), indices (any), like (..., n, ...), y as like.
    """

    def __init__(
        self,
        x: Operand,
        indices: Operand,
        like: Operand,
        *,
        axis: int = 0,
        name: str | None = None,
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, indices, like, name=name)

    def infer(self, x: Spec, indices: Spec, like: Spec) -> Spec:
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, indices: Array, like: Array) -> Array:
        return _add_entries(xp, x, indices, like.shape, self.axis % like.ndim)

    def gradient(self, upstream: Node) -> tuple[Node, None, None]:
        _, indices, _ = self.inputs
        return Gather(upstream, indices, axis=self.axis), None, None


class GatherElements(Node):
    """y[i, j] = x[indices[i, j], j]: the elements of x, each at a position of its own on an axis.

    Args:
        x: Any node.
        indices: Integers; negative ones count from the end.
        axis: Along which to pick: 0 in the formula above.

    Shapes: x (n, m), indices (k, up to m), y as indices; so for any number of axes.

    Raises:
        RunError: An index is out of range.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.GatherElements([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], axis=1)
    >>> graph.forward(y)
    array([[2.],
           [3.]], dtype=float32)
    """

    def __init__(
        self, x: Operand, indices: Operand, *, axis: int = 0, name: str | None = None
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, indices, name=name)

    def infer(self, x: Spec, indices: Spec) -> Spec:
        _check_places(x, indices, self.axis)
        return Spec(indices.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, indices: Array) -> Array:
        size = x.shape[self.axis]
        check_range(indices, -size, size)
        return xp.take(x, _places(xp, indices, x.shape, self.axis))

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        x, indices = self.inputs
        zeros = ZerosLike(x)
        return ScatterElements(zeros, indices, upstream, axis=self.axis, reduction="add"), None


class ScatterElements(Node):
    """x with y[indices[i, j], j] = updates[i, j], or the same with += in place of =.

    Args:
        x: Any node.
        indices: Integers; negative ones count from the end.
        updates: What is put there.
        axis: Along which the indices count: 0 in the formula above.
        reduction: "none" puts the updates in place of what was there, "add" adds them. Without
            "add", no position may come twice.

    Shapes: x (n, m), indices (k, up to m), updates as indices, y as x; so for any number of axes.

    Raises:
        RunError: An index is out of range.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.ScatterElements([1.0, 2.0, 3.0], [2, 0], [7.0, 8.0])
    >>> graph.forward(y)
    array([8., 2., 7.], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        indices: Operand,
        updates: Operand,
        *,
        axis: int = 0,
        reduction: str = "none",
        name: str | None = None,
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        self.reduction = as_choice(self, "reduction", reduction, ("none", "add"))
        super().__init__(x, indices, updates, name=name)

    def infer(self, x: Spec, indices: Spec, updates: Spec) -> Spec:
        _check_places(x, indices, self.axis)
        if not may_equal(indices.shape, updates.shape):
            raise ShapeError(
                f"indices {indices.shape} and updates {updates.shape} differ in shape",
                hint="give one index for each update",
            )
        return Spec(x.shape, same_dtype(x, updates))

    def compute(self, xp: ModuleType, x: Array, indices: Array, updates: Array) -> Array:
        size = x.shape[self.axis]
        check_range(indices, -size, size)
        places = _places(xp, indices, x.shape, self.axis).ravel()
        y = x.flatten()
        if self.reduction == "add":
            xp.add.at(y, places, updates.ravel())
        else:
            y[places] = updates.ravel()
        return y.reshape(x.shape)

    def gradient(self, upstream: Node) -> tuple[Node, None, Node]:
        _, indices, updates = self.inputs
        kept = upstream
        if self.reduction == "none":
            kept = ScatterElements(upstream, indices, ZerosLike(updates), axis=self.axis)
        return kept, None, GatherElements(upstream, indices, axis=self.axis)


class Embedding(Node):
    """The rows of a table that the ids name.

    Ids that are fed are checked before anything runs.

    Args:
        table: Any node; a variable, if its gradient is to be sparse.
        ids: Which rows.
        sparse: Whether the gradient stays sparse: `ms.merged_rows` gives its ids and rows, and
            optimizers change those rows alone.

    Shapes: table (n, ...), ids (any) of integers 0 <= id < n, y (*ids.shape, ...).

    Raises:
        RunError: An id is out of range.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Embedding(ms.Variable([[1.0, 2.0], [3.0, 4.0]]), [1, 1])
    >>> graph.forward(y)
    array([[3., 4.],
           [3., 4.]], dtype=float32)
    """

    def __init__(
        self, table: Operand, ids: Operand, *, sparse: bool = False, name: str | None = None
    ) -> None:
        self.sparse = sparse
        super().__init__(table, ids, name=name)
        read, asked = self.inputs
        if read.shape[0] is not None:
            limit_ids(asked, read.shape[0], self)

    def infer(self, table: Spec, ids: Spec) -> Spec:
        check_integers(ids)
        if not table.ndim:
            raise ShapeError("a scalar has no rows", hint="give a table of one row for each id")
        return Spec((*ids.shape, *table.shape[1:]), table.dtype)

    def compute(self, xp: ModuleType, table: Array, ids: Array) -> Array:
        check_range(ids, 0, len(table))
        return xp.take(table, ids, axis=0)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        table, ids = self.inputs
        return EmbeddingGradient(table, ids, upstream, sparse=self.sparse), None


class EmbeddingGradient(Node):
    """The rows added to zeros of the shape of a table, each at its id.

    Args:
        table: Any node, of which only the shape is used.
        ids: Where to add.
        rows: What.
        sparse: Whether optimizers read ids and rows instead of the value: see `ms.merged_rows`.

    Shapes: table (n, ...), ids (any), rows (*ids.shape, ...), y as table.
    """

    def __init__(
        self,
        table: Operand,
        ids: Operand,
        rows: Operand,
        *,
        sparse: bool = False,
        name: str | None = None,
    ) -> None:
        self.sparse = sparse
        super().__init__(table, ids, rows, name=name)
        if self.inputs[0].shape[0] is not None:
            limit_ids(self.inputs[1], self.inputs[0].shape[0], self)

    def infer(self, table: Spec, ids: Spec, rows: Spec) -> Spec:
        return Spec(table.shape, rows.dtype)

    def compute(self, xp: ModuleType, table: Array, ids: Array, rows: Array) -> Array:
        return _add_entries(xp, rows, ids, table.shape, 0)

    def gradient(self, upstream: Node) -> tuple[None, None, Node]:
        _, ids, _ = self.inputs
        return None, None, Embedding(upstream, ids)


def limit_ids(ids: Node, rows: int, reader: Node) -> None:
    """Hold ids to 0 <= id < rows when they are fed, also where they are sliced or joined."""
    for x, path in moved_from(ids):
        if isinstance(x, Input):
            x.limit(0, rows, reader, path=path)


MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")


def moved_from(ids: Node) -> list[tuple[Node, tuple[Node, ...]]]:
    """The nodes whose elements ids consist of, each with the operators that pick some of them."""
    found = []
    pending: list[tuple[Node, tuple[Node, ...]]] = [(ids, ())]
    while pending:
        node, path = pending.pop()
        if type(node).__name__ in (*MOVES, "Slice"):
            picks = path or type(node).__name__ == "Slice"
            pending.append((node.inputs[0], (node, *path) if picks else ()))
        elif type(node).__name__ == "Concat" and not path:
            pending += [(x, ()) for x in node.inputs]
        else:
            found.append((node, path))
    return found


def check_integers(indices: Spec) -> None:
    """Whether the values can be positions.

    Raises:
        DTypeError: They are not integers.
    """
    if indices.dtype.kind not in "iu":
        raise DTypeError(
            f"indices are integers, {indices.dtype} came",
            hint='declare dtype="int64", or convert: ms.ops.Cast(x, dtype="int64")',
        )


def _check_places(x: Spec, indices: Spec, axis: int) -> None:
    """Whether each index can stand for one element of x along the axis."""
    check_integers(indices)
    along = normalize_axis(axis, x.ndim)
    if x.ndim != indices.ndim or any(
        size is not None and count is not None and count > size
        for other, (size, count) in enumerate(zip(x.shape, indices.shape, strict=False))
        if other != along
    ):
        raise ShapeError(
            f"indices {indices.shape} do not fit {x.shape} along axis {along}",
            hint="give as many axes, none of them longer than x's, but for that one",
        )


def check_range(indices: Array, low: int, high: int) -> None:
    """Whether low <= index < high for all of them.

    Raises:
        IndexError: It is not.
    """
    if indices.size and (indices.min() < low or indices.max() >= high):
        wrong = indices.min() if indices.min() < low else indices.max()
        raise IndexError(f"index {wrong} is out of range, {low} <= index < {high}")


def _places(xp: ModuleType, indices: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The positions in the flattened array that indices along an axis mean."""
    places = 0
    for other, size in enumerate(shape):
        if other == axis % len(shape):
            along = indices % max(size, 1)
        else:
            along = xp.arange(indices.shape[other]).reshape(-1, *(1,) * (len(shape) - 1 - other))
        places = places * size + along
    return places


def _add_entries(
    xp: ModuleType, x: Array, indices: Array, shape: tuple[int, ...], axis: int
) -> Array:
    """Zeros of a shape with x added at the indices along an axis.

    One flat index for each element is several times faster than rows: add.at has a fast path
    for one axis only.
    """
    outer, size, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    rows = xp.arange(outer)[:, None] * size + indices.ravel() % max(size, 1)
    places = rows[:, :, None] * inner + xp.arange(inner)
    total = xp.zeros(outer * size * inner, x.dtype)
    xp.add.at(total, places.ravel(), x.ravel())
    return total.reshape(shape)
