"""Samples of matrixslow/ops/conv.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

IMAGES, KERNEL = numbers(2, 2, 4, 3), numbers(3, 2, 2, 2, seed=1)


def by_torch(function: str, **options: Any) -> Callable[..., np.ndarray]:
    def apply(*arrays: np.ndarray) -> np.ndarray:
        return getattr(functional, function)(*map(torch.tensor, arrays), **options).numpy()

    return apply


def padded_conv(before: int, behind: int, **options: Any) -> Callable[..., np.ndarray]:
    def apply(x: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        x = np.pad(x, ((0, 0), (0, 0), *((before, behind),) * (x.ndim - 2)))
        return by_torch(f"conv{x.ndim - 2}d", **options)(x, *rest)

    return apply


SAMPLES = (
    Sample(
        "Conv, 2-D, bias",
        lambda x, kernel, bias: ms.ops.Conv(x, kernel, bias),
        (IMAGES, KERNEL, numbers(3, seed=2)),
        by_torch("conv2d"),
    ),
    Sample(
        "Conv, strides, padding, dilations",
        lambda x, kernel: ms.ops.Conv(x, kernel, strides=(2, 1), pads=(2, 1), dilations=(1, 2)),
        (IMAGES, KERNEL),
        by_torch("conv2d", stride=(2, 1), padding=(2, 1), dilation=(1, 2)),
    ),
    Sample(
        "Conv, padding before only",
        lambda x, kernel: ms.ops.Conv(x, kernel, pads=(1, 1, 0, 0)),
        (IMAGES, KERNEL),
        padded_conv(1, 0),
    ),
    Sample(
        "Conv, 1-D, as many windows as elements, odd one behind",
        lambda x, kernel: ms.ops.Conv(x, kernel, auto_pad="SAME_UPPER"),
        (numbers(2, 1, 5), numbers(2, 1, 4, seed=1)),
        padded_conv(1, 2),
    ),
    Sample(
        "Conv, half as many windows as elements, odd one before",
        lambda x, kernel: ms.ops.Conv(x, kernel, strides=2, auto_pad="SAME_LOWER"),
        (numbers(1, 1, 4, 4), numbers(1, 1, 3, 3, seed=1)),
        padded_conv(1, 0, stride=2),
    ),
    Sample(
        "Conv, no padding, in words",
        lambda x, kernel: ms.ops.Conv(x, kernel, auto_pad="VALID"),
        (IMAGES, KERNEL),
        by_torch("conv2d"),
    ),
    Sample(
        "Conv, groups",
        lambda x, kernel, bias: ms.ops.Conv(x, kernel, bias, group=2, pads=1),
        (numbers(2, 4, 3), numbers(6, 2, 2, seed=1), numbers(6, seed=2)),
        by_torch("conv1d", groups=2, padding=1),
    ),
    Sample(
        "Conv, a kernel for each channel",
        lambda x, kernel: ms.ops.Conv(x, kernel, group=3),
        (numbers(1, 3, 3, 3), numbers(3, 1, 2, 2, seed=1)),
        by_torch("conv2d", groups=3),
    ),
    Sample(
        "Conv, 3-D",
        lambda x, kernel: ms.ops.Conv(x, kernel, strides=(1, 2, 1), pads=(0, 1, 0)),
        (numbers(1, 2, 3, 3, 2), numbers(2, 2, 2, 2, 1, seed=1)),
        by_torch("conv3d", stride=(1, 2, 1), padding=(0, 1, 0)),
    ),
    Sample(
        "Conv, kernel of one element",
        lambda x, kernel: ms.ops.Conv(x, kernel),
        (IMAGES, numbers(3, 2, 1, 1, seed=1)),
        by_torch("conv2d"),
    ),
    Sample(
        "Conv, no samples",
        lambda x, kernel: ms.ops.Conv(x, kernel),
        (numbers(0, 2, 4, 3), KERNEL),
        np.zeros((0, 3, 3, 2)),
    ),
    Sample(
        "ConvInput, elements that no window reads",
        lambda upstream, kernel, like: ms.ops.ConvInput(
            upstream, kernel, like, strides=2, pads=(1, 0, 0, 0)
        ),
        (numbers(2, 3, 2, 1), KERNEL, IMAGES),
        lambda upstream, kernel, like: by_torch("conv_transpose2d", stride=2, output_padding=1)(
            upstream, kernel
        )[:, :, 1:],
    ),
    Sample(
        "ConvKernel",
        lambda x, upstream, like: ms.ops.ConvKernel(x, upstream, like, group=2, dilations=2),
        (IMAGES, numbers(2, 4, 2, 1, seed=1), numbers(4, 1, 2, 2)),
        lambda x, upstream, like: torch.nn.grad.conv2d_weight(
            torch.tensor(x), like.shape, torch.tensor(upstream), dilation=2, groups=2
        ).numpy(),
    ),
    Sample(
        "ConvTranspose, 2-D, bias",
        lambda x, kernel, bias: ms.ops.ConvTranspose(x, kernel, bias),
        (numbers(2, 3, 2, 3), KERNEL, numbers(2, seed=2)),
        by_torch("conv_transpose2d"),
    ),
    Sample(
        "ConvTranspose, every option",
        lambda x, kernel: ms.ops.ConvTranspose(
            x, kernel, strides=(3, 2), pads=(1, 2), dilations=(1, 2), output_padding=(2, 1), group=2
        ),
        (numbers(1, 4, 2, 3), numbers(4, 1, 2, 3, seed=1)),
        by_torch(
            "conv_transpose2d",
            stride=(3, 2),
            padding=(1, 2),
            dilation=(1, 2),
            output_padding=(2, 1),
            groups=2,
        ),
    ),
    Sample(
        "ConvTranspose, 1-D, twice as many",
        lambda x, kernel: ms.ops.ConvTranspose(x, kernel, strides=2, auto_pad="SAME_UPPER"),
        (numbers(2, 2, 4), numbers(2, 1, 3, seed=1)),
        lambda x, kernel: by_torch("conv_transpose1d", stride=2)(x, kernel)[:, :, :-1],
    ),
    Sample(
        "ConvTranspose, kernel smaller than the stride",
        lambda x, kernel: ms.ops.ConvTranspose(x, kernel, strides=3, auto_pad="SAME_LOWER"),
        (numbers(2, 2, 2), numbers(2, 1, 2, seed=1)),
        by_torch("conv_transpose1d", stride=3, output_padding=1),
    ),
    Sample(
        "ConvTranspose, 3-D",
        lambda x, kernel: ms.ops.ConvTranspose(x, kernel, pads=(0, 0, 1)),
        (numbers(1, 2, 2, 2, 2), numbers(2, 1, 1, 2, 3, seed=1)),
        by_torch("conv_transpose3d", padding=(0, 0, 1)),
    ),
)
