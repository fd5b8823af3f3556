"""Options: how the store of one server behaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from matrixslow.errors import ArgumentError

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

    @property
    def identity(self) -> dict[str, Any]:
        """What a server must be started with again, as it is kept with its state."""
        return {"shard": self.shard, "shards": self.shards, "mode": self.mode}

    def check_identity(self, kept: Mapping[str, Any]) -> None:
        """Refuse the state of another server.

        Raises:
            ArgumentError: It was kept under other options.
        """
        mine = self.identity
        rows = [f"{key}  {kept[key]} kept, {mine[key]} asked for" for key in mine]
        if kept != mine:
            raise ArgumentError(
                "the state that was kept is of another server",
                rows=tuple(rows),
                hint="start it with the options it had, or with another --state-dir",
            )
