"""Network: a graph as networkx sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matrixslow.core import Graph, Node
from matrixslow.errors import MissingExtra
from matrixslow.render.item import read_items

if TYPE_CHECKING:
    import networkx


def to_networkx(target: Graph | Node | Sequence[Node]) -> networkx.DiGraph:
    """The graph as a networkx graph, whose edges lead from inputs to users.

    Nodes are names, with the attributes operator, options, category, scope, shape, dtype,
    parameters, trainable and built. An edge has the attribute positions: which of the user's inputs
    it is; more than one where a node is read twice.

    Args:
        target: A graph, or nodes, which come with all they are made of.

    Raises:
        MissingExtra: networkx is not installed.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     y = x * x
    >>> list(ms.render.to_networkx(graph).edges(data="positions"))
    [('x', 'mul', (0, 1))]
    """
    try:
        import networkx
    except ImportError as error:
        raise MissingExtra(
            "to_networkx needs the package networkx, which is not installed",
            hint="pip install networkx",
        ) from error
    network = networkx.DiGraph()
    for item in read_items(target):
        network.add_node(
            item.name,
            operator=item.operator,
            options=item.options,
            category=item.category.value,
            scope=item.scope,
            shape=item.shape,
            dtype=item.dtype,
            parameters=item.parameters,
            trainable=item.trainable,
            built=item.built,
        )
        for name in dict.fromkeys(item.inputs):
            positions = tuple(i for i, other in enumerate(item.inputs) if other == name)
            network.add_edge(name, item.name, positions=positions)
    return network
