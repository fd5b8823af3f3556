"""Graph: owns nodes in the order they were made, their names, and the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from itertools import takewhile
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from matrixslow.backend import Array, array_module, as_native, check_device, to_host
from matrixslow.core.context import CURRENT
from matrixslow.core.gradient import gradients
from matrixslow.core.interpreter import Interpreter
from matrixslow.core.leaf import Constant, Input, Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors, at_inference, itself
from matrixslow.errors import ArgumentError, FeedError, GraphError

if TYPE_CHECKING:
    import os

    import networkx


class Graph:
    """A static computation graph: built once, inside a `with` block, then run many times.

    Args:
        seed: From which every random number of the graph is drawn, first values included.
        device: Where its arrays live: "cpu" or "cuda".

    Attributes:
        notes: What is to be known of it later, such as the names of its classes: anything that JSON
            can hold. A model file keeps it.

    >>> with ms.Graph(seed=0) as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     y = ms.ops.ReduceSum(x * x, name="y")
    >>> graph.forward(y, {x: [[1.0, 2.0]]})
    array([[5.]], dtype=float32)
    """

    def __init__(self, *, seed: int = 0, device: str = "cpu") -> None:
        self.seed = seed
        self.device = check_device(device)
        array_module(self.device)  # an absent device is named here, not at the first node
        self.notes: dict[str, Any] = {}
        self.kept_values: dict[Node, Array] = {}
        self.kept_gradients: dict[Node, Array] = {}
        self._nodes: dict[str, Node] = {}
        self._created = 0
        self._scopes: list[str] = [""]
        self._suffixes: dict[str, int] = {}
        self._tokens: list[Token[Graph | None]] = []
        self._absolute = 0
        self._forwards: dict[tuple[tuple[Node, ...], bool], Interpreter] = {}
        self._backwards: dict[Node, Interpreter] = {}
        self._slopes: dict[Node, dict[Node, Node]] = {}
        self._at_inference = False

    # ---- building ------------------------------------------------------------------------------

    def __enter__(self) -> Graph:
        self._tokens.append(CURRENT.set(self))
        return self

    def __exit__(self, *failure: object) -> None:
        CURRENT.reset(self._tokens.pop())

    @contextmanager
    def scope(self, name: str, *, absolute: bool = False, unique: bool = False) -> Iterator[str]:
        """Put the names of new nodes under `name/`, inside the scopes that are open.

        Args:
            name: The scope's name.
            absolute: For nodes that are derived from the model and not part of it, such as
                gradients: leaves the open scopes aside, and marks the nodes as `derived`.
            unique: Whether to make the name new ("dense_1") where it is taken.

        Yields:
            The scope's full name.

        >>> with ms.Graph() as graph, graph.scope("encoder"):
        ...     ms.Input((2,), name="x").name
        'encoder/x'
        """
        _check_name(name)
        full = name if absolute else self._scopes[-1] + name
        if unique:
            full = self._unused(full)
        self._suffixes.setdefault(full, 0)
        self._scopes.append(full + "/")
        self._absolute += absolute
        try:
            yield full
        finally:
            self._scopes.pop()
            self._absolute -= absolute

    def propose(self, name: str | None, default: str) -> str:
        """The full name that a new node will have.

        Raises:
            GraphError: The name asked for is taken.
        """
        if name is None:
            return self._unused(self._scopes[-1] + default)
        full = self._scopes[-1] + _check_name(name)
        if full in self._nodes:
            other = self._nodes[full]
            raise GraphError(
                f"the name {full!r} is taken by {other!r} ({other.site})",
                hint="choose another name, or open a scope: with graph.scope(...)",
            )
        return full

    def add(self, node: Node) -> int:
        """Take a new node, which has the name that was proposed for it; its place in the order."""
        self._nodes[node.name] = node
        self._created += 1
        return self._created - 1

    @property
    def deriving(self) -> bool:
        """Whether an absolute scope is open."""
        return self._absolute > 0

    def mark(self) -> int:
        """A point in time, for `prune`."""
        return self._created

    def prune(self, mark: int, keep: Sequence[Node]) -> None:
        """Drop the nodes made since a mark that none of the kept ones is made of."""
        since = list(takewhile(lambda node: node.index >= mark, reversed(self._nodes.values())))
        kept = set(ancestors(keep))
        for node in since:
            if node not in kept:
                del self._nodes[node.name]

    def _unused(self, full: str) -> str:
        """The name, with a number behind it where it is taken by a node or a scope."""
        if full not in self._nodes and full not in self._suffixes:
            return full
        number = self._suffixes.get(full, 0)
        while (candidate := f"{full}_{number + 1}") in self._nodes or candidate in self._suffixes:
            number += 1
        self._suffixes[full] = number + 1
        return candidate

    # ---- reading -------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order they were made, which is a topological order."""
        return tuple(self._nodes.values())

    @property
    def variables(self) -> list[Variable]:
        """The variables, trainable or not."""
        return [node for node in self._nodes.values() if isinstance(node, Variable)]

    def __getitem__(self, name: str) -> Node:
        try:
            return self._nodes[name]
        except KeyError:
            raise GraphError(f"no node is named {name!r}{_near(name, self._nodes)}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"Graph of {len(self)} nodes, seed {self.seed}, on {self.device}"

    # ---- running, step by step, as a learner does ----------------------------------------------

    @overload
    def forward(
        self, outputs: Node, feeds: Mapping[Node, Any] | None = None, *, training: bool = True
    ) -> Array: ...
    @overload
    def forward(
        self,
        outputs: Sequence[Node],
        feeds: Mapping[Node, Any] | None = None,
        *,
        training: bool = True,
    ) -> list[Array]: ...
    def forward(
        self,
        outputs: Node | Sequence[Node],
        feeds: Mapping[Node, Any] | None = None,
        *,
        training: bool = True,
    ) -> Array | list[Array]:
        """Compute nodes; every node on the way keeps its value in `node.value`.

        Args:
            outputs: A node or a sequence of nodes.
            feeds: An array for each input that is needed.
            training: Whether dropout, batch normalization and the like train.

        Returns:
            The value of the node, or a list of values.

        Raises:
            FeedError: An input is missing, or what is fed does not fit it.
        """
        wanted = [outputs] if isinstance(outputs, Node) else list(outputs)
        program = self._forward(tuple(wanted), training)
        arrays = accept_feeds(self, program.inputs, feeds or {})
        self.kept_values = program.trace(list(arrays.values()))
        self.kept_gradients, self._at_inference = {}, not training
        values = [self.kept_values[node] for node in wanted]
        return values[0] if isinstance(outputs, Node) else values

    def backward(self, target: Node) -> None:
        """Compute the gradient of a target with respect to every node it is made of.

        Each node but constants keeps it in `node.gradient`.

        Raises:
            GraphError: `forward` did not compute the target.
        """
        if target not in self.kept_values:
            raise GraphError(
                f"backward: {target!r} has no value yet",
                hint="call graph.forward(target, feeds) first",
            )
        if target not in self._slopes:
            nodes = [
                node
                for node in ancestors([target])
                if node.spec.floating and not isinstance(node, Constant)
            ]
            found = zip(nodes, gradients(target, nodes), strict=True)
            self._slopes[target] = {node: slope for node, slope in found if slope is not None}
        slopes = self._slopes[target]
        for node in slopes if self._at_inference else ():
            if node.inference() is not node:
                raise GraphError(
                    f"backward: {node!r} has no gradient at inference",
                    hint="call graph.forward(target, feeds) without training=False",
                )
        program = self._backwards.get(target)
        if program is None or program.inputs != tuple(self.kept_values):
            program = Interpreter(tuple(self.kept_values), list(slopes.values()), training=True)
            self._backwards[target] = program
        arrays = program.run(list(self.kept_values.values()))
        self.kept_gradients = dict(zip(slopes, arrays, strict=True))

    def _forward(self, outputs: tuple[Node, ...], training: bool) -> Interpreter:
        """The program that computes outputs, made once."""
        if (outputs, training) not in self._forwards:
            nodes = ancestors(outputs, stand_in=itself if training else at_inference)
            inputs = [node for node in nodes if isinstance(node, Input)]
            self._forwards[outputs, training] = Interpreter(inputs, outputs, training=training)
        return self._forwards[outputs, training]

    # ---- state ---------------------------------------------------------------------------------

    @property
    def counter(self) -> Variable:
        """The number of runs so far, from which random operators draw: an ordinary variable."""
        if "random/counter" not in self:
            with self, self.scope("random", absolute=True):
                Variable(0, dtype="int64", trainable=False, name="counter")
        counter = self["random/counter"]
        assert isinstance(counter, Variable)
        return counter

    def key(self, name: str) -> int:
        """A 64-bit key for the random stream of that name, from the graph's seed."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    def stream(self, name: str) -> np.random.Generator:
        """A random stream of its own for that name, from the graph's seed."""
        return np.random.Generator(np.random.Philox(key=self.key(name)))

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """A copy of every variable's array, by name."""
        return {node.name: to_host(node.value).copy() for node in self.variables}

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Give the variables the arrays of that name; nothing changes where one does not fit.

        Args:
            state: Arrays by variable name, as `state_dict` gives them.
            strict: Whether names that are missing or unexpected are refused.

        Raises:
            GraphError: Entries are missing, unexpected, or of another shape or kind: all are named
                at once.
        """
        mine = {node.name: node for node in self.variables}
        arrays = {name: as_native(array) for name, array in state.items()}
        problems = [
            f"mismatched  {name}: {mine[name].spec} here, {array.shape} {array.dtype} in the state"
            for name, array in arrays.items()
            if name in mine and not mine[name].takes(array)
        ]
        if strict:
            problems += [f"missing     {name}" for name in mine if name not in state]
            problems += [f"unexpected  {name}" for name in state if name not in mine]
        if problems:
            raise GraphError(
                f"load_state_dict: {len(problems)} entries do not fit; nothing was changed",
                rows=tuple(problems),
                hint="build the same graph, or give strict=False to load what fits by name",
            )
        for name, array in arrays.items():
            if name in mine:
                mine[name].value = array

    # ---- looking upward: these import the parts above inside their bodies -----------------------

    def draw(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Draw the graph to a file: see `matrixslow.render.draw`."""
        from matrixslow.render import draw

        draw(self, path, **options)

    def summary(self, *, depth: int = 1, width: int | None = None) -> str:
        """The table of layers, output shapes and parameters: see `matrixslow.render.summary`."""
        from matrixslow.render import summary

        return summary(self, depth=depth, width=width)

    def dump(self, *, width: int | None = None) -> str:
        """Every node in a line: see `matrixslow.render.dump`."""
        from matrixslow.render import dump

        return dump(self, width=width)

    def to_networkx(self) -> networkx.DiGraph:
        """The graph as networkx sees it: see `matrixslow.render.to_networkx`."""
        from matrixslow.render import to_networkx

        return to_networkx(self)

    def _repr_svg_(self) -> str:
        """The picture of the graph, which a notebook shows."""
        from matrixslow.render.notebook import graph_svg

        return graph_svg(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write structure and arrays to files: see `matrixslow.io.save`."""
        from matrixslow.io import save

        save(self, path)


def accept_feeds(
    graph: Graph, outputs: Sequence[Node], feeds: Mapping[Node, Any]
) -> dict[Node, Array]:
    """The arrays for the inputs that the outputs need, each checked.

    Raises:
        FeedError: An input is missing, a key is no input of the graph, or an array does not fit.
    """
    for key in feeds:
        if not isinstance(key, Input) or key.graph is not graph:
            inputs = [node.name for node in graph.nodes if isinstance(node, Input)]
            hint = f"its inputs are: {', '.join(inputs)}" if inputs else "it has no inputs"
            if key in inputs:
                hint = f"feed the node, not its name: {{graph[{key!r}]: array}}"
            raise FeedError(f"only inputs of this graph can be fed, not {key!r}", hint=hint)
    needed = [node for node in ancestors(outputs) if isinstance(node, Input)]
    missing = [node for node in needed if node not in feeds]
    if missing:
        raise FeedError(
            f"{len(missing)} of {len(needed)} inputs are not fed",
            rows=tuple(f"missing  {node!r}   {node.site}" for node in missing),
            hint="give an array for each: {node: array, ...}",
        )
    return {node: node.accept(feeds[node]) for node in needed}


def _check_name(name: str) -> str:
    parts = name.split("/") if isinstance(name, str) else [""]
    if not all(part and part.isprintable() and part == part.strip() for part in parts):
        raise ArgumentError(
            f"not a name: {name!r}", hint='give printable text, with "/" between scopes'
        )
    return name


def _near(name: str, names: Mapping[str, Node]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
