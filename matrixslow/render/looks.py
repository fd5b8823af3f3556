"""Looks: the colours and strokes of pictures, for light and dark paper, for print and all eyes."""

from __future__ import annotations

from dataclasses import dataclass

from matrixslow.render.item import Category

PAPER, DARK_PAPER = "#ffffff", "#15181c"


@dataclass(frozen=True, slots=True)
class Look:
    """How a category is drawn: fill and stroke, on light and dark paper, and the stroke's kind."""

    fill: str
    stroke: str
    dark_fill: str
    dark_stroke: str
    dashes: str = ""
    thickness: float = 1.3


# The hues are those of M. Okabe and K. Ito, "Color universal design" (2008), which people of every
# kind of colour vision tell apart; outline and stroke say the same again in black and white.
LOOKS: dict[Category, Look] = {
    Category.INPUT: Look("#d9ecf8", "#0072b2", "#12384f", "#56b4e9"),
    Category.VARIABLE: Look("#fdebc8", "#b57500", "#46330d", "#e69f00"),
    Category.CONSTANT: Look("#f0f0f0", "#6b6b6b", "#2c2f33", "#a0a0a0", dashes="1.5 2.5"),
    Category.OPERATOR: Look("#ffffff", "#45505c", "#262b31", "#b4bec8"),
    Category.OUTPUT: Look("#f7f3c4", "#7d7400", "#3d3a12", "#e8dc4a"),
    Category.LOSS: Look("#fbdccb", "#c44e00", "#4d2410", "#ff8c42", thickness=2.6),
    Category.GRADIENT: Look("#d5f0e6", "#00795a", "#0f3b30", "#2fc79a", dashes="5 3"),
    Category.UPDATE: Look("#f6deec", "#a3427d", "#44203a", "#e08fbf"),
    Category.REFERENCE: Look("none", "#6b7580", "none", "#98a3ae", dashes="2 2", thickness=1.0),
}
