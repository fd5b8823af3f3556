"""Tally: what is measured in a pass through the data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.node import Node
from matrixslow.errors import ArgumentError, GraphError
from matrixslow.metrics import Metric
from matrixslow.ops.weighing import mean_divisor


class Tally:
    """The mean loss over samples, and metrics.

    Where the loss is a weighted mean, batches count by the weights of their samples, else by the
    number of their samples.

    Attributes:
        nodes: What is read of every batch: the loss, the sum of its weights where it has any, and
            what the metrics need.
        loss: The loss of the last batch.

    Raises:
        ArgumentError: Two numbers would have one name.
        GraphError: A metric reads a node of another graph.
    """

    def __init__(self, loss: Node, metrics: Sequence[Metric]) -> None:
        _check(loss, metrics)
        self.metrics = tuple(metrics)
        self._divisor = mean_divisor(loss)
        weights = () if self._divisor is None else (self._divisor,)
        self.nodes = (loss, *weights, *(node for metric in metrics for node in metric.nodes))
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self.loss = float("nan")
        self._sum, self._weight = 0.0, 0.0
        for metric in self.metrics:
            metric.reset()

    def empty(self) -> Tally:
        """Another one that measures the same and has seen nothing."""
        other = copy.copy(self)
        other.metrics = tuple(copy.copy(metric) for metric in self.metrics)
        other.reset()
        return other

    def add_loss(self, values: Sequence[Array], samples: int) -> None:
        """Add the mean loss of a batch, from the values of the nodes."""
        self.loss = float(to_host(values[0]).reshape(()))
        weight = samples if self._divisor is None else float(to_host(values[1]))
        self._sum += self.loss * weight
        self._weight += weight

    def add_metrics(self, values: Sequence[Array]) -> None:
        """Add what the metrics need of a batch, from the values of the nodes."""
        left = iter(values[1 if self._divisor is None else 2 :])
        for metric in self.metrics:
            metric.update(*(to_host(next(left)) for _ in metric.nodes))

    def merge(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Add what another one gathered, as its `state` gave it."""
        self._sum += float(state["loss"][0])
        self._weight += float(state["loss"][1])
        for metric in self.metrics:
            metric.merge(under(f"{metric.name}/", state))

    @property
    def mean_loss(self) -> float:
        """The mean loss over the samples so far."""
        return self._sum / self._weight if self._weight else float("nan")

    def results(self) -> dict[str, Any]:
        """The mean loss and the result of each metric, by name."""
        return {"loss": self.mean_loss, **{x.name: x.result() for x in self.metrics}}

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that was gathered, as arrays that can be saved."""
        arrays = {"loss": np.array([self._sum, self._weight])}
        for metric in self.metrics:
            arrays |= {f"{metric.name}/{key}": x for key, x in metric.state().items()}
        return arrays

    def load_state(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take back what `state` gave."""
        self.reset()
        self.merge(state)


def under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose names begin so, without that beginning."""
    return {name[len(prefix) :]: x for name, x in arrays.items() if name.startswith(prefix)}


def scalars(results: Mapping[str, Any]) -> dict[str, float]:
    """The results that are single numbers."""
    return {
        name: float(x) for name, x in results.items() if np.ndim(x) == 0 and not isinstance(x, dict)
    }


def _check(loss: Node, metrics: Sequence[Metric]) -> None:
    names = ["loss", *(metric.name for metric in metrics)]
    for metric in metrics:
        if names.count(metric.name) > 1:
            raise ArgumentError(
                f"Trainer: two numbers are called {metric.name!r}",
                hint=f'give a name: {type(metric).__name__}(..., name="...")',
            )
        for node in metric.nodes:
            if node.graph is not loss.graph:
                raise GraphError(
                    f"Trainer: metric {metric.name!r} reads {node!r} of another graph",
                    hint="build the metric from nodes of the loss's graph",
                )
