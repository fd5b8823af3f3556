"""Draw: a graph to a picture file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from matrixslow.core import Graph, Node
from matrixslow.errors import ArgumentError, MissingExtra
from matrixslow.files import replacing
from matrixslow.render.canvas import paint
from matrixslow.render.dot import DotFailure, run_dot, to_background, to_dot
from matrixslow.render.heat import Heat, Profile, read_profile
from matrixslow.render.item import Item, nodes_of, read_items
from matrixslow.render.layout import arrange
from matrixslow.render.page import to_html
from matrixslow.render.paint import read_svg
from matrixslow.render.picture import SCREEN, Fold, Picture, make_picture
from matrixslow.render.svg import to_svg

Engine = Literal["own", "graphviz"]

TALLEST, FEWEST = 900.0, 8
"""How many pixels a picture that is folded by default may be high, and how many boxes it keeps at
any height."""

SUFFIXES = (".svg", ".html", ".dot", ".png", ".pdf")


def draw(
    target: Graph | Node | Sequence[Node],
    path: str | os.PathLike[str],
    *,
    fold: Fold = None,
    gradients: bool = False,
    values: bool = False,
    profile: Profile | None = None,
    engine: Engine = "own",
) -> None:
    """Draw a graph to a file; its suffix says how: .svg, .html, .dot, .png or .pdf.

    An .html page needs no network: it zooms, unfolds scopes, finds nodes by name, and says of each
    its formula, shape, source line, and the figures of its last value and gradient.

    Scopes are frames. A folded scope is one box, with the number of its nodes and parameters.
    Each kind of node has its own colour and outline, which the legend explains. Edges carry shape
    and dtype; in an .svg, resting the pointer on a box shows where it was built.

    Args:
        target: A graph, or nodes that are drawn with all they are made of.
        path: Where to write; an old file is replaced when the new one is complete.
        fold: How many boxes there may be before scopes are folded, or the names of the scopes to
            fold. By default a graph of more than 100 nodes is folded to what fits on a screen.
        gradients: Whether to draw gradients and updates too, and not the model alone.
        values: Whether boxes show what the last `graph.forward` left, a number or mean ± deviation,
            and the norm of the gradient that `graph.backward` left.
        profile: Seconds by node, as `program.profile(feeds)` gives them: boxes are coloured by the
            time that they take.
        engine: What finds places for the boxes: our "own" layout, or "graphviz" in an .svg, .png or
            .pdf. Where graphviz does not work, an .svg is drawn by our own layout, with a
            RuntimeWarning.

    Raises:
        ArgumentError: An option or the suffix is none of those above, or no name in the profile is
            that of a node.
        MissingExtra: A .png or .pdf is asked for, but graphviz is not installed or fails, and
            matplotlib is not installed either.

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
    if engine == "graphviz" and suffix == ".html":
        raise ArgumentError('draw: engine="graphviz" draws no .html', hint="leave engine out")
    items = read_items(target, values=values)
    heat = None if profile is None else read_profile(profile, (item.name for item in items))
    picture = compose(items, fold=fold, gradients=gradients, heat=heat)
    title = Path(path).stem
    if suffix == ".dot":
        content = to_dot(picture, title=title).encode()
    elif suffix == ".html":
        nodes = nodes_of(target)
        page = to_html(nodes, items, picture, title=title, gradients=gradients, heat=heat)
        content = page.encode()
    elif engine == "graphviz":
        content = _laid_out_by_graphviz(picture, title, suffix)
    else:
        content = _laid_out_by_us(picture, title, suffix)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)


def compose(
    items: Sequence[Item], *, fold: Fold = None, gradients: bool = False, heat: Heat | None = None
) -> Picture:
    """The picture, by default with so much folded that a large graph fits on a screen."""
    picture = make_picture(items, fold=fold, gradients=gradients, heat=heat)
    folded = fold is None and any(box.folded for box in picture.boxes)
    for limit in range(SCREEN - 2, FEWEST - 1, -2) if folded else ():
        # Nodes outside of scopes cannot be folded: a picture that has many stays as it is.
        if len(picture.boxes) > 2 * SCREEN or arrange(picture).height <= TALLEST:
            break
        picture = make_picture(items, fold=limit, gradients=gradients, heat=heat)
    return picture


def _laid_out_by_us(picture: Picture, title: str, suffix: str) -> bytes:
    """An SVG file, or what graphviz or else matplotlib makes of all that is in it."""
    text = to_svg(arrange(picture), title=title)
    if suffix == ".svg":
        return text.encode()
    painting = read_svg(text)
    try:
        return run_dot(to_background(painting), suffix[1:], placed=True)
    except DotFailure as failure:
        try:
            return paint(painting, suffix[1:])
        except MissingExtra:
            raise _missing(suffix, failure) from None


def _laid_out_by_graphviz(picture: Picture, title: str, suffix: str) -> bytes:
    try:
        return run_dot(to_dot(picture, title=title), suffix[1:])
    except DotFailure as failure:
        if suffix != ".svg":
            raise _missing(suffix, failure) from None
        reason = f"draw: {failure}; the picture is drawn by our own layout instead"
        warnings.warn(reason, RuntimeWarning, stacklevel=3)
        return _laid_out_by_us(picture, title, suffix)


def _missing(suffix: str, failure: DotFailure) -> MissingExtra:
    return MissingExtra(
        f"draw: {suffix} needs graphviz, but {failure}",
        hint="install graphviz (apt install graphviz, brew install graphviz) or matplotlib "
        "(pip install 'matrixslow[pictures]'), or draw an .svg or .html, which need nothing",
    )
