"""Settle: where outputs and the new values of variables lie, so that nothing is copied in vain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matrixslow.compiler.fusion import Fallback, Map, Plan
from matrixslow.compiler.indices import Axis, Index, of, row_major
from matrixslow.compiler.loops import Gemm, Kernel, Store, statements
from matrixslow.compiler.schedule import Dependences, Task
from matrixslow.compiler.symbols import Buffer, alike, load, parts
from matrixslow.core.leaf import Leaf
from matrixslow.core.node import Node


@dataclass(frozen=True, slots=True)
class Settlement:
    """Tasks with everything that a run must leave behind.

    Attributes:
        tasks: In an order that works.
        dependences: Among them.
        homes: Buffers that lie where another one lies: new values in the place of old ones.
        places: For each output, its buffer.
    """

    tasks: list[Task]
    dependences: Dependences
    homes: Mapping[Buffer, Buffer]
    places: list[Buffer]


def settle(
    plan: Plan,
    outputs: Sequence[Node],
    pairs: Sequence[tuple[Node, Node]],
    *,
    apart: Collection[Node] = (),
) -> Settlement:
    """Let new values be written in the place of the old ones where every reader of these is done.

    Where that is not possible, they are copied there at the end.

    Args:
        plan: The kernels.
        outputs: Whose values are returned.
        pairs: Variables, and whose values they take.
        apart: Tables whose new rows cannot be written among the old ones.
    """
    own = {plan.buffers[new]: plan.buffers[variable] for variable, new in pairs}
    tasks: list[Task] = []
    for item in plan.items:
        if isinstance(item, Map):
            for node in (node for node in item.nodes if node in plan.bases):
                buffer, base = plan.buffers[node], plan.buffers[plan.bases[node]]
                if node in apart or own.get(buffer) is not base:
                    tasks.append(_copy(node, base, buffer))
        tasks.append(item.kernel() if isinstance(item, Map) else item)
    changed = {plan.buffers[variable] for variable, _ in pairs}
    kept: dict[Node, Buffer] = {}
    for node in dict.fromkeys([*outputs, *(new for _, new in pairs)]):
        buffer = plan.buffers[node]
        if isinstance(node, Leaf) and buffer in changed:
            kept[node] = Buffer(node.name, node.dtype, buffer.shape, row_major(buffer.shape))
            tasks.append(_copy(node, buffer, kept[node]))
        else:
            kept[node] = buffer
    homes: dict[Buffer, Buffer] = {}
    dependences = Dependences(tasks, homes)
    late = []
    for variable, new in pairs:
        old, buffer = plan.buffers[variable], kept[new]
        taken = buffer in homes or buffer.place != "arena" or isinstance(new, Leaf)
        taken = taken or new in apart
        if not taken and _replaces(tasks, dependences, old, buffer):
            homes[buffer] = old
        elif new in plan.bases and new not in apart:
            return settle(plan, outputs, pairs, apart={*apart, new})
        else:
            late.append(_copy(variable, buffer, old))
    for task in late:
        dependences.append(task)
        for other in tasks:
            if isinstance(other, Fallback):
                dependences.add(other, task)
    return Settlement([*tasks, *late], dependences, homes, [kept[node] for node in outputs])


def _copy(node: Node, source: Buffer, target: Buffer) -> Kernel:
    axes = tuple(Axis(size) for size in source.shape)
    index = tuple(of(axis) for axis in axes)
    here = sum((i * s for i, s in zip(index, source.strides, strict=True)), Index(0, {}))
    there = sum((i * s for i, s in zip(index, target.strides, strict=True)), Index(0, {}))
    return Map((node,), axes, (Store(target, there, load(source, here)),)).kernel()


def _replaces(tasks: Sequence[Task], dependences: Dependences, old: Buffer, new: Buffer) -> bool:
    """Order all readers of the old value before the writer of the new one, if that is possible."""
    writer, *others = [task for task in tasks if new in task.writes]
    if others or isinstance(writer, Fallback):
        return False
    readers = [task for task in tasks if old in task.reads and task is not writer]
    # What runs by `compute` may fail, and then nothing must have changed.
    readers += [task for task in tasks if isinstance(task, Fallback) and task not in readers]
    if any(dependences.reaches(writer, reader) for reader in readers):
        return False
    if old in writer.reads and not _pointwise(writer, old, new):
        return False
    for reader in readers:
        dependences.add(reader, writer)
    return True


def _pointwise(kernel: Kernel, old: Buffer, new: Buffer) -> bool:
    """Whether every element of the old value is read only where its new value is written."""
    read: set[object] = set()
    written: set[object] = set()
    for statement, _ in statements(kernel.body):
        if isinstance(statement, Gemm):
            return False
        found = parts(*statement.roots)
        read |= {alike(x.index) for x in found if x.value is old and x.index is not None}
        if isinstance(statement, Store) and statement.buffer is new:
            written.add(alike(statement.index))
    return len(written) == 1 and read <= written
