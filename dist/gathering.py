"""Gathering: what every worker has to say about one thing, handed to all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from matrixslow.dist.message import Message

KEPT = 4
"""Results that are kept for those who ask again, or come late."""

Gathered = Mapping[int, Message]
"""A message from each worker, by rank."""


class Gathering:
    """Collects a message from every worker that is there, under a key.

    It is a meeting and no record: it decides nothing about weights, is not kept on disk, and
    whoever asks again after an interruption is answered the same.
    """

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Message]] = {}
        self._waiting: dict[str, list[Future[Gathered]]] = {}
        self._done: dict[str, Gathered] = {}

    def add(self, key: str, worker: int, message: Message) -> Future[Gathered]:
        """Take a worker's message; gives what is done when all are there."""
        future: Future[Gathered] = Future()
        if key in self._done:
            future.set_result(self._done[key])
            return future
        self._open.setdefault(key, {})[worker] = message
        self._waiting.setdefault(key, []).append(future)
        return future

    def close(self, live: Sequence[int]) -> None:
        """Answer where all of these have come."""
        for key in [key for key, came in self._open.items() if set(live) <= came.keys()]:
            gathered = dict(sorted(self._open.pop(key).items()))
            self._done[key] = gathered
            for future in self._waiting.pop(key):
                future.set_result(gathered)
        for key in list(self._done)[:-KEPT]:
            del self._done[key]

    def abandon(self, error: Exception) -> None:
        """Tell all that wait that too few are left."""
        for futures in self._waiting.values():
            for future in futures:
                future.set_exception(error)
        self._open, self._waiting = {}, {}
