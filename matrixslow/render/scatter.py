"""Points in the plane: embeddings, and data of two features."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matrixslow.errors import ArgumentError
from matrixslow.render.axes import value_axis
from matrixslow.render.chart import INKS, LOOKS, Chart, check_svg, marker_path, write_svg
from matrixslow.render.lettering import shorten, text_width, xml
from matrixslow.render.sheet import n

WIDTH, HEIGHT = 720.0, 560.0
SMALL = 10.0


def scatter(
    points: ArrayLike,
    path: str | os.PathLike[str],
    *,
    groups: Sequence[object] = (),
    names: Sequence[str] = (),
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> None:
    """Draw points to an SVG file, such as the rows of an embedding.

    Points of more than two coordinates are seen from where they spread most: on their two
    principal axes. The labels then say which share of the spread each axis shows.

    Args:
        points: A row for each point.
        path: Where to write; an old file is replaced when the new one is complete.
        groups: The group of each point, such as its class; groups differ in colour and marker.
        names: A text beside each point.
        title: A line above the chart.
        x_label: What the axis below measures.
        y_label: What the axis on the left measures.

    Shapes: points (count, 2 or more).

    Raises:
        ArgumentError: The path does not end in .svg, the points have another layout or are not
            finite, there are too many groups to tell apart, or `groups` or `names` does not fit.

    >>> table = np.random.default_rng(0).normal(size=(4, 8))
    >>> ms.render.scatter(table, "words.svg", names=["red", "blue", "one", "two"])
    """
    check_svg("scatter", path)
    places = np.asarray(points, np.float64)
    if places.ndim != 2 or places.shape[1] < 2 or not places.size:
        raise ArgumentError(
            f"scatter: points (count, 2 or more) are needed, {places.shape} came",
            hint="give a row for each point",
        )
    if not np.isfinite(places).all():
        raise ArgumentError(
            "scatter: a coordinate is NaN or infinite", hint="leave such points out"
        )
    for word, given in (("groups", groups), ("names", names)):
        if len(given) not in (0, len(places)):
            raise ArgumentError(
                f"scatter: {len(given)} {word} for {len(places)} points",
                hint=f"give {word} for all points, or none",
            )
    kinds = list(dict.fromkeys(sorted(map(str, groups), key=_by_number)))
    if len(kinds) > LOOKS:
        raise ArgumentError(
            f"scatter: {len(kinds)} groups, and {LOOKS} can be told apart",
            hint="join some of them, or give names",
        )
    if places.shape[1] > 2:
        places, shares = _principal(places)
        x_label = x_label or f"first principal axis, {shares[0]:.0%} of the spread"
        y_label = y_label or f"second principal axis, {shares[1]:.0%}"
    x, y = places.T
    chart = Chart(
        value_axis(x.min(), x.max()), value_axis(y.min(), y.max()), width=WIDTH, height=HEIGHT
    )
    numbers = np.array([kinds.index(str(group)) for group in groups] or [0] * len(places))
    parts = [
        *chart.heading(title),
        *chart.legend(kinds, lines=False),
        *chart.axes(x_label, y_label),
    ]
    spots = [(chart.x(a), chart.y(b)) for a, b in places.tolist()]
    for index in range(max(len(kinds), 1)):
        shapes = [marker_path(index, *spots[place]) for place in np.flatnonzero(numbers == index)]
        parts.append(
            f'<g class="c{index % len(INKS)}"><path class="mark" fill-opacity="0.75" '
            f'd="{"".join(shapes)}"/></g>'
        )
    parts += _texts(names, spots)
    write_svg(path, title or "points", parts, WIDTH, HEIGHT)


def _by_number(text: str) -> tuple[float, str]:
    """Numbers in their order, and before them what is none."""
    return (float(text) if text.lstrip("-").isdecimal() else -np.inf, text)


def _principal(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The points on their two principal axes, and each axis's share of the variance.

    The sign of an axis is free: the largest coordinate along it is made positive.

    Source: Pearson, "On lines and planes of closest fit to systems of points in space" (1901).
    """
    centred = points - points.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    if len(lengths) < 2:  # a single point
        return np.zeros((len(points), 2)), np.zeros(2)
    seen = centred @ axes[:2].T
    largest = seen[np.abs(seen).argmax(axis=0), [0, 1]]
    shares = lengths[:2] ** 2 / max((lengths**2).sum(), 1e-300)
    return seen * np.where(largest < 0, -1, 1), shares


def _texts(names: Sequence[str], spots: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Each name beside its point, on the side where it covers the least."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    for name, (x, y) in zip(names, spots, strict=False):
        name = shorten(str(name), 30)
        width = text_width(name, SMALL)
        lefts = (x + 7, x - 7 - width, x - width / 2, x - width / 2)
        tops = (y - 6, y - 6, y - 18, y + 6)
        boxes = [
            (left, top, left + width, top + 12)
            for left, top in zip(lefts, tops, strict=True)
            if left >= 0 and left + width <= WIDTH
        ]
        box = min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(box)
        yield f'<text class="small strong" x="{n(box[0])}" y="{n(box[1] + 10)}">{xml(name)}</text>'


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
