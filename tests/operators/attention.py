"""Samples of attention, against torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import matrixslow as ms
from matrixslow.testing.sample import Sample

from . import numbers

Array = np.ndarray[Any, Any]


def by_torch(query: Array, key: Array, value: Array, **options: Any) -> Array:
    options = {
        name: torch.from_numpy(option) if isinstance(option, np.ndarray) else option
        for name, option in options.items()
    }
    arrays = (torch.from_numpy(array) for array in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(*arrays, **options).numpy()


QUERY, KEY, VALUE = numbers(2, 3, 4), numbers(2, 5, 4, seed=1), numbers(2, 5, 2, seed=2)
HEADS = tuple(numbers(1, 2, 3, 2, seed=i) for i in range(3))

MASK = np.array(
    [
        [True, False, True, True, False],
        [False, False, False, False, False],
        [True, True, True, True, True],
    ]
)
BIAS = np.where(MASK, numbers(3, 5, seed=4), -np.inf)

SAMPLES = (
    Sample(
        "CausalMask",
        ms.ops.CausalMask,
        (QUERY,),
        lambda x: np.tril(np.ones((3, 4), bool)),
        order=0,
    ),
    Sample("Attention", ms.ops.Attention, (QUERY, KEY, VALUE), by_torch),
    Sample(
        "Attention, several heads, causal",
        lambda q, k, v: ms.ops.Attention(q, k, v, causal=True),
        HEADS,
        lambda q, k, v: by_torch(q, k, v, is_causal=True),
    ),
    Sample(
        "Attention, more keys than queries, causal, another scale",
        lambda q, k, v: ms.ops.Attention(q, k, v, causal=True, scale=0.3),
        (QUERY, KEY, VALUE),
        lambda q, k, v: by_torch(q, k, v, is_causal=True, scale=0.3),
    ),
    Sample(
        "Attention, a mask that leaves a query nothing",
        lambda q, k, v: ms.ops.Attention(q, k, v, MASK),
        (QUERY, KEY, VALUE),
        lambda q, k, v: by_torch(q, k, v, attn_mask=MASK),
    ),
    Sample(
        "Attention, numbers added, some minus infinite",
        lambda q, k, v: ms.ops.Attention(q, k, v, BIAS),
        (QUERY, KEY, VALUE),
        lambda q, k, v: by_torch(q, k, v, attn_mask=BIAS),
    ),
)
