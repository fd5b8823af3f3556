"""Operators that add or multiply along axes: sums, means, products, norms; and running sums."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, floating_dtype, normalize_axes, normalize_axis
from matrixslow.ops.comparison import Equal, IsInf, Where
from matrixslow.ops.elementwise import numeric_dtype
from matrixslow.ops.like import BroadcastLike, OnesLike
from matrixslow.ops.options import as_integers
from matrixslow.ops.piecewise import Sign
from matrixslow.ops.powers import Exp
from matrixslow.ops.shaping import Unsqueeze


class Reduction(Node):
    """Base of the operators that reduce axes.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.
    """

    def __init__(
        self,
        x: Operand,
        *,
        axes: int | Iterable[int] | None = None,
        keepdims: bool = True,
        name: str | None = None,
    ) -> None:
        self.axes = None if axes is None else as_integers(self, "axes", axes)
        self.keepdims = bool(keepdims)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        numeric_dtype(x)
        reduced = self.reduced(x.ndim)
        if self.keepdims:
            return Spec((1 if i in reduced else size for i, size in enumerate(x.shape)), x.dtype)
        return Spec((size for i, size in enumerate(x.shape) if i not in reduced), x.dtype)

    def reduced(self, ndim: int) -> tuple[int, ...]:
        """The axes to reduce, counted from the front."""
        return normalize_axes(self.axes, ndim)

    def kept(self, y: Node) -> Node:
        """A node of the result's shape, with the reduced axes back in place."""
        axes = self.reduced(self.inputs[0].ndim)
        return y if self.keepdims or not axes else Unsqueeze(y, axes=axes)


class FloatingReduction(Reduction):
    """Base of the reductions that need floating-point numbers."""

    def infer(self, x: Spec) -> Spec:
        floating_dtype(x)
        return super().infer(x)


class ReduceSum(Reduction):
    """y = the sum over axes; 0 where there is nothing to add.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceSum([[1.0, 2.0], [3.0, 4.0]], axes=1))
    array([[3.],
           [7.]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sum(x, axis=self.reduced(x.ndim), dtype=x.dtype, keepdims=self.keepdims)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (BroadcastLike(self.kept(upstream), self.inputs[0]),)


class ReduceMean(FloatingReduction):
    """y = the mean over axes; NaN where there is nothing to average.

    Args:
        x: Floating-point numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceMean([[1.0, 2.0], [3.0, 4.0]], axes=1, keepdims=False))
    array([1.5, 3.5], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        axes = self.reduced(x.ndim)
        total = xp.sum(x, axis=axes, keepdims=self.keepdims)
        return total / prod(x.shape[axis] for axis in axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        share = upstream / Count(x, axes=self.reduced(x.ndim))
        return (BroadcastLike(self.kept(share), x),)


class Count(Node):
    """y = the number of elements of x along axes: what a mean is divided by, also where it is fed.

    Args:
        x: Lends its shape and dtype, never its values.
        axes: Along which to count; without it along all of them.

    Shapes: x (any), y a scalar of the dtype of x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Count([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axes=1))
    array(3., dtype=float32)
    """

    gradient = None

    def __init__(
        self, x: Operand, *, axes: int | Iterable[int] | None = None, name: str | None = None
    ) -> None:
        self.axes = None if axes is None else as_integers(self, "axes", axes)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        normalize_axes(self.axes, x.ndim)
        return Spec((), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        count = prod(x.shape[axis] for axis in normalize_axes(self.axes, x.ndim))
        return xp.asarray(count, x.dtype)


class ReduceProd(Reduction):
    """y = the product over axes; 1 where there is nothing to multiply.

    The slopes are right where factors are zero, too.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceProd([[1.0, 2.0], [3.0, 4.0]], axes=1))
    array([[ 2.],
           [12.]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.prod(x, axis=self.reduced(x.ndim), dtype=x.dtype, keepdims=self.keepdims)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        slope = self.kept(upstream)
        for axis in self.reduced(x.ndim):
            slope = slope * ProductOfOthers(x, axis=axis)
            x = ReduceProd(x, axes=axis)
        return (slope,)


class ProductOfOthers(Node):
    """y[i] = the product of all x[j] along an axis but x[i]: the slope of ReduceProd.

    No division, so that zeros are as good as other numbers. With x[i] replaced by 1 in row i of a
    matrix, the second slope is this operator again, row by row.

    Args:
        x: Floating-point numbers.
        axis: Along which to multiply.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ProductOfOthers([0.0, 2.0, 3.0], axis=0))
    array([6., 0., 0.], dtype=float32)
    """

    def __init__(self, x: Operand, *, axis: int, name: str | None = None) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        normalize_axis(self.axis, x.ndim)
        return Spec(x.shape, floating_dtype(x))

    def compute(self, xp: ModuleType, x: Array) -> Array:
        rows = xp.moveaxis(x, self.axis, -1)
        before, behind = xp.ones(rows.shape, x.dtype), xp.ones(rows.shape, x.dtype)
        before[..., 1:] = xp.cumprod(rows[..., :-1], axis=-1)
        behind[..., :-1] = xp.cumprod(rows[..., :0:-1], axis=-1)[..., ::-1]
        return xp.moveaxis(before * behind, -1, self.axis)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        axis = normalize_axis(self.axis, x.ndim)
        place = CumSum(OnesLike(x), axis=axis)
        same = Equal(Unsqueeze(place, axes=axis), Unsqueeze(place, axes=axis + 1))
        others = Where(same, 1.0, Unsqueeze(x, axes=axis))
        slopes = ProductOfOthers(others, axis=axis + 1) * Unsqueeze(upstream, axes=axis)
        return (ReduceSum(Where(same, 0.0, slopes), axes=axis + 1, keepdims=False),)


class ReduceL1(Reduction):
    """y = the sum of absolute values over axes, with slope 0 for zeros.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceL1([3.0, -4.0]))
    array([7.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sum(abs(x), axis=self.reduced(x.ndim), dtype=x.dtype, keepdims=self.keepdims)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Sign(self.inputs[0]) * self.kept(upstream),)


class ReduceL2(FloatingReduction):
    """y = the square root of the sum of squares over axes, with slope 0 where it is 0.

    Args:
        x: Floating-point numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceL2([3.0, -4.0]))
    array([5.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sqrt(xp.sum(x * x, axis=self.reduced(x.ndim), keepdims=self.keepdims))

    def gradient(self, upstream: Node) -> tuple[Node]:
        zero = Equal(self, 0.0)
        share = Where(zero, 0.0, upstream / Where(zero, 1.0, self))
        return (self.inputs[0] * self.kept(share),)


class ReduceSumSquare(Reduction):
    """y = the sum of squares over axes.

    Args:
        x: Numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceSumSquare([3.0, -4.0]))
    array([25.], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sum(x * x, axis=self.reduced(x.ndim), dtype=x.dtype, keepdims=self.keepdims)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (self.inputs[0] * self.kept(2.0 * upstream),)


class ReduceLogSumExp(FloatingReduction):
    """y = log(the sum of e ** x over axes), without overflow; minus infinity of nothing.

    Args:
        x: Floating-point numbers.
        axes: Which axes to reduce; without it all of them, and none where it is empty.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.ReduceLogSumExp([1000.0, 1000.0])).round(3)
    array([1000.693], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        axes = self.reduced(x.ndim)
        y = log_sum_exp(xp, x, axes)
        return y if self.keepdims else xp.squeeze(y, axis=axes)

    def gradient(self, upstream: Node) -> tuple[Node]:
        level = self.kept(Where(IsInf(self, detect_positive=False), 0.0, self))
        return (Exp(self.inputs[0] - level) * self.kept(upstream),)


def log_sum_exp(xp: ModuleType, x: Array, axes: int | tuple[int, ...]) -> Array:
    """log(the sum of e ** x over axes), which stay with size 1."""
    if not x.size:
        return xp.log(xp.sum(x, axis=axes, keepdims=True))
    top = xp.max(x, axis=axes, keepdims=True)
    # Where every entry is minus infinity, or one is plus infinity, the difference would be NaN.
    top = xp.where(xp.isfinite(top), top, 0.0)
    return top + xp.log(xp.sum(xp.exp(x - top), axis=axes, keepdims=True))


class CumSum(Node):
    """y[i] = the sum of x[j] along an axis over all j <= i.

    Args:
        x: Numbers.
        axis: Along which to add.
        exclusive: Whether x[i] itself is left out.
        reverse: Whether the sum goes over all j >= i.

    Shapes: x (any), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.CumSum([1.0, 2.0, 3.0], axis=0))
    array([1., 3., 6.], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        axis: int,
        exclusive: bool = False,
        reverse: bool = False,
        name: str | None = None,
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        self.exclusive = bool(exclusive)
        self.reverse = bool(reverse)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        normalize_axis(self.axis, x.ndim)
        return Spec(x.shape, numeric_dtype(x))

    def compute(self, xp: ModuleType, x: Array) -> Array:
        rows = xp.moveaxis(x, self.axis, -1)
        if self.reverse:
            rows = rows[..., ::-1]
        if self.exclusive:
            sums = xp.zeros(rows.shape, x.dtype)
            sums[..., 1:] = xp.cumsum(rows[..., :-1], axis=-1, dtype=x.dtype)
        else:
            sums = xp.cumsum(rows, axis=-1, dtype=x.dtype)
        return xp.moveaxis(sums[..., ::-1] if self.reverse else sums, -1, self.axis)

    def gradient(self, upstream: Node) -> tuple[Node]:
        reverse = not self.reverse
        return (CumSum(upstream, axis=self.axis, exclusive=self.exclusive, reverse=reverse),)
