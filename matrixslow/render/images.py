"""Images side by side: samples of data, learnt filters, what a layer makes of a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matrixslow.errors import ArgumentError
from matrixslow.render.chart import EDGE, TITLE, WIDTH, check_svg, heading, heading_width, write_svg
from matrixslow.render.lettering import shorten, xml
from matrixslow.render.png import data_uri
from matrixslow.render.shades import GREYS, SIGNED, Shades
from matrixslow.render.sheet import n

SMALL = 10.0
GAP = 10.0
SIDE = 72
"""About how large an image is drawn."""


def image_grid(
    images: ArrayLike,
    path: str | os.PathLike[str],
    *,
    labels: Sequence[str] = (),
    columns: int | None = None,
    shared: bool = True,
    title: str = "",
) -> None:
    """Draw images side by side to an SVG file.

    Numbers that are all >= 0 are drawn from black to white. If some are negative, as in filters,
    blue is negative, grey is 0, and yellow is positive; a bar below says how far.

    Args:
        images: One after the other, each with one channel or none, or three: red, green, blue in
            0 to 1.
        path: Where to write; an old file is replaced when the new one is complete.
        labels: A line below each image.
        columns: How many images stand side by side; as many as fit by default.
        shared: Whether one scale serves all images, so that they can be compared; else each has
            a scale of its own.
        title: A line above the images.

    Shapes: images (count, height, width) or (count, channels, height, width).

    Raises:
        ArgumentError: The path does not end in .svg, the images have another layout or hold no
            number, or the labels are too few or too many.

    >>> with ms.Graph(seed=0) as graph:
    ...     _ = ms.layers.conv(ms.Input((None, 1, 28, 28)), 8, kernel=5, name="conv")
    >>> ms.render.image_grid(graph["conv/W"].value, "filters.svg", title="Filters")
    """
    check_svg("image_grid", path)
    pixels = _checked(images)
    names = [str(label) for label in labels]
    if names and len(names) != len(pixels):
        raise ArgumentError(
            f"image_grid: {len(names)} labels for {len(pixels)} images",
            hint="give a label for each image, or none",
        )
    scale = _Scale(pixels)
    zoom = max(1, round(SIDE / max(pixels.shape[2:])))
    height, width = (side * zoom for side in pixels.shape[2:])
    across = width + GAP
    if columns is None:
        columns = max(1, int((WIDTH - 2 * EDGE + GAP) // across))
    if columns < 1:
        raise ArgumentError(f"image_grid: columns={columns}", hint="give 1 or more")
    columns = min(columns, len(pixels))
    down = height + GAP + (14 if names else 0)
    top = EDGE + TITLE * bool(title)
    bar = shared and pixels.shape[1] == 1
    parts = [*heading(title)]
    for place, image in enumerate(pixels):
        row, column = divmod(place, columns)
        x, y = EDGE + column * across, top + row * down
        coloured = (scale if shared else _Scale(image[None])).colours(image)
        large = coloured.repeat(zoom, axis=0).repeat(zoom, axis=1)
        parts.append(
            f'<image x="{n(x)}" y="{n(y)}" width="{width}" height="{height}" '
            f'style="image-rendering:pixelated" href="{data_uri(large)}"/>'
        )
        if names:
            text = xml(shorten(names[place], max(3, int(across / SMALL * 1.7))))
            middle, below = n(x + width / 2), n(y + height + 12)
            parts.append(f'<text class="m small" x="{middle}" y="{below}">{text}</text>')
    bottom = top + -(-len(pixels) // columns) * down
    if bar:
        parts += scale.bar(EDGE, bottom + 6)
        bottom += 34
    wide = max(columns * across + 2 * EDGE - GAP, heading_width(title), 260.0 * bar)
    write_svg(path, title or "images", parts, wide, bottom + EDGE - GAP)


def _checked(images: ArrayLike) -> NDArray[Any]:
    """The images as (count, channels, height, width)."""
    pixels = np.asarray(images, np.float64)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not pixels.size:
        raise ArgumentError(
            f"image_grid: (count, height, width) or (count, 1 or 3, height, width) is needed, "
            f"{np.shape(images)} came",
            hint="take one channel of many: images[:, :1]",
        )
    if not np.isfinite(pixels).all():
        raise ArgumentError(
            "image_grid: a number is NaN or infinite", hint="draw finite numbers: np.nan_to_num"
        )
    return pixels


class _Scale:
    """What colour a number has."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        low, high = float(pixels.min()), float(pixels.max())
        self.shades: Shades = GREYS
        if low < 0:
            self.shades, high = SIGNED, max(high, -low)
            low = -high
        elif pixels.shape[1] == 3 or high <= low:
            low, high = 0.0, max(high, 1.0)
        self.low, self.high = low, high

    def colours(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """(channels, height, width) as (height, width, 3)."""
        fractions = (image - self.low) / (self.high - self.low)
        if len(image) == 1:
            return self.shades(fractions[0])
        return np.moveaxis(np.round(fractions * 255), 0, -1).astype(np.uint8)

    def bar(self, x: float, y: float) -> Iterator[str]:
        """The scale as a strip of colours with the numbers at its ends and in the middle."""
        strip = self.shades(np.linspace(0, 1, 180)[None]).repeat(8, axis=0)
        yield f'<image x="{n(x)}" y="{n(y)}" width="180" height="8" href="{data_uri(strip)}"/>'
        middle = (self.low + self.high) / 2
        for share, number in ((0.0, self.low), (0.5, middle), (1.0, self.high)):
            anchor = ("", " m", " e")[round(2 * share)]
            yield (
                f'<text class="small{anchor}" x="{n(x + 180 * share)}" y="{n(y + 20)}">'
                f"{number:.3g}</text>"
            )
