"""Shades: numbers as colours, which hold in print and for every kind of colour vision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shades:
    """Colours from the lowest number to the highest, evenly between those given.

    Their lightness rises or falls all the way, so that they are in order without colour too.
    """

    colours: tuple[str, ...]

    def __call__(self, fractions: NDArray[Any]) -> NDArray[np.uint8]:
        """Red, green and blue for fractions from 0 to 1.

        Shapes: fractions (...), colours (..., 3).
        """
        places = np.linspace(0.0, 1.0, len(self.colours))
        anchors = np.array([tuple(bytes.fromhex(colour[1:])) for colour in self.colours])
        channels = [np.interp(fractions, places, anchors[:, channel]) for channel in range(3)]
        return np.stack(channels, axis=-1).round().astype(np.uint8)

    def hex(self, fraction: float) -> str:
        """The colour for one fraction, as "#rrggbb"."""
        return "#" + self(np.array(fraction)).tobytes().hex()


GREYS = Shades(("#000000", "#ffffff"))
"""For pictures: as bright as the number says."""

BLUES = Shades(("#ffffff", "#5fa8d3", "#003f66"))
"""For shares, from nothing to all."""

SIGNED = Shades(("#00204d", "#8a8a86", "#ffea46"))
"""For numbers of both signs: blue for negative, grey for 0, yellow for positive."""
