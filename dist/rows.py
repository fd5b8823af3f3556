"""RowTable: a table of which only the rows that were ever used take memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.backend import to_host
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Input, Variable
from matrixslow.dist.recipe import Recipe, build
from matrixslow.dist.sharding import mixed
from matrixslow.errors import FeedError, FormatError
from matrixslow.function import function

Array = NDArray[Any]

CHUNK = 1024
"""Rows that the optimizer's program takes at a time."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table is.

    Attributes:
        name: Of the variable.
        features: The size of a row.
        dtype: Of its numbers.
        low: A new row is drawn evenly from low <= x < high, by the seed and its id alone.
        high: See `low`.
        seed: See `low`.
    """

    name: str
    features: int
    dtype: str = "float32"
    low: float = -0.05
    high: float = 0.05
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return asdict(self)

    @staticmethod
    def from_json(content: Any) -> TableSpec:
        """What `to_json` gave.

        Raises:
            FormatError: It is something else.
        """
        match content:
            case {"name": str(), "features": int(features), "dtype": str(), "seed": int()}:
                try:
                    if 0 < features < 1 << 20:
                        return TableSpec(**content)
                except TypeError:
                    pass
        raise FormatError(f"table: {str(content)[:80]} does not describe one")

    def first_rows(self, ids: Array) -> Array:
        """The rows as they are before anything was learned, (n, features).

        >>> from matrixslow.dist.rows import TableSpec
        >>> TableSpec("users", 2).first_rows(np.array([7, 10**12])).shape
        (2, 2)
        """
        rows = mixed(mixed(np.asarray(ids, np.uint64)) ^ mixed(np.asarray([self.seed], np.uint64)))
        columns = np.arange(self.features, dtype=np.uint64)
        with np.errstate(over="ignore"):
            bits = mixed(rows[:, None] + columns)
        uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (self.low + (self.high - self.low) * uniform).astype(self.dtype)


class RowTable:
    """Rows by id, each with the state that the optimizer keeps of it.

    A row is moved only in the steps that have a slope for it, as torch's SparseAdam does; the
    number of steps, on which some optimizers depend, is the table's. A step takes a time in
    proportion to the rows in it, whatever the size of the table.

    Args:
        spec: What the table is.
        recipe: The optimizer.
    """

    def __init__(self, spec: TableSpec, recipe: Recipe) -> None:
        self.spec = spec
        shape = (CHUNK, spec.features)
        with Graph():
            self._weight = Variable(np.zeros(shape), dtype=spec.dtype, name=spec.name)
            slope = Input(shape, dtype=spec.dtype, name=f"slopes/{spec.name}")
        updates = build(recipe, [self._weight]).updates([(self._weight, slope)])
        changed = [x for x, _ in updates if isinstance(x, Variable) and x is not self._weight]
        self._by_row = [self._weight, *(x for x in changed if x.shape == shape)]
        self._shared = [x for x in changed if x.shape != shape]
        self._step = function([slope], [], updates=updates, training=True)
        self._places: dict[int, int] = {}
        self._ids = np.empty(0, np.int64)
        self._columns = [np.empty((0, spec.features), x.dtype) for x in self._by_row]
        self._before = (self._ids, self._columns[0])

    def __len__(self) -> int:
        return len(self._places)

    def read(self, ids: Array, *, before: bool = False) -> Array:
        """The rows of these ids, (n, features); those never written are made, and not kept.

        Args:
            ids: Which, (n,) int64.
            before: Whether to read them as they were before the last step.
        """
        places = np.array([self._places.get(x, -1) for x in ids.tolist()], np.int64)
        known = places >= 0
        rows = np.empty((len(ids), self.spec.features), self.spec.dtype)
        rows[known] = self._columns[0][places[known]]
        if not known.all():
            rows[~known] = self.spec.first_rows(ids[~known])
        if before:
            moved, old = self._before
            hit = np.isin(ids, moved)
            rows[hit] = old[np.searchsorted(moved, ids[hit])]
        return rows

    def step(self, ids: Array, slopes: Array) -> None:
        """Take a step of the optimizer on some rows.

        Args:
            ids: Which, each once, ascending, (n,) int64.
            slopes: Their slopes, (n, features).
        """
        places = self._place(ids)
        self._before = (ids.copy(), self._columns[0][places])
        before = [to_host(x.value).copy() for x in self._shared]
        fed = np.zeros((CHUNK, self.spec.features), self.spec.dtype)
        padded = [np.zeros_like(fed, dtype=x.dtype) for x in self._by_row]
        for start in range(0, len(ids), CHUNK):
            chunk = places[start : start + CHUNK]
            count = len(chunk)
            for variable, value in zip(self._shared, before, strict=True):
                variable.value = value
            for variable, column, buffer in zip(self._by_row, self._columns, padded, strict=True):
                buffer[:count] = column[chunk]
                variable.value = buffer
            fed[:count] = slopes[start : start + count]
            self._step(fed)
            for variable, column in zip(self._by_row, self._columns, strict=True):
                column[chunk] = to_host(variable.value)[:count]

    def state_arrays(self) -> dict[str, Array]:
        """Ids, rows and the optimizer's state, as arrays by name."""
        used = len(self)
        arrays = {"ids": self._ids[:used].copy()}
        arrays |= {f"column/{i}": x[:used].copy() for i, x in enumerate(self._columns)}
        arrays |= {f"shared/{i}": to_host(x.value).copy() for i, x in enumerate(self._shared)}
        arrays["before/ids"], arrays["before/rows"] = self._before
        return arrays

    def check(self, arrays: Mapping[str, Array]) -> None:
        """Refuse what `load` cannot take.

        Raises:
            FeedError: It is not what `state_arrays` of such a table gives.
        """
        ids = arrays.get("ids")
        count = 0 if ids is None else ids.size
        expected: dict[str, Any] = {"ids": ((count,), np.dtype(np.int64))}
        shape = (count, self.spec.features)
        expected |= {f"column/{i}": (shape, x.dtype) for i, x in enumerate(self._columns)}
        expected |= {f"shared/{i}": (x.value.shape, x.dtype) for i, x in enumerate(self._shared)}
        came = {name: (x.shape, x.dtype) for name, x in arrays.items()}
        if came != expected or len(set(arrays["ids"].tolist())) != count:
            raise FeedError(
                f"table {self.spec.name!r}: {came} came, {expected} is taken",
                hint="give what `state` of a client gave for the same model",
            )

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `state_arrays` gave; how it was before may be missing."""
        if "before/ids" in arrays:
            self._before = (arrays["before/ids"].copy(), arrays["before/rows"].copy())
        self._ids = arrays["ids"].copy()
        self._places = {x: place for place, x in enumerate(self._ids.tolist())}
        self._columns = [arrays[f"column/{i}"].copy() for i in range(len(self._columns))]
        for i, variable in enumerate(self._shared):
            variable.value = arrays[f"shared/{i}"]

    def _place(self, ids: Array) -> Array:
        """Where the rows are kept; new ones are made."""
        new = [x for x in ids.tolist() if x not in self._places]
        if new:
            used = len(self)
            self._grow(used + len(new))
            self._places.update(zip(new, range(used, used + len(new)), strict=True))
            self._ids[used : len(self)] = new
            self._columns[0][used : len(self)] = self.spec.first_rows(np.array(new))
        return np.array([self._places[x] for x in ids.tolist()], np.int64)

    def _grow(self, needed: int) -> None:
        """Make room, twice as much as there was, so that each row is copied twice at most."""
        if needed > len(self._ids):
            room = max(needed, 2 * len(self._ids), CHUNK)
            self._ids = _lengthened(self._ids, room)
            self._columns = [_lengthened(column, room) for column in self._columns]


def _lengthened(column: Array, room: int) -> Array:
    longer = np.zeros((room, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
