"""Samples of matrixslow/ops/padding.py."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import pad

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(1, 2, 3, 4)


def torch_gradient(mode: str) -> np.ndarray:
    """The gradient of torch's padding by one before and two behind, on the last two axes."""
    x = torch.zeros(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(pad(x, (1, 2, 1, 0), mode), x, torch.tensor(numbers(1, 2, 3, 6)))
    return slope.numpy()


SAMPLES = (
    Sample(
        "Pad, constant",
        lambda x: ms.ops.Pad(x, pads=(0, 1, 2, 0), constant_value=1.5),
        (numbers(2, 3),),
        lambda x: np.pad(x, ((0, 2), (1, 0)), constant_values=1.5),
    ),
    Sample(
        "Pad, reflect",
        lambda x: ms.ops.Pad(x, pads=(0, 0, 1, 2, 0, 0, 0, 3), mode="reflect"),
        (X,),
        lambda x: pad(torch.tensor(x), (2, 3, 1, 0), "reflect").numpy(),
    ),
    Sample(
        "Pad, edge",
        lambda x: ms.ops.Pad(x, pads=(0, 0, 1, 2, 0, 0, 0, 5), mode="edge"),
        (X,),
        lambda x: pad(torch.tensor(x), (2, 5, 1, 0), "replicate").numpy(),
    ),
    Sample(
        "Pad, wrap",
        lambda x: ms.ops.Pad(x, pads=(0, 0, 1, 2, 0, 0, 0, 4), mode="wrap"),
        (X,),
        lambda x: pad(torch.tensor(x), (2, 4, 1, 0), "circular").numpy(),
    ),
    Sample("Pad by nothing", lambda x: ms.ops.Pad(x, pads=(0, 0)), (numbers(3),), lambda x: x),
    Sample(
        "Pad, edge of a single element",
        lambda x: ms.ops.Pad(x, pads=(2, 1), mode="edge"),
        (numbers(1),),
        lambda x: np.repeat(x, 4),
    ),
    Sample(
        "PadGradient, constant",
        lambda x: ms.ops.PadGradient(x, pads=(1, 0, 0, 2)),
        (numbers(3, 5),),
        lambda x: x[1:, :-2],
    ),
    *(
        Sample(
            f"PadGradient, {mode}",
            lambda x, mode=mode: ms.ops.PadGradient(x, pads=(0, 0, 1, 1, 0, 0, 0, 2), mode=mode),
            (numbers(1, 2, 3, 6),),
            torch_gradient(of_torch),
        )
        for mode, of_torch in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"))
    ),
)
