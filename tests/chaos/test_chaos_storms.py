"""Long storms: R1, R2, R3. A seed makes the storm, so that it can be made again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from dist_storm import Storm, kill_plan
from dist_worker import CELLS, Job, arrays_only, read_history, steps_noted, undisturbed

from matrixslow.dist.message import decode

pytestmark = pytest.mark.chaos

STEPS, KILLS = 2000, 100


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first, count = (metafunc.config.getoption(name) for name in ("--seed", "--storms"))
        metafunc.parametrize("seed", range(first, first + count))


def plan_of(seed: int) -> list[tuple[int, list[str]]]:
    return kill_plan(seed, steps=STEPS, kills=KILLS, servers=2, workers=3)


def test_sync_ends_as_if_nothing_had_been(tmp_path: Path, seed: int) -> None:
    """R1: Adam with dense variables and a table, bit for bit, with the optimizer's state."""
    job = Job([], workers=3, steps=STEPS, history="")
    with Storm(tmp_path, job, flags=("--evict-after", "300", "--snapshot-mb", "1")) as storm:
        storm.run(plan_of(seed), seconds=3600)
        assert storm.kills >= KILLS
        found = [arrays_only(state) for state in storm.states()]
        assert found == undisturbed(storm.job)


def cells(storm: Storm) -> np.ndarray:
    """What each server counted of each worker: (servers, workers)."""
    counts = []
    for shard, state in enumerate(storm.states()):
        mine = decode(state).arrays["dense/cells"].reshape(-1)
        assert len(mine) == CELLS, f"server {shard} holds a row of the cells"
        counts.append(mine[: storm.job.workers])
    return np.array(counts)


def acknowledged_and_sent(storm: Storm, kind: str) -> np.ndarray:
    ranks = range(storm.job.workers)
    return np.array([max(steps_noted(storm.history(rank), kind), default=0) for rank in ranks])


@pytest.mark.parametrize(("mode", "staleness"), [("async", None), ("ssp", 3)])
def test_every_push_counts_once(
    tmp_path: Path, seed: int, mode: str, staleness: int | None
) -> None:
    """R2 and R3: acknowledged <= counted <= sent, at every moment; no pull is too old."""
    job = Job([], workers=3, steps=STEPS, history="", task="count", staleness=staleness)
    flags = ("--mode", mode, "--staleness", str(staleness or 0), "--evict-after", "300")
    with Storm(tmp_path, job, flags=flags) as storm:

        def look() -> None:
            known = acknowledged_and_sent(storm, "acknowledged")
            counted = cells(storm)
            sent = acknowledged_and_sent(storm, "sent")
            assert (known <= counted).all(), (known, counted)
            assert (counted <= sent).all(), (counted, sent)

        storm.run(plan_of(seed), seconds=3600, look=look)
        assert (cells(storm) == STEPS).all()
        for rank in range(3):
            assert not steps_noted(storm.history(rank), "stale")


def test_without_staleness_pulls_are_too_old(tmp_path: Path) -> None:
    """The control of R3: mode "async", looked at as if it were "ssp"."""
    job = Job([], workers=2, steps=60, history="", task="count", staleness=3)
    with Storm(tmp_path, job, servers=1, flags=("--mode", "async"), late={0: 0.05}) as storm:
        storm.run([], seconds=300)
        assert steps_noted(storm.history(1), "stale")


def test_without_the_log_a_storm_is_noticed(tmp_path: Path, seed: int) -> None:
    """The control of R1 and R2: with nothing on the disk the same storm does not end well."""
    job = Job([], workers=3, steps=200, history="", client={"patience": 20.0, "limit": 20.0})
    plan = [(20, ["server 0"]), (40, ["server 1"])]
    flags = ("--durability", "memory", "--evict-after", "300")
    with Storm(tmp_path, job, flags=flags) as storm, pytest.raises(AssertionError, match="failed"):
        storm.run(plan, seconds=120)


def test_a_worker_that_was_paused_is_fenced(tmp_path: Path) -> None:
    """R6: given up after 10 s, the others go on; when it wakes it writes nothing, and joins."""
    job = Job([], workers=3, steps=3000, history="", task="learn")
    with Storm(tmp_path, job, servers=1, late={2: 0.02}) as storm:
        while storm.progress() < 50:
            time.sleep(0.02)
        paused = storm.workers[1].pid
        os.kill(paused, signal.SIGSTOP)
        began, before = time.monotonic(), storm.progress()
        while storm.progress() <= before + 3:
            assert time.monotonic() - began < 30
            time.sleep(0.02)
        waited = time.monotonic() - began
        print(f"the others went on after {waited:.1f} s")
        assert 8 <= waited <= 14
        time.sleep(max(0.0, 30 - waited))
        notes = len(read_history(storm.history(1)))
        os.kill(paused, signal.SIGCONT)
        while not steps_noted(storm.history(1), "fenced"):
            assert time.monotonic() - began < 60
            time.sleep(0.02)
        woken = read_history(storm.history(1))[notes:]
        zombie = woken[: [kind for kind, _ in woken].index("fenced")]
        # Only the answer to what it had sent before the pause may have lain ready.
        assert all(step <= before + 2 for kind, step in zombie if kind == "acknowledged")
        while storm.progress() < job.steps:
            assert time.monotonic() - began < 300
            time.sleep(0.1)
        # It came back, and all went on together to the end.
        assert max(steps_noted(storm.history(1), "acknowledged")) > before + 3


def test_storms_can_be_made_again() -> None:
    assert plan_of(5) == plan_of(5) != plan_of(6)
    victims = [name for _, names in plan_of(5) for name in names]
    assert len(victims) == KILLS
