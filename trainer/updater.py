"""Updater: what one training step does to the variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.interpreter import Interpreter, Update
from matrixslow.core.leaf import Input, Variable
from matrixslow.core.node import Node
from matrixslow.errors import GradientError
from matrixslow.function import function
from matrixslow.ops import Cast, ZerosLike
from matrixslow.ops.rows import is_sparse
from matrixslow.optimizers.optimizer import trainable_slopes


class MakesUpdates(Protocol):
    """What an updater needs of an optimizer."""

    def updates(self, pairs: Sequence[tuple[Variable, Node]]) -> list[Update]:
        """The update pairs of one step, from pairs (variable, gradient)."""


class Updater:
    """One training step: forward, backward, and the optimizer's update, as one function.

    Args:
        inputs: What a batch feeds, in order.
        outputs: What a step returns: the loss, and what metrics read.
        loss: A node of one element.
        optimizer: Turns slopes into update pairs.

    Attributes:
        variables: What it changes: weights, and the state of the optimizer.

    >>> with ms.Graph():
    ...     x = ms.Input((None,), name="x")
    ...     loss = ms.Variable(2.0, name="w") * ms.ops.ReduceMean(x, keepdims=False)
    >>> step = ms.trainer.Updater([x], [loss], loss=loss, optimizer=ms.optimizers.SGD(0.5))
    >>> step([np.ones(3)]), step([np.ones(3)])
    ([array(2., dtype=float32)], [array(1.5, dtype=float32)])
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        *,
        loss: Node,
        optimizer: MakesUpdates,
    ) -> None:
        self._build(inputs, outputs, loss, optimizer.updates(trainable_slopes(loss)))

    def __call__(self, feeds: Sequence[Array], *, last: bool = False) -> list[Array]:
        """Take a step on one batch.

        Args:
            feeds: An array for each input.
            last: Whether it is the last batch of an epoch.

        Returns:
            The values of the outputs.
        """
        values: list[Array] = self._step(*feeds)
        return values

    def trace(self, feeds: Sequence[Array], *, last: bool = False) -> list[dict[Node, Array]]:
        """Take a step in the reference interpreter.

        Returns:
            For each program that ran, in order, the values of all its nodes.
        """
        return [trace(self._step.inputs, [self._loss], self._updates, feeds)]

    def clear(self) -> None:
        """Forget what was begun and not ended, so that the next batch can be any."""

    def _build(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        loss: Node,
        updates: Sequence[Update],
    ) -> None:
        self._loss = loss
        self._updates = updates
        self._step = function(inputs, outputs, updates=updates, training=True)
        self.variables = [variable for variable, _ in updates]


class AccumulatingUpdater(Updater):
    """Averages the slopes of some batches for one step of the optimizer.

    Samples weigh the same, whatever batch they come in; so it is the step that one large batch
    would make, where the loss is the mean over the batch. At the end of an epoch the step is taken
    on what is there.

    Args:
        inputs: As for `Updater`.
        outputs: As for `Updater`.
        loss: As for `Updater`.
        optimizer: As for `Updater`.
        batches: How many batches make a step of the optimizer.

    Raises:
        GradientError: A slope is sparse: their sum would take the memory of the whole table.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        *,
        loss: Node,
        optimizer: MakesUpdates,
        batches: int,
    ) -> None:
        self._batches = batches
        pairs = trainable_slopes(loss)
        graph = loss.graph
        with graph, graph.scope("accumulated", absolute=True, unique=True):
            size = Input((), dtype="int64", name="size")
            self._count = Variable(0, dtype="int64", trainable=False, name="batches")
            samples = Variable(0, dtype="int64", trainable=False, name="samples")
            gather = [(self._count, self._count + 1), (samples, samples + size)]
            means = []
            for variable, slope in pairs:
                if is_sparse(slope):
                    raise GradientError(
                        f"accumulate={batches}: the slope of {variable!r} is sparse, its sum over "
                        "batches is not",
                        hint="feed larger batches, or embed with sparse=False",
                    )
                zeros = np.zeros(variable.value.shape)
                total = Variable(zeros, dtype=slope.dtype, trainable=False, name=variable.name)
                gather.append((total, total + slope * Cast(size, dtype=slope.dtype)))
                means.append((variable, total / Cast(samples, dtype=slope.dtype)))
            clear = [(variable, ZerosLike(variable)) for variable, _ in gather]
        self._build([*inputs, size], outputs, loss, gather)
        self._at_end = [*optimizer.updates(means), *clear]
        self._end = function([], [], updates=self._at_end, training=True)
        self._clear = function([], [], updates=clear, training=True)
        self.variables = [variable for variable, _ in (*gather, *self._at_end)]

    def __call__(self, feeds: Sequence[Array], *, last: bool = False) -> list[Array]:
        """Add a batch, and take the optimizer's step if it is the last that the step needs."""
        values: list[Array] = self._step(*feeds, len(feeds[0]))
        if self._complete(last):
            self._end()
        return values

    def trace(self, feeds: Sequence[Array], *, last: bool = False) -> list[dict[Node, Array]]:
        """The same in the reference interpreter: the values of the adding, and of the step."""
        traces = super().trace([*feeds, len(feeds[0])])
        if self._complete(last):
            traces.append(trace([], [], self._at_end, []))
        return traces

    def clear(self) -> None:
        """Forget the batches that were not yet used."""
        self._clear()

    def _complete(self, last: bool) -> bool:
        return last or int(self._count.value) == self._batches


def trace(
    inputs: Sequence[Input],
    outputs: Sequence[Node],
    updates: Sequence[Update],
    feeds: Sequence[Array],
) -> dict[Node, Array]:
    """Run once in the reference interpreter; the value of every node, before the updates."""
    program = Interpreter(inputs, outputs, updates=updates, training=True)
    return program.trace([node.accept(x) for node, x in zip(inputs, feeds, strict=True)])
