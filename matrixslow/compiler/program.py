"""Program: a part of the graph, compiled once for each tuple of shapes that is fed."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from matrixslow.backend import Array
from matrixslow.compiler.native import Native
from matrixslow.compiler.passes import moved
from matrixslow.compiler.threads import pool
from matrixslow.core.graph import Graph
from matrixslow.core.interpreter import Interpreter, Update
from matrixslow.core.leaf import Input, Leaf, Variable
from matrixslow.core.node import Node
from matrixslow.core.spec import Spec
from matrixslow.core.traversal import at_inference, itself

SHAPES = 32
"""For how many tuples of shapes a program keeps code and memory; the oldest goes."""

LARGEST = 10_000
"""Graphs of more nodes are interpreted: compiling them would take minutes."""


class Program:
    """From inputs to outputs and updates, in native code.

    It agrees with `Interpreter`, and is built and used like it. Variables are updated in their own
    arrays; where somebody else holds such an array, the variable gets a new one.

    Args:
        inputs: The nodes whose values are fed.
        outputs: The nodes whose values are returned.
        updates: Pairs (variable, new value), applied together at the end of a run.
        training: Whether the graph is taken as it was built.
        off: Names of passes to leave out.
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        *,
        updates: Sequence[Update] = (),
        training: bool,
        off: Collection[str] = (),
    ) -> None:
        self.reference = Interpreter(inputs, outputs, updates=updates, training=training)
        self.inputs = self.reference.inputs
        self.outputs = self.reference.outputs
        self.updates = self.reference.updates
        self._off = tuple(off)
        self._stand_in = itself if training else at_inference
        self._made: dict[Any, Native | None] = {}
        self._last: Native | None = None
        self._process, self._lock = os.getpid(), threading.Lock()

    @property
    def missing(self) -> list[Node]:
        """The leaves that a run needs and that are not among the inputs."""
        return self.reference.missing

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """The values of the outputs, after which the updates are applied.

        Runs in several Python threads wait for each other, whatever shapes they are fed.

        Raises:
            ShapeError: The shapes that are fed do not fit together.
            RunError: An operator that runs by its `compute` fails on its values.
        """
        if self._process != os.getpid():  # in a fork, a thread that is not there may hold the lock
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            threads = pool().threads
            key = (threads, *[array.shape for array in feeds])
            if key not in self._made:
                if len(self._made) == SHAPES:
                    del self._made[next(iter(self._made))]
                self._made[key] = self._compile(feeds, threads)
            native = self._last = self._made[key]
            return self.reference.run(feeds) if native is None else native.run(feeds)

    def trace(self, feeds: Sequence[Array]) -> dict[Node, Array]:
        """As `Interpreter.trace`: run node by node, and give every value."""
        return self.reference.trace(feeds)

    def explain(self) -> str:
        """The plan of the shapes that ran last, as text."""
        return self.reference.explain() if self._last is None else self._last.explain()

    def source(self) -> str:
        """The LLVM text of the shapes that ran last; empty before the first run."""
        return "" if self._last is None else self._last.source

    def profile(self, feeds: Sequence[Array], *, runs: int = 10) -> list[tuple[str, float]]:
        """Where the time of a run goes: pairs (nodes, seconds), the longest first.

        Variables are updated, as by any run. Nothing is known of what is interpreted.
        """
        self.run(feeds)
        with self._lock:
            return [] if self._last is None else self._last.profile(feeds, runs)

    def _compile(self, feeds: Sequence[Array], threads: int) -> Native | None:
        """Native code for the shapes at hand; None where it is not worth while."""
        specs = {variable: variable.spec for variable, _ in self.updates}
        specs.update(self.reference.specs(feeds))
        if not 0 < len(specs) <= LARGEST or any(0 in spec.shape for spec in specs.values()):
            return None
        with _uncollected():
            copies = _copied(specs, self._stand_in, set(self.inputs))
            return Native(
                copies,
                self.inputs,
                [copies[self._stand_in(node)] for node in self.outputs],
                [(variable, copies[self._stand_in(new)]) for variable, new in self.updates],
                threads=threads,
                off=self._off,
            )


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: a plan is a million objects that are all in use."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


def _copied(
    specs: Mapping[Node, Spec], stand_in: Callable[[Node], Node], fed: set[Node]
) -> dict[Node, Node]:
    """The nodes once more, in a graph of their own, with the sizes that were fed."""
    graphs = [node.graph for node in specs]
    copies: dict[Node, Node] = {}
    with Graph(seed=graphs[0].seed if graphs else 0) as graph:
        for node, spec in specs.items():
            if node in fed or isinstance(node, Variable):
                leaf = Input(spec.shape, dtype=spec.dtype) if node in fed else Leaf(spec)
                leaf.name, leaf.site = node.name, node.site
                copies[node] = leaf
            else:
                inputs = [copies[stand_in(x)] for x in node.inputs]
                copies[node] = moved(node, inputs, graph, spec)
    return copies
