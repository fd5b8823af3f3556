"""Fusion: which nodes get memory of their own, and which kernels become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from matrixslow.compiler.indices import ZERO, Axis, Index, flat, of, row_major
from matrixslow.compiler.layout import by_pixels, pixel_strides
from matrixslow.compiler.llvm import check
from matrixslow.compiler.loops import (
    THREAD,
    Kernel,
    Matrix,
    Set,
    Statement,
    Store,
    changed,
    loops,
    make_kernel,
    ordered,
)
from matrixslow.compiler.lowering import TABLE, elementwise, pool
from matrixslow.compiler.lowering.table import Formula, Indices, Read, Reduction, Scatter, sizes
from matrixslow.compiler.symbols import (
    INDEX,
    Buffer,
    DType,
    Local,
    Replacement,
    Symbol,
    Unsupported,
    apply,
    cast,
    constant,
    load,
    local,
    parts,
    position,
)
from matrixslow.core.leaf import Constant, Leaf
from matrixslow.core.node import Node

COSTS = {
    **dict.fromkeys(("load", "constant", "index", "cast", "local"), 0),
    **dict.fromkeys(("exp", "log", "tanh", "power", "sin", "cos", "log1p", "expm1"), 10),
    **dict.fromkeys(("true_divide", "sqrt"), 4),
}
"""What an operation costs, in additions; 1 where it is not named."""

CHEAP = 3
"""What may be computed again in each of several users rather than be kept."""

LONG_ROW = 1024
"""From how many terms a row has, threads share the rows of a sum over columns."""

AHEAD = 16
"""By how many rows of a table memory is ahead of the arithmetic: each row is far from the last."""

LONGEST = 80
"""The cost at which an expression gets memory of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A kernel to be: stores at every point of a domain.

    Attributes:
        domain: The sizes of its axes.
        reads, writes: The buffers.
    """

    nodes: tuple[Node, ...]
    axes: tuple[Axis, ...]
    stores: tuple[Store, ...]
    domain: tuple[int, ...] = field(init=False)
    reads: frozenset[Buffer] = field(init=False)
    writes: frozenset[Buffer] = field(init=False)

    def __post_init__(self) -> None:
        """Find what follows from the stores."""
        symbols = parts(*(root for store in self.stores for root in store.roots))
        reads = frozenset(x.value for x in symbols if x.operation == "load")
        object.__setattr__(self, "domain", tuple(axis.size for axis in self.axes))
        object.__setattr__(self, "reads", reads)
        object.__setattr__(self, "writes", frozenset(store.buffer for store in self.stores))

    def kernel(self) -> Kernel:
        """As a kernel."""
        axes = ordered(self.axes, self.stores[0].index)
        fetched = [Set(Local(INDEX), x.ahead) for x in self.stores if x.ahead is not None]
        body = loops(axes, self.stores)
        if fetched:
            axes = list(self.axes)
            body = loops(axes[:1], [*fetched, *loops(axes[1:], self.stores)])
        return make_kernel(self.nodes, body, split_axis(axes))


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """A node that runs by its `compute`, between native parts."""

    node: Node
    inputs: tuple[Buffer, ...]
    output: Buffer
    reason: str

    @property
    def reads(self) -> dict[Buffer, int | None]:
        """The buffers it reads."""
        return dict.fromkeys(self.inputs)

    @property
    def writes(self) -> dict[Buffer, int | None]:
        """The buffer it writes."""
        return {self.output: None}


Item = Map | Kernel | Fallback


def split_axis(axes: Sequence[Axis]) -> Axis | None:
    """The axis of which each thread takes a share: the first, unless it is far too short."""
    long = [axis for axis in axes if axis.size >= 8]
    some = [axis for axis in axes if axis.size > 1]
    if some and some[0].size < 8 and long and long[0].size >= 8 * some[0].size:
        return long[0]
    return some[0] if some else None


@dataclass(slots=True)
class Plan:
    """Kernels for a graph whose shapes are all known.

    Args:
        nodes: In topological order.
        needed: Whose values are wanted in memory.
        leaves: Where the values of leaves lie.
        threads: How many will run the kernels.

    Attributes:
        items: The kernels, in an order that works.
        buffers: Where the values of nodes lie that have memory of their own.
        reasons: Why nodes run by `compute`.
        kept: What kernels keep for other nodes: recurrences for their gradients.
        bases: Nodes of which only some rows are written, and what holds the others.
        shared: Whether there are shares, so that all threads must run.
    """

    nodes: Sequence[Node]
    needed: set[Node]
    leaves: Mapping[Node, Buffer]
    threads: int
    items: list[Item] = field(default_factory=list)
    buffers: dict[Node, Buffer] = field(default_factory=dict)
    reasons: dict[Node, str] = field(default_factory=dict)
    kept: dict[Node, dict[str, Buffer]] = field(default_factory=dict)
    bases: dict[Node, Node] = field(default_factory=dict)
    shared: bool = False
    _users: dict[Node, list[Node]] = field(default_factory=dict)
    _known: dict[tuple[Node, Indices], Symbol] = field(default_factory=dict)
    _by_pixels: set[Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the kernels."""
        self.buffers.update(self.leaves)
        self._by_pixels = by_pixels(self.nodes, self.needed)
        for node in self.nodes:
            for x in node.inputs:
                self._users.setdefault(x, []).append(node)
        known: dict[object, str | None] = {}
        for node in self.nodes:
            if not isinstance(node, Leaf):
                options = tuple((name, repr(value)) for name, value in node.attributes.items())
                # Whether indices are checked before a run depends on where they come from.
                inputs = [x if x.dtype.kind in "iu" else (x.spec, type(x)) for x in node.inputs]
                kind = (type(node), node.spec, *inputs, options)
                if kind not in known or type(node).__name__ in TABLE.checks:
                    known[kind] = self._refusal(node)
                if (reason := known[kind]) is not None:
                    self.reasons[node] = reason
        for node in self.nodes:
            if not isinstance(node, Leaf):
                self._place(node)
        self.items = fused(self.items, {self.buffers[node] for node in self.needed})

    # ---- what lowerings use --------------------------------------------------------------------

    def buffer(self, node: Node) -> Buffer:
        """Where a node's value lies; it gets memory of its own if it has none."""
        if node not in self.buffers:
            shape = sizes(node)
            strides = pixel_strides(shape) if node in self._by_pixels else row_major(shape)
            self.buffers[node] = Buffer(node.name, node.dtype, shape, strides)
        return self.buffers[node]

    def is_by_pixels(self, node: Node) -> bool:
        """Whether a node has memory in which channels lie together."""
        return node in self.buffers and self.buffers[node].strides[1] == 1

    def element(self, buffer: Buffer, index: Indices) -> Index:
        """Where an element of a buffer lies."""
        return flat(index, buffer.strides)

    def value(self, node: Node, index: Indices) -> Symbol:
        """One element of a node's value: loaded, or computed on the spot."""
        key = (node, index)
        if key not in self._known:
            self._known[key] = self._value(node, index)
        return self._known[key]

    def matrix(self, node: Node, number: int, index: Indices) -> Matrix:
        """An input of a matrix product, at an index over its axes."""
        x = self.value(node.inputs[number], index)
        assert x.operation == "load"
        assert x.index is not None
        return Matrix(x.value, x.index)

    def contiguous(self, node: Node, number: int) -> Buffer:
        """A buffer with an input of a node, row by row; a copy where it does not lie so."""
        x = node.inputs[number]
        shape = sizes(x)
        axes = tuple(Axis(size) for size in shape)
        index = tuple(of(axis) for axis in axes)
        found = self.value(x, index)
        place = flat(index, row_major(shape))
        if found.operation == "load" and found.index == place:
            buffer: Buffer = found.value
            return buffer
        copy = Buffer(x.name + ".rows", x.dtype, shape, row_major(shape))
        self.items.append(Map((x,), axes, (Store(copy, place, found),)))
        return copy

    def users(self, node: Node) -> list[Node]:
        """The nodes that a node is an input of."""
        return self._users.get(node, [])

    def scratch(self, count: int, dtype: DType) -> Buffer:
        """Memory of its own for each thread, while it runs one kernel."""
        return Buffer("scratch", dtype, (count,), (1,), "scratch")

    def shares(self, name: str, count: int, dtype: DType, split: Axis) -> tuple[Buffer, Index]:
        """As many elements for each thread that takes part, and where its own begin.

        Each adds up first what its part of the split axis gives. Where there is nothing to split,
        one thread has all.
        """
        if split.size < 2:
            return Buffer(name, dtype, (1, count), (count, 1)), ZERO
        self.shared = True
        return Buffer(name, dtype, (self.threads, count), (count, 1)), of(THREAD) * count

    def joined(self, shares: Buffer, place: Index, combine: np.ufunc = np.add) -> Symbol:
        """What all shares give together at a place."""
        threads, count = shares.shape
        total = load(shares, place)
        for number in range(1, threads):
            total = apply(combine, total, load(shares, place + number * count))
        return total

    # ---- decisions -----------------------------------------------------------------------------

    def _refusal(self, node: Node) -> str | None:
        """Why nodes of such a kind cannot be lowered; None where they can."""
        name = type(node).__name__
        try:
            if node.dtype == np.float16 or any(x.dtype == np.float16 for x in node.inputs):
                raise Unsupported("no lowering for float16")
            if name in TABLE.products or name in TABLE.scatters:
                TABLE.checks.get(name, lambda node: None)(node)
            elif name in TABLE.reductions:
                made = TABLE.reductions[name](node)
                check(made.finish(made.term(_sample(node), _generic(node))))
            elif self._is_map(node):
                check(self._formula(node, _sample(node), _generic(node)))
            else:
                raise Unsupported(f"no lowering for {name}")
        except Unsupported as error:
            return str(error)
        return None

    def _is_map(self, node: Node) -> bool:
        return type(node).__name__ in TABLE.maps or elementwise.is_elementwise(node)

    def _formula(self, node: Node, read: Read, index: Indices) -> Symbol:
        found: Formula = TABLE.maps.get(type(node).__name__, elementwise.traced)
        return found(node, read, index)

    def _place(self, node: Node) -> None:
        """Give the node memory and a kernel, or leave it to be computed where it is used."""
        name = type(node).__name__
        if node in self.reasons:
            self._fall_back(node)
        elif name in TABLE.products:
            self.items += TABLE.products[name](self, node)
        elif name in TABLE.reductions:
            self._reduce(node, TABLE.reductions[name](node))
        elif name in TABLE.scatters:
            self._scatter(node, TABLE.scatters[name])
        else:
            axes = tuple(Axis(size) for size in sizes(node))
            index = tuple(of(axis) for axis in axes)
            x = self.value(node, index)
            if self._keeps(node, x, axes):
                buffer = self.buffer(node)
                del self._known[node, index]
                self.items.append(
                    Map((node,), axes, (Store(buffer, self.element(buffer, index), x),))
                )

    def _keeps(self, node: Node, x: Symbol, axes: Sequence[Axis]) -> bool:
        """Whether a node that is computed by a formula gets memory of its own."""
        users = self.users(node)
        if node in self.needed or any(user in self.reasons for user in users):
            return True
        if any(type(user).__name__ in TABLE.products for user in users) and not (
            _is_matrix(x, axes)
        ):
            return True
        cost = sum(COSTS.get(part.operation, 1) for part in parts(x))
        if not cost:
            return False
        if any(pool.overlaps(user) for user in users):
            return True
        if node in self._by_pixels and any(
            type(user).__name__ in TABLE.maps and user not in self._by_pixels for user in users
        ):
            return True
        largest = max((_work(user) for user in users), default=0)
        if largest > (node.size or 0) and (cost > CHEAP or node.size == 1):
            return True
        return cost > LONGEST or (len(users) > 1 and cost > CHEAP)

    def _value(self, node: Node, index: Indices) -> Symbol:
        if isinstance(node, Constant) and node.size == 1:
            return constant(node.array.reshape(())[()], node.dtype)
        if node in self.buffers:
            buffer = self.buffers[node]
            return load(buffer, self.element(buffer, index))
        return self._formula(node, lambda n, i: self.value(node.inputs[n], i), index)

    def _scatter(self, node: Node, formula: Scatter) -> None:
        base, _, values = node.inputs
        axes = tuple(Axis(size) for size in sizes(values))
        index = tuple(of(axis) for axis in axes)
        there, guard = formula(node, lambda n, i: self.value(node.inputs[n], i), index)
        buffer = self.buffer(node)
        self.bases[node] = base
        later = apply(np.minimum, position(index[0]) + AHEAD, axes[0].size - 1)
        row = (Index(0, {later: 1}), *(ZERO for _ in index[1:]))
        then, _ = formula(node, lambda n, i: self.value(node.inputs[n], i), row)
        ahead = Symbol("ahead", INDEX, value=buffer, index=self.element(buffer, then))
        value, place = self.value(values, index), self.element(buffer, there)
        self.items.append(Map((node,), axes, (Store(buffer, place, value, guard, ahead),)))

    def _fall_back(self, node: Node) -> None:
        inputs = tuple(self.buffer(x) for x in node.inputs)
        self.items.append(Fallback(node, inputs, self.buffer(node), self.reasons[node]))

    def _reduce(self, node: Node, made: Reduction) -> None:
        axes = tuple(Axis(size) for size in sizes(node))
        index = tuple(of(axis) for axis in axes)
        term = cast(made.term(lambda n, i: self.value(node.inputs[n], i), index), node.dtype)
        buffer = self.buffer(node)
        place = self.element(buffer, index)
        if _runs_across(term, made.axes) and any(axis.size > 1 for axis in axes):
            self.items += self._reduce_across(node, made, axes, term)
            return
        kept = Local(node.dtype)
        total = apply(getattr(np, made.ufunc), local(kept), term)
        body = (
            Set(kept, constant(made.initial, node.dtype)),
            *loops(made.axes, [Set(kept, total)]),
            Store(buffer, place, cast(made.finish(local(kept)), node.dtype)),
        )
        self.items.append(make_kernel([node], loops(axes, body), split_axis(axes)))

    def _reduce_across(
        self, node: Node, made: Reduction, axes: Sequence[Axis], term: Symbol
    ) -> list[Kernel]:
        """Many results at a time, since neighbours in memory belong to different ones.

        Where images or samples are long, each thread first combines its own.
        """
        combine = getattr(np, made.ufunc)
        initial = constant(made.initial, node.dtype)
        buffer = self.buffer(node)
        place = self.element(buffer, tuple(of(axis) for axis in axes))
        access = _widest(term)
        over = ordered(made.axes, access)
        farthest = max((access.terms.get(axis, 0) for axis in over), default=0)
        outer = [axis for axis in axes if access.terms.get(axis, 0) > farthest]
        inner = [axis for axis in axes if axis not in outer]
        if all(axis.size == 1 for axis in inner):
            # Without a loop around each, the stores below would happen together.
            outer, inner = [], list(axes)
        finished = cast(made.finish(load(buffer, place)), node.dtype)
        end = () if finished.operation == "load" else loops(inner, [Store(buffer, place, finished)])
        count, rows = prod(axis.size for axis in inner), prod(axis.size for axis in over[1:])
        if outer or len(over) < 2 or count * rows < LONG_ROW:
            start = loops(inner, [Store(buffer, place, initial)])
            body = (*start, *_combined(combine, over, inner, term, buffer, place), *end)
            split = split_axis(outer or axes)
            return [make_kernel([node], loops(outer, body), split)]
        share, first = self.shares(node.name + ".share", count, node.dtype, over[0])
        here = flat([of(axis) for axis in inner], row_major(tuple(axis.size for axis in inner)))
        totals = self.scratch((len(over) - 1) * count, node.dtype)
        zero = loops(inner, [Store(share, first + here, initial)])

        def nested(level: int, buffer: Buffer, place: Index) -> tuple[Statement, ...]:
            # Lines, images and all of them each have totals of their own: a long sum of like
            # numbers drifts.
            if level == len(over) - 1:
                return _combined(combine, over[level:], inner, term, buffer, place)
            own = here + level * count
            joined = apply(combine, load(buffer, place), load(totals, own))
            each = (
                *loops(inner, [Store(totals, own, initial)]),
                *nested(level + 1, totals, own),
                *loops(inner, [Store(buffer, place, joined)]),
            )
            return loops(over[level : level + 1], each)

        body = (*zero, *nested(0, share, first + here))
        total = self.joined(share, here, combine)
        joined = Store(buffer, place, cast(made.finish(total), node.dtype))
        return [
            make_kernel([node], body, over[0]),
            make_kernel([node], loops(inner, [joined]), None),
        ]


def _combined(
    combine: np.ufunc,
    over: Sequence[Axis],
    inner: Sequence[Axis],
    term: Symbol,
    buffer: Buffer,
    place: Index,
) -> tuple[Statement, ...]:
    """Loops that combine what lies at a place with all terms."""
    over, (total, *rest) = _by_several(over, term)
    for one in rest:
        total = apply(combine, total, one)
    store = Store(buffer, place, apply(combine, load(buffer, place), total))
    return loops([*over, *inner], [store])


def fused(items: Sequence[Item], wanted: set[Buffer]) -> list[Item]:
    """Maps over the same domain become one loop where they share data; dead stores go."""
    result: list[Item] = []
    for item in items:
        if not (isinstance(item, Map) and _join(result, item)):
            result.append(item)
    reads: dict[Buffer, set[int]] = {}
    for number, item in enumerate(result):
        for buffer in item.reads:
            reads.setdefault(buffer, set()).add(number)
    for number, item in enumerate(result):
        if isinstance(item, Map):
            stores = tuple(
                store
                for store in item.stores
                if store.buffer in wanted or reads.get(store.buffer, set()) - {number}
            )
            result[number] = Map(item.nodes, item.axes, stores)
    return [item for item in result if not isinstance(item, Map) or item.stores]


def _join(items: list[Item], late: Map) -> bool:
    """Merge a map that comes last into an earlier one, or an earlier one into it."""
    reads = late.reads
    blocked = False  # an item behind the candidate feeds `late`, so that it cannot move up
    after: set[Buffer] = set()
    for place in reversed(range(len(items))):
        early = items[place]
        if isinstance(early, Map) and early.domain == late.domain:
            shared = (early.writes | early.reads) & reads
            down = not (early.writes & after)
            if shared and (not blocked or down):
                merged = _merged(early, late)
                if merged is not None:
                    if blocked:
                        del items[place]
                        items.append(merged)
                    else:
                        items[place] = merged
                    return True
        if set(early.writes) & reads:
            blocked = True
        after |= set(early.reads)
    return False


def _merged(early: Map, late: Map) -> Map | None:
    stored = {store.buffer: store for store in early.stores}
    clash = False

    def on_load(buffer: Buffer, index: Index) -> Symbol | None:
        nonlocal clash
        store = stored.get(buffer)
        if store is None:
            return None
        clash = clash or index != store.index or store.guard is not None
        return store.value

    axes = {a: of(b) for a, b in zip(late.axes, early.axes, strict=True)}
    change = Replacement(axes, on_load)
    stores = [changed(store, change) for store in late.stores]
    if clash or len(early.reads | early.writes | late.reads | late.writes) > 24:
        return None
    return Map((*early.nodes, *late.nodes), early.axes, (*early.stores, *stores))


def _by_several(axes: Sequence[Axis], term: Symbol) -> tuple[Sequence[Axis], list[Symbol]]:
    """Several rows at a time: axes with fewer steps, and the terms of one step."""
    size = axes[-1].size if axes else 1
    count = next((count for count in (8, 4, 2) if size % count == 0), 1)
    if count == 1:
        return axes, [term]
    steps = Axis(axes[-1].size // count)
    terms = [Replacement({axes[-1]: of(steps) * count + row}).symbol(term) for row in range(count)]
    return (*axes[:-1], steps), terms


def _runs_across(term: Symbol, axes: Sequence[Axis]) -> bool:
    """Whether neighbours in memory belong to different results, as in a sum over columns.

    Every load has a say, by the number of elements that it reads.
    """
    if prod(axis.size for axis in axes) == 1:
        return False
    vote = 0
    for x in parts(term):
        if x.operation == "load":
            assert x.index is not None
            found = [(atom, f) for atom, f in x.index.terms.items() if isinstance(atom, Axis)]
            size = prod(axis.size for axis, _ in found)
            for axis, factor in found:
                if factor == 1:
                    vote += -size if axis in axes else size
    return vote > 0


def _widest(term: Symbol) -> Index:
    """The access that reads most elements."""
    indices = [x.index for x in parts(term) if x.operation == "load" and x.index is not None]
    return max(
        indices,
        key=lambda index: prod(atom.size for atom in index.terms if isinstance(atom, Axis)),
    )


def _is_matrix(x: Symbol, axes: Sequence[Axis]) -> bool:
    """Whether a value can be read in place by a GEMM: a load whose rows or columns lie together."""
    if x.operation != "load" or x.index is None:
        return False
    if any(not isinstance(atom, Axis) for atom in x.index.terms):
        return False
    steps = sorted((x.index.terms.get(axis, 0), axis.size) for axis in axes[-2:] if axis.size > 1)
    if not steps:
        return True
    return steps[0][0] == 1 and (len(steps) == 1 or steps[1][0] >= steps[0][1])


def _work(node: Node) -> int:
    if type(node).__name__ in TABLE.scatters:
        return node.inputs[-1].size or 0
    return max([node.size or 0, *(x.size or 0 for x in node.inputs)])


def _generic(node: Node) -> Indices:
    return tuple(of(Axis(size)) for size in sizes(node))


def _sample(node: Node) -> Read:
    def read(number: int, index: Indices) -> Symbol:
        x = node.inputs[number]
        assert len(index) == x.ndim
        shape = sizes(x)
        return load(Buffer("", x.dtype, shape, row_major(shape)), flat(index, row_major(shape)))

    return read
