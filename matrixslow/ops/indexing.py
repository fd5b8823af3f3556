"""Operators on positions, and what node[...] means."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import (
    FLOAT,
    DTypeLike,
    Spec,
    check_dtype,
    normalize_axis,
)
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.gather import Gather, GatherElements, check_integers
from matrixslow.ops.options import END, as_integers
from matrixslow.ops.shaping import Squeeze, Unsqueeze
from matrixslow.ops.slicing import Slice


class OneHot(Node):
    """Rows of zeros with a one at the position that each index names.

    Args:
        indices: Integers; negative ones count from the end, others out of range give all zeros.
        depth: The length of a row.
        dtype: Of the result.
        axis: Where the new axis stands in the result.

    Shapes: indices (any), y (..., depth).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.OneHot([2, 0], depth=3)
    >>> graph.forward(y)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    gradient = None

    def __init__(
        self,
        indices: Operand,
        *,
        depth: int,
        dtype: DTypeLike = FLOAT,
        axis: int = -1,
        name: str | None = None,
    ) -> None:
        (self.depth,) = as_integers(self, "depth", depth)
        (self.axis,) = as_integers(self, "axis", axis)
        self._dtype = check_dtype(dtype)
        super().__init__(indices, name=name)

    def infer(self, indices: Spec) -> Spec:
        check_integers(indices)
        axis = normalize_axis(self.axis, indices.ndim + 1)
        return Spec((*indices.shape[:axis], self.depth, *indices.shape[axis:]), self._dtype)

    def compute(self, xp: ModuleType, indices: Array) -> Array:
        axis = normalize_axis(self.axis, indices.ndim + 1)
        wanted = xp.expand_dims(indices, axis)
        place = xp.arange(self.depth).reshape(-1, *(1,) * (indices.ndim - axis))
        return ((wanted == place) | (wanted == place - self.depth)).astype(self._dtype)


class TopKIndices(Node):
    """The positions of the k largest or smallest elements along an axis, the foremost first.

    Of equal elements, the one with the lower index comes first.

    Args:
        x: Any node.
        k: How many.
        axis: Along which to look.
        largest: Whether the largest or the smallest ones are meant.

    Shapes: x (..., n, ...), y (..., k, ...) of int64.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.TopKIndices([3.0, 9.0, 5.0], k=2)
    >>> graph.forward(y)
    array([1, 2])
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        *,
        k: int,
        axis: int = -1,
        largest: bool = True,
        name: str | None = None,
    ) -> None:
        (self.k,) = as_integers(self, "k", k)
        (self.axis,) = as_integers(self, "axis", axis)
        self.largest = bool(largest)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        axis = normalize_axis(self.axis, x.ndim)
        size = x.shape[axis]
        if self.k < 1 or (size is not None and self.k > size):
            raise ShapeError(
                f"the foremost k={self.k} of {size} elements on axis {axis} were asked for",
                hint="give 1 <= k <= the size of the axis",
            )
        return Spec((*x.shape[:axis], self.k, *x.shape[axis + 1 :]), "int64")

    def compute(self, xp: ModuleType, x: Array) -> Array:
        rows = xp.moveaxis(x, self.axis, -1)
        if self.largest:
            # A stable sort of the mirror image, read backwards, keeps equal elements in order.
            order = x.shape[self.axis] - 1 - xp.argsort(rows[..., ::-1], axis=-1, kind="stable")
            order = order[..., ::-1]
        else:
            order = xp.argsort(rows, axis=-1, kind="stable")
        return xp.moveaxis(order[..., : self.k], -1, self.axis).astype("int64")


def TopK(  # noqa: N802 - it stands beside the operators, under ONNX's name
    x: Operand, *, k: int, axis: int = -1, largest: bool = True, name: str | None = None
) -> tuple[Node, Node]:
    """The k largest or smallest elements along an axis, the foremost first, and their positions.

    Args:
        x: Any node.
        k: How many.
        axis: Along which to look.
        largest: Whether the largest or the smallest ones are meant.
        name: Of the values.

    Returns:
        The values, which have a gradient, and their indices: both (..., k, ...).

    >>> with ms.Graph() as graph:
    ...     values, indices = ms.ops.TopK([3.0, 9.0, 5.0], k=2)
    >>> graph.forward([values, indices])
    [array([9., 5.], dtype=float32), array([1, 2])]
    """
    indices = TopKIndices(x, k=k, axis=axis, largest=largest)
    with indices.graph:
        return GatherElements(indices.inputs[0], indices, axis=axis, name=name), indices


def subscript(x: Node, key: Any) -> Node:
    """What x[key] means, as for arrays.

    Args:
        x: Any node.
        key: Integers, slices, None for a new axis, `...`; and at most one array, list or node of
            integers, which must not stand beside single integers.

    Raises:
        ArgumentError: Something else came.
        ShapeError: An integer is out of range, or there are more of them than axes.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 4, 5))
    ...     x[:, -1].shape, x[..., None, ::2].shape, x[:, [0, 2, 2]].shape
    ((None, 5), (None, 4, 1, 3), (None, 3, 5))
    """
    slices: list[tuple[int, int, int, int]] = []
    dropped: list[int] = []
    added: list[int] = []
    picked: list[tuple[int, Any]] = []
    axis = place = 0
    for entry in _spelled_out(x, key):
        if entry is None:
            added.append(place)
            place += 1
            continue
        if isinstance(entry, slice):
            if entry != slice(None):
                slices.append((axis, *_bounds(entry)))
            place += 1
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool):
            start = _in_range(x, axis, int(entry))
            slices.append((axis, start, start + 1 if start != -1 else END, 1))
            dropped.append(axis)
        else:
            picked.append((place, _positions(entry)))
            place += 1
        axis += 1
    if len(picked) > 1 or (picked and dropped):
        raise ArgumentError(
            f"{x!r}: several axes are indexed at once, not all by slices",
            hint="index by one array or node of integers at a time: x[0][:, positions]",
        )
    with x.graph:
        if slices:
            axes, starts, ends, steps = zip(*slices, strict=True)
            x = Slice(x, starts=starts, ends=ends, axes=axes, steps=steps)
        if dropped:
            x = Squeeze(x, axes=dropped)
        if added:
            x = Unsqueeze(x, axes=added)
        for place, positions in picked:
            x = Gather(x, positions, axis=place)
    return x


def _spelled_out(x: Node, key: Any) -> list[Any]:
    """The entries of a key, with a slice for each axis that `...` stands for."""
    entries = list(key) if isinstance(key, tuple) else [key]
    named = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if named > x.ndim:
        raise ShapeError(
            f"{x!r}: {named} axes are indexed, there are {x.ndim}",
            hint="give at most one index for each axis",
        )
    holes = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(holes) > 1:
        raise ArgumentError(f"{x!r}: ... comes twice in the index", hint="give it once")
    for i in holes:
        entries[i : i + 1] = [slice(None)] * (x.ndim - named)
    return entries


def _bounds(entry: slice) -> tuple[int, int, int]:
    """Start, end and step of a slice, each a number."""
    step = 1 if entry.step is None else entry.step
    first, last = (0, END) if not isinstance(step, int) or step > 0 else (END, -END - 1)
    start = first if entry.start is None else entry.start
    return start, last if entry.stop is None else entry.stop, step


def _in_range(x: Node, axis: int, index: int) -> int:
    size = x.shape[axis]
    if size is not None and not -size <= index < size:
        raise ShapeError(
            f"{x!r}: index {index} is out of range on axis {axis}",
            hint=f"give {-size} <= index < {size}",
        )
    return index


def _positions(entry: Any) -> Any:
    """An entry that is a node, array or list of integers."""
    found = entry if isinstance(entry, Node) else np.asarray(entry)
    if found.dtype.kind == "b":
        raise ArgumentError(
            "a mask picks as many elements as it has true entries, which only a run would tell",
            hint="choose inside the graph with ms.ops.Where(mask, x, y)",
        )
    if found.dtype.kind not in "iu":
        raise ArgumentError(
            f"{entry!r} is no index",
            hint="index by integers, slices, None, ..., or an array or node of integers",
        )
    return found
