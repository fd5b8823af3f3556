"""Dropout: its coins are drawn four at a time, by the very function that arrays use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.compiler.indices import Axis, Index, of
from matrixslow.compiler.loops import Kernel, Store, loops, make_kernel
from matrixslow.compiler.lowering.table import Table
from matrixslow.compiler.symbols import TRACER, Symbol, cast, constant, load, position, where
from matrixslow.ops.philox import WORD, philox

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

UNSIGNED = np.dtype("uint64")


def dropout(plan: Plan, node: Any) -> list[Kernel]:
    """Y = x / (1 - ratio) where the coin says keep, else 0."""
    x, out = plan.contiguous(node, 0), plan.buffer(node)
    threshold = min(round(node.ratio * 2**32), WORD)

    def stores(block: Index, count: int) -> list[Store]:
        return [
            Store(
                out,
                block * 4 + lane,
                where(
                    word >= threshold,
                    load(x, block * 4 + lane) * (1.0 / (1.0 - node.ratio)),
                    constant(0, node.dtype),
                ),
            )
            for lane, word in enumerate(_words(plan, node, block)[:count])
        ]

    whole, rest = divmod(out.size, 4)
    kernels = []
    if whole:
        blocks = Axis(whole)
        kernels.append(make_kernel([node], loops([blocks], stores(of(blocks), 4)), blocks))
    if rest:
        kernels.append(make_kernel([node], stores(Index(whole, {}), rest), None))
    return kernels


def _words(plan: Plan, node: Any, block: Index) -> tuple[Symbol, ...]:
    run = cast(plan.value(node.inputs[-1], ()), UNSIGNED)
    place = cast(position(block), UNSIGNED)
    counted = (place & WORD, place >> 32, run & WORD, run >> 32)
    words: tuple[Symbol, ...] = philox(TRACER, node.key, counted)
    return words


TABLE = Table(products={"Dropout": dropout})
