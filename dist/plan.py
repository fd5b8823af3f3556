"""Plan: the processes of a job, as commands and environments, whoever starts them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrixslow.dist.options import Mode
from matrixslow.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a job.

    Attributes:
        name: "server 0", "worker 1".
        command: What is run.
        environment: Variables that it gets beside those that are there.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A job: a script that workers run, and the servers that they need.

    Args:
        script: The script and its arguments.
        workers: How many processes run it.
        servers: How many parameter servers there are; none where the workers sum by themselves.
        mode: How the workers keep step: see `python -m matrixslow.serve --help`.
        staleness: For mode "ssp".
        state: The folder of the servers' states, each in a folder of its own in it.
        token_file: A secret, for servers that other machines reach.
        job: The job's name.
        python: The interpreter.

    Raises:
        ArgumentError: There is no script, or nobody to run it.
    """

    script: Sequence[str]
    workers: int = 1
    servers: int = 0
    mode: Mode = "sync"
    staleness: int = 0
    state: Path = Path("matrixslow-state")
    token_file: Path | None = None
    job: str = "job"
    python: str = sys.executable

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if not self.script:
            raise ArgumentError("launch: no script", hint="launch --workers 3 train.py")
        if self.workers < 1 or self.servers < 0:
            raise ArgumentError(
                f"launch: {self.workers} workers, {self.servers} servers",
                hint="give at least one worker",
            )

    def server(self, shard: int, address: str) -> Process:
        """The process of a parameter server that listens at an address."""
        command = [self.python, "-m", "matrixslow.serve", "--listen", address]
        command += ["--shard", f"{shard}/{self.servers}", "--mode", self.mode]
        if self.mode == "ssp":
            command += ["--staleness", str(self.staleness)]
        command += ["--state-dir", str(self.state / f"server-{shard}")]
        if self.token_file is not None:
            command += ["--token-file", str(self.token_file)]
        return Process(f"server {shard}", command, {})

    def worker(self, rank: int, addresses: Sequence[str]) -> Process:
        """The process of a worker that is told its rank."""
        variables = {
            **self.shared(addresses),
            "MATRIXSLOW_RANK": str(rank),
            "MATRIXSLOW_WORLD": str(self.workers),
        }
        return Process(f"worker {rank}", [self.python, *self.script], variables)

    def shared(self, addresses: Sequence[str]) -> dict[str, str]:
        """Variables that every worker gets."""
        variables = {"MATRIXSLOW_JOB": self.job}
        if addresses:
            variables["MATRIXSLOW_SERVERS"] = ",".join(addresses)
        if self.token_file is not None:
            variables["MATRIXSLOW_TOKEN_FILE"] = str(self.token_file)
        return variables
