"""Confusion matrices: which class was taken for which."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from matrixslow.errors import ArgumentError
from matrixslow.render.chart import EDGE, TEXT, TITLE, check_svg, heading, heading_width, write_svg
from matrixslow.render.lettering import shorten, text_width, xml
from matrixslow.render.shades import BLUES
from matrixslow.render.sheet import n

ROOM = 560.0
"""What the cells of a large matrix share."""

LEAST, MOST = 18.0, 64.0
"""The sides of the smallest and the largest cell."""


def confusion_matrix(
    matrix: ArrayLike,
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    title: str = "",
) -> None:
    """Draw a confusion matrix to an SVG file: a row for each true class, shaded by its shares.

    Each cell shows its number; more about it is told where the pointer rests on it.

    Args:
        matrix: The number of samples of class i that were predicted to be of class j, at [i, j]:
            the result of `ms.metrics.ConfusionMatrix`.
        path: Where to write; an old file is replaced when the new one is complete.
        classes: The names of the classes; their numbers by default.
        title: A line above the matrix.

    Raises:
        ArgumentError: The path does not end in .svg, the matrix is not square or holds a negative
            number, or the names are too few or too many.

    >>> ms.render.confusion_matrix([[9, 1], [2, 8]], "matrix.svg", classes=["cat", "dog"])
    """
    check_svg("confusion_matrix", path)
    counts = np.asarray(matrix, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ArgumentError(
            f"confusion_matrix: a square matrix is needed, {counts.shape} came",
            hint="give the result of ms.metrics.ConfusionMatrix",
        )
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ArgumentError(
            "confusion_matrix: numbers of samples are finite and not negative",
            hint="give counts, not scores",
        )
    names = [shorten(str(name), 24) for name in classes or range(len(counts))]
    if len(names) != len(counts):
        raise ArgumentError(
            f"confusion_matrix: {len(names)} names for {len(counts)} classes",
            hint="give a name for each class, or none",
        )
    cell = min(max(ROOM / len(names), LEAST), MOST)
    widest = max(text_width(name, TEXT) for name in names)
    upright = widest > cell - 6
    left = EDGE + widest + 8
    top = EDGE + TITLE * bool(title) + 18
    side = cell * len(names)
    below = top + side + (widest + 12 if upright else 20)
    parts = [
        *heading(title),
        f'<text x="{n(EDGE)}" y="{n(top - 10)}">true</text>',
        *_cells(counts, names, left, top, cell),
        *_names(names, left, top, cell, upright=upright),
        f'<text class="m" x="{n(left + side / 2)}" y="{n(below + 16)}">predicted</text>',
    ]
    width = max(left + side + EDGE, heading_width(title))
    write_svg(path, title or "confusion matrix", parts, width, below + EDGE + 4)


def _cells(
    counts: np.ndarray, names: Sequence[str], left: float, top: float, cell: float
) -> Iterator[str]:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        x, y = left + column * cell, top + row * cell
        told = f"{names[row]}, taken for {names[column]}: {count:g}, {share:.1%} of its row"
        number = f"{count:.4g}" if count or cell > 30 else ""
        small = " small" if text_width(number, TEXT) > cell - 4 else ""
        yield (
            f"<g><title>{xml(told)}</title>"
            f'<rect x="{n(x)}" y="{n(y)}" width="{n(cell - 1)}" height="{n(cell - 1)}" '
            f'fill="{BLUES.hex(share)}"/>'
            f'<text class="m {"ondark" if share > 0.55 else "onlight"}{small}" '
            f'x="{n(x + cell / 2)}" y="{n(y + cell / 2 + 4)}">{number}</text></g>'
        )


def _names(
    names: Sequence[str], left: float, top: float, cell: float, *, upright: bool
) -> Iterator[str]:
    for place, name in enumerate(names):
        middle, bottom = place * cell + cell / 2, top + len(names) * cell
        yield f'<text class="e" x="{n(left - 8)}" y="{n(top + middle + 4)}">{xml(name)}</text>'
        if upright:
            x, y = n(left + middle + 4), n(bottom + 8)
            yield f'<text class="e" transform="translate({x} {y})rotate(-90)">{xml(name)}</text>'
        else:
            yield f'<text class="m" x="{n(left + middle)}" y="{n(bottom + 16)}">{xml(name)}</text>'
