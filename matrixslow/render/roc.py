"""ROC curves: what a classifier gains and what it pays at every threshold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matrixslow.errors import ArgumentError
from matrixslow.render.axes import value_axis
from matrixslow.render.chart import INKS, Chart, check_svg, write_svg
from matrixslow.render.sheet import n

RATES = ("false_positive_rate", "true_positive_rate")
SIDE = 480.0


def roc_curves(
    curves: Mapping[str, Mapping[str, ArrayLike]],
    path: str | os.PathLike[str],
    *,
    title: str = "",
) -> None:
    """Draw ROC curves to an SVG file, with the areas under them and the line of mere chance.

    Args:
        curves: The result of `ms.metrics.RocCurve` for each classifier, by its name.
        path: Where to write; an old file is replaced when the new one is complete.
        title: A line above the chart.

    Raises:
        ArgumentError: The path does not end in .svg, there is no curve, or a curve lacks rates.

    >>> roc = {"false_positive_rate": [0, 0, 0.5, 1], "true_positive_rate": [0, 0.5, 1, 1]}
    >>> ms.render.roc_curves({"dense": roc}, "roc.svg")
    """
    check_svg("roc_curves", path)
    if not curves:
        raise ArgumentError("roc_curves: there is no curve to draw", hint="give {name: curve}")
    rates = {name: _rates(name, curve) for name, curve in curves.items()}
    axis = value_axis(0.0, 1.0)
    chart = Chart(axis, axis, width=SIDE + 40, height=SIDE + 90)
    names = [f"{name}: area {np.trapezoid(y, x):.3f}" for name, (x, y) in rates.items()]
    parts = [
        *chart.heading(title),
        *chart.legend(names),
        *chart.axes(
            "false positives: share of the negative", "true positives: share of the positive"
        ),
        f'<path class="axis" stroke-dasharray="2 4" d="M{n(chart.x(0))} {n(chart.y(0))}'
        f'L{n(chart.x(1))} {n(chart.y(1))}"/>',
    ]
    for index, (x, y) in enumerate(rates.values()):
        points = [f"{n(chart.x(a))} {n(chart.y(b))}" for a, b in _corners(x, y)]
        parts.append(f'<g class="c{index % len(INKS)}"><path d="M{"L".join(points)}"/></g>')
    write_svg(path, title or "ROC: " + ", ".join(curves), parts, SIDE + 40, SIDE + 90)


def _rates(name: str, curve: Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
    missing = [rate for rate in RATES if rate not in curve]
    if missing:
        raise ArgumentError(
            f"roc_curves: curve {name!r} has no {' and no '.join(missing)}",
            hint="give the result of ms.metrics.RocCurve",
        )
    rates = [np.asarray(curve[rate], np.float64) for rate in RATES]
    if rates[0].shape != rates[1].shape or rates[0].ndim != 1 or not rates[0].size:
        raise ArgumentError(
            f"roc_curves: the rates of curve {name!r} differ in shape, "
            f"{rates[0].shape} and {rates[1].shape}",
            hint="give the result of ms.metrics.RocCurve",
        )
    if not all(((rate >= 0) & (rate <= 1)).all() for rate in rates):
        raise ArgumentError(
            f"roc_curves: a rate of curve {name!r} is not between 0 and 1",
            hint="rates are nan where there are no samples of a class: judge samples of both",
        )
    return rates


def _corners(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """The points without those in the middle of an upright or level stretch."""
    points = np.stack([x, y], axis=1)
    steps = np.diff(points, axis=0) != 0
    bends = (steps[1:] != steps[:-1]).any(axis=1) | steps[1:].all(axis=1)
    kept: NDArray[Any] = points[np.concatenate([[True], bends, [True]])[-len(points) :]]
    return kept
