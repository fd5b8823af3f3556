"""Slot: what an optimizer's formula works on, a whole weight or the rows that a step changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matrixslow.backend import Array, mapped_zeros
from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Initializer, Variable
from matrixslow.core.node import Node
from matrixslow.initializers import Zeros
from matrixslow.ops import Cast, Embedding, Max
from matrixslow.ops.rows import ReplacedRows


@dataclass(frozen=True, slots=True)
class Slot:
    """What an optimizer's formula works on: one weight, its slope, and state of its own.

    Attributes:
        weight: The variable to change, or the rows of it that a step changes.
        slope: The gradient of the loss with respect to it.
        rate: The learning rate of this step, a float64 scalar node.
        count: The number of this step, from 1 on, a float64 scalar node.
        updates: The update pairs so far.
    """

    weight: Node
    slope: Node
    rate: Node
    count: Node
    updates: list[Update] = field(default_factory=list)

    def state(self, name: str) -> Node:
        """A value of the weight's shape and dtype, zero at first, that lives between steps."""
        return _state(self.weight, Zeros(), name)

    def becomes(self, state: Node, new: Node) -> Node:
        """The new value, which the state takes at the end of the step."""
        self.updates.append((state, new))
        return new

    def running_mean(self, name: str, x: Node, keep: float) -> Node:
        """The new value of a state that becomes keep * state + (1 - keep) * x."""
        state = self.state(name)
        return self.becomes(state, keep * state + (1.0 - keep) * x)

    def scalar(self, x: Node) -> Node:
        """A float64 scalar in the weight's dtype."""
        return Cast(x, dtype=self.weight.dtype)


@dataclass(frozen=True, slots=True)
class RowSlot(Slot):
    """Some rows of a table in the place of a whole weight; made by `RowSlot.of`.

    Attributes:
        ids: Which rows, each once; where they are -1, what is computed is left out.
        tables: The variables that rows were taken of.
    """

    ids: Node = field(kw_only=True)
    tables: dict[Node, Variable] = field(default_factory=dict, kw_only=True)

    @staticmethod
    def of(table: Variable, ids: Node, slope: Node, rate: Node, count: Node) -> RowSlot:
        """The slot of a table's rows, with their slopes."""
        rows = _rows(table, ids)
        return RowSlot(rows, slope, rate, count, ids=ids, tables={rows: table})

    def state(self, name: str) -> Node:
        """Rows of a state that has the table's shape."""
        table = _state(self.tables[self.weight], _rows_to_come, name)
        rows = _rows(table, self.ids)
        self.tables[rows] = table
        return rows

    def becomes(self, state: Node, new: Node) -> Node:
        """The new value; where the state is rows, they take it in their table."""
        if state in self.tables:
            table = self.tables[state]
            self.updates.append((table, ReplacedRows(table, self.ids, new)))
        else:
            self.updates.append((state, new))
        return new


def _rows(table: Variable, ids: Node) -> Node:
    return Embedding(table, Max(ids, 0))


def _state(weight: Node, initial: Initializer, name: str) -> Variable:
    shape = [size for size in weight.shape if size is not None]
    return Variable(initial, shape=shape, dtype=weight.dtype, trainable=False, name=name)


def _rows_to_come(shape: tuple[int, ...], dtype: np.dtype[Any], _: np.random.Generator) -> Array:
    return mapped_zeros(shape, dtype, sparse=True)
