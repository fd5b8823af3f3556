"""Paint: an SVG picture of ours as plain marks, for programs that draw no SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrixslow.render.shapes import Curve, Point

SVG = "{http://www.w3.org/2000/svg}"

ROUND = 0.5523
"""How far the control points of a quarter of a circle lie from its ends, in radii."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line in cubic curves, perhaps closed and filled.

    Attributes:
        curve: Its control points.
        closed: Whether it ends where it starts.
        fill: The colour inside, "#rrggbb" or with opacity "#rrggbbaa"; empty for none.
        stroke: The colour of the line; empty for none.
        thickness: Of the line, in pixels.
        dashes: The lengths of its dashes and gaps; empty for a solid line.
    """

    curve: Curve
    closed: bool
    fill: str
    stroke: str
    thickness: float
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text.

    Attributes:
        text: What it says.
        at: Where its baseline is anchored.
        size: The size of the font, in pixels.
        colour: "#rrggbb".
        bold: Whether the letters are bold.
        centred: Whether it is anchored in its middle, and not at its start.
    """

    text: str
    at: Point
    size: float
    colour: str
    bold: bool
    centred: bool


@dataclass(frozen=True, slots=True)
class Painting:
    """A picture as marks, the lowest first, in pixels, y downwards."""

    title: str
    width: float
    height: float
    marks: tuple[Line | Words, ...]


def read_svg(text: str) -> Painting:
    """The marks of an SVG file that `to_svg` wrote, in its colours for light paper."""
    root = ElementTree.fromstring(text)
    rules = _rules(root.findtext(f"{SVG}style", ""))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    marks: list[Line | Words] = []
    pending = [(element, (0.0, 0.0), [root]) for element in reversed(root)]
    while pending:
        element, (x, y), around = pending.pop()
        shift = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if shift:
            x, y = x + float(shift[1]), y + float(shift[2])
        chain = [*around, element]
        match element.tag.removeprefix(SVG):
            case "g" | "a" | "svg":
                pending += [(inner, (x, y), chain) for inner in reversed(element)]
            case "rect":
                marks += _lines(_rectangle(element, width, height), (x, y), _style(chain, rules))
            case "path":
                marks += _lines(element.attrib["d"], (x, y), _style(chain, rules))
            case "text":
                at = x + float(element.attrib["x"]), y + float(element.attrib["y"])
                marks.append(_words(element, at, _style(chain, rules)))
    return Painting(root.findtext(f"{SVG}title", ""), width, height, tuple(marks))


# ---- styles ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule of a style sheet: parts of its selector, from outside, and what it sets."""

    parts: tuple[str, ...]
    settings: Mapping[str, str]

    @property
    def weight(self) -> tuple[int, int]:
        """Which rule wins: by classes, then by tags."""
        classes = sum(part.count(".") for part in self.parts)
        return classes, sum(not part.startswith(".") for part in self.parts)

    def fits(self, chain: Sequence[ElementTree.Element]) -> bool:
        """Whether it holds for the last of elements that are inside each other."""
        if not _is(chain[-1], self.parts[-1]):
            return False
        outer = iter(chain[:-1])
        return all(any(_is(element, part) for element in outer) for part in self.parts[:-1])


def _rules(sheet: str) -> list[_Rule]:
    """The rules for light paper, the weightiest last; those for a pointer are left out."""
    light = sheet.partition("@media")[0]
    rules = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", light):
        settings = dict(setting.split(":", 1) for setting in body.split(";"))
        for selector in selectors.split(","):
            if ":" not in selector:
                rules.append(_Rule(tuple(selector.split()), settings))
    return sorted(rules, key=lambda rule: rule.weight)


def _is(element: ElementTree.Element, part: str) -> bool:
    tag, _, kind = part.partition(".")
    return (not tag or element.tag == SVG + tag) and (
        not kind or kind in element.get("class", "").split()
    )


def _style(chain: Sequence[ElementTree.Element], rules: Sequence[_Rule]) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in rules:
        if rule.fits(chain):
            found.update(rule.settings)
    return found


# ---- marks -------------------------------------------------------------------------------------


def _words(element: ElementTree.Element, at: Point, style: Mapping[str, str]) -> Words:
    return Words(
        text=element.text or "",
        at=at,
        size=float(style["font-size"].removesuffix("px")),
        colour=style["fill"],
        bold=style.get("font-weight") == "600",
        centred=style.get("text-anchor") == "middle",
    )


def _rectangle(element: ElementTree.Element, width: float, height: float) -> str:
    """The outline of a rectangle, which is as large as the picture where it has no size."""
    if "x" not in element.attrib and element.get("width") == "100%":
        return f"M0 0h{width}v{height}h{-width}z"
    x, y, w, h = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
    r = float(element.get("rx", "0"))
    corner = f"a{r} {r} 0 0 1 "
    return (
        f"M{x + r} {y}h{w - 2 * r}{corner}{r} {r}v{h - 2 * r}{corner}{-r} {r}"
        f"h{2 * r - w}{corner}{-r} {-r}v{2 * r - h}{corner}{r} {-r}z"
    )


def _lines(outline: str, shift: Point, style: Mapping[str, str]) -> Iterator[Line]:
    """The lines of a path, moved."""
    fill, stroke = (style.get(name, "none").replace("none", "") for name in ("fill", "stroke"))
    if fill and "fill-opacity" in style:
        fill += f"{round(255 * float(style['fill-opacity'])):02x}"
    dashes = tuple(float(part) for part in style.get("stroke-dasharray", "").split())
    for points, closed in _curves(outline):
        curve = tuple((x + shift[0], y + shift[1]) for x, y in points)
        yield Line(
            curve,
            closed,
            fill if closed else "",
            stroke,
            float(style.get("stroke-width", "1")),
            dashes,
        )


def _curves(outline: str) -> Iterator[tuple[list[Point], bool]]:
    """The control points of each line of a path, and whether it is closed."""
    points: list[Point] = []
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", outline):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]
        if command == "M":
            if points:
                yield points, False
            points = [(numbers[0], numbers[1])]
        elif command == "z":
            yield [*points, *_straight(points[-1], points[0])], True
            points = []
        else:
            points += _segment(command, points[-1], numbers)
    if points:
        yield points, False


def _segment(command: str, start: Point, numbers: Sequence[float]) -> list[Point]:
    """The control points that a command adds, three for each curve."""
    x, y = start
    match command:
        case "H":
            return _straight(start, (numbers[0], y))
        case "h":
            return _straight(start, (x + numbers[0], y))
        case "V":
            return _straight(start, (x, numbers[0]))
        case "v":
            return _straight(start, (x, y + numbers[0]))
        case "L":
            return _straight(start, (numbers[0], numbers[1]))
        case "l":
            return _straight(start, (x + numbers[0], y + numbers[1]))
        case "C":
            return list(zip(numbers[::2], numbers[1::2], strict=True))
        case "a":
            return _quarter(start, numbers[-2], numbers[-1])
    raise AssertionError(command)


def _straight(start: Point, end: Point) -> list[Point]:
    return [start, end, end]


def _quarter(start: Point, dx: float, dy: float) -> list[Point]:
    """A quarter of a circle, clockwise."""
    (x, y), rest = start, 1 - ROUND
    end = (x + dx, y + dy)
    if dx * dy > 0:  # it sets out to the side
        return [(x + ROUND * dx, y), (x + dx, y + rest * dy), end]
    return [(x, y + ROUND * dy), (x + rest * dx, y + dy), end]
