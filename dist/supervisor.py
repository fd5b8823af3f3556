"""Supervisor: keeps the processes of a job on this machine running until the workers are done."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType

from matrixslow.dist.plan import Plan, Process

POLL = 0.05
"""Seconds between looks at the processes."""

SERVER_GRACE = 15.0
"""Seconds that a server has to finish its commit and its snapshot."""

WORKER_GRACE = 5.0
"""Seconds that a worker has to end when told to."""

PAUSE = 0.5
"""Seconds before a process is started again."""

DIE_WITH_PARENT = 1
"""Linux' PR_SET_PDEATHSIG."""

Say = Callable[[str], None]
"""Prints a line."""


class Supervised:
    """A process that is started again when it fails.

    What it writes is passed on, line by line, under its name.

    Args:
        process: What to run.
        restarts: How often it is started again.
        say: Prints a line.
        cores: The cores that it may use; by default all.

    Attributes:
        started: How often it was started.
        status: The exit status of its last end, as shells give it; None while it runs.
    """

    def __init__(
        self, process: Process, *, restarts: int, say: Say, cores: Sequence[int] = ()
    ) -> None:
        self.name = process.name
        self.started = 0
        self.status: int | None = None
        self._process = process
        self._restarts = restarts
        self._say = say
        self._cores = cores
        self._again_at = 0.0
        self._start()

    @property
    def failed(self) -> bool:
        """Whether it has failed for good."""
        return self.status not in (None, 0) and self.started > self._restarts

    def look(self) -> None:
        """Start it again, if it has failed, and may."""
        if self.status is not None:
            if self.status and not self.failed and time.monotonic() >= self._again_at:
                self._start()
            return
        code = self._popen.poll()
        if code is None:
            return
        self._reader.join()
        self.status = code if code >= 0 else 128 - code
        if code:
            why = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed ({code})"
            rest = self._restarts + 1 - self.started
            then = f"starting it again, {rest} more at most" if rest > 0 else "giving up"
            self._say(f"{self.name} {why}: {then}")
            self._again_at = time.monotonic() + PAUSE

    def stop(self, grace: float) -> None:
        """End it: by asking, and after some seconds by force."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(grace)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self._reader.join()

    def _start(self) -> None:
        self.started += 1
        self.status = None
        self._popen = subprocess.Popen(
            self._process.command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._process.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends all in order
            preexec_fn=partial(_prepare, self._cores),
        )
        self._say(f"{self.name} is process {self._popen.pid}")
        self._reader = threading.Thread(target=self._pass_on, args=(self._popen,), daemon=True)
        self._reader.start()

    def _pass_on(self, popen: subprocess.Popen[str]) -> None:
        assert popen.stdout is not None
        with popen.stdout:
            for line in popen.stdout:
                self._say(f"{self.name} | {_message(line.rstrip())}")


def run_here(plan: Plan, *, restarts: int, say: Say) -> int:
    """Run a job on this machine until all workers are done.

    Args:
        plan: What to run.
        restarts: How often each process is started again.
        say: Prints a line.

    Returns:
        0 where all workers ended well; else the status of the one that failed for good, or that of
        the signal that ended the job.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(plan.servers)]
    with ExitStack() as stack, told_to_stop() as stopping:
        servers = start_servers(stack, plan, addresses, restarts=restarts, say=say)
        workers = []
        for rank in range(plan.workers):
            cores = share_of_cores(rank, plan.workers)
            process = plan.worker(rank, addresses)
            workers.append(Supervised(process, restarts=restarts, say=say, cores=cores))
            stack.callback(workers[-1].stop, WORKER_GRACE)
        return watch(servers, workers, stopping, say)


def start_servers(
    stack: ExitStack, plan: Plan, addresses: Sequence[str], *, restarts: int, say: Say
) -> list[Supervised]:
    """The servers of a job on this machine, which are ended with the stack."""
    servers = []
    for shard, address in enumerate(addresses):
        servers.append(Supervised(plan.server(shard, address), restarts=restarts, say=say))
        stack.callback(servers[-1].stop, SERVER_GRACE)
    return servers


def watch(
    servers: Sequence[Supervised], workers: Sequence[Supervised], stopping: list[int], say: Say
) -> int:
    """Start again what fails, until all workers are done, one has failed for good, or it is over.

    Args:
        servers: What must run as long as the workers do.
        workers: What must come to an end.
        stopping: The numbers of the signals that came.
        say: Prints a line.
    """
    while not stopping:
        for each in (*servers, *workers):
            each.look()
            if each.failed:
                assert each.status is not None
                return each.status
        if all(worker.status == 0 for worker in workers):
            return 0
        time.sleep(POLL)
    say(f"{signal.Signals(stopping[0]).name}: stopping all")
    return 128 + stopping[0]


@contextmanager
def told_to_stop() -> Iterator[list[int]]:
    """A list to which the numbers of SIGINT and SIGTERM are added when they come."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def share_of_cores(rank: int, workers: int) -> list[int]:
    """The cores of one of several workers, which would else all use all of them."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    return cores[rank::workers] or [cores[rank % len(cores)]]


def _message(line: str) -> str:
    """What a line of a server's JSON log says; other lines as they are."""
    if not line.startswith("{"):
        return line
    try:
        fields = json.loads(line)
        more = f", metrics {fields['metrics']}" if fields.get("metrics") else ""
        return f"{fields['message']}{more}"
    except (ValueError, KeyError):
        return line


def _prepare(cores: Sequence[int]) -> None:
    """Keep a new process to its cores, and let it not outlive the supervisor, where Linux can."""
    if cores:
        os.sched_setaffinity(0, cores)
    die_with_parent()


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends; Linux alone can."""
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
