"""Store: what one server holds, and its rules. No sockets, no files, no threads.

Nothing changes but by records: `commit` hands those that are due to the journal, and applies them
only when it has them for certain. So the records, applied in their order to an empty store, give
the same store again, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.dense import DenseBlocks
from matrixslow.dist.gathering import Gathered, Gathering
from matrixslow.dist.members import Member, Members
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model, model_of
from matrixslow.dist.place import Part, Place
from matrixslow.dist.rounds import Push, Rows, check_push, total_rows
from matrixslow.dist.rows import RowTable
from matrixslow.dist.sharding import RowMap
from matrixslow.errors import (
    ArgumentError,
    Busy,
    ClusterError,
    FeedError,
    Fenced,
    MatrixSlowError,
    WorkerLost,
)

Array = NDArray[Any]
Journal = Callable[[Sequence[Message]], None]
"""Keeps records for certain, or raises OSError and keeps none of them."""

Mode = Literal["sync", "ssp", "async"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a store behaves.

    Args:
        shard: Which of the servers it is, from 0.
        shards: How many servers there are.
        mode: "sync": a step is taken when every live worker's push is in. "async": with every
            push. "ssp": so too, but no worker runs far ahead of the slowest.
        staleness: How many steps a worker may be ahead, in mode "ssp".
        min_workers: With fewer live workers the rest is told so, and waits no longer.
        evict_after: After so many seconds of silence a worker is given up.
        nonfinite: Whether a push with NaN or infinity is refused, or counted and left out.
    """

    shard: int = 0
    shards: int = 1
    mode: Mode = "sync"
    staleness: int = 0
    min_workers: int = 1
    evict_after: float = 10.0
    nonfinite: Literal["refuse", "count"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.mode not in get_args(Mode):
            raise ArgumentError(f"mode={self.mode!r}", hint="give sync, ssp or async")
        if not 0 <= self.shard < self.shards:
            raise ArgumentError(
                f"shard {self.shard} of {self.shards}", hint="count the servers from 0"
            )
        if self.staleness < 0 or self.min_workers < 1 or self.evict_after <= 0:
            raise ArgumentError(
                f"staleness={self.staleness}, min_workers={self.min_workers}, "
                f"evict_after={self.evict_after}",
                hint="give staleness >= 0, min_workers >= 1 and evict_after > 0",
            )


@dataclass(slots=True)
class Counters:
    """What happened since the process began."""

    pushes: int = 0
    duplicates: int = 0
    fenced: int = 0
    nonfinite: int = 0
    failed_commits: int = 0


@dataclass(frozen=True, slots=True)
class Weights:
    """What a pull gives: the weights of one version, and rows of tables.

    Attributes:
        place: How far the job is in its data, at this version.
        live: The ranks of the workers that are in.
    """

    version: int
    dense: Mapping[str, Array]
    rows: Mapping[str, Array] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    live: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A pull that cannot be answered yet."""

    worker: int
    incarnation: int
    step: int
    ids: Mapping[str, Array]
    future: Future[Weights]


@dataclass(frozen=True, slots=True)
class _Due:
    """A record that waits for the journal, and who waits for it."""

    record: Message
    futures: Sequence[Future[int]]


class Store:
    """The state of one server, and its rules.

    Calls that must wait give a Future, which is done after some later `commit`.

    Args:
        journal: Keeps the records.
        options: How it behaves.
        clock: Seconds that never go back.

    Attributes:
        version: Counts the steps that were applied.
        sequence: Counts the records that were applied.
        place: How far the job is in its data.
    """

    def __init__(
        self,
        journal: Journal,
        options: Options,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self.members = Members(clock)
        self.counters = Counters()
        self.model: Model | None = None
        self.version = self.sequence = 0
        self.place = Place()
        self.row_map = RowMap.even(options.shards)
        self._journal = journal
        self._due: list[_Due] = []
        self._gathering = Gathering()
        self._promised: dict[int, int] = {}
        self._round: dict[int, tuple[Push, Future[int]]] = {}
        self._in_flight: dict[int, tuple[int, Future[int]]] = {}
        self._waiting: list[_Waiting] = []
        self._changed = False
        self._published: list[Weights] = []
        self._dense = DenseBlocks([], {})
        self._tables: dict[str, RowTable] = {}

    # ---- what workers ask for --------------------------------------------------------------------

    def setup(
        self, model: Model, values: Mapping[str, Array] | None, *, place: Place | None = None
    ) -> Future[int] | None:
        """Agree on the model; the first to come gives the values of the variables.

        Args:
            model: What the worker trains.
            values: This server's blocks of the variables, and as far as wanted of the optimizer's
                state and of tables; None to ask whether they are needed.
            place: How far the job is in its data; by default at its beginning.

        Returns:
            None where the values are needed; else what is done when the model is there.

        Raises:
            ClusterError: The server serves another model.
        """
        if self.model is not None:
            self.model.compare(model)
            return _done(self.version)
        if any(due.record.kind == "create" for due in self._due):
            raise Busy("another worker is setting the model up", hint="try again later")
        if values is None:
            return None
        _check_values(self._empty(model), model, values)
        fields = {
            "model": model.to_json(),
            "options": self._identity(),
            "place": (place or Place()).to_json(),
        }
        return self._enter(Message("create", fields, values))

    def join(self, worker: int, incarnation: int | None = None) -> Future[int]:
        """Let a worker in: a new one, or a new incarnation of one, which fences the older.

        Args:
            worker: Its rank.
            incarnation: What another server of the job gave it; by default the next number.

        Returns:
            What gives the incarnation, once it is kept.

        Raises:
            Fenced: A newer incarnation is in.
            ClusterError: There is no model yet.
        """
        workers = self._known().workers
        if not 0 <= worker < 1 << 20:
            raise ArgumentError(f"worker {worker} of {workers}", hint="count the ranks from 0")
        known = self.members.by_rank.get(worker)
        newest = max(known.incarnation if known else 0, self._promised.get(worker, 0))
        if incarnation is not None and incarnation < newest:
            raise Fenced(
                f"worker {worker}, incarnation {incarnation}: incarnation {newest} is in",
                hint="join again",
            )
        member = Member(worker, incarnation or newest + 1, self._first_step(known))
        self._promised[worker] = member.incarnation
        answer: Future[int] = Future()
        self._enter(_membership(member)).add_done_callback(
            lambda kept: _settle(answer, kept.exception() or member.incarnation)
        )
        return answer

    def resume_step(self, worker: int, incarnation: int) -> int:
        """The step after which a worker that joined goes on."""
        member = self._admit(worker, incarnation)
        return self.version if self.options.mode == "sync" else member.step

    def heartbeat(self, worker: int, incarnation: int) -> int:
        """Note that a worker lives; gives its last step that was applied."""
        return self._admit(worker, incarnation).step

    def leave(self, worker: int, incarnation: int) -> Future[int]:
        """Let a worker go."""
        member = self._admit(worker, incarnation)
        return self._enter(_membership(Member(worker, incarnation, member.step, live=False)))

    def push(self, push: Push) -> Future[int]:
        """Take the slopes of one worker's step.

        The same step again gets the same answer, and is not applied again.

        Returns:
            What gives the version that has them, once it is kept.

        Raises:
            Fenced: The worker is not in.
            Busy: An earlier step of it is not done yet.
            ArgumentError: It is not the step that comes next.
            FeedError: The slopes do not fit the model.
            NonFiniteError: There is a NaN or infinity among them.
            WorkerLost: Too few workers are left.
        """
        member = self._admit(push.worker, push.incarnation)
        self.counters.pushes += 1
        last = self.version if self.options.mode == "sync" else member.step
        if push.step <= last:
            self.counters.duplicates += 1
            return _done(self.version)
        if push.worker in self._in_flight:
            step, future = self._in_flight[push.worker]
            if step == push.step:
                self.counters.duplicates += 1
                return future
            raise Busy(f"worker {push.worker}: step {step} is not done yet", hint="try again later")
        if push.step != last + 1:
            raise ArgumentError(
                f"worker {push.worker}: step {push.step} came, step {last + 1} comes next",
                hint="join again, and go on with the step that the answer names",
            )
        self._check_quorum()
        finite = check_push(
            push, self._dense.blocks, self._tables, refuse=self.options.nonfinite == "refuse"
        )
        if not finite:
            self.counters.nonfinite += 1
            push = push.without_slopes()
        if self.options.mode != "sync":
            if push.part is not None and self._has(push.part):
                push = push.without_slopes()
            future = self._enter(_step_record(self.version, [push], push.dense, push.rows))
        else:
            future = Future()
            self._round[push.worker] = (push, future)
        self._in_flight[push.worker] = (push.step, future)
        return future

    def pull(
        self, worker: int, incarnation: int, step: int, ids: Mapping[str, Array] | None = None
    ) -> Future[Weights]:
        """Read the weights, after `step` steps of this worker.

        In mode "sync" they are those of version `step`; one version back can be had too where
        there are several servers, since one may be a step ahead of another. In mode "ssp" the
        answer waits until the slowest live worker is at `step - staleness`.

        Args:
            worker: Its rank.
            incarnation: Its incarnation.
            step: How many steps it has done.
            ids: Rows of tables that are wanted too, by table.

        Raises:
            Fenced: The worker is not in.
            ArgumentError: There is no such table, or the version is gone.
            WorkerLost: Too few workers are left.
        """
        self._admit(worker, incarnation)
        for name in ids or ():
            if name not in self._tables:
                raise ArgumentError(
                    f"pull: no table {name!r}", hint=f"there are: {', '.join(self._tables)}"
                )
        if self.options.mode == "sync" and step < self.version - 1:
            raise ArgumentError(
                f"pull: version {step} is gone, {self.version} is here", hint="join again"
            )
        self._check_quorum()
        future: Future[Weights] = Future()
        pull = _Waiting(worker, incarnation, step, ids or {}, future)
        if not self._is_answered(pull):
            self._waiting.append(pull)
        return future

    def withdraw(self, future: Future[Weights]) -> None:
        """Forget a pull that nobody waits for any more."""
        future.cancel()
        self._changed = True

    def gather(self, worker: int, incarnation: int, key: str, message: Message) -> Future[Gathered]:
        """Give all live workers what each of them sent under a key, once all have.

        Args:
            worker: Its rank.
            incarnation: Its incarnation.
            key: What it is about: "epoch 3". A key is used once.
            message: What this worker has to say.

        Raises:
            Fenced: The worker is not in.
            WorkerLost: Too few workers are left.
        """
        self._admit(worker, incarnation)
        self._changed = True  # who waits at a meeting is waited for no more
        self._check_quorum()
        return self._gathering.add(key, worker, message)

    # ---- what the owner calls --------------------------------------------------------------------

    def tick(self) -> None:
        """Give up the workers that were silent for too long."""
        for rank in self.members.silent(self.options.evict_after):
            member = self.members.by_rank[rank]
            self.members.give_up(rank)
            gone = Member(rank, member.incarnation, member.step, live=False)
            self._enter(_membership(gone, evicted=True))

    def commit(self) -> None:
        """Keep and apply all that is due, and answer those who wait for it.

        Where the journal cannot keep it, nothing is applied and everybody is told to try again.
        """
        self._close_round()
        self._close_meetings()
        while self._due:
            due, self._due = self._due, []
            try:
                self._journal([x.record for x in due])
            except OSError as error:
                self.counters.failed_commits += 1
                for x in due:
                    self._answer(x, Busy(f"the log cannot be written: {error}", hint="free space"))
                return
            for x in due:
                self.apply(x.record)
                self._answer(x, self.version)
            self._close_round()
            self._close_meetings()
        if self._changed:
            self._changed = False
            self._waiting = [pull for pull in self._waiting if not self._is_answered(pull)]

    def apply(self, record: Message) -> None:
        """Do what a record says: the only way in which anything changes."""
        self.sequence += 1
        self._changed = True
        match record.kind:
            case "create":
                self._check_identity(record.fields["options"])
                self.model = model_of(record)
                self.place = Place.from_json(record.fields["place"])
                self._dense = self._empty(self.model)
                self._dense.load(record.arrays)
                self._load_tables(self.model, record)
                self._publish()
            case "member":
                self._apply_member(Member(**record.fields["member"]))
            case "step":
                self._apply_step(record)
            case "gathered":
                self._gathering.apply(record)

    def state(self) -> Message:
        """A copy of all that the records did, as a message from which `load` makes it again."""
        arrays = {f"dense/{name}": x for name, x in self._dense.state_arrays().items()}
        for name, table in self._tables.items():
            arrays |= {f"table/{name}/{key}": x for key, x in table.state_arrays().items()}
        if len(self._published) > 1:
            arrays |= {f"before/{name}": x for name, x in self._published[0].dense.items()}
        meetings = self._gathering.state()
        arrays |= {f"meeting/{name}": x for name, x in meetings.arrays.items()}
        fields = {
            "meetings": meetings.fields,
            "model": None if self.model is None else self.model.to_json(),
            "options": self._identity(),
            "version": self.version,
            "places": [x.place.to_json() for x in self._published[:-1]] + [self.place.to_json()],
            "sequence": self.sequence,
            "formed": self.members.formed,
            "members": [_json(member) for member in self.members.by_rank.values()],
        }
        return Message("state", fields, arrays)

    def load(self, state: Message) -> None:
        """Take back what `state` gave."""
        self._check_identity(state.fields["options"])
        self.version, self.sequence = state.whole("version"), state.whole("sequence")
        places = [Place.from_json(x) for x in state.fields["places"]]
        self.place = places[-1]
        if state.fields["model"] is None:
            return
        self.model = model_of(state)
        self._dense = self._empty(self.model)
        self._dense.load(state.under("dense/"))
        self._load_tables(self.model, state)
        for fields in state.fields["members"]:
            self.members.put(Member(**fields), workers=self.model.workers)
        self.members.formed = state.fields["formed"]
        meetings = Message("meetings", state.fields["meetings"], state.under("meeting/"))
        self._gathering.load(meetings)
        if before := state.under("before/"):
            self._published = [Weights(self.version - 1, before, place=places[0])]
        self._publish()

    @property
    def optimizer_state(self) -> tuple[Mapping[str, Array], Sequence[str]]:
        """A copy of weights and optimizer state by name, in the order of the update pairs."""
        arrays = self._dense.state_arrays()
        return arrays, list(arrays)

    @property
    def lag(self) -> int:
        """How many steps the slowest live worker is behind the fastest."""
        return self.members.fastest - self.members.slowest

    @property
    def late(self) -> list[int]:
        """The ranks of those for whom others wait."""
        live = self.members.live
        if self.model is not None and not self.members.formed:
            return [rank for rank in range(self.model.workers) if rank not in live]
        if self._round:
            return [rank for rank in live if rank not in self._round]
        if self._waiting and self.options.mode == "ssp":
            return [rank for rank in live if self.members.by_rank[rank].step == self._slowest()]
        return []

    @property
    def rows(self) -> int:
        """How many rows of tables are kept."""
        return sum(map(len, self._tables.values()))

    # ---- internals -------------------------------------------------------------------------------

    def _enter(self, record: Message) -> Future[int]:
        future: Future[int] = Future()
        self._due.append(_Due(record, [future]))
        return future

    def _answer(self, due: _Due, outcome: int | MatrixSlowError) -> None:
        for future in due.futures:
            _settle(future, outcome)
        self._in_flight = {
            rank: entry for rank, entry in self._in_flight.items() if not entry[1].done()
        }

    def _close_round(self) -> None:
        """In mode "sync": make a record of the round once every live worker's push is in."""
        live = self.members.live
        if self._quorum_is_lost():
            self._abandon()
        if not live or not self.members.formed or any(rank not in self._round for rank in live):
            return
        pushes = [self._round[rank][0] for rank in sorted(self._round)]
        futures = [self._round[rank][1] for rank in sorted(self._round)]
        self._round = {}
        pushes = self._each_part_once(pushes)
        record = _step_record(self.version, pushes, *self._mean(pushes, alone=len(live) == 1))
        self._due.append(_Due(record, futures))

    def _mean(
        self, pushes: Sequence[Push], *, alone: bool
    ) -> tuple[Mapping[str, Array], Mapping[str, Rows]]:
        """The mean slopes over the samples of all pushes, which stand by rank."""
        counted = [push for push in pushes if push.samples]
        if not counted:
            return {}, {}
        if alone or not self._dense.blocks:
            dense = counted[0].dense
        else:
            dense = self._dense.mean([(push.samples, push.dense) for push in counted])
        return dense, total_rows(counted, alone=alone)

    def _close_meetings(self) -> None:
        """Make a record of each meeting to which every live worker has come."""
        if self.members.formed:
            for record in self._gathering.complete(self.members.live):
                self._enter(record)

    def _has(self, part: Part) -> bool:
        """Whether a batch is done, or is in a record that waits for the journal."""
        waiting = (due.record.fields.get("parts", ()) for due in self._due)
        return self.place.has(part) or any(list(part) in parts for parts in waiting)

    def _each_part_once(self, pushes: Sequence[Push]) -> list[Push]:
        """The pushes, without the slopes of a batch that is done, or that another one has too.

        That happens where workers did not see the same ones being there.
        """
        place, once = self.place, []
        for push in pushes:
            if push.part is not None and place.has(push.part):
                push = push.without_slopes()
            elif push.part is not None:
                place = place.after(push.part)
            once.append(push)
        return once

    def _load_tables(self, model: Model, message: Message) -> None:
        self._tables = {spec.name: RowTable(spec, model.optimizer) for spec in model.tables}
        for name, table in self._tables.items():
            if state := message.under(f"table/{name}/"):
                table.load(state)

    def _apply_step(self, record: Message) -> None:
        dense = record.under("dense/")
        if dense:
            self._dense.step(dense)
        for name, table in self._tables.items():
            # A step without rows is one too: what was before it is what is there now.
            ids = record.arrays.get(f"ids/{name}", np.empty(0, np.int64))
            table.step(ids, record.arrays.get(f"rows/{name}", np.empty((0, table.spec.features))))
        for worker, step in record.fields["pushes"]:
            self.members.by_rank[worker].step = step
        for epoch, batch in record.fields["parts"]:
            self.place = self.place.after((epoch, batch))
        self.version = record.fields["version"]
        self._publish()

    def _apply_member(self, member: Member) -> None:
        known = self.members.by_rank.get(member.worker)
        if known is not None:  # a step of it may have been applied since the record was made
            member.step = max(member.step, known.step)
        self.members.put(member, workers=self._known().workers)
        # What an older incarnation began and did not end, the new one begins again.
        if member.worker in self._round:
            _, future = self._round.pop(member.worker)
            self._in_flight.pop(member.worker, None)
            self.counters.fenced += 1
            _settle(future, Fenced(f"worker {member.worker}: a newer incarnation joined"))

    def _is_answered(self, pull: _Waiting) -> bool:
        """Answer a pull, unless it must wait."""
        if pull.future.done():
            return True
        try:
            self._check_reader(pull.worker, pull.incarnation)
            weights = self._weights_for(pull.step)
        except MatrixSlowError as error:
            _settle(pull.future, error)
            return True
        if weights is None:
            return False
        before = self.options.mode == "sync" and weights.version < self.version
        rows = {name: self._tables[name].read(ids, before=before) for name, ids in pull.ids.items()}
        _settle(pull.future, replace(weights, rows=rows, live=self.members.live))
        return True

    def _check_reader(self, worker: int, incarnation: int) -> None:
        """Refuse a pull whose worker was given up while it waited, or that waits for nobody."""
        member = self.members.by_rank[worker]
        if not member.live or member.incarnation != incarnation:
            raise Fenced(f"worker {worker}, incarnation {incarnation}: it is not in")
        self._check_quorum()

    def _weights_for(self, step: int) -> Weights | None:
        """The weights for a worker that has done so many steps, or None where it must wait."""
        mode = self.options.mode
        if mode == "sync":
            for weights in self._published:
                if weights.version == step:
                    return weights
            if step < self.version:
                raise ArgumentError(f"pull: version {step} is gone", hint="join again")
            return None
        if mode == "ssp" and self._slowest() < step - self.options.staleness:
            return None
        if not self._published:
            self._publish(now=True)
        return self._published[-1]

    def _slowest(self) -> int:
        """The last step of the slowest live worker, but for those who wait for all at a meeting."""
        if not self.members.formed:
            return 0
        meeting = self._gathering.waiting
        busy = [rank for rank in self.members.live if rank not in meeting]
        return min((self.members.by_rank[rank].step for rank in busy), default=self.members.fastest)

    def _publish(self, *, now: bool = False) -> None:
        """Copy the weights, so that they can be read while the next step is applied.

        The version before is kept where another server may still be there.
        """
        if self.options.mode != "sync" and not now:
            self._published = []  # copied when somebody asks
            return
        kept = self._published[-1:] if self.options.shards > 1 and not now else []
        now_here = Weights(self.version, self._dense.weights(), place=self.place)
        self._published = [*kept, now_here]

    def _empty(self, model: Model) -> DenseBlocks:
        blocks = model.blocks(self.options.shard, self.options.shards)
        return DenseBlocks(blocks, model.optimizer)

    def _first_step(self, known: Member | None) -> int:
        """The step after which a worker that joins goes on."""
        if self.options.mode == "sync":
            return self.version
        if known is None:
            return self.members.slowest if self.members.formed else 0
        if self.options.mode == "ssp" and not known.live:
            return max(known.step, self.members.slowest)
        return known.step

    def _admit(self, worker: int, incarnation: int) -> Member:
        try:
            return self.members.admit(worker, incarnation)
        except Fenced:
            self.counters.fenced += 1
            raise

    def _known(self) -> Model:
        if self.model is None:
            raise ClusterError("this server has no model yet", hint="call setup first")
        return self.model

    def _quorum_is_lost(self) -> bool:
        members = self.members
        return members.lost is not None and len(members.live) < self.options.min_workers

    def _check_quorum(self) -> None:
        if self._quorum_is_lost() and self.members.lost is not None:
            raise WorkerLost(self.members.lost.rule, hint=self.members.lost.hint)

    def _abandon(self) -> None:
        """Tell all that wait that too few workers are left."""
        assert self.members.lost is not None
        for _, future in self._round.values():
            _settle(future, self.members.lost)
        self._round = {}
        self._gathering.abandon(self.members.lost)
        self._in_flight = {k: x for k, x in self._in_flight.items() if not x[1].done()}

    def _identity(self) -> dict[str, Any]:
        options = self.options
        return {"shard": options.shard, "shards": options.shards, "mode": options.mode}

    def _check_identity(self, kept: Mapping[str, Any]) -> None:
        mine = self._identity()
        rows = [f"{key}  {kept[key]} kept, {mine[key]} asked for" for key in mine]
        if kept != mine:
            raise ArgumentError(
                "the state that was kept is of another server",
                rows=tuple(rows),
                hint="start it with the options it had, or with another --state-dir",
            )


def _check_values(dense: DenseBlocks, model: Model, values: Mapping[str, Array]) -> None:
    rows = [f"missing     {block.name}" for block in dense.blocks if block.name not in values]
    known = {variable.name for variable in dense.state} | {name for name, _, _ in model.variables}
    prefixes = tuple(f"table/{spec.name}/" for spec in model.tables)
    rows += [
        f"unexpected  {name}"
        for name in values
        if name not in known and not name.startswith(prefixes)
    ]
    if rows:
        raise FeedError(
            f"setup: {len(rows)} values do not fit the model",
            rows=tuple(rows),
            hint="give the values of all variables of the model, and of its optimizer alone",
        )
    dense.load(values)  # which refuses shapes and dtypes that do not fit
    for spec in model.tables:
        if state := Message("table", {}, values).under(f"table/{spec.name}/"):
            RowTable(spec, model.optimizer).check(state)


def _membership(member: Member, *, evicted: bool = False) -> Message:
    return Message("member", {"member": _json(member), "evicted": evicted})


def _json(member: Member) -> dict[str, Any]:
    return {
        "worker": member.worker,
        "incarnation": member.incarnation,
        "step": member.step,
        "live": member.live,
    }


def _step_record(
    version: int,
    pushes: Sequence[Push],
    dense: Mapping[str, Array],
    rows: Mapping[str, tuple[Array, Array]],
) -> Message:
    arrays = {f"dense/{name}": x for name, x in dense.items()}
    for name, (ids, slopes) in rows.items():
        arrays |= {f"ids/{name}": ids, f"rows/{name}": slopes}
    fields = {
        "version": version + 1,
        "pushes": [[push.worker, push.step] for push in pushes],
        "parts": [list(push.part) for push in pushes if push.part is not None],
    }
    return Message("step", fields, arrays)


def _done(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future


def _settle(future: Future[Any], outcome: object) -> None:
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
