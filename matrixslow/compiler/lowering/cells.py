"""One step of a recurrence and one step back, as loops and small products; see `ops.cells`.

Each function takes the step, and where the states before it lie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from matrixslow.compiler.indices import Axis, Index, of
from matrixslow.compiler.loops import Matrix, Statement, Store
from matrixslow.compiler.symbols import Buffer, Symbol, apply, constant, load

if TYPE_CHECKING:
    from matrixslow.compiler.lowering.recurrent import Strand

Kept = Mapping[str, Buffer]


@dataclass(frozen=True, slots=True)
class Slab:
    """Rows of samples in a buffer.

    Attributes:
        start: The place of the first number of the sample at hand.
    """

    buffer: Buffer
    start: Index

    def at(self, column: Index) -> Index:
        """The place of a number."""
        return self.start + column

    def load(self, column: Index) -> Symbol:
        """A number."""
        return load(self.buffer, self.at(column))

    def from_column(self, first: int) -> Slab:
        """The same rows without their first columns."""
        return Slab(self.buffer, self.start + first)

    def matrix(self, columns: Axis) -> Matrix:
        """The samples as rows of a matrix."""
        return Matrix(self.buffer, self.at(of(columns)))


States = list[Slab | None]
"""Where states lie; None for zeros."""

Step = Callable[[Index, States], list[Statement]]


@dataclass(frozen=True, slots=True)
class Way:
    """What a step back sees.

    Attributes:
        kept, slopes: The buffers that the cell names.
        carried: The gradients of the states from the step behind it.
        values: The states after all steps.
        upstream: The gradients with respect to them.
    """

    kept: Kept
    slopes: Kept
    carried: Sequence[Slab]
    values: Buffer
    upstream: Buffer


class Cell(ABC):
    """A kind of recurrence.

    Attributes:
        states: How many arrays the state has.
        kept: What is kept of each step, with its width in units.
        slopes: The gradients of each step that are kept for those of the weights, likewise.
        bent: Which of them belongs to the state's share of the gates.
        outer: For blocks of gates (first, count), what the state's share was multiplied with: a
            name in `kept`, or "" for the state before.
    """

    states: ClassVar[int] = 1
    kept: ClassVar[dict[str, int]]
    slopes: ClassVar[dict[str, int]]
    bent: ClassVar[str] = "slopes"
    outer: ClassVar[Sequence[tuple[int, int, str]]]

    @abstractmethod
    def forth(self, strand: Strand, kept: Kept, turned: Buffer) -> Step:
        """A step; `turned` has the state's weights (hidden, gates * hidden)."""

    @abstractmethod
    def back(self, strand: Strand, way: Way) -> Step:
        """A step back."""


@dataclass(frozen=True)
class RNN(Cell):
    """h' = f(a + h R + b)."""

    activation: str
    kept: ClassVar = {"gates": 1}
    slopes: ClassVar = {"slopes": 1}
    outer = ((0, 1, ""),)

    def forth(self, strand: Strand, kept: Kept, turned: Buffer) -> Step:
        """A step."""

        def step(now: Index, before: States) -> list[Statement]:
            x = _gate(strand, kept, now, 0)
            zero = constant(0, strand.dtype)
            h = apply(np.tanh, x) if self.activation == "tanh" else apply(np.maximum, x, zero)
            product = _product(strand, strand.rows(kept["gates"], now), before[0], turned)
            return [*product, strand.each(*strand.keep(now, [h]))]

        return step

    def back(self, strand: Strand, way: Way) -> Step:
        """A step back."""

        def step(now: Index, before: States) -> list[Statement]:
            (dh,) = _arrived(strand, way, now)
            h = strand.states(way.values, now)[0].load(of(strand.unit))
            bend = 1.0 - h * h if self.activation == "tanh" else (h > 0).astype(strand.dtype)
            found = [_store(strand, way.slopes["slopes"], now, 0, dh * bend)]
            return [
                strand.each(*found),
                *_handed(strand, way, now, before),
            ]

        return step


class LSTM(Cell):
    """c' = f c + i g and h' = o tanh c'; i, o, f = sigmoid and g = tanh of their shares."""

    states = 2
    kept: ClassVar = {"gates": 4}
    slopes: ClassVar = {"slopes": 4}
    outer = ((0, 4, ""),)

    def forth(self, strand: Strand, kept: Kept, turned: Buffer) -> Step:
        """A step."""

        def step(now: Index, before: States) -> list[Statement]:
            i, o, f = (_sigmoid(_gate(strand, kept, now, block)) for block in range(3))
            g = apply(np.tanh, _gate(strand, kept, now, 3))
            c = i * g
            if before[1] is not None:
                c = f * before[1].load(of(strand.unit)) + c
            gates = [
                _store(strand, kept["gates"], now, block, value)
                for block, value in enumerate((i, o, f, g))
            ]
            states = strand.keep(now, [o * apply(np.tanh, c), c])
            product = _product(strand, strand.rows(kept["gates"], now), before[0], turned)
            return [*product, strand.each(*gates, *states)]

        return step

    def back(self, strand: Strand, way: Way) -> Step:
        """A step back."""

        def step(now: Index, before: States) -> list[Statement]:
            column = of(strand.unit)
            i, o, f, g = (_kept(strand, way.kept["gates"], now, block) for block in range(4))
            squashed = apply(np.tanh, strand.states(way.values, now)[1].load(column))
            dh, arrived = _arrived(strand, way, now)
            dc = arrived + dh * o * (1.0 - squashed * squashed)
            found = (
                dc * g * i * (1.0 - i),
                dh * squashed * o * (1.0 - o),
                dc * strand.value(before[1], column) * f * (1.0 - f),
                dc * i * (1.0 - g * g),
            )
            stores = [
                _store(strand, way.slopes["slopes"], now, block, value)
                for block, value in enumerate(found)
            ]
            stores.append(Store(way.carried[1].buffer, way.carried[1].at(column), dc * f))
            return [
                strand.each(*stores),
                *_handed(strand, way, now, before),
            ]

        return step


class GRU(Cell):
    """z, s = sigmoid and n = tanh(a + s (h R + b)); h' = (1 - z) n + z h: reset after."""

    kept: ClassVar = {"gates": 3, "reset": 1}
    slopes: ClassVar = {"slopes": 3, "bent": 3}
    bent = "bent"
    outer = ((0, 3, ""),)

    def forth(self, strand: Strand, kept: Kept, turned: Buffer) -> Step:
        """A step; what the reset gate multiplies is kept."""
        share = strand.buffer("share", strand.batch, strand.width)

        def step(now: Index, before: States) -> list[Statement]:
            inputs = [_kept(strand, kept["gates"], now, block) for block in range(3)]
            own = []
            for block in range(3):
                a, q = strand.biases(block)
                inputs[block] = inputs[block] + a
                if before[0] is not None:
                    q = q + strand.rows(share).load(of(strand.unit) + block * strand.hidden)
                own.append(q)
            z, s = (_sigmoid(a + q) for a, q in zip(inputs[:2], own[:2], strict=True))
            n = apply(np.tanh, inputs[2] + s * own[2])
            stores = [
                _store(strand, kept["gates"], now, block, value)
                for block, value in enumerate((z, s, n))
            ]
            stores.append(_store(strand, kept["reset"], now, 0, own[2]))
            h = (1.0 - z) * n + z * strand.value(before[0], of(strand.unit))
            product = _product(strand, strand.rows(share), before[0], turned, add=False)
            return [*product, strand.each(*stores, *strand.keep(now, [h]))]

        return step

    def back(self, strand: Strand, way: Way) -> Step:
        """A step back."""

        def step(now: Index, before: States) -> list[Statement]:
            z, s, n = (_kept(strand, way.kept["gates"], now, block) for block in range(3))
            reset = _kept(strand, way.kept["reset"], now, 0)
            h = strand.value(before[0], of(strand.unit))
            (dh,) = _arrived(strand, way, now)
            dn = dh * (1.0 - z) * (1.0 - n * n)
            found = (dh * (h - n) * z * (1.0 - z), dn * reset * s * (1.0 - s), dn)
            stores = [
                _store(strand, way.slopes[name], now, block, value)
                for name, values in (("slopes", found), ("bent", (*found[:2], dn * s)))
                for block, value in enumerate(values)
            ]
            stores.append(Store(way.carried[0].buffer, way.carried[0].at(of(strand.unit)), dh * z))
            handed = _handed(strand, way, now, before, add=True)
            return [strand.each(*stores), *handed]

        return step


class FirstGRU(Cell):
    """z, s = sigmoid and n = tanh(a + (s h) R + b); h' = (1 - z) n + z h: reset before."""

    kept: ClassVar = {"gates": 3, "reset": 1}
    slopes: ClassVar = {"slopes": 3}
    outer = ((0, 2, ""), (2, 1, "reset"))

    def forth(self, strand: Strand, kept: Kept, turned: Buffer) -> Step:
        """A step; the state behind the reset gate is kept."""

        def step(now: Index, before: States) -> list[Statement]:
            h = strand.value(before[0], of(strand.unit))
            s = _sigmoid(_gate(strand, kept, now, 1))
            first = strand.each(
                _store(strand, kept["gates"], now, 1, s),
                _store(strand, kept["reset"], now, 0, s * h),
            )
            z = _sigmoid(_gate(strand, kept, now, 0))
            n = apply(np.tanh, _gate(strand, kept, now, 2))
            stores = [
                _store(strand, kept["gates"], now, block, value)
                for block, value in ((0, z), (2, n))
            ]
            behind = None if before[0] is None else strand.rows(kept["reset"], now)
            return [
                *_product(strand, strand.rows(kept["gates"], now), before[0], turned, gates=2),
                first,
                *_product(strand, strand.rows(kept["gates"], now), behind, turned, skip=2, gates=1),
                strand.each(*stores, *strand.keep(now, [(1.0 - z) * n + z * h])),
            ]

        return step

    def back(self, strand: Strand, way: Way) -> Step:
        """A step back."""
        inner = strand.rows(strand.buffer("inner", strand.batch, strand.hidden))

        def step(now: Index, before: States) -> list[Statement]:
            column = of(strand.unit)
            z, s, n = (_kept(strand, way.kept["gates"], now, block) for block in range(3))
            h = strand.value(before[0], column)
            (dh,) = _arrived(strand, way, now)
            first = [
                _store(strand, way.slopes["slopes"], now, 0, dh * (h - n) * z * (1.0 - z)),
                _store(strand, way.slopes["slopes"], now, 2, dh * (1.0 - z) * (1.0 - n * n)),
            ]
            dn = strand.rows(way.slopes["slopes"], now, 2 * strand.hidden)
            bent = inner.load(column) * h * s * (1.0 - s)
            handed = dh * z + inner.load(column) * s
            second = [
                _store(strand, way.slopes["slopes"], now, 1, bent),
                Store(way.carried[0].buffer, way.carried[0].at(column), handed),
            ]
            return [
                strand.each(*first),
                *_through(strand, inner, dn, skip=2, gates=1, add=False),
                strand.each(*second),
                *_handed(strand, way, now, before, add=True, gates=2),
            ]

        return step


CELLS: Mapping[str, Cell] = {
    "rnn_tanh": RNN("tanh"),
    "rnn_relu": RNN("relu"),
    "lstm": LSTM(),
    "gru": FirstGRU(),
    "gru_reset_after": GRU(),
}


def _sigmoid(x: Symbol) -> Symbol:
    one = constant(1, x.dtype)
    return one / (one + apply(np.exp, -x))


def _kept(strand: Strand, buffer: Buffer, now: Index, block: int) -> Symbol:
    return strand.rows(buffer, now, block * strand.hidden).load(of(strand.unit))


def _store(strand: Strand, buffer: Buffer, now: Index, block: int, value: Symbol) -> Store:
    return Store(buffer, strand.rows(buffer, now, block * strand.hidden).at(of(strand.unit)), value)


def _gate(strand: Strand, kept: Kept, now: Index, block: int) -> Symbol:
    """A gate before its function: the shares of input and state, and both biases."""
    a, q = strand.biases(block)
    return _kept(strand, kept["gates"], now, block) + a + q


def _product(
    strand: Strand,
    out: Slab,
    state: Slab | None,
    turned: Buffer,
    *,
    skip: int = 0,
    gates: int | None = None,
    add: bool = True,
) -> list[Statement]:
    """The state's share of some gates: out += state R', from a block on; none where it is 0."""
    if state is None:
        return []
    first, width = skip * strand.hidden, strand.width
    n, k = Axis(strand.width if gates is None else gates * strand.hidden), Axis(strand.hidden)
    weights = Matrix(turned, of(k) * width + of(n) + first)
    return [strand.multiply(out.from_column(first), state, weights, n, k, add=add)]


def _through(
    strand: Strand, out: Slab, slopes: Slab, *, skip: int = 0, gates: int | None = None, add: bool
) -> list[Statement]:
    """The gradient of the state from those of some gates: out = slopes R, or out += slopes R."""
    n, k = Axis(strand.hidden), Axis(strand.width if gates is None else gates * strand.hidden)
    start = strand.r_start + skip * strand.hidden * strand.hidden
    weights = Matrix(strand.r, of(k) * strand.hidden + of(n) + start)
    return [strand.multiply(out, slopes, weights, n, k, add=add)]


def _arrived(strand: Strand, way: Way, now: Index) -> list[Symbol]:
    """The gradients of the states after a step, from above and from the step behind it."""
    column = of(strand.unit)
    above = strand.states(way.upstream, now)
    return [
        strand.inside(now, up.load(column) + slab.load(column))
        for up, slab in zip(above, way.carried, strict=True)
    ]


def _handed(
    strand: Strand,
    way: Way,
    now: Index,
    before: States,
    *,
    add: bool = False,
    gates: int | None = None,
) -> list[Statement]:
    """What the step before will find; nothing where none is before."""
    if before[0] is None:
        return []
    slopes = strand.rows(way.slopes[strand.cell.bent], now)
    return _through(strand, way.carried[0], slopes, gates=gates, add=add)
