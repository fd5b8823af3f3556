"""Docstring: what an operator's says of its formula and its shapes."""

from __future__ import annotations

import inspect
import re

from matrixslow.core import Node

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Shapes|Source|Yields):|^>>>")
"""Where a section begins."""


def formula(kind: type[Node]) -> str:
    """What the docstring says before its sections: the formula and what goes with it.

    >>> formula(ms.ops.Relu)
    'y = max(x, 0), with slope 0 at 0.'
    """
    return _sections(kind)[""]


def shapes(kind: type[Node]) -> str:
    """What it says of the shapes of inputs and result; empty where it says nothing.

    >>> shapes(ms.ops.Tanh)
    'x (any), y as x.'
    """
    return inspect.cleandoc(_sections(kind).get("Shapes", "").removeprefix("Shapes:"))


def _sections(kind: type[Node]) -> dict[str, str]:
    """The sections by their headings; what comes first has none."""
    lines: dict[str, list[str]] = {"": []}
    heading = ""
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        if found := SECTION.match(line):
            heading = found[1] or ">>>"
            lines.setdefault(heading, [])
        lines[heading].append(line)
    return {heading: "\n".join(part).strip() for heading, part in lines.items()}
