"""Samples of matrixslow/ops/softmax.py."""

from __future__ import annotations

import torch

import matrixslow as ms
from matrixslow.testing.sample import Sample
from tests.operators.activation import FAR, IMAGES, X, by_torch

SAMPLES = (
    Sample(
        "Softmax, the last axis",
        lambda x: ms.ops.Softmax(x),
        (X,),
        by_torch(torch.softmax, X, dim=-1),
    ),
    Sample(
        "Softmax, channels",
        lambda x: ms.ops.Softmax(x, axis=1),
        (IMAGES,),
        by_torch(torch.softmax, IMAGES, dim=1),
    ),
    Sample(
        "Softmax, the first axis",
        lambda x: ms.ops.Softmax(x, axis=0),
        (5.0 * X,),
        by_torch(torch.softmax, 5.0 * X, dim=0),
    ),
    Sample(
        "LogSoftmax, the last axis",
        lambda x: ms.ops.LogSoftmax(x),
        (X,),
        by_torch(torch.log_softmax, X, dim=-1),
    ),
    Sample(
        "LogSoftmax, channels",
        lambda x: ms.ops.LogSoftmax(x, axis=1),
        (IMAGES,),
        by_torch(torch.log_softmax, IMAGES, dim=1),
    ),
    Sample(
        "LogSoftmax, far apart",
        lambda x: ms.ops.LogSoftmax(x),
        (FAR,),
        by_torch(torch.log_softmax, FAR, dim=-1),
    ),
)
