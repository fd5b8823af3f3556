"""Random graphs, compiled and interpreted: the two agree, gradients and updates included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.compiler import native
from matrixslow.compiler.program import Program

UNARY = (
    lambda x: -x,
    ms.ops.Tanh,
    ms.ops.Relu,
    ms.ops.Sigmoid,
    lambda x: ms.ops.Exp(0.1 * x),
    lambda x: ms.ops.Softmax(x),
    lambda x: ms.ops.ReduceSum(x, axes=-1),
    lambda x: ms.ops.ReduceMean(x, axes=0),
    lambda x: ms.ops.ReduceMax(x, axes=-1),
    lambda x: ms.ops.Transpose(x),
    lambda x: ms.ops.Reshape(x, shape=(-1, 2)) if (x.size or 1) % 2 == 0 else x,
    lambda x: x[:, ::-1],
    lambda x: x[1:] if (x.shape[0] or 0) > 1 else x,
    lambda x: ms.ops.Concat(x, 2.0 * x, axis=0),
    lambda x: ms.ops.Pad(x, pads=(0, 1, 1, 0)),
    lambda x: ms.ops.LayerNormalization(x, ms.Constant(1.5, dtype=x.dtype)),
    lambda x: ms.ops.LogSoftmax(x, axis=0),
    lambda x: ms.ops.ReduceLogSumExp(x, axes=-1),
    lambda x: ms.ops.ReduceMin(x, axes=0),
    lambda x: ms.ops.ReduceL2(x + 2.0, axes=-1),
    lambda x: ms.ops.ReduceVariance(x, axes=-1),
    lambda x: ms.ops.Gelu(x),
    lambda x: ms.ops.Softplus(x),
    lambda x: ms.ops.Clip(x, min=-0.5, max=0.7),
    lambda x: ms.ops.Sqrt(1.0 + ms.ops.Abs(x)),
    lambda x: ms.ops.Tile(x, repeats=(1, 2)),
    lambda x: ms.ops.Flip(x, axes=(0,)),
    lambda x: ms.ops.Trilu(x, upper=True),
    lambda x: ms.ops.Gather(x, [0, -1, 0], axis=1),
    lambda x: ms.ops.Expand(ms.ops.ReduceMean(x, axes=0), shape=(3, x.shape[1])),
    lambda x: ms.ops.Embedding(x, [[0, x.shape[0] - 1], [0, 0]], sparse=True)[0],
    lambda x: convolved(x),
    lambda x: as_matrix(ms.ops.MaxPool(as_image(x), kernel_shape=3, strides=1, pads=1)),
    lambda x: as_matrix(ms.ops.AveragePool(as_image(x), kernel_shape=2, strides=1)),
    lambda x: attended(x),
)


def as_image(x: ms.Node) -> ms.Node:
    return ms.ops.Unsqueeze(x, axes=(0, 1))


def as_matrix(x: ms.Node) -> ms.Node:
    return ms.ops.Reshape(x, shape=(-1, x.shape[-1]))


def convolved(x: ms.Node) -> ms.Node:
    kernel = ms.Constant(np.linspace(-0.3, 0.3, 18).reshape(2, 1, 3, 3), dtype=x.dtype)
    return as_matrix(ms.ops.Conv(as_image(x), kernel, pads=1))


def attended(x: ms.Node) -> ms.Node:
    return as_matrix(ms.ops.Attention(as_image(x), as_image(0.5 * x), as_image(x), causal=True))


BINARY = (
    lambda a, b: a + b,
    lambda a, b: a - 0.5 * b,
    lambda a, b: a * b,
    lambda a, b: a / (1.0 + b * b),
    lambda a, b: ms.ops.Max(a, b),
    lambda a, b: ms.ops.Where(ms.ops.Greater(a, b), a, 0.3 * b),
)


def grow(rng: np.random.Generator, nodes: list[Any], steps: int) -> None:
    """Add nodes made of random ones; shapes that do not fit are left out."""
    while steps:
        a, b = (nodes[i] for i in rng.integers(0, len(nodes), 2))
        try:
            if rng.random() < 0.4:
                node = BINARY[rng.integers(len(BINARY))](a, b)
            elif rng.random() < 0.2:
                node = a @ b
            else:
                node = UNARY[rng.integers(len(UNARY))](a)
        except ms.errors.ShapeError:
            continue
        if 0 < node.size <= 400:
            nodes.append(node)
            steps -= 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(12))
def test_a_random_graph(seed: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SMALL", 0)
    rng = np.random.default_rng(seed)
    with ms.Graph(seed=seed) as graph:
        shapes = [(4, 6), (1, 6), (6, 3), (4, 1)]
        inputs = [ms.Input(shape, dtype=dtype) for shape in shapes[:2]]
        variables = [ms.Variable(rng.standard_normal(shape), dtype=dtype) for shape in shapes[2:]]
        nodes = [*inputs, *variables]
        grow(rng, nodes, 25)
        ends = [nodes[-1], *(nodes[i] for i in rng.integers(4, len(nodes), 3))]
        loss = ms.ops.ReduceSum(ms.ops.Tanh(ends[0]), keepdims=False)
        for end in ends[1:]:
            loss = loss + ms.ops.ReduceMean(end * end, keepdims=False)
        slopes = ms.gradients(loss, variables, unused="zeros")
        updates = [(w, w - 0.1 * s) for w, s in zip(variables, slopes, strict=True)]
    before = [variable.value.copy() for variable in variables]
    program = Program(inputs, [loss, *ends], updates=updates, training=True)
    feeds = [rng.standard_normal(shape).astype(dtype) for shape in shapes[:2]]
    wanted = program.reference.run(feeds)
    moved = [variable.value for variable in variables]
    for variable, value in zip(variables, before, strict=True):
        variable.value = value
    found = program.run(feeds)
    tolerance = 1e-9 if dtype == "float64" else 2e-4
    for a, b in zip(
        [*found, *(variable.value for variable in variables)], [*wanted, *moved], strict=True
    ):
        scale = max(float(np.abs(b).max()), 1.0)
        assert np.abs(a - b).max() <= tolerance * scale, graph
    fallen = [line for line in program.explain().splitlines() if "by compute" in line]
    assert not fallen
