"""Curves: a line chart as plain SVG, for training histories."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from matrixslow.errors import ArgumentError
from matrixslow.files import write_text
from matrixslow.render.axes import count_axis, log_axis, value_axis
from matrixslow.render.chart import HEIGHT, INKS, WIDTH, Chart, check_svg, marker, svg_text
from matrixslow.render.sheet import n

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
    check_svg("line_chart", path)
    if not series:
        raise ArgumentError("line_chart: there is no curve to draw", hint="give {name: numbers}")
    write_text(path, line_chart_svg(series, title, x_label, y_label, log=log, first=first))


def line_chart_svg(
    series: Mapping[str, Sequence[float]],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    *,
    log: bool = False,
    first: float = 1,
) -> str:
    """The text of the SVG file that `line_chart` writes."""
    curves = {
        name: [y if _fits(y, log=log) else math.nan for y in map(float, numbers)]
        for name, numbers in series.items()
    }
    shown = [y for numbers in curves.values() for y in numbers if not math.isnan(y)]
    ends = (min(shown), max(shown)) if shown else (1.0, 2.0)
    longest = max(map(len, curves.values()))
    chart = Chart(
        count_axis(first, first + max(longest - 1, 0)),
        log_axis(*ends) if log else value_axis(*ends),
    )
    parts = [
        *chart.heading(title),
        *chart.legend(list(curves) if len(curves) > 1 else []),
        *chart.axes(x_label, y_label),
        *(_curve(chart, index, ys, first) for index, ys in enumerate(curves.values())),
    ]
    if not shown:
        middle = f'x="{n(WIDTH / 2)}" y="{n(HEIGHT / 2)}"'
        parts.append(f'<text class="m" {middle}>no finite number to draw</text>')
    return svg_text(title or ", ".join(curves), parts, WIDTH, HEIGHT)


def _fits(y: float, *, log: bool) -> bool:
    """Whether a number can be drawn; beyond 1e300, differences are no longer finite."""
    return abs(y) <= 1e300 and (y > 1e-300 or not log)


def _curve(chart: Chart, index: int, numbers: Sequence[float], first: float) -> str:
    """One curve, in pieces where numbers are missing; a lone number is a marker."""
    points = [
        None if math.isnan(y) else (chart.x(first + place), chart.y(y))
        for place, y in enumerate(numbers)
    ]
    path, marks, joined = [], [], False
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point is None:
            joined = False
            continue
        path.append(f"{'L' if joined else 'M'}{n(point[0])} {n(point[1])}")
        joined = True
        if len(points) <= MARKED or (before is None and after is None):
            marks.append(marker(index, *point))
    return f'<g class="c{index % len(INKS)}"><path d="{"".join(path)}"/>{"".join(marks)}</g>'
