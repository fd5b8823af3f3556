"""Recurrences: one loop over the steps, in which each thread takes its samples all the way.

The input's share of the gates is one product for all steps before the loop, the gradients of the
weights are one product for all steps after it. What `cells` computes in a step is kept for the way
back. Each direction has kernels of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.compiler.indices import ZERO, Axis, Index, of, row_major
from matrixslow.compiler.loops import (
    Gemm,
    Kernel,
    Loop,
    Matrix,
    Statement,
    Store,
    loops,
    make_kernel,
)
from matrixslow.compiler.lowering.cells import CELLS, Slab, States, Way
from matrixslow.compiler.lowering.linalg import floating
from matrixslow.compiler.lowering.table import Table, sizes
from matrixslow.compiler.symbols import (
    INDEX,
    Buffer,
    Symbol,
    Unsupported,
    apply,
    cast,
    constant,
    load,
    position,
    where,
)
from matrixslow.core.node import Node

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan


class Strand:
    """One direction of a recurrence: sizes, buffers, and what its steps are made of.

    Args:
        plan: The kernels so far.
        node: The recurrence, or its gradient.
        forward: The recurrence.
        direction: Its number.
    """

    def __init__(self, plan: Plan, node: Node, forward: Any, direction: int) -> None:
        self.plan, self.node, self.number = plan, node, direction
        self.cell = CELLS[forward.cell]
        self.steps, self.batch, self.features = sizes(forward.inputs[0])
        self.directions, self.width, self.hidden = sizes(forward.inputs[2])
        self.dtype = node.dtype
        self.backward = forward.direction == "reverse" or direction == 1
        self.row, self.unit = Axis(self.batch), Axis(self.hidden)
        given = dict(zip(forward.given, range(3, len(forward.inputs)), strict=True))
        self.x, self.w, self.r = (plan.contiguous(node, number) for number in range(3))
        self.b = plan.contiguous(node, given["b"]) if "b" in given else None
        lengths = given.get("sequence_lens")
        self.lengths = None if lengths is None else plan.contiguous(node, lengths)
        start = of(self.row) * self.hidden + direction * (self.batch * self.hidden)
        self.first: States = [
            Slab(plan.contiguous(node, given[name]), start) if name in given else None
            for name in ("initial_h", "initial_c")[: self.cell.states]
        ]
        self.w_start = direction * self.width * self.features
        self.r_start = direction * self.width * self.hidden

    def buffer(self, name: str, *shape: int) -> Buffer:
        """Memory for something beside the node's value."""
        label = f"{self.node.name}.{name}{self.number or ''}"
        return Buffer(label, self.dtype, shape, row_major(shape))

    def rows(self, buffer: Buffer, now: Index = ZERO, first: int = 0) -> Slab:
        """The samples of a step in a buffer (steps, batch, n), or in one (batch, n)."""
        width = buffer.shape[-1]
        return Slab(buffer, now * (self.batch * width) + of(self.row) * width + first)

    def states(self, buffer: Buffer, now: Index) -> list[Slab]:
        """The samples of a step in a buffer (states, steps, directions, batch, hidden)."""
        size = self.batch * self.hidden
        start = now * (self.directions * size) + of(self.row) * self.hidden + self.number * size
        series = self.steps * self.directions * size
        return [Slab(buffer, start + state * series) for state in range(self.cell.states)]

    def step(self, number: Index) -> Index:
        """The step that is taken as the n-th one."""
        return number * -1 + (self.steps - 1) if self.backward else number

    def each(self, *stores: Statement) -> Loop:
        """Stores for every unit of every sample."""
        return Loop(self.row, loops([self.unit], stores))

    def multiply(self, out: Slab, a: Slab, b: Matrix, n: Axis, k: Axis, *, add: bool) -> Gemm:
        """Out = a b for the samples of a thread, or out += a b."""
        return Gemm(self.row, n, k, a.matrix(k), b, out.matrix(n), add)

    def value(self, slab: Slab | None, column: Index) -> Symbol:
        """A state; 0 where none came before."""
        return constant(0, self.dtype) if slab is None else slab.load(column)

    def biases(self, block: int) -> tuple[Symbol, Symbol]:
        """Those of a gate, of the input's and of the state's share."""
        if self.b is None:
            return constant(0, self.dtype), constant(0, self.dtype)
        place = of(self.unit) + block * self.hidden + self.number * 2 * self.width
        return load(self.b, place), load(self.b, place + self.width)

    def inside(self, now: Index, x: Symbol) -> Symbol:
        """What counts only within a sequence: 0 from its length on."""
        if self.lengths is None:
            return x
        length = cast(load(self.lengths, of(self.row)), INDEX)
        return where(apply(np.less, position(now), length), x, constant(0, self.dtype))

    def keep(self, now: Index, values: Sequence[Symbol]) -> list[Statement]:
        """The states after a step, to where the node's value lies."""
        slabs = self.states(self.plan.buffer(self.node), now)
        return [
            Store(slab.buffer, slab.at(of(self.unit)), self.inside(now, value))
            for slab, value in zip(slabs, values, strict=True)
        ]

    def over_steps(
        self, step: Callable[[Index, States], Sequence[Statement]], states: Buffer, *, back: bool
    ) -> list[Statement]:
        """All steps with the states before them, in the order they are taken or against it."""
        number = Axis(self.steps - 1)
        start = list(step(self.step(ZERO), self.first))
        if self.steps == 1:
            return start
        count = of(number) * -1 + (self.steps - 2) if back else of(number)
        before: States = [*self.states(states, self.step(count))]
        later = [*loops([number], step(self.step(count + 1), before))]
        return [*later, *start] if back else [*start, *later]


def forth(plan: Plan, node: Any) -> list[Kernel]:
    """The states after every step; what the gradient needs is kept in `plan.kept`."""
    kernels = []
    plan.kept[node] = {}
    for direction in range(sizes(node.inputs[1])[0]):
        strand = Strand(plan, node, node, direction)
        width, hidden, features = strand.width, strand.hidden, strand.features
        kept = {
            name: strand.buffer(name, strand.steps, strand.batch, blocks * hidden)
            for name, blocks in strand.cell.kept.items()
        }
        plan.kept[node] |= {f"{name}{direction}": buffer for name, buffer in kept.items()}
        rows, columns, k = Axis(strand.steps * strand.batch), Axis(width), Axis(features)
        share = Gemm(
            rows,
            columns,
            k,
            Matrix(strand.x, of(rows) * features + of(k)),
            Matrix(strand.w, of(columns) * features + of(k) + strand.w_start),
            Matrix(kept["gates"], of(rows) * width + of(columns)),
        )
        turned = strand.buffer("turned", hidden, width)
        i, j = Axis(hidden), Axis(width)
        state_weight = load(strand.r, of(j) * hidden + of(i) + strand.r_start)
        copy = Store(turned, of(i) * width + of(j), state_weight)
        step = strand.cell.forth(strand, kept, turned)
        kernels += [
            make_kernel([node], [share], rows),
            make_kernel([node], loops([i, j], [copy]), i if hidden > 1 else None),
            make_kernel([node], strand.over_steps(step, plan.buffer(node), back=False), strand.row),
        ]
    return kernels


def back(plan: Plan, node: Any) -> list[Kernel]:
    """The gradients of all inputs, one behind the other: x, w, r, and what else was given."""
    forward, states, upstream = node.inputs[-2], len(node.inputs) - 2, len(node.inputs) - 1
    kernels = []
    for direction in range(sizes(forward.inputs[1])[0]):
        strand = Strand(plan, node, forward, direction)
        kept = {name: plan.kept[forward][f"{name}{direction}"] for name in strand.cell.kept}
        slopes = {
            name: strand.buffer(name, strand.steps, strand.batch, blocks * strand.hidden)
            for name, blocks in strand.cell.slopes.items()
        }
        carried = [
            strand.rows(strand.buffer(f"carried{state}", strand.batch, strand.hidden))
            for state in range(strand.cell.states)
        ]
        zero = constant(0, strand.dtype)
        zeros = [Store(slab.buffer, slab.at(of(strand.unit)), zero) for slab in carried]
        values = plan.contiguous(node, states)
        way = Way(kept, slopes, carried, values, plan.contiguous(node, upstream))
        step = strand.cell.back(strand, way)
        body = [strand.each(*zeros), *strand.over_steps(step, values, back=True)]
        starts = _starts(forward)
        out = plan.buffer(node)
        for slab, name in zip(carried, ("initial_h", "initial_c"), strict=False):
            if name in starts:
                place = of(strand.row) * strand.hidden + of(strand.unit)
                place = place + starts[name] + direction * strand.batch * strand.hidden
                body.append(strand.each(Store(out, place, slab.load(of(strand.unit)))))
        kernels.append(make_kernel([node], body, strand.row))
        kernels += _weights(strand, starts, kept, slopes, values)
    return kernels


def _starts(forward: Any) -> dict[str, int]:
    """Where the gradient of each input begins."""
    starts, start = {}, 0
    for name, x in zip(("x", "w", "r", *forward.given), forward.inputs, strict=True):
        if name != "sequence_lens":
            starts[name] = start
            start += x.size
    return starts


def _weights(
    strand: Strand,
    starts: dict[str, int],
    kept: dict[str, Buffer],
    slopes: dict[str, Buffer],
    states: Buffer,
) -> list[Kernel]:
    """The gradients of x, w, r and b, from those of the gates of all steps."""
    plan, node, out = strand.plan, strand.node, strand.plan.buffer(strand.node)
    width, hidden, features, batch = strand.width, strand.hidden, strand.features, strand.batch
    every, unit, feature = Axis(strand.steps * batch), Axis(width), Axis(features)
    gates, bent = slopes["slopes"], slopes[strand.cell.bent]
    found = []
    positions = [user.attributes.get("position") for user in plan.users(node)]
    if node in plan.needed or not {0, None}.isdisjoint(positions):
        by_x = Gemm(
            every,
            feature,
            unit,
            Matrix(gates, of(every) * width + of(unit)),
            Matrix(strand.w, of(unit) * features + of(feature) + strand.w_start),
            Matrix(out, of(every) * features + of(feature)),
            accumulate=strand.number > 0,
        )
        found.append(make_kernel([node], [by_x], every))
    sample = Axis(strand.steps * batch)
    by_w = Gemm(
        unit,
        feature,
        sample,
        Matrix(gates, of(sample) * width + of(unit)),
        Matrix(strand.x, of(sample) * features + of(feature)),
        Matrix(out, of(unit) * features + of(feature) + starts["w"] + strand.w_start),
    )
    found.append(make_kernel([node], [by_w], unit))
    before = strand.buffer("before", strand.steps, batch, hidden)
    column = of(strand.unit)

    def shift(now: Index, earlier: States) -> list[Statement]:
        value = strand.value(earlier[0], column)
        return [strand.each(Store(before, strand.rows(before, now).at(column), value))]

    copies = strand.over_steps(shift, states, back=False)
    found.append(make_kernel([node], copies, strand.row))
    for first, count, name in strand.cell.outer:
        unit, state, sample = Axis(count * hidden), Axis(hidden), Axis(strand.steps * batch)
        target = starts["r"] + strand.r_start + first * hidden * hidden
        by_r = Gemm(
            unit,
            state,
            sample,
            Matrix(bent, of(sample) * width + of(unit) + first * hidden),
            Matrix(kept.get(name, before), of(sample) * hidden + of(state)),
            Matrix(out, of(unit) * hidden + of(state) + target),
        )
        found.append(make_kernel([node], [by_r], unit))
    if strand.b is not None:
        for part, of_gates in enumerate((gates, bent)):
            unit, sample = Axis(width), Axis(strand.steps * batch)
            place = of(unit) + (starts["b"] + (2 * strand.number + part) * width)
            total = load(out, place) + load(of_gates, of(sample) * width + of(unit))
            body = (
                *loops([unit], [Store(out, place, constant(0, strand.dtype))]),
                *loops([sample, unit], [Store(out, place, total)]),
            )
            found.append(make_kernel([node], body, unit))
    return found


def _covered(node: Any) -> None:
    floating(node)
    forward = node.inputs[-2] if type(node).__name__ == "RecurrenceGradient" else node
    count = len(getattr(forward, "given", ())) + 3
    if getattr(forward, "cell", None) not in CELLS or forward.inputs != node.inputs[:count]:
        raise Unsupported("no lowering for a gradient apart from its recurrence")
    ends, firsts = "sequence_lens" in forward.given, {"initial_h", "initial_c"} & {*forward.given}
    if forward.direction != "forward" and ends and firsts:
        raise Unsupported("no lowering for first states behind the ends of sequences")


RECURRENCES = ("RNN", "LSTM", "GRU")

TABLE = Table(
    products={**dict.fromkeys(RECURRENCES, forth), "RecurrenceGradient": back},
    checks=dict.fromkeys((*RECURRENCES, "RecurrenceGradient"), _covered),
)
