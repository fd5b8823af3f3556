"""ParameterServerTrainer: workers that push slopes to servers, and pull weights."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.dist.client import Client
from matrixslow.dist.cluster import Cluster, cluster
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model
from matrixslow.dist.options import Mode
from matrixslow.dist.place import Part, Place
from matrixslow.dist.pulls import Weights
from matrixslow.dist.recipe import describe
from matrixslow.dist.rows import TableSpec
from matrixslow.dist.security import ClientTls
from matrixslow.dist.ticket import Ticket
from matrixslow.errors import ArgumentError, ClusterError, Fenced
from matrixslow.metrics import Metric
from matrixslow.ops.rows import is_sparse, merged_rows
from matrixslow.optimizers import Optimizer, ParameterGroups
from matrixslow.optimizers.optimizer import trainable_slopes
from matrixslow.trainer.distributed import DistributedTrainer, SharingUpdater
from matrixslow.trainer.hooks import Hook
from matrixslow.trainer.updater import Updater

SAMPLE = 1024
"""Rows of a table whose range is that of its new rows."""


class ParameterServerTrainer(DistributedTrainer):
    """Fits a model whose weights and optimizer state live on parameter servers.

    The servers are `python -m matrixslow.serve` processes; they say how the workers keep step:

    - "sync": a step is taken when every worker's slopes are in. The result is that of a single
      machine which accumulates the workers' batches, bit for bit.
    - "ssp": each worker's slopes are a step; none runs more than `staleness` steps ahead.
    - "async": each worker's slopes are a step, whenever they come.

    Workers may come, go and be killed: the others go on, and each batch counts once in an epoch.

    Args:
        loss: See `Trainer`.
        optimizer: See `Trainer`; one of `matrixslow.optimizers`.
        cluster: Which worker this is and where the servers are; by default what the environment
            says. Without servers it must be alone, and is a `Trainer`.
        mode: What the servers' mode must be; by default whatever it is.
        staleness: What the servers' staleness must be; by default whatever it is.
        new_rows: Between which numbers new rows of embedded tables with `sparse=True` are drawn
            on the servers, by the graph's seed and the row's id; by default those of the table's
            first rows here. Give it with `initializer=ms.initializers.Zeros()`, which takes no
            memory here for rows that are never read.
        metrics: See `Trainer`.
        hooks: See `Trainer`.
        guard: Whether slopes that are not finite stop the worker, naming the node.

    Raises:
        ArgumentError: There are several workers and no server.

    >>> with ms.Graph(seed=0):
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> trainer = ms.trainer.ParameterServerTrainer(loss, ms.optimizers.SGD(0.1))
    >>> trainer.fit({x: np.ones((4, 2))}, epochs=3, progress=False).epochs
    3
    """

    link: ServerLink | None

    def __init__(
        self,
        loss: Node,
        optimizer: Optimizer | ParameterGroups,
        *,
        cluster: Cluster | None = None,
        mode: Mode | None = None,
        staleness: int | None = None,
        new_rows: tuple[float, float] | None = None,
        metrics: Sequence[Metric] = (),
        hooks: Sequence[Hook] = (),
        guard: bool = True,
    ) -> None:
        if mode not in (None, *get_args(Mode)):
            raise ArgumentError(
                f"ParameterServerTrainer: mode={mode!r}", hint="give sync, ssp or async"
            )
        self.cluster = _found(cluster)
        self._asked = (mode, staleness)
        self._new_rows = new_rows
        self.link = None
        super().__init__(loss, optimizer, metrics=metrics, hooks=hooks, guard=guard)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint of the whole cluster: worker 0 does, and the others do nothing.

        It is that of a single machine, which can resume it.
        """
        if self.link is None or self.rank != 0 or not self.link.joined:
            super().save(path)
            return
        here = self.epoch, self.batch
        place = self.link.fetch().at(self.epoch)
        self.epoch, self.batch = place.epoch, place.batches
        super().save(path)
        self.epoch, self.batch = here

    # ---- internals -----------------------------------------------------------------------------

    def _make_updater(self, optimizer: Optimizer | ParameterGroups) -> Updater:
        if not self.cluster.servers:
            return super()._make_updater(optimizer)
        pairs = trainable_slopes(self.loss)
        state = [x for x, _ in optimizer.updates(pairs) if isinstance(x, Variable)]
        dense = {x: slope for x, slope in pairs if not is_sparse(slope)}
        sparse = {x: merged_rows(slope) for x, slope in pairs if is_sparse(slope)}
        tables = [
            Table(_table_spec(x, self._new_rows), x, [y for y in state if f"/{x.name}/" in y.name])
            for x in sparse
        ]
        of_tables = {x for table in tables for x in (table.variable, *table.state)}
        updater = SharingUpdater(
            self.inputs,
            self.tally.nodes,
            loss=self.loss,
            slopes=[*dense.values(), *(x for parts in sparse.values() for x in parts)],
            variables=state,
            tables={variable: ids for variable, (ids, _) in sparse.items()},
            guard=self._guard,
        )
        model = Model(
            self.cluster.job,
            self.cluster.world,
            [(x.name, x.value.shape, x.dtype.name) for x in dense],
            describe(optimizer),
            [table.spec for table in tables],
        )
        client = _client(self.cluster, model)
        self.link = updater.link = ServerLink(
            client, list(dense), [x for x in state if x not in of_tables], tables, self._asked
        )
        return updater

    def _set_rate(self, value: float) -> None:
        if self.link is not None:
            raise ArgumentError(
                "ParameterServerTrainer: the learning rate lives on the servers",
                hint="give the optimizer a schedule, which the servers follow",
            )
        super()._set_rate(value)

    def _begin_epochs(self) -> None:
        super()._begin_epochs()
        if self.link is not None:
            here = Place(self.epoch, self.batch)
            self.link.begin(here, with_rows=self.resumed)
            # A worker that comes late, or again, goes to where the others are.
            place, _ = self.link.look(here, len(self.batches), {})
            if place.epoch > self.epoch:
                self.epoch, self.batch = place.epoch, place.batches


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows live on the servers.

    Here the variable holds those rows alone that were read: others are never touched, and take no
    memory where they were not written at first.

    Attributes:
        spec: What the servers know of it.
        variable: The variable.
        state: The optimizer's variables of its shape.
    """

    spec: TableSpec
    variable: Variable
    state: Sequence[Variable]

    def rows(self) -> dict[str, Array]:
        """All rows with the optimizer's state, as `Client.setup` takes them."""
        columns = [to_host(x.value) for x in (self.variable, *self.state)]
        mark = f"table/{self.spec.name}"
        arrays = {f"{mark}/ids": np.arange(len(columns[0]))}
        return arrays | {f"{mark}/column/{i}": x for i, x in enumerate(columns)}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Take all rows with the optimizer's state, as `Client.state` gives them."""
        mark = f"table/{self.spec.name}"
        ids = arrays[f"{mark}/ids"]
        every = np.arange(self.variable.value.shape[0])
        for i, variable in enumerate((self.variable, *self.state)):
            whole = self.spec.first_rows(every) if i == 0 else np.zeros_like(variable.value)
            whole[ids] = arrays[f"{mark}/column/{i}"]
            variable.value = whole


class ServerLink:
    """Pushes slopes to the servers, and pulls weights.

    Args:
        client: The way to the servers.
        weights: The variables, in the order of their slopes; those of tables follow.
        state: All that the optimizer changes, weights included, but for tables.
        tables: The tables.
        asked: The mode and the staleness that the servers must have.

    Attributes:
        client: The way to the servers.
        joined: Whether this worker is in.
        tables: The tables.
    """

    def __init__(
        self,
        client: Client,
        weights: Sequence[Variable],
        state: Sequence[Variable],
        tables: Sequence[Table],
        asked: tuple[str | None, int | None],
    ) -> None:
        self.rank = client.worker
        self.keeps_step = True
        self.joined = False
        self.client = client
        self._weights = list(weights)
        self._state = list(state)
        self.tables = list(tables)
        self._asked = asked
        self._mode = "sync"
        self._step = 0
        self._pending: Ticket[int] | None = None
        self._part: Part | None = None
        self._failed = False
        self._end = weakref.finalize(self, _leave, client)

    def begin(self, place: Place, *, with_rows: bool) -> None:
        """Agree with the servers on the model, and come in, unless that was done.

        Args:
            place: Where the job begins, if it is not there yet.
            with_rows: Whether the tables' rows are something else than the first ones.
        """
        if self.joined:
            return
        values = {x.name: to_host(x.value) for x in self._state}
        for table in self.tables if with_rows and self.rank == 0 else ():
            values |= table.rows() | self._shared(table)
        self.client.setup(values if self.rank == 0 else None, place=place)
        self._check_mode()
        self.rejoin()
        self.joined = True

    def look(
        self, place: Place, batches: int, ids: Mapping[Variable, Array]
    ) -> tuple[Place, Sequence[int]]:
        """Pull the weights, and rows of tables."""
        weights = self._pull(ids)
        if self._part is None:
            return weights.place, weights.live
        # What was pushed and not yet acknowledged is done too, unless the epoch ends with it.
        expected = weights.place.after(self._part)
        if expected.batches >= batches:
            self._settle()
        return expected, weights.live

    def step(self, part: Part | None, samples: int, slopes: Sequence[Array]) -> None:
        """Push; in mode "sync" until it is applied, else until the next one."""
        given = iter(map(to_host, slopes))
        dense = {x.name: y for x, y in zip(self._weights, given, strict=False)}
        rows = {}
        for table, ids, values in zip(self.tables, given, given, strict=False):
            rows[table.spec.name] = ids[ids >= 0], values[ids >= 0]
        self._settle()
        self._step += 1
        self._pending = self.client.push(
            self._step, samples=samples, dense=dense, rows=rows, part=part
        )
        self._part = part
        if self._mode == "sync":
            self._settle()

    def read(self, ids: Mapping[Variable, Array]) -> None:
        """Pull rows of tables."""
        self._settle()
        self._pull(ids)

    def gather(
        self, key: str, said: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Mapping[int, Message]:
        """What every worker said, by rank."""
        while True:
            try:
                self._settle()
                return self.client.gather(key, said, arrays).wait()
            except Fenced:
                self.rejoin()

    def rejoin(self) -> None:
        """Come in as a new incarnation, after whatever was acknowledged."""
        self._pending = self._part = None
        self._step = self.client.join()

    def fetch(self) -> Place:
        """Bring weights and optimizer state of the cluster into the graph; gives their place."""
        self._settle()
        arrays, place = self.client.state()
        for variable in self._state:
            variable.value = arrays[variable.name]
        for table in self.tables:
            table.write(arrays)
        return place

    def fail(self, error: BaseException) -> None:
        """Break off: the others wait for a while whether this worker comes again."""
        if not self.joined:  # nothing was begun, and the next call of `fit` may be right
            return
        self._end.detach()
        self.client.close()

    def close(self) -> None:
        """Go: the others wait for this worker no more."""
        self._settle()
        self._end()

    def _pull(self, ids: Mapping[Variable, Array]) -> Weights:
        named = {x.name: wanted for x, wanted in ids.items()}
        weights = self.client.pull(self._step, ids=named).wait()
        for variable in self._weights:
            variable.value = weights.dense[variable.name]
        for variable, wanted in ids.items():
            variable.value[wanted] = weights.rows[variable.name]
        return weights

    def _shared(self, table: Table) -> dict[str, Array]:
        """The optimizer's counts of steps, which each table has on the servers too."""
        counts = [x for x in self._state if x.name.endswith("/steps")]
        return {
            f"table/{table.spec.name}/shared/{i}": to_host(x.value) for i, x in enumerate(counts)
        }

    def _settle(self) -> None:
        """Wait until the push under way is acknowledged."""
        pending, self._pending, self._part = self._pending, None, None
        if pending is not None:
            pending.wait()

    def _check_mode(self) -> None:
        """Learn the servers' mode, and whether it is what was asked for."""
        for number, server in enumerate(self.client.status()):
            here = (server["mode"], server["staleness"])
            wrong = [
                f"{name}  {asked} asked for, {found} there"
                for name, asked, found in zip(("mode", "staleness"), self._asked, here, strict=True)
                if asked not in (None, found)
            ]
            if wrong:
                raise ClusterError(
                    f"ParameterServerTrainer: server {number} keeps step in another way",
                    rows=tuple(wrong),
                    hint="start the servers with this --mode and --staleness, or leave both out",
                )
            self._mode = server["mode"]
        self.keeps_step = self._mode != "async"


def _table_spec(variable: Variable, new_rows: tuple[float, float] | None) -> TableSpec:
    """What the servers must know of a table; new rows are drawn as the first ones here were."""
    name, (_, features) = variable.name, variable.value.shape
    sample = to_host(variable.value[:SAMPLE])
    low, high = new_rows or (float(sample.min()), float(sample.max()))
    seed = variable.graph.key(name) % (1 << 62)
    return TableSpec(name, features, variable.dtype.name, low, high, seed)


def _leave(client: Client) -> None:
    """Go, if that is still possible."""
    with suppress(ClusterError):
        if client.incarnation:
            client.leave()
    client.close()


def _found(given: Cluster | None) -> Cluster:
    """Which worker this is."""
    found = cluster() if given is None else given
    if found.world > 1 and not found.servers:
        raise ArgumentError(
            f"ParameterServerTrainer: {found.world} workers ({found.source}) and no server",
            hint="set MATRIXSLOW_SERVERS=host:port, or start with: matrixslow launch --servers 1",
        )
    return found


def _client(found: Cluster, model: Model) -> Client:
    tls = None
    if found.tls_ca is not None:
        tls = ClientTls(found.tls_ca, found.tls_cert, found.tls_key)
    return Client(found.servers, model, worker=found.rank, token=found.token, tls=tls)
