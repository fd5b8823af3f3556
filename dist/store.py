"""Store: what one server holds, and its rules. No sockets, no files, no threads.

Nothing changes but by records: `commit` hands those that are due to the journal, and applies them
only when it has them for certain. So the records, applied in their order to an empty store, give
the same store again, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from matrixslow.dist.futures import done, settle
from matrixslow.dist.gathering import Gathered, Gathering
from matrixslow.dist.members import Member, Members
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model, model_of
from matrixslow.dist.options import Options
from matrixslow.dist.parameters import Parameters
from matrixslow.dist.place import Part, Place
from matrixslow.dist.pulls import Published, Pull, Weights
from matrixslow.dist.records import Due, Journal, member_record, step_record
from matrixslow.dist.rounds import Push, Round, check_push, each_part_once, mean_slopes
from matrixslow.dist.sharding import RowMap
from matrixslow.errors import ArgumentError, Busy, ClusterError, Fenced, MatrixSlowError

Array = NDArray[Any]


@dataclass(slots=True)
class Counters:
    """What happened since the process began."""

    pushes: int = 0
    duplicates: int = 0
    fenced: int = 0
    nonfinite: int = 0
    failed_commits: int = 0


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
        self._due: list[Due] = []
        self._gathering = Gathering()
        self._promised: dict[int, int] = {}
        self._round = Round()
        self._in_flight: dict[int, tuple[int, Future[int]]] = {}
        self._pulls: list[Pull] = []
        self._changed = False
        self._published = Published(2 if options.mode == "sync" and options.shards > 1 else 1)
        self._parameters = self._empty(None)

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
            return done(self.version)
        if any(due.record.kind == "create" for due in self._due):
            raise Busy("another worker is setting the model up", hint="try again later")
        if values is None:
            return None
        self._empty(model).check(values)
        fields = {
            "model": model.to_json(),
            "options": self.options.identity,
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
        self._enter(member_record(member)).add_done_callback(
            lambda kept: settle(answer, kept.exception() or member.incarnation)
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
        return self._enter(member_record(Member(worker, incarnation, member.step, live=False)))

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
            return done(self.version)
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
        self.members.check_enough(self.options.min_workers)
        finite = check_push(
            push,
            self._parameters.dense.blocks,
            self._parameters.tables,
            refuse=self.options.nonfinite == "refuse",
        )
        if not finite:
            self.counters.nonfinite += 1
            push = push.without_slopes()
        if self.options.mode != "sync":
            if push.part is not None and self._has(push.part):
                push = push.without_slopes()
            future = self._enter(step_record(self.version, [push], push.dense, push.rows))
        else:
            future = self._round.add(push)
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
            if name not in self._parameters.tables:
                names = ", ".join(self._parameters.tables)
                raise ArgumentError(f"pull: no table {name!r}", hint=f"there are: {names}")
        if self.options.mode == "sync" and step < self.version - 1:
            raise ArgumentError(
                f"pull: version {step} is gone, {self.version} is here", hint="join again"
            )
        self.members.check_enough(self.options.min_workers)
        pull = Pull(worker, incarnation, step, ids or {})
        if not self._is_answered(pull):
            self._pulls.append(pull)
        return pull.future

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
        self.members.check_enough(self.options.min_workers)
        return self._gathering.add(key, worker, message)

    # ---- what the owner calls --------------------------------------------------------------------

    def tick(self) -> None:
        """Give up the workers that were silent for too long."""
        for rank in self.members.silent(self.options.evict_after):
            member = self.members.by_rank[rank]
            self.members.give_up(rank)
            gone = Member(rank, member.incarnation, member.step, live=False)
            self._enter(member_record(gone, evicted=True))

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
            self._pulls = [pull for pull in self._pulls if not self._is_answered(pull)]

    def apply(self, record: Message) -> None:
        """Do what a record says: the only way in which anything changes."""
        self.sequence += 1
        self._changed = True
        match record.kind:
            case "create":
                self.options.check_identity(record.fields["options"])
                self.model = model_of(record)
                self.place = Place.from_json(record.fields["place"])
                self._parameters = self._empty(self.model)
                self._parameters.begin(record)
                self._publish()
            case "member":
                self._apply_member(Member(**record.fields["member"]))
            case "step":
                self._apply_step(record)
            case "gathered":
                self._gathering.apply(record)

    def state(self) -> Message:
        """A copy of all that the records did, as a message from which `load` makes it again."""
        arrays = self._parameters.state_arrays()
        before = self._published.before
        if before is not None:
            arrays |= {f"before/{name}": x for name, x in before.dense.items()}
        meetings = self._gathering.state()
        arrays |= {f"meeting/{name}": x for name, x in meetings.arrays.items()}
        fields = {
            "meetings": meetings.fields,
            "model": None if self.model is None else self.model.to_json(),
            "options": self.options.identity,
            "version": self.version,
            "places": [x.place.to_json() for x in (before, self) if x is not None],
            "sequence": self.sequence,
            "formed": self.members.formed,
            "members": [member.to_json() for member in self.members.by_rank.values()],
        }
        return Message("state", fields, arrays)

    def load(self, state: Message) -> None:
        """Take back what `state` gave."""
        self.options.check_identity(state.fields["options"])
        self.version, self.sequence = state.whole("version"), state.whole("sequence")
        places = [Place.from_json(x) for x in state.fields["places"]]
        self.place = places[-1]
        if state.fields["model"] is None:
            return
        self.model = model_of(state)
        self._parameters = self._empty(self.model)
        self._parameters.load(state)
        for fields in state.fields["members"]:
            self.members.put(Member(**fields), workers=self.model.workers)
        self.members.formed = state.fields["formed"]
        meetings = Message("meetings", state.fields["meetings"], state.under("meeting/"))
        self._gathering.load(meetings)
        if before := state.under("before/"):
            self._published.put(Weights(self.version - 1, before, place=places[0]))
        self._publish()

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
        if self._pulls and self.options.mode == "ssp":
            return [rank for rank in live if self.members.by_rank[rank].step == self._slowest()]
        return []

    @property
    def rows(self) -> int:
        """How many rows of tables are kept."""
        return self._parameters.rows

    # ---- internals -------------------------------------------------------------------------------

    def _enter(self, record: Message) -> Future[int]:
        future: Future[int] = Future()
        self._due.append(Due(record, [future]))
        return future

    def _answer(self, due: Due, outcome: int | MatrixSlowError) -> None:
        for future in due.futures:
            settle(future, outcome)
        self._in_flight = {
            rank: entry for rank, entry in self._in_flight.items() if not entry[1].done()
        }

    def _close_round(self) -> None:
        """In mode "sync": make a record of the round once every live worker's push is in."""
        live = self.members.live
        if self.members.are_few(self.options.min_workers):
            self._abandon()
        if not live or not self.members.formed or any(rank not in self._round for rank in live):
            return
        pushes, futures = self._round.close()
        pushes = each_part_once(pushes, self.place)
        slopes = mean_slopes(pushes, self._parameters.dense, alone=len(live) == 1)
        self._due.append(Due(step_record(self.version, pushes, *slopes), futures))

    def _close_meetings(self) -> None:
        """Make a record of each meeting to which every live worker has come."""
        if self.members.formed:
            for record in self._gathering.complete(self.members.live):
                self._enter(record)

    def _has(self, part: Part) -> bool:
        """Whether a batch is done, or is in a record that waits for the journal."""
        waiting = (due.record.fields.get("parts", ()) for due in self._due)
        return self.place.has(part) or any(list(part) in parts for parts in waiting)

    def _apply_step(self, record: Message) -> None:
        self._parameters.step(record)
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
            self._in_flight.pop(member.worker, None)
            self.counters.fenced += 1
            fenced = Fenced(f"worker {member.worker}: a newer incarnation joined")
            self._round.drop(member.worker, fenced)

    def _is_answered(self, pull: Pull) -> bool:
        """Answer a pull, unless it must wait."""
        if pull.future.done():
            return True
        try:
            self.members.check_reader(pull.worker, pull.incarnation)
            self.members.check_enough(self.options.min_workers)
            weights = self._weights_for(pull.step)
        except MatrixSlowError as error:
            settle(pull.future, error)
            return True
        if weights is None:
            return False
        before = self.options.mode == "sync" and weights.version < self.version
        tables = self._parameters.tables
        rows = {name: tables[name].read(ids, before=before) for name, ids in pull.ids.items()}
        settle(pull.future, replace(weights, rows=rows, live=self.members.live))
        return True

    def _weights_for(self, step: int) -> Weights | None:
        """The weights for a worker that has done so many steps, or None where it must wait."""
        if self.options.mode == "sync":
            return self._published.of(step)
        if self.options.mode == "ssp" and self._slowest() < step - self.options.staleness:
            return None
        if self._published.newest is None:
            self._published.put(self._weights())
        return self._published.newest

    def _slowest(self) -> int:
        """The last step of the slowest live worker, but for those who wait for all at a meeting."""
        if not self.members.formed:
            return 0
        meeting = self._gathering.waiting
        busy = [rank for rank in self.members.live if rank not in meeting]
        return min((self.members.by_rank[rank].step for rank in busy), default=self.members.fastest)

    def _publish(self) -> None:
        """Copy the weights for who reads, at once or when somebody asks."""
        if self.options.mode == "sync":
            self._published.put(self._weights())
        else:
            self._published.clear()

    def _weights(self) -> Weights:
        return Weights(self.version, self._parameters.dense.weights(), place=self.place)

    def _empty(self, model: Model | None) -> Parameters:
        return Parameters(model, self.options.shard, self.options.shards)

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

    def _abandon(self) -> None:
        """Tell all that wait that too few workers are left."""
        assert self.members.lost is not None
        self._round.abandon(self.members.lost)
        self._gathering.abandon(self.members.lost)
        self._in_flight = {k: x for k, x in self._in_flight.items() if not x[1].done()}
