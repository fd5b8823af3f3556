"""Records: what a store keeps of what happened, so that it can be done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from matrixslow.dist.members import Member
from matrixslow.dist.message import Message
from matrixslow.dist.rounds import Push, Rows

Array = NDArray[Any]
Journal = Callable[[Sequence[Message]], None]
"""Keeps records for certain, or raises OSError and keeps none of them."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record that waits for the journal, and who waits for it."""

    record: Message
    futures: Sequence[Future[int]]


def member_record(member: Member, *, evicted: bool = False) -> Message:
    """A worker came, or went."""
    return Message("member", {"member": member.to_json(), "evicted": evicted})


def step_record(
    version: int, pushes: Sequence[Push], dense: Mapping[str, Array], rows: Mapping[str, Rows]
) -> Message:
    """A step of the optimizer.

    Args:
        version: The version that the step comes after.
        pushes: What it is made of.
        dense: The slope of every block, by name.
        rows: Slopes of rows of tables.
    """
    arrays = {f"dense/{name}": x for name, x in dense.items()}
    for name, (ids, slopes) in rows.items():
        arrays |= {f"ids/{name}": ids, f"rows/{name}": slopes}
    fields = {
        "version": version + 1,
        "pushes": [[push.worker, push.step] for push in pushes],
        "parts": [list(push.part) for push in pushes if push.part is not None],
    }
    return Message("step", fields, arrays)
