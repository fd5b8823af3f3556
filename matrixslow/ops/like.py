"""Operators that take the shape of another node, which may be known only when it is fed.

Rules of differentiation are made of these. The second operand lends its shape, never its values.
"""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node
from matrixslow.core.spec import Spec, broadcast_shapes
from matrixslow.errors import ShapeError


class OnesLike(Node):
    """Ones of the shape and dtype of x."""

    gradient = None

    def infer(self, x: Spec) -> Spec:
        """As x."""
        return x

    def compute(self, xp: ModuleType, x: Array) -> Array:
        """Ones."""
        return xp.ones(x.shape, x.dtype)


class ZerosLike(Node):
    """Zeros of the shape and dtype of x."""

    gradient = None

    def infer(self, x: Spec) -> Spec:
        """As x."""
        return x

    def compute(self, xp: ModuleType, x: Array) -> Array:
        """Zeros."""
        return xp.zeros(x.shape, x.dtype)


class SumLike(Node):
    """x summed over the axes along which a node of the shape of `like` was stretched to x's.

    It undoes broadcasting: `<BroadcastLike(v, x), x> = <v, SumLike(x, v)>`.

    Shapes: x (any that `like` broadcasts to), y as like.
    """

    def infer(self, x: Spec, like: Spec) -> Spec:
        """The shape of `like`, the dtype of x."""
        _check_stretch(like, x)
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, like: Array) -> Array:
        """The sum."""
        if x.shape == like.shape:
            return x
        added = x.ndim - like.ndim
        stretched = tuple(
            axis
            for axis in range(x.ndim)
            if axis < added or (like.shape[axis - added] == 1 and x.shape[axis] != 1)
        )
        return xp.sum(x, axis=stretched, dtype=x.dtype).reshape(like.shape)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        x, _ = self.inputs
        return BroadcastLike(upstream, x), None


class BroadcastLike(Node):
    """x stretched to the shape of `like`.

    Shapes: x (any that broadcasts to like's), y as like.
    """

    def infer(self, x: Spec, like: Spec) -> Spec:
        """The shape of `like`, the dtype of x."""
        _check_stretch(x, like)
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, like: Array) -> Array:
        """The stretched view."""
        return xp.broadcast_to(x, like.shape)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        x, _ = self.inputs
        return SumLike(upstream, x), None


class ReshapeLike(Node):
    """x in the shape of `like`, elements in the same order.

    Shapes: x (as many elements as like), y as like.
    """

    def infer(self, x: Spec, like: Spec) -> Spec:
        """The shape of `like`, the dtype of x."""
        if x.size != like.size and None not in (x.size, like.size):
            raise ShapeError(
                f"{x.size} elements do not fit the shape {like.shape}",
                hint="reshape keeps the number of elements",
            )
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, like: Array) -> Array:
        """The reshaped view."""
        return x.reshape(like.shape)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        x, _ = self.inputs
        return ReshapeLike(upstream, x), None


def _check_stretch(small: Spec, large: Spec) -> None:
    stretched = broadcast_shapes(small.shape, large.shape)
    if len(stretched) != large.ndim or any(
        size not in (wide, None) and wide is not None
        for size, wide in zip(stretched, large.shape, strict=True)
    ):
        raise ShapeError(
            f"shape {small.shape} does not broadcast to {large.shape}",
            hint="every axis of the first must be 1 or equal to the second's, from the right",
        )
