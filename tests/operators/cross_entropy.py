"""Samples of matrixslow/ops/cross_entropy.py."""

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

SCORES, LABELS = numbers(4, 3), np.array([2, 0, 1, 2])
PIXELS, PIXEL_LABELS = numbers(2, 3, 2, 2), np.array([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])
SHARES = np.exp(numbers(4, 3, seed=1)) / np.exp(numbers(4, 3, seed=1)).sum(axis=1, keepdims=True)
WEIGHTS = np.array([0.5, 2.0, 1.5, 0.25])
CLASS_WEIGHTS = (0.5, 2.0, 3.0)


def torch_loss(scores: Array, target: Array, **options: Any) -> Any:
    """Torch's value; `weight` is that of the classes."""
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    return functional.cross_entropy(torch.tensor(scores), torch.tensor(target), **options).numpy()


def weighted(scores: Array, target: Array, weight: Array) -> Any:
    """The mean over samples of their own weights."""
    return np.average(torch_loss(scores, target, reduction="none"), weights=weight)


def build(**options: Any) -> Callable[..., ms.Node]:
    return lambda *nodes: ms.ops.SoftmaxCrossEntropy(*nodes, **options)


def likelihood(**options: Any) -> Callable[..., ms.Node]:
    return lambda *nodes: ms.ops.NegativeLogLikelihood(*nodes, **options)


SAMPLES = (
    Sample("SoftmaxCrossEntropy", build(), (SCORES, LABELS), torch_loss(SCORES, LABELS)),
    Sample(
        "SoftmaxCrossEntropy, sum",
        build(reduction="sum"),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, reduction="sum"),
    ),
    Sample(
        "SoftmaxCrossEntropy, each",
        build(reduction="none"),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, reduction="none"),
    ),
    Sample(
        "SoftmaxCrossEntropy, pixels",
        build(),
        (PIXELS, PIXEL_LABELS),
        torch_loss(PIXELS, PIXEL_LABELS),
    ),
    Sample(
        "SoftmaxCrossEntropy, each pixel, ignored, weighted classes, smoothed",
        build(reduction="none", ignore_index=1, class_weight=CLASS_WEIGHTS, label_smoothing=0.1),
        (PIXELS, PIXEL_LABELS),
        torch_loss(
            PIXELS,
            PIXEL_LABELS,
            reduction="none",
            ignore_index=1,
            weight=CLASS_WEIGHTS,
            label_smoothing=0.1,
        ),
    ),
    Sample(
        "SoftmaxCrossEntropy, ignored",
        build(ignore_index=2),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, ignore_index=2),
    ),
    Sample(
        "SoftmaxCrossEntropy, smoothed",
        build(label_smoothing=0.2),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, label_smoothing=0.2),
    ),
    Sample(
        "SoftmaxCrossEntropy, weighted classes",
        build(class_weight=CLASS_WEIGHTS),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, weight=CLASS_WEIGHTS),
    ),
    Sample(
        "SoftmaxCrossEntropy, weighted classes, smoothed, ignored",
        build(class_weight=CLASS_WEIGHTS, label_smoothing=0.2, ignore_index=0),
        (SCORES, LABELS),
        torch_loss(SCORES, LABELS, weight=CLASS_WEIGHTS, label_smoothing=0.2, ignore_index=0),
    ),
    Sample(
        "SoftmaxCrossEntropy, weighted samples",
        build(),
        (SCORES, LABELS, WEIGHTS),
        weighted(SCORES, LABELS, WEIGHTS),
    ),
    Sample(
        "SoftmaxCrossEntropy, weighted samples and classes, ignored, sum",
        build(class_weight=CLASS_WEIGHTS, ignore_index=0, reduction="sum"),
        (SCORES, LABELS, WEIGHTS),
        (
            WEIGHTS
            * torch_loss(SCORES, LABELS, weight=CLASS_WEIGHTS, ignore_index=0, reduction="none")
        ).sum(),
    ),
    Sample(
        "SoftmaxCrossEntropy, weighted samples and classes",
        build(class_weight=CLASS_WEIGHTS),
        (SCORES, LABELS, WEIGHTS),
        np.average(
            torch_loss(SCORES, LABELS, reduction="none"),
            weights=WEIGHTS * np.take(CLASS_WEIGHTS, LABELS),
        ),
    ),
    Sample(
        "SoftmaxCrossEntropy, probabilities",
        build(),
        (SCORES, SHARES),
        torch_loss(SCORES, SHARES),
    ),
    Sample(
        "SoftmaxCrossEntropy, probabilities, weighted classes, smoothed",
        build(class_weight=CLASS_WEIGHTS, label_smoothing=0.1),
        (SCORES, SHARES),
        torch_loss(SCORES, SHARES, weight=CLASS_WEIGHTS, label_smoothing=0.1),
    ),
    Sample(
        "SoftmaxCrossEntropy, probabilities, weighted samples",
        build(),
        (SCORES, SHARES, WEIGHTS),
        weighted(SCORES, SHARES, WEIGHTS),
    ),
    Sample(
        "SoftmaxCrossEntropy, probabilities, weighted samples, each",
        build(reduction="none"),
        (SCORES, SHARES, WEIGHTS),
        WEIGHTS * torch_loss(SCORES, SHARES, reduction="none"),
    ),
    Sample(
        "NegativeLogLikelihood",
        likelihood(),
        (SCORES, LABELS),
        -SCORES[np.arange(4), LABELS].mean(),
    ),
    Sample(
        "NegativeLogLikelihood, weighted classes, ignored",
        likelihood(class_weight=CLASS_WEIGHTS, ignore_index=0),
        (PIXELS, PIXEL_LABELS),
        functional.nll_loss(
            torch.tensor(PIXELS),
            torch.tensor(PIXEL_LABELS),
            weight=torch.tensor(CLASS_WEIGHTS, dtype=torch.float64),
            ignore_index=0,
        ).numpy(),
    ),
    Sample(
        "NegativeLogLikelihood, weighted samples, each",
        likelihood(reduction="none"),
        (SCORES, LABELS, WEIGHTS),
        -WEIGHTS * SCORES[np.arange(4), LABELS],
    ),
    Sample(
        "NegativeLogLikelihood, probabilities, sum",
        likelihood(reduction="sum"),
        (SCORES, SHARES),
        -(SCORES * SHARES).sum(),
    ),
)
