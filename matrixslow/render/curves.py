"""Curves: a line chart as plain SVG, for training histories."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrixslow.errors import ArgumentError
from matrixslow.files import write_text
from matrixslow.render.lettering import FONT, shorten, text_width, xml
from matrixslow.render.looks import DARK_PAPER, PAPER

WIDTH, HEIGHT, EDGE = 720.0, 420.0, 24.0
TEXT, HEADING = 12.0, 15.0


@dataclass(frozen=True, slots=True)
class Line:
    """How a curve is drawn: colour on light and dark paper, dashes, and marker."""

    colour: str
    dark: str
    dashes: str
    marker: str


LINES = (
    Line("#0072b2", "#56b4e9", "", "circle"),
    Line("#d55e00", "#ff8c42", "7 3", "square"),
    Line("#00795a", "#2fc79a", "2 3", "diamond"),
    Line("#a3427d", "#e08fbf", "9 3 2 3", "triangle"),
    Line("#8a6d00", "#e6c34a", "4 2", "circle"),
    Line("#4a545e", "#b3bcc5", "1 2", "square"),
)
"""The looks of the curves, in turn."""

MARKED = 30
"""A curve of more points is drawn without markers."""


def line_chart(
    series: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log: bool = False,
    first: float = 1,
) -> None:
    """Draw curves to an SVG file, with axes and, for more than one curve, a legend.

    A curve has a gap where a number is NaN or infinite.

    Args:
        series: The numbers of each curve, by its name; the axis below counts them.
        path: Where to write; an old file is replaced when the new one is complete.
        title: A line above the chart.
        x_label: What the axis below counts.
        y_label: What the axis on the left measures.
        log: Whether the axis on the left is logarithmic; numbers <= 0 are left out of it.
        first: At what number the axis below starts counting.

    Raises:
        ArgumentError: The path does not end in .svg, or there is no curve.

    >>> ms.render.line_chart({"loss": [0.9, 0.5, 0.3]}, "loss.svg", x_label="epoch")
    """
    if not os.fspath(path).lower().endswith(".svg"):
        raise ArgumentError(
            f"line_chart: {os.fspath(path)!r} is no .svg file", hint="end the name in .svg"
        )
    if not series:
        raise ArgumentError("line_chart: there is no curve to draw", hint="give {name: numbers}")
    curves = {
        name: [y if _fits(y, log=log) else math.nan for y in map(float, numbers)]
        for name, numbers in series.items()
    }
    write_text(path, _svg(curves, title, x_label, y_label, log=log, first=first))


def _svg(
    curves: Mapping[str, Sequence[float]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    log: bool,
    first: float,
) -> str:
    shown = [y for numbers in curves.values() for y in numbers if not math.isnan(y)]
    ends = (min(shown), max(shown)) if shown else (1.0, 2.0)
    longest = max(map(len, curves.values()))
    chart = _Chart(
        count_axis(first, first + max(longest - 1, 0)),
        log_axis(*ends) if log else value_axis(*ends),
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(WIDTH)} {_n(HEIGHT)}" '
        f'width="{_n(WIDTH)}" height="{_n(HEIGHT)}" role="img">',
        f"<title>{xml(title or ', '.join(curves))}</title>",
        f"<style>{_style()}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        *chart.heading(title),
        *chart.legend(list(curves) if len(curves) > 1 else []),
        *chart.axes(x_label, y_label),
        *(chart.curve(index, numbers, first) for index, numbers in enumerate(curves.values())),
    ]
    if not shown:
        middle = f'x="{_n(WIDTH / 2)}" y="{_n(HEIGHT / 2)}"'
        lines.append(f'<text class="m" {middle}>no finite number to draw</text>')
    return "\n".join((*lines, "</svg>")) + "\n"


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


def _fits(y: float, *, log: bool) -> bool:
    """Whether a number can be drawn; beyond 1e300, differences are no longer finite."""
    return abs(y) <= 1e300 and (y > 1e-300 or not log)


class _Chart:
    """The plotting area; texts placed above it move its top down."""

    def __init__(self, x_axis: Axis, y_axis: Axis) -> None:
        self.x_axis, self.y_axis = x_axis, y_axis
        widest = max(text_width(label, TEXT) for label in y_axis.labels())
        self.left, self.right = EDGE + widest + 8, WIDTH - EDGE
        self.top, self.bottom = EDGE, HEIGHT - 2 * EDGE

    def heading(self, title: str) -> Iterator[str]:
        """The title, on the left above all else."""
        if title:
            text = xml(shorten(title, 80))
            yield f'<text class="title" x="{_n(EDGE)}" y="{_n(self.top + 10)}">{text}</text>'
            self.top += HEADING + 12

    def legend(self, names: Sequence[str]) -> Iterator[str]:
        """The names of the curves, each beside a piece of its line."""
        x = EDGE
        for index, name in enumerate(names):
            name = shorten(name, 60)
            needed = 32 + text_width(name, TEXT) + 16
            if x + needed > self.right and x > EDGE:
                x, self.top = EDGE, self.top + 20
            yield (
                f'<g class="c{index % len(LINES)}"><path d="M{_n(x)} {_n(self.top)}h24"/>'
                f"{_marker(index, x + 12, self.top)}</g>"
                f'<text x="{_n(x + 32)}" y="{_n(self.top + 4)}">{xml(name)}</text>'
            )
            x += needed
        self.top += 20 if names else 0

    def axes(self, x_label: str, y_label: str) -> Iterator[str]:
        """Grid lines, ticks and labels."""
        if y_label:
            yield f'<text x="{_n(EDGE)}" y="{_n(self.top + 4)}">{xml(shorten(y_label, 80))}</text>'
            self.top += 18
        for tick, label in zip(self.y_axis.ticks, self.y_axis.labels(), strict=True):
            y = self._y(tick)
            yield (
                f'<path class="grid" d="M{_n(self.left)} {_n(y)}H{_n(self.right)}"/>'
                f'<text class="e" x="{_n(self.left - 8)}" y="{_n(y + 4)}">{label}</text>'
            )
        for tick, label in zip(self.x_axis.ticks, self.x_axis.labels(), strict=True):
            x = self._x(tick)
            yield (
                f'<path class="axis" d="M{_n(x)} {_n(self.bottom)}v5"/>'
                f'<text class="m" x="{_n(x)}" y="{_n(self.bottom + 19)}">{label}</text>'
            )
        yield f'<path class="axis" d="M{_n(self.left)} {_n(self.bottom)}H{_n(self.right)}"/>'
        middle, below = _n((self.left + self.right) / 2), _n(HEIGHT - 10)
        yield f'<text class="m" x="{middle}" y="{below}">{xml(shorten(x_label, 80))}</text>'

    def curve(self, index: int, numbers: Sequence[float], first: float) -> str:
        """One curve, in pieces where numbers are missing; a lone number is a marker."""
        points = [
            None if math.isnan(y) else (self._x(first + place), self._y(y))
            for place, y in enumerate(numbers)
        ]
        path, marks, joined = [], [], False
        for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
            if point is None:
                joined = False
                continue
            path.append(f"{'L' if joined else 'M'}{_n(point[0])} {_n(point[1])}")
            joined = True
            if len(points) <= MARKED or (before is None and after is None):
                marks.append(_marker(index, *point))
        return f'<g class="c{index % len(LINES)}"><path d="{"".join(path)}"/>{"".join(marks)}</g>'

    def _x(self, number: float) -> float:
        return self.left + (self.right - self.left) * self.x_axis.fraction(number)

    def _y(self, number: float) -> float:
        return self.bottom - (self.bottom - self.top) * self.y_axis.fraction(number)


def _marker(index: int, x: float, y: float) -> str:
    shapes = {
        "circle": f"M{_n(x - 3)} {_n(y)}a3 3 0 1 1 6 0a3 3 0 1 1 -6 0z",
        "square": f"M{_n(x - 3)} {_n(y - 3)}h6v6h-6z",
        "diamond": f"M{_n(x)} {_n(y - 4)}l4 4l-4 4l-4 -4z",
        "triangle": f"M{_n(x)} {_n(y - 4)}l4 7h-8z",
    }
    return f'<path class="mark" d="{shapes[LINES[index % len(LINES)].marker]}"/>'


def _style() -> str:
    light = [
        f"text{{font-family:{FONT};font-size:{_n(TEXT)}px;fill:#4a545e}}",
        f".title{{font-size:{_n(HEADING)}px;font-weight:600;fill:#1c2126}}",
        ".m{text-anchor:middle}.e{text-anchor:end}",
        f".paper{{fill:{PAPER}}}",
        ".grid{stroke:#e3e7eb;stroke-width:1}.axis{stroke:#7b8794;stroke-width:1}",
        "path{fill:none;stroke-width:2;stroke-linejoin:round}",
    ]
    dark = [
        "text{fill:#b3bcc5}.title{fill:#eef1f4}",
        f".paper{{fill:{DARK_PAPER}}}",
        ".grid{stroke:#2d333a}.axis{stroke:#8a96a2}",
    ]
    for index, line in enumerate(LINES):
        dashes = f";stroke-dasharray:{line.dashes}" if line.dashes else ""
        light.append(f".c{index} path{{stroke:{line.colour}{dashes}}}")
        light.append(f".c{index} .mark{{fill:{line.colour};stroke:none}}")
        dark.append(f".c{index} path{{stroke:{line.dark}}}.c{index} .mark{{fill:{line.dark}}}")
    return "".join(light) + "@media (prefers-color-scheme:dark){" + "".join(dark) + "}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
