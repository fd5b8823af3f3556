"""Draw: a graph to a picture file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from matrixslow.core import Graph, Node
from matrixslow.errors import ArgumentError, MissingExtra
from matrixslow.files import replacing, write_text
from matrixslow.render.dot import DotFailure, run_dot, to_dot
from matrixslow.render.item import read_items
from matrixslow.render.layout import arrange
from matrixslow.render.picture import Fold, Picture, make_picture
from matrixslow.render.svg import to_svg

Engine = Literal["auto", "graphviz", "own"]

SUFFIXES = (".svg", ".dot", ".png", ".pdf")


def draw(
    target: Graph | Node | Sequence[Node],
    path: str | os.PathLike[str],
    *,
    fold: Fold = None,
    gradients: bool = False,
    engine: Engine = "auto",
) -> None:
    """Draw a graph to a file; its suffix says how: .svg, .dot, and with graphviz .png and .pdf.

    Scopes are frames. A folded scope is one box, with the number of its nodes and parameters.
    Each kind of node has its own colour and outline, which the legend explains. Edges carry shape
    and dtype; in an .svg, resting the pointer on a box shows where it was built.

    Args:
        target: A graph, or nodes that are drawn with all they are made of.
        path: Where to write; an old file is replaced when the new one is complete.
        fold: How many boxes there may be before scopes are folded, or the names of the scopes to
            fold. By default a graph of more than 100 nodes is folded to what fits on a screen.
        gradients: Whether to draw gradients and updates too, and not the model alone.
        engine: What finds places for the boxes: our "own" layout (.svg only), "graphviz", or
            "auto": our own in an .svg, graphviz in a .png or .pdf. Where graphviz does not work, an
            .svg is drawn by our own layout, with a RuntimeWarning.

    Raises:
        ArgumentError: An option or the suffix is none of those above.
        MissingExtra: A .png or .pdf is asked for, but graphviz is not installed or fails.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     y = x * x
    >>> ms.render.draw(graph, "squares.svg")
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ArgumentError(
            f"draw: no picture format is known for {os.fspath(path)!r}",
            hint=f"end the name in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
        )
    if engine not in get_args(Engine):
        raise ArgumentError(
            f"draw: engine={engine!r}", hint=f"give {', '.join(map(repr, get_args(Engine)))}"
        )
    if engine == "own" and suffix != ".svg":
        raise ArgumentError(
            f'draw: engine="own" draws .svg only, not {suffix}', hint="leave engine out"
        )
    picture = make_picture(read_items(target), fold=fold, gradients=gradients)
    title = Path(path).stem
    if suffix == ".dot":
        write_text(path, to_dot(picture, title=title))
    elif suffix == ".svg" and engine != "graphviz":
        write_text(path, to_svg(arrange(picture), title=title))
    else:
        _draw_by_graphviz(picture, path, title)


def _draw_by_graphviz(picture: Picture, path: str | os.PathLike[str], title: str) -> None:
    suffix = Path(path).suffix.lower()
    try:
        image = run_dot(to_dot(picture, title=title), suffix[1:])
    except DotFailure as failure:
        if suffix != ".svg":
            raise MissingExtra(
                f"draw: {suffix} needs graphviz, but {failure}",
                hint="install graphviz (apt install graphviz, brew install graphviz), "
                "or draw an .svg, which needs nothing",
            ) from None
        reason = f"draw: {failure}; the picture is drawn by our own layout instead"
        warnings.warn(reason, RuntimeWarning, stacklevel=3)
        write_text(path, to_svg(arrange(picture), title=title))
    else:
        with replacing(path) as file:
            file.write(image)
