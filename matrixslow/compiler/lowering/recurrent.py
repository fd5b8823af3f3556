"""Recurrences: one loop over the steps, in which each thread takes its samples all the way.

The input's share of the gates is one product for all steps before the loop, the gradients of the
weights are one product for all steps after it. The gates are kept for the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.compiler.indices import Axis, Index, of, row_major
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
from matrixslow.compiler.lowering.linalg import floating
from matrixslow.compiler.lowering.table import Table, sizes
from matrixslow.compiler.symbols import Buffer, Symbol, Unsupported, apply, constant, load
from matrixslow.core.node import Node

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

SMALL = 4096
"""Recurrent weights of at most that many elements are multiplied by loops: a call costs more."""


class Run:
    """Sizes and buffers of one recurrence.

    Args:
        plan: The kernels so far.
        node: The RNN or LSTM, or its gradient.
        forward: The RNN or LSTM.
    """

    def __init__(self, plan: Plan, node: Node, forward: Any) -> None:
        self.plan, self.node = plan, node
        self.lstm = forward.cell == "lstm"
        self.relu = forward.cell == "rnn_relu"
        self.steps, self.batch, self.features = sizes(forward.inputs[0])
        self.hidden = sizes(forward.inputs[2])[2]
        self.width = sizes(forward.inputs[2])[1]
        self.dtype = node.dtype
        self.biased = "b" in forward.given
        self.backward = forward.direction == "reverse"
        self.x, self.w, self.r = (plan.contiguous(node, number) for number in range(3))
        self.b = plan.contiguous(node, 3) if self.biased else None
        self.row, self.unit = Axis(self.batch), Axis(self.hidden)

    def buffer(self, name: str, *shape: int) -> Buffer:
        """Memory for something beside the node's value."""
        return Buffer(f"{self.node.name}.{name}", self.dtype, shape, row_major(shape))

    def at(self, step: Index, width: int, column: Index) -> Index:
        """The place in an array (steps, batch, width), in the row of the sample."""
        return step * (self.batch * width) + of(self.row) * width + column

    def step(self, number: Index) -> Index:
        """The step that is taken as the n-th one."""
        return number * -1 + (self.steps - 1) if self.backward else number

    def product(
        self, out: Matrix, a: Matrix, b: Matrix, n: Axis, k: Axis, *, accumulate: bool
    ) -> list[Statement]:
        """Out = a b for the samples of a thread, or out += a b."""
        if n.size * k.size > SMALL:
            return [Gemm(self.row, n, k, a, b, out, accumulate)]
        body: list[Statement] = []
        if not accumulate:
            zero = Store(out.buffer, out.index, constant(0, self.dtype))
            body += loops([n], [zero])
        term = load(a.buffer, a.index) * load(b.buffer, b.index)
        body += loops([k, n], [Store(out.buffer, out.index, load(out.buffer, out.index) + term)])
        return [Loop(self.row, tuple(body))]


def forth(plan: Plan, node: Any) -> list[Kernel]:
    """The states after every step; the gates are kept in `plan.kept`."""
    run = Run(plan, node, node)
    steps, batch, hidden, width = run.steps, run.batch, run.hidden, run.width
    out = plan.buffer(node)
    gates = plan.kept[node] = run.buffer("gates", steps, batch, width)
    rows, columns, k = Axis(steps * batch), Axis(width), Axis(run.features)
    share = Gemm(
        rows,
        columns,
        k,
        Matrix(run.x, of(rows) * run.features + of(k)),
        Matrix(run.w, of(columns) * run.features + of(k)),
        Matrix(gates, of(rows) * width + of(columns)),
    )
    turned = run.buffer("turned", hidden, width)
    i, j = Axis(hidden), Axis(width)
    copy = Store(turned, of(i) * width + of(j), load(run.r, of(j) * hidden + of(i)))
    first = [
        make_kernel([node], [share], rows),
        make_kernel([node], loops([i, j], [copy]), i if hidden > 1 else None),
    ]

    def step(now: Index, before: Index | None) -> list[Statement]:
        body: list[Statement] = []
        if before is not None:
            n, m = Axis(width), Axis(hidden)
            body += run.product(
                Matrix(gates, run.at(now, width, of(n))),
                Matrix(out, run.at(before, hidden, of(m))),
                Matrix(turned, of(m) * width + of(n)),
                n,
                m,
                accumulate=True,
            )
        stores = (
            _forth_lstm(run, gates, out, now, before)
            if run.lstm
            else _forth_rnn(run, gates, out, now)
        )
        return [*body, Loop(run.row, loops([run.unit], stores))]

    number = Axis(steps - 1)
    body = step(run.step(Index(0, {})), None)
    if steps > 1:
        again = step(run.step(of(number) + 1), run.step(of(number)))
        body += loops([number], again)
    return [*first, make_kernel([node], body, run.row)]


def _gate(run: Run, gates: Buffer, now: Index, block: int) -> Symbol:
    """A gate before its function: the shares of input and state, and both biases."""
    column = of(run.unit) + block * run.hidden
    total = load(gates, run.at(now, run.width, column))
    if run.b is not None:
        total = total + load(run.b, column) + load(run.b, column + run.width)
    return total


def _forth_rnn(run: Run, gates: Buffer, out: Buffer, now: Index) -> list[Statement]:
    x = _gate(run, gates, now, 0)
    h = apply(np.maximum, x, constant(0, run.dtype)) if run.relu else apply(np.tanh, x)
    return [Store(out, run.at(now, run.hidden, of(run.unit)), h)]


def _forth_lstm(
    run: Run, gates: Buffer, out: Buffer, now: Index, before: Index | None
) -> list[Statement]:
    """Input, output and forget gate and the new content; the cells lie behind all states."""
    one = constant(1, run.dtype)
    i, o, forget = (
        one / (one + apply(np.exp, -_gate(run, gates, now, block))) for block in range(3)
    )
    g = apply(np.tanh, _gate(run, gates, now, 3))
    cells = run.steps * run.batch * run.hidden
    place = run.at(now, run.hidden, of(run.unit))
    c = i * g
    if before is not None:
        c = forget * load(out, run.at(before, run.hidden, of(run.unit)) + cells) + c
    stores: list[Statement] = [
        Store(gates, run.at(now, run.width, of(run.unit) + block * run.hidden), value)
        for block, value in enumerate((i, o, forget, g))
    ]
    return [*stores, Store(out, place + cells, c), Store(out, place, o * apply(np.tanh, c))]


def back(plan: Plan, node: Any) -> list[Kernel]:
    """The gradients of all inputs, one behind the other: x, w, r, b."""
    forward = node.inputs[-2]
    run = Run(plan, node, forward)
    steps, batch, hidden, width = run.steps, run.batch, run.hidden, run.width
    out, states = plan.buffer(node), plan.contiguous(node, len(node.inputs) - 2)
    upstream = plan.contiguous(node, len(node.inputs) - 1)
    slopes = run.buffer("slopes", steps, batch, width)
    dh, dc = run.buffer("state", batch, hidden), run.buffer("cell", batch, hidden)
    here = of(run.row) * hidden + of(run.unit)
    zeros: list[Statement] = [Store(dh, here, constant(0, run.dtype))]
    if run.lstm:
        zeros.append(Store(dc, here, constant(0, run.dtype)))

    def step(now: Index, before: Index | None) -> list[Statement]:
        place = run.at(now, hidden, of(run.unit))
        total = load(upstream, place) + load(dh, here)
        if run.lstm:
            stores = _back_lstm(run, states, upstream, slopes, dc, total, now, before)
        else:
            h = load(states, place)
            bend = (h > 0).astype(run.dtype) if run.relu else 1.0 - h * h
            stores = [Store(slopes, run.at(now, width, of(run.unit)), total * bend)]
        body: list[Statement] = [Loop(run.row, loops([run.unit], stores))]
        if before is not None:
            n, k = Axis(hidden), Axis(width)
            body += run.product(
                Matrix(dh, of(run.row) * hidden + of(n)),
                Matrix(slopes, run.at(now, width, of(k))),
                Matrix(run.r, of(k) * hidden + of(n)),
                n,
                k,
                accumulate=False,
            )
        return body

    number = Axis(steps - 1)
    body: list[Statement] = [Loop(run.row, loops([run.unit], zeros))]
    if steps > 1:
        last = of(number) * -1 + (steps - 1)
        body += loops([number], step(run.step(last), run.step(last + -1)))
    body += step(run.step(Index(0, {})), None)
    return [make_kernel([node], body, run.row), *_weights(run, out, states, slopes)]


def _back_lstm(
    run: Run,
    states: Buffer,
    upstream: Buffer,
    slopes: Buffer,
    dc: Buffer,
    dh: Symbol,
    now: Index,
    before: Index | None,
) -> list[Statement]:
    gates = run.plan.kept[run.node.inputs[-2]]
    cells = run.steps * run.batch * run.hidden
    place = run.at(now, run.hidden, of(run.unit))
    here = of(run.row) * run.hidden + of(run.unit)
    i, o, forget, g = (
        load(gates, run.at(now, run.width, of(run.unit) + block * run.hidden)) for block in range(4)
    )
    squashed = apply(np.tanh, load(states, place + cells))
    through = load(dc, here) + load(upstream, place + cells) + dh * o * (1.0 - squashed * squashed)
    c = (
        constant(0, run.dtype)
        if before is None
        else load(states, run.at(before, run.hidden, of(run.unit)) + cells)
    )
    found = (
        through * g * i * (1.0 - i),
        dh * squashed * o * (1.0 - o),
        through * c * forget * (1.0 - forget),
        through * i * (1.0 - g * g),
    )
    stores: list[Statement] = [
        Store(slopes, run.at(now, run.width, of(run.unit) + block * run.hidden), value)
        for block, value in enumerate(found)
    ]
    return [*stores, Store(dc, here, through * forget)]


def _weights(run: Run, out: Buffer, states: Buffer, slopes: Buffer) -> list[Kernel]:
    """The gradients of x, w, r and b, from those of the gates of all steps."""
    rows = run.steps * run.batch
    width, hidden, features = run.width, run.hidden, run.features
    every, unit, feature, state = Axis(rows), Axis(width), Axis(features), Axis(hidden)
    start_w = rows * features
    start_r = start_w + width * features
    start_b = start_r + width * hidden
    by_x = Gemm(
        every,
        feature,
        unit,
        Matrix(slopes, of(every) * width + of(unit)),
        Matrix(run.w, of(unit) * features + of(feature)),
        Matrix(out, of(every) * features + of(feature)),
    )
    sample = Axis(rows)
    by_w = Gemm(
        unit,
        feature,
        sample,
        Matrix(slopes, of(sample) * width + of(unit)),
        Matrix(run.x, of(sample) * features + of(feature)),
        Matrix(out, of(unit) * features + of(feature) + start_w),
    )
    found = [make_kernel([run.node], [by_x], every), make_kernel([run.node], [by_w], unit)]
    if run.steps > 1:
        later = Axis(rows - run.batch)
        ahead, behind = (0, run.batch) if run.backward else (run.batch, 0)
        by_r = Gemm(
            unit,
            state,
            later,
            Matrix(slopes, of(later) * width + of(unit) + ahead * width),
            Matrix(states, of(later) * hidden + of(state) + behind * hidden),
            Matrix(out, of(unit) * hidden + of(state) + start_r),
        )
        found.append(make_kernel([run.node], [by_r], unit))
    else:
        place = of(unit) * hidden + of(state) + start_r
        zero = Store(out, place, constant(0, run.dtype))
        found.append(make_kernel([run.node], loops([unit, state], [zero]), unit))
    if run.biased:
        column, one = Axis(width), Axis(rows)
        target = of(column) + start_b
        total = load(out, target) + load(slopes, of(one) * width + of(column))
        body = (
            *loops([column], [Store(out, target, constant(0, run.dtype))]),
            *loops([one, column], [Store(out, target, total)]),
            *loops([column], [Store(out, target + width, load(out, target))]),
        )
        found.append(make_kernel([run.node], body, column))
    return found


def _covered(node: Any) -> None:
    floating(node)
    forward = node if type(node).__name__ in ("RNN", "LSTM") else node.inputs[-2]
    if (
        type(forward).__name__ not in ("RNN", "LSTM")
        or forward.inputs != node.inputs[: len(forward.inputs)]
    ):
        raise Unsupported("no lowering for this recurrence")
    if forward.direction == "bidirectional" or set(forward.given) - {"b"}:
        raise Unsupported("both directions, lengths and first states are not covered")


TABLE = Table(
    products={"RNN": forth, "LSTM": forth, "RecurrenceGradient": back},
    checks=dict.fromkeys(("RNN", "LSTM", "RecurrenceGradient"), _covered),
)
