"""The tables of lowerings, from operator class to what says how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from matrixslow.compiler.indices import Axis, Index
from matrixslow.compiler.loops import Kernel
from matrixslow.compiler.symbols import Symbol
from matrixslow.core.node import Node

if TYPE_CHECKING:
    from matrixslow.compiler.fusion import Plan

Indices = tuple[Index, ...]


class Read(Protocol):
    """Gives the element of the n-th input at a position."""

    def __call__(self, number: int, index: Indices) -> Symbol:
        """The element."""


Formula = Callable[[Node, Read, Indices], Symbol]
"""One element of a node's value, from elements of its inputs."""


Scatter = Callable[[Node, Read, Indices], tuple[Indices, Symbol]]
"""Where an element of the last input goes in the node's value, and whether it goes there."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """A value whose elements each combine many terms.

    Attributes:
        axes: What is looped over for one element.
        ufunc: "add", "maximum", "minimum" or "multiply".
        initial: The value of no terms.
        term: One term, from the position of the element.
        finish: What becomes of the combined terms.
    """

    axes: tuple[Axis, ...]
    ufunc: str
    initial: float
    term: Callable[[Read, Indices], Symbol]
    finish: Callable[[Symbol], Symbol] = lambda x: x


@dataclass(frozen=True, slots=True)
class Table:
    """Lowerings by the name of the operator.

    Attributes:
        maps: Each element comes from elements of the inputs by a formula.
        reductions: Each element combines many terms.
        scatters: Elements of the last input replace some of the first.
        products: Kernels of another form: matrix products, several loops one after the other.
        checks: Raise Unsupported where the options of a scatter or product are not covered.
    """

    maps: dict[str, Formula] = field(default_factory=dict)
    reductions: dict[str, Callable[[Node], Reduction]] = field(default_factory=dict)
    scatters: dict[str, Scatter] = field(default_factory=dict)
    products: dict[str, Callable[[Plan, Node], list[Kernel]]] = field(default_factory=dict)
    checks: dict[str, Callable[[Node], None]] = field(default_factory=dict)

    def joined(self, other: Table) -> Table:
        """Both tables as one."""
        return Table(
            {**self.maps, **other.maps},
            {**self.reductions, **other.reductions},
            {**self.scatters, **other.scatters},
            {**self.products, **other.products},
            {**self.checks, **other.checks},
        )


def sizes(node: Node) -> tuple[int, ...]:
    """The shape of a node, all of whose sizes are known."""
    assert None not in node.shape
    return tuple(size for size in node.shape if size is not None)
