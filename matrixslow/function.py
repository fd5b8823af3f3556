"""`ms.function`: a part of the graph as a Python function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from matrixslow.backend import Array
from matrixslow.core.interpreter import Interpreter, Update
from matrixslow.core.leaf import Input
from matrixslow.core.node import Node
from matrixslow.errors import FeedError, GraphError


class Program(Protocol):
    """What runs a function: the interpreter, or native code that agrees with it."""

    @property
    def missing(self) -> list[Node]:
        """The leaves that a run needs and that are not among the inputs."""

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """The values of the outputs, after which the updates are applied."""

    def trace(self, feeds: Sequence[Array]) -> dict[Node, Array]:
        """Run, and give the value of every node that was needed, in order of computation."""

    def explain(self) -> str:
        """The plan as text."""


class Function:
    """A program with named places for its inputs; made by `ms.function`.

    Attributes:
        inputs: The nodes that a call feeds, in order.
        program: What runs: `program.explain()` prints its plan.
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Node | Sequence[Node],
        *,
        updates: Sequence[Update] = (),
        training: bool | None = None,
        compile: bool | None = None,  # noqa: A002 - what it does
    ) -> None:
        self.inputs = _as_inputs(inputs)
        self._single = isinstance(outputs, Node)
        wanted = [outputs] if isinstance(outputs, Node) else list(outputs)
        self.training = bool(updates) if training is None else training
        touched = [*self.inputs, *wanted, *(variable for variable, _ in updates)]
        make = _compiler(touched, compile)
        self.program: Program = make(self.inputs, wanted, updates=updates, training=self.training)
        _check_needs(self.program)

    def __call__(self, *arrays: Any) -> Any:
        """Run once: an array for each input, in order.

        Returns:
            The output's array, or a list of arrays where a sequence of outputs was asked for.

        Raises:
            FeedError: The number of arrays, or one of them, does not fit the inputs.
        """
        if len(arrays) != len(self.inputs):
            raise FeedError(
                f"{len(self.inputs)} arrays are needed, {len(arrays)} came",
                rows=tuple(f"input  {node!r}" for node in self.inputs),
                hint="give one array for each input, in this order",
            )
        feeds = [node.accept(array) for node, array in zip(self.inputs, arrays, strict=True)]
        results = self.program.run(feeds)
        return results[0] if self._single else results

    def __repr__(self) -> str:
        return f"Function of {', '.join(node.name for node in self.inputs) or 'nothing'}"


def function(
    inputs: Sequence[Node],
    outputs: Node | Sequence[Node],
    *,
    updates: Sequence[Update] = (),
    training: bool | None = None,
    compile: bool | None = None,  # noqa: A002 - what it does
) -> Function:
    """Make a part of the graph callable with arrays.

    Args:
        inputs: The inputs that a call feeds, in order.
        outputs: A node or a sequence of nodes to return.
        updates: Pairs (variable, new value), applied together at the end of each call: what
            `optimizer.minimize(loss)` gives.
        training: Whether dropout and batch normalization train; by default, whether there are
            updates.
        compile: Whether the function becomes native code at its first call; by default, where
            llvmlite is installed and the graph lives on the CPU. Else it is interpreted.

    Raises:
        GraphError: An output needs an input that is not named.

    >>> with ms.Graph():
    ...     x = ms.Input((2,), name="x")
    ...     w = ms.Variable([1.0, 1.0], name="w")
    ...     y = ms.ops.ReduceSum(w * x, keepdims=False)
    ...     step = ms.function([x], y, updates=[(w, w + x)])
    >>> step([1.0, 2.0]), w.value
    (array(3., dtype=float32), array([2., 3.], dtype=float32))
    """
    return Function(inputs, outputs, updates=updates, training=training, compile=compile)


def _compiler(touched: Sequence[Node], wanted: bool | None) -> Callable[..., Program]:
    """What makes the program: the compiler where that is wanted and possible."""
    possible = find_spec("llvmlite") is not None and all(x.device == "cpu" for x in touched)
    if wanted is False or not possible:
        return Interpreter
    from matrixslow.compiler.program import Program as Compiled  # llvmlite takes time to load

    return Compiled


def _as_inputs(nodes: Sequence[Node]) -> tuple[Input, ...]:
    """The nodes, each of which is an input."""
    inputs = []
    for node in nodes:
        if not isinstance(node, Input):
            raise GraphError(
                f"function: {node!r} is not an input", hint="only ms.Input nodes can be fed"
            )
        inputs.append(node)
    return tuple(inputs)


def _check_needs(program: Program) -> None:
    """Every input that the program needs is named."""
    if program.missing:
        raise GraphError(
            f"function: the outputs need {len(program.missing)} inputs that are not named",
            rows=tuple(f"missing  {node!r}   {node.site}" for node in program.missing),
            hint="add them to the list of inputs",
        )
