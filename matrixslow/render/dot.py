"""Graphviz: a picture as DOT text, and what its program `dot` makes of that."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict

from matrixslow.errors import MissingExtra
from matrixslow.render.heat import WARMTHS
from matrixslow.render.item import Category
from matrixslow.render.looks import LOOKS
from matrixslow.render.picture import Picture

SECONDS = 20.0
"""How long `dot` may take."""

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


def run_dot(source: str, form: str) -> bytes:
    """What `dot` makes of DOT text, in one of its output formats.

    Raises:
        DotFailure: It is absent, failed, or took too long.
    """
    program = shutil.which("dot")
    if program is None:
        raise DotFailure("the program dot is not on the PATH")
    try:
        done = subprocess.run(
            [program, f"-T{form}"], input=source.encode(), capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise DotFailure(f"dot took more than {SECONDS:g} seconds") from error
    except OSError as error:
        raise DotFailure(f"dot does not start: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DotFailure(f"dot ended with exit code {done.returncode}: {' '.join(said[-1:])}")
    return done.stdout
