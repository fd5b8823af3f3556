"""Sheet: an SVG file around a picture, and its style sheet for light and dark screens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from matrixslow.render.lettering import xml


def svg_file(
    kind: str, title: str, style: str, parts: Iterable[str], *, width: float, height: float
) -> str:
    """The text of an SVG file.

    Args:
        kind: The class of the picture's outermost element.
        title: What the file is called where a reader shows or speaks it.
        style: A style sheet, which colours `.paper`.
        parts: What is in the picture.
        width: In pixels.
        height: In pixels.
    """
    size = f"{n(width)} {n(height)}"
    lines = [
        f'<svg class="{kind}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'width="{n(width)}" height="{n(height)}" role="img">',
        f"<title>{xml(title)}</title>",
        f"<style>{style}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def n(number: float) -> str:
    """The number with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0")


def style_sheet(kind: str, light: Iterable[str], dark: Iterable[str]) -> str:
    """The rules as one style sheet that touches nothing outside pictures of their kind.

    A notebook may show pictures of several kinds in one document, where rules hold for all of it.

    Args:
        kind: The class of the pictures' outermost elements.
        light: Rules, such as ".a path{fill:#fff}".
        dark: What is different where the screen is dark.

    >>> style_sheet("chart", ["text,.a{fill:#000}"], ["text{fill:#fff}"])
    '.chart text,.chart .a{fill:#000}@media (prefers-color-scheme:dark){.chart text{fill:#fff}}'
    """
    return f"{_within(kind, light)}@media (prefers-color-scheme:dark){{{_within(kind, dark)}}}"


def _within(kind: str, rules: Iterable[str]) -> str:
    def selectors(found: re.Match[str]) -> str:
        return ",".join(f".{kind} {selector}" for selector in found[1].split(",")) + "{"

    return re.sub(r"([^{}]+)\{", selectors, "".join(rules))
