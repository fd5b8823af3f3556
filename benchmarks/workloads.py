"""The workloads that are timed: each as a graph of ours, with data and an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import data

import matrixslow as ms

Workload = tuple[list[ms.Node], ms.Node, Any]
"""Inputs, loss and optimizer; for inference scores and no optimizer."""


def labelled(x: ms.Node, logits: ms.Node) -> tuple[list[ms.Node], ms.Node]:
    """Inputs and loss of a classifier."""
    y = ms.Input(logits.shape[:1], dtype="int64", name="y")
    return [x, y], ms.ops.SoftmaxCrossEntropy(logits, y)


def w1() -> Workload:
    """MLP 784-128-10, batch 32, Adam."""
    return mlp([784, 128, 10])


def w2() -> Workload:
    """MLP 784-1024-1024-10, batch 256, Adam."""
    return mlp([784, 1024, 1024, 10])


def mlp(widths: list[int]) -> Workload:
    """Dense layers with ReLU between them."""
    x = h = ms.Input((None, widths[0]), name="x")
    for width in widths[1:-1]:
        h = ms.layers.dense(h, width, activation="relu")
    inputs, loss = labelled(x, ms.layers.dense(h, widths[-1]))
    return inputs, loss, ms.optimizers.Adam(1e-3)


def w3() -> Workload:
    """CNN on 1x28x28, batch 64, SGD with momentum."""
    x = h = ms.Input((None, 1, 28, 28), name="x")
    for filters in (32, 64):
        h = ms.layers.conv(h, filters, kernel=3, padding="same", activation="relu")
        h = ms.layers.max_pool(h, 2)
    h = ms.layers.dense(ms.layers.flatten(h), 128, activation="relu")
    inputs, loss = labelled(x, ms.layers.dense(h, 10))
    return inputs, loss, ms.optimizers.Momentum(1e-2)


def w4() -> Workload:
    """Elman RNN, 144 steps of 9, hidden 20, batch 32, Adam."""
    x = ms.Input((None, 144, 9), name="x")
    h = ms.layers.rnn(x, 20)
    h = ms.layers.dense(h, 40, activation="relu")
    inputs, loss = labelled(x, ms.layers.dense(h, 25))
    return inputs, loss, ms.optimizers.Adam(1e-3)


def w5() -> Workload:
    """LSTM, 64 steps of 64, hidden 128, batch 32, Adam."""
    x = ms.Input((None, 64, 64), name="x")
    inputs, loss = labelled(x, ms.layers.dense(ms.layers.lstm(x, 128), 10))
    return inputs, loss, ms.optimizers.Adam(1e-3)


def w6() -> Workload:
    """ResNet-20 on 3x32x32 with batch normalization, batch 64, SGD with momentum."""
    x = h = ms.Input((None, 3, 32, 32), name="x")
    h = ms.ops.Relu(normal_conv(h, 16))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and block == 0 else 1
            y = ms.ops.Relu(normal_conv(h, filters, strides=strides))
            y = normal_conv(y, filters)
            short = h if strides == 1 else normal_conv(h, filters, kernel=1, strides=2)
            h = ms.ops.Relu(y + short)
    h = ms.layers.flatten(ms.ops.GlobalAveragePool(h))
    inputs, loss = labelled(x, ms.layers.dense(h, 10))
    return inputs, loss, ms.optimizers.Momentum(1e-2)


def normal_conv(x: ms.Node, filters: int, *, kernel: int = 3, strides: int = 1) -> ms.Node:
    """A convolution with batch normalization in place of a bias."""
    pads = kernel // 2
    y = ms.layers.conv(x, filters, kernel=kernel, strides=strides, padding=pads, bias=False)
    return ms.layers.batch_norm(y)


def w7() -> Workload:
    """DeepFM: 26 fields, one table of 26 * ROWS x 16, batch 512, Adam."""
    rows = data.ROWS
    ids = ms.Input((None, 26), dtype="int64", name="ids")
    click = ms.Input((None, 1), name="click")
    embedded = ms.layers.embedding(ids, 26 * rows, 16, sparse=True)
    weights = ms.layers.embedding(ids, 26 * rows, 1, sparse=True)
    first = ms.ops.ReduceSum(weights, axes=(1, 2), keepdims=False)
    second = ms.layers.pairwise_interactions(embedded)
    h = ms.layers.flatten(embedded)
    for _ in range(2):
        h = ms.layers.dense(h, 400, activation="relu")
    score = ms.layers.dense(h, 1) + second + ms.ops.Unsqueeze(first, axes=1)
    loss = ms.ops.BinaryCrossEntropyWithLogits(score, click)
    return [ids, click], loss, ms.optimizers.Adam(1e-3)


def w8() -> Workload:
    """GPT: 4 layers, width 128, 4 heads, 64 tokens, vocabulary 65, batch 16, Adam."""
    ids = ms.Input((None, 64), dtype="int64", name="ids")
    following = ms.Input((None, 64), dtype="int64", name="following")
    places = ms.Variable(ms.initializers.Normal(scale=0.02), shape=(64, 128), name="places")
    h = ms.layers.embedding(ids, 65, 128) + places
    for _ in range(4):
        h = ms.layers.transformer_block(h, heads=4, causal=True)
    logits = ms.layers.dense(ms.layers.layer_norm(h), 65)
    loss = ms.ops.SoftmaxCrossEntropy(ms.ops.Transpose(logits, perm=(0, 2, 1)), following)
    return [ids, following], loss, ms.optimizers.Adam(1e-3)


def w9() -> Workload:
    """MatrixSlow's MNIST CNN: 3 kernels 5x5, 3 kernels 3x3, dense 120, batch 32, Adam."""
    x = h = ms.Input((None, 1, 28, 28), name="x")
    for kernel in (5, 3):
        h = ms.layers.conv(h, 3, kernel=kernel, padding="same", activation="relu")
        h = ms.layers.max_pool(h, 2)
    h = ms.layers.dense(ms.layers.flatten(h), 120, activation="relu")
    inputs, loss = labelled(x, ms.layers.dense(h, 10))
    return inputs, loss, ms.optimizers.Adam(1e-3)


def inference(train: Callable[[], Workload]) -> Workload:
    """The scores of a classifier that some workload trains."""
    inputs, loss, _ = train()
    return inputs[:1], loss.inputs[0], None


WORKLOADS: dict[str, Callable[[], Workload]] = {
    **{f.__name__: f for f in (w1, w2, w3, w4, w5, w6, w7, w8, w9)},
    **dict.fromkeys(("i1_1", "i1_64"), lambda: inference(w1)),
    **dict.fromkeys(("i3_1", "i3_64"), lambda: inference(w3)),
}
