"""The largest and the smallest along axes, and where they stand."""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec, normalize_axis
from matrixslow.errors import ShapeError
from matrixslow.ops.comparison import Equal
from matrixslow.ops.elementwise import Cast, numeric_dtype
from matrixslow.ops.options import as_integers
from matrixslow.ops.reduction import ReduceSum, Reduction


class Peak(Reduction):
    """Base of the largest and the smallest over axes; equal ones share the gradient.

    Raises:
        ShapeError: There is nothing to choose from.
    """

    def infer(self, x: Spec) -> Spec:
        _check_choice(x, self.reduced(x.ndim))
        return super().infer(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        share = Cast(Equal(x, self.kept(self)), dtype=self.dtype)
        sharing = ReduceSum(share, axes=self.reduced(x.ndim))
        return (share * (self.kept(upstream) / sharing),)


class ReduceMax(Peak):
    """y = the largest over axes; equal ones share the gradient.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    Raises:
        ShapeError: There is nothing to choose from: an axis to reduce has size 0.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceMax([[1.0, 2.0], [3.0, 4.0]], axes=1, keepdims=False))
    array([2., 4.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.max(x, axis=self.reduced(x.ndim), keepdims=self.keepdims)


class ReduceMin(Peak):
    """y = the smallest over axes; equal ones share the gradient.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    Raises:
        ShapeError: There is nothing to choose from: an axis to reduce has size 0.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceMin([[1.0, 2.0], [3.0, 4.0]], axes=1, keepdims=False))
    array([1., 3.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.min(x, axis=self.reduced(x.ndim), keepdims=self.keepdims)


class ArgPeak(Node):
    """Base of the positions of the largest and the smallest along an axis.

    Raises:
        ShapeError: There is nothing to choose from.
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        *,
        axis: int = 0,
        keepdims: bool = True,
        select_last_index: bool = False,
        name: str | None = None,
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        self.keepdims = bool(keepdims)
        self.select_last_index = bool(select_last_index)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        numeric_dtype(x)
        axis = normalize_axis(self.axis, x.ndim)
        _check_choice(x, (axis,))
        between: Shape = (1,) if self.keepdims else ()
        return Spec((*x.shape[:axis], *between, *x.shape[axis + 1 :]), "int64")

    def compute(self, xp: ModuleType, x: Array) -> Array:
        if self.select_last_index:
            place = x.shape[self.axis] - 1 - self.first(xp, xp.flip(x, self.axis))
        else:
            place = self.first(xp, x)
        place = place.astype("int64", copy=False)
        return xp.expand_dims(place, self.axis) if self.keepdims else place

    def first(self, xp: ModuleType, x: Array) -> Array:
        """The position of the first of the equal ones."""
        raise NotImplementedError


class ArgMax(ArgPeak):
    """y = the position of the largest along an axis.

    Args:
        x: Numbers.
        axis: Along which to look.
        keepdims: Whether the axis stays, with size 1.
        select_last_index: Whether the last of equal ones is meant, or the first.

    Shapes: x (..., n, ...), y (..., 1, ...) of int64.

    Raises:
        ShapeError: There is nothing to choose from: the axis has size 0.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ArgMax([[1.0, 2.0], [4.0, 3.0]], axis=1, keepdims=False))
    array([1, 0])
    """

    def first(self, xp: ModuleType, x: Array) -> Array:
        """The position of the first of the equal ones."""
        return xp.argmax(x, axis=self.axis)


class ArgMin(ArgPeak):
    """y = the position of the smallest along an axis.

    Args:
        x: Numbers.
        axis: Along which to look.
        keepdims: Whether the axis stays, with size 1.
        select_last_index: Whether the last of equal ones is meant, or the first.

    Shapes: x (..., n, ...), y (..., 1, ...) of int64.

    Raises:
        ShapeError: There is nothing to choose from: the axis has size 0.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ArgMin([[1.0, 2.0], [4.0, 3.0]], axis=1, keepdims=False))
    array([0, 1])
    """

    def first(self, xp: ModuleType, x: Array) -> Array:
        """The position of the first of the equal ones."""
        return xp.argmin(x, axis=self.axis)


def _check_choice(x: Spec, axes: tuple[int, ...]) -> None:
    for axis in axes:
        if x.shape[axis] == 0:
            raise ShapeError(
                f"axis {axis} of {x.shape} has size 0: there is nothing to choose from",
                hint="give at least one element",
            )
