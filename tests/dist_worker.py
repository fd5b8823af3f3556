"""A worker as a process, which notes what it sent and what was acknowledged; and what it must be.

The slopes depend on the weights, so that weights which were wrong once stay wrong.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import matrixslow as ms
from matrixslow.dist.client import Client
from matrixslow.dist.model import Model
from matrixslow.dist.options import Options
from matrixslow.dist.recipe import describe
from matrixslow.dist.rounds import Push
from matrixslow.dist.rows import TableSpec
from matrixslow.dist.sharding import RowMap
from matrixslow.dist.store import Store
from matrixslow.errors import Fenced

Array = np.ndarray[Any, Any]

SHAPE = (16, 24)
CELLS = 256
"""A cell for each worker, so many that every server has all of them: a row for each server."""

TABLE = TableSpec("table", 3, seed=5)


@dataclass(frozen=True)
class Job:
    """What a worker does.

    Args:
        task: "learn": Adam on slopes that depend on the weights. "count": each push adds one to
            the worker's own cell on every server.
        late: Seconds that a step of this worker takes.
    """

    addresses: Sequence[str]
    workers: int
    steps: int
    history: str
    rank: int = 0
    task: Literal["learn", "count"] = "learn"
    staleness: int | None = None
    late: float = 0.0
    client: dict[str, float] = field(default_factory=lambda: {"patience": 60.0, "limit": 120.0})

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def model_of(job: Job) -> Model:
    if job.task == "count":
        shape = (len(job.addresses), CELLS)
        recipe = describe(ms.optimizers.SGD(1.0))
        return Model("count", job.workers, [("cells", shape, "float32")], recipe)
    recipe = describe(ms.optimizers.Adam(0.01))
    return Model("learn", job.workers, [("w", SHAPE, "float32")], recipe, [TABLE])


def first_values(job: Job) -> dict[str, Array]:
    return {name: np.zeros(shape, dtype) for name, shape, dtype in model_of(job).variables}


def ids_of(rank: int, step: int) -> Array:
    return np.unique(np.random.default_rng((7, rank, step)).integers(0, 60, 9))


def slopes_of(
    job: Job, rank: int, step: int, dense: Mapping[str, Array], rows: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, tuple[Array, Array]]]:
    if job.task == "count":
        mine = np.zeros((len(job.addresses), CELLS), "float32")
        mine[:, rank] = -1
        return {"cells": mine}, {}
    rng = np.random.default_rng((rank, step))
    w, table = dense["w"], rows["table"]
    return (
        {"w": (0.1 * w + rng.normal(size=w.shape)).astype("float32")},
        {"table": (ids_of(rank, step), (0.1 * table + rng.normal(size=table.shape)).astype("f4"))},
    )


def wanted(job: Job, rank: int, step: int) -> dict[str, Array]:
    return {"table": ids_of(rank, step)} if job.task == "learn" else {}


def undisturbed(job: Job) -> list[bytes]:
    """The state of each server after all steps in mode "sync", by stores without processes."""
    from matrixslow.dist.message import encode

    model, shards = model_of(job), len(job.addresses)
    stores = [Store(lambda records: None, Options(shard=i, shards=shards)) for i in range(shards)]
    owners = RowMap.even(shards)
    for shard, store in enumerate(stores):
        blocks = model.blocks(shard, shards)
        store.setup(model, {x.name: x.of(first_values(job)[x.name]) for x in blocks})
        store.commit()
        for rank in range(job.workers):
            store.join(rank)
        store.commit()
    for step in range(1, job.steps + 1):
        pushes = []
        for rank in range(job.workers):
            w = np.concatenate([store.state().arrays["dense/w"].reshape(-1) for store in stores])
            ids = ids_of(rank, step)
            table = np.empty((len(ids), TABLE.features), "float32")
            for shard, store in enumerate(stores):
                mine = owners.servers_of(ids) == shard
                table[mine] = store._parameters.tables["table"].read(ids[mine])
            pushes.append(slopes_of(job, rank, step, {"w": w.reshape(SHAPE)}, {"table": table}))
        for shard, store in enumerate(stores):
            for rank, (dense, rows) in enumerate(pushes):
                blocks = {x.name: x.of(dense[x.name]) for x in model.blocks(shard, shards)}
                ids, slopes = rows["table"]
                mine = owners.servers_of(ids) == shard
                part = {"table": (ids[mine], slopes[mine])}
                store.push(Push(rank, 1, step, 5 + rank, blocks, part))
            store.commit()
    return [arrays_only(encode(store.state())) for store in stores]


def arrays_only(state: bytes) -> bytes:
    """What does not depend on how often workers had to join."""
    from matrixslow.dist.message import Message, decode, encode

    found = decode(state)
    kept = {name: x for name, x in found.arrays.items() if not name.startswith("before/")}
    return encode(Message("state", {"version": found.fields["version"]}, kept))


def work(job: Job, note: Callable[[str, int], None]) -> None:
    with Client(job.addresses, model_of(job), worker=job.rank, **job.client) as client:
        client.setup(first_values(job) if job.rank == 0 else None)
        step, pulled = client.join(), None
        while step < job.steps:
            try:
                ids = wanted(job, job.rank, step + 1)
                weights = (pulled or client.pull(step, ids=ids)).wait()
                if job.staleness is not None:
                    check_fresh(job, step, weights.dense["cells"][:, : job.workers], note)
                time.sleep(job.late)
                dense, rows = slopes_of(job, job.rank, step + 1, weights.dense, weights.rows)
                note("sent", step + 1)
                ticket = client.push(step + 1, samples=5 + job.rank, dense=dense, rows=rows)
                pulled = client.pull(step + 1, ids=wanted(job, job.rank, step + 2))
                ticket.wait()
                step += 1
                note("acknowledged", step)
            except Fenced:
                note("fenced", step)
                step, pulled = client.join(), None
        note("done", step)


def check_fresh(job: Job, step: int, cells: Array, note: Callable[[str, int], None]) -> None:
    """Note a pull that is older than the staleness allows: each push adds one to a cell."""
    assert job.staleness is not None
    if cells.min() < step - job.staleness:
        note("stale", step)


def read_history(path: Path) -> list[tuple[str, int]]:
    """What a worker noted, over all its lives; a line that a kill tore is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [(kind, int(step)) for kind, step in (line.split() for line in lines)]


def steps_noted(path: Path, kind: str) -> set[int]:
    return {step for found, step in read_history(path) if found == kind}


if __name__ == "__main__":
    given = Job(**json.loads(sys.argv[1]))
    with open(given.history, "a", buffering=1) as file:
        work(given, lambda kind, step: print(kind, step, file=file))
