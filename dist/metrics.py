"""Metrics: what a server counts, as text that Prometheus reads, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from matrixslow.dist.applier import Figures
from matrixslow.errors import ClusterError

REQUEST_SECONDS = 5.0
"""How long somebody who asks may take."""


class Traffic(NamedTuple):
    """Bytes of messages that came and went."""

    received: int
    sent: int


def metrics_text(figures: Figures, traffic: Traffic, *, shard: int) -> str:
    """In the text format of Prometheus, version 0.0.4.

    >>> from matrixslow.dist.applier import Figures
    >>> from matrixslow.dist.metrics import Traffic, metrics_text
    >>> text = metrics_text(Figures(version=7), Traffic(0, 0), shard=0)
    >>> [line for line in text.splitlines() if "matrixslow_steps_total" in line][-1]
    'matrixslow_steps_total{shard="0"} 7'
    """
    counters = {
        "steps": ("Steps that were applied, over all runs of the job.", figures.version),
        "pushes": ("Pushes that came.", figures.pushes),
        "duplicates": ("Pushes that had come before.", figures.duplicates),
        "fenced": ("Calls of workers that are not in.", figures.fenced),
        "nonfinite": ("Pushes with NaN or infinity that were left out.", figures.nonfinite),
        "evictions": ("Workers that were given up.", figures.evictions),
        "commits": ("Writes to the log that were kept.", figures.commits),
        "commit_seconds": ("Time that these and their steps took.", figures.commit_seconds),
        "log_errors": ("Writes to the log that failed.", figures.failed_commits),
        "snapshots": ("Snapshots that were written.", figures.snapshots),
        "snapshot_errors": ("Snapshots that could not be written.", figures.failed_snapshots),
        "received_bytes": ("Bytes of messages that came.", traffic.received),
        "sent_bytes": ("Bytes of messages that went.", traffic.sent),
    }
    gauges = {
        "log_bytes": ("Bytes in the log since the last snapshot.", figures.log_bytes),
        "log_lag_records": ("Records since the last snapshot.", figures.log_records),
        "snapshot_age_seconds": ("Time since the last snapshot.", figures.snapshot_age),
        "staleness_steps": ("Steps from the slowest worker to the fastest.", figures.staleness),
        "live_workers": ("Workers that are in.", len(figures.live)),
        "waiting_calls": ("Calls that wait for other workers.", figures.waiting),
        "table_rows": ("Rows of tables that are kept.", figures.rows),
    }
    lines = []
    for kind, ending, family in (("counter", "_total", counters), ("gauge", "", gauges)):
        for name, (text, value) in family.items():
            full = f"matrixslow_{name}{ending}"
            lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
            lines.append(f'{full}{{shard="{shard}"}} {value}')
    return "\n".join(lines) + "\n"


class MetricsServer:
    """Answers GET /metrics.

    Args:
        text: Gives the text.
        listen: Host and port; port 0 takes one that is free.

    Attributes:
        url: Where it is found, once started.
    """

    def __init__(self, text: Callable[[], str], listen: str) -> None:
        self.url = ""
        self._text = text
        self._listen = listen
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ClusterError: The address cannot be had.
        """
        host, _, port = self._listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._answer, host.strip("[]"), int(port))
        except OSError as error:
            raise ClusterError(
                f"metrics: {self._listen}: {error.strerror}", hint="give --metrics another port"
            ) from None
        taken = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{host}:{taken}/metrics"

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(request.split(b"\r\n", 1)[0].split(b" ")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who does not ask properly gets no answer
        finally:
            writer.close()

    def _response(self, line: list[bytes]) -> bytes:
        status, body = "404 Not Found", "only GET /metrics is here\n"
        if line[:2] == [b"GET", b"/metrics"]:
            status, body = "200 OK", self._text()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body.encode()
