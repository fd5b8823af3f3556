"""Applier: the one thread that owns a server's store, so that no two calls meet in it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue
from typing import Any

from matrixslow.dist.history import History
from matrixslow.dist.store import Store
from matrixslow.errors import MatrixSlowError, ServerLost

TURN = 0.1
"""Seconds after which the thread looks for silent workers, if nobody calls."""

GATHERED = 1000
"""The most calls that are kept with one write to the disk."""

SNAPSHOT_RETRY = 5.0
"""Seconds after which a snapshot that failed is tried again."""

Call = Callable[[Store], Any]

LOG = logging.getLogger("matrixslow.dist")


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is to see of a store from outside its thread.

    Attributes:
        version: Steps that were applied.
        sequence: Records that were applied.
        pushes: Pushes that came, since the process began, as all counts are.
        duplicates: Of these, those that had come before.
        fenced: Calls of workers that are not in.
        nonfinite: Pushes with NaN or infinity that were left out.
        failed_commits: Times that the log could not be written.
        commits: Times that it could.
        commit_seconds: What that took in all, the steps of the optimizer included.
        log_bytes: Bytes in the newest log.
        log_records: Records in it.
        snapshots: Snapshots that were written.
        failed_snapshots: Those that could not be written.
        snapshot_age: Seconds since the last one.
        staleness: How many steps the slowest live worker is behind the fastest.
        live: The ranks of the workers that are in.
        evictions: Workers that were given up.
        rows: Rows of tables that are kept.
        waiting: Calls that wait for other workers.
        late: The ranks of those workers.
    """

    version: int = 0
    sequence: int = 0
    pushes: int = 0
    duplicates: int = 0
    fenced: int = 0
    nonfinite: int = 0
    failed_commits: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    log_bytes: int = 0
    log_records: int = 0
    snapshots: int = 0
    failed_snapshots: int = 0
    snapshot_age: float = 0.0
    staleness: int = 0
    live: tuple[int, ...] = ()
    evictions: int = 0
    rows: int = 0
    waiting: int = 0
    late: tuple[int, ...] = ()


class Applier:
    """Runs calls on a store, one after another; those that came meanwhile share one commit.

    Args:
        store: Which is empty.
        history: From which it is recovered, and in which its records are kept.
        snapshot_bytes: A snapshot is taken when the log has so many bytes,
        snapshot_seconds: or is so old, if there is anything new.
        clock: Seconds that never go back.

    Attributes:
        recovered: Done when the store is as it was; gives the version.
        ended: Done when the thread is over: with the error that ended it, if there was one.
            Where nothing was recovered, that error is the one of `recovered`.
        figures: The newest.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        *,
        snapshot_bytes: int = 1 << 28,
        snapshot_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.recovered: Future[int] = Future()
        self.ended: Future[None] = Future()
        self.figures = Figures()
        self._store, self._history = store, history
        self._snapshot_bytes, self._snapshot_seconds = snapshot_bytes, snapshot_seconds
        self._clock = clock
        self._calls: SimpleQueue[tuple[Call, Future[Any]]] = SimpleQueue()
        self._waiting: set[Future[Any]] = set()
        self._stopping = False
        self._commits = self._snapshots = self._failed_snapshots = 0
        self._commit_seconds = 0.0
        self._snapshot_time = self._next_snapshot = clock()
        self._kept = 0
        self._thread = threading.Thread(target=self._run, name="applier", daemon=True)

    def start(self) -> None:
        """Begin to recover, then to take calls."""
        self._thread.start()

    def ask(self, call: Call) -> Future[Any]:
        """Have something done with the store.

        Args:
            call: What; where it returns a Future, the answer is that of the Future.
        """
        answer: Future[Any] = Future()
        self._calls.put((call, answer))
        return answer

    def stop(self) -> None:
        """Finish the commit, take a snapshot, end. Calls that still wait are told so."""
        self._stopping = True
        self._calls.put((lambda store: None, Future()))

    def _run(self) -> None:
        try:
            self._history.recover(self._store)
            self._kept = self._store.sequence
            self._snapshot_time = self._clock()
            self._note()
            self.recovered.set_result(self._store.version)
            while not self._stopping:
                self._turn()
            self._finish()
        except BaseException as error:
            self._dismiss()
            if self.recovered.done():
                self.ended.set_exception(error)
            else:
                self.recovered.set_exception(error)
        else:
            self._dismiss()
            self.ended.set_result(None)

    def _turn(self) -> None:
        for call, answer in self._gather():
            if answer.set_running_or_notify_cancel():
                self._do(call, answer)
        self._commit()
        self._history.tick()
        self._store.tick()
        self._snapshot_if_due()
        self._note()

    def _gather(self) -> list[tuple[Call, Future[Any]]]:
        calls = []
        try:
            calls.append(self._calls.get(timeout=TURN))
            while len(calls) < GATHERED:
                calls.append(self._calls.get_nowait())
        except Empty:
            pass
        return calls

    def _do(self, call: Call, answer: Future[Any]) -> None:
        try:
            outcome = call(self._store)
        except Exception as error:
            if not isinstance(error, MatrixSlowError):
                LOG.exception("a call failed in a way that was not foreseen")
            answer.set_exception(error)
            return
        if isinstance(outcome, Future):
            self._waiting.add(answer)
            outcome.add_done_callback(lambda done: self._pass_on(done, answer))
        else:
            answer.set_result(outcome)

    def _pass_on(self, done: Future[Any], answer: Future[Any]) -> None:
        self._waiting.discard(answer)
        if answer.done():
            return
        error = ServerLost("the call was given up") if done.cancelled() else done.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    def _commit(self) -> None:
        before, began = self._store.sequence, self._clock()
        self._store.commit()
        if self._store.sequence > before:
            self._commits += 1
            self._commit_seconds += self._clock() - began

    def _snapshot_if_due(self) -> None:
        now = self._clock()
        if self._store.sequence == self._kept or now < self._next_snapshot:
            return
        old = now - self._snapshot_time >= self._snapshot_seconds
        if old or self._history.log_size >= self._snapshot_bytes:
            self._snapshot()

    def _snapshot(self) -> None:
        began = self._clock()
        try:
            self._history.snapshot(self._store)
        except OSError as error:
            self._failed_snapshots += 1
            self._next_snapshot = self._clock() + SNAPSHOT_RETRY
            LOG.error("a snapshot cannot be written: %s", error)
            return
        self._snapshots += 1
        self._snapshot_time = self._clock()
        self._kept = self._store.sequence
        LOG.info("snapshot of step %d in %.2f s", self._store.version, self._snapshot_time - began)

    def _finish(self) -> None:
        self._commit()
        if self._store.sequence != self._kept:
            self._snapshot()
        self._history.close()
        self._note()

    def _dismiss(self) -> None:
        """Tell all that still wait that this server goes; they ask again when it is back."""
        waiting = list(self._waiting)
        try:
            while True:
                waiting.append(self._calls.get_nowait()[1])
        except Empty:
            pass
        for answer in waiting:
            if not answer.done():
                answer.set_exception(ServerLost("the server ends", hint="ask again"))

    def _note(self) -> None:
        store = self._store
        self.figures = Figures(
            version=store.version,
            sequence=store.sequence,
            **asdict(store.counters),
            commits=self._commits,
            commit_seconds=self._commit_seconds,
            log_bytes=self._history.log_size,
            log_records=store.sequence - self._kept,
            snapshots=self._snapshots,
            failed_snapshots=self._failed_snapshots,
            snapshot_age=self._clock() - self._snapshot_time,
            staleness=store.lag,
            live=tuple(store.members.live),
            evictions=store.members.evictions,
            rows=store.rows,
            waiting=len(self._waiting),
            late=tuple(store.late),
        )
