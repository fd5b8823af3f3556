"""Learning rates as functions of the number of steps done. Each is made of nodes of the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np

from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Input
from matrixslow.core.node import Node
from matrixslow.errors import ArgumentError
from matrixslow.ops import Cos, Floor, Less, Min, Where


class Schedule(ABC):
    """A learning rate that changes with the number of steps.

    >>> ms.optimizers.StepDecay(0.1, every=2, factor=0.5).values(range(5))
    array([0.1  , 0.1  , 0.05 , 0.05 , 0.025])
    """

    @abstractmethod
    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps: from a float64 scalar node, another one."""

    def values(self, steps: Iterable[int]) -> np.ndarray:
        """The learning rates after those numbers of steps, to print or plot."""
        with Graph() as graph:
            count = Input((None,), dtype="float64")
            rate = self(count)
        rates: np.ndarray = graph.forward(rate, {count: list(steps)})
        return rates


@dataclass(frozen=True, slots=True)
class StepDecay(Schedule):
    """initial * factor**floor(steps / every)."""

    initial: float
    every: int
    factor: float = 0.1

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        return self.initial * self.factor ** Floor(steps / self.every)


@dataclass(frozen=True, slots=True)
class ExponentialDecay(Schedule):
    """initial * factor**(steps / every)."""

    initial: float
    every: int
    factor: float = 0.1

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        return self.initial * self.factor ** (steps / self.every)


@dataclass(frozen=True, slots=True)
class CosineDecay(Schedule):
    """From `initial` to `final` along half a cosine, within `total` steps; then it stays.

    Source: Loshchilov and Hutter, "SGDR" (2017), equation 5.
    """

    initial: float
    total: int
    final: float = 0.0

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        progress = Min(steps / self.total, 1.0)
        return self.final + (self.initial - self.final) * 0.5 * (1.0 + Cos(pi * progress))


@dataclass(frozen=True, slots=True)
class PiecewiseConstant(Schedule):
    """rates[i] until boundaries[i] steps are done, the last rate from then on."""

    boundaries: Sequence[int]
    rates: Sequence[float]

    def __post_init__(self) -> None:
        """Hold the two sequences to each other."""
        if len(self.rates) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstant: {len(self.boundaries)} boundaries and {len(self.rates)} rates",
                hint="give one rate more than boundaries",
            )

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        rate = 0.0 * steps + self.rates[-1]
        for boundary, earlier in zip(self.boundaries[::-1], self.rates[-2::-1], strict=True):
            rate = Where(Less(steps, float(boundary)), earlier, rate)
        return rate


@dataclass(frozen=True, slots=True)
class WarmUp(Schedule):
    """The first `steps` steps rise in a line to where another schedule begins; then it follows.

    Step number k of the rise has (k + 1) / steps of the first rate.

    Source: Goyal et al., "Accurate, Large Minibatch SGD" (2017), section 2.2.
    """

    after: Schedule | float
    steps: int

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        rise = Min((steps + 1.0) / self.steps, 1.0)
        if isinstance(self.after, Schedule):
            late = steps - float(self.steps)
            return rise * self.after(Where(Less(late, 0.0), 0.0, late))
        return rise * self.after
