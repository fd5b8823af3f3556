"""Text: a graph as a table of layers, or as a line for each node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matrixslow.core import Graph, Node
from matrixslow.errors import ArgumentError
from matrixslow.render.item import Category, Item, read_items
from matrixslow.render.lettering import cell_width, pad, shorten

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


LEAST = 8
"""How far a column of text is cut at most where a line would be too wide."""

SHOWN = 3
"""Of a layer with more kinds of operators only the first and the last are named."""

Cells = tuple[str, ...]


def summary(
    target: Graph | Node | Sequence[Node], *, depth: int = 1, width: int | None = None
) -> str:
    """The table of layers: name, operators, output shape and parameters, and the totals.

    A layer is an outermost scope; nodes outside any scope stand for themselves. What is there for
    training only, as gradients and an optimizer's state, is counted below the table.

    Args:
        target: A graph, or nodes, which come with all they are made of.
        depth: How many scopes deep layers are listed; what is inside a layer stands below it.
        width: The most columns a line takes; by default those of the terminal.

    Raises:
        ArgumentError: The depth is no number from 1 on.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     with graph.scope("double"):
    ...         y = x * ms.Variable([2.0, 2.0])
    >>> print(ms.render.summary(graph))
    layer   operators  output             parameters
    ────────────────────────────────────────────────
    x       Input      (None, 2) float32
    double  Mul        (None, 2) float32           2
    ────────────────────────────────────────────────
    trainable      2 parameters  8 B
    not trainable  0 parameters  0 B
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ArgumentError(f"summary: depth={depth!r}", hint="give depth >= 1")
    items = read_items(target)
    model = [item for item in items if not item.auxiliary]
    cells: list[Cells] = [("layer", "operators", "output", "parameters")]
    cells += [_row(layer) for layer in _layers(model, depth)]
    lines = table(cells, width or shutil.get_terminal_size((100, 24)).columns, numbers=1)
    rule = "─" * max(map(cell_width, lines))
    return "\n".join((lines[0], rule, *lines[1:], rule, *_totals(items)))


def dump(target: Graph | Node | Sequence[Node], *, width: int | None = None) -> str:
    """Every node in a line: name, operator, output, inputs, options, and the line that built it.

    Options that are as by default are left out.

    Args:
        target: A graph, or nodes, which come with all they are made of.
        width: The most columns a line takes; by default as many as are needed.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     y = x * x
    >>> print(ms.render.dump(graph).splitlines()[0])
    name  operator  output             inputs  options  built
    """
    cells: list[Cells] = [("name", "operator", "output", "inputs", "options", "built")]
    for item in read_items(target):
        inputs, options = ", ".join(item.inputs), ", ".join(item.options)
        cells.append((item.name, item.operator, item.spec, inputs, options, item.built))
    return "\n".join(table(cells, width))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A row of the table: a scope, or a node outside any.

    Attributes:
        name: The name inside the scope around it.
        depth: How many scopes are around it.
        items: Its nodes.
    """

    name: str
    depth: int
    items: Sequence[Item]


def _layers(items: Sequence[Item], depth: int, around: str = "") -> Iterator[_Layer]:
    """Nodes by scope, in the order they were made, without constants outside of layers."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        name, slash, _ = item.name[len(around) :].partition("/")
        if slash or item.category is not Category.CONSTANT:
            groups.setdefault(name + slash, []).append(item)
    level = around.count("/")
    for name, group in groups.items():
        yield _Layer(name.rstrip("/"), level, group)
        scope = around + name
        if level + 1 < depth and any("/" in item.name[len(scope) :] for item in group):
            yield from _layers(group, depth, scope)


def _row(layer: _Layer) -> Cells:
    """The row of a layer, whose output is the last of its nodes."""
    leaves = (Category.INPUT, Category.VARIABLE, Category.CONSTANT)
    operators = [item for item in layer.items if item.category not in leaves] or layer.items
    kinds = list(dict.fromkeys(item.operator for item in operators))
    last = operators[-1]
    if len(kinds) > SHOWN:
        kinds = [kinds[0], "…", last.operator]
    parameters = sum(item.parameters for item in layer.items)
    name = "  " * layer.depth + layer.name
    return name, ", ".join(kinds), last.spec, f"{parameters:,}" if parameters else ""


def _totals(items: Sequence[Item]) -> list[str]:
    """The lines below the table."""
    kept = [item for item in items if item.parameters and not item.auxiliary]
    rows = [
        ("trainable", *_amount([item for item in kept if item.trainable], "parameters")),
        ("not trainable", *_amount([item for item in kept if not item.trainable], "parameters")),
    ]
    state = [item for item in items if item.auxiliary and item.parameters]
    if sum(item.parameters for item in state) > 1:  # one alone is the count of runs
        rows.append(("kept for training", *_amount(state, "numbers")))
    return table(rows, None)


def _amount(items: Sequence[Item], unit: str) -> Cells:
    size: float = sum(item.parameters * item.itemsize for item in items)
    power = 0
    while size >= 1024 and power < len(UNITS) - 1:
        size, power = size / 1024, power + 1
    number = f"{size:.1f}" if power else f"{size:.0f}"
    return f"{sum(item.parameters for item in items):,} {unit}", f"{number} {UNITS[power]}"


def table(rows: Sequence[Cells], width: int | None, *, numbers: int = 0) -> list[str]:
    """Rows in columns, two blanks apart; the last so many columns are of numbers, set to the right.

    Where a line would be too wide, the widest columns of text are cut.
    """
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    flexible = range(len(widths) - numbers)
    while width is not None and sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max(flexible, key=widths.__getitem__)
        if widths[widest] <= LEAST:
            break
        widths[widest] -= 1
    lines = []
    for row in rows:
        cells = [
            pad(
                cell if place not in flexible else shorten(cell, room),
                room,
                right=place not in flexible,
            )
            for place, (cell, room) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
