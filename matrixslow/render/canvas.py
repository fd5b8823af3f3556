"""Canvas: a painting as matplotlib draws it, where graphviz is not installed."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matrixslow.errors import MissingExtra
from matrixslow.render.paint import Line, Painting, Words

INCH = 96.0
"""The pixels of an inch; a picture of dots has twice as many dots."""

LARGEST = 60_000
"""The most dots that a side may have; matplotlib takes no more than 65,536."""

FONTS = ("Helvetica", "Arial", "Noto Sans", "DejaVu Sans", "Noto Sans CJK SC", "PingFang SC",
         "Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei")  # fmt: skip
"""The fonts to look for, for letters and for Chinese ones; "DejaVu Sans" is always there."""


def paint(painting: Painting, form: str) -> bytes:
    """The file that matplotlib makes of a painting.

    Args:
        painting: What is drawn.
        form: "png" or "pdf".

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.font_manager import get_font_names
    except ImportError as error:
        raise MissingExtra(
            "matplotlib is not installed", hint="pip install 'matrixslow[pictures]'"
        ) from error
    dots = min(2 * INCH, INCH * LARGEST / max(painting.width, painting.height))
    figure = Figure(figsize=(painting.width / INCH, painting.height / INCH), dpi=dots)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, painting.width)
    axes.set_ylim(painting.height, 0)
    known = frozenset(get_font_names())
    fonts = [font for font in FONTS if font in known]
    for height, mark in enumerate(painting.marks):
        if isinstance(mark, Line):
            axes.add_patch(_patch(mark, height))
        else:
            _write(axes, mark, fonts, height)
    file = BytesIO()
    # Without a date the same picture is the same file.
    figure.savefig(file, format=form, metadata={"CreationDate": None} if form == "pdf" else None)
    return file.getvalue()


def _patch(line: Line, height: int) -> Any:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    codes = [Path.MOVETO, *[Path.CURVE4] * (len(line.curve) - 1)]
    points = 72 / INCH
    return PathPatch(
        Path(line.curve, codes),
        facecolor=line.fill or "none",
        edgecolor=line.stroke or "none",
        linewidth=line.thickness * points,
        linestyle=(0, [length / line.thickness for length in line.dashes]) if line.dashes else "-",
        zorder=height,
    )


def _write(axes: Any, words: Words, fonts: list[str], height: int) -> None:
    axes.text(
        *words.at,
        words.text,
        fontsize=words.size * 72 / INCH,
        fontfamily=fonts,
        fontweight="bold" if words.bold else "normal",
        color=words.colour,
        horizontalalignment="center" if words.centred else "left",
        verticalalignment="baseline",
        parse_math=False,
        zorder=height,
    )
