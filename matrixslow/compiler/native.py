"""Native: one compiled step for one tuple of shapes, its memory, and how it is called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from sys import getrefcount
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from weakref import ref

import numpy as np

from matrixslow.backend import Array
from matrixslow.compiler.fusion import Fallback, Plan
from matrixslow.compiler.indices import row_major
from matrixslow.compiler.llvm import PRODUCTS, load_module
from matrixslow.compiler.loops import Gemm, Kernel, statements, text
from matrixslow.compiler.lowering.table import sizes
from matrixslow.compiler.matmul import product
from matrixslow.compiler.memory import arrange
from matrixslow.compiler.passes import rewrite
from matrixslow.compiler.schedule import Phase, schedule
from matrixslow.compiler.settle import settle
from matrixslow.compiler.step import COUNTERS, LEAVES, Steps
from matrixslow.compiler.symbols import Buffer
from matrixslow.compiler.threads import pool
from matrixslow.core.interpreter import located
from matrixslow.core.leaf import Constant, Leaf, Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors

SMALL = 60_000
"""Steps of less work than that run on one thread: meeting would take longer."""


def _references(variable: Any) -> int:
    """How many references there are to a variable's array while it is looked at."""
    array = variable.value
    return getrefcount(array)


OWN_REFERENCES = _references(SimpleNamespace(value=np.empty(1)))
"""As many, if nobody but the variable holds it."""


class Native:
    """A step with all shapes known.

    Args:
        copies: The nodes, with their copies in a graph of their own, where all sizes are known.
        inputs: The nodes that are fed, in order.
        outputs: The copies whose values are returned.
        updates: Pairs of a variable and the copy of its new value.
        threads: How many run the step.
        off: Names of passes to leave out.
    """

    def __init__(
        self,
        copies: Mapping[Node, Node],
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        updates: Sequence[tuple[Node, Node]],
        *,
        threads: int,
        off: Collection[str] = (),
    ) -> None:
        wanted = [*outputs, *(new for _, new in updates)]
        found = rewrite(list(copies.values()), wanted, off=off)
        outputs = [found[node] for node in outputs]
        pairs = [(copies[variable], found[new]) for variable, new in updates]
        originals = {copy: node for node, copy in copies.items()}
        needed = [*outputs, *(new for _, new in pairs)]
        nodes = ancestors([*needed, *(variable for variable, _ in pairs)])
        leaves: dict[Node, Buffer] = {
            node: _leaf_buffer(node, originals.get(node, node), inputs)
            for node in nodes
            if isinstance(node, Leaf)
        }
        plan = Plan(nodes, set(needed), leaves, threads)
        settlement = settle(plan, outputs, pairs)
        self.reasons = plan.reasons
        self.homes = settlement.homes
        self.phases = schedule(settlement.tasks, settlement.dependences)
        places = [self._home(place) for place in settlement.places]
        self.arena = arrange(self.phases, self.homes, places, threads)
        self._threads = threads
        self._together = plan.shared
        self._numbers = {node: number for number, node in enumerate(inputs)}
        self._allocate(places)
        self._compile()
        self._results = [
            self._result(buffer, place)
            for buffer, place in zip(settlement.places, places, strict=True)
        ]

    # ---- making --------------------------------------------------------------------------------

    def _allocate(self, places: Sequence[Buffer]) -> None:
        """Make the arena and the table, and note what goes into it at each run."""
        tasks = [task for phase in self.phases for task in phase.tasks]
        touched = [self._home(b) for task in tasks for b in (*task.reads, *task.writes)]
        written = {self._home(buffer) for task in tasks for buffer in task.writes}
        own = ("arena", "scratch")
        outside = [b for b in dict.fromkeys([*touched, *places]) if b.place not in own]
        self._slots = {buffer: LEAVES + number for number, buffer in enumerate(outside)}
        self._memory = _aligned(self.arena.size)
        self._meeting = _aligned(128)
        self._table = (ctypes.c_void_p * (LEAVES + len(outside)))()
        self._address = ctypes.addressof(self._table)
        multiplied = {
            statement.c.buffer.dtype
            for task in tasks
            if isinstance(task, Kernel)
            for statement, _ in statements(task.body)
            if isinstance(statement, Gemm)
        }
        functions = [product(dtype) if dtype in multiplied else 0 for dtype in PRODUCTS]
        fixed = (*functions, self._meeting.ctypes.data, self._memory.ctypes.data)
        for slot, address in enumerate(fixed):
            self._table[slot] = address
        self._constants: list[Array] = []
        self._fed: list[tuple[int, int]] = []
        self._variables: list[tuple[int, Any, bool]] = []
        for buffer, slot in self._slots.items():
            node = buffer.node
            if isinstance(node, Constant):
                self._constants.append(np.asarray(node.array, order="C"))
                self._table[slot] = self._constants[-1].ctypes.data
            elif node in self._numbers:
                self._fed.append((slot, self._numbers[node]))
            else:
                self._variables.append((slot, node, buffer in written))
        self._seen: list[Callable[[], Any]] = [lambda: None for _ in self._variables]

    def _compile(self, *, timed: bool = False) -> Steps:
        """Make machine code of the native phases, and Python functions of the others."""
        steps = Steps(self.homes, self.arena, self._slots, self._threads, timed=timed)
        groups: list[list[Phase]] = []
        for phase in self.phases:
            if groups and phase.native and groups[-1][0].native:
                groups[-1].append(phase)
            elif phase.tasks:
                groups.append([phase])
        names = [steps.add(group) if group[0].native else None for group in groups]
        self.source = steps.source()
        self._module = load_module(self.source) if any(names) else None
        count = ctypes.c_int64
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, count, count)
        self._parts: list[Callable[[Sequence[Array]], None]] = []
        for group, name in zip(groups, names, strict=True):
            if name is None:
                (task,) = group[0].tasks
                assert isinstance(task, Fallback)
                self._parts.append(self._fallback(task))
                continue
            assert self._module is not None
            tasks = [task for phase in group for task in phase.tasks]
            work = sum(task.work for task in tasks if isinstance(task, Kernel))
            call = kind(self._module.address(name + ".call"))
            many = work > SMALL or self._together
            self._parts.append(partial(self._run_native, call, self._threads if many else 1))
        return steps

    def _run_native(self, call: Any, threads: int, feeds: Sequence[Array]) -> None:
        pool().run(call, self._address, threads)

    def _fallback(self, task: Fallback) -> Callable[[Sequence[Array]], None]:
        """What runs a node by its `compute`, from memory to memory."""
        readers = [self._reader(buffer) for buffer in task.inputs]
        write = self._reader(task.output)

        def run(feeds: Sequence[Array]) -> None:
            try:
                with np.errstate(all="ignore"):
                    value = task.node.compute(np, *[read(feeds) for read in readers])
            except Exception as error:
                raise located(task.node, error) from error
            np.copyto(write(feeds), value)

        return run

    def _reader(self, buffer: Buffer) -> Callable[[Sequence[Array]], Array]:
        """What gives the array that lies in a buffer."""
        home = self._home(buffer)
        node: Any = home.node
        if home.place == "arena":
            view = self._view(buffer, self.arena.offsets[home])
            return lambda feeds: view
        if node in self._numbers:
            number = self._numbers[node]
            return lambda feeds: feeds[number]
        return lambda feeds: node.value

    def _result(self, buffer: Buffer, home: Buffer) -> Callable[[Sequence[Array]], Array]:
        read = self._reader(buffer)
        if home.node in self._numbers:
            return read
        return lambda feeds: read(feeds).copy()

    def _view(self, buffer: Buffer, offset: int) -> Array:
        flat = self._memory[offset : offset + buffer.nbytes].view(buffer.dtype)
        steps = [stride * buffer.dtype.itemsize for stride in buffer.strides]
        return np.lib.stride_tricks.as_strided(flat, buffer.shape, steps)

    def _home(self, buffer: Buffer) -> Buffer:
        return self.homes.get(buffer, buffer)

    # ---- running -------------------------------------------------------------------------------

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """The values of the outputs, after which the updates are applied."""
        table = self._table
        held = []  # copies must live until the end of the step
        for slot, number in self._fed:
            array = feeds[number]
            if not array.flags.c_contiguous:
                array = np.asarray(array, order="C")
                held.append(array)
            table[slot] = array.__array_interface__["data"][0]
        for number, (slot, variable, written) in enumerate(self._variables):
            array = variable.value
            shared = written and getrefcount(array) > OWN_REFERENCES
            if shared or self._seen[number]() is not array:
                self._take(number, slot, variable, shared)
        for part in self._parts:
            part(feeds)
        return [result(feeds) for result in self._results]

    def _take(self, number: int, slot: int, variable: Variable, shared: bool) -> None:
        """Note where a variable's array lies; one that others hold, too, is left to them."""
        if shared or not variable.value.flags.c_contiguous or not variable.value.flags.writeable:
            variable.value = np.array(variable.value, order="C")
        self._table[slot] = variable.value.ctypes.data
        self._seen[number] = ref(variable.value)

    # ---- reading -------------------------------------------------------------------------------

    def profile(self, feeds: Sequence[Array], runs: int) -> list[tuple[str, float]]:
        """Where the time of a run goes: pairs (nodes, seconds), the longest first.

        A thread's time counts as its share. Variables are updated, as by any run.
        """
        plain = self._parts, self._module, self.source
        steps = self._compile(timed=True)
        counters = np.zeros((len(steps.calls), self._threads), np.int64)
        self._table[COUNTERS] = counters.ctypes.data
        assert self._module is not None
        clock = ctypes.CFUNCTYPE(ctypes.c_int64)(self._module.address("clock"))
        begin, first = perf_counter(), clock()
        for _ in range(runs):
            self.run(feeds)
        rate = (perf_counter() - begin) / max(clock() - first, 1) / self._threads / runs
        self._parts, self._module, self.source = plain
        totals = counters.sum(axis=1) * rate
        seconds = [
            (kernel.name, float(total)) for kernel, total in zip(steps.calls, totals, strict=True)
        ]
        return sorted(seconds, key=lambda pair: -pair[1])

    def explain(self) -> str:
        """The plan as text: phases, kernels with their nodes, memory, and what fell back."""
        lines = [
            f"native: {sum(len(phase.tasks) for phase in self.phases)} kernels in "
            f"{len(self.phases)} phases, arena {self.arena.size:,} bytes "
            f"(buffers beside each other: {self.arena.total:,})"
        ]
        for number, phase in enumerate(self.phases):
            lines.append(f"phase {number}")
            for task in phase.tasks:
                if isinstance(task, Fallback):
                    lines.append(f"  {task.node!r} by compute: {task.reason}")
                    continue
                where = f"rows {task.rows}" if task.split else f"thread {phase.owners[task]}"
                lines.append(f"  {task.name}   [{where}, work {task.work:,.0f}]")
                lines += text(task.body, "    ")
        lines += [f"update {old} in place by {new}" for new, old in self.homes.items()]
        return "\n".join(lines)


def _leaf_buffer(node: Node, original: Node, inputs: Sequence[Node]) -> Buffer:
    shape = sizes(node)
    place = (
        "input"
        if original in inputs
        else "variable"
        if isinstance(original, Variable)
        else "constant"
    )
    return Buffer(node.name, node.dtype, shape, row_major(shape), place, original)


def _aligned(size: int) -> Array:
    """Bytes that begin at a cache line."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + max(size, 1)]
