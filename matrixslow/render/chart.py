"""Charts: the paper, the looks of what is drawn on it, and a plotting area with axes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matrixslow.errors import ArgumentError
from matrixslow.files import write_text
from matrixslow.render.axes import Axis
from matrixslow.render.lettering import FONT, shorten, text_width, xml
from matrixslow.render.looks import DARK_PAPER, PAPER
from matrixslow.render.sheet import n, style_sheet, svg_file

WIDTH, HEIGHT, EDGE = 720.0, 420.0, 24.0
TEXT, HEADING = 12.0, 15.0
TITLE = HEADING + 12
"""The room that a title needs above a chart."""

LONGEST = 80
"""Columns that a title may take."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How a curve or a group is drawn: colour on light and dark paper, and dashes."""

    colour: str
    dark: str
    dashes: str


INKS = (
    Ink("#0072b2", "#56b4e9", ""),
    Ink("#d55e00", "#ff8c42", "7 3"),
    Ink("#00795a", "#2fc79a", "2 3"),
    Ink("#a3427d", "#e08fbf", "9 3 2 3"),
    Ink("#8a6d00", "#e6c34a", "4 2"),
    Ink("#4a545e", "#b3bcc5", "1 2"),
)
"""The inks of curves and groups, in turn."""

MARKERS = 4
LOOKS = len(INKS) * MARKERS
"""How many pairs of an ink and a marker there are: so many groups can be told apart."""


def check_svg(caller: str, path: str | os.PathLike[str]) -> None:
    """Refuse a path that does not end in .svg."""
    if not os.fspath(path).lower().endswith(".svg"):
        raise ArgumentError(
            f"{caller}: {os.fspath(path)!r} is no .svg file", hint="end the name in .svg"
        )


def write_svg(
    path: str | os.PathLike[str], name: str, parts: Iterable[str], width: float, height: float
) -> None:
    """Write a picture of this size, whose parts may use the classes of the style."""
    write_text(path, svg_text(name, parts, width, height))


def svg_text(name: str, parts: Iterable[str], width: float, height: float) -> str:
    """The text of a picture of this size, whose parts may use the classes of the style."""
    return svg_file("chart", name, _style(), parts, width=width, height=height)


def heading(title: str) -> Iterator[str]:
    """The title, on the left above all else."""
    if title:
        text = xml(shorten(title, LONGEST))
        yield f'<text class="title" x="{n(EDGE)}" y="{n(EDGE + 10)}">{text}</text>'


def heading_width(title: str) -> float:
    """How wide a picture must be for its title."""
    return text_width(shorten(title, LONGEST), HEADING) + 2 * EDGE


class Chart:
    """The plotting area; texts placed above it move its top down."""

    def __init__(
        self,
        x_axis: Axis,
        y_axis: Axis,
        *,
        width: float = WIDTH,
        height: float = HEIGHT,
    ) -> None:
        self.x_axis, self.y_axis = x_axis, y_axis
        self.width, self.height = width, height
        widest = max(text_width(label, TEXT) for label in y_axis.labels())
        self.left, self.right = EDGE + widest + 8, width - EDGE
        self.top, self.bottom = EDGE, height - 2 * EDGE

    def heading(self, title: str) -> Iterator[str]:
        """The title, on the left above all else."""
        yield from heading(title)
        self.top += TITLE * bool(title)

    def legend(self, names: Sequence[str], *, lines: bool = True) -> Iterator[str]:
        """The names of curves, each beside a piece of its line, or of groups beside a marker."""
        x = EDGE
        for index, name in enumerate(names):
            name = shorten(name, 60)
            shift = 32 if lines else 16
            needed = shift + text_width(name, TEXT) + 16
            if x + needed > self.right and x > EDGE:
                x, self.top = EDGE, self.top + 20
            line = f'<path d="M{n(x)} {n(self.top)}h24"/>' if lines else ""
            yield (
                f'<g class="c{index % len(INKS)}">{line}'
                f"{marker(index, x + (12 if lines else 4), self.top)}</g>"
                f'<text x="{n(x + shift)}" y="{n(self.top + 4)}">{xml(name)}</text>'
            )
            x += needed
        self.top += 20 if names else 0

    def axes(self, x_label: str, y_label: str) -> Iterator[str]:
        """Grid lines, ticks and labels."""
        if y_label:
            yield f'<text x="{n(EDGE)}" y="{n(self.top + 4)}">{xml(shorten(y_label, 80))}</text>'
            self.top += 18
        for tick, label in zip(self.y_axis.ticks, self.y_axis.labels(), strict=True):
            y = self.y(tick)
            yield (
                f'<path class="grid" d="M{n(self.left)} {n(y)}H{n(self.right)}"/>'
                f'<text class="e" x="{n(self.left - 8)}" y="{n(y + 4)}">{label}</text>'
            )
        for tick, label in zip(self.x_axis.ticks, self.x_axis.labels(), strict=True):
            x = self.x(tick)
            yield (
                f'<path class="axis" d="M{n(x)} {n(self.bottom)}v5"/>'
                f'<text class="m" x="{n(x)}" y="{n(self.bottom + 19)}">{label}</text>'
            )
        yield f'<path class="axis" d="M{n(self.left)} {n(self.bottom)}H{n(self.right)}"/>'
        middle, below = n((self.left + self.right) / 2), n(self.height - 10)
        yield f'<text class="m" x="{middle}" y="{below}">{xml(shorten(x_label, 80))}</text>'

    def x(self, number: float) -> float:
        """Where a number of the axis below lies in the picture."""
        return self.left + (self.right - self.left) * self.x_axis.fraction(number)

    def y(self, number: float) -> float:
        """Where a number of the axis on the left lies in the picture."""
        return self.bottom - (self.bottom - self.top) * self.y_axis.fraction(number)


def marker(index: int, x: float, y: float) -> str:
    """The marker of a curve or group at a place."""
    return f'<path class="mark" d="{marker_path(index, x, y)}"/>'


def marker_path(index: int, x: float, y: float) -> str:
    """The outline of that marker: groups of one ink have different ones."""
    shapes = (
        f"M{n(x - 3)} {n(y)}a3 3 0 1 1 6 0a3 3 0 1 1 -6 0z",
        f"M{n(x - 3)} {n(y - 3)}h6v6h-6z",
        f"M{n(x)} {n(y - 4)}l4 4l-4 4l-4 -4z",
        f"M{n(x)} {n(y - 4)}l4 7h-8z",
    )
    return shapes[(index % len(INKS) + index // len(INKS)) % MARKERS]


def _style() -> str:
    light = [
        f"text{{font-family:{FONT};font-size:{n(TEXT)}px;fill:#4a545e}}",
        f".title{{font-size:{n(HEADING)}px;font-weight:600;fill:#1c2126}}",
        ".m{text-anchor:middle}.e{text-anchor:end}.small{font-size:10px}",
        ".strong{fill:#1c2126}.onlight{fill:#1c2126}.ondark{fill:#ffffff}",
        f".paper{{fill:{PAPER}}}",
        ".grid{stroke:#e3e7eb;stroke-width:1}.axis{stroke:#7b8794;stroke-width:1}",
        "path{fill:none;stroke-width:2;stroke-linejoin:round}",
    ]
    dark = [
        "text{fill:#b3bcc5}.title,.strong{fill:#eef1f4}",
        ".onlight{fill:#1c2126}.ondark{fill:#ffffff}",
        f".paper{{fill:{DARK_PAPER}}}",
        ".grid{stroke:#2d333a}.axis{stroke:#8a96a2}",
    ]
    for index, ink in enumerate(INKS):
        dashes = f";stroke-dasharray:{ink.dashes}" if ink.dashes else ""
        light.append(f".c{index} path{{stroke:{ink.colour}{dashes}}}")
        light.append(f".c{index} .mark{{fill:{ink.colour};stroke:none}}")
        dark.append(f".c{index} path{{stroke:{ink.dark}}}.c{index} .mark{{fill:{ink.dark}}}")
    return style_sheet("chart", light, dark)
