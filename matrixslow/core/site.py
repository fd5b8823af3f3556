"""Site: the user's line that built a node."""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass

OWN = __name__.partition(".")[0] + "."


@dataclass(frozen=True, slots=True)
class Site:
    """A line in a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        # Jupyter runs each cell as a file whose name is a number.
        folder, name = os.path.split(self.file)
        cell = os.path.basename(folder).startswith("ipykernel_")
        return f"{'cell' if cell else name}:{self.line}"

    @property
    def source(self) -> str:
        """The text of the line; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()


def user_site(node: object) -> Site:
    """The innermost line on the stack that is not matrixslow's, nor in the node's constructor."""
    frame = sys._getframe(1)
    while (caller := frame.f_back) and (
        f"{frame.f_globals.get('__name__')}.".startswith(OWN)
        or (frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is node)
    ):
        frame = caller
    return Site(frame.f_code.co_filename, frame.f_lineno)
