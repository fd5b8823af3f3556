"""Samples of matrixslow/ops/patches.py."""

from __future__ import annotations

import torch
from torch.nn.functional import fold, unfold

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

IMAGES = numbers(2, 2, 4, 3)

SAMPLES = (
    Sample(
        "ExtractPatches, 2-D",
        lambda x: ms.ops.ExtractPatches(x, kernel_shape=2),
        (IMAGES,),
        lambda x: unfold(torch.tensor(x), 2).numpy(),
    ),
    Sample(
        "ExtractPatches, strides, padding, dilations",
        lambda x: ms.ops.ExtractPatches(
            x, kernel_shape=(3, 2), strides=(1, 2), pads=(1, 1), dilations=(2, 1)
        ),
        (IMAGES,),
        lambda x: unfold(
            torch.tensor(x), (3, 2), stride=(1, 2), padding=1, dilation=(2, 1)
        ).numpy(),
    ),
    Sample(
        "ExtractPatches, 1-D, same number",
        lambda x: ms.ops.ExtractPatches(x, kernel_shape=2, auto_pad="SAME_LOWER"),
        (numbers(2, 1, 4),),
        lambda x: unfold(torch.tensor(x)[:, :, None], (1, 2), padding=(0, 1)).numpy()[..., :-1],
    ),
    Sample(
        "ExtractPatches, last window beyond the image",
        lambda x: ms.ops.ExtractPatches(x, kernel_shape=2, strides=2, ceil_mode=True),
        (numbers(1, 1, 3),),
        lambda x: [[[x[0, 0, 0], x[0, 0, 2]], [x[0, 0, 1], 0.0]]],
    ),
    Sample(
        "CombinePatches, windows overlap",
        lambda x, like: ms.ops.CombinePatches(x, like, kernel_shape=2, pads=(1, 0, 0, 1)),
        (numbers(2, 8, 12), IMAGES),
        lambda x, like: fold(torch.tensor(x), (5, 4), 2)[:, :, 1:, :-1].numpy(),
    ),
    Sample(
        "CombinePatches, strides and dilations",
        lambda x, like: ms.ops.CombinePatches(
            x, like, kernel_shape=(2, 2), strides=(2, 1), dilations=(1, 2)
        ),
        (numbers(2, 8, 2), IMAGES),
        lambda x, like: fold(torch.tensor(x), (4, 3), 2, stride=(2, 1), dilation=(1, 2)).numpy(),
    ),
)
