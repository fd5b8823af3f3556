"""Walking a graph, iteratively: a chain of 100,000 nodes is normal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from matrixslow.core.node import Node


def itself(node: Node) -> Node:
    """The node that stands in a node's place where nothing is rewritten."""
    return node


def at_inference(node: Node) -> Node:
    """The node that stands in a node's place in an inference program."""
    while (other := node.inference()) is not node:
        node = other
    return node


def ancestors(
    nodes: Iterable[Node],
    *,
    stop: Collection[Node] = (),
    stand_in: Callable[[Node], Node] = itself,
) -> list[Node]:
    """All nodes that the given ones are made of, themselves included, inputs before users.

    Creation order is a topological order, so sorting what was reached is enough.

    Args:
        nodes: Where to start.
        stop: Nodes whose inputs are not followed.
        stand_in: Which node is walked in a node's place.
    """
    pending = [stand_in(node) for node in nodes]
    reached = set(pending)
    while pending:
        node = pending.pop()
        if node in stop:
            continue
        for x in node.inputs:
            x = stand_in(x)
            if x not in reached:
                reached.add(x)
                pending.append(x)
    return sorted(reached, key=lambda node: node.index)
