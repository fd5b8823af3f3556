"""The Ray engine, on a Ray of our own that is confined to loopback: `make test-ray`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from dist_processes import ROOT
from test_launch import BATCH, command, environment, expected

pytestmark = pytest.mark.ray


def test_ray_places_the_job_and_what_is_killed_is_started_again(tmp_path: Path) -> None:
    words = ["--engine", "ray", "--servers", 2, "--workers", 2, "--state-dir", tmp_path / "state"]
    words += [ROOT / "tests" / "ps_job.py", tmp_path, BATCH, 6]
    done = subprocess.run(
        command(words), cwd=ROOT, capture_output=True, text=True, timeout=180, env=environment(),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(tmp_path / "worker-0.npz")
    for name, x in expected(2, 2).items():
        assert found[name].tobytes() == x.tobytes(), name
