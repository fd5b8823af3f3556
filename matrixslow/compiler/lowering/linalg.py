"""Matrix products."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from matrixslow.compiler.indices import Axis, Index, of
from matrixslow.compiler.loops import Gemm, Kernel, Matrix, loops, make_kernel
from matrixslow.compiler.lowering.elementwise import stretched
from matrixslow.compiler.lowering.table import Table, sizes
from matrixslow.compiler.symbols import Unsupported
from matrixslow.core.node import Node

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


WIDE = 2**18
"""Of how many elements a matrix is large: packing it takes longer than a barrier."""


def product(plan: Plan, node: Node) -> list[Kernel]:
    """c[..., i, j] = the sum over k of a[..., i, k] b[..., k, j], one GEMM for each matrix."""
    left, right = (sizes(x) for x in node.inputs)
    shape = sizes(node)
    m, k = Axis(left[-2] if len(left) > 1 else 1), Axis(left[-1])
    n = Axis(right[-1] if len(right) > 1 else 1)
    batch = tuple(Axis(size) for size in shape[: max(len(left), len(right)) - 2])
    around = tuple(of(axis) for axis in batch)
    first = (*stretched(around, left[:-2]), *([of(m)] if len(left) > 1 else []), of(k))
    second = (*stretched(around, right[:-2]), of(k), *([of(n)] if len(right) > 1 else []))
    target = (*around, *([of(m)] if len(left) > 1 else []), *([of(n)] if len(right) > 1 else []))
    a = plan.matrix(node, 0, first)
    b = plan.matrix(node, 1, second)
    c = Matrix(plan.buffer(node), plan.element(plan.buffer(node), target))
    gemm = Gemm(m, n, k, a, b, c)
    if batch:
        together = _joined(gemm, batch)
        if together is not None:
            return [make_kernel([node], [together], together.m)]
        split = next((axis for axis in batch if axis.size > 1), None)
        return [make_kernel([node], loops(batch, [gemm]), split)]
    return [make_kernel([node], [gemm], n if _is_wide(gemm) else m)]


def _is_wide(gemm: Gemm) -> bool:
    """Whether threads share the columns: where b is large, so that no thread packs all of it.

    Else they share the rows, which mostly are samples: then no barrier is needed.
    """
    m, n, k = gemm.m.size, gemm.n.size, gemm.k.size
    return m == 1 or (n >= 2 * m and n * k >= WIDE)


def _joined(gemm: Gemm, batch: tuple[Axis, ...]) -> Gemm | None:
    """All matrices of a batch as one tall one, where b is the same for all of them."""
    stacked = [axis for axis in (*batch, gemm.m) if axis.size > 1]
    if not stacked or any(axis in gemm.b.index.terms for axis in batch):
        return None
    rows = Axis(prod(axis.size for axis in stacked))
    matrices = []
    for matrix in (gemm.a, gemm.c):
        terms = matrix.index.terms
        step = terms.get(stacked[-1], 0)
        expected = step
        for axis in reversed(stacked):
            if terms.get(axis, 0) != expected:
                return None
            expected *= axis.size
        rest = {atom: factor for atom, factor in terms.items() if atom not in stacked}
        matrices.append(Matrix(matrix.buffer, Index(matrix.index.constant, {**rest, rows: step})))
    return Gemm(rows, gemm.n, gemm.k, matrices[0], gemm.b, matrices[1])


def floating(node: Node) -> None:
    """Raise Unsupported where numbers are integers."""
    if not node.spec.floating:
        raise Unsupported("no matrix product of integers")


TABLE = Table(products={"MatMul": product}, checks={"MatMul": floating})
