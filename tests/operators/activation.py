"""Samples of matrixslow/ops/activation.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators import numbers

X = numbers(3, 4) * 2.0
IMAGES = numbers(2, 3, 2, 2)
FAR = np.array([-800.0, -40.0, -3.5, 3.5, 40.0, 800.0])


def by_torch(function: Callable[..., Any], x: np.ndarray[Any, Any], **options: Any) -> Any:
    return function(torch.from_numpy(x), **options).numpy()


SAMPLES = (
    Sample("Relu", lambda x: ms.ops.Relu(x), (X,), by_torch(functional.relu, X)),
    Sample("LeakyRelu", lambda x: ms.ops.LeakyRelu(x), (X,), by_torch(functional.leaky_relu, X)),
    Sample(
        "LeakyRelu, another slope",
        lambda x: ms.ops.LeakyRelu(x, alpha=0.3),
        (X,),
        by_torch(functional.leaky_relu, X, negative_slope=0.3),
    ),
    Sample(
        "PRelu, one slope",
        lambda x, slope: ms.ops.PRelu(x, slope),
        (X, np.array([0.3])),
        by_torch(functional.leaky_relu, X, negative_slope=0.3),
    ),
    Sample(
        "PRelu, a slope in each channel",
        lambda x, slope: ms.ops.PRelu(x, slope),
        (IMAGES, numbers(3, 1, 1)),
        by_torch(functional.prelu, IMAGES, weight=torch.from_numpy(numbers(3))),
    ),
    Sample("Elu", lambda x: ms.ops.Elu(x), (X,), by_torch(functional.elu, X)),
    Sample(
        "Elu, another limit",
        lambda x: ms.ops.Elu(x, alpha=0.5),
        (X,),
        by_torch(functional.elu, X, alpha=0.5),
    ),
    Sample("Celu", lambda x: ms.ops.Celu(x), (X,), by_torch(functional.celu, X)),
    Sample(
        "Celu, another limit",
        lambda x: ms.ops.Celu(x, alpha=2.5),
        (X,),
        by_torch(functional.celu, X, alpha=2.5),
    ),
    Sample("Selu", lambda x: ms.ops.Selu(x), (X,), by_torch(functional.selu, X)),
    Sample("Gelu", lambda x: ms.ops.Gelu(x), (X,), by_torch(functional.gelu, X)),
    Sample(
        "Gelu, by tanh",
        lambda x: ms.ops.Gelu(x, approximate="tanh"),
        (X,),
        by_torch(functional.gelu, X, approximate="tanh"),
    ),
    Sample("Sigmoid", lambda x: ms.ops.Sigmoid(x), (X,), by_torch(functional.sigmoid, X)),
    Sample("Sigmoid, far", lambda x: ms.ops.Sigmoid(x), (FAR,), by_torch(functional.sigmoid, FAR)),
    Sample("Silu", lambda x: ms.ops.Silu(x), (X,), by_torch(functional.silu, X)),
    Sample("Mish", lambda x: ms.ops.Mish(x), (X,), by_torch(functional.mish, X)),
    Sample("HardSigmoid", lambda x: ms.ops.HardSigmoid(x), (X,), np.clip(0.2 * X + 0.5, 0.0, 1.0)),
    Sample(
        "HardSigmoid, as torch's",
        lambda x: ms.ops.HardSigmoid(x, alpha=1.0 / 6.0),
        (X,),
        by_torch(functional.hardsigmoid, X),
    ),
    Sample("HardSwish", lambda x: ms.ops.HardSwish(x), (X,), by_torch(functional.hardswish, X)),
    Sample("Softplus", lambda x: ms.ops.Softplus(x), (X,), np.log1p(np.exp(X))),
    Sample("Softplus, far", lambda x: ms.ops.Softplus(x), (FAR,), np.logaddexp(0.0, FAR)),
    Sample("Softsign", lambda x: ms.ops.Softsign(x), (X,), by_torch(functional.softsign, X)),
    Sample("Step", lambda x: ms.ops.Step(x), (X,), np.heaviside(X, 1.0)),
)
