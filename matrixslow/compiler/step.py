"""Step: the phases of a schedule as native functions, which every thread runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matrixslow.compiler import mathlib
from matrixslow.compiler.llvm import Printer
from matrixslow.compiler.loops import Kernel, Loop, collapsed
from matrixslow.compiler.memory import Arena
from matrixslow.compiler.schedule import Phase, Task
from matrixslow.compiler.symbols import Buffer
from matrixslow.compiler.threads import pause

# The first entries of a table: functions of BLAS, where threads meet, the arena. Leaves follow.
SGEMM, DGEMM, GET_THREADS, SET_THREADS, MEETING, ARENA, LEAVES = range(7)

HEAVY_ROW = 10_000
"""Rows of that much work are taken through several kernels one by one."""

SPINS = 2000
"""How often a thread looks at a barrier before it lets others have the core."""


def barrier() -> str:
    """The last thread to arrive lets all others go on."""
    return f"""
declare i32 @sched_yield()

define internal void @barrier(ptr %meeting, i64 %threads) noinline nounwind {{
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %end, label %meet
meet:
  %round = getelementptr i8, ptr %meeting, i64 64
  %now = load atomic i64, ptr %round acquire, align 8
  %before = atomicrmw add ptr %meeting, i64 1 acq_rel
  %here = add i64 %before, 1
  %last = icmp eq i64 %here, %threads
  br i1 %last, label %open, label %look
open:
  store atomic i64 0, ptr %meeting monotonic, align 8
  %next = add i64 %now, 1
  store atomic i64 %next, ptr %round release, align 8
  br label %end
look:
  %spins = phi i64 [0, %meet], [%more, %again]
  %later = load atomic i64, ptr %round acquire, align 8
  %done = icmp ne i64 %later, %now
  br i1 %done, label %end, label %spin
spin:
  %more = add i64 %spins, 1
  %late = icmp ugt i64 %more, {SPINS}
  br i1 %late, label %yield, label %rest
yield:
  %y = call i32 @sched_yield()
  br label %again
rest:
  call void asm sideeffect "{pause()}", ""()
  br label %again
again:
  br label %look
end:
  ret void
}}
"""


def entry(name: str, *, blas: bool) -> str:
    """The function that Python calls: it keeps BLAS to one thread while ours call it."""
    quiet, restore = "", ""
    if blas:
        quiet = f"""
  %get.place = getelementptr ptr, ptr %table, i64 {GET_THREADS}
  %get = load ptr, ptr %get.place
  %set.place = getelementptr ptr, ptr %table, i64 {SET_THREADS}
  %set = load ptr, ptr %set.place
  %old = call i32 %get()
  %many = icmp ne i32 %old, 1
  br i1 %many, label %quiet, label %start
quiet:
  call void %set(i32 1)
  br label %start
start:"""
        restore = """
  br i1 %many, label %restore, label %end
restore:
  call void %set(i32 %old)
  br label %end
end:"""
    return f"""
define void @{name}.call(ptr %run, ptr %pool, ptr %table, i64 %threads, i64 %started) {{{quiet}
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %one, label %all
one:
  call void @{name}(ptr %table, i64 0, i64 1)
  br label %done
all:
  call void %run(ptr %pool, ptr @{name}, ptr %table, i64 %threads, i64 %started)
  br label %done
done:{restore}
  ret void
}}
"""


class Steps:
    """Collects the LLVM text of one or more native functions.

    Args:
        homes: Buffers that lie where another one lies.
        arena: Where arena buffers lie.
        slots: At which entry of the table the address of another buffer stands.
        threads: How many there can be.
    """

    def __init__(
        self,
        homes: Mapping[Buffer, Buffer],
        arena: Arena,
        slots: Mapping[Buffer, int],
        threads: int,
    ) -> None:
        self._homes, self._arena, self._slots, self._threads = homes, arena, slots, threads
        self._printer = Printer()
        self._kernels: dict[str, str] = {}
        self._steps: list[str] = []

    def add(self, phases: Sequence[Phase]) -> str:
        """Print native phases as one function; its name."""
        name = f"step{len(self._steps)}"
        lines = [f"define void @{name}(ptr %table, i64 %thread, i64 %threads) {{\nentry:"]
        pointers: dict[Buffer, str] = {}
        for slot in (MEETING, ARENA):
            lines.append(f"  %place{slot} = getelementptr ptr, ptr %table, i64 {slot}")
            lines.append(f"  %fixed{slot} = load ptr, ptr %place{slot}")
        shares: dict[int, tuple[str, str]] = {}
        count = 0
        for number, phase in enumerate(phases):
            if number:
                lines.append(f"  call void @barrier(ptr %fixed{MEETING}, i64 %threads)")
            for chain in chains(phase.tasks):
                calls = []
                for task in chain:
                    kernel = collapsed(task)
                    function, buffers = self._kernel(kernel)
                    for buffer in buffers:
                        if buffer not in pointers:
                            pointers[buffer] = f"%p{len(pointers)}"
                            # In the first block, which is before every other one.
                            lines[1:1] = self._address(buffer, pointers[buffer])
                    pointed = [f"ptr {pointers[buffer]}" for buffer in buffers]
                    arguments = ", ".join([*pointed, "ptr %table", "i64 %thread"])
                    calls.append((kernel, f"  call void @{function}({arguments}, "))
                count += 1
                kernel, call = calls[0]
                if kernel.split is None:
                    owner = phase.owners[chain[0]]
                    lines += [
                        f"  %turn{count} = urem i64 {owner}, %threads",
                        f"  %mine{count} = icmp eq i64 %turn{count}, %thread",
                        f"  br i1 %mine{count}, label %do{count}, label %next{count}",
                        f"do{count}:",
                        f"{call}i64 0, i64 0)",
                        f"  br label %next{count}",
                        f"next{count}:",
                    ]
                    continue
                low, high = self._share(kernel.rows, shares, lines)
                if len(calls) == 1:
                    lines += _scaled(f"{count}", low, high, kernel.grain)
                    lines.append(f"{call}i64 %low{count}, i64 %high{count})")
                    continue
                lines += [
                    f"  br label %test{count}",
                    f"test{count}:",
                    f"  %row{count} = phi i64 [{low}, {block(lines)}], "
                    f"[%after{count}, %row.do{count}]",
                    f"  %some{count} = icmp slt i64 %row{count}, {high}",
                    f"  br i1 %some{count}, label %row.do{count}, label %row.end{count}",
                    f"row.do{count}:",
                    f"  %after{count} = add i64 %row{count}, 1",
                ]
                for number_of_call, (kernel, call) in enumerate(calls):
                    name_of_call = f"{count}.{number_of_call}"
                    row, after = f"%row{count}", f"%after{count}"
                    lines += _scaled(name_of_call, row, after, kernel.grain)
                    lines.append(f"{call}i64 %low{name_of_call}, i64 %high{name_of_call})")
                lines += [f"  br label %test{count}", f"row.end{count}:"]
        self._steps.append("\n".join([*lines, "  ret void\n}\n"]))
        blas = any("%table, i64 0" in text or "%table, i64 1" in text for text in self._kernels)
        self._steps[-1] += entry(name, blas=blas)
        return name

    def source(self) -> str:
        """The whole text."""
        kernels = [f"define internal void @{name}{text}" for text, name in self._kernels.items()]
        helpers = mathlib.functions()
        declared = {**mathlib.declarations(), **self._printer.declared}
        return "\n".join([*declared.values(), barrier(), helpers, *kernels, *self._steps])

    def _kernel(self, kernel: Kernel) -> tuple[str, list[Buffer]]:
        text, buffers = self._printer.kernel(kernel, self._homes)
        return self._kernels.setdefault(text, f"kernel{len(self._kernels)}"), buffers

    def _address(self, buffer: Buffer, name: str) -> list[str]:
        if buffer.place == "scratch":
            start = self._arena.size - self._threads * self._arena.scratch
            return [
                f"  {name}.place = getelementptr ptr, ptr %table, i64 {ARENA}",
                f"  {name}.arena = load ptr, ptr {name}.place",
                f"  {name}.own = mul i64 %thread, {self._arena.scratch}",
                f"  {name}.offset = add i64 {name}.own, {start}",
                f"  {name} = getelementptr i8, ptr {name}.arena, i64 {name}.offset",
            ]
        if buffer in self._arena.offsets:
            return [
                f"  {name}.place = getelementptr ptr, ptr %table, i64 {ARENA}",
                f"  {name}.arena = load ptr, ptr {name}.place",
                f"  {name} = getelementptr i8, ptr {name}.arena, i64 {self._arena.offsets[buffer]}",
            ]
        return [
            f"  {name}.place = getelementptr ptr, ptr %table, i64 {self._slots[buffer]}",
            f"  {name} = load ptr, ptr {name}.place",
        ]

    def _share(
        self, rows: int, shares: dict[int, tuple[str, str]], lines: list[str]
    ) -> tuple[str, str]:
        """The part of a split axis that falls to a thread: rows * thread / threads and on."""
        if rows not in shares:
            name = f"rows{rows}"
            lines[1:1] = [
                f"  %{name}.following = add i64 %thread, 1",
                f"  %{name}.a = mul i64 %thread, {rows}",
                f"  %{name}.b = mul i64 %{name}.following, {rows}",
                f"  %{name}.low = udiv i64 %{name}.a, %threads",
                f"  %{name}.high = udiv i64 %{name}.b, %threads",
            ]
            shares[rows] = (f"%{name}.low", f"%{name}.high")
        return shares[rows]


def chains(tasks: Sequence[Task]) -> Iterator[list[Kernel]]:
    """Kernels that go through their rows together, so that a row is still in the cache.

    Such a row is an image: much work, and no matrix product that wants many rows at once.
    """
    chain: list[Kernel] = []
    for task in tasks:
        assert isinstance(task, Kernel)
        if chain and not (_by_rows(task) and task.rows == chain[0].rows):
            yield chain
            chain = []
        if _by_rows(task):
            chain.append(task)
        else:
            yield [task]
    if chain:
        yield chain


def _by_rows(kernel: Kernel) -> bool:
    return (
        kernel.split is not None
        and len(kernel.body) == 1
        and isinstance(kernel.body[0], Loop)
        and kernel.body[0].axis is kernel.split
        and kernel.work > HEAVY_ROW * kernel.rows
    )


def block(lines: Sequence[str]) -> str:
    """The name of the block that is being written."""
    for line in reversed(lines):
        if line.endswith(":"):
            return "%" + line[:-1]
    return "%entry"


def _scaled(name: str, low: str, high: str, grain: int) -> list[str]:
    return [f"  %low{name} = mul i64 {low}, {grain}", f"  %high{name} = mul i64 {high}, {grain}"]
