"""Schedule: the order of kernels, with barriers between those where threads must meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matrixslow.compiler.fusion import Fallback
from matrixslow.compiler.loops import Kernel
from matrixslow.compiler.symbols import Buffer

Task = Kernel | Fallback


@dataclass(slots=True)
class Phase:
    """Kernels between two barriers, or one node that runs by its `compute`.

    Attributes:
        tasks: In order.
        owners: For kernels that are not split, which thread runs them (modulo their number).
    """

    tasks: list[Task] = field(default_factory=list)
    owners: dict[Task, int] = field(default_factory=dict)

    @property
    def native(self) -> bool:
        """Whether it runs without Python."""
        return not any(isinstance(task, Fallback) for task in self.tasks)


class Dependences:
    """Which task must come before which, by the memory they share.

    Args:
        tasks: In an order that works.
        homes: Buffers that lie where another one lies.
    """

    def __init__(self, tasks: Sequence[Task], homes: Mapping[Buffer, Buffer]) -> None:
        self.homes = homes
        # In order, so that the same graph always gives the same code.
        self.before: dict[Task, dict[Task, None]] = {}
        self.after: dict[Task, dict[Task, None]] = {}
        self._writers: dict[Buffer, list[Task]] = {}
        self._readers: dict[Buffer, list[Task]] = {}
        for task in tasks:
            self.append(task)

    def append(self, task: Task) -> None:
        """A task that comes after those before it wherever they share memory."""
        self.before[task], self.after[task] = {}, {}
        for buffer in _shared(task.reads):
            for other in self._writers.get(buffer, ()):
                self.add(other, task)
            self._readers.setdefault(buffer, []).append(task)
        for buffer in _shared(task.writes):
            for other in [*self._writers.get(buffer, ()), *self._readers.get(buffer, ())]:
                self.add(other, task)
            self._writers.setdefault(buffer, []).append(task)

    def add(self, first: Task, second: Task) -> None:
        """The second task waits for the first."""
        if first is not second:
            self.before[second][first] = None
            self.after[first][second] = None

    def reaches(self, first: Task, second: Task) -> bool:
        """Whether the second task waits for the first, directly or through others."""
        pending, seen = [first], {first}
        while pending:
            for task in self.after[pending.pop()]:
                if task is second:
                    return True
                if task not in seen:
                    seen.add(task)
                    pending.append(task)
        return False

    def aligned(self, first: Task, second: Task) -> bool:
        """Whether each thread needs only what it did itself, so that no barrier is needed."""
        if isinstance(first, Fallback) or isinstance(second, Fallback):
            return False
        if first.split is None or second.split is None or first.rows != second.rows:
            return False
        one, two = self._cuts(first), self._cuts(second)
        for home in one.keys() & two.keys():
            (write_a, strides_a), (write_b, strides_b) = one[home], two[home]
            strides = strides_a | strides_b
            if (write_a or write_b) and (len(strides) > 1 or None in strides):
                return False
        return True

    def _cuts(self, task: Kernel) -> dict[Buffer, tuple[bool, set[int | None]]]:
        found: dict[Buffer, tuple[bool, set[int | None]]] = {}
        for writes, accesses in ((False, task.reads), (True, task.writes)):
            for buffer in _shared(accesses):
                stride = accesses[buffer]
                home = self.homes.get(buffer, buffer)
                written, strides = found.get(home, (False, set()))
                found[home] = (written or writes, strides | {stride})
        return found


def schedule(tasks: Sequence[Task], dependences: Dependences) -> list[Phase]:
    """Phases with as many kernels as can run without a barrier among them."""
    waiting = {task: len(dependences.before[task]) for task in tasks}
    remaining = dict.fromkeys(tasks)
    phases = [Phase()]
    loads: dict[int, float] = {}
    while remaining:
        phase = phases[-1]
        chosen = None
        for task in remaining:
            if waiting[task] == 0 and _joins(phase, task, dependences):
                chosen = task
                break
        if chosen is None:
            ready = [task for task in remaining if waiting[task] == 0]
            chosen = next((task for task in ready if isinstance(task, Kernel)), ready[0])
            if phase.tasks:
                phases.append(phase := Phase())
                loads = {}
        del remaining[chosen]
        for task in dependences.after[chosen]:
            waiting[task] -= 1
        phase.tasks.append(chosen)
        if isinstance(chosen, Kernel) and chosen.split is None:
            owner = _owner(phase, chosen, dependences)
            if owner is None:
                owner = min(range(8), key=lambda thread: (loads.get(thread, 0.0), thread))
            phase.owners[chosen] = owner
            loads[owner] = loads.get(owner, 0.0) + chosen.work
    return phases


def _joins(phase: Phase, task: Task, dependences: Dependences) -> bool:
    """Whether a task can follow those of a phase without a barrier."""
    if not phase.native or (isinstance(task, Fallback) and phase.tasks):
        return False
    if isinstance(task, Fallback):
        return True
    earlier = [other for other in phase.tasks if other in dependences.before[task]]
    if task.split is None:
        owners = {phase.owners.get(other) for other in earlier}
        return len(owners) <= 1 and None not in owners
    return all(dependences.aligned(other, task) for other in earlier)


def _owner(phase: Phase, task: Kernel, dependences: Dependences) -> int | None:
    for other in dependences.before[task]:
        if other in phase.owners:
            return phase.owners[other]
    return None


def _shared(buffers: Iterable[Buffer]) -> list[Buffer]:
    """The buffers that all threads see."""
    return [buffer for buffer in buffers if buffer.place != "scratch"]
