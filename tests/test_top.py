"""top: servers at work, as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dist_parts import slopes, small_model, values
from dist_processes import client_of, servers

from matrixslow.__main__ import main
from matrixslow.dist.top import HEADER, parse, rows


def text(**numbers: float) -> str:
    return "\n".join(f'matrixslow_{name}{{shard="1"}} {x}' for name, x in numbers.items())


def test_rates_are_between_two_readings() -> None:
    common = {
        "live_workers": 3,
        "staleness_steps": 2,
        "log_bytes": 5e6,
        "log_lag_records": 7,
        "evictions_total": 1,
        "fenced_total": 4,
        "sent_bytes_total": 0,
    }
    first = text(steps_total=10, received_bytes_total=0, commits_total=10,
                 commit_seconds_total=1.0, **common)  # fmt: skip
    second = text(steps_total=30, received_bytes_total=8e6, commits_total=20,
                  commit_seconds_total=1.05, **common)  # fmt: skip
    (row,) = rows(["u"], [parse(first, 100.0)], [parse(second, 104.0)])
    assert dict(zip(HEADER, row, strict=True)) == {
        "server": "1",
        "step": "30",
        "steps/s": "5.0",
        "workers": "3",
        "behind": "2",
        "in MB/s": "2.0",
        "out MB/s": "0.0",
        "commit ms": "5.0",
        "log MB": "5.0",
        "log lag": "7",
        "evicted": "1",
        "fenced": "4",
    }


def test_a_server_that_comes_or_goes() -> None:
    (row,) = rows(["http://x/metrics"], [None], [None])
    assert row[:2] == ("http://x/metrics", "is not there")
    numbers = dict.fromkeys(
        ("steps_total", "live_workers", "staleness_steps", "received_bytes_total"), 0.0
    )
    numbers |= dict.fromkeys(
        ("sent_bytes_total", "commits_total", "log_bytes", "log_lag_records"), 0.0
    )
    numbers |= dict.fromkeys(("evictions_total", "fenced_total", "commit_seconds_total"), 0.0)
    (row,) = rows(["u"], [None], [parse(text(**numbers), 1.0)])
    assert row[2] == "-"


def test_a_real_server_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with servers(tmp_path) as started, client_of(started, small_model(1), 0) as client:
        client.setup(values())
        client.join()
        client.push(1, samples=4, dense=slopes(0, 1)).wait()
        url = started[0].fields["metrics"]
        assert main(["top", url, "--once", "--interval", "0.1"]) == 0
        assert "steps/s" in capsys.readouterr().out
        assert main(["top", url, "--json", "--interval", "0.1"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["servers"]
    assert (row["server"], row["step"], row["workers"]) == ("0", "1", "1")
    assert main(["top", url, "--once", "--interval", "0.1"]) == 1
