"""A recurrence over all steps in one direction: forth, back, and laid out in ordinary nodes."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

from matrixslow.backend import Array
from matrixslow.core.leaf import Constant
from matrixslow.core.node import Node
from matrixslow.ops.activation import Relu, Sigmoid
from matrixslow.ops.cells import Cell, Functions, State, Value, Weights, array_functions
from matrixslow.ops.comparison import Greater, Where
from matrixslow.ops.joining import Concat
from matrixslow.ops.like import ZerosLike
from matrixslow.ops.shaping import Transpose, Unsqueeze
from matrixslow.ops.trigonometry import Tanh

DIRECTIONS = ("forward", "reverse", "bidirectional")

FIRST_STATES = ("initial_h", "initial_c")


class Strand(NamedTuple):
    """What belongs to one direction: arrays, or nodes that stand for them."""

    w: Value
    """(gates * hidden, features)."""
    r: Value
    """(gates * hidden, hidden)."""
    b: Value | None
    """The biases of w and of r, (2 * gates * hidden); None for zeros."""
    first: tuple[Value | None, ...]
    """The state before the first step, (batch, hidden) each; None for zeros."""
    backward: bool

    def order(self, steps: int) -> range:
        """The steps in the order they are taken."""
        return range(steps - 1, -1, -1) if self.backward else range(steps)


def strands(
    cell: Cell, direction: str, w: Value, r: Value, given: Mapping[str, Value]
) -> list[Strand]:
    """The directions apart; the first axis of every input but `sequence_lens` counts them."""
    backward = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    return [
        Strand(
            w[d],
            r[d],
            given["b"][d] if "b" in given else None,
            tuple(given[x][d] if x in given else None for x in FIRST_STATES[: cell.states]),
            backward[d],
        )
        for d in range(len(backward))
    ]


def forth(
    xp: ModuleType, cell: Cell, strand: Strand, x: Array, lengths: Array | None
) -> list[Array]:
    """The states after every step, (steps, batch, hidden) each; 0 from a sequence's length on."""
    functions, weights = array_functions(xp), _weights(xp, strand)
    a, state, valid = _input_gates(x, strand), _first_state(xp, x, strand), _valid(xp, x, lengths)
    states = [xp.zeros((*x.shape[:2], weights.r.shape[0]), x.dtype) for _ in state]
    for t in strand.order(len(x)):
        after = cell.step(functions, a[t], state, weights)
        state = after if valid is None else _choose(xp, valid[t], after, state)
        for series, value in zip(states, state, strict=True):
            series[t] = value
    if valid is None:
        return states
    return [xp.where(valid, series, xp.zeros((), x.dtype)) for series in states]


def back(
    xp: ModuleType,
    cell: Cell,
    strand: Strand,
    x: Array,
    lengths: Array | None,
    states: list[Array],
    upstream: list[Array],
) -> dict[str, Array]:
    """The gradients by the names of ONNX's inputs, from those with respect to the states."""
    functions, weights = array_functions(xp), _weights(xp, strand)
    a, state, valid = _input_gates(x, strand), _first_state(xp, x, strand), _valid(xp, x, lengths)
    before = tuple(
        _before(xp, series, first, strand, valid)
        for series, first in zip(states, state, strict=True)
    )
    # All steps at once, as rows of one matrix.
    recalled = cell.recall(
        functions, _rows(a), tuple(map(_rows, before)), tuple(map(_rows, states)), weights
    )
    series = [rows.reshape(*x.shape[:2], rows.shape[1]) for rows in recalled]
    da, dq = xp.zeros_like(a), xp.zeros_like(a)
    slope: State = tuple(xp.zeros_like(first) for first in state)
    for t in reversed(strand.order(len(x))):
        total = tuple(up[t] + rest for up, rest in zip(upstream, slope, strict=True))
        found = cell.back(functions, tuple(array[t] for array in series), total, weights)
        da[t], dq[t] = found.a, found.q
        slope = found.state if valid is None else _choose(xp, valid[t], found.state, slope)
    if valid is not None:
        da, dq = _choose(xp, valid, (da, dq), (xp.zeros((), x.dtype),) * 2)
    da, dq = _rows(da), _rows(dq)
    return {
        "x": (da @ strand.w).reshape(x.shape),
        "w": da.T @ _rows(x),
        "r": cell.weight_slope(recalled, dq, tuple(map(_rows, before))).T,
        "b": xp.concatenate([da.sum(axis=0), dq.sum(axis=0)]),
        **dict(zip(FIRST_STATES, slope, strict=False)),
    }


def lay_out(cell: Cell, strand: Strand, x: Node, lengths: Node | None) -> list[Node]:
    """What `forth` computes, as nodes that a user could write; the steps must be known."""
    assert x.shape[0] is not None
    functions = Functions(
        sigmoid=Sigmoid,
        tanh=Tanh,
        relu=Relu,
        join=lambda blocks: Concat(*blocks, axis=-1),
    )
    width, hidden = strand.r.shape
    bias = Constant([0.0] * (2 * width), dtype=x.dtype) if strand.b is None else strand.b
    weights = Weights(Transpose(strand.r), bias[width:])
    a = x @ Transpose(strand.w) + bias[:width]
    zeros = ZerosLike(a[0][:, :hidden])
    state: State = tuple(zeros if first is None else first for first in strand.first)
    states: list[list[Node]] = [[] for _ in state]
    for t in strand.order(x.shape[0]):
        after = kept = cell.step(functions, a[t], state, weights)
        if lengths is not None:
            inside = Greater(lengths, Constant(t, dtype=lengths.dtype))
            valid = Unsqueeze(inside, axes=1)
            after = tuple(map(Where, (valid,) * len(after), after, state))
            kept = tuple(Where(valid, value, zeros) for value in after)
        state = after
        for series, value in zip(states, kept, strict=True):
            series.append(Unsqueeze(value, axes=0))
    forward = slice(None, None, -1 if strand.backward else 1)
    return [Concat(*series[forward], axis=0) for series in states]


def _input_gates(x: Array, strand: Strand) -> Array:
    """The input's share of the gates of all steps: one matrix product."""
    a = _rows(x) @ strand.w.T
    if strand.b is not None:
        a += strand.b[: a.shape[1]]
    return a.reshape(*x.shape[:2], a.shape[1])


def _weights(xp: ModuleType, strand: Strand) -> Weights:
    width = strand.r.shape[0]
    b = xp.zeros(width, strand.r.dtype) if strand.b is None else strand.b[width:]
    return Weights(strand.r.T, b)


def _first_state(xp: ModuleType, x: Array, strand: Strand) -> State:
    zeros = xp.zeros((x.shape[1], strand.r.shape[1]), x.dtype)
    return tuple(zeros if first is None else first for first in strand.first)


def _valid(xp: ModuleType, x: Array, lengths: Array | None) -> Array | None:
    """Which steps are inside of their sequence, (steps, batch, 1); None where all are."""
    return None if lengths is None else (xp.arange(len(x))[:, None] < lengths)[:, :, None]


def _before(
    xp: ModuleType, series: Array, first: Array, strand: Strand, valid: Array | None
) -> Array:
    """The state before each step."""
    steps = len(series)

    def shifted(values: Array, start: Array) -> Array:
        parts = [values[1:], start[None]] if strand.backward else [start[None], values[:-1]]
        return xp.concatenate(parts)[:steps]

    before = shifted(series, first)
    if valid is None:
        return before
    return xp.where(shifted(valid, xp.zeros_like(valid[0])), before, first)


def _choose(xp: ModuleType, condition: Array, chosen: State, others: State) -> State:
    return tuple(xp.where(condition, x, y) for x, y in zip(chosen, others, strict=True))


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])
