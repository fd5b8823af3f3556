"""Axes: where numbers lie, and round ticks for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: the numbers at its ends, its ticks, and whether it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def fraction(self, number: float) -> float:
        """Where a number lies: 0 at the low end, 1 at the high one."""
        low, high = self.low, self.high
        if self.log:
            low, high, number = math.log10(low), math.log10(high), math.log10(number)
        return (number - low) / (high - low)

    def labels(self) -> list[str]:
        """The ticks as text, with as many decimals as tell them apart."""
        return tick_labels(self.ticks, log=self.log)


def tick_step(low: float, high: float, *, most: int) -> float:
    """The least of 1, 2 or 5 times a power of ten that makes at most so many steps.

    >>> tick_step(0.0, 1.0, most=6)
    0.2
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))


def tick_labels(ticks: Sequence[float], *, log: bool = False) -> list[str]:
    """Ticks as short text, with as many digits as tell them apart.

    >>> tick_labels([0.0, 0.5, 1.0])
    ['0.0', '0.5', '1.0']
    """
    if log or len(ticks) < 2:
        return [f"{tick:.3g}" for tick in ticks]
    largest, step = max(map(abs, ticks)), min(b - a for a, b in itertools.pairwise(ticks))
    power = math.floor(math.log10(step) + 1e-9)
    if largest >= 1e6 or largest < 1e-3:
        digits = math.floor(math.log10(largest) + 1e-9) - power + 1
        return [f"{tick:.{digits}g}" for tick in ticks]
    return [f"{tick:.{max(0, -power)}f}" for tick in ticks]


def count_axis(low: float, high: float) -> Axis:
    """The axis for counts from one number to another."""
    if low == high:
        return Axis(low - 1, high + 1, (low,))
    step = max(round(tick_step(low, high, most=10)), 1)
    start = math.ceil(low / step) * step
    return Axis(low, high, tuple(range(start, math.floor(high) + 1, step)))


def value_axis(low: float, high: float) -> Axis:
    """The axis for numbers from one to another, whose ends are ticks."""
    if high - low <= max(1e-12 * max(abs(low), abs(high)), 1e-300):
        margin = abs(low) / 2 if abs(low) > 1e-300 else 1.0
        low, high = low - margin, high + margin
    step = tick_step(low, high, most=6)
    ends = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(index * step for index in range(ends[0], ends[1] + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def log_axis(low: float, high: float) -> Axis:
    """The logarithmic axis for numbers from one to another, both above 0; its ends are decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    stride = math.ceil((last - first) / 8)
    times = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [10.0**power * factor for power in range(first, last, stride) for factor in times]
    return Axis(10.0**first, 10.0**last, (*ticks, 10.0**last), log=True)
