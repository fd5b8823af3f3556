"""Operators on matrices, which lie in the last two axes: products, solutions, factors."""

from __future__ import annotations

from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec, broadcast_shapes, floating_dtype
from matrixslow.errors import DTypeError, ShapeError
from matrixslow.ops.elementwise import numeric_dtype
from matrixslow.ops.like import SumLike
from matrixslow.ops.reduction import ReduceSum
from matrixslow.ops.shaping import Flatten, Squeeze, Transpose, Unsqueeze


class MatMul(Node):
    """y = left @ right: the matrix product, over axes before the last two that broadcast.

    A vector on the left is a row, on the right a column; that axis is then left out of y.

    Args:
        left: Numbers.
        right: Of the dtype of left.

    Shapes: left (..., n, k) or (k,), right (..., k, m) or (k,), y (..., n, m).

    Raises:
        ShapeError: The inner sizes differ, the outer ones do not broadcast, or one is a scalar.

    >>> with ms.Graph() as graph:
    ...     x, w = ms.Constant([[1.0, 2.0]]), ms.Constant([[3.0], [4.0]])
    ...     graph.forward(ms.ops.MatMul(x, w))
    array([[11.]], dtype=float32)
    """

    def infer(self, left: Spec, right: Spec) -> Spec:
        dtype = numeric_dtype(left, right)
        if not left.ndim or not right.ndim:
            raise ShapeError(
                f"a scalar has no rows and columns, shapes {left.shape} and {right.shape} came",
                hint="multiply by a scalar with {left} * {right}",
            )
        _check_inner(left.shape[-1], right.shape[-min(right.ndim, 2)])
        batch = broadcast_shapes(left.shape[:-2], right.shape[:-2])
        columns = right.shape[-1:] if right.ndim > 1 else ()
        return Spec((*batch, *left.shape[:-1][-1:], *columns), dtype)

    def compute(self, xp: ModuleType, left: Array, right: Array) -> Array:
        if left.ndim > 2 and right.ndim == 2:  # one large product is faster than many small ones
            rows = left.reshape(-1, left.shape[-1]) if left.size else left
            return xp.matmul(rows, right).reshape(*left.shape[:-1], right.shape[-1])
        return xp.matmul(left, right)

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        left, right = self.inputs
        if left.ndim == right.ndim == 1:
            return upstream * right, upstream * left
        if left.ndim == 1:
            row = Unsqueeze(upstream, axes=-2)
            return Squeeze(MatMul(row, swapped(right)), axes=-2), Unsqueeze(left, axes=-1) * row
        if right.ndim == 1:
            column = Unsqueeze(upstream, axes=-1)
            return column * right, Squeeze(MatMul(swapped(left), column), axes=-1)
        if left.ndim > 2 and right.ndim == 2:
            rows = Transpose(Flatten(left, axis=left.ndim - 1))
            return (
                MatMul(upstream, swapped(right)),
                MatMul(rows, Flatten(upstream, axis=left.ndim - 1)),
            )
        return (
            _fitted(MatMul(upstream, swapped(right)), left),
            _fitted(MatMul(swapped(left), upstream), right),
        )


class Gemm(Node):
    """y = alpha * a @ b + beta * c, where a and b may be transposed first.

    Args:
        a: A matrix.
        b: A matrix of the same dtype.
        c: Added to the product; without it nothing is.
        alpha: Factor of the product.
        beta: Factor of c.
        transA: Whether a is transposed.
        transB: Whether b is transposed.

    Shapes: a (n, k), b (k, m), before a and b are transposed; c (any that broadcasts to y's), y
        (n, m).

    Raises:
        ShapeError: The inner sizes differ, or c does not broadcast to the product.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Gemm([[1.0, 2.0]], [[3.0, 4.0]], [0.5], transB=True))
    array([[11.5]], dtype=float32)
    """

    def __init__(
        self,
        a: Operand,
        b: Operand,
        c: Operand | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: bool = False,  # noqa: N803 - ONNX's names
        transB: bool = False,  # noqa: N803
        name: str | None = None,
    ) -> None:
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.transA = bool(transA)
        self.transB = bool(transB)
        super().__init__(*((a, b) if c is None else (a, b, c)), name=name)

    def infer(self, a: Spec, b: Spec, c: Spec | None = None) -> Spec:
        dtype = floating_dtype(a, b) if c is None else floating_dtype(a, b, c)
        for x in (a, b):
            if x.ndim != 2:
                raise ShapeError(
                    f"matrices are needed, shape {x.shape} came",
                    hint="for more or fewer axes take ms.ops.MatMul",
                )
        (rows, inner) = reversed(a.shape) if self.transA else a.shape
        (other, columns) = reversed(b.shape) if self.transB else b.shape
        _check_inner(inner, other, left="a", right="b")
        shape = (rows, columns)
        if c is not None and not _stretches(c.shape, shape):
            raise ShapeError(
                f"c of shape {c.shape} does not broadcast to the product, {shape}",
                hint="give {c} sizes of 1 or those of the product",
            )
        return Spec(shape, dtype)

    def compute(self, xp: ModuleType, a: Array, b: Array, c: Array | None = None) -> Array:
        y = xp.matmul(a.T if self.transA else a, b.T if self.transB else b)
        if self.alpha != 1.0:
            y = self.alpha * y
        if c is None:
            return y
        return y + (c if self.beta == 1.0 else self.beta * c)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        a, b, *c = self.inputs
        alpha, for_a, for_b = self.alpha, self.transA, self.transB
        if for_a:
            slope_a = Gemm(b, upstream, alpha=alpha, transA=for_b, transB=True)
        else:
            slope_a = Gemm(upstream, b, alpha=alpha, transB=not for_b)
        if for_b:
            slope_b = Gemm(upstream, a, alpha=alpha, transA=True, transB=for_a)
        else:
            slope_b = Gemm(a, upstream, alpha=alpha, transA=not for_a)
        return (slope_a, slope_b, *(self.beta * upstream for _ in c))


class SquareMatrices(Node):
    """Base of the operators on square matrices.

    Raises:
        ShapeError: The last two axes have different sizes, or there are no two.
        DTypeError: The elements are neither float32 nor float64.
    """

    def infer(self, x: Spec) -> Spec:
        check_square(x)
        return x


class Inverse(SquareMatrices):
    """y = the inverse of each matrix.

    Shapes: x (..., n, n), y as x.

    Raises:
        ShapeError: The matrices are not square.
        RunError: A matrix has no inverse.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
        differentiation" (2008), section 2.2.3.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Inverse([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.linalg.inv(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        y = swapped(self)
        return (-MatMul(y, MatMul(upstream, y)),)


class Det(SquareMatrices):
    """y = the determinant of each matrix.

    The slope is the matrix of the cofactors of x, which need no inverse; the second slope does.

    Shapes: x (..., n, n), y (...).

    Raises:
        ShapeError: The matrices are not square.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
        differentiation" (2008), section 2.2.4.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Det([[2.0, 0.0], [0.0, 4.0]]))
    array(8., dtype=float32)
    """

    def infer(self, x: Spec) -> Spec:
        return Spec(super().infer(x).shape[:-2], x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.linalg.det(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Unsqueeze(upstream, axes=(-2, -1)) * Cofactors(self.inputs[0]),)


class Cofactors(SquareMatrices):
    """y[i, j] = (-1)**(i + j) times the determinant of x without row i and column j.

    This is det(x) * inverse(x) transposed where there is an inverse, and finite where there is
    none. With x = U diag(s) V it is det(U) det(V) U diag(s') V, where s'[i] is the product of all s
    but s[i].

    Shapes: x (..., n, n), y as x.

    Raises:
        ShapeError: The matrices are not square.
        RunError: The slope is asked for, and a matrix has no inverse.

    Source: G. W. Stewart, "On the adjugate matrix" (1998), equation 2.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Cofactors([[1.0, 2.0], [3.0, 4.0]])).round(4)
    array([[ 4., -3.],
           [-2.,  1.]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        if not x.size:
            return xp.zeros(x.shape, x.dtype)
        u, s, v = xp.linalg.svd(x)
        others = [
            xp.prod(xp.concatenate([s[..., :i], s[..., i + 1 :]], axis=-1), axis=-1)
            for i in range(s.shape[-1])
        ]
        sign = xp.linalg.det(u) * xp.linalg.det(v)
        scaled = u * (sign[..., None] * xp.stack(others, axis=-1))[..., None, :]
        return xp.matmul(scaled, v)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        inverse = swapped(Inverse(x))
        along = ReduceSum(inverse * upstream, axes=(-2, -1))
        turned = MatMul(inverse, MatMul(swapped(upstream), inverse))
        return (along * self - Unsqueeze(Det(x), axes=(-2, -1)) * turned,)


class Cholesky(SquareMatrices):
    """y = the lower triangular matrix with positive diagonal for which y @ y.T = x.

    Only the lower triangle of x is read; the gradient is that of a symmetric matrix.

    Shapes: x (..., n, n), y as x.

    Raises:
        ShapeError: The matrices are not square.
        RunError: A matrix is not positive definite.

    Source: I. Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Cholesky([[4.0, 2.0], [2.0, 5.0]]))
    array([[2., 0.],
           [1., 2.]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.linalg.cholesky(x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        transposed = swapped(self)
        product = MatMul(transposed, upstream)
        lower = Trilu(product, upper=False) + Trilu(product, k=-1, upper=False)
        left = Solve(transposed, lower)
        slope = swapped(Solve(transposed, swapped(left)))
        return (0.25 * (slope + swapped(slope)),)


class Trilu(Node):
    """y = x with the elements on one side of a diagonal kept, and zeros on the other side.

    Args:
        x: Matrices.
        k: Which diagonal: 0 is the main one, positive ones lie above it.
        upper: Whether the diagonal and what lies above it is kept, or what lies below.

    Shapes: x (..., n, m), y as x.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Trilu([[1.0, 2.0], [3.0, 4.0]]))
    array([[1., 2.],
           [0., 4.]], dtype=float32)
    """

    def __init__(
        self, x: Operand, *, k: int = 0, upper: bool = True, name: str | None = None
    ) -> None:
        self.k = int(k)
        self.upper = bool(upper)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        if x.ndim < 2:
            raise ShapeError(
                f"matrices are needed, shape {x.shape} came", hint="give at least two axes"
            )
        return x

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.triu(x, self.k) if self.upper else xp.tril(x, self.k)

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Trilu(upstream, k=self.k, upper=self.upper),)


class Solve(Node):
    """y = the solution of a @ y = b.

    Args:
        a: Square matrices.
        b: A vector, or matrices whose columns are solved for.

    Shapes: a (..., n, n), b (n,) or (..., n, m), y (..., n) or (..., n, m).

    Raises:
        ShapeError: The matrices are not square, or b has another number of rows.
        RunError: A matrix has no inverse.

    Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
        differentiation" (2008), section 2.3.1.

    >>> with ms.Graph() as graph:
    ...     graph.forward(ms.ops.Solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]))
    array([1. , 0.5], dtype=float32)
    """

    def infer(self, a: Spec, b: Spec) -> Spec:
        floating_dtype(a, b)
        check_square(a)
        if not b.ndim:
            raise ShapeError("b is a scalar", hint="give {b} as many rows as {a}")
        rows = b.shape[-min(b.ndim, 2)]
        if None not in (rows, a.shape[-1]) and rows != a.shape[-1]:
            raise ShapeError(
                f"b has {rows} rows, a has {a.shape[-1]}", hint="give {b} as many rows as {a}"
            )
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return Spec((*batch, *a.shape[-1:], *b.shape[1:][-1:]), a.dtype)

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return xp.linalg.solve(a, b)

    def gradient(self, upstream: Node) -> tuple[Node, Node]:
        a, b = self.inputs
        if b.ndim > 1:
            slope = Solve(swapped(a), upstream)
            return _fitted(-MatMul(slope, swapped(self)), a), _fitted(slope, b)
        column = Solve(swapped(a), Unsqueeze(upstream, axes=-1))
        return -(column * Unsqueeze(self, axes=-2)), Squeeze(column, axes=-1)


def swapped(x: Node) -> Node:
    """Each matrix transposed: the last two axes exchanged."""
    *batch, rows, columns = range(x.ndim)
    return Transpose(x, perm=(*batch, columns, rows))


def check_square(x: Spec) -> None:
    """Refuse what LAPACK cannot take.

    Raises:
        ShapeError: The last two axes have different sizes, or there are no two.
        DTypeError: The elements are neither float32 nor float64.
    """
    if floating_dtype(x).itemsize < 4:
        raise DTypeError(
            f"float32 or float64 is needed, {x.dtype} came",
            hint='convert it: ms.ops.Cast(x, dtype="float32")',
        )
    sizes = {size for size in x.shape[-2:] if size is not None}
    if x.ndim < 2 or len(sizes) > 1:
        raise ShapeError(
            f"square matrices are needed, shape {x.shape} came",
            hint="the last two axes must have equal sizes",
        )


def _check_inner(
    inner: int | None, other: int | None, left: str = "left", right: str = "right"
) -> None:
    if None not in (inner, other) and inner != other:
        raise ShapeError(
            f"inner sizes differ, {inner} and {other}",
            hint=f"give {{{right}}} {inner} rows, or reshape {{{left}}} to (..., {other})",
        )


def _stretches(shape: Shape, target: Shape) -> bool:
    """Whether a shape broadcasts to another one without making it larger."""
    sizes = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(
        size in (1, None) or wide in (size, None) for size, wide in sizes
    )


def _fitted(slope: Node, x: Node) -> Node:
    """A gradient in the shape of x, also where axes of unknown size were stretched."""
    return SumLike(slope, x) if None in x.shape[:-2] else slope
