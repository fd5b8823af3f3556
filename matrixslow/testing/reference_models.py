"""Reference models: one of each common kind, small, for tests that look at whole graphs.

Each function builds a model in a graph of its own. Their sizes are those of tests: a step takes
milliseconds. The convolutional network is the exception, it has the size that is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from matrixslow import layers, ops
from matrixslow.core import Graph, Input, Node, Variable
from matrixslow.initializers import Normal

HostArray = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """A model that can be run and trained.

    Args:
        graph: Where it lives.
        inputs: What is fed: features first, then what is to be learnt.
        output: What it predicts.
        loss: One number.
        draw: Makes an array for each input, from a stream and a number of samples.
    """

    graph: Graph
    inputs: tuple[Input, ...]
    output: Node
    loss: Node
    draw: Callable[[np.random.Generator, int], tuple[HostArray, ...]]

    def feeds(self, batch: int, *, seed: int = 0) -> dict[Node, HostArray]:
        """Made-up data: an array of so many samples for each input.

        >>> model = ms.testing.mlp()
        >>> [array.shape for array in model.feeds(4).values()]
        [(4, 20), (4,)]
        """
        arrays = self.draw(np.random.default_rng(seed), batch)
        return dict(zip(self.inputs, arrays, strict=True))


def mlp(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """Dense layers 20-16-10, tanh, softmax cross entropy.

    >>> model = ms.testing.mlp()
    >>> model.output
    Add 'dense_1/add' (None, 10) float32
    """
    with Graph(seed=seed) as graph:
        x = Input((None, 20), dtype=dtype, name="x")
        scores = layers.dense(layers.dense(x, 16, activation="tanh"), 10)
    return _classifier(graph, x, scores)


def cnn(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """Two convolutions with pooling and two dense layers, for images 1 x 28 x 28 of ten classes.

    >>> ms.testing.cnn().output.shape
    (None, 10)
    """
    with Graph(seed=seed) as graph:
        x = Input((None, 1, 28, 28), dtype=dtype, name="x")
        h: Node = x
        for filters in (32, 64):
            h = layers.conv(h, filters, kernel=3, padding="same", activation="relu")
            h = layers.max_pool(h, 2)
        h = layers.dense(layers.flatten(h), 128, activation="relu")
        scores = layers.dense(h, 10)
    return _classifier(graph, x, scores)


def resnet(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """Two residual blocks with batch normalization, for images 3 x 8 x 8 of ten classes.

    >>> ms.testing.resnet().output.shape
    (None, 10)
    """
    with Graph(seed=seed) as graph:
        x = Input((None, 3, 8, 8), dtype=dtype, name="x")
        h = layers.batch_norm(layers.conv(x, 4, kernel=3, padding="same", bias=False))
        h = layers.residual_block(ops.Relu(h), 4)
        h = layers.residual_block(h, 8, strides=2)
        scores = layers.dense(layers.global_average_pool(h), 10)
    return _classifier(graph, x, scores)


def rnn(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """An Elman network over 12 steps of 5 features, then a dense layer.

    >>> ms.testing.rnn().output.shape
    (None, 4)
    """
    with Graph(seed=seed) as graph:
        x = Input((None, 12, 5), dtype=dtype, name="x")
        scores = layers.dense(layers.rnn(x, 8), 4)
    return _classifier(graph, x, scores)


def lstm(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """A bidirectional LSTM over 6 steps of 5 features, dropout, then a dense layer.

    >>> ms.testing.lstm().output.shape
    (None, 4)
    """
    with Graph(seed=seed) as graph:
        x = Input((None, 6, 5), dtype=dtype, name="x")
        h = layers.dropout(layers.lstm(x, 6, bidirectional=True), 0.25)
        scores = layers.dense(h, 4)
    return _classifier(graph, x, scores)


def deepfm(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """Five fields of 20 ids: a factorization machine and a deep network beside it; clicks.

    Source: Guo et al., "DeepFM: a factorization-machine based neural network for CTR prediction"
        (2017).

    >>> ms.testing.deepfm().output.shape
    (None, 1)
    """
    fields, rows = 5, 20
    with Graph(seed=seed) as graph:
        ids = Input((None, fields), dtype="int64", name="ids")
        click = Input((None, 1), dtype=dtype, name="click")
        shallow = layers.factorization_machine(ids, fields * rows, 4, dtype=dtype)
        embedded = layers.embedding(ids, fields * rows, 4, dtype=dtype)
        h = layers.dense(layers.flatten(embedded), 16, activation="tanh")
        output = shallow + layers.dense(h, 1)
        loss = ops.BinaryCrossEntropyWithLogits(output, click, name="loss")

    def draw(rng: np.random.Generator, batch: int) -> tuple[HostArray, ...]:
        chosen = rng.integers(0, rows, (batch, fields)) + rows * np.arange(fields)
        return chosen, rng.integers(0, 2, (batch, 1)).astype(dtype)

    return ReferenceModel(graph, (ids, click), output, loss, draw)


def gpt(*, dtype: str = "float32", seed: int = 0) -> ReferenceModel:
    """Two transformer blocks over 8 tokens of 11, which predict the next token.

    >>> ms.testing.gpt().output.shape
    (None, 8, 11)
    """
    tokens, length, width = 11, 8, 12
    with Graph(seed=seed) as graph:
        text = Input((None, length), dtype="int64", name="text")
        following = Input((None, length), dtype="int64", name="following")
        places = Variable(Normal(scale=0.02), shape=(length, width), dtype=dtype, name="places")
        h = layers.embedding(text, tokens, width, dtype=dtype) + places
        for _ in range(2):
            h = layers.transformer_block(h, heads=3, causal=True)
        output = layers.dense(layers.layer_norm(h), tokens)
        scores = ops.Transpose(output, perm=(0, 2, 1))
        loss = ops.SoftmaxCrossEntropy(scores, following, name="loss")

    def draw(rng: np.random.Generator, batch: int) -> tuple[HostArray, ...]:
        texts = rng.integers(0, tokens, (batch, length + 1))
        return texts[:, :-1], texts[:, 1:]

    return ReferenceModel(graph, (text, following), output, loss, draw)


REFERENCE_MODELS: dict[str, Callable[..., ReferenceModel]] = {
    build.__name__: build for build in (mlp, cnn, resnet, rnn, lstm, deepfm, gpt)
}
"""The functions that build them, by name."""


def _classifier(graph: Graph, x: Input, scores: Node) -> ReferenceModel:
    """The model that learns classes from features."""
    classes, *sizes = (size for size in (*scores.shape[1:], *x.shape[1:]) if size is not None)
    with graph:
        label = Input((None,), dtype="int64", name="label")
        loss = ops.SoftmaxCrossEntropy(scores, label, name="loss")

    def draw(rng: np.random.Generator, batch: int) -> tuple[HostArray, ...]:
        features = rng.standard_normal((batch, *sizes)).astype(x.dtype)
        return features, rng.integers(0, classes, batch)

    return ReferenceModel(graph, (x, label), scores, loss, draw)
