"""Rows of large tables: ids sorted digit by digit, and rows put back where they were taken."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.compiler.indices import Axis, Index, of, row_major
from matrixslow.compiler.loops import Kernel, Loop, Set, Statement, Store, make_kernel
from matrixslow.compiler.lowering.indexing import is_checked
from matrixslow.compiler.lowering.table import Indices, Read, Table, sizes
from matrixslow.compiler.symbols import (
    INDEX,
    Buffer,
    Local,
    Symbol,
    Unsupported,
    apply,
    cast,
    constant,
    load,
    local,
    position,
)
from matrixslow.core.leaf import Leaf
from matrixslow.core.node import Node
from matrixslow.ops.rows import DistinctIds

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

DIGIT = 11
"""Ids are sorted by so many bits at a time: the counts of all digits fit the nearest cache."""


def distinct_ids(plan: Plan, node: Any) -> list[Kernel]:
    """Sort the places of the ids by radix, then give equal ids one rank.

    The time depends on the number of ids, and on the table only by the number of its digits.
    """
    keys, out = plan.contiguous(node, 0), plan.buffer(node)
    shape = sizes(node.inputs[0])
    count = prod(shape)  # the keys may be the first of a larger buffer
    ranks = Buffer(node.name + ".ranks", INDEX, shape, row_major(shape))
    plan.kept[node] = {"ranks": ranks}
    order, other = (Buffer(node.name + end, INDEX, (count,), (1,)) for end in (".order", ".next"))
    counts = Buffer(node.name + ".counts", INDEX, (1 << DIGIT,), (1,))
    axis = Axis(count)
    body: list[Statement] = []
    place = position(of(axis))
    for shift in range(0, max((node.rows - 1).bit_length(), 1), DIGIT):
        digit = (_key(keys, place) >> shift) & ((1 << DIGIT) - 1)
        body += _counted(axis, digit, counts)
        here = load(counts, _at(digit))
        stores = (Store(other, _at(here), place), Store(counts, _at(digit), here + 1))
        body.append(_loop(axis, *stores))
        order, other = other, order
        place = load(order, of(axis))
    previous, rank = Local(INDEX), Local(INDEX)
    nothing, key = constant(-1, INDEX), _key(keys, place)
    body += [
        _loop(axis, Store(out, of(axis), nothing)),
        Set(previous, nothing),
        Set(rank, nothing),
        _loop(
            axis,
            Set(rank, local(rank) + cast(apply(np.not_equal, key, local(previous)), INDEX)),
            Set(previous, key),
            Store(ranks, _at(place), local(rank)),
            Store(out, _at(local(rank)), local(previous)),
        ),
    ]
    return [make_kernel([node], body, None)]


def _counted(axis: Axis, digit: Symbol, counts: Buffer) -> list[Statement]:
    """How many ids have a lesser digit, for each digit."""
    digits, total, own = Axis(counts.size), Local(INDEX), Local(INDEX)
    zero, every = constant(0, INDEX), of(digits)
    return [
        _loop(digits, Store(counts, every, zero)),
        _loop(axis, Store(counts, _at(digit), load(counts, _at(digit)) + 1)),
        Set(total, zero),
        _loop(
            digits,
            Set(own, load(counts, every)),
            Store(counts, every, local(total)),
            Set(total, local(total) + local(own)),
        ),
    ]


def _loop(axis: Axis, *body: Statement) -> Loop:
    return Loop(axis, body)


def _at(place: Symbol) -> Index:
    return Index(0, {place: 1}) if place.operation != "constant" else Index(int(place.value), {})


def _key(keys: Buffer, place: Symbol) -> Symbol:
    return cast(load(keys, _at(place)), INDEX)


def ranks_of_distinct(plan: Plan, node: Node) -> list[Kernel]:
    """The ranks that sorting has found."""
    plan.buffers[node] = plan.kept[node.inputs[0]]["ranks"]
    return []


def _checked(node: Any) -> None:
    if not is_checked(node.inputs[0], node.rows):
        raise Unsupported("ids that are not checked before the run")


def _sorted_with(node: Node) -> None:
    distinct, ids = node.inputs
    if not isinstance(distinct, DistinctIds) or distinct.inputs[0] is not ids:
        raise Unsupported("ranks among other ids")
    _checked(distinct)


def replaced(node: Node, read: Read, index: Indices) -> tuple[Indices, Symbol]:
    """Y[ids[i]] = rows[i] where ids[i] >= 0."""
    row = read(1, index[:1])
    # As it is written where the row is read, so that one is known for the other.
    place = apply(np.maximum, row, constant(0, row.dtype))
    return (_at(cast(place, INDEX)), *index[1:]), row >= 0


def _in_memory(node: Node) -> None:
    table, ids, _ = node.inputs
    if not isinstance(table, Leaf):
        raise Unsupported("a table that is computed")
    if not isinstance(ids, DistinctIds) or ids.rows > sizes(table)[0]:
        raise Unsupported("ids that may come twice")


TABLE = Table(
    scatters={"ReplacedRows": replaced},
    products={"DistinctIds": distinct_ids, "IdRanks": ranks_of_distinct},
    checks={"DistinctIds": _checked, "IdRanks": _sorted_with, "ReplacedRows": _in_memory},
)
