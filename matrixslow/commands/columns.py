"""Columns: how the rows of a table become arrays for a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matrixslow.errors import ArgumentError
from matrixslow.io import Table
from matrixslow.io.readers import Array

SEEN_ENOUGH = 5
"""A text that is seen less often has no id of its own."""

MANY = 0.5
"""A column of text with more different values than this part of the rows says nothing."""

FEW = 30
"""A target of so many different whole numbers at most is one of classes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How the rows of a table become arrays, learned from the rows to train on.

    Args:
        target: The column to predict.
        classes: The target's classes by number; none where the target is a number.
        numbers: The columns of numbers, each with what stands for a missing one: the mean.
        texts: The columns of texts, each with the texts that have an id of their own, from 1 on;
            id 0 is any other.
        series: The columns of time series.
        left_out: The columns that are not used, each with the reason.
    """

    target: str
    classes: tuple[str, ...]
    numbers: Mapping[str, float]
    texts: Mapping[str, tuple[str, ...]]
    series: tuple[str, ...]
    left_out: Mapping[str, str]

    @classmethod
    def learn(cls, table: Table, target: str, ignore: Collection[str], rows: Array) -> Columns:
        """Look at the rows to train on and decide what each column is.

        Raises:
            ArgumentError: A column is not there, or none is left to predict from.
        """
        for name in (target, *ignore):
            _ = table[name]  # names the columns there are
        left_out = {name: "as you wish" for name in table.names if name in ignore}
        numbers, texts, series = {}, {}, []
        for name in table.names:
            column = table[name][rows]
            if name == target or name in left_out:
                continue
            if column.ndim == 3:
                series.append(name)
            elif name in table.classes or column.dtype.kind == "U":
                values = _texts(table, name)[rows].tolist()
                if len(set(values)) > MANY * len(values):
                    left_out[name] = "almost every row has another text"
                else:
                    counts = sorted(Counter(values).items())
                    texts[name] = tuple(x for x, n in counts if x and n >= SEEN_ENOUGH)
            elif _counts_rows(table[name]):
                left_out[name] = "it counts the rows"
            elif not np.isfinite(column).any():
                left_out[name] = "it has no numbers"
            else:
                numbers[name] = float(np.mean(column[np.isfinite(column)]))
        if not (numbers or texts or series):
            raise ArgumentError(
                f"table: nothing is left to predict {target!r} from",
                rows=tuple(f"{name}  left out: {why}" for name, why in left_out.items()),
                hint="give more columns, or ignore fewer",
            )
        return cls(target, _classes(table, target), numbers, texts, tuple(series), left_out)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Columns:
        """Take back what `to_dict` gave."""
        texts = {name: tuple(values) for name, values in kept["texts"].items()}
        lists = {name: tuple(kept[name]) for name in ("classes", "series")}
        return cls(**{**kept, **lists, "texts": texts})

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return asdict(self)

    @property
    def ids(self) -> int:
        """How many ids there are, of all columns of texts together."""
        return sum(len(values) + 1 for values in self.texts.values())

    def features(self, table: Table) -> dict[str, Array]:
        """The arrays that predict: numbers, ids and series, those that there are.

        Shapes: numbers (rows, columns) float32, ids (rows, columns) int64, a series by its own name
            (rows, channels, steps) float32.
        """
        arrays: dict[str, Array] = {}
        if self.numbers:
            columns = [
                np.where(np.isfinite(table[name]), table[name], mean)
                for name, mean in self.numbers.items()
            ]
            arrays["numbers"] = np.stack(columns, axis=1).astype(np.float32)
        if self.texts:
            first, columns = 0, []
            for name, values in self.texts.items():
                ids = {value: first + 1 + place for place, value in enumerate(values)}
                texts = _texts(table, name).tolist()
                columns.append(np.array([ids.get(x, first) for x in texts], np.int64))
                first += len(values) + 1
            arrays["ids"] = np.stack(columns, axis=1)
        for name in self.series:
            arrays["series" if len(self.series) == 1 else name] = table[name]
        return arrays

    def labels(self, table: Table) -> Array | None:
        """What is to be predicted; None where the table does not say.

        Shapes: (rows,) int64 class numbers, or (rows, 1) float32.

        Raises:
            ArgumentError: A value is missing, or is none of the classes.
        """
        if self.target not in table.names:
            return None
        if not self.classes:
            values = table[self.target]
            if not np.isfinite(values).all():
                raise self._refusal(int(np.argmin(np.isfinite(values))), "is missing")
            return values.astype(np.float32)[:, None]
        numbers = {value: number for number, value in enumerate(self.classes)}
        texts = _texts(table, self.target).tolist()
        for row, text in enumerate(texts):
            if text not in numbers:
                raise self._refusal(row, f"is {text!r}" if text else "is missing")
        return np.array([numbers[text] for text in texts], np.int64)

    def _refusal(self, row: int, what: str) -> ArgumentError:
        known = ", ".join(self.classes)
        return ArgumentError(
            f"table: {self.target!r} {what} in row {row + 1}",
            rows=(f"classes  {known}",) if known else (),
            hint="mend or remove the row; without the column it is only predicted",
        )


def _texts(table: Table, name: str) -> Array:
    """A column as texts: class names, or numbers as they are written; a missing one is empty."""
    column, names = table[name], table.classes.get(name)
    texts = np.array([*names, ""])[column] if names else column.astype(np.str_)
    return np.where(table.missing[name], "", texts)


def _classes(table: Table, target: str) -> tuple[str, ...]:
    """The classes of a target; none where it is a number."""
    if target in table.classes:
        return table.classes[target]
    column = table[target][~table.missing[target]]
    if column.ndim != 1:
        raise ArgumentError(f"table: {target!r} is a series", hint="predict another column")
    values = np.unique(column)
    if column.dtype.kind == "f" or (column.dtype.kind == "i" and len(values) > FEW):
        return ()
    if len(values) < 2:
        raise ArgumentError(
            f"table: {target!r} is the same in all rows, so there is nothing to learn",
            rows=tuple(f"value  {value}" for value in values.tolist()),
            hint="predict another column, or give rows of other classes",
        )
    return tuple(map(str, values.tolist()))


def _counts_rows(column: Array) -> bool:
    """Whether a column says 0, 1, 2, ... or 1, 2, 3, ..."""
    return column.dtype.kind == "i" and len(column) > 1 and bool((np.diff(column) == 1).all())
