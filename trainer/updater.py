"""Updater: what one training step does to the variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Input, Variable
from matrixslow.core.node import Node
from matrixslow.function import Function, function
from matrixslow.ops import Cast, ZerosLike
from matrixslow.optimizers.optimizer import Optimizer, trainable_slopes


class MakesUpdates(Protocol):
    """What a trainer needs of an optimizer."""

    def updates(self, pairs: Sequence[tuple[Variable, Node]]) -> list[Update]:
        """The update pairs of one step, from pairs (variable, gradient)."""


class Updater:
    """One training step: forward, backward, and the optimizer's update, as one function.

    With `accumulate=k`, the slopes of k batches are averaged before the optimizer takes a step.

    Args:
        inputs: What a batch feeds, in order.
        outputs: What a step returns: the loss, and what metrics read.
        loss: A node of one element.
        optimizer: Turns slopes into update pairs.
        accumulate: How many batches make a step of the optimizer.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        *,
        loss: Node,
        optimizer: MakesUpdates | Optimizer,
        accumulate: int = 1,
    ) -> None:
        self.pairs = trainable_slopes(loss)
        self._accumulate = accumulate
        self._gathered: Variable | None = None
        self._apply: Function | None = None
        if accumulate == 1:
            updates = optimizer.updates(self.pairs)
        else:
            updates = self._gather(loss, optimizer)
        self.updates = updates
        self.step = function(inputs, outputs, updates=updates, training=True)

    def __call__(self, feeds: Sequence[Array]) -> list[Array]:
        """Take a step on one batch; returns the values of the outputs."""
        values: list[Array] = self.step(*feeds)
        if self._gathered is not None and int(self._gathered.value) == self._accumulate:
            self.flush()
        return values

    def flush(self) -> None:
        """Take the optimizer's step on what was accumulated so far: at the end of an epoch."""
        if self._gathered is not None and self._apply is not None and int(self._gathered.value):
            self._apply()

    def _gather(self, loss: Node, optimizer: MakesUpdates | Optimizer) -> list[Update]:
        """Pairs that add up the slopes; the function that applies their mean is kept."""
        graph = loss.graph
        gather: list[Update] = []
        clear: list[Update] = []
        means: list[tuple[Variable, Node]] = []
        with graph, graph.scope("accumulated", absolute=True, unique=True):
            count = Variable(0, dtype="int64", trainable=False, name="batches")
            gather.append((count, count + 1))
            clear.append((count, ZerosLike(count)))
            for variable, slope in self.pairs:
                zeros = np.zeros(variable.value.shape, variable.dtype)
                total = Variable(zeros, dtype=slope.dtype, trainable=False, name=variable.name)
                gather.append((total, total + slope))
                clear.append((total, ZerosLike(total)))
                means.append((variable, total / Cast(count, dtype=slope.dtype)))
        self._gathered = count
        self._apply = function([], [], updates=[*optimizer.updates(means), *clear], training=True)
        return gather
