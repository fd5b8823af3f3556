"""Ticket: something that was begun; `wait` alone waits, and never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from matrixslow.errors import ServerLost

T = TypeVar("T")


class Ticket(Generic[T]):
    """Stands for what several servers were asked for.

    Args:
        what: What it is, for errors.
        parts: One for each server; each of them ends within its own limit.
        finish: Makes the result of theirs.
    """

    def __init__(
        self, what: str, parts: Sequence[Future[Any]], finish: Callable[[list[Any]], T]
    ) -> None:
        self._what, self._parts, self._finish = what, parts, finish

    @property
    def done(self) -> bool:
        """Whether `wait` returns at once."""
        return all(part.done() for part in self._parts)

    def wait(self, timeout: float | None = None) -> T:
        """The result, once it is there.

        Args:
            timeout: The most seconds to wait; by default the limit of the client.

        Raises:
            ServerLost: It was not there in time.
            MatrixSlowError: A server refused it.
        """
        done, waiting = wait(self._parts, timeout, FIRST_EXCEPTION)
        for part in done:
            if (error := part.exception()) is not None:
                raise error
        if waiting:
            raise ServerLost(
                f"{self._what}: not done after {timeout} s",
                hint="wait longer, or look whether other workers are late",
            )
        return self._finish([part.result() for part in self._parts])


class Lane:
    """A thread that does one thing after another, and holds up nobody who wants to end.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, call: Callable[[], T]) -> Future[T]:
        """Do this when all is done that was begun before."""
        future: Future[T] = Future()
        self._calls.put((call, future))
        return future

    def close(self) -> None:
        """End when all is done."""
        self._calls.put(None)

    def _run(self) -> None:
        while (entry := self._calls.get()) is not None:
            call, future = entry
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)


class Pulse(threading.Thread):
    """A thread that does the same thing at intervals.

    Args:
        interval: Seconds.
        beat: What it does.
    """

    def __init__(self, interval: float, beat: Callable[[], None]) -> None:
        super().__init__(name="pulse", daemon=True)
        self._interval, self._beat = interval, beat
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Beat, until stopped."""
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self._beat()
            due = max(due + self._interval, time.monotonic())

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        self.join(self._interval)
