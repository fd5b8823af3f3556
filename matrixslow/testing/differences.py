"""Gradients held against central differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from matrixslow.backend import Array, to_device, to_host
from matrixslow.core.gradient import gradients
from matrixslow.core.graph import Graph, accept_feeds
from matrixslow.core.interpreter import Interpreter
from matrixslow.core.leaf import Constant, Input, Variable
from matrixslow.core.node import Node, operator
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, DTypeError

HostArray = np.ndarray[Any, Any]

FLOOR = 1e-3
"""A sum smaller than this part of its largest term is compared relative to that part."""

ROUNDING = 1e-14
"""How far a sum of float64 numbers may be off, relative to its value."""


def check_gradients(
    target: Node,
    nodes: Sequence[Node],
    feeds: Mapping[Node, Any] | None = None,
    *,
    order: int = 2,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Compare the gradients of a target with central differences, order by order.

    With random weights u and directions v, v', ... of the seed,

        f0 = <u, target>,   f1 = <gradient of f0, v>,   f2 = <gradient of f1, v'>,   ...

    and each is compared with the one before it: f1(x) with (f0(x + hv) - f0(x - hv)) / 2h. Two
    runs for each order see an error in any entry; after a failure such an entry is looked for.

    Args:
        target: A node of any shape, smooth around the values at hand.
        nodes: With respect to what: float64 variables and inputs.
        feeds: An array for each input that is needed.
        order: Up to which order.
        step: The step h of the differences. A smaller one, as 1e-7, crosses fewer of the kinks of
            a large model with Relu or pooling.
        tolerance: The error allowed, relative to the larger of the two numbers.
        seed: Chooses weights and directions.

    Raises:
        AssertionError: A gradient is wrong; the text names such an entry.
        ArgumentError: A node is neither a variable nor an input.
        DTypeError: A node is not float64: float32 has too few digits for differences.

    >>> with ms.Graph():
    ...     x = ms.Variable([0.5, 2.0], dtype="float64")
    ...     ms.testing.check_gradients(x * x * x, [x])
    """
    _check(nodes)
    rng = np.random.default_rng(seed)
    arrays = _leaf_arrays(target, nodes, feeds or {})
    with _left_as_found(target.graph):
        weights = _random(rng, _run([target], arrays)[0])
        function = weighted_sum([target], [weights])
        for degree in range(1, order + 1):
            slopes = gradients(function, nodes)
            directions = [_random(rng, arrays[node]) for node in nodes]
            comparison = _Comparison(function, nodes, slopes, arrays, step)
            error, along = comparison.along(directions)
            if not error <= tolerance:
                raise AssertionError(
                    f"the gradient of order {degree} of {target!r} is wrong\n"
                    f"  {comparison.wrong_entry(directions, tolerance)}\n"
                    f"  along a random direction: {along} (step {step:g})"
                )
            pairs = [(s, v) for s, v in zip(slopes, directions, strict=True) if s is not None]
            if not pairs:
                break
            function = weighted_sum(*zip(*pairs, strict=True))


def weighted_sum(nodes: Sequence[Node], weights: Sequence[HostArray]) -> Node:
    """All entries of all nodes, each times its weight, added up to one number."""
    zero = Constant(0.0, dtype=nodes[0].dtype)
    terms = [operator("SumLike")(x * w, zero) for x, w in zip(nodes, weights, strict=True)]
    return sum(terms[1:], start=terms[0])


class _Comparison:
    """A function of leaves, with its slopes by rule and by differences."""

    def __init__(
        self,
        function: Node,
        nodes: Sequence[Node],
        slopes: Sequence[Node | None],
        arrays: Mapping[Node, HostArray],
        step: float,
    ) -> None:
        self.program = Interpreter(tuple(arrays), [function], training=True)
        self.nodes = nodes
        self.arrays = arrays
        self.step = step
        values = iter(_run([slope for slope in slopes if slope is not None], arrays))
        self.slopes = [
            np.zeros(arrays[node].shape) if slope is None else next(values)
            for node, slope in zip(nodes, slopes, strict=True)
        ]

    def along(self, directions: Sequence[HostArray]) -> tuple[float, str]:
        """The relative error of the slope along directions, and both numbers in words."""
        terms = [float((s * v).sum()) for s, v in zip(self.slopes, directions, strict=True)]
        high, low = self._moved(directions, self.step), self._moved(directions, -self.step)
        rule, found = sum(terms), (high - low) / (2 * self.step)
        rounding = ROUNDING * max(abs(high), abs(low)) / self.step
        scale = max(abs(rule), abs(found), FLOOR * max(map(abs, terms), default=0.0)) or 1.0
        words = f"the rule gives {rule:.6g}, differences give {found:.6g}"
        return (abs(rule - found) - rounding) / scale, words

    def wrong_entry(self, directions: Sequence[HostArray], tolerance: float) -> str:
        """An entry with an error, in words, found by halving the directions that show it."""
        flat = np.concatenate([v.ravel() for v in directions])
        low, high = 0, flat.size
        while high - low > 1:
            middle = (low + high) // 2
            first, second = self._part(flat, low, middle), self._part(flat, middle, high)
            low, high = (low, middle) if first >= second else (middle, high)
        if not self._part(np.ones(flat.size), low, high) > tolerance:
            return "no single entry stands out"
        units = self._unflattened(np.arange(flat.size) == low)
        place = next(i for i, unit in enumerate(units) if unit.any())
        index = tuple(int(i) for i in np.argwhere(units[place])[0])
        return f"for example {self.nodes[place].name!r} at {index}: {self.along(units)[1]}"

    def _part(self, flat: HostArray, low: int, high: int) -> float:
        """The relative error along some of the entries."""
        chosen = np.zeros(flat.size)
        chosen[low:high] = flat[low:high]
        return float(np.nan_to_num(self.along(self._unflattened(chosen))[0], nan=np.inf))

    def _unflattened(self, flat: HostArray) -> list[HostArray]:
        shapes = [self.arrays[node].shape for node in self.nodes]
        parts = np.split(flat, np.cumsum([prod(shape) for shape in shapes])[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _moved(self, directions: Sequence[HostArray], length: float) -> float:
        moved = {
            node: self.arrays[node] + length * direction
            for node, direction in zip(self.nodes, directions, strict=True)
        }
        return float(to_host(self.program.run(_feeds({**self.arrays, **moved}))[0]))


def _check(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if not isinstance(node, (Input, Variable)):
            raise ArgumentError(
                f"check_gradients: {node!r} is neither a variable nor an input",
                hint="give the variables and inputs that differences are to move",
            )
        if node.dtype != np.float64:
            raise DTypeError(
                f"check_gradients: {node!r} is not float64, and differences need its digits",
                hint='build the graph with dtype="float64"',
            )


def _leaf_arrays(
    target: Node, nodes: Sequence[Node], feeds: Mapping[Node, Any]
) -> dict[Node, HostArray]:
    """The array of each variable and input: what it holds, or what is fed."""
    reached = ancestors([target, *nodes])
    held = {node: to_host(node.value) for node in reached if isinstance(node, Variable)}
    fed = accept_feeds(target.graph, reached, feeds)
    return held | {node: to_host(array) for node, array in fed.items()}


def _run(outputs: Sequence[Node], arrays: Mapping[Node, HostArray]) -> list[HostArray]:
    program = Interpreter(tuple(arrays), outputs, training=True)
    return [to_host(value) for value in program.run(_feeds(arrays))]


def _feeds(arrays: Mapping[Node, HostArray]) -> list[Array]:
    return [to_device(array, node.device) for node, array in arrays.items()]


def _random(rng: np.random.Generator, like: HostArray) -> HostArray:
    return np.asarray(rng.standard_normal(like.shape))


@contextmanager
def _left_as_found(graph: Graph) -> Iterator[None]:
    """Build in a scope of the graph; in the end drop it, and what runs did to variables."""
    held = [(variable, variable.value) for variable in graph.variables]
    mark = graph.mark()
    try:
        with graph, graph.scope("check_gradients", unique=True):
            yield
    finally:
        graph.prune(mark, [])
        for variable, array in held:
            variable.value = array
