"""A storm: servers and workers that are killed by a plan which a seed makes, until all is done."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dist_processes import ENVIRONMENT, ROOT, ServerProcess
from dist_worker import Job, model_of, read_history

from matrixslow.dist.client import Client
from matrixslow.dist.message import encode


@dataclass
class Storm:
    """Processes of one job on loopback.

    Args:
        folder: Where state, logs and histories go.
        job: What the workers do; its addresses and history are filled in.
        flags: Of the servers.
        late: Seconds that a step of some ranks takes.
        within: Commands that run the servers and some ranks within something.
    """

    folder: Path
    job: Job
    servers: int = 2
    flags: tuple[str, ...] = ()
    late: dict[int, float] = field(default_factory=dict)
    within: dict[str, Sequence[str]] = field(default_factory=dict)
    listen: str = "127.0.0.1:0"

    def __post_init__(self) -> None:
        self.started: list[ServerProcess] = []
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.kills = 0

    def __enter__(self) -> Storm:
        self.started = [self._server(shard, self.listen) for shard in range(self.servers)]
        self.addresses = [server.address for server in self.started]
        self.job = replace(self.job, addresses=self.addresses)
        for rank in range(self.job.workers):
            self.start_worker(rank)
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers.values():
            worker.kill()
            worker.wait()
        for server in self.started:
            server.kill()

    def history(self, rank: int) -> Path:
        return self.folder / f"history-{rank}"

    def start_worker(self, rank: int) -> None:
        job = replace(
            self.job, rank=rank, history=str(self.history(rank)), late=self.late.get(rank, 0.0)
        )
        program = str(Path(__file__).with_name("dist_worker.py"))
        with open(self.folder / f"output-{rank}", "ab") as output:
            self.workers[rank] = subprocess.Popen(
                [*self.within.get(f"worker {rank}", ()), sys.executable, program, job.to_json()],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=output,
                stderr=output,
            )

    def kill(self, victims: list[str]) -> None:
        """Kill servers and workers, "server 0" and "worker 2", and start them again."""
        for victim in victims:
            kind, number = victim.split()
            if kind == "server":
                self.started[int(number)].kill()
            else:
                self.workers[int(number)].kill()
                self.workers[int(number)].wait()
        for victim in victims:
            kind, number = victim.split()
            if kind == "server":
                self.started[int(number)] = self._server(int(number), self.addresses[int(number)])
            else:
                self.start_worker(int(number))
        self.kills += len(victims)

    def progress(self) -> int:
        """The last step that any worker knows to be kept."""
        entries = [entry for rank in self.workers for entry in read_history(self.history(rank))]
        return max((step for kind, step in entries if kind == "acknowledged"), default=0)

    def run(
        self,
        plan: list[tuple[int, list[str]]],
        seconds: float,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Let all workers finish, and kill by a plan: at which step, whom; look after each time."""
        ends, left = time.monotonic() + seconds, list(plan)
        while left or any(worker.poll() is None for worker in self.workers.values()):
            assert time.monotonic() < ends, f"not done after {seconds} s: {self.report()}"
            if left and self.progress() >= left[0][0]:
                self.kill(left.pop(0)[1])
                look()
            for rank, worker in self.workers.items():
                assert worker.poll() in (None, 0), f"worker {rank} failed: {self.report()}"
            time.sleep(0.02)

    def states(self) -> list[bytes]:
        """The state of each server."""
        with Client(self.addresses, model_of(self.job), worker=0) as client:
            return [encode(client._call(server, "state", "state")) for server in client._servers]

    def report(self) -> dict[str, Any]:
        outputs = {path.name: path.read_text()[-500:] for path in self.folder.glob("output-*")}
        return {"step": self.progress(), "kills": self.kills, **outputs}

    def _server(self, shard: int, listen: str) -> ServerProcess:
        flags = ("--shard", f"{shard}/{self.servers}", *self.flags)
        return ServerProcess(
            self.folder / f"state-{shard}",
            *flags,
            listen=listen,
            within=self.within.get("server", ()),
        )


def kill_plan(
    seed: int, *, steps: int, kills: int, servers: int, workers: int, together: int = 2
) -> list[tuple[int, list[str]]]:
    """When to kill whom; the same for the same seed."""
    rng = random.Random(seed)
    names = [f"server {i}" for i in range(servers)] + [f"worker {i}" for i in range(workers)]
    moments = sorted(rng.sample(range(1, max(2, steps * 9 // 10)), -(-kills // together)))
    return [(moment, rng.sample(names, together)) for moment in moments]
