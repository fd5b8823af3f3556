"""launch: processes that are started, started again, and ended; MPI; scripts for Slurm."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dist_processes import ROOT, until
from mpi_job import problem

import matrixslow as ms
from matrixslow.__main__ import main
from matrixslow.dist.engines import mpi_command, slurm_script
from matrixslow.dist.plan import Plan
from matrixslow.dist.supervisor import share_of_cores
from matrixslow.errors import ArgumentError

BATCH = 7


def launch(*words: object, seconds: float = 90.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(words), cwd=ROOT, capture_output=True, text=True, timeout=seconds,
                          env=environment(), check=False)  # fmt: skip


def command(words: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "matrixslow", "launch", *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def expected(workers: int, epochs: int) -> dict[str, np.ndarray]:
    """What one machine comes to that accumulates the workers' batches."""
    loss, data, _ = problem()
    trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(0.02), accumulate=workers)
    trainer.fit(data, epochs=epochs, batch_size=BATCH, progress=False)
    return {name: x for name, x in trainer.graph.state_dict().items() if name.startswith("dense")}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# ---- on this machine ----------------------------------------------------------------------------


def test_what_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    """Each worker kills itself in its sixth step, and is done before that when it comes again."""
    done = launch("--servers", 2, "--workers", 2, "--state-dir", tmp_path / "state",
                  "tests/ps_job.py", tmp_path, BATCH, 6)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "worker 0 was killed by SIGKILL: starting it again, 3 more at most" in done.stdout
    assert "server 1 | ended at step 8" in done.stdout
    found = np.load(tmp_path / "worker-0.npz")
    for name, x in expected(2, 2).items():
        assert found[name].tobytes() == x.tobytes(), name


def test_what_fails_for_good_ends_the_job(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("print('hello')\nraise SystemExit(7)\n")
    done = launch("--workers", 1, "--restarts", 1, script)
    assert done.returncode == 7
    lines = [re.sub(r"process \d+", "process N", line) for line in done.stdout.splitlines()]
    again = ["worker 0 is process N", "worker 0 | hello"]
    assert lines == [
        *again,
        "worker 0 failed (7): starting it again, 1 more at most",
        *again,
        "worker 0 failed (7): giving up",
    ]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_when_it_ends_all_end(tmp_path: Path, number: int, status: int) -> None:
    """Ctrl-C ends all in order; when launch itself is killed, the kernel ends the rest."""
    script = tmp_path / "slow.py"
    script.write_text("import time\ntime.sleep(60)\n")
    words = ["--servers", 1, "--workers", 2, "--state-dir", tmp_path / "state", script]
    process = subprocess.Popen(command(words), cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               env=environment())  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    while not any("serving on" in line for line in lines):
        lines.append(process.stdout.readline())
    started = [int(found) for found in re.findall(r"is process (\d+)", "".join(lines))]
    process.send_signal(number)
    assert process.wait(30) == status
    process.stdout.close()
    assert len(started) == 3
    until(lambda: not any(map(alive, started)), "all are gone")


def test_a_dry_run_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "--dry-run", "--servers", "1", "--workers", "2", "t.py", "--x"]) == 0
    server, *workers = capsys.readouterr().out.splitlines()
    assert server.startswith("server 0: ")
    assert "--shard 0/1 --mode sync --state-dir matrixslow-state/server-0" in server
    assert workers[1] == (
        "worker 1: MATRIXSLOW_JOB=job MATRIXSLOW_SERVERS=127.0.0.1:5000 MATRIXSLOW_RANK=1 "
        f"MATRIXSLOW_WORLD=2 {sys.executable} t.py --x"
    )


def test_a_job_needs_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "--workers", "2"]) == 1
    assert capsys.readouterr().err == (
        "ArgumentError: launch: no script\n  hint   launch --workers 3 train.py\n"
    )


def test_workers_share_the_cores() -> None:
    cores = sorted(os.sched_getaffinity(0))
    shares = [share_of_cores(rank, 2) for rank in range(2)]
    assert share_of_cores(0, 1) == cores
    if len(cores) > 1:
        assert sorted(shares[0] + shares[1]) == cores
    assert all(len(share_of_cores(rank, 1000)) == 1 for rank in (0, 999))


# ---- MPI ----------------------------------------------------------------------------------------


def mpi(folder: Path, action: str, workers: int = 2) -> subprocess.CompletedProcess[str]:
    words = ("--engine", "mpi", "--workers", workers, "tests/mpi_job.py", folder, action)
    return launch(*words)


def weights(folder: Path, rank: int) -> dict[str, np.ndarray]:
    return dict(np.load(folder / f"worker-{rank}.npz"))


def test_workers_that_sum_are_one_machine_that_accumulates(tmp_path: Path) -> None:
    done = mpi(tmp_path, "run", workers=3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"epoch \d/3", done.stdout)) == 3  # worker 0 alone prints
    first, *others = (weights(tmp_path, rank) for rank in range(3))
    for name, x in expected(3, 3).items():
        np.testing.assert_allclose(first[name], x, rtol=1e-4, atol=1e-6)
    for other in others:
        assert all(other[name].tobytes() == first[name].tobytes() for name in first)


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("kill", "WorkerLost: worker 1 of 2 was killed by SIGKILL"),
        ("raise", "worker 1 failed, which ends the job:"),
    ],
)
def test_a_worker_that_is_lost_ends_the_job_which_goes_on_later(
    tmp_path: Path, action: str, why: str
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    began = time.monotonic()
    lost = mpi(parts, action)
    assert lost.returncode != 0
    assert why in lost.stdout
    assert time.monotonic() - began < 30  # of which most is the start
    for folder, then in ((parts, "resume"), (whole, "run")):
        done = mpi(folder, then)
        assert done.returncode == 0, done.stdout
    assert all(
        weights(parts, 1)[name].tobytes() == x.tobytes() for name, x in weights(whole, 1).items()
    )
    histories = [json.loads((folder / "history.json").read_text()) for folder in (parts, whole)]
    assert histories[0]["loss"][1:] == histories[1]["loss"][1:]


def test_the_command_for_mpi() -> None:
    plan = Plan(["train.py", "--x"], workers=8, python="python")
    assert mpi_command(plan, hosts=Path("hosts")) == [
        *("mpiexec", "-hostfile", "hosts", "-n", "8"),
        *("python", "-m", "matrixslow.dist.rank", "train.py", "--x"),
    ]


# ---- Slurm --------------------------------------------------------------------------------------


def test_the_script_for_slurm(tmp_path: Path) -> None:
    token = Path("token")
    plan = Plan(["train.py", "a b"], workers=4, servers=2, token_file=token, python="python")
    script = slurm_script(plan, restarts=3)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    lines = script.splitlines()
    assert lines[:4] == [
        "#!/bin/bash",
        "#SBATCH --job-name=job",
        "#SBATCH --ntasks=6",
        "#SBATCH --output=%x-%j.log",
    ]
    assert (
        'srun --nodes=1 --ntasks=1 --nodelist="$first" bash -c \'again "$@"\' _ python -m '
        'matrixslow.serve --listen "$first:5001" --shard 1/2 --mode sync --state-dir '
        "matrixslow-state/server-1 --token-file token &"
    ) in lines
    assert 'export MATRIXSLOW_SERVERS="$first:5000,$first:5001"' in lines
    assert (
        "srun --ntasks=4 --no-kill --kill-on-bad-exit=0 bash -c 'again \"$@\"' _ python train.py "
        "'a b'"
    ) in lines


def test_the_script_for_slurm_without_servers() -> None:
    script = slurm_script(Plan(["train.py"], workers=4, python="python"), restarts=1)
    assert script.splitlines()[-1] == (
        "again srun --ntasks=4 --mpi=pmi2 --kill-on-bad-exit=1 python -m matrixslow.dist.rank "
        "train.py"
    )


def test_the_function_of_the_script_tries_again(tmp_path: Path) -> None:
    script = slurm_script(Plan(["train.py"], python="python"), restarts=2)
    line = next(line for line in script.splitlines() if line.startswith("again()"))
    tries = tmp_path / "tries"
    done = subprocess.run(
        ["bash", "-c", f"{line}\nagain bash -c 'echo x >> {tries}; exit 1'"], check=False
    )
    assert done.returncode == 1
    assert tries.read_text() == "x\n" * 3


def test_servers_that_other_machines_reach_need_a_token() -> None:
    with pytest.raises(ArgumentError, match="servers that other machines reach need a token"):
        slurm_script(Plan(["train.py"], servers=1), restarts=3)
