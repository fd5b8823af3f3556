"""Trainer: fits a model to data on one machine, judges it, and predicts with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.graph import Graph, accept_feeds
from matrixslow.core.leaf import Input, Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.function import Function, function
from matrixslow.io import Batches, read_archive, write_archive
from matrixslow.metrics import Metric
from matrixslow.optimizers import Optimizer, ParameterGroups
from matrixslow.trainer.history import History
from matrixslow.trainer.hooks import Hook
from matrixslow.trainer.nan_guard import NaNGuard
from matrixslow.trainer.progress import Progress
from matrixslow.trainer.tally import Tally, scalars, under
from matrixslow.trainer.updater import AccumulatingUpdater, Updater

Data = Mapping[Node, Any]
"""An array of samples for each input."""

Batch = Mapping[Node, Array]
"""The samples of one step, by input."""

JUDGED_AT_ONCE = 256
"""Samples in a batch that is judged or predicted."""

KIND = "matrixslow checkpoint"
VERSION = 1


class Trainer:
    """Fits the variables that a loss depends on.

    Args:
        loss: A node of one element: the mean over the batch, so that batches weigh by their size;
            where it holds one weighted mean, by the sum of its weights.
        optimizer: An optimizer, or `ParameterGroups`.
        metrics: What is measured beside the loss.
        hooks: What happens beside the loop.
        accumulate: How many batches are averaged for one step of the optimizer.
        guard: Whether a loss that is not finite stops the run and names the node (`NaNGuard`).

    Attributes:
        graph: The graph of the loss.
        inputs: What a batch feeds, in order.
        updater: What makes the step on a batch.
        tally: The loss and the metrics of the current epoch so far.
        hooks: What happens beside the loop.
        history: The numbers of every epoch so far.
        epoch: How many epochs are done.
        batch: How many batches of the current epoch are done.
        steps: How many batches are done in all.
        batches: The data of `fit` in batches.
        last_epoch: How many epochs will be done when `fit` ends.
        resumed: Whether the next call of `fit` goes on with an interrupted one.

    >>> x, y = ms.io.linear(64, seed=0)[:2]
    >>> with ms.Graph(seed=0):
    ...     features = ms.Input((None, x.shape[1]), name="features")
    ...     target = ms.Input((None, 1), name="target")
    ...     guess = ms.layers.dense(features, 1)
    ...     loss = ms.ops.MeanSquaredError(guess, target)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1))
    >>> data = {features: x, target: y.reshape(-1, 1)}
    >>> history = trainer.fit(data, epochs=20, batch_size=16, progress=False)
    >>> history["loss"][-1] < 0.1 * history["loss"][0]
    True
    >>> trainer.evaluate(data)["loss"] < history["loss"][0]
    True
    >>> trainer.predict(guess, {features: x[:5]}).shape
    (5, 1)
    """

    batches: Batches[Node]

    def __init__(
        self,
        loss: Node,
        optimizer: Optimizer | ParameterGroups,
        *,
        metrics: Sequence[Metric] = (),
        hooks: Sequence[Hook] = (),
        accumulate: int = 1,
        guard: bool = True,
    ) -> None:
        if accumulate < 1:
            raise ArgumentError(f"Trainer: accumulate={accumulate}", hint="give 1 or more")
        self.loss = loss
        self.graph: Graph = loss.graph
        self.tally = Tally(loss, metrics)
        self.hooks = list(hooks)
        self.inputs = _inputs("Trainer", self.tally.nodes)
        self._accumulate = accumulate
        self.updater = self._make_updater(optimizer)
        self._rate = optimizer.rate if isinstance(optimizer, Optimizer) else None
        self._judge = function(self.inputs, self.tally.nodes, training=False)
        self._predictors: dict[tuple[Node, ...], Function] = {}
        self._guard = guard
        self.history = History()
        self.epoch = self.batch = self.steps = self.last_epoch = 0
        self.resumed = False
        self._began = 0
        self._data: dict[str, Any] = {}
        self._stopping = False

    # ---- the three verbs -----------------------------------------------------------------------

    def fit(
        self,
        data: Data,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation: Data | None = None,
        shuffle: bool = True,
        prefetch: int = 0,
        progress: bool = True,
    ) -> History:
        """Train.

        After `resume`, it goes on with the call of `fit` that was interrupted: `epochs` counts
        those that were done in it. After an error, the epoch begins anew.

        Args:
            data: An array of samples for each input. The last batch may be smaller.
            epochs: How many times the data is gone through.
            batch_size: Samples in a batch.
            validation: Data that is judged after each epoch.
            shuffle: Whether each epoch has an order of its own, from the graph's seed.
            prefetch: How many batches a thread gathers ahead.
            progress: Whether to print how it goes.

        Returns:
            The history of all epochs so far.

        Raises:
            FeedError: An input has no data, or the data does not fit it.
            ArgumentError: After `resume`, the data is not in the batches of the interrupted call.
            NonFiniteError: The loss became NaN or infinite.
        """
        self.batches = Batches(
            self._checked(data, self.tally.nodes),
            batch_size,
            shuffle=shuffle,
            seed=self.graph.seed,
            prefetch=prefetch,
        )
        judged = None if validation is None else self._in_order(validation, self.tally.nodes)
        self._begin_epochs()
        self.last_epoch = self._began + epochs
        self._stopping = False
        with self._running([*self.hooks, *self._own_hooks(progress)]) as running:
            while self.epoch < self.last_epoch and not self._stopping:
                self._fit_epoch(judged, running)
        return self.history

    def evaluate(self, data: Data, *, batch_size: int = JUDGED_AT_ONCE) -> dict[str, Any]:
        """The loss and every metric over the data, with dropout off and averages in use.

        Args:
            data: An array of samples for each input.
            batch_size: Samples in a batch.

        Returns:
            Results by name: numbers, or what a metric documents.
        """
        return self._judged(self._in_order(data, self.tally.nodes, batch_size).epoch(0)).results()

    def predict(
        self, outputs: Node | Sequence[Node], data: Data, *, batch_size: int = JUDGED_AT_ONCE
    ) -> Any:
        """The values of nodes over the data, with dropout off and averages in use.

        Args:
            outputs: A node or a sequence of nodes whose first axis is the batch.
            data: An array of samples for each input that they need; others are passed over.
            batch_size: Samples in a batch.

        Returns:
            An array (samples, ...), or a list of them.

        Raises:
            ShapeError: An output has no batch axis.
        """
        wanted = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        for node in wanted:
            _check_batch_axis("predict", node, "for other nodes make a function: ms.function")
        if wanted not in self._predictors:
            inputs = _inputs("predict", wanted)
            self._predictors[wanted] = function(inputs, wanted, training=False)
        predictor = self._predictors[wanted]
        parts = [
            predictor(*(batch[node] for node in predictor.inputs))
            for batch in self._in_order(data, wanted, batch_size).epoch(0)
        ]
        joined = [np.concatenate([*map(to_host, column)]) for column in zip(*parts, strict=True)]
        return joined[0] if isinstance(outputs, Node) else joined

    # ---- while it runs -------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate, which may be set between steps.

        Raises:
            ArgumentError: It follows a schedule, or there are several.
        """
        return float(self._rate_variable().value)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._set_rate(value)

    def feeds(self, batch: Batch) -> list[Array]:
        """The arrays of a batch in the order of `inputs`."""
        return [batch[node] for node in self.inputs]

    def stop(self) -> None:
        """End `fit` after the current epoch."""
        self._stopping = True

    # ---- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: all that `resume` needs, atomically."""
        arrays = {f"variables/{name}": x for name, x in self.graph.state_dict().items()}
        arrays |= {f"tally/{name}": x for name, x in self.tally.state().items()}
        states = []
        for place, hook in enumerate(self.hooks):
            state = hook.state()
            arrays |= {
                f"hooks/{place}/{key}": x for key, x in state.items() if isinstance(x, np.ndarray)
            }
            states.append({key: x for key, x in state.items() if not isinstance(x, np.ndarray)})
        header = {
            "options": self._options(),
            "data": self._data,
            "began": self._began,
            "epoch": self.epoch,
            "batch": self.batch,
            "steps": self.steps,
            "history": self.history.to_dict(),
            "hooks": states,
        }
        write_archive(path, header, arrays, kind=KIND, version=VERSION)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Take back a checkpoint; the next `fit` goes on from there.

        The trainer must be built as the one that wrote it, with its metrics and hooks.

        Raises:
            FormatError: The file is damaged, or no checkpoint.
            ArgumentError: The trainer was built with other options: all differences are named.
            GraphError: The checkpoint is of another model: all differences are named.
        """
        header, arrays = read_archive(path, kind=KIND, version=VERSION)
        _compare("resume", header["options"], self._options(), "build the trainer as it was built")
        self.graph.load_state_dict(under("variables/", arrays))
        self.tally.load_state(under("tally/", arrays))
        for place, (hook, state) in enumerate(zip(self.hooks, header["hooks"], strict=True)):
            hook.load_state({**state, **under(f"hooks/{place}/", arrays)})
        self.epoch, self.batch, self.steps = header["epoch"], header["batch"], header["steps"]
        self._began, self._data = header["began"], header["data"]
        self.history = History(header["history"])
        self.resumed = True

    # ---- internals -----------------------------------------------------------------------------

    def _make_updater(self, optimizer: Optimizer | ParameterGroups) -> Updater:
        inputs, outputs = self.inputs, self.tally.nodes
        if self._accumulate == 1:
            return Updater(inputs, outputs, loss=self.loss, optimizer=optimizer)
        return AccumulatingUpdater(
            inputs, outputs, loss=self.loss, optimizer=optimizer, batches=self._accumulate
        )

    def _own_hooks(self, progress: bool) -> list[Hook]:
        """The hooks that `fit` adds to those that were given."""
        return [NaNGuard()] * self._guard + [Progress()] * progress

    def _begin_epochs(self) -> None:
        """Take the place in the data: where the interrupted call was, or the start of an epoch."""
        batches = self.batches
        kept = {
            "samples": batches.samples,
            "batch_size": batches.batch_size,
            "shuffle": bool(batches.shuffle),
        }
        if self.resumed:
            _compare("fit", self._data, kept, "go on with the data and options of that run")
        else:
            self._began, self.batch = self.epoch, 0
            self.updater.clear()
        self._data = kept

    def _fit_epoch(self, validation: Batches[Node] | None, running: Sequence[Hook]) -> None:
        began = time.monotonic()
        if self.batch == 0:
            self.tally.reset()
        for hook in running:
            hook.before_epoch(self)
        for batch in self._own_batches():
            self.steps += 1
            self._take(batch)
            for hook in running:
                hook.after_step(self)
        numbers = scalars(self._trained().results())
        if validation is not None:
            judged = scalars(self._validated(validation).results())
            numbers |= {f"validation_{name}": x for name, x in judged.items()}
        if self._rate is not None:
            numbers["learning_rate"] = self.learning_rate
        numbers["seconds"] = time.monotonic() - began
        self.history.append(numbers)
        self.epoch += 1
        self.batch = 0
        for hook in running:
            hook.after_epoch(self, numbers)

    def _own_batches(self) -> Iterator[Batch | None]:
        """The batches of the epoch that are left for this process, each counted as it is given."""
        for batch in self.batches.epoch(self.epoch, start=self.batch):
            self.batch += 1
            yield batch

    def _take(self, batch: Batch | None) -> None:
        """Take a step on a batch."""
        assert batch is not None, "alone, there is always something to do"
        feeds = self.feeds(batch)
        values = self.updater(feeds, last=self.batch == len(self.batches))
        self.tally.add_loss(values, len(feeds[0]))
        if np.isfinite(self.tally.loss):  # else the guard names the node, if there is one
            self.tally.add_metrics(values)

    def _trained(self) -> Tally:
        """What was measured in the epoch."""
        return self.tally

    def _validated(self, batches: Batches[Node]) -> Tally:
        """What is measured in data to validate."""
        return self._judged(batches.epoch(0))

    def _judged(self, batches: Iterable[Batch]) -> Tally:
        tally = self.tally.empty()
        for batch in batches:
            feeds = self.feeds(batch)
            values = self._judge(*feeds)
            tally.add_loss(values, len(feeds[0]))
            tally.add_metrics(values)
        return tally

    def _in_order(
        self, data: Data, outputs: Sequence[Node], batch_size: int = JUDGED_AT_ONCE
    ) -> Batches[Node]:
        return Batches(self._checked(data, outputs), batch_size, shuffle=False)

    def _checked(self, data: Data, outputs: Sequence[Node]) -> dict[Node, Any]:
        """The data that the outputs need, after a look at its shapes, dtypes and labels."""
        looked_at = {}
        for node, x in data.items():
            if isinstance(node, Input) and hasattr(x, "shape"):
                node.check_shape(x)
            # Labels are read whole, so that a wrong one is found before the training begins.
            whole = isinstance(node, Input) and node.dtype.kind in "iu"
            looked_at[node] = x if whole else _first(x)
        return {node: data[node] for node in accept_feeds(self.graph, outputs, looked_at)}

    @contextmanager
    def _running(self, hooks: Sequence[Hook]) -> Iterator[list[Hook]]:
        """Hooks in order, begun, and ended in the reverse order whatever happens."""
        ordered = sorted(hooks, key=lambda hook: hook.order)
        with ExitStack() as stack:
            for hook in ordered:
                stack.enter_context(self._begun(hook))
            self.resumed = False
            yield ordered

    @contextmanager
    def _begun(self, hook: Hook) -> Iterator[None]:
        try:
            hook.begin(self)
            yield
        except BaseException as error:
            hook.failed(self, error)
            raise
        finally:
            hook.end(self)

    def _options(self) -> dict[str, Any]:
        """What a trainer that resumes must have in common with the one that was interrupted."""
        return {
            "seed": self.graph.seed,
            "accumulate": self._accumulate,
            "metrics": [metric.name for metric in self.tally.metrics],
            "hooks": [type(hook).__name__ for hook in self.hooks],
        }

    def _set_rate(self, value: float) -> None:
        self._rate_variable().value = np.float64(value)

    def _rate_variable(self) -> Variable:
        if self._rate is None:
            raise ArgumentError(
                "Trainer: there is no single learning rate to read or set",
                hint="give one optimizer a number as learning_rate; a schedule moves by itself",
            )
        return self._rate


def _first(x: Any) -> Any:
    """The first sample, as a batch; all where there are no samples."""
    try:
        return x[:1]
    except (TypeError, IndexError):
        return x


def _inputs(action: str, outputs: Sequence[Node]) -> list[Input]:
    inputs = [node for node in ancestors(outputs) if isinstance(node, Input)]
    for node in inputs:
        _check_batch_axis(action, node, "declare the input with shape (None, ...)")
    return inputs


def _compare(action: str, then: Mapping[str, Any], here: Mapping[str, Any], remedy: str) -> None:
    differences = [
        f"{name}  {then[name]} in the checkpoint, {here[name]} here"
        for name in then
        if then[name] != here[name]
    ]
    if differences:
        raise ArgumentError(
            f"{action}: not the run that was interrupted", rows=tuple(differences), hint=remedy
        )


def _check_batch_axis(action: str, node: Node, remedy: str) -> None:
    if node.ndim == 0 or node.shape[0] is not None:
        raise ShapeError(f"{action}: the first axis of {node!r} is not the batch", hint=remedy)
