"""Notebook: how graphs and nodes show themselves in Jupyter."""

from __future__ import annotations

from matrixslow.core import Graph, Node
from matrixslow.render.docstring import formula
from matrixslow.render.draw import compose
from matrixslow.render.item import LEAVES, read_items
from matrixslow.render.layout import arrange
from matrixslow.render.lettering import shorten, xml
from matrixslow.render.numbers import Numbers, measure
from matrixslow.render.svg import to_svg

MOST_INPUTS = 6
"""How many inputs of a node are listed."""


def graph_svg(graph: Graph) -> str:
    """The picture that `graph.draw` makes of a graph, as the text of an SVG file."""
    return to_svg(arrange(compose(read_items(graph))), title=repr(graph))


def node_html(node: Node) -> str:
    """A card: what a node is, what it is made of, where it was built, what it held last.

    >>> with ms.Graph():
    ...     y = ms.ops.Tanh(ms.Input((2,), name="x"))
    >>> "y = tanh(x)." in node_html(y)
    True
    """
    rows = [("shape", f"<b>{xml(str(node.shape))}</b> {xml(str(node.dtype))}")]
    if type(node) not in LEAVES:
        text = xml(formula(type(node)))
        rows.append(("formula", f'<span style="white-space:pre-wrap">{text}</span>'))
    if node.inputs:
        listed = [_linked(x) for x in node.inputs[:MOST_INPUTS]]
        more = len(node.inputs) - len(listed)
        rows.append(("made of", "<br/>".join([*listed, *([f"and {more} more"] if more else [])])))
    for title, numbers in (("value", measure(node.value)), ("gradient", measure(node.gradient))):
        if numbers is not None:
            rows.append((title, _in_a_line(numbers)))
    source = xml(shorten(node.site.source, 100))
    rows.append(("built", f"{xml(str(node.site))} <code>{source}</code>"))
    cell = 'style="text-align:left;vertical-align:top"'
    lines = [f"<tr><th {cell}>{title}</th><td {cell}>{text}</td></tr>" for title, text in rows]
    kind = xml(type(node).__name__)
    head = f'<tr><th colspan="2" {cell}>{kind} <code>{xml(node.name)}</code></th></tr>'
    return "\n".join(("<table>", head, *lines, "</table>"))


def _linked(node: Node) -> str:
    return xml(f"{node.name}  {type(node).__name__} {node.spec}")


def _in_a_line(numbers: Numbers) -> str:
    rows = numbers.rows()
    return xml(rows[0][1] if len(rows) == 1 else ", ".join(map(" ".join, rows)))
