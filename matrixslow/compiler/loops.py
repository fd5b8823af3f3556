"""Loops: the small language of kernels, between the graph and LLVM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import prod
from operator import itemgetter
from typing import Any

from matrixslow.compiler.indices import ZERO, Axis, Index, Quotient, Remainder, of
from matrixslow.compiler.symbols import Buffer, Local, Replacement, Symbol, parts
from matrixslow.core.node import Node

THREAD = Axis(1 << 40)
"""Not a loop: the number of the thread that runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """buffer[index] = value.

    Stores that follow each other happen together: all values are computed before the first one.

    Attributes:
        guard: Whether it is done at all.
        ahead: What fetches the memory that a later step of the outer loop will store to.
    """

    buffer: Buffer
    index: Index
    value: Symbol
    guard: Symbol | None = None
    ahead: Symbol | None = None

    @property
    def roots(self) -> list[Symbol]:
        """The symbols that it is made of, those in its index too."""
        places = [atom for atom in self.index.terms if isinstance(atom, Symbol)]
        return [self.value, *places, *([] if self.guard is None else [self.guard])]


@dataclass(frozen=True, slots=True, eq=False)
class Set:
    """local = value."""

    local: Local
    value: Symbol

    @property
    def roots(self) -> list[Symbol]:
        """The symbols that it is made of."""
        return [self.value]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """The body, once for each value of the axis."""

    axis: Axis
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A matrix inside a buffer: an index over the two axes of a GEMM that it is read along."""

    buffer: Buffer
    index: Index


@dataclass(frozen=True, slots=True, eq=False)
class Gemm:
    """c = a b, or c += a b, with a over (m, k), b over (k, n) and c over (m, n)."""

    m: Axis
    n: Axis
    k: Axis
    a: Matrix
    b: Matrix
    c: Matrix
    accumulate: bool = False


Leaf = Store | Set | Gemm

Statement = Leaf | Loop


@dataclass(slots=True, eq=False)
class Kernel:
    """Statements that run without a barrier among them.

    Attributes:
        nodes: Whose values it computes.
        body: The statements.
        split: The axis of which each thread takes its share; None: one thread runs all.
        rows: Into how many parts the split axis can be cut.
        grain: How many steps of the split axis make one row.
        reads, writes: The buffers, each with how it is cut: by which row stride, or None where a
            thread may touch rows of others.
        work: An estimate of the cost, in scalar operations.
        divided: Whether steps of a loop are divided to find a place.
    """

    nodes: tuple[Node, ...]
    body: tuple[Statement, ...]
    split: Axis | None
    rows: int = 0
    grain: int = 1
    reads: dict[Buffer, int | None] = field(default_factory=dict)
    writes: dict[Buffer, int | None] = field(default_factory=dict)
    work: float = 0.0
    divided: bool = False

    @property
    def buffers(self) -> list[Buffer]:
        """All buffers it touches."""
        return list({**self.writes, **self.reads})

    @property
    def name(self) -> str:
        """The names of its nodes."""
        return "+".join(node.name for node in self.nodes)


def loops(axes: Sequence[Axis], body: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements inside loops over all axes; the last axis is the innermost."""
    inner = tuple(body)
    for axis in reversed(axes):
        if axis.size != 1:
            inner = (Loop(axis, inner),)
    return inner


def ordered(axes: Sequence[Axis], index: Index) -> list[Axis]:
    """The axes, those first along which an access steps farthest."""
    return sorted(axes, key=lambda axis: -index.terms.get(axis, 0))


def statements(body: Sequence[Statement]) -> Iterator[tuple[Leaf, tuple[Axis, ...]]]:
    """All statements but loops, each with the axes around it."""
    pending: list[tuple[Statement, tuple[Axis, ...]]] = [(s, ()) for s in reversed(body)]
    while pending:
        statement, axes = pending.pop()
        if isinstance(statement, Loop):
            around = (*axes, statement.axis)
            pending += [(inner, around) for inner in reversed(statement.body)]
        else:
            yield statement, axes


def make_kernel(nodes: Sequence[Node], body: Sequence[Statement], split: Axis | None) -> Kernel:
    """A kernel, with what it reads and writes found from its statements."""
    if split is not None and split.size < 2:
        split = None
    kernel = Kernel(tuple(nodes), tuple(body), split, split.size if split else 0)
    for axes, group in groupby(statements(kernel.body), key=itemgetter(1)):
        times = prod(axis.size for axis in axes)
        roots: list[Symbol] = []
        for statement, _ in group:
            if isinstance(statement, Gemm):
                sizes = statement.m.size * statement.n.size * statement.k.size
                kernel.work += 0.1 * sizes * times
                _note_gemm(kernel, statement)
                continue
            roots += statement.roots
            if isinstance(statement, Store):
                _note(kernel.writes, statement.buffer, statement.index, split)
                kernel.divided = kernel.divided or _divides(statement.index)
        symbols = parts(*roots)
        for x in symbols:
            if x.index is not None:
                kernel.divided = kernel.divided or _divides(x.index)
            if x.operation == "load":
                assert x.index is not None
                _note(kernel.reads, x.value, x.index, split)
        kernel.work += len(symbols) * times
    return kernel


def _divides(index: Index) -> bool:
    return any(isinstance(atom, Quotient | Remainder) for atom in index.terms)


def _note(
    found: dict[Buffer, int | None], buffer: Buffer, index: Index, split: Axis | None
) -> None:
    stride = row_stride(index, split)
    if buffer in found and found[buffer] != stride:
        stride = None
    found[buffer] = stride


def _note_gemm(kernel: Kernel, gemm: Gemm) -> None:
    for found, matrix in (
        (kernel.reads, gemm.a),
        (kernel.reads, gemm.b),
        (kernel.writes, gemm.c),
    ):
        _note(found, matrix.buffer, matrix.index, kernel.split)


def row_stride(index: Index, split: Axis | None) -> int | None:
    """By which stride an access follows the split axis; None where it may leave its row."""
    if split is None:
        return None
    stride = index.terms.get(split, 0)
    if stride <= 0:
        return None
    rest = Index(index.constant, {a: f for a, f in index.terms.items() if a is not split})
    limits = rest.limits()
    if limits is None or limits[0] < 0 or limits[1] >= stride:
        return None
    if any(split in _axes(atom) for atom in rest.terms):
        return None
    return stride


def _axes(atom: Any) -> set[Axis]:
    if isinstance(atom, Axis):
        return {atom}
    if isinstance(atom, Symbol):
        found: set[Axis] = set()
        for x in parts(atom):
            if x.index is not None:
                found = found.union(*map(_axes, x.index.terms))
        return found
    return set().union(*map(_axes, atom.index.terms))


def rewritten(statement: Statement, change: Replacement) -> Statement:
    """A statement with its expressions and indices rewritten; axes of loops are kept."""
    if isinstance(statement, Loop):
        return Loop(statement.axis, tuple(rewritten(s, change) for s in statement.body))
    if isinstance(statement, Store):
        return changed(statement, change)
    if isinstance(statement, Set):
        return Set(statement.local, change.symbol(statement.value))
    a, b, c = (
        replace(x, index=change.index(x.index)) for x in (statement.a, statement.b, statement.c)
    )
    return replace(statement, a=a, b=b, c=c)


def changed(store: Store, change: Replacement) -> Store:
    """A store with its expressions and its index rewritten."""
    guard, ahead = (None if x is None else change.symbol(x) for x in (store.guard, store.ahead))
    return Store(store.buffer, change.index(store.index), change.symbol(store.value), guard, ahead)


def collapsed(kernel: Kernel) -> Kernel:
    """The kernel with neighbouring loops merged where all accesses allow.

    for i < m, for j < n: f(p[i * n + j])  =  for k < m n: f(p[k])
    """
    body = kernel.body
    if kernel.divided:
        body = tuple(_refine(statement, kernel.split) for statement in body)
    body = tuple(_collapse(statement, kernel.split) for statement in body)
    if len(body) == 1 and isinstance(body[0], Loop) and body[0].axis is kernel.split:
        outer = body[0]
        if len(outer.body) == 1 and isinstance(outer.body[0], Loop):
            inner = outer.body[0]
            if not inner.axis.lanes and _mergeable(inner.body, outer.axis, inner.axis):
                merged = _merge(outer.axis, inner)
                return replace(kernel, body=(merged,), split=merged.axis, grain=inner.axis.size)
    return replace(kernel, body=body)


def _refine(statement: Statement, split: Axis | None) -> Statement:
    """Two loops in place of one whose steps are divided: then nothing is divided any more.

    for i < m n: f(i / n, i % n)  =  for j < m, for k < n: f(j, k)
    """
    if not isinstance(statement, Loop) or statement.axis.lanes:
        return statement
    axis = statement.axis
    divisor = 1 if axis is split else _divisor(statement.body, axis)
    if divisor == 1:
        return Loop(axis, tuple(_refine(inner, split) for inner in statement.body))
    outer, inner = Axis(axis.size // divisor), Axis(divisor)
    change = Replacement({axis: of(outer) * divisor + of(inner)})
    body = tuple(rewritten(each, change) for each in statement.body)
    return _refine(Loop(outer, (Loop(inner, body),)), split)


def _divisor(body: Sequence[Statement], axis: Axis) -> int:
    """The largest number that steps of an axis are divided by; 1 where there is none."""
    found = 1
    for statement, _ in statements(body):
        if isinstance(statement, Gemm):
            return 1
        indices = [statement.index] if isinstance(statement, Store) else []
        indices += [x.index for x in parts(*statement.roots) if x.index is not None]
        for index in indices:
            for atom in index.terms:
                if (
                    isinstance(atom, Quotient | Remainder)
                    and atom.index == of(axis)
                    and axis.size % atom.divisor == 0
                    and found < atom.divisor < axis.size
                ):
                    found = atom.divisor
    return found


def _merge(outer: Axis, inner: Loop) -> Loop:
    merged = Axis(outer.size * inner.axis.size)
    change = Replacement({outer: ZERO, inner.axis: Index(0, {merged: 1})})
    return Loop(merged, tuple(rewritten(s, change) for s in inner.body))


def _collapse(statement: Statement, split: Axis | None) -> Statement:
    if not isinstance(statement, Loop):
        return statement
    body = tuple(_collapse(inner, split) for inner in statement.body)
    outer = statement.axis
    if len(body) == 1 and isinstance(body[0], Loop) and outer is not split:
        inner = body[0].axis
        free = inner is not split and not inner.lanes and not outer.lanes
        if free and _mergeable(body[0].body, outer, inner):
            return _merge(outer, body[0])
    if all(a is b for a, b in zip(body, statement.body, strict=True)):
        return statement
    return Loop(outer, body)


def _mergeable(body: Sequence[Statement], outer: Axis, inner: Axis) -> bool:
    for statement, axes in statements(body):
        if isinstance(statement, Gemm) or any(axis.lanes for axis in axes):
            return False
        indices = [statement.index] if isinstance(statement, Store) else []
        for x in parts(*statement.roots):
            if x.operation == "index":
                return False
            if x.index is not None:
                indices.append(x.index)
        for index in indices:
            if index.terms.get(outer, 0) != index.terms.get(inner, 0) * inner.size:
                return False
            for atom in index.terms:
                if not isinstance(atom, Axis) and {outer, inner} & _axes(atom):
                    return False
    return True


def text(body: Sequence[Statement], indent: str = "") -> list[str]:
    """The statements, one to a line."""
    lines = []
    for statement in body:
        if isinstance(statement, Loop):
            lines.append(f"{indent}for {_axis(statement.axis)} < {statement.axis.size}:")
            lines += text(statement.body, indent + "  ")
        elif isinstance(statement, Store):
            guard = "" if statement.guard is None else f" where {statement.guard}"
            lines.append(
                f"{indent}{statement.buffer}[{statement.index}] = {statement.value}{guard}"
            )
        elif isinstance(statement, Set):
            lines.append(f"{indent}local = {statement.value}")
        else:
            sign = "+=" if statement.accumulate else "="
            m, n, k = statement.m.size, statement.n.size, statement.k.size
            lines.append(
                f"{indent}{statement.c.buffer} {sign} {statement.a.buffer} @ "
                f"{statement.b.buffer}   ({m}, {k}) ({k}, {n})"
            )
    return lines


def _axis(axis: Axis) -> str:
    return str(Index(0, {axis: 1})).removesuffix("*1")
