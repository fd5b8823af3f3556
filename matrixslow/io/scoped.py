"""Names from files: a node gets its full name back, in the scopes that it was built in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from matrixslow.core.graph import Graph


@contextmanager
def in_scopes(graph: Graph, full: str) -> Iterator[str]:
    """Open the graph and the scopes of a full name; yields what is left of the name."""
    *scopes, name = full.split("/")
    with ExitStack() as stack:
        stack.enter_context(graph)
        for scope in scopes:
            stack.enter_context(graph.scope(scope))
        yield name
