"""The reference interpreter: it runs every operator's `compute`, one node after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array, array_module, as_native
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
    ) -> None:
        stand_in = itself if training else at_inference
        fed = set(inputs)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.updates, self.nodes = _with_own_updates(fed, outputs, updates, stand_in)
        needed = [*outputs, *(new for _, new in self.updates)]
        slots = {node: slot for slot, node in enumerate(self.nodes)}
        slots.update({node: slots[stand_in(node)] for node in needed})
        self._slots = slots
        self._held = [
            node
            for node in self.nodes
            if isinstance(node, (Variable, Constant)) and node not in fed
        ]
        given = fed.union(self._held)
        sources = {
            node: tuple([slots[stand_in(x)] for x in node.inputs])
            for node in self.nodes
            if node not in given
        }
        last_reader = {slot: node for node, read in sources.items() for slot in read}
        for node in needed:
            last_reader.pop(slots[node], None)
        dropped: dict[Node, list[int]] = {node: [] for node in sources}
        for slot, node in last_reader.items():
            dropped[node].append(slot)
        self.steps = [
            Step(node, array_module(node.device), read, slots[node], tuple(dropped[node]))
            for node, read in sources.items()
        ]
        self._checked: set[tuple[Any, ...]] = set()

    @property
    def missing(self) -> list[Node]:
        """The leaves that a run needs and that are not among the inputs."""
        return [step.node for step in self.steps if isinstance(step.node, Leaf)]

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """The values of the outputs, after which the updates are applied.

        Writing into them changes no variable.

        Args:
            feeds: An array for each input, in order.

        Raises:
            ShapeError: The shapes that are fed do not fit together.
            RunError: An operator fails on its values, or breaks the promise of its spec.
        """
        values = self._run(feeds, keep=False)
        kept = {id(node.value) for node in self._held}
        found = [as_native(values[self._slots[node]]) for node in self.outputs]
        return [y.copy() if id(y) in kept or y.base is not None else y for y in found]

    def trace(self, feeds: Sequence[Array]) -> dict[Node, Array]:
        """Run, and give the value of every node that was needed, in order of computation."""
        values = self._run(feeds, keep=True)
        return {node: as_native(values[slot]) for node, slot in self._slots.items()}

    def specs(self, feeds: Sequence[Array]) -> dict[Node, Spec]:
        """The spec of every node that is needed, for the shapes of these arrays.

        Raises:
            ShapeError: The shapes do not fit together.
        """
        slots = zip(self.inputs, feeds, strict=True)
        given = {self._slots[node]: array for node, array in slots if node in self._slots}
        values = [given.get(slot) for slot in range(len(self.nodes))]
        return dict(zip(self.nodes, self._infer(values), strict=True))

    def explain(self) -> str:
        """The plan as text: one line for each step."""
        lines = [f"interpreter: {len(self.steps)} steps, {len(self.updates)} updates"]
        for step in self.steps:
            sources = ", ".join(x.name for x in step.node.inputs)
            lines.append(f"  {step.node!r} <- {sources}")
        lines += [f"  update {variable.name} <- {new.name}" for variable, new in self.updates]
        return "\n".join(lines)

    def _run(self, feeds: Sequence[Array], *, keep: bool) -> list[Any]:
        """The values of all slots; those that no later step reads are gone unless kept."""
        values: list[Any] = [None] * len(self.nodes)
        for node, array in zip(self.inputs, feeds, strict=True):
            if node in self._slots:
                values[self._slots[node]] = array
        for node in self._held:
            values[self._slots[node]] = node.value
        shapes = tuple([(array.shape, array.dtype) for array in feeds])
        specs = None if shapes in self._checked else self._infer(values)
        with np.errstate(all="ignore"):
            for step in self.steps:
                try:
                    value = step.node.compute(step.xp, *[values[slot] for slot in step.sources])
                except Exception as error:
                    raise located(step.node, error) from error
                if specs is not None:
                    _check_promise(step.node, value, specs[step.target])
                values[step.target] = value
                if not keep:
                    for slot in step.dropped:
                        values[slot] = None
        self._checked.add(shapes)
        news = [values[self._slots[new]] for _, new in self.updates]
        for (variable, _), array in zip(self.updates, news, strict=True):
            variable.value = array  # type: ignore[misc]
        return values

    def _infer(self, values: Sequence[Array]) -> list[Spec]:
        """The spec of every slot for the shapes at hand.

        What was inferred when the graph was built holds wherever the inputs are as declared.
        """
        specs = [
            node.spec if x is None or None not in node.spec.shape else Spec(x.shape, x.dtype)
            for node, x in zip(self.nodes, values, strict=True)
        ]
        for step in self.steps:
            node, given = step.node, [specs[slot] for slot in step.sources]
            if all(spec is x.spec for spec, x in zip(given, node.inputs, strict=True)):
                continue
            try:
                if node.broadcasts:
                    check_unknown_axes([x.spec for x in node.inputs], given)
                specs[step.target] = node.infer(*given)
            except ShapeError as error:
                raise _with_fed(node, given, error) from None
        return specs


def _with_own_updates(
    fed: set[Node],
    outputs: Sequence[Node],
    updates: Sequence[Update],
    stand_in: Callable[[Node], Node],
) -> tuple[list[Update], list[Node]]:
    """The updates asked for and those that computed nodes bring along; all nodes they need."""
    nodes = ancestors([*outputs, *(new for _, new in updates)], stop=fed, stand_in=stand_in)
    own = [pair for node in nodes if node not in fed for pair in node.updates()]
    chosen: dict[Node, Node] = {}
    for variable, new in [*updates, *own]:
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
    if own:
        nodes = ancestors([*outputs, *chosen.values()], stop=fed, stand_in=stand_in)
    return list(chosen.items()), nodes


def located(node: Node, error: Exception) -> MatrixSlowError:
    """An operator's failure on its values, with the operator and its line written into it."""
    if not isinstance(error, MatrixSlowError):
        error = RunError(f"{type(error).__name__}: {error}")
    return node.explain(error)


def _with_fed(node: Node, given: Sequence[Spec], error: ShapeError) -> MatrixSlowError:
    located = node.explain(error)
    fed = "fed    " + "  ".join(
        f"{x.name} {spec}" for x, spec in zip(node.inputs, given, strict=True)
    )
    return type(error)(located.rule, rows=(*located.rows, fed), hint=located.hint)


def _check_promise(node: Node, value: Any, spec: Spec) -> None:
    if not hasattr(value, "dtype") or (value.shape, value.dtype) != (spec.shape, spec.dtype):
        came = f"{value.shape} {value.dtype}" if hasattr(value, "dtype") else type(value).__name__
        raise node.explain(
            RunError(
                f"infer promised {spec}, compute returned {came}",
                hint=f"mend {type(node).__name__}.infer or {type(node).__name__}.compute",
            )
        )
