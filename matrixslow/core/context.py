"""The graph that new nodes join: a context variable, set by `with Graph():`."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from matrixslow.errors import GraphError

if TYPE_CHECKING:
    from matrixslow.core.graph import Graph

CURRENT: ContextVar[Graph | None] = ContextVar("matrixslow_graph", default=None)


def current_graph() -> Graph:
    """The graph of the innermost `with Graph():` block.

    Raises:
        GraphError: No such block is open.
    """
    graph = CURRENT.get()
    if graph is None:
        raise GraphError(
            "no graph is open, so a new node has nowhere to go",
            hint="build inside a block: with ms.Graph() as graph: ...",
        )
    return graph
