"""Threads that run one native step side by side, and wait for the next without burning a core."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
from functools import cache
from typing import Any

from matrixslow.errors import ArgumentError

FUTEX = {"x86_64": 202, "aarch64": 98}
SPINS = 20_000

# The words of a pool, each on a cache line of its own.
GENERATION, REMAINING, FUNCTION, TABLE, COUNT, NEXT, SLEEPERS, FIRST = (64 * i for i in range(8))
SIZE = 64 * 8


def runtime(futex: int) -> str:
    """LLVM text of `run`, which a caller uses, and `worker`, which each thread runs."""

    def word(name: str, offset: int) -> str:
        return f"  %{name} = getelementptr i8, ptr %pool, i64 {offset}\n"

    words = "".join(
        word(name, offset)
        for name, offset in (
            ("generation", GENERATION),
            ("remaining", REMAINING),
            ("function", FUNCTION),
            ("table", TABLE),
            ("count", COUNT),
            ("next", NEXT),
            ("sleepers", SLEEPERS),
            ("first", FIRST),
        )
    )
    if futex:
        call = f"call i64 (i64, ...) @syscall(i64 {futex}, ptr %generation"
        park, wake = f"{call}, i32 128, i32 %seen, ptr null)", f"{call}, i32 129, i32 1000)"
        declared = "declare i64 @syscall(i64, ...)"
    else:
        park, wake = "call i32 @usleep(i32 100)", "add i64 0, 0"
        declared = "declare i32 @usleep(i32)"
    return f"""
declare i32 @sched_yield()
{declared}

define void @run(ptr %pool, ptr %f, ptr %t, i64 %threads, i64 %started) {{
{words}
  store ptr %f, ptr %function
  store ptr %t, ptr %table
  store i64 %threads, ptr %count
  %others = sub i64 %started, 1
  store atomic i64 %others, ptr %remaining seq_cst, align 8
  %old = atomicrmw add ptr %generation, i32 1 seq_cst
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %some = icmp sgt i32 %asleep, 0
  br i1 %some, label %wake, label %work
wake:
  %woken = {wake}
  br label %work
work:
  call void %f(ptr %t, i64 0, i64 %threads)
  br label %wait
wait:
  %spins = phi i64 [0, %work], [%more, %again]
  %left = load atomic i64, ptr %remaining acquire, align 8
  %done = icmp eq i64 %left, 0
  br i1 %done, label %end, label %spin
spin:
  %more = add i64 %spins, 1
  %late = icmp ugt i64 %more, {SPINS}
  br i1 %late, label %yield, label %pause
yield:
  %y = call i32 @sched_yield()
  br label %again
pause:
  call void asm sideeffect "{pause()}", ""()
  br label %again
again:
  br label %wait
end:
  ret void
}}

define ptr @worker(ptr %pool) {{
{words}
  %id = atomicrmw add ptr %next, i64 1 seq_cst
  %from = load atomic i32, ptr %first acquire, align 4
  br label %rest
rest:
  %seen = phi i32 [%from, %0], [%now, %finish], [%seen, %park]
  br label %look
look:
  %spins = phi i64 [0, %rest], [%more, %pause]
  %now = load atomic i32, ptr %generation acquire, align 4
  %new = icmp ne i32 %now, %seen
  br i1 %new, label %begin, label %idle
idle:
  %more = add i64 %spins, 1
  %late = icmp ugt i64 %more, {SPINS}
  br i1 %late, label %park, label %pause
pause:
  call void asm sideeffect "{pause()}", ""()
  br label %look
park:
  %s1 = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %parked = {park}
  %s2 = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %rest
begin:
  %f = load ptr, ptr %function
  %t = load ptr, ptr %table
  %threads = load i64, ptr %count
  %mine = icmp slt i64 %id, %threads
  br i1 %mine, label %work, label %finish
work:
  call void %f(ptr %t, i64 %id, i64 %threads)
  br label %finish
finish:
  %r = atomicrmw sub ptr %remaining, i64 1 release
  br label %rest
}}
"""


def pause() -> str:
    """The instruction that tells the core that a thread spins."""
    return "yield" if platform.machine() in ("aarch64", "arm64") else "pause"


@cache
def _engine() -> tuple[int, int]:
    """The addresses of `run` and `worker`. They stay for good: threads may be waiting in them."""
    from matrixslow.compiler.llvm import load_module  # llvmlite is loaded at the first step only

    futex = FUTEX.get(platform.machine(), 0) if sys.platform == "linux" else 0
    module = load_module(runtime(futex))
    found = module.address("run"), module.address("worker")
    module.keep()
    return found


class Pool:
    """Threads that wait for steps. They are started when they are needed first, and stay.

    Attributes:
        threads: How many run a step, the caller's among them.
    """

    def __init__(self) -> None:
        self.threads = usable_cores()
        self._begin()
        if hasattr(os, "register_at_fork"):
            # A fork waits for the step that runs, so that its variables are those of a whole one.
            os.register_at_fork(
                before=lambda: self._lock.acquire(),
                after_in_parent=lambda: self._lock.release(),
                after_in_child=self._begin,
            )

    def _begin(self) -> None:
        """No thread but the caller's: so a process begins, forked ones too."""
        self._lock = threading.Lock()
        self._started = 1
        self._memory = ctypes.create_string_buffer(SIZE + 64)
        self._words = -(-ctypes.addressof(self._memory) // 64) * 64
        self._word(NEXT).value = 1

    def run(self, call: Any, table: int, threads: int) -> None:
        """Let a native function run on that many threads; return when all have finished.

        Steps of several Python threads wait for each other. Ctrl-C is answered after the step.

        Args:
            call: The entry of a compiled step, a ctypes function.
            table: The address of its table.
            threads: How many; 1 needs nobody.
        """
        if threads == 1:
            call(None, None, table, 1, 1)
            return
        run, worker = _engine()
        with self._lock:
            if self._started < threads:
                self._start(worker, threads)
            call(run, self._words, table, min(threads, self._started), self._started)

    def _start(self, worker: int, threads: int) -> None:
        library = ctypes.CDLL(None)
        self._word(FIRST).value = self._word(GENERATION).value
        thread = ctypes.c_void_p()
        arguments = (None, ctypes.c_void_p(worker), ctypes.c_void_p(self._words))
        # Signals are for the threads that run Python.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while self._started < threads:
                if library.pthread_create(ctypes.byref(thread), *arguments):
                    break
                library.pthread_detach(thread)
                self._started += 1
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self._words + offset)


@cache
def pool() -> Pool:
    """The threads of this process."""
    return Pool()


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int) -> None:
    """Run compiled steps on that many threads; the default is every core the process may use.

    Results are equal bit for bit between runs with the same number of threads.

    Raises:
        ArgumentError: The number is not positive.

    >>> ms.set_threads(2)
    >>> ms.get_threads()
    2
    """
    if count < 1:
        raise ArgumentError(f"set_threads: {count} threads", hint="give at least 1")
    pool().threads = count


def get_threads() -> int:
    """How many threads compiled steps run on.

    >>> ms.set_threads(1)
    >>> ms.get_threads()
    1
    """
    return pool().threads
