"""Indices: integer sums of loop axes, by which kernels address the elements of a buffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrixslow.compiler.symbols import Symbol


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One loop variable: it counts 0 <= axis < size.

    Attributes:
        size: How far it counts.
        lanes: Whether all steps are taken at once, as the lanes of a vector.
    """

    size: int
    lanes: bool = False


@dataclass(frozen=True, slots=True)
class Quotient:
    """The whole part of an index divided by a number."""

    index: Index
    divisor: int


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of an index divided by a number."""

    index: Index
    divisor: int


Atom = "Axis | Quotient | Remainder | Symbol"


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """constant + the sum of factor * atom.

    An atom is an axis, a part of a division that did not come out even, or a symbol: a number that
    is known only when the kernel runs, such as the row of a table.
    """

    constant: int
    terms: Mapping[Axis | Quotient | Remainder | Symbol, int]

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.constant + other, self.terms)
        terms = dict(self.terms)
        for atom, factor in other.terms.items():
            terms[atom] = terms.get(atom, 0) + factor
        return _joined(self.constant + other.constant, terms)

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        terms = {atom: own * factor for atom, own in self.terms.items()} if factor else {}
        return Index(self.constant * factor, terms)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Index)
            and self.constant == other.constant
            and self.terms == other.terms
        )

    def __hash__(self) -> int:
        return hash((self.constant, frozenset(self.terms.items())))

    def limits(self) -> tuple[int, int] | None:
        """The least and the largest value; None where a symbol makes them unknown."""
        low = high = self.constant
        for atom, factor in self.terms.items():
            if isinstance(atom, Axis):
                last = atom.size - 1
            elif isinstance(atom, Remainder):
                last = atom.divisor - 1
            elif isinstance(atom, Quotient) and (inner := atom.index.limits()):
                last = inner[1] // atom.divisor
            else:
                return None
            low, high = low + min(0, factor * last), high + max(0, factor * last)
        return low, high

    def divided(self, divisor: int) -> tuple[Index, Index]:
        """Quotient and remainder by a positive number; the index itself is >= 0."""
        if divisor == 1:
            return self, ZERO
        even = {a: f // divisor for a, f in self.terms.items() if f % divisor == 0}
        rest = Index(self.constant % divisor, {a: f for a, f in self.terms.items() if f % divisor})
        limits = rest.limits()
        whole = Index(self.constant // divisor, even)
        if limits is not None and limits[0] >= 0 and limits[1] < divisor:
            return whole, rest
        if limits is not None and limits[0] < 0:
            whole, rest = ZERO, self
        over = Index(0, {Quotient(rest, divisor): 1})
        return whole + over, Index(0, {Remainder(rest, divisor): 1})

    def replaced(self, axes: Mapping[Axis, Index]) -> Index:
        """The index with other indices in the place of axes. Symbols must not depend on them."""
        result = Index(self.constant, {})
        for atom, factor in self.terms.items():
            if isinstance(atom, Axis):
                part = axes.get(atom) or of(atom)
            elif isinstance(atom, Quotient):
                part = atom.index.replaced(axes).divided(atom.divisor)[0]
            elif isinstance(atom, Remainder):
                part = atom.index.replaced(axes).divided(atom.divisor)[1]
            else:
                part = Index(0, {atom: 1})
            result = result + part * factor
        return result

    def __str__(self) -> str:
        parts = [f"{_name(atom)}*{factor}" for atom, factor in self.terms.items()]
        return " + ".join([*parts, *([str(self.constant)] if self.constant or not parts else [])])


ZERO = Index(0, {})


def of(axis: Axis) -> Index:
    """The index that is one axis; an axis of size 1 is always 0."""
    return Index(0, {axis: 1}) if axis.size > 1 else ZERO


def number(value: int) -> Index:
    """The index that is always the same."""
    return Index(value, {})


def flat(indices: Iterable[Index], strides: Iterable[int]) -> Index:
    """The sum of index * stride."""
    total = ZERO
    for index, stride in zip(indices, strides, strict=True):
        total = total + index * stride
    return total


def unflat(index: Index, shape: tuple[int, ...]) -> tuple[Index, ...]:
    """The position along each axis of an array, from the position among all its elements."""
    found = []
    for size in reversed(shape[1:]):
        index, rest = index.divided(size) if size > 1 else (index, ZERO)
        found.append(rest)
    return (index, *reversed(found)) if shape else ()


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array whose last axis lies together."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _joined(constant: int, terms: dict[Axis | Quotient | Remainder | Symbol, int]) -> Index:
    """The sum without zeros, and with quotient and remainder of one division put together."""
    for atom in [atom for atom in terms if isinstance(atom, Remainder)]:
        quotient = Quotient(atom.index, atom.divisor)
        factor = terms.get(atom)
        if factor and terms.get(quotient) == factor * atom.divisor:
            del terms[atom], terms[quotient]
            return Index(constant, {a: f for a, f in terms.items() if f}) + atom.index * factor
    return Index(constant, {atom: factor for atom, factor in terms.items() if factor})


def _name(atom: object) -> str:
    if isinstance(atom, Axis):
        return f"i{id(atom) % 9973}"
    if isinstance(atom, Quotient | Remainder):
        sign = "/" if isinstance(atom, Quotient) else "%"
        return f"(({atom.index}) {sign} {atom.divisor})"
    return str(atom)
