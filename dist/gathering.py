"""Gathering: what every worker has to say about one thing, handed to all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from matrixslow.dist.message import Message, decode, encode

KEPT = 8
"""Results that are kept for those who ask again, or come late."""

Gathered = Mapping[int, Message]
"""A message from each worker, by rank."""


class Gathering:
    """Collects a message from every worker that is there, under a key.

    The result is a record like all others: whoever asks again, after whatever interruption, is
    answered the same. What came before the result is not kept: it is sent again.
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

    @property
    def waiting(self) -> set[int]:
        """The ranks of those who wait for the others."""
        return {rank for came in self._open.values() for rank in came}

    def complete(self, live: Sequence[int]) -> list[Message]:
        """A record of each meeting to which all of these have come."""
        return [
            Message("gathered", {"key": key}, _encoded(came))
            for key, came in self._open.items()
            if set(live) <= came.keys()
        ]

    def apply(self, record: Message) -> None:
        """Take a record, and answer those who wait for it."""
        key = record.text("key")
        gathered = {int(rank): decode(x.tobytes()) for rank, x in record.arrays.items()}
        self._done[key] = gathered
        self._open.pop(key, None)
        for future in self._waiting.pop(key, ()):
            future.set_result(gathered)
        for old in list(self._done)[:-KEPT]:
            del self._done[old]

    def abandon(self, error: Exception) -> None:
        """Tell all that wait that too few are left."""
        for futures in self._waiting.values():
            for future in futures:
                future.set_exception(error)
        self._open, self._waiting = {}, {}

    def state(self) -> Message:
        """The results that are kept, as a message."""
        arrays = {
            f"{place}/{rank}": x
            for place, gathered in enumerate(self._done.values())
            for rank, x in _encoded(gathered).items()
        }
        return Message("meetings", {"keys": list(self._done)}, arrays)

    def load(self, state: Message) -> None:
        """Take back what `state` gave."""
        for place, key in enumerate(state.fields["keys"]):
            self.apply(Message("gathered", {"key": key}, state.under(f"{place}/")))


def pack_gathered(gathered: Gathered) -> Message:
    """All messages as one, for the wire."""
    said = [[worker, dict(message.fields["said"])] for worker, message in gathered.items()]
    arrays = {
        f"{worker}/{name}": x
        for worker, message in gathered.items()
        for name, x in message.arrays.items()
    }
    return Message("gathered", {"said": said}, arrays)


def unpack_gathered(message: Message) -> dict[int, Message]:
    """What each worker said: the fields and the arrays that it gave."""
    return {
        worker: Message("said", fields, message.under(f"{worker}/"))
        for worker, fields in message.fields["said"]
    }


def _encoded(gathered: Gathered) -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    return {str(rank): np.frombuffer(encode(x), np.uint8) for rank, x in sorted(gathered.items())}
