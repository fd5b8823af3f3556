"""Client: a worker's way to all servers of its job."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.connection import Connection
from matrixslow.dist.gathering import unpack_gathered
from matrixslow.dist.message import Layout, Message
from matrixslow.dist.model import Model
from matrixslow.dist.place import Part, Place
from matrixslow.dist.pulls import Weights
from matrixslow.dist.rounds import Rows
from matrixslow.dist.security import ClientTls
from matrixslow.dist.sharding import Block, RowMap
from matrixslow.dist.state import merge_states, split_state
from matrixslow.dist.ticket import Lane, Pulse, Ticket
from matrixslow.errors import ArgumentError, ClusterError, FeedError, Fenced, ServerLost

Array = NDArray[Any]
T = TypeVar("T")

SETUP_POLL = 0.1
"""Seconds after which it is looked again whether another worker has set the model up."""

BEATS_HELD = 5
"""Signs of life that may be under way to a server at a time."""

JOIN_TRIES = 10
"""How often it is tried to join, while an older incarnation of the same worker does so too."""


class Client:
    """A worker's way to all servers of its job.

    `setup`, `join`, `leave`, `state` wait for the servers; `push` and `pull` give tickets. Every
    wait has a limit. A server that is started again is found again, and gets what it has not
    acknowledged once more; it takes each push once.

    Where a call raises `Fenced`, the worker was given up: `join` again, pull, and go on with the
    step that follows.

    Args:
        addresses: Host and port of each server, in the order of their --shard.
        model: What is trained; all workers of a job must give the same.
        worker: The rank, from 0.
        token: What the servers ask to be shown.
        tls: Certificates.
        heartbeat: Seconds from one sign of life to the next, once joined.
        patience: After so many seconds in which a server cannot be reached it is given up.
        limit: The most seconds that a call may take, waiting for other workers included.

    Attributes:
        incarnation: Counts how often this worker has joined; 0 before.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        model: Model,
        *,
        worker: int,
        token: str | None = None,
        tls: ClientTls | None = None,
        heartbeat: float = 2.0,
        patience: float = 60.0,
        limit: float = 600.0,
    ) -> None:
        if not addresses:
            raise ArgumentError("a client needs the address of at least one server")
        if heartbeat <= 0 or patience <= 0 or limit <= 0:
            raise ArgumentError(
                f"heartbeat={heartbeat}, patience={patience}, limit={limit}",
                hint="give seconds, more than 0",
            )
        self.model, self.worker, self.incarnation = model, worker, 0
        self._limit, self._heartbeat = limit, heartbeat
        self._blocks = [model.blocks(shard, len(addresses)) for shard in range(len(addresses))]
        self._row_map = RowMap.even(len(addresses))
        self._tables = {spec.name: spec for spec in model.tables}
        self._servers = [
            Connection(address, shard, token=token, tls=tls, patience=patience)
            for shard, address in enumerate(addresses)
        ]
        self._pushing = [Lane(f"push {shard}") for shard in range(len(addresses))]
        self._pulling = [Lane(f"pull {shard}") for shard in range(len(addresses))]
        self._meeting = Lane("meeting")
        self._whole = itertools.cycle((self._new_whole(), self._new_whole()))
        self._pulse: Pulse | None = None
        self._beats: deque[Any] = deque(maxlen=BEATS_HELD * len(addresses))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- coming and going ------------------------------------------------------------------------

    def setup(
        self, values: Mapping[str, Array] | None = None, *, place: Place | None = None
    ) -> None:
        """Agree on the model with all servers; returns when it is there.

        Args:
            values: First values of all variables, or what `state` gave, so that the optimizer
                does not begin anew; used if no worker came before. None to wait for a worker
                that has them.
            place: How far the job is in its data; by default at its beginning.

        Raises:
            ClusterError: A server serves another model.
            FeedError: The values do not fit the model.
            ServerLost: A server did not answer, or no worker gave values, in time.
        """
        self._each(lambda server: self._set_up(server, values, place or Place()))

    def join(self) -> int:
        """Come in, as a new incarnation; what an older one left open is dropped.

        Returns:
            The step after which this worker goes on: pull with it, then push the next.

        Raises:
            ServerLost: A server did not answer in time.
        """
        what = f"join of worker {self.worker}"
        for _ in range(JOIN_TRIES):
            try:
                first = self._call(self._servers[0], "join", what)
                incarnation = first.whole("incarnation", least=1)
                answers = [first] + [
                    self._call(server, "join", what, incarnation=incarnation)
                    for server in self._servers[1:]
                ]
            except Fenced as error:
                fenced = error
                continue
            self.incarnation = incarnation
            if self._pulse is None:
                self._pulse = Pulse(self._heartbeat, self._beat)
            return min(answer.whole("step") for answer in answers)
        raise ClusterError(
            f"{what}: another process joins as the same worker",
            rows=(str(fenced),),
            hint="give each worker a rank of its own",
        )

    def leave(self) -> None:
        """Go: the others wait for this worker no more. Nothing may be under way."""
        self._stop_pulse()
        what = f"leave of worker {self.worker}"
        self._each(lambda server: self._call(server, "leave", what, incarnation=self.incarnation))

    def close(self) -> None:
        """Break off what is under way, and let go of the connections."""
        self._stop_pulse()
        for server in self._servers:
            server.close()
        for lane in (*self._pushing, *self._pulling, self._meeting):
            lane.close()

    # ---- steps -----------------------------------------------------------------------------------

    def push(
        self,
        step: int,
        *,
        samples: int,
        dense: Mapping[str, Array] | None = None,
        rows: Mapping[str, Rows] | None = None,
        part: Part | None = None,
    ) -> Ticket[int]:
        """Send the slopes of a step.

        Args:
            step: Which, from 1: one more than the last.
            samples: How many samples the slopes are the mean over; 0 where there are none.
            dense: The slope of every variable, whole, by name. The arrays must stay as they are
                until the ticket is done.
            rows: Slopes of rows of tables: ids, (n,) int, and (n, features). What comes twice
                is added up.
            part: The epoch and the batch that they are of, each from 0; that batch counts once.

        Returns:
            What gives the version that has them, once no crash can lose them.

        Raises:
            FeedError: They do not fit the model.
        """
        self._check_dense(dense or {})
        merged = {name: merge_rows(*pair) for name, pair in self._known(rows or {}).items()}
        what = f"push of worker {self.worker}, step {step}"
        owners = {name: self._row_map.servers_of(ids) for name, (ids, _) in merged.items()}
        parts = []
        for server, blocks, lane in zip(self._servers, self._blocks, self._pushing, strict=True):
            arrays = {
                f"dense/{block.name}": block.of(dense[block.name])
                for block in blocks
                if dense and block.stop > block.start
            }
            for name, (ids, slopes) in merged.items():
                mine = slice(None) if len(self._servers) == 1 else owners[name] == server.shard
                arrays |= {f"ids/{name}": ids[mine], f"rows/{name}": slopes[mine]}
            fields: dict[str, Any] = {"step": step, "samples": samples, "part": part}
            fields["incarnation"] = self.incarnation
            message = self._message(server, "push", fields, arrays)
            parts.append(lane.begin(self._later(server, message, what)))
        return Ticket(what, parts, lambda answers: min(x.whole("version") for x in answers))

    def pull(self, step: int, *, ids: Mapping[str, Array] | None = None) -> Ticket[Weights]:
        """Ask for the weights, after `step` steps of this worker.

        The whole arrays are put together from all servers, in memory that is used again: those
        of one pull are valid until the second pull after it.

        Args:
            step: The last step that this worker has done.
            ids: Rows of tables that are wanted too, by table: (n,) int; each is sent once.

        Returns:
            What gives the weights: `dense` by name, and `rows` by table, (n, features); the
            place and the live workers are those that server 0 knows.

        Raises:
            FeedError: There is no such table.
        """
        what = f"pull of worker {self.worker}, step {step}"
        whole = next(self._whole)
        unique = {
            name: np.unique(np.asarray(x, np.int64), return_inverse=True)
            for name, x in self._known(ids or {}).items()
        }
        owners = {name: self._row_map.servers_of(x) for name, (x, _) in unique.items()}
        parts = []
        for server, blocks, lane in zip(self._servers, self._blocks, self._pulling, strict=True):
            wanted = {
                f"ids/{name}": x[owners[name] == server.shard] for name, (x, _) in unique.items()
            }
            fields = {"step": step, "incarnation": self.incarnation}
            message = self._message(server, "pull", fields, wanted)
            parts.append(lane.begin(self._later(server, message, what, _placer(blocks, whole))))

        def finish(answers: list[Message]) -> Weights:
            rows = {}
            for name, (x, inverse) in unique.items():
                spec = self._tables[name]
                found = np.empty((len(x), spec.features), spec.dtype)
                for shard, answer in enumerate(answers):
                    found[owners[name] == shard] = answer.arrays[f"rows/{name}"]
                rows[name] = found[inverse]
            first = answers[0].fields
            return Weights(
                min(x.whole("version") for x in answers),
                whole,
                rows,
                Place.from_json(first["place"]),
                first["live"],
            )

        return Ticket(what, parts, finish)

    def gather(
        self, key: str, said: Mapping[str, Any], arrays: Mapping[str, Array] | None = None
    ) -> Ticket[dict[int, Message]]:
        """Meet all live workers: each gets what all of them said under the same key.

        Args:
            key: What it is about: "epoch 3". A key is used once.
            said: What JSON can hold.
            arrays: Arrays by name.

        Returns:
            What gives a message of each worker, by rank: `fields` is what it said.
        """
        what = f"meeting of worker {self.worker}, {key!r}"
        server = self._servers[0]
        fields = {"key": key, "said": dict(said), "incarnation": self.incarnation}
        message = self._message(server, "gather", fields, arrays)
        part = self._meeting.begin(self._later(server, message, what))
        return Ticket(what, [part], lambda answers: unpack_gathered(answers[0]))

    def status(self) -> list[Mapping[str, Any]]:
        """What each server says of itself: its mode, its staleness, and what it counts."""
        what = f"status for worker {self.worker}"
        return [x.fields for x in self._each(lambda server: self._call(server, "status", what))]

    # ---- checkpoints -----------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Array], Place]:
        """Weights and optimizer state of the whole cluster, by name, and the place in the data.

        Rows of tables stand under "table/NAME/": `ids`, ascending, and a column for the rows and
        for each of the optimizer's arrays. Between two steps it is that of one moment. `setup`
        of another job takes it.

        Raises:
            ServerLost: A server did not answer in time.
        """
        what = f"state for worker {self.worker}"
        states = self._each(lambda server: self._call(server, "state", what))
        return merge_states(self.model, states), Place.from_json(states[0].fields["places"][-1])

    # ---- internals -------------------------------------------------------------------------------

    def _set_up(self, server: Connection, values: Mapping[str, Array] | None, place: Place) -> None:
        what = f"setup by worker {self.worker}"
        fields = {"model": self.model.to_json()}
        ends = time.monotonic() + self._limit
        while self._call(server, "setup", what, **fields, values=False).fields.get("needed"):
            if values is not None:
                part = split_state(
                    self.model, values, shard=server.shard, shards=len(self._servers)
                )
                arrays = {f"values/{name}": x for name, x in part.items()}
                given = {**fields, "values": True, "place": place.to_json()}
                message = self._message(server, "setup", given, arrays)
                server.call(message, what=what, limit=self._limit)
                return
            if time.monotonic() > ends:
                raise ServerLost(
                    f"{what}: no worker gave values to {server} in {self._limit:.1f} s",
                    hint="one worker, usually rank 0, must call setup with values",
                )
            time.sleep(SETUP_POLL)

    def _each(self, call: Callable[[Connection], T]) -> list[T]:
        """Do the same with all servers, at the same time."""
        with ThreadPoolExecutor(len(self._servers)) as pool:
            return list(pool.map(call, self._servers))

    def _call(self, server: Connection, kind: str, what: str, **fields: Any) -> Message:
        message = self._message(server, kind, fields)
        return server.call(message, what=what, limit=self._limit)

    def _later(
        self, server: Connection, message: Message, what: str, place: Any = None
    ) -> Callable[[], Message]:
        options = {} if place is None else {"place": place}
        return lambda: server.call(message, what=what, limit=self._limit, **options)

    def _message(
        self,
        server: Connection,
        kind: str,
        fields: Mapping[str, Any],
        arrays: Mapping[str, Array] | None = None,
    ) -> Message:
        about = {
            "job": self.model.job,
            "shard": server.shard,
            "shards": len(self._servers),
            "worker": self.worker,
            "map": self._row_map.version,
        }
        return Message(kind, {**about, **fields}, arrays or {})

    def _beat(self) -> None:
        for server in self._servers:
            message = self._message(server, "heartbeat", {"incarnation": self.incarnation})
            # gRPC breaks a call off when nobody holds it any more.
            self._beats.append(server.tell(message, timeout=BEATS_HELD * self._heartbeat))

    def _stop_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None

    def _new_whole(self) -> dict[str, Array]:
        return {name: np.empty(shape, dtype) for name, shape, dtype in self.model.variables}

    def _known(self, tables: Mapping[str, T]) -> Mapping[str, T]:
        if unknown := [name for name in tables if name not in self._tables]:
            raise FeedError(
                f"no table {unknown[0]!r}", hint=f"there are: {', '.join(self._tables)}"
            )
        return tables

    def _check_dense(self, dense: Mapping[str, Array]) -> None:
        expected = {name: (shape, dtype) for name, shape, dtype in self.model.variables}
        problems = [f"unexpected  {name}" for name in dense if name not in expected]
        if dense:
            problems += [f"missing     {name}" for name in expected if name not in dense]
        problems += [
            f"mismatched  {name}: {expected[name][0]} {expected[name][1]} in the model, "
            f"{x.shape} {x.dtype} came"
            for name, x in dense.items()
            if name in expected and expected[name] != (x.shape, x.dtype.name)
        ]
        if problems:
            raise FeedError(
                f"push of worker {self.worker}: {len(problems)} entries do not fit the model",
                rows=tuple(problems),
                hint="give the slope of every variable of the model",
            )


def merge_rows(ids: Array, slopes: Array) -> Rows:
    """Each id once, ascending; the slopes of equal ids added up in their order.

    >>> from matrixslow.dist.client import merge_rows
    >>> merge_rows(np.array([7, 2, 7]), np.array([[1.0], [2.0], [3.0]]))
    (array([2, 7]), array([[2.],
           [4.]]))
    """
    found, inverse = np.unique(np.asarray(ids, np.int64), return_inverse=True)
    merged = np.zeros((len(found), *slopes.shape[1:]), slopes.dtype)
    np.add.at(merged, inverse, slopes)
    return found, merged


def _placer(
    blocks: Sequence[Block], whole: Mapping[str, Array]
) -> Callable[[Layout], Mapping[str, Array]]:
    """Where a server's answer is written to: its blocks go straight to their places."""
    places = {f"dense/{block.name}": block.of(whole[block.name]) for block in blocks}

    def place(layout: Layout) -> Mapping[str, Array]:
        return {
            name: places[name] if name in places else np.empty(shape, dtype)
            for name, dtype, shape, _ in layout.specs
        }

    return place
