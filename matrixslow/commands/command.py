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
    """An option that is a whole number of at least 1.

    Raises:
        ArgumentTypeError: It is not.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"a whole number of at least 1 is needed, {text!r} came")
    return int(text)


def positive(text: str) -> float:
    """An option that is a number above 0.

    Raises:
        ArgumentTypeError: It is not.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise ArgumentTypeError(f"a number above 0 is needed, {text!r} came")
    return number
