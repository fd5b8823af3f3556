"""Item: one node of a graph, as pictures and tables see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from matrixslow.core import Constant, Graph, Input, Node, Variable
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError

GRADIENTS, UPDATES = "gradients", "updates"


class Category(StrEnum):
    """What kind of node it is; each has its own colour, outline and stroke."""

    INPUT = "input"
    VARIABLE = "variable"
    CONSTANT = "constant"
    OPERATOR = "operator"
    OUTPUT = "output"
    GRADIENT = "gradient"
    UPDATE = "update"
    REFERENCE = "reference"


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
        parameters: The number of elements that it keeps from run to run.
        trainable: Whether an optimizer changes them.
        itemsize: The bytes of one element.
        built: The line that built it, "train.py:16".
    """

    name: str
    operator: str
    category: Category
    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"
    inputs: tuple[str, ...] = ()
    parameters: int = 0
    trainable: bool = False
    itemsize: int = 4
    built: str = ""

    @property
    def scope(self) -> str:
        """The scopes it was built in; empty outside any."""
        return self.name.rpartition("/")[0]

    @property
    def spec(self) -> str:
        """Shape and dtype, "(None, 784) float32"."""
        return f"{self.shape} {self.dtype}"

    @property
    def auxiliary(self) -> bool:
        """Whether it belongs to training and not to the model."""
        return self.name.partition("/")[0] in (GRADIENTS, UPDATES)


def read_items(target: Graph | Node | Sequence[Node]) -> tuple[Item, ...]:
    """The items of a graph, or of all that the given nodes are made of, inputs before users.

    Raises:
        ArgumentError: It is neither a graph nor nodes.
    """
    nodes = _nodes(target)
    read = {x for node in nodes if not _auxiliary(node) for x in node.inputs}
    return tuple(
        Item(
            name=node.name,
            operator=type(node).__name__,
            category=_category(node, is_read=node in read),
            shape=node.shape,
            dtype=str(node.dtype),
            inputs=tuple(x.name for x in node.inputs),
            parameters=node.size or 0 if isinstance(node, Variable) else 0,
            trainable=node.trainable,
            itemsize=node.dtype.itemsize,
            built=str(node.site),
        )
        for node in nodes
    )


def _nodes(target: Any) -> Sequence[Node]:
    if isinstance(target, Graph):
        return target.nodes
    nodes = [target] if isinstance(target, Node) else list(target) if _iterable(target) else []
    if not nodes or not all(isinstance(node, Node) for node in nodes):
        raise ArgumentError(
            f"a graph or nodes are needed, {target!r:.60} came",
            hint="give the graph, a node, or a list of nodes",
        )
    return ancestors(nodes)


def _iterable(target: Any) -> bool:
    return isinstance(target, Sequence) and not isinstance(target, str | bytes)


def _auxiliary(node: Node) -> bool:
    return node.name.partition("/")[0] in (GRADIENTS, UPDATES)


def _category(node: Node, *, is_read: bool) -> Category:
    for leaf, category in LEAVES.items():
        if isinstance(node, leaf):
            return category
    root = node.name.partition("/")[0]
    if root == GRADIENTS:
        return Category.GRADIENT
    if root == UPDATES:
        return Category.UPDATE
    return Category.OPERATOR if is_read else Category.OUTPUT


LEAVES: dict[type[Node], Category] = {
    Input: Category.INPUT,
    Variable: Category.VARIABLE,
    Constant: Category.CONSTANT,
}
