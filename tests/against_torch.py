"""Values and gradients held against torch's, at kinks and edges too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import matrixslow as ms

Array = np.ndarray[Any, Any]


def assert_as_torch(
    ours: Callable[..., ms.Node],
    theirs: Callable[..., torch.Tensor],
    *arrays: Any,
    order: int = 2,
    tolerance: float = 1e-10,
) -> None:
    """Value, and gradients of a weighted sum of it to some order, are torch's in float64.

    Arrays of integers and bool are passed on; gradients are taken with respect to the others.
    """
    given = [np.asarray(x, "float64") if np.asarray(x).dtype.kind == "f" else x for x in arrays]
    rng = np.random.default_rng(0)
    with ms.Graph() as graph:
        nodes = [ms.Input(np.shape(x), dtype=np.asarray(x).dtype) for x in given]
        value = ours(*nodes)
    tensors = [torch.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f") for x in given]
    expected = theirs(*tensors)
    feeds: dict[ms.Node, Any] = dict(zip(nodes, given, strict=True))
    _agree(graph, [value], [expected], feeds, tolerance)
    variables = [x for x in nodes if x.spec.floating]
    sources = [x for x in tensors if x.requires_grad]
    for _ in range(order):
        weights = rng.standard_normal(expected.shape)
        with graph:
            target = ms.ops.ReduceSum(value * weights)
        slopes = ms.gradients(target, variables, unused="zeros")
        total = (expected * torch.from_numpy(weights)).sum()
        wanted = _torch_gradients(total, sources)
        _agree(graph, slopes, wanted, feeds, tolerance)
        with graph:
            flat = [ms.ops.Reshape(slope, shape=(-1,)) for slope in slopes]
            value = ms.ops.Concat(*flat, axis=0)
        expected = torch.cat([x.reshape(-1) for x in wanted])


def _torch_gradients(total: torch.Tensor, sources: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(x) for x in sources]
    found = torch.autograd.grad(total, sources, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if y is None else y for x, y in zip(sources, found, strict=True)]


def _agree(
    graph: ms.Graph,
    ours: Sequence[ms.Node],
    theirs: Sequence[torch.Tensor],
    feeds: Mapping[ms.Node, Any],
    tolerance: float,
) -> None:
    for node, tensor in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            graph.forward(node, feeds), tensor.numpy(force=True), rtol=tolerance, atol=tolerance
        )
