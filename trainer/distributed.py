"""DistributedTrainer: the trainer's loop, shared by several workers."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.leaf import Input, Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.dist.message import Message
from matrixslow.dist.place import Part, Place
from matrixslow.errors import ClusterError, Fenced, NonFiniteError
from matrixslow.function import function
from matrixslow.io import Batches
from matrixslow.metrics import Metric
from matrixslow.optimizers import Optimizer, ParameterGroups
from matrixslow.trainer.history import History
from matrixslow.trainer.hooks import Hook
from matrixslow.trainer.nan_guard import explain_not_finite
from matrixslow.trainer.progress import Progress
from matrixslow.trainer.tally import Tally
from matrixslow.trainer.trainer import JUDGED_AT_ONCE, Batch, Data, Trainer
from matrixslow.trainer.updater import Updater, trace

IDLE = 0.02
"""Seconds between looks of a worker that has nothing to do, where nobody keeps step."""


class Link(Protocol):
    """What ties a worker to the others.

    Attributes:
        rank: This worker's number, from 0.
        keeps_step: Whether a worker that has nothing to do takes empty steps with the others.
    """

    rank: int
    keeps_step: bool

    def look(
        self, place: Place, batches: int, ids: Mapping[Variable, Array]
    ) -> tuple[Place, Sequence[int]]:
        """Take the newest weights.

        Args:
            place: Where this worker is.
            batches: How many batches the epoch has.
            ids: Rows of tables that are wanted too.

        Returns:
            Where the job is, and the ranks of the workers that are there.
        """

    def step(self, part: Part | None, samples: int, slopes: Sequence[Array]) -> None:
        """Give the slopes of a batch: nothing where there is no batch.

        Raises:
            Fenced: The worker was given up meanwhile; the slopes were dropped.
        """

    def read(self, ids: Mapping[Variable, Array]) -> None:
        """Take rows of tables as they are now."""

    def gather(
        self, key: str, said: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Mapping[int, Message]:
        """What every worker said under a key, by rank."""

    def rejoin(self) -> None:
        """Come in again after having been given up."""

    def fail(self, error: BaseException) -> None:
        """Let the others know that this worker cannot go on."""

    def close(self) -> None:
        """Go."""


class SharingUpdater(Updater):
    """One training step: forward and backward here, the optimizer's part beyond a link.

    Args:
        inputs: As for `Updater`.
        outputs: As for `Updater`.
        loss: As for `Updater`.
        slopes: What is given to the others, in order.
        variables: What changes by that.
        tables: The variables of which single rows are given, and the nodes of the ids.
        guard: Whether slopes that are not finite are refused.

    Attributes:
        link: What ties this worker to the others.
        part: The epoch and the batch of the next step.
    """

    link: Link

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        *,
        loss: Node,
        slopes: Sequence[Node],
        variables: Sequence[Variable],
        tables: Mapping[Variable, Node] | None = None,
        guard: bool,
    ) -> None:
        self._loss = loss
        self._slopes = list(slopes)
        self._outputs = len(outputs)
        self._guard = guard
        self._step = function(inputs, [*outputs, *slopes], training=True)
        self.variables = list(variables)
        self._tables = list(tables or {})
        ids = [] if tables is None else list(tables.values())
        needed = set(ancestors(ids))
        self._lookup = function([x for x in inputs if x in needed], ids) if ids else None
        self.part: Part | None = None

    def __call__(self, feeds: Sequence[Array], *, last: bool = False) -> list[Array]:
        """Take a step on one batch.

        Raises:
            NonFiniteError: The loss or a slope is not finite; nobody was given it.
            Fenced: The worker was given up meanwhile.
        """
        values: list[Array] = self._step(*feeds)
        outputs, slopes = values[: self._outputs], values[self._outputs :]
        if self._guard and not all(np.isfinite(to_host(x)).all() for x in (outputs[0], *slopes)):
            raise self._error(feeds)
        self.link.step(self.part, len(feeds[0]), slopes)
        return outputs

    def rows(self, batch: Mapping[Node, Array]) -> dict[Variable, Array]:
        """The ids of the rows that a batch reads, by table; none where it does not say."""
        if self._lookup is None or any(x not in batch for x in self._lookup.inputs):
            return {}
        found = self._lookup(*(batch[x] for x in self._lookup.inputs))
        return {x: ids[ids >= 0] for x, ids in zip(self._tables, found, strict=True)}

    def trace(self, feeds: Sequence[Array], *, last: bool = False) -> list[dict[Node, Array]]:
        """The values of all nodes in a step, which is not taken."""
        return [trace(self._step.inputs, [self._loss, *self._slopes], [], feeds)]

    def _error(self, feeds: Sequence[Array]) -> NonFiniteError:
        epoch, batch = self.part or (0, 0)
        where = f"epoch {epoch + 1}, batch {batch + 1}, worker {self.link.rank}"
        return explain_not_finite(self.trace(feeds), where) or NonFiniteError(
            f"a loss or slope that is not finite in {where} did not come again",
            hint="look at hooks that change variables between steps",
        )


class DistributedTrainer(Trainer):
    """The trainer that all distributed ones are: the same loop over a share of the batches.

    The batches of an epoch are those of a single machine. Each worker takes those that fall to it
    by what all of them know (`Place`), so that each batch counts once, and `batch_size` is that of
    one worker. Metrics and the loss of an epoch are those of all workers; validation is shared
    out. Worker 0 prints, and writes files. Without a link the trainer is alone, and a `Trainer`.

    Attributes:
        link: What ties this worker to the others; None where there are none.
    """

    link: Link | None

    def __init__(
        self,
        loss: Node,
        optimizer: Optimizer | ParameterGroups,
        *,
        metrics: Sequence[Metric] = (),
        hooks: Sequence[Hook] = (),
        guard: bool = True,
    ) -> None:
        self._guard = guard
        self._workers = [0]
        super().__init__(loss, optimizer, metrics=metrics, hooks=hooks, guard=guard)
        counter = "random/counter"
        self._counter = self.graph.counter if counter in self.graph else None

    @property
    def rank(self) -> int:
        """This worker's number, from 0."""
        return 0 if self.link is None else self.link.rank

    def fit(self, data: Data, **options: Any) -> History:
        """Train, as `Trainer.fit` does; `batch_size` is that of one worker.

        Raises:
            ClusterError: The others cannot be reached, or too few are left.
        """
        try:
            history = super().fit(data, **options)
        except BaseException as error:
            if self.link is not None:
                self.link.fail(error)
            raise
        self.epoch = min(self.epoch, self.last_epoch)  # one that came late may be further
        return history

    def predict(
        self, outputs: Node | Sequence[Node], data: Data, *, batch_size: int = JUDGED_AT_ONCE
    ) -> Any:
        """The values of nodes over the data, as `Trainer.predict` gives them."""
        if self.link is not None:
            wanted = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
            for batch in self._in_order(data, wanted, batch_size).epoch(0):
                self._with_rows(batch)
        return super().predict(outputs, data, batch_size=batch_size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: worker 0 does, and the others do nothing.

        A trainer on one machine can resume it, and a distributed one what that has written.
        """
        if self.rank != 0:
            return
        if self._counter is not None and self.link is not None:
            self._counter.value = np.int64(self._runs(self.batch))
        super().save(path)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Take back a checkpoint, as `Trainer.resume` does; all workers must, before `fit`."""
        super().resume(path)
        if self.rank != 0:  # what was measured so far counts once
            self.tally.reset()

    def close(self) -> None:
        """Go: the others wait for this worker no more."""
        if self.link is not None:
            self.link.close()

    # ---- internals -----------------------------------------------------------------------------

    def _own_hooks(self, progress: bool) -> list[Hook]:
        if self.link is None:
            return super()._own_hooks(progress)
        # Slopes are looked at before they are given away: see SharingUpdater.
        return [Progress()] * (progress and self.rank == 0)

    def _own_batches(self) -> Iterator[Batch | None]:
        if self.link is None:
            yield from super()._own_batches()
            return
        assert isinstance(self.updater, SharingUpdater)
        count = len(self.batches)
        guess: int | None = self.rank  # what falls to this worker, if all stay as they are
        while True:
            place, workers, batch = self._next_batch(self.link, guess)
            self.batch = place.batches
            if self.batch >= count:
                return
            number = place.next(count, workers, self.rank)
            for rank in workers:
                taken = place.next(count, workers, rank)
                place = place if taken is None else place.after((self.epoch, taken))
            guess = place.next(count, workers, self.rank)
            self.batch = place.batches  # as hooks see it after the step
            if batch is None and not self.link.keeps_step:
                time.sleep(IDLE)
                continue
            self.updater.part = None if number is None else (self.epoch, number)
            if self._counter is not None and number is not None:
                self._counter.value = np.int64(self._runs(number))
            yield batch

    def _next_batch(
        self, link: Link, guess: int | None
    ) -> tuple[Place, Sequence[int], Batch | None]:
        """Where the job is, who is there, and this worker's next batch, for which all is there.

        The batch that is guessed is gathered, and its rows are asked for, before it is known.
        """
        assert isinstance(self.updater, SharingUpdater)
        count = len(self.batches)
        while True:
            part = (self.epoch, guess)
            known = guess is not None and guess < count
            batch = self.batches.batch(self.epoch, guess) if known and guess is not None else None
            ids = {} if batch is None else self.updater.rows(batch)
            place, workers = self._look(link, ids)
            number = place.next(count, workers, self.rank)
            if number is None:
                return place, workers, None
            if part == (self.epoch, number) and batch is not None:
                return place, workers, batch
            guess = number

    def _runs(self, batch: int) -> int:
        """How often a single machine has run the graph before it comes to a batch of the epoch."""
        return self.epoch * len(self.batches) + batch

    def _look(self, link: Link, ids: Mapping[Variable, Array]) -> tuple[Place, Sequence[int]]:
        """Where the job is; if this worker was away for longer, it goes there."""
        while True:
            try:
                here = Place(self.epoch, self.batch)
                place, workers = link.look(here, len(self.batches), ids)
                break
            except Fenced:
                link.rejoin()
        if place.epoch >= self.last_epoch:
            raise ClusterError(
                f"worker {self.rank}: the others have finished all {self.last_epoch} epochs",
                hint="give more epochs to go on with the job, or start a server of another one",
            )
        if place.epoch > self.epoch:
            self.epoch = place.epoch
            self.tally.reset()
        return place.at(self.epoch), workers

    def _take(self, batch: Batch | None) -> None:
        if self.link is None:
            super()._take(batch)
            return
        try:
            if batch is None:
                self.link.step(None, 0, [])
            else:
                super()._take(batch)
        except Fenced:
            self.link.rejoin()

    def _judged(self, batches: Iterable[Batch]) -> Tally:
        return super()._judged(map(self._with_rows, batches))

    def _with_rows(self, batch: Batch) -> Batch:
        """The batch, once the rows that it reads are here."""
        if self.link is not None and isinstance(self.updater, SharingUpdater):
            ids = self.updater.rows(batch)
            if ids:
                self.link.read(ids)
        return batch

    def _trained(self) -> Tally:
        return self._merged(f"epoch {self.epoch}", self.tally)

    def _validated(self, batches: Batches[Node]) -> Tally:
        if self.link is None:
            return super()._validated(batches)
        turns = zip(range(len(batches)), itertools.cycle(self._workers), strict=False)
        own = (number for number, rank in turns if rank == self.rank)
        judged = self._judged(batches.batch(0, number) for number in own)
        return self._merged(f"validation {self.epoch}", judged)

    def _fit_epoch(self, validation: Batches[Node] | None, running: Sequence[Hook]) -> None:
        super()._fit_epoch(validation, running)
        if self.link is not None:
            said = self.link.gather(f"stop {self.epoch}", {"stop": self._stopping}, {})
            self._stopping = any(message.fields["stop"] for message in said.values())

    def _merged(self, key: str, tally: Tally) -> Tally:
        """What all workers measured."""
        if self.link is None:
            return tally
        said = self.link.gather(key, {}, tally.state())
        self._workers = sorted(said)
        merged = tally.empty()
        for rank in self._workers:
            merged.merge(said[rank].arrays)
        return merged
