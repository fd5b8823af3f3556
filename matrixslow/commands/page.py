"""Page: what a command tells its reader, a person or a program."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TextIO

import numpy as np

from matrixslow.render.lettering import cell_width
from matrixslow.render.text import table

WIDTH = 100
"""Columns where the output is no terminal."""


class Page:
    """The output of a command: text and tables, or one JSON object at its end.

    Args:
        as_json: Whether the reader is a program: then only `finish` prints.
        out: Where to; the standard output by default.

    Attributes:
        status: The exit status of the command.
    """

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None) -> None:
        self.as_json = as_json
        self.status = 0
        self._out = out or sys.stdout

    def text(self, text: str = "") -> None:
        """Print a paragraph."""
        if not self.as_json:
            print(text, file=self._out, flush=True)

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[Any]], *, texts: int = 1
    ) -> None:
        """Print rows under a header; after so many columns of text come those of numbers."""
        cells = [tuple(header), *(tuple(map(_cell, row)) for row in rows)]
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        lines = table(cells, columns, numbers=len(header) - texts)
        self.text("\n".join((lines[0], "─" * max(map(cell_width, lines)), *lines[1:])))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Print the result, where the reader is a program."""
        if self.as_json:
            print(json.dumps(_plain(result), ensure_ascii=False), file=self._out, flush=True)

    def refuse(self, error: Exception) -> None:
        """Say what went wrong: on the standard error, or as JSON."""
        self.status = 1
        kind, text = type(error).__name__, str(error)
        if isinstance(error, OSError) and error.filename is not None:
            text = f"{error.filename}: {error.strerror}"
        if self.as_json:
            self.finish({"error": kind, "message": text})
        else:
            print(f"{kind}: {text}", file=sys.stderr)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it; numbers that are not finite, which JSON lacks, are null."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
        case list() | tuple():
            return [_plain(item) for item in value]
        case float():
            return value if isfinite(value) else None
        case bool() | int() | str() | None:
            return value
    return str(value)
