"""Rounds: a worker's push, whether it fits, and the sum of the pushes of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.dense import DenseBlocks
from matrixslow.dist.futures import settle
from matrixslow.dist.place import Part, Place
from matrixslow.dist.rows import RowTable
from matrixslow.dist.sharding import Block
from matrixslow.errors import FeedError, NonFiniteError

Array = NDArray[Any]
Rows = tuple[Array, Array]
"""Ids, each once and ascending, and a row for each."""


@dataclass(frozen=True, slots=True)
class Push:
    """The slopes of one worker's step, for one server.

    Attributes:
        worker: Its rank.
        incarnation: Counts how often it has joined.
        step: Counts its steps, from 1.
        samples: How many samples the slopes are the mean over; 0 where it has none this time.
        dense: The slope of every block, by name; none where there are no samples.
        rows: Slopes of rows of tables.
        part: The epoch and the batch that they are of; that batch counts once. None where the
            samples are not counted.
    """

    worker: int
    incarnation: int
    step: int
    samples: int
    dense: Mapping[str, Array] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    part: Part | None = None

    def without_slopes(self) -> Push:
        """The same step, of no samples."""
        return replace(self, samples=0, dense={}, rows={})


class Round:
    """The pushes of a step that the workers take together."""

    def __init__(self) -> None:
        self._pushes: dict[int, tuple[Push, Future[int]]] = {}

    def __contains__(self, rank: int) -> bool:
        return rank in self._pushes

    def __len__(self) -> int:
        return len(self._pushes)

    def add(self, push: Push) -> Future[int]:
        """Take a worker's push; gives what is done when the step is."""
        future: Future[int] = Future()
        self._pushes[push.worker] = push, future
        return future

    def close(self) -> tuple[list[Push], list[Future[int]]]:
        """The pushes, by rank, and who waits for them; the next round begins."""
        entries = [self._pushes[rank] for rank in sorted(self._pushes)]
        self._pushes = {}
        return [push for push, _ in entries], [future for _, future in entries]

    def drop(self, rank: int, error: Exception) -> None:
        """Forget a worker's push, and tell it so."""
        _, future = self._pushes.pop(rank)
        settle(future, error)

    def abandon(self, error: Exception) -> None:
        """Forget all pushes, and tell so who waits for them."""
        for rank in list(self._pushes):
            self.drop(rank, error)


def each_part_once(pushes: Sequence[Push], place: Place) -> list[Push]:
    """The pushes, without the slopes of a batch that is done, or that another one has too.

    That happens where workers did not see the same ones being there.

    Args:
        pushes: By rank.
        place: What is done.
    """
    once = []
    for push in pushes:
        if push.part is not None and place.has(push.part):
            push = push.without_slopes()
        elif push.part is not None:
            place = place.after(push.part)
        once.append(push)
    return once


def mean_slopes(
    pushes: Sequence[Push], dense: DenseBlocks, *, alone: bool
) -> tuple[Mapping[str, Array], Mapping[str, Rows]]:
    """The mean slopes over the samples of all pushes, of blocks and of rows.

    Args:
        pushes: By rank.
        dense: What adds the slopes of blocks.
        alone: Whether there is one worker: then its slopes are left as they are.
    """
    counted = [push for push in pushes if push.samples]
    if not counted:
        return {}, {}
    blocks = counted[0].dense
    if not alone and dense.blocks:
        blocks = dense.mean([(push.samples, push.dense) for push in counted])
    return blocks, total_rows(counted, alone=alone)


def check_push(
    push: Push, blocks: Sequence[Block], tables: Mapping[str, RowTable], *, refuse: bool
) -> bool:
    """Whether the slopes are finite, once it is certain that they fit.

    Args:
        push: What came.
        blocks: What must have slopes.
        tables: What may have slopes of rows.
        refuse: Whether to raise where they are not finite.

    Raises:
        FeedError: They do not fit: all that is wrong is named.
        NonFiniteError: There is a NaN or infinity among them.
    """
    problems = []
    expected = {block.name: (block.shape, block.dtype) for block in blocks}
    if push.samples or push.dense:
        problems += [f"missing     {name}" for name in expected if name not in push.dense]
    for name, x in push.dense.items():
        if name not in expected:
            problems.append(f"unexpected  {name}")
        elif expected[name] != (x.shape, x.dtype.name):
            shape, dtype = expected[name]
            problems.append(f"mismatched  {name}: {shape} {dtype} here, {x.shape} {x.dtype} came")
    for name, (ids, rows) in push.rows.items():
        if name not in tables:
            problems.append(f"unexpected  table {name}")
            continue
        spec = tables[name].spec
        if ids.ndim != 1 or ids.dtype != np.int64 or (np.diff(ids) <= 0).any():
            problems.append(f"mismatched  {name}: ids must be int64, each once, ascending")
        elif (rows.shape, rows.dtype.name) != ((len(ids), spec.features), spec.dtype):
            problems.append(
                f"mismatched  {name}: ({len(ids)}, {spec.features}) {spec.dtype} here, "
                f"{rows.shape} {rows.dtype} came"
            )
    if problems:
        raise FeedError(
            f"push of worker {push.worker}, step {push.step}: {len(problems)} entries do not fit",
            rows=tuple(problems),
            hint="build the same graph on every worker",
        )
    arrays = {**push.dense, **{name: rows for name, (_, rows) in push.rows.items()}}
    wrong = [name for name, x in arrays.items() if not np.isfinite(x).all()]
    if wrong and refuse:
        raise NonFiniteError(
            f"push of worker {push.worker}, step {push.step}: NaN or infinity in "
            f"{', '.join(wrong)}",
            hint="lower the learning rate, or start the server with --nonfinite count",
        )
    return not wrong


def total_rows(pushes: Sequence[Push], *, alone: bool) -> dict[str, Rows]:
    """The mean slopes of rows over the samples of all pushes, added in the order they stand in.

    That order is by rank, so the result does not depend on which push came first.

    Args:
        pushes: By rank, each with samples.
        alone: Whether there is one worker: then its slopes are left as they are.
    """
    if alone:
        return dict(pushes[0].rows)
    samples = sum(push.samples for push in pushes)
    tables = dict.fromkeys(name for push in pushes for name in push.rows)
    return {name: _total_rows(name, pushes, samples) for name in tables}


def _total_rows(name: str, pushes: Sequence[Push], samples: int) -> Rows:
    parts = [(*push.rows[name], push.samples) for push in pushes if name in push.rows]
    ids = np.unique(np.concatenate([part[0] for part in parts]))
    _, first, _ = parts[0]
    sums = np.zeros((len(ids), first.shape[1]), first.dtype)
    for own, rows, weight in parts:
        sums[np.searchsorted(ids, own)] += rows * first.dtype.type(weight)
    sums /= first.dtype.type(samples)
    return ids, sums
