"""Place: which batches of an epoch are done, and which of the rest a worker takes next.

It lies on the servers beside the weights, and changes in the same record as they do. So a batch
counts exactly once in an epoch, whichever workers come, go or begin again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matrixslow.errors import FormatError

Part = tuple[int, int]
"""An epoch and a batch of it, both from 0."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a job is in its data.

    Attributes:
        epoch: Counts the epochs that were begun, from 0.
        below: Every batch before this one is done.
        beyond: The batches after it that are done too, ascending.
    """

    epoch: int = 0
    below: int = 0
    beyond: tuple[int, ...] = ()

    @property
    def batches(self) -> int:
        """How many batches of the epoch are done."""
        return self.below + len(self.beyond)

    def has(self, part: Part) -> bool:
        """Whether a batch is done: those of epochs before are."""
        epoch, batch = part
        if epoch != self.epoch:
            return epoch < self.epoch
        return batch < self.below or batch in self.beyond

    def after(self, part: Part) -> Place:
        """The place when this batch is done too.

        >>> from matrixslow.dist.place import Place
        >>> Place().after((0, 1)), Place().after((0, 1)).after((0, 0))
        (Place(epoch=0, below=0, beyond=(1,)), Place(epoch=0, below=2, beyond=()))
        """
        if self.has(part):
            return self
        here = self.at(part[0])
        done = {*here.beyond, part[1]}
        below = here.below
        while below in done:
            done.remove(below)
            below += 1
        return Place(here.epoch, below, tuple(sorted(done)))

    def at(self, epoch: int) -> Place:
        """This place, or the beginning of a later epoch."""
        return self if epoch <= self.epoch else Place(epoch)

    def next(self, batches: int, workers: Sequence[int], worker: int) -> int | None:
        """The first batch that is not done and falls to this worker; None where there is none.

        The batches are dealt out in turn to those who are there. So it depends on nothing but what
        all of them know, and with W workers that keep step it is batch t W + rank in step t.

        Args:
            batches: How many there are in the epoch.
            workers: The ranks of those who are there, ascending.
            worker: The rank of this one, which may not be among them yet.

        >>> from matrixslow.dist.place import Place
        >>> [Place(below=4).next(6, (0, 1, 2), rank) for rank in (0, 1, 2)]
        [None, 4, 5]
        """
        if worker not in workers:
            return None
        own = workers.index(worker)
        first = self.below + (own - self.below) % len(workers)
        for batch in range(first, batches, len(workers)):
            if batch not in self.beyond:
                return batch
        return None

    def to_json(self) -> list[object]:
        """As a list that JSON can hold."""
        return [self.epoch, self.below, list(self.beyond)]

    @staticmethod
    def from_json(content: object) -> Place:
        """What `to_json` gave.

        Raises:
            FormatError: It is something else.
        """
        match content:
            case [int(epoch), int(below), list(beyond)]:
                if all(type(x) is int and x >= 0 for x in (epoch, below, *beyond)):
                    return Place(epoch, below, tuple(beyond))
        raise FormatError(f"place: {str(content)[:80]} does not describe one")
