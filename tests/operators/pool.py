"""Samples of matrixslow/ops/pool.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

IMAGES = numbers(2, 1, 5, 4)
PADDED = {"kernel_shape": 3, "strides": 2, "pads": 1}


def by_torch(function: str, *positional: Any, **options: Any) -> Callable[..., np.ndarray]:
    def apply(x: np.ndarray) -> np.ndarray:
        return getattr(functional, function)(torch.tensor(x), *positional, **options).numpy()

    return apply


def gradient_by_torch(
    function: str, x: np.ndarray, upstream: np.ndarray, *positional: Any, **options: Any
) -> np.ndarray:
    leaf = torch.tensor(x, requires_grad=True)
    y = getattr(functional, function)(leaf, *positional, **options)
    (slope,) = torch.autograd.grad(y, leaf, torch.tensor(upstream))
    return slope.numpy()


def positions(x: np.ndarray) -> np.ndarray:
    _, indices = functional.max_pool2d(torch.tensor(x), 3, 2, 1, return_indices=True)
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
    return indices.numpy() + planes * x.shape[2] * x.shape[3]


def picked(v: np.ndarray, x: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    _, indices = functional.max_pool2d(torch.tensor(x), 3, 2, 1, return_indices=True)
    places = indices.flatten(2)
    return torch.tensor(v).flatten(2).gather(2, places).reshape(maximum.shape).numpy()


SAMPLES = (
    Sample(
        "MaxPool, windows side by side, a border left over",
        lambda x: ms.ops.MaxPool(x, kernel_shape=2, strides=2),
        (IMAGES,),
        by_torch("max_pool2d", 2),
    ),
    Sample(
        "MaxPoolIndices",
        lambda x: ms.ops.MaxPoolIndices(x, **PADDED),
        (IMAGES,),
        positions,
    ),
    Sample(
        "MaxPool, windows overlap",
        lambda x: ms.ops.MaxPool(x, kernel_shape=(3, 2)),
        (IMAGES,),
        by_torch("max_pool2d", (3, 2), stride=1),
    ),
    Sample(
        "MaxPool, strides and padding",
        lambda x: ms.ops.MaxPool(x, **PADDED),
        (IMAGES,),
        by_torch("max_pool2d", 3, 2, 1),
    ),
    Sample(
        "MaxPool, dilations, last window beyond the image",
        lambda x: ms.ops.MaxPool(x, kernel_shape=2, strides=2, dilations=2, ceil_mode=True),
        (numbers(2, 2, 6),),
        by_torch("max_pool1d", 2, 2, dilation=2, ceil_mode=True),
    ),
    Sample(
        "MaxPool, as many windows as elements",
        lambda x: ms.ops.MaxPool(x, kernel_shape=2, auto_pad="SAME_LOWER"),
        (numbers(2, 1, 4),),
        lambda x: np.maximum(x, np.pad(x[:, :, :-1], ((0, 0), (0, 0), (1, 0)), mode="edge")),
    ),
    Sample(
        "MaxPool, 3-D",
        lambda x: ms.ops.MaxPool(x, kernel_shape=(2, 1, 2), strides=(1, 2, 1)),
        (numbers(1, 2, 3, 3, 2),),
        by_torch("max_pool3d", (2, 1, 2), (1, 2, 1)),
    ),
    Sample(
        "MaxPool, windows of one element",
        lambda x: ms.ops.MaxPool(x, kernel_shape=1, strides=(2, 1)),
        (IMAGES,),
        lambda x: x[:, :, ::2],
    ),
    Sample(
        "MaxPoolGradient, equal elements",
        lambda upstream, x, maximum: ms.ops.MaxPoolGradient(upstream, x, maximum, **PADDED),
        (numbers(2, 1, 3, 2), np.ones((2, 1, 5, 4)), np.ones((2, 1, 3, 2))),
        lambda upstream, x, maximum: gradient_by_torch("max_pool2d", x, upstream, 3, 2, 1),
        order=0,
    ),
    Sample(
        "MaxPoolGradient, windows side by side",
        lambda upstream, x: ms.ops.MaxPoolGradient(
            upstream,
            x,
            ms.stop_gradient(ms.ops.MaxPool(x, kernel_shape=2, strides=2)),
            kernel_shape=2,
            strides=2,
        ),
        (numbers(2, 1, 2, 2), IMAGES),
        lambda upstream, x: gradient_by_torch("max_pool2d", x, upstream, 2),
    ),
    Sample(
        "MaxPoolPick",
        lambda v, x: ms.ops.MaxPoolPick(v, x, ms.ops.MaxPool(x, **PADDED), **PADDED),
        (numbers(2, 1, 5, 4, seed=1), IMAGES),
        lambda v, x: picked(v, x, np.empty((2, 1, 3, 2))),
    ),
    Sample(
        "AveragePool",
        lambda x: ms.ops.AveragePool(x, kernel_shape=2, strides=(2, 1)),
        (IMAGES,),
        by_torch("avg_pool2d", 2, (2, 1)),
    ),
    Sample(
        "AveragePool, padding is no element",
        lambda x: ms.ops.AveragePool(x, **PADDED),
        (IMAGES,),
        by_torch("avg_pool2d", 3, 2, 1, count_include_pad=False),
    ),
    Sample(
        "AveragePool, padding counts, last window beyond it",
        lambda x: ms.ops.AveragePool(x, **PADDED, ceil_mode=True, count_include_pad=True),
        (numbers(1, 2, 4, 3),),
        by_torch("avg_pool2d", 3, 2, 1, ceil_mode=True),
    ),
    Sample(
        "AveragePool, last window beyond the image, 1-D",
        lambda x: ms.ops.AveragePool(x, kernel_shape=3, strides=2, ceil_mode=True),
        (numbers(2, 2, 6),),
        by_torch("avg_pool1d", 3, 2, ceil_mode=True, count_include_pad=False),
    ),
    Sample(
        "AveragePool, sums, 3-D",
        lambda x: ms.ops.AveragePool(x, kernel_shape=(1, 2, 2), divisor_override=1.0),
        (numbers(1, 2, 2, 3, 2),),
        by_torch("avg_pool3d", (1, 2, 2), 1, divisor_override=1),
    ),
    Sample(
        "AveragePool, dilations",
        lambda x: ms.ops.AveragePool(x, kernel_shape=2, dilations=3),
        (numbers(1, 2, 6),),
        lambda x: (x[:, :, :3] + x[:, :, 3:]) / 2,
    ),
    Sample(
        "AveragePoolGradient",
        lambda upstream, like: ms.ops.AveragePoolGradient(upstream, like, **PADDED),
        (numbers(2, 1, 3, 2), IMAGES),
        lambda upstream, like: gradient_by_torch(
            "avg_pool2d", like, upstream, 3, 2, 1, count_include_pad=False
        ),
    ),
    Sample(
        "LpPool, Euclid's norm",
        lambda x: ms.ops.LpPool(x, kernel_shape=2, strides=(1, 2)),
        (IMAGES,),
        by_torch("lp_pool2d", 2, 2, (1, 2)),
    ),
    Sample(
        "LpPool, third norm, 1-D",
        lambda x: ms.ops.LpPool(x, kernel_shape=2, p=3),
        (numbers(2, 1, 5),),
        lambda x: (np.abs(x[:, :, 1:]) ** 3 + np.abs(x[:, :, :-1]) ** 3) ** (1 / 3),
    ),
    Sample(
        "LpPool, sum of absolute values, padding",
        lambda x: ms.ops.LpPool(x, kernel_shape=2, p=1, pads=(1, 0), ceil_mode=True),
        (numbers(2, 1, 3),),
        lambda x: np.abs(x) + np.abs(np.pad(x, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]),
    ),
    Sample(
        "GlobalMaxPool",
        lambda x: ms.ops.GlobalMaxPool(x),
        (IMAGES,),
        by_torch("adaptive_max_pool2d", 1),
    ),
    Sample(
        "GlobalAveragePool, 3-D",
        lambda x: ms.ops.GlobalAveragePool(x),
        (numbers(2, 2, 2, 1, 3),),
        by_torch("adaptive_avg_pool3d", 1),
    ),
    *(
        Sample(
            f"GlobalLpPool, p {p}",
            lambda x, p=p: ms.ops.GlobalLpPool(x, p=p),
            (numbers(2, 2, 4),),
            lambda x, p=p: np.linalg.norm(x, p, axis=2, keepdims=True),
        )
        for p in (1, 2, 3)
    ),
)
