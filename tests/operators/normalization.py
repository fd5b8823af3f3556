"""Samples of matrixslow/ops/normalization.py."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(2, 4, 3)
SCALE, BIAS = numbers(4, seed=1), numbers(4, seed=2)
MEAN, VARIANCE = numbers(4, seed=3), np.abs(numbers(4, seed=4)) + 0.3


def in_training(x: ms.Node, scale: ms.Node, bias: ms.Node) -> ms.Node:
    mean, variance = ms.ops.moments(x, axes=(0, 2), keepdims=False)
    return ms.ops.BatchNormalization(x, scale, bias, mean, variance, epsilon=1e-3)


def lrn_by_loop(x: np.ndarray, size: int, alpha: float, beta: float, bias: float) -> np.ndarray:
    y = np.empty_like(x)
    for channel in range(x.shape[1]):
        first = max(0, channel - (size - 1) // 2)
        total = (x[:, first : channel + size // 2 + 1] ** 2).sum(axis=1)
        y[:, channel] = x[:, channel] / (bias + alpha / size * total) ** beta
    return y


SAMPLES = (
    Sample(
        "BatchNormalization",
        lambda *inputs: ms.ops.BatchNormalization(*inputs),
        (X, SCALE, BIAS, MEAN, VARIANCE),
        lambda x, scale, bias, mean, variance: functional.batch_norm(
            *map(torch.tensor, (x, mean, variance, scale, bias))
        ).numpy(),
    ),
    Sample(
        "BatchNormalization, no axes but the channels, another epsilon",
        lambda *inputs: ms.ops.BatchNormalization(*inputs, epsilon=0.1),
        (numbers(3, 4), SCALE, BIAS, MEAN, VARIANCE),
        lambda x, scale, bias, mean, variance: scale * (x - mean) / np.sqrt(variance + 0.1) + bias,
    ),
    Sample(
        "BatchNormalization, moments of the batch",
        in_training,
        (X, SCALE, BIAS),
        lambda x, scale, bias: functional.batch_norm(
            torch.tensor(x),
            None,
            None,
            torch.tensor(scale),
            torch.tensor(bias),
            training=True,
            eps=1e-3,
        ).numpy(),
    ),
    Sample(
        "LayerNormalization",
        lambda x, scale, bias: ms.ops.LayerNormalization(x, scale, bias),
        (X, numbers(3, seed=1), numbers(3, seed=2)),
        lambda x, scale, bias: functional.layer_norm(
            torch.tensor(x), (3,), torch.tensor(scale), torch.tensor(bias)
        ).numpy(),
    ),
    Sample(
        "LayerNormalization, two axes, no bias",
        lambda x, scale: ms.ops.LayerNormalization(x, scale, axis=1, epsilon=1e-3),
        (X, numbers(4, 3, seed=1)),
        lambda x, scale: functional.layer_norm(
            torch.tensor(x), (4, 3), torch.tensor(scale), eps=1e-3
        ).numpy(),
    ),
    Sample(
        "LayerNormalization, one scale for all",
        lambda x, scale: ms.ops.LayerNormalization(x, scale, axis=-2),
        (X, numbers(1, seed=1)),
        lambda x, scale: functional.layer_norm(torch.tensor(x), (4, 3)).numpy() * scale,
    ),
    Sample(
        "InstanceNormalization",
        lambda x, scale, bias: ms.ops.InstanceNormalization(x, scale, bias),
        (numbers(2, 4, 3, 2), SCALE, BIAS),
        lambda x, scale, bias: functional.instance_norm(
            torch.tensor(x), weight=torch.tensor(scale), bias=torch.tensor(bias)
        ).numpy(),
    ),
    Sample(
        "GroupNormalization",
        lambda x, scale, bias: ms.ops.GroupNormalization(x, scale, bias, num_groups=2),
        (X, SCALE, BIAS),
        lambda x, scale, bias: functional.group_norm(
            torch.tensor(x), 2, torch.tensor(scale), torch.tensor(bias)
        ).numpy(),
    ),
    Sample(
        "GroupNormalization, one group, no axes but the channels",
        lambda x, scale, bias: ms.ops.GroupNormalization(x, scale, bias, num_groups=1, epsilon=0.1),
        (numbers(3, 4), SCALE, BIAS),
        lambda x, scale, bias: functional.group_norm(
            torch.tensor(x), 1, torch.tensor(scale), torch.tensor(bias), eps=0.1
        ).numpy(),
    ),
    Sample(
        "LRN",
        lambda x: ms.ops.LRN(x, size=3, alpha=0.9, beta=0.6, bias=1.5),
        (X,),
        lambda x: functional.local_response_norm(
            torch.tensor(x), 3, alpha=0.9, beta=0.6, k=1.5
        ).numpy(),
    ),
    Sample(
        "LRN, an even number of channels",
        lambda x: ms.ops.LRN(x, size=2, alpha=2.0),
        (numbers(2, 3, 2, 2),),
        lambda x: lrn_by_loop(x, 2, 2.0, 0.75, 1.0),
    ),
    Sample(
        "LRN, more channels than there are",
        lambda x: ms.ops.LRN(x, size=7, alpha=2.0),
        (numbers(2, 3),),
        lambda x: lrn_by_loop(x, 7, 2.0, 0.75, 1.0),
    ),
)
