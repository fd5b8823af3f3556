"""Tables of named columns, and how they are read from CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from matrixslow.errors import ArgumentError
from matrixslow.io.readers import Array, PathLike, damaged, read_text


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Table:
    """Columns of one length by name, and where their values are missing.

    Args:
        columns: An array per column: int64, float64 or text; ARFF series are (rows, channels,
            steps) float32. A missing value reads as NaN, "" or, in a column of classes, -1.
        missing: A mask per column: true where the file had no value.
        classes: For a column of class numbers the names of the classes, by number.

    >>> table = Table({"age": np.array([3, 5])}, {"age": np.array([False, False])})
    >>> table["age"], len(table)
    (array([3, 5]), 2)
    """

    columns: Mapping[str, Array]
    missing: Mapping[str, Array]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in the file's order."""
        return tuple(self.columns)

    def __getitem__(self, name: str) -> Array:
        if name not in self.columns:
            raise unknown_column(name, self.names)
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __repr__(self) -> str:
        columns = ", ".join(f"{name} {column.dtype}" for name, column in self.columns.items())
        return f"Table({len(self)} rows: {columns})"


def unknown_column(name: str, names: Sequence[str]) -> ArgumentError:
    """The error for a column that a table does not have."""
    rows = (f"has    {', '.join(names)}",)
    return ArgumentError(f"table: it has no column '{name}'", rows=rows, hint="take one of these")


def read_csv(
    path: PathLike,
    *,
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    text: Collection[str] = (),
    missing: str | Collection[str] = "",
    delimiter: str = ",",
) -> Table:
    r"""The table in a CSV file, gzipped or not.

    A column is int64 when all its values are whole numbers, float64 when all are numbers, else
    text. Whole numbers with gaps, or too large for 64 bits, are float64. Quoted values may hold
    delimiters, line ends and doubled quotes. Blank lines are skipped.

    Args:
        path: The file, in UTF-8.
        columns: The columns wanted, in this order; all of them when None.
        names: The columns' names, for a file whose first line is data already.
        text: Columns to keep as text, such as postal codes that begin with a zero.
        missing: What stands for a missing value, one text or several; `Table.missing` marks where.
        delimiter: What separates the values.

    Raises:
        FormatError: A line has too few or too many values, a quote is never closed, the names
            are not unique, there is no header, or the file is no UTF-8 text.
        ArgumentError: A column that was asked for is not there.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "cats.csv")
    ...     _ = path.write_text('name,lives,age\n"Tom, Sr.",9,4.5\nMiez,7,\n')
    ...     cats = read_csv(path)
    >>> cats
    Table(2 rows: name <U8, lives int64, age float64)
    >>> cats["age"], cats.missing["age"]
    (array([4.5, nan]), array([False,  True]))
    """
    lines, rows = _read_rows(path, delimiter)
    if names is None:
        if not rows:
            hint = "write the columns' names into the first line, or give names="
            raise damaged("CSV", path, "it has no header line", place="line 1", hint=hint)
        names, header = rows.pop(0), f"line {lines.pop(0)}"
    else:
        header = "names="
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        problem, hint = f"two columns are named '{twice[0]}'", "give each column a name of its own"
        raise damaged("CSV", path, problem, place=header, hint=hint)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            problem = f"{len(row)} values in a row, {len(names)} columns"
            hint = "quote values that hold the delimiter; if it is the last line, the file is cut"
            raise damaged("CSV", path, problem, place=f"line {line}", hint=hint)
    fields = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    for name in (*(columns or ()), *text):
        if name not in fields:
            raise unknown_column(name, names)
    wanted = tuple(names if columns is None else columns)
    marks = {missing} if isinstance(missing, str) else set(missing)
    gone = {name: np.array([value in marks for value in fields[name]], bool) for name in wanted}
    return Table(
        {name: _column(fields[name], gone[name], as_text=name in text) for name in wanted}, gone
    )


def _read_rows(path: PathLike, delimiter: str) -> tuple[list[int], list[list[str]]]:
    """The rows of a CSV file that are not blank, and the lines on which they end."""
    lines: list[int] = []
    rows: list[list[str]] = []
    reader = csv.reader(
        io.StringIO(read_text("CSV", path), newline=""), delimiter=delimiter, strict=True
    )
    try:
        for row in reader:
            if row:
                lines.append(reader.line_num)
                rows.append(row)
    except csv.Error as error:
        place = f"line {reader.line_num}"
        hint = "close every quote, and double a quote inside a quoted value"
        raise damaged("CSV", path, f"{error}", place=place, hint=hint) from None
    return lines, rows


def _column(values: Sequence[str], gone: Array, *, as_text: bool) -> Array:
    """The values as the narrowest of int64, float64 and text that holds them all."""
    present = [value for value, absent in zip(values, gone, strict=True) if not absent]
    # Python reads 1_000 as a number; in a data file it is an identifier.
    kinds = () if as_text or any("_" in value for value in present) else (int, float)
    for kind in kinds:
        try:
            numbers = np.array([kind(value) for value in present], kind)
        except (ValueError, OverflowError):
            continue
        if present and not gone.any():
            return numbers
        column = np.full(len(values), np.nan)
        column[~gone] = numbers
        return column
    pairs = zip(values, gone, strict=True)
    return np.array(["" if absent else value for value, absent in pairs], np.str_)
