"""Trainer: fits a model to data on one machine, judges it, and predicts with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.graph import Graph, accept_feeds
from matrixslow.core.leaf import Input
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, FormatError, GraphError, ShapeError
from matrixslow.function import Function, function
from matrixslow.io import Batches, read_archive, write_archive
from matrixslow.metrics import Metric
from matrixslow.optimizers import Optimizer, ParameterGroups
from matrixslow.trainer.history import History
from matrixslow.trainer.hooks import Hook
from matrixslow.trainer.nan_guard import NaNGuard
from matrixslow.trainer.progress import Progress
from matrixslow.trainer.updater import Updater

Data = Mapping[Node, Any]
"""An array of samples for each input."""

KIND = "matrixslow checkpoint"
VERSION = 1


class Trainer:
    """Fits the variables that a loss depends on.

    Args:
        loss: A node of one element: the mean over the batch, so that batches weigh by their size.
        optimizer: An optimizer, or `ParameterGroups`.
        metrics: What is measured beside the loss.
        hooks: What happens beside the loop, at every call of `fit`.
        accumulate: How many batches are averaged for one step of the optimizer.
        guard: Whether a loss that is not finite stops the run and names the node (`NaNGuard`).

    Attributes:
        graph: The graph of the loss.
        history: The numbers of every epoch so far.
        epoch: How many epochs are done.
        batch: How many batches of the current epoch are done.
        steps: How many batches are done in all.

    >>> x, y = ms.io.linear(64, seed=0)[:2]
    >>> with ms.Graph(seed=0):
    ...     features = ms.Input((None, x.shape[1]), name="features")
    ...     target = ms.Input((None, 1), name="target")
    ...     loss = ms.ops.MeanSquaredError(ms.layers.dense(features, 1), target)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1))
    >>> data = {features: x, target: y.reshape(-1, 1)}
    >>> history = trainer.fit(data, epochs=20, batch_size=16, progress=False)
    >>> history["loss"][-1] < 0.1 * history["loss"][0]
    True
    """

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
        self.target = loss
        self.graph: Graph = loss.graph
        self.optimizer = optimizer
        self.metrics = list(metrics)
        self.hooks = list(hooks)
        _check_metrics(self.metrics, self.graph)
        self._measured = [loss, *(node for metric in self.metrics for node in metric.nodes)]
        self.inputs = [x for x in ancestors(self._measured) if isinstance(x, Input)]
        self.updater = Updater(
            self.inputs, self._measured, loss=loss, optimizer=optimizer, accumulate=accumulate
        )
        self._judge = function(self.inputs, self._measured, training=False)
        self._predictors: dict[tuple[Node, ...], Function] = {}
        self._guard = guard
        self.history = History()
        self.epoch = self.batch = self.batches = self.steps = self.last_epoch = 0
        self.feeds: list[Array] = []
        self.loss_value = float("nan")
        self.resumed = False
        self._began = 0
        self._stopping = False
        self._total = _Total()

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
        hooks: Sequence[Hook] = (),
    ) -> History:
        """Train.

        After `resume`, it goes on with the call of `fit` that was interrupted: `epochs` counts
        those that were done in it.

        Args:
            data: An array of samples for each input. The last batch may be smaller.
            epochs: How many times the data is gone through.
            batch_size: Samples in a batch.
            validation: Data that is judged after each epoch.
            shuffle: Whether each epoch has an order of its own, from the graph's seed.
            prefetch: How many batches a thread gathers ahead.
            progress: Whether to print how it goes.
            hooks: Hooks for this call only.

        Returns:
            The history of all epochs so far.

        Raises:
            FeedError: An input has no data, or the data does not fit it.
            NonFiniteError: The loss became NaN or infinite.
        """
        batches = Batches(
            self._checked(data, self._measured),
            batch_size,
            shuffle=shuffle,
            seed=self.graph.seed,
            prefetch=prefetch,
        )
        if validation is not None:
            validation = self._checked(validation, self._measured)
        if not self.resumed:
            self._began = self.epoch
        self.batches = len(batches)
        self.last_epoch = self._began + epochs
        self._stopping = False
        own = [NaNGuard()] * self._guard + [Progress()] * progress
        with self._running([*self.hooks, *hooks, *own]) as running:
            while self.epoch < self.last_epoch and not self._stopping:
                self._fit_epoch(batches, validation, running)
        return self.history

    def evaluate(self, data: Data, *, batch_size: int = 256) -> dict[str, Any]:
        """The loss and every metric over the data, with dropout off and averages in use.

        Args:
            data: An array of samples for each input.
            batch_size: Samples in a batch.

        Returns:
            Results by name: numbers, or what a metric documents.
        """
        total = _Total()
        for metric in self.metrics:
            metric.reset()
        arrays = self._checked(data, self._measured)
        for batch in Batches(arrays, batch_size, shuffle=False).epoch(0):
            feeds = [batch[node] for node in self.inputs]
            self._measure(self._judge(*feeds), feeds, total)
        return {"loss": total.mean, **{metric.name: metric.result() for metric in self.metrics}}

    def predict(self, outputs: Node | Sequence[Node], data: Data, *, batch_size: int = 256) -> Any:
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
            if node.ndim == 0 or node.shape[0] is not None:
                raise ShapeError(
                    f"predict: the first axis of {node!r} is not the batch",
                    hint="predict nodes of shape (None, ...); for others use ms.function",
                )
        if wanted not in self._predictors:
            inputs = [x for x in ancestors(wanted) if isinstance(x, Input)]
            self._predictors[wanted] = function(inputs, wanted, training=False)
        predictor = self._predictors[wanted]
        arrays = self._checked(data, wanted)
        parts = [
            predictor(*(batch[node] for node in predictor.inputs))
            for batch in Batches(arrays, batch_size, shuffle=False).epoch(0)
        ]
        joined = [
            np.concatenate([to_host(x) for x in column]) for column in zip(*parts, strict=True)
        ]
        return joined[0] if isinstance(outputs, Node) else joined

    # ---- while it runs -------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate, which may be set between steps.

        Raises:
            ArgumentError: It follows a schedule, or there are several.
        """
        return float(self._rate().value)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._rate().value = np.float64(value)

    @property
    def mean_loss(self) -> float:
        """The mean loss of the current epoch so far."""
        return self._total.mean

    def stop(self) -> None:
        """End `fit` after the current epoch."""
        self._stopping = True

    # ---- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: all that `resume` needs, atomically."""
        arrays = {f"variables/{name}": x for name, x in self.graph.state_dict().items()}
        for metric in self.metrics:
            arrays |= {f"metrics/{metric.name}/{key}": x for key, x in metric.state().items()}
        hooks = []
        for place, hook in enumerate(self.hooks):
            state = hook.state()
            kept = {key: x for key, x in state.items() if isinstance(x, np.ndarray)}
            arrays |= {f"hooks/{place}/{key}": x for key, x in kept.items()}
            plain = {key: x for key, x in state.items() if key not in kept}
            hooks.append({"type": type(hook).__name__, "state": plain})
        header = {
            "kind": KIND,
            "version": VERSION,
            "seed": self.graph.seed,
            "epoch": self.epoch,
            "batch": self.batch,
            "batches": self.batches,
            "steps": self.steps,
            "began": self._began,
            "total": [self._total.loss, self._total.samples],
            "history": self.history.to_dict(),
            "hooks": hooks,
        }
        write_archive(path, header, arrays)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Take back a checkpoint; the next `fit` goes on from there.

        Raises:
            FormatError: The file is damaged, or no checkpoint.
            GraphError: The checkpoint is of another model: all differences are named.
        """
        header, arrays = read_archive(path)
        if header.get("kind") != KIND or header.get("version") != VERSION:
            raise FormatError(
                f"{os.fspath(path)}: not a checkpoint of version {VERSION}, but "
                f"{header.get('kind')!r} of version {header.get('version')!r}",
                hint="Trainer.save writes checkpoints; ms.io.load reads models",
            )
        kinds = [hook["type"] for hook in header["hooks"]]
        if kinds != [type(hook).__name__ for hook in self.hooks]:
            raise GraphError(
                f"resume: the checkpoint was written with the hooks {', '.join(kinds) or 'none'}",
                hint="give the trainer the same hooks in the same order",
            )
        self.graph.load_state_dict(_under("variables/", arrays))
        for metric in self.metrics:
            metric.load_state(_under(f"metrics/{metric.name}/", arrays))
        for place, (hook, kept) in enumerate(zip(self.hooks, header["hooks"], strict=True)):
            hook.load_state({**kept["state"], **_under(f"hooks/{place}/", arrays)})
        self.epoch, self.batch = header["epoch"], header["batch"]
        self.batches, self.steps = header["batches"], header["steps"]
        self._began = header["began"]
        self._total = _Total(*header["total"])
        self.history = History(header["history"])
        self.resumed = True

    # ---- internals -----------------------------------------------------------------------------

    def _fit_epoch(
        self, batches: Batches[Node], validation: Data | None, running: Sequence[Hook]
    ) -> None:
        began = time.monotonic()
        if self.batch == 0:
            self._total = _Total()
            for metric in self.metrics:
                metric.reset()
        for batch in batches.epoch(self.epoch, start=self.batch):
            self.feeds = [batch[node] for node in self.inputs]
            self._measure(self.updater(self.feeds), self.feeds, self._total)
            self.batch += 1
            self.steps += 1
            for hook in running:
                hook.after_step(self)
        self.updater.flush()
        numbers = {"loss": self._total.mean, **self._numbers()}
        if validation is not None:
            judged = self.evaluate(validation)
            numbers |= {f"validation_{name}": x for name, x in _scalars(judged).items()}
        if self._has_rate():
            numbers["learning_rate"] = self.learning_rate
        numbers["seconds"] = time.monotonic() - began
        self.history.append(numbers)
        self.epoch += 1
        self.batch = 0
        for hook in running:
            hook.after_epoch(self, numbers)

    def _measure(self, values: Sequence[Array], feeds: Sequence[Array], total: _Total) -> None:
        self.loss_value = float(to_host(values[0]).reshape(()))
        total.add(self.loss_value, len(feeds[0]) if feeds else 1)
        if not np.isfinite(self.loss_value):
            return  # left to the guard: metrics refuse what is not a number
        place = 1
        for metric in self.metrics:
            count = len(metric.nodes)
            metric.update(*(to_host(x) for x in values[place : place + count]))
            place += count

    def _numbers(self) -> dict[str, float]:
        return _scalars({metric.name: metric.result() for metric in self.metrics})

    def _checked(self, data: Data, outputs: Sequence[Node]) -> dict[Node, Any]:
        """The data that the outputs need, after a look at its shapes, dtypes and labels."""
        arrays = {node: _samples(x) for node, x in data.items()}
        # Labels are read whole, so that a wrong one is found before the training begins.
        first = {
            node: x if isinstance(node, Input) and node.dtype.kind in "iu" else x[:1]
            for node, x in arrays.items()
        }
        needed = accept_feeds(self.graph, outputs, first)
        return {node: arrays[node] for node in needed}

    @contextmanager
    def _running(self, hooks: Sequence[Hook]) -> Iterator[list[Hook]]:
        """Hooks in order, begun, told of an error, and ended."""
        ordered = sorted(hooks, key=lambda hook: hook.order)
        begun: list[Hook] = []
        try:
            for hook in ordered:
                begun.append(hook)
                hook.begin(self)
            self.resumed = False
            yield ordered
        except BaseException as error:
            for hook in begun:
                hook.failed(self, error)
            raise
        finally:
            for hook in reversed(begun):
                hook.end(self)

    def _has_rate(self) -> bool:
        return isinstance(self.optimizer, Optimizer) and self.optimizer.rate is not None

    def _rate(self) -> Any:
        if not self._has_rate():
            raise ArgumentError(
                "Trainer: there is no single learning rate to read or set",
                hint="give one optimizer a number as learning_rate; a schedule moves by itself",
            )
        assert isinstance(self.optimizer, Optimizer)
        return self.optimizer.rate


class _Total:
    """The sum of the losses of samples."""

    def __init__(self, loss: float = 0.0, samples: int = 0) -> None:
        self.loss = loss
        self.samples = samples

    def add(self, loss: float, samples: int) -> None:
        """Add a batch with this mean loss."""
        self.loss += loss * samples
        self.samples += samples

    @property
    def mean(self) -> float:
        """The mean over the samples."""
        return self.loss / self.samples if self.samples else float("nan")


def _samples(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x)


def _scalars(results: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(x) for name, x in results.items() if np.ndim(x) == 0 and not isinstance(x, dict)
    }


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name[len(prefix) :]: x for name, x in arrays.items() if name.startswith(prefix)}


def _check_metrics(metrics: Sequence[Metric], graph: Graph) -> None:
    names = ["loss", *(metric.name for metric in metrics)]
    for metric in metrics:
        if names.count(metric.name) > 1:
            raise ArgumentError(
                f"Trainer: two numbers are called {metric.name!r}",
                hint=f'give a name: {type(metric).__name__}(..., name="...")',
            )
        for node in metric.nodes:
            if node.graph is not graph:
                raise GraphError(
                    f"Trainer: metric {metric.name!r} reads {node!r} of another graph",
                    hint="build the metric from nodes of the loss's graph",
                )
