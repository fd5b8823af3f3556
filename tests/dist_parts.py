"""What the tests of dist share: a small model, a clock that is moved by hand, and a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import matrixslow as ms
from matrixslow.dist.message import Message, decode, encode
from matrixslow.dist.model import Model
from matrixslow.dist.options import Options
from matrixslow.dist.recipe import describe
from matrixslow.dist.rounds import Push
from matrixslow.dist.rows import TableSpec
from matrixslow.dist.store import Store

Array = np.ndarray[Any, Any]

SHAPES = {"w": (40, 8), "b": (3,)}


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Journal:
    """Keeps records as the bytes that a log would keep; full, it keeps none."""

    kept: list[bytes] = field(default_factory=list)
    full: bool = False

    def __call__(self, records: Sequence[Message]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept += [encode(record) for record in records]


def small_model(
    workers: int = 2, optimizer: ms.optimizers.Optimizer | None = None, *, table: bool = False
) -> Model:
    tables = [TableSpec("table", 2, seed=3)] if table else []
    variables = [(name, shape, "float32") for name, shape in SHAPES.items()]
    recipe = describe(optimizer or ms.optimizers.Adam(0.1))
    return Model("job", workers, variables, recipe, tables)


def values() -> dict[str, Array]:
    return {name: np.ones(shape, "float32") for name, shape in SHAPES.items()}


def slopes(rank: int, step: int) -> dict[str, Array]:
    rng = np.random.default_rng((rank, step))
    return {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}


def push(rank: int, step: int, incarnation: int = 1, **options: Any) -> Push:
    return Push(rank, incarnation, step, 5 + rank, **{"dense": slopes(rank, step), **options})


class Site:
    """A store that was set up, with its clock and its journal."""

    def __init__(
        self,
        model: Model | None = None,
        *,
        joined: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self.clock, self.journal = Clock(), Journal()
        self.model = model or small_model()
        self.store = Store(self.journal, Options(**options), clock=self.clock)
        setup = self.store.setup(self.model, self.blocks(values()))
        assert setup is not None
        self.store.commit()
        for rank in range(self.model.workers) if joined is None else joined:
            self.join(rank)

    def blocks(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        options = self.store.options
        blocks = self.model.blocks(options.shard, options.shards)
        return {x.name: x.of(arrays[x.name]) for x in blocks if x.stop > x.start}

    def join(self, rank: int) -> int:
        future = self.store.join(rank)
        self.store.commit()
        return future.result(0)

    def weights(self) -> dict[str, Array]:
        state = self.store.state().arrays
        return {name: state[f"dense/{name}"] for name in SHAPES if f"dense/{name}" in state}

    def replayed(self) -> Store:
        """A store made from the records alone."""
        store = Store(Journal(), self.store.options, clock=self.clock)
        for record in self.journal.kept:
            store.apply(decode(record))
        return store


def same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether all arrays are equal, bit for bit."""
    return list(one) == list(other) and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )
