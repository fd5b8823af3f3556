"""Samples of matrixslow/ops/loss.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

Array = np.ndarray[Any, Any]

X, Y = numbers(3, 2), numbers(3, 2, seed=1)
SIGNS = np.array([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]])
HARD = (SIGNS + 1.0) / 2.0
P, SOFT = 1.0 / (1.0 + np.exp(-Y)), 1.0 / (1.0 + np.exp(-numbers(3, 2, seed=2)))
LOGARITHMS = X - np.log(np.exp(X).sum(axis=1, keepdims=True))
SHARES = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
WEIGHTS = np.array([0.5, 2.0, 1.5])


def by_torch(loss: Callable[..., Any], *arrays: Array, **options: Any) -> Any:
    return loss(*map(torch.tensor, arrays), **options).numpy()


def reductions(name: str, loss: Callable[..., ms.Node], x: Array, t: Array, each: Array) -> Any:
    """A loss in every reduction, with and without weights, from the loss of each element."""
    weights = WEIGHTS.reshape(-1, *(1,) * (each.ndim - 1)) * np.ones(each.shape)
    return (
        Sample(f"{name}, mean", lambda x, t: loss(x, t), (x, t), each.mean()),
        Sample(f"{name}, sum", lambda x, t: loss(x, t, reduction="sum"), (x, t), each.sum()),
        Sample(f"{name}, each", lambda x, t: loss(x, t, reduction="none"), (x, t), each),
        Sample(
            f"{name}, weighted mean",
            lambda x, t, weight: loss(x, t, weight=weight),
            (x, t, WEIGHTS),
            np.average(each, weights=weights),
        ),
        Sample(
            f"{name}, weighted sum",
            lambda x, t, weight: loss(x, t, weight=weight, reduction="sum"),
            (x, t, WEIGHTS),
            (weights * each).sum(),
        ),
        Sample(
            f"{name}, each, weighted",
            lambda x, t, weight: loss(x, t, weight=weight, reduction="none"),
            (x, t, WEIGHTS),
            weights * each,
        ),
    )


def focal(x: Array, t: Array, *, alpha: float, gamma: float) -> Any:
    """The formula of torchvision, on torch's cross entropy."""
    p = 1.0 / (1.0 + np.exp(-x))
    true = p * t + (1.0 - p) * (1.0 - t)
    entropy = by_torch(functional.binary_cross_entropy_with_logits, x, t, reduction="none")
    return (alpha * t + (1.0 - alpha) * (1.0 - t)) * entropy * (1.0 - true) ** gamma


SAMPLES = (
    *reductions("MeanSquaredError", ms.ops.MeanSquaredError, X, Y, (X - Y) ** 2),
    *reductions("MeanAbsoluteError", ms.ops.MeanAbsoluteError, X, Y, np.abs(X - Y)),
    *reductions(
        "Huber", ms.ops.Huber, X, Y, by_torch(functional.huber_loss, X, Y, reduction="none")
    ),
    Sample(
        "Huber, another delta",
        lambda x, t: ms.ops.Huber(x, t, delta=0.7),
        (X, Y),
        by_torch(functional.huber_loss, X, Y, delta=0.7),
    ),
    *reductions(
        "BinaryCrossEntropy",
        ms.ops.BinaryCrossEntropy,
        P,
        SOFT,
        by_torch(functional.binary_cross_entropy, P, SOFT, reduction="none"),
    ),
    *reductions(
        "BinaryCrossEntropyWithLogits",
        ms.ops.BinaryCrossEntropyWithLogits,
        X,
        SOFT,
        by_torch(functional.binary_cross_entropy_with_logits, X, SOFT, reduction="none"),
    ),
    Sample(
        "BinaryCrossEntropyWithLogits, the positive class weighted",
        lambda x, t: ms.ops.BinaryCrossEntropyWithLogits(x, t, positive_weight=3.0),
        (X, HARD),
        by_torch(
            functional.binary_cross_entropy_with_logits, X, HARD, pos_weight=torch.tensor(3.0)
        ),
    ),
    *reductions("Focal", ms.ops.Focal, X, HARD, focal(X, HARD, alpha=0.25, gamma=2.0)),
    Sample(
        "Focal, other factors",
        lambda x, t: ms.ops.Focal(x, t, alpha=0.6, gamma=1.5),
        (X, HARD),
        focal(X, HARD, alpha=0.6, gamma=1.5).mean(),
    ),
    *reductions(
        "KLDivergence",
        ms.ops.KLDivergence,
        LOGARITHMS,
        SHARES,
        by_torch(functional.kl_div, LOGARITHMS, SHARES, reduction="none").sum(axis=-1),
    ),
    *reductions("Hinge", ms.ops.Hinge, X, SIGNS, np.maximum(0.0, 1.0 - X * SIGNS)),
    *reductions("LogLoss", ms.ops.LogLoss, X, SIGNS, np.logaddexp(0.0, -X * SIGNS)),
    *reductions("PerceptronLoss", ms.ops.PerceptronLoss, X, SIGNS, np.maximum(0.0, -X * SIGNS)),
    Sample(
        "BinaryEntropy, a column and a row",
        lambda p, t: ms.ops.BinaryEntropy(p, t),
        (P[:, :1], SOFT[0]),
        -(SOFT[0] * np.log(P[:, :1]) + (1.0 - SOFT[0]) * np.log(1.0 - P[:, :1])),
    ),
    Sample("Target", lambda t, x: ms.ops.Target(t, x), (Y, X), Y),
)
