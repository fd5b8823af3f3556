"""Parameters: all that the optimizer changes on one server, blocks and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.dense import DenseBlocks
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model
from matrixslow.dist.rows import RowTable
from matrixslow.errors import FeedError

Array = NDArray[Any]


class Parameters:
    """What one server holds of a model, at its first values.

    Args:
        model: The model; None where there is none yet.
        shard: Which of the servers it is.
        shards: How many there are.

    Attributes:
        dense: The blocks of the variables.
        tables: The tables, by name.
    """

    def __init__(self, model: Model | None, shard: int, shards: int) -> None:
        self.dense, self.tables = DenseBlocks([], {}), dict[str, RowTable]()
        self._variables: list[str] = []
        if model is not None:
            self.dense = DenseBlocks(model.blocks(shard, shards), model.optimizer)
            self.tables = {spec.name: RowTable(spec, model.optimizer) for spec in model.tables}
            self._variables = [name for name, _, _ in model.variables]

    @property
    def rows(self) -> int:
        """How many rows of tables are kept."""
        return sum(map(len, self.tables.values()))

    def check(self, values: Mapping[str, Array]) -> None:
        """Refuse first values that do not fit; those here are no longer what they were.

        Args:
            values: The blocks of the variables, and as far as wanted of the optimizer's state;
                rows of tables under "table/NAME/".

        Raises:
            FeedError: They do not fit: all that is wrong is named.
        """
        rows = [f"missing     {x.name}" for x in self.dense.blocks if x.name not in values]
        known = {variable.name for variable in self.dense.state} | set(self._variables)
        prefixes = tuple(f"table/{name}/" for name in self.tables)
        rows += [
            f"unexpected  {name}"
            for name in values
            if name not in known and not name.startswith(prefixes)
        ]
        if rows:
            raise FeedError(
                f"setup: {len(rows)} values do not fit the model",
                rows=tuple(rows),
                hint="give the values of all variables of the model, and of its optimizer alone",
            )
        self.dense.load(values)  # which refuses shapes and dtypes that do not fit
        for name, table in self.tables.items():
            if state := Message("table", {}, values).under(f"table/{name}/"):
                table.check(state)

    def begin(self, record: Message) -> None:
        """Take the first values that a record has."""
        self.dense.load(record.arrays)
        self._load_tables(record)

    def load(self, state: Message) -> None:
        """Take back what `state_arrays` gave, from among the arrays of a message."""
        self.dense.load(state.under("dense/"))
        self._load_tables(state)

    def step(self, record: Message) -> None:
        """Take a step of the optimizer, as a record of one says."""
        if dense := record.under("dense/"):
            self.dense.step(dense)
        for name, table in self.tables.items():
            # A step without rows is one too: what was before it is what is there now.
            ids = record.arrays.get(f"ids/{name}", np.empty(0, np.int64))
            table.step(ids, record.arrays.get(f"rows/{name}", np.empty((0, table.spec.features))))

    def state_arrays(self) -> dict[str, Array]:
        """A copy of all of it, by name."""
        arrays = {f"dense/{name}": x for name, x in self.dense.state_arrays().items()}
        for name, table in self.tables.items():
            arrays |= {f"table/{name}/{key}": x for key, x in table.state_arrays().items()}
        return arrays

    def _load_tables(self, message: Message) -> None:
        for name, table in self.tables.items():
            if state := message.under(f"table/{name}/"):
                table.load(state)
