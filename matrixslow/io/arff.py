"""Tables in ARFF, the attribute-relation file format of the UCI and UEA archives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from matrixslow.io.readers import Array, PathLike, damaged, read_text
from matrixslow.io.tables import Table

_QUOTED = r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
_VALUE = re.compile(rf"\s*({_QUOTED}|[^\s'\",][^,]*|)\s*(,|$)")
_ATTRIBUTE = re.compile(rf"@attribute\s+({_QUOTED}|\S+)\s+(\S.*)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read_arff(path: PathLike) -> Table:
    r"""The table in an ARFF file, gzipped or not, multivariate time series included.

    Attributes become columns: numeric ones float64, strings text, nominal ones int64 class numbers
    with their names in `Table.classes`. A relational attribute of numbers is a time series, as in
    the UEA archive, one channel a line: it becomes (rows, channels, steps) float32. The mark `?`
    is a missing value: NaN, "" or class -1.

    Args:
        path: The file, in UTF-8.

    Raises:
        FormatError: The header is incomplete or declares what is not read here (dates), a row
            does not fit the header or is sparse, or there are no rows.

    Source: Witten, Frank and Hall, "Data Mining" (2011), section 2.4.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> header = "@relation pets\n@attribute age numeric\n@attribute kind {cat, dog}\n"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "pets.arff")
    ...     _ = path.write_text(header + "@data\n4.5, dog\n?, cat\n")
    ...     pets = read_arff(path)
    >>> pets["age"], pets["kind"], pets.classes["kind"]
    (array([4.5, nan]), array([1, 0]), ('cat', 'dog'))
    """
    lines = _Lines(read_text("ARFF", path))
    try:
        attributes = _read_header(lines)
        columns = _read_rows(lines, attributes)
    except ValueError as error:
        hint = "give a complete ARFF file of this form, or fetch this one again"
        place = f"line {lines.number}"
        raise damaged("ARFF", path, f"{error}", place=place, hint=hint) from None
    pairs = tuple(zip(attributes, columns, strict=True))
    return Table(
        {attribute.name: column for attribute, column in pairs},
        {attribute.name: attribute.missing(column) for attribute, column in pairs},
        {each.name: tuple(each.numbers) for each in attributes if isinstance(each, _Nominal)},
    )


class _Lines:
    """The lines of a text that are neither blank nor comments, and the number of the latest."""

    def __init__(self, text: str) -> None:
        self.number = 0
        self._lines = iter(text.split("\n"))

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            content = line.strip()
            if content and not content.startswith("%"):
                yield content


@dataclass(frozen=True, slots=True)
class _Numeric:
    """A column of numbers."""

    name: str
    dtype: ClassVar[type] = np.float64

    def parse(self, value: str | None) -> float:
        return np.nan if value is None else float(value)

    def missing(self, column: Array) -> Array:
        return np.isnan(column)


@dataclass(frozen=True, slots=True)
class _Text:
    """A column of texts; an empty one counts as missing."""

    name: str
    dtype: ClassVar[type] = np.str_

    def parse(self, value: str | None) -> str:
        return value or ""

    def missing(self, column: Array) -> Array:
        return np.equal(column, "")


@dataclass(frozen=True, slots=True)
class _Nominal:
    """A column of class numbers."""

    name: str
    numbers: dict[str, int]
    dtype: ClassVar[type] = np.int64

    def parse(self, value: str | None) -> int:
        if value is not None and value not in self.numbers:
            raise ValueError(f"'{value}' is none of {', '.join(self.numbers)}")
        return -1 if value is None else self.numbers[value]

    def missing(self, column: Array) -> Array:
        return np.less(column, 0)


@dataclass(frozen=True, slots=True)
class _Series:
    """A column of time series, all of this many steps, and of as many channels as the first."""

    name: str
    steps: int
    dtype: ClassVar[type] = np.float32

    def parse(self, value: str | None) -> Array:
        channels = [line.split(",") for line in (value or "").replace("?", "nan").split("\n")]
        for channel in channels:
            if len(channel) != self.steps:
                raise ValueError(f"{len(channel)} steps in a channel, {self.steps} declared")
        return np.array([[float(step) for step in channel] for channel in channels], self.dtype)

    def missing(self, column: Array) -> Array:
        return np.isnan(column)


_Attribute: TypeAlias = _Numeric | _Text | _Nominal | _Series


def _read_header(lines: _Lines) -> list[_Attribute]:
    """The attributes declared before @data."""
    attributes: list[_Attribute] = []
    for line in lines:
        keyword = line.split(None, 1)[0].lower()
        if keyword == "@data" and attributes:
            return attributes
        if keyword != "@relation":
            attribute = _declared(line, lines)
            if any(attribute.name == other.name for other in attributes):
                raise ValueError(f"two attributes are named '{attribute.name}'")
            attributes.append(attribute)
    raise ValueError("it ends before @data")


def _declared(line: str, lines: _Lines) -> _Attribute:
    """The attribute that a line declares; a series goes on over the lines that follow."""
    found = _ATTRIBUTE.fullmatch(line)
    if found is None:
        raise ValueError(f"the header says '{line[:60]}', which is not understood")
    name, kind = _plain(found[1]), found[2]
    if kind.startswith("{") and kind.endswith("}"):
        classes = [value or "?" for value in _split(kind[1:-1])]
        return _Nominal(name, {value: number for number, value in enumerate(classes)})
    match kind.lower():
        case "numeric" | "real" | "integer":
            return _Numeric(name)
        case "string":
            return _Text(name)
        case "relational":
            return _Series(name, _count_steps(name, lines))
    raise ValueError(f"attribute '{name}' is of type '{kind[:60]}', which is not read")


def _count_steps(name: str, lines: _Lines) -> int:
    """How many numeric attributes come before the line that ends this series."""
    for steps, line in enumerate(lines):
        keyword, _, rest = line.partition(" ")
        if keyword.lower() == "@end" and _plain(rest.strip()) == name:
            return steps
        if not isinstance(_declared(line, lines), _Numeric):
            raise ValueError(f"series '{name}' is not all of numbers")
    raise ValueError(f"it ends before @end {name}")


def _read_rows(lines: _Lines, attributes: list[_Attribute]) -> list[Array]:
    """The columns of the rows after @data."""
    columns: list[list[Any]] = [[] for _ in attributes]
    for line in lines:
        if line.startswith("{"):
            raise ValueError("sparse rows are not read")
        values = _split(line)
        if len(values) != len(attributes):
            raise ValueError(f"{len(values)} values in a row, {len(attributes)} attributes")
        for attribute, value, column in zip(attributes, values, columns, strict=True):
            try:
                column.append(attribute.parse(value))
                if isinstance(attribute, _Series) and len(column[-1]) != len(column[0]):
                    raise ValueError(f"{len(column[-1])} channels, {len(column[0])} in rows before")
            except ValueError as error:
                raise ValueError(f"attribute '{attribute.name}': {error}") from None
    if not columns[0]:
        raise ValueError("it ends before the first row")
    return [
        np.array(column, attribute.dtype)
        for attribute, column in zip(attributes, columns, strict=True)
    ]


def _split(line: str) -> list[str | None]:
    """The values of a comma-separated line; a bare question mark is None."""
    if "'" not in line and '"' not in line:
        return [None if value == "?" else value for value in map(str.strip, line.split(","))]
    values: list[str | None] = []
    place, separator = 0, ","
    while separator:
        found = _VALUE.match(line, place)
        if found is None:
            raise ValueError(f"value {len(values) + 1} of the row is quoted wrongly")
        value, separator = found[1].rstrip(), found[2]
        values.append(None if value == "?" else _plain(value))
        place = found.end()
    return values


def _plain(text: str) -> str:
    """A value or name without its quotes and escapes."""
    if text[:1] not in ("'", '"'):
        return text
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text[1:-1])
