"""Members: which workers there are, which of them live, and how far each one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from matrixslow.errors import Fenced, WorkerLost


@dataclass(slots=True)
class Member:
    """A worker, as a server knows it.

    Attributes:
        worker: Its rank.
        incarnation: Counts how often it has joined; only the newest is listened to.
        step: The last step of it that was applied.
        live: Whether it is in; not after it left, or was given up.
    """

    worker: int
    incarnation: int
    step: int
    live: bool = True

    def to_json(self) -> dict[str, Any]:
        """As a mapping that JSON can hold."""
        return asdict(self)


class Members:
    """The workers of a job.

    Args:
        clock: Seconds that never go back.

    Attributes:
        by_rank: Every worker that was ever seen.
        formed: Whether all workers have been in together, so that the barrier may shrink.
        evictions: How many were given up.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[int, float] = {}
        self.by_rank: dict[int, Member] = {}
        self.formed = False
        self.lost: WorkerLost | None = None
        """The worker that was given up last, as an error to raise."""
        self.evictions = 0

    @property
    def live(self) -> list[int]:
        """The ranks of those that are in, ascending."""
        return sorted(member.worker for member in self.by_rank.values() if member.live)

    @property
    def slowest(self) -> int:
        """The last step of the slowest live worker; 0 where there is none."""
        return min((self.by_rank[rank].step for rank in self.live), default=0)

    @property
    def fastest(self) -> int:
        """The last step of the fastest live worker; 0 where there is none."""
        return max((self.by_rank[rank].step for rank in self.live), default=0)

    def admit(self, worker: int, incarnation: int) -> Member:
        """The member, which is alive, since it speaks.

        Raises:
            Fenced: It is not in, or another incarnation is.
        """
        member = self.by_rank.get(worker)
        if member is None or not member.live or member.incarnation != incarnation:
            now = "it is not in" if member is None or not member.live else (
                f"incarnation {member.incarnation} is in"
            )  # fmt: skip
            raise Fenced(
                f"worker {worker}, incarnation {incarnation}: {now}",
                hint="join again; what was not acknowledged was not applied",
            )
        self._seen[worker] = self._clock()
        return member

    def put(self, member: Member, *, workers: int) -> None:
        """Take a new state of a member."""
        self.by_rank[member.worker] = member
        self._seen[member.worker] = self._clock()
        live = len(self.live)
        # When all have left, the next run waits for all of its workers again.
        self.formed = live > 0 and (self.formed or live >= workers)

    def silent(self, limit: float) -> list[int]:
        """The ranks of the live workers that were not heard of for longer than that."""
        now = self._clock()
        return [rank for rank in self.live if now - self._seen[rank] > limit]

    def give_up(self, worker: int) -> None:
        """Note that a worker was given up, for the error that names it."""
        member = self.by_rank[worker]
        self.evictions += 1
        self.lost = WorkerLost(
            f"worker {worker}, last seen {self._clock() - self._seen[worker]:.1f} s ago, "
            f"step {member.step}",
            hint="start it again; the others go on by themselves once enough are in",
        )

    def are_few(self, least: int) -> bool:
        """Whether fewer than that are left, since some were given up."""
        return self.lost is not None and len(self.live) < least

    def check_enough(self, least: int) -> None:
        """Refuse to go on with too few.

        Raises:
            WorkerLost: Fewer than that are left; it names the one that was given up last.
        """
        if self.lost is not None and self.are_few(least):
            raise WorkerLost(self.lost.rule, hint=self.lost.hint)

    def check_reader(self, worker: int, incarnation: int) -> None:
        """Refuse a worker that was given up, without taking note that it lives.

        Raises:
            Fenced: It is not in.
        """
        member = self.by_rank[worker]
        if not member.live or member.incarnation != incarnation:
            raise Fenced(f"worker {worker}, incarnation {incarnation}: it is not in")

    def listen_again(self) -> None:
        """Count from now on, after a pause in which nobody could be heard."""
        for rank in self.live:
            self._seen[rank] = self._clock()
