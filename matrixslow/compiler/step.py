"""Step: the phases of a schedule as native functions, which every thread runs side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matrixslow.compiler import mathlib
from matrixslow.compiler.llvm import PRODUCTS, Printer
from matrixslow.compiler.loops import Kernel, Loop, collapsed
from matrixslow.compiler.memory import Arena
from matrixslow.compiler.schedule import Phase, Task
from matrixslow.compiler.symbols import Buffer
from matrixslow.compiler.threads import pause

# The first entries of a table: matrix products, where threads meet, the
# arena, counters of a profile. Leaves follow.
MEETING, ARENA, COUNTERS, LEAVES = range(len(PRODUCTS), len(PRODUCTS) + 4)

CLOCK = """declare i64 @llvm.readcyclecounter()
define i64 @clock() {
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}"""

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


def entry(name: str) -> str:
    """The function that Python calls."""
    return f"""
define void @{name}.call(ptr %run, ptr %pool, ptr %table, i64 %threads, i64 %started) {{
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %one, label %all
one:
  call void @{name}(ptr %table, i64 0, i64 1)
  ret void
all:
  call void %run(ptr %pool, ptr @{name}, ptr %table, i64 %threads, i64 %started)
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
        timed: Whether every kernel adds the cycles it takes to a counter of its thread.
    """

    def __init__(
        self,
        homes: Mapping[Buffer, Buffer],
        arena: Arena,
        slots: Mapping[Buffer, int],
        threads: int,
        *,
        timed: bool = False,
    ) -> None:
        self._homes, self._arena, self._slots, self._threads = homes, arena, slots, threads
        self._timed = timed
        self._printer = Printer()
        self._kernels: dict[str, str] = {}
        self._steps: list[str] = []
        self.calls: list[Kernel] = []
        """The kernels in the order of their counters."""

    def add(self, phases: Sequence[Phase]) -> str:
        """Print native phases as one function; its name."""
        name = f"step{len(self._steps)}"
        self._lines: list[str] = []
        self._first: list[str] = []  # the first block, which is before every other one
        self._pointers: dict[Buffer, str] = {}
        self._shares: dict[int, tuple[str, str]] = {}
        self._block, self._count = "entry", 0
        meeting = self._fixed("meeting", MEETING)
        if self._timed:
            self._fixed("counters", COUNTERS)
        for number, phase in enumerate(phases):
            if number:
                self._lines.append(f"  call void @barrier(ptr {meeting}, i64 %threads)")
            for chain in chains(phase.tasks):
                if chain[0].split is None:
                    self._alone(chain[0], phase.owners[chain[0]])
                elif len(chain) == 1:
                    low, high = self._share(chain[0].rows)
                    self._call(chain[0], low, high)
                else:
                    self._by_rows(chain)
        head = f"define void @{name}(ptr %table, i64 %thread, i64 %threads) {{\nentry:"
        step = "\n".join([head, *self._first, *self._lines, "  ret void\n}\n"])
        self._steps.append(step + entry(name))
        return name

    def source(self) -> str:
        """The whole text."""
        kernels = [f"define internal void @{name}{text}" for text, name in self._kernels.items()]
        helpers = mathlib.functions()
        declared = {**mathlib.declarations(), **self._printer.declared}
        if self._timed:
            declared["clock"] = CLOCK
        return "\n".join([*declared.values(), barrier(), helpers, *kernels, *self._steps])

    # ---- calls ---------------------------------------------------------------------------------

    def _alone(self, task: Kernel, owner: int) -> None:
        """One thread runs the kernel."""
        number = self._next()
        self._lines += [
            f"  %turn{number} = urem i64 {owner}, %threads",
            f"  %mine{number} = icmp eq i64 %turn{number}, %thread",
            f"  br i1 %mine{number}, label %do{number}, label %next{number}",
        ]
        self._label(f"do{number}")
        self._call(task, "0", "0")
        self._lines.append(f"  br label %next{number}")
        self._label(f"next{number}")

    def _by_rows(self, chain: Sequence[Kernel]) -> None:
        """Each row of a thread goes through all kernels before the next one."""
        low, high = self._share(chain[0].rows)
        number, before = self._next(), self._block
        self._lines.append(f"  br label %test{number}")
        self._label(f"test{number}")
        self._lines += [
            f"  %row{number} = phi i64 [{low}, %{before}], [%after{number}, %row.do{number}]",
            f"  %some{number} = icmp slt i64 %row{number}, {high}",
            f"  br i1 %some{number}, label %row.do{number}, label %row.end{number}",
        ]
        self._label(f"row.do{number}")
        self._lines.append(f"  %after{number} = add i64 %row{number}, 1")
        for kernel in chain:
            self._call(kernel, f"%row{number}", f"%after{number}")
        self._lines.append(f"  br label %test{number}")
        self._label(f"row.end{number}")

    def _call(self, task: Kernel, low: str, high: str) -> None:
        """Call a kernel for rows low <= row < high."""
        number = self._next()
        kernel = collapsed(task)
        text, buffers = self._printer.kernel(kernel, self._homes)
        function = self._kernels.setdefault(text, f"kernel{len(self._kernels)}")
        if kernel.grain > 1:
            self._lines += [
                f"  %low{number} = mul i64 {low}, {kernel.grain}",
                f"  %high{number} = mul i64 {high}, {kernel.grain}",
            ]
            low, high = f"%low{number}", f"%high{number}"
        arguments = [f"ptr {self._pointer(buffer)}" for buffer in buffers]
        arguments += ["ptr %table", "i64 %thread", f"i64 {low}", f"i64 {high}"]
        if self._timed:
            self._lines.append(f"  %start{number} = call i64 @llvm.readcyclecounter()")
        self._lines.append(f"  call void @{function}({', '.join(arguments)})")
        if self._timed:
            self._count_cycles(number)
        self.calls.append(task)

    def _count_cycles(self, number: int) -> None:
        place = len(self.calls) * self._threads
        self._lines += [
            f"  %end{number} = call i64 @llvm.readcyclecounter()",
            f"  %cycles{number} = sub i64 %end{number}, %start{number}",
            f"  %slot{number} = add i64 %thread, {place}",
            f"  %counter{number} = getelementptr i64, ptr %counters, i64 %slot{number}",
            f"  %old{number} = load i64, ptr %counter{number}",
            f"  %new{number} = add i64 %old{number}, %cycles{number}",
            f"  store i64 %new{number}, ptr %counter{number}",
        ]

    # ---- the first block -----------------------------------------------------------------------

    def _fixed(self, name: str, slot: int) -> str:
        self._first += [
            f"  %{name}.place = getelementptr ptr, ptr %table, i64 {slot}",
            f"  %{name} = load ptr, ptr %{name}.place",
        ]
        return f"%{name}"

    def _pointer(self, buffer: Buffer) -> str:
        """The address of a buffer."""
        if buffer in self._pointers:
            return self._pointers[buffer]
        name = f"p{len(self._pointers)}"
        if buffer.place == "scratch":
            start = self._arena.size - self._threads * self._arena.scratch
            arena = self._fixed(f"{name}.arena", ARENA)
            self._first += [
                f"  %{name}.own = mul i64 %thread, {self._arena.scratch}",
                f"  %{name}.offset = add i64 %{name}.own, {start}",
                f"  %{name} = getelementptr i8, ptr {arena}, i64 %{name}.offset",
            ]
        elif buffer in self._arena.offsets:
            arena = self._fixed(f"{name}.arena", ARENA)
            offset = self._arena.offsets[buffer]
            self._first.append(f"  %{name} = getelementptr i8, ptr {arena}, i64 {offset}")
        else:
            self._fixed(name, self._slots[buffer])
        self._pointers[buffer] = f"%{name}"
        return f"%{name}"

    def _share(self, rows: int) -> tuple[str, str]:
        """The rows that fall to a thread: from rows * thread / threads on."""
        if rows not in self._shares:
            name = f"%rows{rows}"
            self._first += [
                f"  {name}.following = add i64 %thread, 1",
                f"  {name}.a = mul i64 %thread, {rows}",
                f"  {name}.b = mul i64 {name}.following, {rows}",
                f"  {name}.low = udiv i64 {name}.a, %threads",
                f"  {name}.high = udiv i64 {name}.b, %threads",
            ]
            self._shares[rows] = (f"{name}.low", f"{name}.high")
        return self._shares[rows]

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")
        self._block = name

    def _next(self) -> int:
        self._count += 1
        return self._count


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
