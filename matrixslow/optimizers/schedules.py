"""Learning rates as functions of the number of steps done. Each is made of nodes of the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pi

import numpy as np
from numpy.typing import NDArray

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

    def values(self, steps: Iterable[int]) -> NDArray[np.float64]:
        """The learning rates after those numbers of steps, to print or plot."""
        with Graph() as graph:
            count = Input((None,), dtype="float64")
            rate = self(count)
        rates: NDArray[np.float64] = graph.forward(rate, {count: list(steps)})
        return rates

    def _check(self, **lengths: int) -> None:
        """Refuse a number of steps that is not positive."""
        for name, steps in lengths.items():
            if not steps >= 1:
                raise ArgumentError(f"{type(self).__name__}: {name}={steps}", hint="give 1 or more")


@dataclass(frozen=True, slots=True)
class StepDecay(Schedule):
    """initial * factor**floor(steps / every).

    >>> ms.optimizers.StepDecay(1.0, every=3).values([0, 2, 3, 6])
    array([1.  , 1.  , 0.1 , 0.01])
    """

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a period that is not positive."""
        self._check(every=self.every)

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        return self.initial * self.factor ** Floor(steps / self.every)


@dataclass(frozen=True, slots=True)
class ExponentialDecay(Schedule):
    """initial * factor**(steps / every).

    >>> ms.optimizers.ExponentialDecay(1.0, every=4, factor=0.25).values([0, 2, 4])
    array([1.  , 0.5 , 0.25])
    """

    initial: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a period that is not positive."""
        self._check(every=self.every)

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        return self.initial * self.factor ** (steps / self.every)


@dataclass(frozen=True, slots=True)
class CosineDecay(Schedule):
    """From `initial` to `final` along half a cosine, within `total` steps; then it stays.

    Source: Loshchilov and Hutter, "SGDR" (2017), equation 5.

    >>> ms.optimizers.CosineDecay(1.0, total=4).values([0, 2, 4, 5])
    array([1. , 0.5, 0. , 0. ])
    """

    initial: float
    total: int
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a duration that is not positive."""
        self._check(total=self.total)

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        progress = Min(steps / self.total, 1.0)
        return self.final + (self.initial - self.final) * 0.5 * (1.0 + Cos(pi * progress))


@dataclass(frozen=True, slots=True)
class PiecewiseConstant(Schedule):
    """rates[i] until boundaries[i] steps are done, the last rate from then on.

    >>> ms.optimizers.PiecewiseConstant([2, 4], [1.0, 0.5, 0.1]).values(range(6))
    array([1. , 1. , 0.5, 0.5, 0.1, 0.1])
    """

    boundaries: Sequence[int]
    rates: Sequence[float]

    def __post_init__(self) -> None:
        """Hold the two sequences to each other."""
        if len(self.rates) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstant: {len(self.boundaries)} boundaries and {len(self.rates)} rates",
                hint="give one rate more than boundaries",
            )
        if any(later <= earlier for earlier, later in pairwise(self.boundaries)):
            raise ArgumentError(
                f"PiecewiseConstant: boundaries={self.boundaries!r}",
                hint="give them in ascending order",
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

    >>> ms.optimizers.WarmUp(ms.optimizers.CosineDecay(1.0, total=2), steps=2).values(range(5))
    array([0.5, 1. , 1. , 0.5, 0. ])
    """

    after: Schedule | float
    steps: int

    def __post_init__(self) -> None:
        """Refuse a duration that is not positive."""
        self._check(steps=self.steps)

    def __call__(self, steps: Node) -> Node:
        """The learning rate after that many steps."""
        rise = Min((steps + 1.0) / self.steps, 1.0)
        if isinstance(self.after, Schedule):
            late = steps - float(self.steps)
            return rise * self.after(Where(Less(late, 0.0), 0.0, late))
        return rise * self.after
