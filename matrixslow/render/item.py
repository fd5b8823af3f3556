"""Item: one node of a graph, as pictures and tables see it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from matrixslow.backend import to_host
from matrixslow.core import Constant, Graph, Input, Node, Variable
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError
from matrixslow.render.lettering import shorten
from matrixslow.render.numbers import Numbers, measure

SLOPES = ("gradients", "jacobian")
"""The outermost scopes of nodes that `ms.gradients` and `ms.jacobian` make."""

UPDATES = "updates"
"""The outermost scope of what operators update at the end of a run, as running averages."""

LONGEST_OPTION = 60
"""How many letters of an option's value are shown."""

COUNTER = "random/counter"
"""The name of the count of runs, which random operators read."""


class Category(StrEnum):
    """What kind of node it is; each has its own colour, outline and stroke."""

    INPUT = "input"
    VARIABLE = "variable"
    CONSTANT = "constant"
    OPERATOR = "operator"
    OUTPUT = "output"
    LOSS = "loss"
    GRADIENT = "gradient"
    UPDATE = "update"
    REFERENCE = "reference"


LEAVES: dict[type[Node], Category] = {
    Input: Category.INPUT,
    Variable: Category.VARIABLE,
    Constant: Category.CONSTANT,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One node: its names, what comes out of it, and what goes in.

    Attributes:
        name: The full name, "encoder/dense/matmul".
        operator: The class of the node, "MatMul".
        category: What kind of node it is.
        shape: The sizes of its value's axes; None where a size is fed.
        dtype: The type of its value's elements.
        inputs: The names of the nodes that it is made of, in order.
        auxiliary: Whether it is there for training only, and is no part of the model.
        parameters: The number of elements that it keeps from run to run.
        trainable: Whether an optimizer changes them.
        itemsize: The bytes of one element.
        value: The value of a constant of one element; empty for all else.
        options: The operator's options that are not as by default, "strides=(2, 2)".
        built: The line that built it, "train.py:16".
        kept: What it held in the last run; None where that is not known, or was not asked for.
        slope: What its gradient held.
    """

    name: str
    operator: str
    category: Category
    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"
    inputs: tuple[str, ...] = ()
    auxiliary: bool = False
    parameters: int = 0
    trainable: bool = False
    itemsize: int = 4
    value: str = ""
    options: tuple[str, ...] = ()
    built: str = ""
    kept: Numbers | None = None
    slope: Numbers | None = None

    @property
    def scope(self) -> str:
        """The scopes it was built in; empty outside any."""
        return self.name.rpartition("/")[0]

    @property
    def spec(self) -> str:
        """Shape and dtype, "(None, 784) float32"."""
        return f"{self.shape} {self.dtype}"


def read_items(target: Graph | Node | Sequence[Node], *, values: bool = False) -> tuple[Item, ...]:
    """The items of a graph, or of all that the given nodes are made of, inputs before users.

    Args:
        target: The graph, or the nodes.
        values: Whether the figures of values and gradients are read, too.

    Raises:
        ArgumentError: It is neither a graph nor nodes.
    """
    nodes = nodes_of(target)
    training = _training(nodes)
    read = {x for node in nodes if node not in training for x in node.inputs}
    ends = [node for node in nodes if node not in read and node not in training]
    defaults = {kind: _defaults(kind) for kind in {type(node): None for node in nodes}}
    losses = _losses(ends, {x for node in training for x in node.inputs})
    return tuple(
        Item(
            name=node.name,
            operator=type(node).__name__,
            category=Category.LOSS
            if node in losses
            else _category(node, is_read=node in read, is_training=node in training),
            shape=node.shape,
            dtype=str(node.dtype),
            inputs=tuple(x.name for x in node.inputs),
            auxiliary=node in training,
            parameters=node.size or 0 if isinstance(node, Variable) else 0,
            trainable=node.trainable,
            itemsize=node.dtype.itemsize,
            value=_scalar(node),
            options=_options(node, defaults[type(node)]),
            built=str(node.site),
            kept=measure(node.value) if values else None,
            slope=measure(node.gradient) if values else None,
        )
        for node in nodes
    )


def nodes_of(target: Any) -> Sequence[Node]:
    """The nodes of a graph, or all that the given ones are made of, inputs before users.

    Raises:
        ArgumentError: It is neither a graph nor nodes.
    """
    if isinstance(target, Graph):
        return target.nodes
    listed = isinstance(target, Sequence) and not isinstance(target, str | bytes)
    nodes = list(target) if listed else [target]
    if not nodes or not all(isinstance(node, Node) for node in nodes):
        raise ArgumentError(
            f"a graph or nodes are needed, {target!r:.60} came",
            hint="give the graph, a node, or a list of nodes",
        )
    return ancestors(nodes)


def _training(nodes: Sequence[Node]) -> set[Node]:
    """What is no part of the model: gradients, updates, what is made of them, and the run count.

    A scope that holds what is made of gradients belongs to training as a whole, with an optimizer's
    state and step count; but what gradients are made of never does.
    """
    made = {node for node in nodes if _root(node) in (*SLOPES, UPDATES)}
    sources: set[Node] = set()
    for node in reversed(nodes):
        if node in made or node in sources:
            sources.update(x for x in node.inputs if x not in made)
    scopes: set[str] = set()
    for node in nodes:
        if node not in sources and (_root(node) in scopes or any(x in made for x in node.inputs)):
            made.add(node)
            scopes |= {_root(node)} - {""}
    state = (node for node in nodes if _root(node) in scopes and node not in sources)
    return made.union(state, (node for node in nodes if node.name == COUNTER))


def _root(node: Node) -> str:
    """The outermost scope of a node; empty where it is in none."""
    root, slash, _ = node.name.partition("/")
    return root if slash else ""


def _category(node: Node, *, is_read: bool, is_training: bool) -> Category:
    for leaf, category in LEAVES.items():
        if isinstance(node, leaf):
            return category
    if is_training:
        return Category.GRADIENT if _root(node) in SLOPES else Category.UPDATE
    return Category.OPERATOR if is_read else Category.OUTPUT


def _losses(ends: Sequence[Node], read_by_training: Collection[Node]) -> set[Node]:
    """Those of the nodes that nobody reads which are a loss: single real numbers.

    Where some of them have gradients, only those.
    """
    single = {node for node in ends if node.inputs and node.spec.floating and node.size == 1}
    return single.intersection(read_by_training) or single


def _defaults(kind: type[Node]) -> dict[str, Any]:
    """What an operator's options are by default; those that must be given are not in it."""
    parameters = inspect.signature(kind.__init__).parameters
    found = {} if kind in LEAVES else {name: parameters[name].default for name in kind.options}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


def _options(node: Node, defaults: Mapping[str, Any]) -> tuple[str, ...]:
    """The options that are not as by default, as text."""
    values = {} if type(node) in LEAVES else node.attributes
    return tuple(
        f"{name}={shorten(repr(value), LONGEST_OPTION)}"
        for name, value in values.items()
        if name not in defaults or not _as_by_default(value, defaults[name])
    )


def _as_by_default(value: Any, default: Any) -> bool:
    """Whether a value is the default, or has it on every axis."""
    if isinstance(value, tuple) and not isinstance(default, tuple):
        return all(_as_by_default(part, default) for part in value)
    return type(value) is type(default) and bool(value == default)


def _scalar(node: Node) -> str:
    """The value of a constant of one element, as text; empty for all else."""
    if isinstance(node, Constant) and node.size == 1:
        return f"{to_host(node.array).item():.6g}"
    return ""
