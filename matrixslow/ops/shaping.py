"""Operators that arrange the elements they are given in another shape, and change none of them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from types import ModuleType
from typing import Any

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import (
    Shape,
    Spec,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
)
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.like import ReshapeLike
from matrixslow.ops.options import as_integers, shape_of


class Reshape(Node):
    """The elements of x, in the same order, in another shape.

    Args:
        x: Any node.
        shape: The sizes; 0 copies the size of the same axis of x, one -1 takes what is left.

    Raises:
        ShapeError: The number of elements would change.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 4, 5))
    ...     ms.ops.Reshape(x, shape=(0, -1)).shape
    (None, 20)
    """

    def __init__(self, x: Operand, *, shape: Iterable[int], name: str | None = None) -> None:
        self.target = as_integers(self, "shape", shape)
        if self.target.count(-1) > 1 or any(size < -1 for size in self.target):
            raise ArgumentError(
                f"Reshape: shape={self.target} is not a shape",
                hint="give sizes, 0 to copy an axis of x, and at most one -1 for what is left",
            )
        super().__init__(x, name=name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The shape as it was asked for, which may hold 0 and -1."""
        return {"shape": self.target}

    def infer(self, x: Spec) -> Spec:
        return Spec(self._resolve(x.shape), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x.reshape(self._resolve(x.shape))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (ReshapeLike(upstream, x),)

    def _resolve(self, shape: Shape) -> Shape:
        copied = [axis for axis, size in enumerate(self.target) if size == 0]
        if any(axis >= len(shape) for axis in copied):
            raise ShapeError(
                f"{self.target} copies axis {copied[-1]}, which {shape} does not have",
                hint="0 copies the size of the same axis of x",
            )
        # Axes that are copied cancel out, so that a batch of unknown size, or none, leaves the rest
        # known.
        rest = [size for axis, size in enumerate(shape) if axis not in copied]
        known = prod(size for size in rest if size is not None)
        fixed = prod(size for size in self.target if size > 0)
        wild = -1 in self.target
        if None in rest:
            fits = wild or (known > 0 and fixed % known == 0)
        elif wild:
            fits = known % fixed == 0
        else:
            fits = known == fixed
        if not fits:
            raise ShapeError(
                f"the elements of {shape} do not fit the shape {self.target}",
                hint="reshape keeps the number of elements: give -1 for the size that follows",
            )
        left = None if None in rest else known // fixed
        return tuple(
            shape[axis] if size == 0 else left if size == -1 else size
            for axis, size in enumerate(self.target)
        )


class Transpose(Node):
    """x with its axes in another order: axis i of the result is axis perm[i] of x.

    Args:
        x: Any node.
        perm: The axes of x in their new order; without it, they are reversed.

    Raises:
        ShapeError: `perm` does not name every axis once.

    >>> with ms.Graph():
    ...     ms.ops.Transpose(ms.Input((None, 3, 8)), perm=(0, 2, 1)).shape
    (None, 8, 3)
    """

    def __init__(
        self, x: Operand, *, perm: Iterable[int] | None = None, name: str | None = None
    ) -> None:
        self.perm = None if perm is None else as_integers(self, "perm", perm)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        return Spec((x.shape[axis] for axis in self._order(x.ndim)), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x.transpose(self._order(x.ndim))

    def gradient(self, upstream: Node) -> tuple[Node]:
        order = self._order(self.ndim)
        return (Transpose(upstream, perm=sorted(range(self.ndim), key=order.__getitem__)),)

    def _order(self, ndim: int) -> tuple[int, ...]:
        if self.perm is None:
            return tuple(reversed(range(ndim)))
        if len(self.perm) != ndim:
            raise ShapeError(
                f"perm={self.perm} orders {len(self.perm)} axes, there are {ndim}",
                hint="name every axis once",
            )
        normalize_axes(self.perm, ndim)
        return tuple(axis % ndim for axis in self.perm)


class Flatten(Node):
    """x as a matrix: the axes before `axis` become its rows, the others its columns.

    Args:
        x: Any node.
        axis: The first axis of the columns.

    Shapes: x (d0, ..., dn), y (d0 * ... * d[axis-1], d[axis] * ... * dn).

    >>> with ms.Graph():
    ...     ms.ops.Flatten(ms.Input((None, 8, 3, 3))).shape
    (None, 72)
    """

    def __init__(self, x: Operand, *, axis: int = 1, name: str | None = None) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        # One more than usual: the end is a place to split at, too.
        axis = self.axis if self.axis == x.ndim else normalize_axis(self.axis, x.ndim)
        return Spec(
            [Spec(part, x.dtype).size for part in (x.shape[:axis], x.shape[axis:])], x.dtype
        )

    def compute(self, xp: ModuleType, x: Array) -> Array:
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (ReshapeLike(upstream, x),)


class Squeeze(Node):
    """x without some of its axes of size 1.

    Args:
        x: Any node.
        axes: Which to drop; without it, all whose size is known to be 1.

    Raises:
        ShapeError: An axis has another size.

    >>> with ms.Graph():
    ...     ms.ops.Squeeze(ms.Input((None, 1, 28)), axes=1).shape
    (None, 28)
    """

    def __init__(
        self, x: Operand, *, axes: int | Iterable[int] | None = None, name: str | None = None
    ) -> None:
        if axes is None:
            axes = (axis for axis, size in enumerate(shape_of(x)) if size == 1)
        self.axes = as_integers(self, "axes", axes)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        dropped = normalize_axes(self.axes, x.ndim)
        for axis in dropped:
            if x.shape[axis] not in (1, None):
                raise ShapeError(
                    f"axis {axis} of {x.shape} has size {x.shape[axis]} and cannot be dropped",
                    hint="only axes of size 1 can; to pick one entry, index: x[:, 0]",
                )
        return Spec((size for axis, size in enumerate(x.shape) if axis not in dropped), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.squeeze(x, axis=self.axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (Unsqueeze(upstream, axes=normalize_axes(self.axes, x.ndim)),)


class Unsqueeze(Node):
    """x with new axes of size 1.

    Args:
        x: Any node.
        axes: Where the new axes stand in the result.

    >>> with ms.Graph():
    ...     ms.ops.Unsqueeze(ms.Input((None, 28)), axes=(1, -1)).shape
    (None, 1, 28, 1)
    """

    def __init__(self, x: Operand, *, axes: int | Iterable[int], name: str | None = None) -> None:
        self.axes = as_integers(self, "axes", axes)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        ndim = x.ndim + len(self.axes)
        added = normalize_axes(self.axes, ndim)
        sizes = iter(x.shape)
        return Spec((1 if axis in added else next(sizes) for axis in range(ndim)), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.expand_dims(x, self.axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Squeeze(upstream, axes=normalize_axes(self.axes, self.ndim)),)


class Expand(Node):
    """x stretched by broadcasting it with a shape.

    Args:
        x: Any node.
        shape: The sizes; where x is larger than 1, the size there may be 1.

    Raises:
        ShapeError: The two shapes do not broadcast.

    >>> with ms.Graph():
    ...     ms.ops.Expand(ms.Input((3, 1)), shape=(2, 1, 4)).shape
    (2, 3, 4)
    """

    def __init__(self, x: Operand, *, shape: Iterable[int], name: str | None = None) -> None:
        self.target = as_integers(self, "shape", shape)
        super().__init__(x, name=name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The shape as it was asked for."""
        return {"shape": self.target}

    def infer(self, x: Spec) -> Spec:
        return Spec(broadcast_shapes(x.shape, self.target), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.broadcast_to(x, broadcast_shapes(x.shape, self.target))

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream,)


class Tile(Node):
    """x repeated along each axis: a row of copies side by side.

    Args:
        x: Any node.
        repeats: How often, for each axis.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Tile([1.0, 2.0], repeats=(2,))
    >>> graph.forward(y)
    array([1., 2., 1., 2.], dtype=float32)
    """

    def __init__(
        self, x: Operand, *, repeats: int | Iterable[int], name: str | None = None
    ) -> None:
        self.repeats = as_integers(self, "repeats", repeats)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        _check_repeats(self.repeats, x)
        sizes = zip(x.shape, self.repeats, strict=True)
        return Spec((size and size * times for size, times in sizes), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.tile(x, self.repeats)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (TileGradient(upstream, repeats=self.repeats),)


class TileGradient(Node):
    """The sum of the copies that Tile lays side by side.

    Shapes: x (repeats[i] * d[i], ...), y (d[i], ...).
    """

    def __init__(
        self, x: Operand, *, repeats: int | Iterable[int], name: str | None = None
    ) -> None:
        self.repeats = as_integers(self, "repeats", repeats)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        _check_repeats(self.repeats, x)
        sizes = list(zip(x.shape, self.repeats, strict=True))
        if any(size and size % times for size, times in sizes):
            raise ShapeError(
                f"shape {x.shape} is not made of {self.repeats} copies",
                hint="give the shape that Tile gives with the same repeats",
            )
        return Spec((size and size // times for size, times in sizes), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        split = [
            part
            for size, times in zip(x.shape, self.repeats, strict=True)
            for part in (times, size // times)
        ]
        return x.reshape(split).sum(axis=tuple(range(0, 2 * x.ndim, 2)), dtype=x.dtype)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Tile(upstream, repeats=self.repeats),)


class Flip(Node):
    """x in reverse order along some axes.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Flip([1.0, 2.0, 3.0], axes=0)
    >>> graph.forward(y)
    array([3., 2., 1.], dtype=float32)
    """

    def __init__(self, x: Operand, *, axes: int | Iterable[int], name: str | None = None) -> None:
        self.axes = as_integers(self, "axes", axes)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        normalize_axes(self.axes, x.ndim)
        return x

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.flip(x, self.axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Flip(upstream, axes=self.axes),)


def _check_repeats(repeats: tuple[int, ...], x: Spec) -> None:
    if len(repeats) != x.ndim or any(times < 1 for times in repeats):
        raise ShapeError(
            f"repeats={repeats} does not fit the {x.ndim} axes of {x.shape}",
            hint="give how often x is repeated, 1 or more, for each axis",
        )
