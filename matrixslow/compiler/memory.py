"""Memory: a place in one arena for every buffer, shared by those that never live together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matrixslow.compiler.schedule import Phase
from matrixslow.compiler.symbols import Buffer

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Arena:
    """Where buffers lie in it.

    Attributes:
        offsets: In bytes.
        size: Its own, in bytes, with the threads' scratch memory behind all buffers.
        scratch: What each thread has of that, in bytes.
        total: What all buffers would take beside each other.
    """

    offsets: Mapping[Buffer, int]
    size: int
    scratch: int
    total: int


def arrange(
    phases: Sequence[Phase],
    homes: Mapping[Buffer, Buffer],
    kept: Collection[Buffer],
    threads: int,
) -> Arena:
    """Give every arena buffer of a schedule a place.

    A buffer lives from the first to the last phase that touches it; those in `kept`, to the end.
    Threads are not in step within a phase, so two that share a place must not share a phase.
    """
    spans: dict[Buffer, tuple[int, int]] = {}
    for number, phase in enumerate(phases):
        for task in phase.tasks:
            for buffer in (*task.reads, *task.writes):
                home = homes.get(buffer, buffer)
                if home.place == "arena":
                    spans[home] = (spans.get(home, (number, 0))[0], number)
    for buffer in kept:
        if buffer in spans:
            spans[buffer] = (spans[buffer][0], len(phases))
    offsets: dict[Buffer, int] = {}
    size = total = 0
    for buffer in sorted(spans, key=lambda buffer: -buffer.nbytes):
        first, last = spans[buffer]
        need = _rounded(buffer.nbytes)
        busy = sorted(
            (offsets[other], offsets[other] + _rounded(other.nbytes))
            for other, (begin, end) in spans.items()
            if other in offsets and begin <= last and first <= end
        )
        place = 0
        for start, end in busy:
            if place + need <= start:
                break
            place = max(place, end)
        offsets[buffer] = place
        size = max(size, place + need)
        total += need
    scratch = max(
        (
            _rounded(buffer.nbytes)
            for phase in phases
            for task in phase.tasks
            for buffer in task.writes
            if buffer.place == "scratch"
        ),
        default=0,
    )
    return Arena(offsets, size + threads * scratch, scratch, total)


def _rounded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
