"""Real servers and workers for the tests of dist: processes on loopback, each with a time limit.

Only what was started here is ever stopped, by its process id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow.dist.client import Client
from matrixslow.dist.model import Model

ROOT = Path(__file__).resolve().parents[1]

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

START_SECONDS = 60.0
"""A start takes a second or two; on a busy machine it may take longer."""


class ServerProcess:
    """`python -m matrixslow.serve` on a free port of loopback, whose log is read.

    Args:
        state: The state folder.
        flags: More flags.
        listen: Where.
        patch: Code that runs before, to switch a mechanism off.
        within: A command that runs the server within something.
    """

    def __init__(
        self,
        state: Path,
        *flags: str,
        listen: str = "127.0.0.1:0",
        patch: str = "",
        within: Sequence[str] = (),
    ) -> None:
        patched = f"{patch}\nfrom matrixslow.dist.serve import main\nraise SystemExit(main())"
        program = ["-c", patched] if patch else ["-m", "matrixslow.serve"]
        command = [*within, sys.executable, *program]
        self.lines: list[dict[str, Any]] = []
        self._started = threading.Event()
        self.process = subprocess.Popen(
            [*command, "--listen", listen, "--state-dir", str(state), *flags],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        return str(self.fields["address"])

    @property
    def fields(self) -> dict[str, Any]:
        """What the start-up line says."""
        assert self._started.wait(START_SECONDS), f"no start-up line, but {self.lines}"
        return next(line for line in self.lines if line.get("event") == "serving")

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def terminate(self, timeout: float = 20.0) -> int:
        self.process.terminate()
        return self.end(timeout)

    def end(self, timeout: float = 20.0) -> int:
        """Wait until it is over; gives the exit status."""
        try:
            return self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"message": line.rstrip()})
            if self.lines[-1].get("event") == "serving":
                self._started.set()


@contextmanager
def servers(folder: Path, *flags: str, count: int = 1) -> Iterator[list[ServerProcess]]:
    """Servers of one job, which are stopped at the end."""
    started = [
        ServerProcess(folder / str(shard), "--shard", f"{shard}/{count}", *flags)
        for shard in range(count)
    ]
    try:
        yield started
    finally:
        for server in started:
            with suppress(ProcessLookupError):
                server.go_on()
            if server.process.poll() is None:
                server.kill()


def client_of(
    started: Sequence[ServerProcess], model: Model, worker: int, **options: Any
) -> Client:
    options = {"patience": 30.0, "limit": 60.0, **options}
    return Client([server.address for server in started], model, worker=worker, **options)


def copied(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array(x) for name, x in arrays.items()}


def until(condition: Any, what: str, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not so after {seconds} s: {what}"
        time.sleep(0.02)
