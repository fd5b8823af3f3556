"""The reference interpreter: it runs every operator's `compute`, one node after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array, array_module
from matrixslow.core.leaf import Constant, Leaf, Variable
from matrixslow.core.node import Node
from matrixslow.core.spec import Spec, check_unknown_axes
from matrixslow.core.traversal import ancestors, at_inference, itself
from matrixslow.errors import GraphError, MatrixSlowError, RunError, ShapeError

Update = tuple[Node, Node]
"""A variable, and the node of its new value."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a program: where it reads, where it writes, what can be dropped after it."""

    node: Node
    xp: ModuleType
    sources: tuple[int, ...]
    target: int
    dropped: tuple[int, ...]


class Interpreter:
    """A program: from inputs to outputs and updates, in a fixed order of steps.

    Every operator is checked against its spec when a shape is fed for the first time; from then
    on the steps run as they are.

    Args:
        inputs: The nodes whose values are fed; nothing before them is computed.
        outputs: The nodes whose values are returned.
        updates: Pairs (variable, new value), applied together at the end of a run.
        training: Whether the graph is taken as it was built. Else every node that behaves
            differently at inference (dropout, batch normalization) is replaced by its stand-in.
        keep: Whether every value is kept to the end of a run, for `values`.

    Raises:
        GraphError: A variable is given two new values, or something that is not a variable one.
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        *,
        updates: Sequence[Update] = (),
        training: bool,
        keep: bool = False,
    ) -> None:
        stand_in = itself if training else at_inference
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.updates = _with_own_updates(inputs, outputs, updates, stand_in)
        needed = [*outputs, *(new for _, new in self.updates)]
        self.nodes = ancestors(needed, stop=set(inputs), stand_in=stand_in)
        slots = {node: slot for slot, node in enumerate(self.nodes)}
        self._results = [slots[stand_in(node)] for node in needed]
        self._fed = [slots.get(node) for node in inputs]
        skipped = set(inputs)
        self._held = [
            (slot, node)
            for node, slot in slots.items()
            if isinstance(node, Variable | Constant) and node not in skipped
        ]
        skipped.update(node for _, node in self._held)
        last_use = {
            slots[stand_in(x)]: node
            for node in self.nodes
            if node not in skipped
            for x in node.inputs
        }
        for slot in self._results:
            last_use.pop(slot, None)
        dropped: dict[Node, list[int]] = {}
        if not keep:
            for slot, node in last_use.items():
                dropped.setdefault(node, []).append(slot)
        self.steps = [
            Step(
                node,
                array_module(node.device),
                tuple(slots[stand_in(x)] for x in node.inputs),
                slots[node],
                tuple(dropped.get(node, ())),
            )
            for node in self.nodes
            if node not in skipped
        ]
        self._checked: set[tuple[Any, ...]] = set()
        self._keep = keep
        self.values: dict[Node, Array] = {}
        """The value of every node in the last run, where `keep` was asked for."""

    @property
    def missing(self) -> list[Node]:
        """The leaves that a run needs and that are not among the inputs."""
        return [step.node for step in self.steps if isinstance(step.node, Leaf)]

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """The values of the outputs, after which the updates are applied.

        Args:
            feeds: An array for each input, in order.

        Raises:
            ShapeError: The shapes that are fed do not fit together.
            RunError: An operator fails on its values, or breaks the promise of its spec.
        """
        values: list[Any] = [None] * len(self.nodes)
        for slot, array in zip(self._fed, feeds, strict=True):
            if slot is not None:
                values[slot] = array
        for slot, node in self._held:
            values[slot] = node.value
        shapes = tuple((array.shape, array.dtype) for array in feeds)
        if shapes in self._checked:
            self._execute(values)
        else:
            self._execute(values, self._infer(values))
            self._checked.add(shapes)
        results = [values[slot] for slot in self._results]
        if self._keep:
            self.values = dict(zip(self.nodes, values, strict=True))
        for (variable, _), array in zip(self.updates, results[len(self.outputs) :], strict=True):
            variable.value = array  # type: ignore[misc]
        return results[: len(self.outputs)]

    def explain(self) -> str:
        """The plan as text: one line for each step."""
        lines = [f"interpreter: {len(self.steps)} steps, {len(self.updates)} updates"]
        for step in self.steps:
            sources = ", ".join(x.name for x in step.node.inputs)
            lines.append(f"  {step.node!r} <- {sources}")
        lines += [f"  update {variable.name} <- {new.name}" for variable, new in self.updates]
        return "\n".join(lines)

    def _infer(self, values: Sequence[Array]) -> list[Spec]:
        """The spec of every slot for the shapes at hand."""
        specs = [
            node.spec if x is None else Spec(x.shape, x.dtype)
            for node, x in zip(self.nodes, values, strict=True)
        ]
        for step in self.steps:
            node, given = step.node, [specs[slot] for slot in step.sources]
            try:
                if node.broadcasts:
                    check_unknown_axes([x.spec for x in node.inputs], given)
                specs[step.target] = node.infer(*given)
            except ShapeError as error:
                raise _with_fed(node, given, error) from None
        return specs

    def _execute(self, values: list[Any], specs: Sequence[Spec] | None = None) -> None:
        step = None
        try:
            with np.errstate(all="ignore"):
                for step in self.steps:
                    value = step.node.compute(step.xp, *[values[slot] for slot in step.sources])
                    values[step.target] = value
                    if specs is not None:
                        _check_promise(step.node, value, specs[step.target])
                    for slot in step.dropped:
                        values[slot] = None
        except MatrixSlowError:
            raise
        except Exception as error:
            assert step is not None
            raise step.node.explain(RunError(f"{type(error).__name__}: {error}")) from error


def evaluate(
    inputs: Mapping[Node, Array], outputs: Sequence[Node], *, training: bool
) -> Interpreter:
    """Run once and keep every value: what `graph.forward` and `graph.backward` are made of."""
    program = Interpreter(tuple(inputs), outputs, training=training, keep=True)
    program.run(list(inputs.values()))
    return program


def _with_own_updates(
    inputs: Sequence[Node], outputs: Sequence[Node], updates: Sequence[Update], stand_in: Any
) -> list[Update]:
    """The updates asked for, and those that computed nodes bring along."""
    needed = ancestors(
        [*outputs, *(new for _, new in updates)], stop=set(inputs), stand_in=stand_in
    )
    chosen: dict[Node, Node] = {}
    for variable, new in [*updates, *(pair for node in needed for pair in node.updates())]:
        if not isinstance(variable, Variable):
            raise GraphError(
                f"only a variable can be updated, {variable!r} is none",
                hint="give pairs (variable, new value)",
            )
        if chosen.setdefault(variable, new) is not new:
            raise GraphError(
                f"{variable!r} is given two new values, {chosen[variable].name!r} and {new.name!r}",
                hint="add them up, or update it in two functions",
            )
        if new.spec != variable.spec:
            raise ShapeError(
                f"{variable!r} cannot take the new value {new!r}",
                hint="a new value has the variable's shape and dtype",
            )
    return list(chosen.items())


def _with_fed(node: Node, given: Sequence[Spec], error: ShapeError) -> MatrixSlowError:
    located = node.explain(error)
    fed = "fed    " + "  ".join(
        f"{x.name} {spec}" for x, spec in zip(node.inputs, given, strict=True)
    )
    return type(error)(located.rule, rows=(*located.rows, fed), hint=located.hint)


def _check_promise(node: Node, value: Any, spec: Spec) -> None:
    if value.shape != spec.shape or value.dtype != spec.dtype:
        raise node.explain(
            RunError(
                f"infer promised {spec}, compute returned {Spec(value.shape, value.dtype)}",
                hint=f"mend {type(node).__name__}.infer or {type(node).__name__}.compute",
            )
        )
