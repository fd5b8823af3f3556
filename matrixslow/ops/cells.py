"""One step of a recurrence, and one step back: the mathematics of RNN, LSTM and GRU.

In the formulas h is the state (batch, hidden), a the input's share of the gates, x W' plus its
bias, and R the recurrent weights (hidden, gates * hidden) with their bias b.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

Value = Any
"""An array, or a node that stands for one."""

State = tuple[Value, ...]
"""What is handed from step to step; the first is the output."""


class Weights(NamedTuple):
    """The recurrent weights and their bias."""

    r: Value
    b: Value


class Functions(NamedTuple):
    """What a step calls besides Python's operators."""

    sigmoid: Callable[[Value], Value]
    tanh: Callable[[Value], Value]
    relu: Callable[[Value], Value]
    join: Callable[[Sequence[Value]], Value]
    """Puts blocks side by side on the last axis."""


class Slopes(NamedTuple):
    """The gradients before a step."""

    a: Value
    """With respect to the input's share of the gates."""
    q: Value
    """With respect to the recurrent share of the gates."""
    state: State


class Cell(ABC):
    """A kind of recurrence."""

    gates: ClassVar[int]
    """How many blocks of hidden size the weights have."""
    states: ClassVar[int]
    """How many arrays the state has."""

    @abstractmethod
    def step(self, f: Functions, a: Value, state: State, weights: Weights) -> State:
        """The state after a step, for arrays and nodes alike."""

    @abstractmethod
    def recall(
        self, f: Functions, a: Value, before: State, after: State, weights: Weights
    ) -> tuple[Value, ...]:
        """What `back` needs of the way forth, found again for all steps at once.

        Here all arrays have the steps as their first axis.
        """

    @abstractmethod
    def back(
        self, f: Functions, recalled: tuple[Value, ...], slope: State, weights: Weights
    ) -> Slopes:
        """The gradients before a step, from the one with respect to the state after it."""

    def weight_slope(self, recalled: tuple[Value, ...], q: Value, before: State) -> Value:
        """The gradient with respect to R: the sum of outer products over steps and batch."""
        return _outer(before[0], q)


@dataclass(frozen=True)
class RNNCell(Cell):
    """h' = f(a + h R + b), f = tanh or relu.

    Source: Elman, "Finding structure in time" (1990).
    """

    activation: str
    gates = 1
    states = 1

    def step(self, f: Functions, a: Value, state: State, weights: Weights) -> State:
        """The state after a step."""
        (h,) = state
        activate = f.tanh if self.activation == "tanh" else f.relu
        return (activate(a + h @ weights.r + weights.b),)

    def recall(
        self, f: Functions, a: Value, before: State, after: State, weights: Weights
    ) -> tuple[Value, ...]:
        """The slope of f, written in its value."""
        (h,) = after
        return (1.0 - h * h if self.activation == "tanh" else (h > 0.0).astype(h.dtype),)

    def back(
        self, f: Functions, recalled: tuple[Value, ...], slope: State, weights: Weights
    ) -> Slopes:
        """The gradients before a step."""
        (bend,), (dh,) = recalled, slope
        da = dh * bend
        return Slopes(da, da, (da @ weights.r.T,))


@dataclass(frozen=True)
class LSTMCell(Cell):
    """c' = f c + i g and h' = o tanh c'; i, o, f = sigmoid and g = tanh of their a + h R + b.

    Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997); the forget gate f by Gers
    et al., "Learning to forget" (2000).
    """

    gates = 4
    states = 2

    def step(self, f: Functions, a: Value, state: State, weights: Weights) -> State:
        """The state after a step."""
        _, c = state
        opened, g = self._gates(f, a, state, weights)
        i, o, forget = _blocks(opened, 3)
        c = forget * c + i * g
        return o * f.tanh(c), c

    def _gates(self, f: Functions, a: Value, state: State, weights: Weights) -> tuple[Value, Value]:
        """i, o and f side by side, and g."""
        gates = a + state[0] @ weights.r + weights.b
        size = gates.shape[-1] // 4 * 3
        return f.sigmoid(gates[..., :size]), f.tanh(gates[..., size:])

    def recall(
        self, f: Functions, a: Value, before: State, after: State, weights: Weights
    ) -> tuple[Value, ...]:
        """The gates, c and tanh c'."""
        return (*self._gates(f, a, before, weights), before[1], f.tanh(after[1]))

    def back(
        self, f: Functions, recalled: tuple[Value, ...], slope: State, weights: Weights
    ) -> Slopes:
        """The gradients before a step."""
        opened, g, c, squashed = recalled
        dh, dc = slope
        i, o, forget = _blocks(opened, 3)
        dc = dc + dh * o * (1.0 - squashed * squashed)
        bent = f.join([dc * g, dh * squashed, dc * c]) * opened * (1.0 - opened)
        da = f.join([bent, dc * i * (1.0 - g * g)])
        return Slopes(da, da, (da @ weights.r.T, dc * forget))


@dataclass(frozen=True)
class GRUCell(Cell):
    """z, s = sigmoid and n = tanh of their shares of the gates; h' = (1 - z) n + z h.

    The gates z and s see a + h R + b. n sees a + s (h R + b) where the reset s comes after the
    product, as in torch and Keras, else a + (s h) R + b, as first published.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014).
    """

    reset_after: bool
    gates = 3
    states = 1

    def step(self, f: Functions, a: Value, state: State, weights: Weights) -> State:
        """The state after a step."""
        (h,) = state
        opened, n, _ = self._gates(f, a, h, weights)
        z, _ = _blocks(opened, 2)
        return ((1.0 - z) * n + z * h,)

    def _gates(
        self, f: Functions, a: Value, h: Value, weights: Weights
    ) -> tuple[Value, Value, Value]:
        """The gates z and s side by side, n, and what s is multiplied by."""
        r, b = weights
        two = 2 * h.shape[-1]
        if self.reset_after:
            q = h @ r + b
            opened = f.sigmoid(a[..., :two] + q[..., :two])
            _, s = _blocks(opened, 2)
            return opened, f.tanh(a[..., two:] + s * q[..., two:]), q[..., two:]
        opened = f.sigmoid(a[..., :two] + h @ r[:, :two] + b[:two])
        _, s = _blocks(opened, 2)
        return opened, f.tanh(a[..., two:] + (s * h) @ r[:, two:] + b[two:]), h

    def recall(
        self, f: Functions, a: Value, before: State, after: State, weights: Weights
    ) -> tuple[Value, ...]:
        """The gates, n, what s is multiplied by, and h."""
        (h,) = before
        return (*self._gates(f, a, h, weights), h)

    def back(
        self, f: Functions, recalled: tuple[Value, ...], slope: State, weights: Weights
    ) -> Slopes:
        """The gradients before a step."""
        opened, n, reset, h = recalled
        (dh,) = slope
        two = 2 * h.shape[-1]
        z, s = _blocks(opened, 2)
        dn = dh * (1.0 - z) * (1.0 - n * n)
        inner = dn if self.reset_after else dn @ weights.r[:, two:].T
        bent = f.join([dh * (h - n), inner * reset]) * opened * (1.0 - opened)
        da = f.join([bent, dn])
        if self.reset_after:
            dq = f.join([bent, dn * s])
            return Slopes(da, dq, (dh * z + dq @ weights.r.T,))
        return Slopes(da, da, (dh * z + inner * s + bent @ weights.r[:, :two].T,))

    def weight_slope(self, recalled: tuple[Value, ...], q: Value, before: State) -> Value:
        """The gradient with respect to R."""
        (h,) = before
        if self.reset_after:
            return _outer(h, q)
        opened, *_ = recalled
        _, s = _blocks(opened, 2)
        two = 2 * h.shape[-1]
        slope = _outer(h, q)
        slope[:, two:] = _outer(s * h, q[..., two:])
        return slope


def array_functions(xp: ModuleType) -> Functions:
    """The functions of arrays."""
    return Functions(
        sigmoid=lambda x: 1.0 / (1.0 + xp.exp(-x)),
        tanh=xp.tanh,
        relu=lambda x: xp.maximum(x, 0.0),
        join=lambda blocks: xp.concatenate(blocks, axis=-1),
    )


def _blocks(gates: Value, count: int) -> list[Value]:
    size = gates.shape[-1] // count
    return [gates[..., n * size : (n + 1) * size] for n in range(count)]


def _outer(before: Value, gates: Value) -> Value:
    return before.reshape(-1, before.shape[-1]).T @ gates.reshape(-1, gates.shape[-1])
