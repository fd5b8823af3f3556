"""Page: a graph as one HTML file that unfolds, searches and explains itself, without a network."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

from matrixslow.core import Node
from matrixslow.render.docstring import formula, shapes
from matrixslow.render.heat import Heat
from matrixslow.render.item import LEAVES, Item
from matrixslow.render.lettering import xml
from matrixslow.render.numbers import Numbers, measure
from matrixslow.render.picture import Box, Picture, unfold
from matrixslow.render.shapes import Rect
from matrixslow.render.svg import SWATCH, inside, legend, style

KEPT = ("inputs", "scope")
"""What is told of every node; all else is left out where there is nothing to tell."""

LONGEST_OPTION = 80
"""How many letters of an option's value are shown."""


def to_html(
    nodes: Sequence[Node],
    items: Sequence[Item],
    picture: Picture,
    *,
    title: str,
    gradients: bool = False,
    heat: Heat | None = None,
) -> str:
    """The text of an HTML file that shows a graph.

    Args:
        nodes: The nodes.
        items: The same as items.
        picture: What is unfolded at first.
        title: What the page is called.
        gradients: Whether gradients and updates are shown at first.
        heat: How long nodes take.
    """
    whole, folded = unfold(items, heat=heat)
    graph = {
        "nodes": _nodes(nodes, items, whole.boxes, heat),
        "scopes": _scopes(items, whole, folded),
        "formulas": _formulas(nodes),
        "open": [cluster.name for cluster in picture.clusters],
        "gradients": gradients,
    }
    # "<" would end the script that holds the text.
    text = json.dumps(graph, separators=(",", ":")).replace("<", "\\u003c")
    shown = replace(whole, boxes=(*whole.boxes, *folded))
    parts = {
        "title": xml(title),
        "style": style() + _file("viewer.css"),
        "legend": "".join(map(_swatch, *zip(*legend(shown), strict=True))) if shown.boxes else "",
        "graph": text,
        "script": _file("arrange.js") + _file("viewer.js"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("viewer.html"))


def _file(name: str) -> str:
    return resources.files("matrixslow.render").joinpath(name).read_text("utf-8")


def _swatch(kind: str, meaning: str, paths: str) -> str:
    width, height = SWATCH.width + 6, SWATCH.height + 5
    return (
        f'<span><svg class="graph" width="{width}" height="{height}" '
        f'viewBox="-2 -1 {width} {height}" aria-hidden="true">'
        f'<g class="{kind}">{paths}</g></svg>{xml(meaning)}</span>'
    )


def _nodes(
    nodes: Sequence[Node], items: Sequence[Item], boxes: Sequence[Box], heat: Heat | None
) -> list[dict[str, Any]]:
    number = {node: index for index, node in enumerate(nodes)}
    seconds = heat.seconds if heat else {}
    found = []
    for node, item, box in zip(nodes, items, boxes, strict=True):
        facts = {
            **_drawing(box),
            "operator": item.operator,
            "spec": item.spec,
            "inputs": [number[x] for x in node.inputs],
            "auxiliary": item.auxiliary,
            "parameters": f"{item.parameters:,}" if item.parameters else "",
            "trainable": item.trainable,
            "options": "" if type(node) in LEAVES else _options(node.attributes),
            "value": _rows(measure(node.value)),
            "gradient": _rows(measure(node.gradient)),
            "time": heat.text(seconds[item.name]) if heat and item.name in seconds else "",
            "site": item.built,
            "source": node.site.source,
        }
        found.append({name: fact for name, fact in facts.items() if fact or name in KEPT})
    return found


def _scopes(items: Sequence[Item], whole: Picture, folded: Sequence[Box]) -> list[dict[str, Any]]:
    operators = [Counter[str]() for _ in folded]
    for item, box in zip(items, whole.boxes, strict=True):
        number = box.cluster
        while number >= 0:
            operators[number][item.operator] += 1
            number = folded[number].cluster
    return [
        {
            **_drawing(box),
            "title": cluster.title,
            "lines": box.lines,
            "operators": operators[number].most_common(),
        }
        for number, (cluster, box) in enumerate(zip(whole.clusters, folded, strict=True))
    ]


def _drawing(box: Box) -> dict[str, Any]:
    """What the page needs to draw a box; it finds the place."""
    place = Rect(0, 0, box.width, box.height)
    warm = {} if box.degree is None else {"degree": f"{box.degree}"}
    return {
        "name": box.name,
        "category": box.category,
        "scope": box.cluster,
        "width": round(box.width, 1),
        "face": round(box.face, 1),
        "height": box.height,
        "markup": inside(box, place),
        **warm,
    }


def _options(attributes: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}={value!r:.{LONGEST_OPTION}}" for name, value in attributes.items())


def _formulas(nodes: Sequence[Node]) -> dict[str, dict[str, str]]:
    """For each operator what its docstring says of formula and shapes."""
    kinds = {type(node): None for node in nodes}
    return {kind.__name__: {"formula": formula(kind), "shapes": shapes(kind)} for kind in kinds}


def _rows(numbers: Numbers | None) -> list[tuple[str, str]]:
    return numbers.rows() if numbers else []
