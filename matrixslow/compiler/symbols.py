"""Symbols: scalars of a kernel's body, and the array module that makes them from `compute`.

An elementwise operator has one definition, its `compute`. Called with symbols in place of arrays
and `TRACER` in place of numpy, it leaves behind what it does to one element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from matrixslow.compiler.indices import Axis, Index, Quotient, Remainder
from matrixslow.core.node import Node

DType = np.dtype[Any]

INDEX = np.dtype("int64")
BOOL = np.dtype("bool")


class Unsupported(Exception):  # never leaves the compiler: the operator runs by `compute` instead
    """An operator, or an option of it, has no lowering."""


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Elements in memory: where a node's value lies.

    Attributes:
        name: That of the node.
        dtype: Of an element.
        shape: Of the node.
        strides: Distance of neighbours along each axis, in elements.
        place: "arena", "input", "variable", "constant" or "private" (one for each thread).
        node: Whose value it is, where a leaf's.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    place: str = "arena"
    node: Node | None = None

    @property
    def size(self) -> int:
        """The number of elements that it spans."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)

    @property
    def nbytes(self) -> int:
        """The memory that it spans."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A number that a kernel keeps while it loops: the running total of a reduction.

    Attributes:
        dtype: Of the number.
        lanes: How many there are, one for each lane of a vector.
    """

    dtype: DType
    lanes: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A scalar that an operation makes of others.

    Attributes:
        operation: The name of a NumPy ufunc, or "constant", "load", "index", "local", "cast",
            "where", "bits"; "ahead" fetches what a load would read, and is 0.
        dtype: Of the result.
        inputs: What it is made of.
        value: The number of a constant, the buffer of a load, the local of a local.
        index: Where a load reads; the value of an index.
    """

    operation: str
    dtype: DType
    inputs: tuple[Symbol, ...] = ()
    value: Any = None
    index: Index | None = None

    __array_ufunc__ = None

    def __add__(self, other: Any) -> Symbol:
        return apply(np.add, self, other)

    def __radd__(self, other: Any) -> Symbol:
        return apply(np.add, other, self)

    def __sub__(self, other: Any) -> Symbol:
        return apply(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return apply(np.subtract, other, self)

    def __mul__(self, other: Any) -> Symbol:
        return apply(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return apply(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return apply(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return apply(np.true_divide, other, self)

    def __floordiv__(self, other: Any) -> Symbol:
        return apply(np.floor_divide, self, other)

    def __mod__(self, other: Any) -> Symbol:
        return apply(np.remainder, self, other)

    def __pow__(self, other: Any) -> Symbol:
        return apply(np.power, self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return apply(np.power, other, self)

    def __neg__(self) -> Symbol:
        return apply(np.negative, self)

    def __abs__(self) -> Symbol:
        return apply(np.absolute, self)

    def __invert__(self) -> Symbol:
        return apply(np.invert, self)

    def __and__(self, other: Any) -> Symbol:
        return apply(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Symbol:
        return apply(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Symbol:
        return apply(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Symbol:
        return apply(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Symbol:
        return apply(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Symbol:
        return apply(np.bitwise_xor, other, self)

    def __lshift__(self, other: Any) -> Symbol:
        return apply(np.left_shift, self, other)

    def __rshift__(self, other: Any) -> Symbol:
        return apply(np.right_shift, self, other)

    def __lt__(self, other: Any) -> Symbol:
        return apply(np.less, self, other)

    def __le__(self, other: Any) -> Symbol:
        return apply(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Symbol:
        return apply(np.greater, self, other)

    def __ge__(self, other: Any) -> Symbol:
        return apply(np.greater_equal, self, other)

    def __eq__(self, other: object) -> Any:
        return apply(np.equal, self, other)

    def __ne__(self, other: object) -> Any:
        return apply(np.not_equal, self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise Unsupported("a branch that depends on values")

    def astype(self, dtype: Any, *, copy: bool = True) -> Symbol:
        """The scalar in another dtype, as arrays spell it."""
        return cast(self, np.dtype(dtype))

    def __str__(self) -> str:
        if self.operation == "constant":
            return str(self.value)
        if self.operation == "load":
            return f"{self.value}[{self.index}]"
        if self.operation == "index":
            return f"({self.index})"
        if self.operation == "cast":
            return f"{self.dtype}({self.inputs[0]})"
        return f"{self.operation}({', '.join(map(str, self.inputs))})"


def constant(value: Any, dtype: DType) -> Symbol:
    """A number."""
    return Symbol("constant", dtype, value=np.asarray(value).astype(dtype)[()])


def load(buffer: Buffer, index: Index) -> Symbol:
    """The element of a buffer."""
    return Symbol("load", buffer.dtype, value=buffer, index=index)


def position(index: Index) -> Symbol:
    """The value of an index, as a scalar."""
    if not index.terms:
        return constant(index.constant, INDEX)
    return Symbol("index", INDEX, index=index)


def local(kept: Local) -> Symbol:
    """What a local holds now."""
    return Symbol("local", kept.dtype, value=kept)


def cast(x: Symbol, dtype: DType) -> Symbol:
    """A scalar in another dtype."""
    if x.dtype == dtype:
        return x
    if x.operation == "constant":
        return constant(x.value, dtype)
    return Symbol("cast", dtype, (x,))


def where(condition: Symbol, x: Any, y: Any) -> Symbol:
    """X where the condition holds, else y; NumPy's rule for the dtype."""
    parts = [p if isinstance(p, Symbol) else np.asarray(p) for p in (x, y)]
    kinds = [
        p.dtype if isinstance(p, Symbol) or np.ndim(q) or isinstance(q, np.generic) else q
        for p, q in zip(parts, (x, y), strict=True)
    ]
    dtype = np.result_type(*kinds)
    x, y = (cast(p, dtype) if isinstance(p, Symbol) else constant(p, dtype) for p in parts)
    return Symbol("where", dtype, (cast(condition, BOOL), x, y))


@cache
def _resolved(ufunc: np.ufunc, given: tuple[Any, ...]) -> tuple[DType, ...]:
    """The dtypes in which a ufunc takes operands, and that of its result."""
    if ufunc.nout != 1:
        raise Unsupported(f"{ufunc.__name__} has {ufunc.nout} results")
    return ufunc.resolve_dtypes((*given, None))


def apply(ufunc: np.ufunc, *operands: Any) -> Symbol:
    """A ufunc of scalars, with NumPy's own rule for dtypes."""
    given = [
        x.dtype
        if isinstance(x, Symbol | np.generic)
        else type(x)
        if isinstance(x, int | float) and not isinstance(x, bool)
        else np.asarray(x).dtype
        for x in operands
    ]
    *taken, result = _resolved(ufunc, tuple(given))
    inputs = [
        cast(x, dtype) if isinstance(x, Symbol) else constant(x, dtype)
        for x, dtype in zip(operands, taken, strict=True)
    ]
    if all(x.operation == "constant" for x in inputs):
        with np.errstate(all="ignore"):
            return constant(ufunc(*(x.value for x in inputs)), result)
    return Symbol(ufunc.__name__, result, tuple(inputs))


class Tracer:
    """Stands in for numpy while a `compute` is traced: its functions take and give symbols."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python's own questions, doctest's "__wrapped__" among them
            raise AttributeError(name)
        found = getattr(np, name, None)
        if isinstance(found, np.ufunc):
            return lambda *operands: apply(found, *operands)
        if isinstance(found, type | float | np.dtype):
            return found
        raise Unsupported(f"no lowering for numpy.{name}")

    @staticmethod
    def where(condition: Symbol, x: Any, y: Any) -> Symbol:
        """As numpy's."""
        return where(condition, x, y)

    @staticmethod
    def clip(x: Symbol, low: Any, high: Any) -> Symbol:
        """As numpy's."""
        if low is not None:
            x = apply(np.maximum, x, low)
        return x if high is None else apply(np.minimum, x, high)

    @staticmethod
    def ones_like(x: Symbol, dtype: Any = None) -> Symbol:
        """As numpy's."""
        return constant(1, x.dtype if dtype is None else np.dtype(dtype))

    @staticmethod
    def zeros_like(x: Symbol, dtype: Any = None) -> Symbol:
        """As numpy's."""
        return constant(0, x.dtype if dtype is None else np.dtype(dtype))


TRACER: Any = Tracer()


class Replacement:
    """Writes expressions anew with other axes, loads or locals; each shared part only once."""

    def __init__(
        self,
        axes: Mapping[Axis, Index],
        on_load: Callable[[Buffer, Index], Symbol | None] | None = None,
    ) -> None:
        self.axes = axes
        self.on_load = on_load
        self._done: dict[Symbol, Symbol] = {}

    def symbol(self, x: Symbol) -> Symbol:
        """The expression, rewritten."""
        if x not in self._done:
            self._done[x] = self._symbol(x)
        return self._done[x]

    def index(self, index: Index) -> Index:
        """The index, rewritten."""
        result = Index(index.constant, {})
        for atom, factor in index.terms.items():
            if isinstance(atom, Axis):
                part = self.axes.get(atom, Index(0, {atom: 1}))
            elif isinstance(atom, Symbol):
                part = Index(0, {self.symbol(atom): 1})
            else:
                whole, rest = self.index(atom.index).divided(atom.divisor)
                part = whole if isinstance(atom, Quotient) else rest
            result = result + part * factor
        return result

    def _symbol(self, x: Symbol) -> Symbol:
        inputs = tuple(self.symbol(y) for y in x.inputs)
        index = None if x.index is None else self.index(x.index)
        if x.operation == "load":
            assert index is not None
            if self.on_load and (other := self.on_load(x.value, index)) is not None:
                return other
        if x.operation == "index":
            assert index is not None
            return position(index)
        same = index == x.index and all(a is b for a, b in zip(inputs, x.inputs, strict=True))
        return x if same else Symbol(x.operation, x.dtype, inputs, x.value, index)


def atoms(index: Index) -> list[Axis | Symbol]:
    """The axes and symbols that an index is made of, those inside divisions too."""
    found: list[Axis | Symbol] = []
    for atom in index.terms:
        found += atoms(atom.index) if isinstance(atom, Quotient | Remainder) else [atom]
    return found


def alike(index: Index) -> object:
    """What is equal for two indices that are made in the same way."""
    terms = []
    for atom, factor in index.terms.items():
        if isinstance(atom, Symbol):
            terms.append((_made_of(atom), factor))
        elif isinstance(atom, Quotient | Remainder):
            terms.append(((type(atom), alike(atom.index), atom.divisor), factor))
        else:
            terms.append((atom, factor))
    return (index.constant, frozenset(terms))


def _made_of(x: Symbol) -> object:
    place = None if x.index is None else alike(x.index)
    return (x.operation, x.dtype, x.value, place, tuple(map(_made_of, x.inputs)))


def parts(*roots: Symbol) -> list[Symbol]:
    """All symbols that the given ones are made of, those in indices too, inputs first."""
    found: dict[Symbol, None] = {}
    pending: list[tuple[Symbol, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        x, ready = pending.pop()
        if x in found:
            continue
        if ready:
            found[x] = None
            continue
        inputs = [*x.inputs]
        if x.index is not None:
            for atom in x.index.terms:
                if not isinstance(atom, Axis):
                    inputs += [y for y in atoms(Index(0, {atom: 1})) if isinstance(y, Symbol)]
        if inputs:
            pending.append((x, True))
            pending += [(y, False) for y in inputs]
        else:
            found[x] = None
    return list(found)
