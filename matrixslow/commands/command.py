"""Command: one thing that the command line does."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matrixslow.commands.page import Page


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that the command line does.

    Args:
        name: What is typed: "train".
        help: What it does, in one line that fits behind its name.
        example: A command line that works, without the program's name.
        options: Declares what it takes, beside `--seed`, `--json` and `--debug`.
        run: Does it, and tells the reader on the page; what it returns is printed by `--json`.
    """

    name: str
    help: str
    example: str
    options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Page], Mapping[str, Any]]


def count(text: str) -> int:
    """An option that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"a whole number of at least 1 is needed, {text!r} came")
    return int(text)
