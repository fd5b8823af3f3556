"""R20: a network learns while servers and workers are killed every few seconds."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dist_parts import same
from dist_processes import ENVIRONMENT, ROOT, ServerProcess

from matrixslow.dist.connection import Connection
from matrixslow.dist.message import Message

pytestmark = pytest.mark.chaos

WORKERS, EPOCHS = 2, 60
PAUSE = 5.0
"""Seconds from one kill to the next."""


def learn(folder: Path, mode: str, seed: int | None) -> list[dict[str, np.ndarray]]:
    """What each worker has learned; with a seed, a storm blows meanwhile."""
    folder.mkdir()
    flags = ("--mode", mode, "--staleness", "3", "--evict-after", "300")
    server = ServerProcess(folder / "state", *flags)
    address, kills = server.address, 0

    def start(rank: int) -> subprocess.Popen[bytes]:
        about = {
            "MATRIXSLOW_RANK": str(rank),
            "MATRIXSLOW_WORLD": str(WORKERS),
            "MATRIXSLOW_SERVERS": address,
        }
        program = str(Path(__file__).with_name("training_job.py"))
        return subprocess.Popen(
            [sys.executable, program, str(folder), str(EPOCHS)],
            cwd=ROOT,
            env={**ENVIRONMENT, **about},
        )

    jobs = [start(rank) for rank in range(WORKERS)]
    try:
        rng, ends, next_kill = random.Random(seed), time.monotonic() + 300, time.monotonic() + PAUSE
        while any(job.poll() is None for job in jobs):
            assert time.monotonic() < ends
            assert all(job.poll() in (None, 0) for job in jobs)
            time.sleep(0.05)
            if seed is None or time.monotonic() < next_kill:
                continue
            next_kill = time.monotonic() + PAUSE
            # Who is killed when all have done their work would wait for the others to begin again.
            if len(status(address)["live"]) < WORKERS:
                continue
            victim = rng.randrange(WORKERS + 1)
            if victim == WORKERS:
                server.kill()
                server = ServerProcess(folder / "state", *flags, listen=address)
            elif jobs[victim].poll() is None:
                jobs[victim].kill()
                jobs[victim].wait()
                jobs[victim] = start(victim)
            kills += 1
    finally:
        for job in jobs:
            job.kill()
            job.wait()
        server.kill()
    print(f"R20 {mode}: {kills} kills")
    assert (kills > 0) == (seed is not None)
    results = []
    for rank in range(WORKERS):
        with np.load(folder / f"result-{rank}.npz") as found:
            results.append(dict(found))
    return results


def status(address: str) -> Mapping[str, Any]:
    connection = Connection(address, 0)
    try:
        return connection.call(Message("status"), what="status", limit=30.0).fields
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["sync", "ssp"])
def test_learning_ends_as_well_in_a_storm(
    tmp_path: Path, request: pytest.FixtureRequest, mode: str
) -> None:
    calm = learn(tmp_path / "calm", mode, None)
    storm = learn(tmp_path / "storm", mode, request.config.getoption("--seed"))
    accuracies = [float(found[0]["accuracy"]) for found in (calm, storm)]
    print(f"R20 {mode}: accuracy {accuracies[0]:.4f} in calm, {accuracies[1]:.4f} in a storm")
    if mode == "sync":
        for one, other in zip(calm, storm, strict=True):
            assert same(one, other)
    else:
        assert abs(accuracies[0] - accuracies[1]) <= 0.02, "6 of the 360 images that are held back"
