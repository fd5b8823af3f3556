"""Futures: answers that come later, given on the one thread that owns a store."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any


def done(value: int) -> Future[int]:
    """An answer that is there at once."""
    future: Future[int] = Future()
    future.set_result(value)
    return future


def settle(future: Future[Any], outcome: object) -> None:
    """Give an answer, or the error that takes its place."""
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
