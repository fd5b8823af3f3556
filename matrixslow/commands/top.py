"""top: parameter servers at work, as a table that is drawn anew."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from typing import Any

from matrixslow.commands.command import Command
from matrixslow.commands.page import Page
from matrixslow.dist.top import HEADER, read, rows

HOME_AND_CLEAR = "\x1b[H\x1b[J"


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "urls", nargs="+", metavar="URL", help="/metrics of each server, as it says when it starts"
    )
    parser.add_argument("--interval", type=seconds, default=2.0, help="between two looks (2 s)")
    parser.add_argument("--once", action="store_true", help="one table, and done")


def seconds(text: str) -> float:
    """An option that is a time."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 3600.0:
        raise ArgumentTypeError(f"seconds, more than 0, are needed, {text!r} came")
    return value


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Look at the servers again and again, until Ctrl-C."""
    before = [read(url) for url in options.urls]
    while True:
        time.sleep(options.interval)
        now = [read(url) for url in options.urls]
        found = rows(options.urls, before, now)
        if sys.stdout.isatty() and not options.once:
            page.text(HOME_AND_CLEAR)
        page.table(HEADER, found)
        if options.once or options.json:
            page.status = int(None in now)
            return {"servers": [dict(zip(HEADER, row, strict=True)) for row in found]}
        before = now


TOP = Command(
    "top",
    "parameter servers at work: steps per second, workers, bytes, the log",
    "top http://127.0.0.1:9100/metrics --once",
    options,
    run,
)
