"""Shapes: points, curves and rectangles, in pixels, y downwards."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]

Curve = tuple[Point, ...]
"""Control points of joined cubic Bezier curves: a start, then three points for each curve."""

Arrow = tuple[Point, Point]
"""An arrow head: the middle of its base, and its tip."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle: its left upper corner and its size."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.top + self.height

    @property
    def middle(self) -> float:
        """The x of the middle."""
        return self.left + self.width / 2


def upright(x: float, top: float, bottom: float) -> Curve:
    """A straight line down."""
    return (x, top), (x, top), (x, bottom), (x, bottom)


def bent(start: Point, end: Point) -> Curve:
    """A line to a lower point, upright at both ends."""
    (x1, y1), (x2, y2) = start, end
    middle = (y1 + y2) / 2
    return (x1, y1), (x1, middle), (x2, middle), (x2, y2)


def turned(start: Point, end: Point, depth: float) -> Curve:
    """A line that turns back: it goes so far beyond its start, upwards where that is negative."""
    (x1, y1), (x2, y2) = start, end
    return (x1, y1), (x1, y1 + depth), (x2, y1 + depth), (x2, y2)
