"""SVG: a layout as a standalone picture, for screens light and dark and for print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from matrixslow.render.heat import SHARES, WARMTHS, duration
from matrixslow.render.item import Category
from matrixslow.render.layout import Layout
from matrixslow.render.lettering import FONT, text_width, xml
from matrixslow.render.level import PADDING
from matrixslow.render.looks import DARK_PAPER, LOOKS, PAPER
from matrixslow.render.picture import LINE, SHEET, SMALL, TITLE, Box, Picture
from matrixslow.render.shapes import Arrow, Curve, Point, Rect
from matrixslow.render.sheet import n, style_sheet, svg_file

MARGIN = 24.0

SWATCH = Rect(0, 2, 28, 14)
"""Where the legend has its pictures, in each entry."""

LEGEND = {Category.REFERENCE: "stands for a distant node"}
"""What the legend says where the category's own name does not do."""


def to_svg(layout: Layout, *, title: str = "computation graph") -> str:
    """The text of an SVG file that shows a layout.

    Args:
        layout: The picture with its places.
        title: What the file is called where a reader shows or speaks it.
    """
    legend = _Legend(layout)
    width = max(layout.width, legend.width) + 2 * MARGIN
    height = layout.height + legend.height + 2 * MARGIN
    left = (width - layout.width) / 2
    parts = [
        f'<g transform="translate({n(left)} {n(MARGIN)})">',
        *_clusters(layout),
        *_routes(layout),
        *_boxes(layout),
        "</g>",
        f'<g transform="translate({n(MARGIN)} {n(layout.height + 2 * MARGIN)})">',
        *legend.lines(width - 2 * MARGIN),
        "</g>",
    ]
    return svg_file("graph", title, style(), parts, width=width, height=height)


def style() -> str:
    """The style sheet: light colours, and dark ones where the reader's screen asks for them."""
    light = [
        f"text{{font-family:{FONT};font-size:{n(SMALL)}px;fill:#4a545e}}",
        f".t{{font-size:{n(TITLE)}px;font-weight:600;fill:#1c2126}}",
        ".m{text-anchor:middle}",
        f".paper{{fill:{PAPER}}}",
        ".cluster{fill:#5a6b7c;fill-opacity:.05;stroke:#9aa5b0;stroke-width:1}",
        ".edge path{fill:none;stroke:#7b8794;stroke-width:1.3}",
        ".edge .tip{fill:#7b8794;stroke:none}",
        ".edge:hover path{stroke-width:2.6}",
        *(
            f".{category} path{{fill:{look.fill};stroke:{look.stroke};"
            f"stroke-width:{look.thickness}"
            + (f";stroke-dasharray:{look.dashes}" if look.dashes else "")
            + "}"
            for category, look in LOOKS.items()
        ),
        ".reference text{font-style:italic}",
        *(
            f".h{degree} path{{fill:{warmth.fill}}}.h{degree} text{{fill:{warmth.text}}}"
            for degree, warmth in enumerate(WARMTHS)
        ),
    ]
    dark = [
        "text{fill:#b3bcc5}",
        ".t{fill:#eef1f4}",
        f".paper{{fill:{DARK_PAPER}}}",
        ".cluster{fill:#c8d4e0;fill-opacity:.06;stroke:#59636d}",
        ".edge path{stroke:#8a96a2}",
        ".edge .tip{fill:#8a96a2}",
        *(
            f".{category} path{{fill:{look.dark_fill};stroke:{look.dark_stroke}}}"
            for category, look in LOOKS.items()
        ),
        *(
            f".h{degree} path{{fill:{warmth.dark_fill}}}.h{degree} text{{fill:{warmth.dark_text}}}"
            for degree, warmth in enumerate(WARMTHS)
        ),
    ]
    return style_sheet("graph", light, dark)


def outlines(category: Category, place: Rect, *, folded: bool = False) -> str:
    """The paths of a box: each category has its own outline, and a folded scope a second sheet."""
    if not folded:
        return f'<path d="{outline(category, place)}"/>'
    front = replace(place, width=place.width - SHEET, height=place.height - SHEET)
    back = replace(front, left=place.left + SHEET, top=place.top + SHEET)
    return "".join(f'<path d="{outline(category, sheet)}"/>' for sheet in (back, front))


def outline(category: Category, place: Rect) -> str:
    """The path of a box."""
    x, y, w, h = place.left, place.top, place.width, place.height
    if category is Category.INPUT:
        path = _round(x, y, w, h, h / 2)
    elif category in (Category.OUTPUT, Category.LOSS):
        path = _polygon(x, y, w, h, h / 3, h / 2)
    elif category is Category.UPDATE:
        path = _polygon(x, y, w, h, 9, 9)
    elif category in (Category.VARIABLE, Category.CONSTANT):
        path = _round(x, y, w, h, 0)
    elif category is Category.REFERENCE:
        path = _round(x, y, w, h, h / 2)
    else:
        path = _round(x, y, w, h, 7)
    if category is Category.VARIABLE:
        path += f"M{n(x + 5)} {n(y)}v{n(h)}"
    return path


def _clusters(layout: Layout) -> Iterator[str]:
    for cluster, place in zip(layout.picture.clusters, layout.clusters, strict=True):
        yield (
            f'<g><title>{xml(cluster.name)}</title><rect class="cluster" x="{n(place.left)}" '
            f'y="{n(place.top)}" width="{n(place.width)}" height="{n(place.height)}" rx="10"/>'
            f'<text x="{n(place.left + PADDING)}" y="{n(place.top + 17)}">{xml(cluster.title)}'
            "</text></g>"
        )


def _routes(layout: Layout) -> Iterator[str]:
    names = [box.name for box in layout.picture.boxes]
    heads: dict[int, list[str]] = {}
    for tail, head in layout.picture.edges:
        heads.setdefault(tail, []).append(names[head])
    for route in layout.routes:
        box = layout.picture.boxes[route.tail]
        detail = f"{box.name} {box.label}\nto " + ", ".join(heads[route.tail][:12])
        tips = "".join(map(_tip, route.arrows))
        yield (
            f'<g class="edge"><title>{xml(detail)}</title>'
            f'<path d="{"".join(map(_path, route.curves))}"/><path class="tip" d="{tips}"/></g>'
        )


def _boxes(layout: Layout) -> Iterator[str]:
    numbers: dict[str, int] = {}
    for number, (box, place) in enumerate(zip(layout.picture.boxes, layout.boxes, strict=True)):
        origin = numbers.setdefault(box.name, number)
        heat = "" if box.degree is None else f" h{box.degree}"
        group = (
            f'<g class="{box.category}{heat}" id="b{number}"><title>{xml(box.detail)}</title>'
            f"{inside(box, place)}</g>"
        )
        yield group if origin == number else f'<a href="#b{origin}">{group}</a>'
        if box.label:
            x, y = n(place.middle), n(place.bottom + 12.5)
            yield f'<text class="m" x="{x}" y="{y}">{xml(box.label)}</text>'


def inside(box: Box, place: Rect) -> str:
    """The outline and the text of a box."""
    return outlines(box.category, place, folded=box.folded) + _text(box, place)


def _text(box: Box, place: Rect) -> str:
    sheet = SHEET / 2 if box.folded else 0.0
    middle, centre = n(place.middle - sheet), place.top + place.height / 2 - sheet
    kind = "m" if box.category is Category.REFERENCE else "t m"
    y = centre + 4.5 - (LINE + 1) / 2 * len(box.lines)
    parts = [f'<text class="{kind}" x="{middle}" y="{n(y)}">{xml(box.title)}</text>']
    for number, line in enumerate(box.lines):
        below = n(y + LINE + 1.5 + LINE * number)
        parts.append(f'<text class="m" x="{middle}" y="{below}">{xml(line)}</text>')
    return "".join(parts)


def legend(picture: Picture) -> list[tuple[str, str, str]]:
    """What the outlines mean: the class of each, its meaning, and its paths in `SWATCH`."""
    shown = {box.category for box in picture.boxes}
    entries = [
        (f"{c}", LEGEND.get(c, c.value), outlines(c, SWATCH)) for c in Category if c in shown
    ]
    plain, kind = outlines(Category.OPERATOR, SWATCH), Category.OPERATOR
    if any(box.folded for box in picture.boxes):
        entries.append((kind, "folded scope", outlines(kind, SWATCH, folded=True)))
    if picture.heat:
        coldest = f"below {100 * SHARES[0]:g} % of {duration(picture.heat.total)}"
        entries.append((f"{kind} h0", coldest, plain))
        for degree, share in enumerate(SHARES, start=1):
            entries.append((f"{kind} h{degree}", f"from {100 * share:g} %", plain))
    return entries


class _Legend:
    """What the outlines mean, in lines below the picture."""

    def __init__(self, layout: Layout) -> None:
        self.entries = legend(layout.picture)
        self.note = layout.picture.note
        self.widths = [34 + text_width(text, SMALL) + 20 for _, text, _ in self.entries]
        self.width = max([*self.widths, text_width(self.note, SMALL)], default=0.0)
        self.width = max(self.width, min(sum(self.widths), 420.0))
        self.height = 24.0 * (len(self._wrapped(max(layout.width, self.width))) + bool(self.note))

    def lines(self, width: float) -> Iterator[str]:
        """The SVG of the legend, no wider than given."""
        y = 0.0
        for line in self._wrapped(width):
            x = 0.0
            for index in line:
                kind, text, paths = self.entries[index]
                yield (
                    f'<g transform="translate({n(x)} {n(y)})"><g class="{kind}">{paths}</g>'
                    f'<text x="36" y="13">{text}</text></g>'
                )
                x += self.widths[index]
            y += 24
        if self.note:
            yield f'<text x="0" y="{n(y + 13)}">{xml(self.note)}</text>'

    def _wrapped(self, width: float) -> list[list[int]]:
        lines: list[list[int]] = []
        room = 0.0
        for index, needed in enumerate(self.widths):
            if not lines or needed > room:
                lines.append([])
                room = width
            lines[-1].append(index)
            room -= needed
        return lines


def _path(curve: Curve) -> str:
    (x, y), *rest = curve
    parts = [f"M{n(x)} {n(y)}"]
    for index in range(0, len(rest), 3):
        parts.append(_segment(x, *rest[index : index + 3]))
        x = rest[index + 2][0]
    return "".join(parts)


def _segment(start: float, first: Point, second: Point, end: Point) -> str:
    if start == first[0] == second[0] == end[0]:
        return f"V{n(end[1])}"
    return "C" + " ".join(f"{n(x)} {n(y)}" for x, y in (first, second, end))


def _tip(arrow: Arrow) -> str:
    (x1, y1), (x2, y2) = arrow
    across, down = (y2 - y1) / 2, (x1 - x2) / 2
    points = ((x1 + across, y1 + down), (x1 - across, y1 - down), (x2, y2))
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points) + "z"


def _round(x: float, y: float, w: float, h: float, r: float) -> str:
    if not r:
        return f"M{n(x)} {n(y)}h{n(w)}v{n(h)}h{n(-w)}z"
    r = min(r, h / 2, w / 2)
    across, down, arc = n(w - 2 * r), n(h - 2 * r), f"a{n(r)} {n(r)} 0 0 1 "
    return (
        f"M{n(x + r)} {n(y)}h{across}{arc}{n(r)} {n(r)}v{down}{arc}{n(-r)} {n(r)}"
        f"h-{across}{arc}{n(-r)} {n(-r)}v-{down}{arc}{n(r)} {n(-r)}z"
    )


def _polygon(x: float, y: float, w: float, h: float, dx: float, dy: float) -> str:
    """A box with its four corners cut off."""
    dx = min(dx, w / 2)
    dy = min(dy, h / 2)
    return (
        f"M{n(x + dx)} {n(y)}h{n(w - 2 * dx)}l{n(dx)} {n(dy)}v{n(h - 2 * dy)}"
        f"l{n(-dx)} {n(dy)}h{n(2 * dx - w)}l{n(-dx)} {n(-dy)}v{n(2 * dy - h)}z"
    )
