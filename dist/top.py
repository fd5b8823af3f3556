"""Top: what servers do at the moment, from what they tell Prometheus."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LINE = re.compile(r'matrixslow_(\w+)\{shard="(\d+)"\} (\S+)')

TIMEOUT = 2.0
"""Seconds that a server has to answer."""

HEADER = (
    *("server", "step", "steps/s", "workers", "behind", "in MB/s", "out MB/s"),
    *("commit ms", "log MB", "log lag", "evicted", "fenced"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server said at a moment.

    Attributes:
        moment: Seconds of a clock that never goes back.
        shard: Which of the servers it is.
        values: Its numbers, by name.
    """

    moment: float
    shard: str
    values: Mapping[str, float]


def parse(text: str, moment: float) -> Reading:
    """Read the text of /metrics.

    >>> from matrixslow.dist.top import parse
    >>> parse('matrixslow_steps_total{shard="1"} 7', 0.0).values
    {'steps_total': 7.0}
    """
    found = LINE.findall(text)
    shard = found[0][1] if found else "?"
    return Reading(moment, shard, {name: float(value) for name, _, value in found})


def read(url: str) -> Reading | None:
    """Ask a server; None where it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return parse(answer.read().decode(), time.monotonic())
    except (OSError, ValueError):
        return None


def rows(
    urls: Sequence[str], before: Sequence[Reading | None], now: Sequence[Reading | None]
) -> list[tuple[str, ...]]:
    """A row for each server under `HEADER`; rates are over the time between two readings."""
    return [_row(*each) for each in zip(urls, before, now, strict=True)]


def _row(url: str, before: Reading | None, now: Reading | None) -> tuple[str, ...]:
    if now is None:
        return (url, "is not there", *("" for _ in HEADER[2:]))
    values = now.values
    seconds = now.moment - before.moment if before is not None else 0.0

    def grown(name: str) -> float:
        return values[name] - before.values.get(name, 0.0) if before is not None else 0.0

    def rate(name: str, unit: float = 1.0) -> str:
        return f"{grown(name) / seconds / unit:.1f}" if seconds else "-"

    commits = grown("commits_total")
    commit = f"{1000 * grown('commit_seconds_total') / commits:.1f}" if commits > 0 else "-"
    return (
        now.shard,
        f"{values['steps_total']:.0f}",
        rate("steps_total"),
        f"{values['live_workers']:.0f}",
        f"{values['staleness_steps']:.0f}",
        rate("received_bytes_total", 1e6),
        rate("sent_bytes_total", 1e6),
        commit,
        f"{values['log_bytes'] / 1e6:.1f}",
        f"{values['log_lag_records']:.0f}",
        f"{values['evictions_total']:.0f}",
        f"{values['fenced_total']:.0f}",
    )
