"""Graphviz: a picture as DOT text, and what its program `dot` makes of that."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator

from matrixslow.errors import MissingExtra
from matrixslow.render.heat import WARMTHS
from matrixslow.render.item import Category
from matrixslow.render.looks import LOOKS
from matrixslow.render.paint import Line, Painting, Words
from matrixslow.render.picture import Picture
from matrixslow.render.shapes import Point

SECONDS = 20.0
"""How long `dot` may take."""

POINTS = 0.75
"""The points of a pixel, at 96 pixels to the inch."""

KEEP_PLACES = ("-Kneato", "-n2")
"""What makes `dot` leave everything where the text puts it."""

DOTS = 192.0
"""The dots to the inch of a picture that is made of dots: two for a pixel."""

RAISED = 0.2
"""How far above its baseline graphviz writes a text, in sizes of the font."""

LONG_DASH = 3.0
"""From how many pixels on a dash is no dot."""

SHAPES = {
    Category.INPUT: "oval",
    Category.VARIABLE: "box3d",
    Category.CONSTANT: "box",
    Category.OUTPUT: "hexagon",
    Category.LOSS: "hexagon",
    Category.UPDATE: "octagon",
}


class DotFailure(Exception):
    """Why the program `dot` gave no result, in words."""


def to_dot(picture: Picture, *, title: str = "computation graph") -> str:
    """The picture as DOT text, for graphviz and other readers.

    Args:
        picture: What is drawn.
        title: The name of the graph in the text.

    Raises:
        MissingExtra: The Python package graphviz is not installed.
    """
    try:
        import graphviz
    except ImportError as error:
        raise MissingExtra(
            "DOT text is made by the package graphviz, which is not installed",
            hint="pip install graphviz",
        ) from error
    graph = graphviz.Digraph(title)
    graph.attr("graph", fontname="Helvetica", fontsize="11", ranksep="0.4", nodesep="0.3")
    graph.attr(label=graphviz.escape(picture.note), labeljust="l")
    graph.attr("node", fontname="Helvetica", fontsize="12", height="0.4")
    graph.attr("edge", fontname="Helvetica", fontsize="9", color="#7b8794", arrowsize="0.7")
    boxes: defaultdict[int, list[int]] = defaultdict(list)
    for number, box in enumerate(picture.boxes):
        boxes[box.cluster].append(number)
    subgraphs = {-1: graph}
    for number, cluster in enumerate(picture.clusters):
        part = graphviz.Digraph(f"cluster_{number}")
        part.attr(
            label=graphviz.escape(cluster.title), color="#9aa5b0", style="rounded", labeljust="l"
        )
        subgraphs[number] = part
    for number, part in subgraphs.items():
        for index in boxes[number]:
            box = picture.boxes[index]
            look = LOOKS[box.category]
            dashes = ("dashed",) if look.dashes else ()
            rounded = ("rounded",) if box.category is Category.GRADIENT else ()
            warmth = WARMTHS[box.degree] if box.degree is not None else None
            part.node(
                f"n{index}",
                graphviz.escape("\n".join((box.title, *box.lines))),
                shape=SHAPES.get(box.category, "box"),
                style=",".join(("filled", *dashes, *rounded)),
                fillcolor=warmth.fill if warmth else look.fill,
                fontcolor=warmth.text if warmth else "#1c2126",
                color=look.stroke,
                penwidth=str(look.thickness),
                peripheries="2" if box.folded else "1",
                tooltip=graphviz.escape(box.detail),
            )
    for number in reversed(range(len(picture.clusters))):
        subgraphs[picture.clusters[number].parent].subgraph(subgraphs[number])
    for tail, head in picture.edges:
        graph.edge(f"n{tail}", f"n{head}", label=graphviz.escape(picture.boxes[tail].label))
    return str(graph.source)


def to_background(painting: Painting) -> str:
    """DOT text of a graph that has nothing but a painting as its background.

    So graphviz draws what we have laid out, in the formats that it knows.
    """
    strokes = [word for mark in painting.marks for word in _strokes(mark, painting.height)]
    # The scanner of DOT text takes short strings only, and joins them where "+" stands between.
    drawing = '" +\n"'.join(f"{stroke} ".replace('"', '\\"') for stroke in strokes)
    corners = (0.0, 0.0), (painting.width * POINTS, painting.height * POINTS)
    nodes = "".join(
        f'n{number} [shape=point style=invis width=0 height=0 pos="{x:.2f},{y:.2f}!"]\n'
        for number, (x, y) in enumerate(corners)
    )
    return f'graph {{\ngraph [pad=0 margin=0 dpi={DOTS:g} _background="{drawing}"]\n{nodes}}}\n'


def _strokes(mark: Line | Words, height: float) -> Iterator[str]:
    """The words that draw a mark, in the language of graphviz' xdot format, y upwards."""

    def place(point: Point) -> str:
        return f"{point[0] * POINTS:.2f} {(height - point[1]) * POINTS:.2f}"

    if isinstance(mark, Words):
        # The scanner of DOT text doubles backslashes, and xdot counts letters.
        text = mark.text.replace("\\", "\N{FULLWIDTH REVERSE SOLIDUS}")
        font = "Helvetica-Bold" if mark.bold else "Helvetica"
        yield f"c {_counted(mark.colour)} F {mark.size * POINTS:.2f} {_counted(font)}"
        at = mark.at[0], mark.at[1] + RAISED * mark.size  # graphviz writes above the line
        yield f"T {place(at)} {'0' if mark.centred else '-1'} 0 {_counted(text)}"
        return
    yield f"S {_counted(f'setlinewidth({mark.thickness * POINTS if mark.stroke else 0:.2f})')}"
    kind = "dotted" if mark.dashes and mark.dashes[0] < LONG_DASH else "dashed"
    yield f"S {_counted(kind if mark.dashes else 'solid')}"
    yield f"c {_counted(mark.stroke or mark.fill)}"
    if mark.fill:
        yield f"C {_counted(mark.fill)}"
    letter = "b" if mark.fill else "B"
    yield f"{letter} {len(mark.curve)} {' '.join(map(place, mark.curve))}"


def _counted(text: str) -> str:
    return f"{len(text.encode())} -{text}"


def run_dot(source: str, form: str, *, placed: bool = False) -> bytes:
    """What `dot` makes of DOT text, in one of its output formats.

    Args:
        source: The text.
        form: The format, "png".
        placed: Whether the text says where everything is.

    Raises:
        DotFailure: It is absent, failed, or took too long.
    """
    program = shutil.which("dot")
    if program is None:
        raise DotFailure("the program dot is not on the PATH")
    try:
        done = subprocess.run(
            [program, f"-T{form}", *(KEEP_PLACES if placed else ())],
            input=source.encode(),
            capture_output=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DotFailure(f"dot took more than {SECONDS:g} seconds") from error
    except OSError as error:
        raise DotFailure(f"dot does not start: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DotFailure(f"dot ended with exit code {done.returncode}: {' '.join(said[-1:])}")
    return done.stdout
