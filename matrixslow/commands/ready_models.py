"""Ready models: one of each common kind, for whatever features a task has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from matrixslow import layers, ops
from matrixslow.commands.task import Task
from matrixslow.core import Graph, Input, Node
from matrixslow.errors import ArgumentError
from matrixslow.io.readers import Array

EMBEDDED = 8
"""The size of what stands for an id."""


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model with the names by which other commands find its parts again.

    Args:
        graph: Where it lives.
        inputs: The features by name.
        target: What is to be predicted: "label" (class numbers) or "target" (numbers).
        prediction: What it predicts: "probabilities" or "prediction".
        loss: "loss".
    """

    graph: Graph
    inputs: Mapping[str, Input]
    target: Input
    prediction: Node
    loss: Node


def linear(features: Mapping[str, Node], ids: int, outputs: int) -> Node:
    """Softmax regression, or linear regression where a number is predicted."""
    return layers.dense(_flat(features, ids), outputs, name="scores")


def mlp(features: Mapping[str, Node], ids: int, outputs: int) -> Node:
    """Two hidden layers of 64."""
    h = layers.dense(_flat(features, ids), 64, activation="relu", name="fc1")
    h = layers.dense(h, 64, activation="relu", name="fc2")
    return layers.dense(layers.dropout(h, 0.1), outputs, name="fc3")


def cnn(features: Mapping[str, Node], ids: int, outputs: int) -> Node:
    """Two convolutions with pooling, over an image or a series, and a hidden layer of 128."""
    h = _only("cnn", features, "image", "series")
    for place, filters in enumerate((32, 64), 1):
        h = layers.conv(
            h, filters, kernel=3, padding="same", activation="relu", name=f"conv{place}"
        )
        h = layers.max_pool(h, 2, name=f"pool{place}")
    h = layers.dense(layers.flatten(h, name="flatten"), 128, activation="relu", name="fc1")
    return layers.dense(layers.dropout(h, 0.25), outputs, name="fc2")


def gru(features: Mapping[str, Node], ids: int, outputs: int) -> Node:
    """A recurrent layer of 64 over the steps of a series, and the mean of its states."""
    series = _only("gru", features, "series")
    steps = ops.Transpose(series, perm=(0, 2, 1), name="steps")
    h = layers.gru(steps, 64, return_sequences=True, name="gru")
    return layers.dense(ops.ReduceMean(h, axes=(1,), keepdims=False), outputs, name="fc")


MODELS: dict[str, Callable[[Mapping[str, Node], int, int], Node]] = {
    "linear": linear,
    "mlp": mlp,
    "cnn": cnn,
    "gru": gru,
}


def best_for(task: Task) -> str:
    """The name of the model that suits the task's features."""
    return "cnn" if set(task.train.features) in ({"image"}, {"series"}) else "mlp"


def build(task: Task, name: str, *, seed: int) -> ReadyModel:
    """The model of that name, in a graph of its own.

    Numbers and series are standardized in the graph, by the mean and the deviation of the samples
    to train on, so that a saved model takes them as they are.

    Raises:
        ArgumentError: The model does not suit the features.
    """
    with Graph(seed=seed) as graph:
        inputs = {
            feature: Input(
                (None, *array.shape[1:]),
                dtype="int64" if array.dtype.kind == "i" else "float32",
                name=feature,
            )
            for feature, array in task.train.features.items()
        }
        features = {
            feature: _standardized(node, task.train.features[feature])
            for feature, node in inputs.items()
        }
        scores = MODELS[name](features, task.ids, max(len(task.classes), 1))
        target, prediction, loss = _goal(scores, task)
    return ReadyModel(graph, inputs, target, prediction, loss)


def _goal(scores: Node, task: Task) -> tuple[Input, Node, Node]:
    """What is to be predicted, what is predicted, and the loss between them."""
    if task.classes:
        label = Input((None,), dtype="int64", name="label")
        probabilities = ops.Softmax(scores, name="probabilities")
        return label, probabilities, ops.SoftmaxCrossEntropy(scores, label, name="loss")
    assert task.train.target is not None
    target = Input((None, 1), name="target")
    mean, deviation = float(np.mean(task.train.target)), float(np.std(task.train.target)) or 1.0
    prediction = ops.Add(scores * deviation, mean, name="prediction")
    loss = ops.MeanSquaredError(scores, (target - mean) / deviation, name="loss")
    return target, prediction, loss


def _standardized(node: Node, array: Array) -> Node:
    """Numbers and series with mean 0 and deviation 1; images and ids as they are."""
    if node.ndim not in (2, 3) or not node.spec.floating:
        return node
    axes = (0,) if node.ndim == 2 else (0, 2)
    mean = np.nanmean(array, axis=axes, keepdims=True)[0]
    deviation = np.nanstd(array, axis=axes, keepdims=True)[0]
    with node.graph.scope(f"standardize_{node.name}"):
        centred: Node = node - mean
        return centred / np.where(deviation > 0, deviation, 1.0).astype(np.float32)


def _flat(features: Mapping[str, Node], ids: int) -> Node:
    """All features of a sample in one row; ids are embedded."""
    rows = [
        layers.flatten(layers.embedding(node, ids, EMBEDDED, name="embedding"))
        if name == "ids"
        else node
        if node.ndim == 2
        else layers.flatten(node)
        for name, node in features.items()
    ]
    return ops.Concat(*rows, axis=1) if len(rows) > 1 else rows[0]


def _only(model: str, features: Mapping[str, Node], *wanted: str) -> Node:
    """The one feature that a model takes."""
    if len(features) != 1 or not set(features) <= set(wanted):
        raise ArgumentError(
            f"train: {model} takes one {' or '.join(wanted)}, the data has {', '.join(features)}",
            hint="take another model: mlp and linear take everything",
        )
    return next(iter(features.values()))
