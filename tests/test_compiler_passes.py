"""Each rewriting of the graph: what it makes of a graph, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.compiler.passes import STAGES, rewrite
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors


def written(node: Node) -> str:
    """A graph as nested calls."""
    if isinstance(node, ms.Constant):
        return f"{node.value:g}" if not node.ndim else f"constant{node.shape}"
    if not node.inputs:
        return node.name
    return f"{type(node).__name__}({', '.join(map(written, node.inputs))})"


def changed(build: Callable[..., Node], *, off: tuple[str, ...] = ()) -> tuple[str, str]:
    """A graph of x (2, 3) and row (3,), before and after all stages."""
    with ms.Graph():
        x, row = ms.Input((2, 3), name="x"), ms.Input((3,), name="row")
        y = build(x, row)
    after = rewrite(ancestors([y]), [y], off=off)[y]
    return written(y), written(after)


@pytest.mark.parametrize(
    ("build", "after"),
    [
        (lambda x, row: ms.ops.SumLike(x, x), "x"),
        (lambda x, row: ms.ops.ReshapeLike(row, ms.ops.Reshape(row, shape=(3, 1))), "Reshape(row)"),
        (lambda x, row: ms.ops.BroadcastLike(row, x), "Expand(row)"),
        (lambda x, row: ms.ops.SumLike(x, row), "SumLike(x, Expand(0))"),
        (lambda x, row: x * ms.ops.OnesLike(x), "x"),
        (lambda x, row: ms.ops.ZerosLike(x) + x, "x"),
        (lambda x, row: x / 1.0 - 0.0, "x"),
        (lambda x, row: row * ms.ops.OnesLike(x), "Mul(row, Expand(1))"),
        (lambda x, row: ms.ops.Neg(-x), "x"),
        (lambda x, row: ms.ops.Transpose(ms.ops.Transpose(x)), "x"),
        (lambda x, row: ms.ops.Identity(ms.ops.Reshape(x, shape=(2, 3))), "x"),
        (lambda x, row: x * (ms.Constant(2.0) * ms.Constant(3.0)), "Mul(x, 6)"),
        (lambda x, row: ms.ops.Count(x) * x, "Mul(6, x)"),
        (
            lambda x, row: ms.ops.Softmax(x),
            "Div(Exp(Sub(x, ReduceMax(x))), ReduceSum(Exp(Sub(x, ReduceMax(x)))))",
        ),
        (
            lambda x, row: ms.ops.ReduceSum(x),
            "ReduceSum(ReduceSum(x))",
        ),
        (lambda x, row: ms.ops.Gemm(x, x, transA=True), "MatMul(Transpose(x), x)"),
        (lambda x, row: ms.ops.Tanh(x + row), "Tanh(Add(x, row))"),
    ],
)
def test_a_graph_becomes_an_equal_cheaper_one(build: Any, after: str) -> None:
    before, found = changed(build)
    assert found == after, f"{before}\nbecame {found}"


def test_equal_nodes_become_one() -> None:
    with ms.Graph():
        x = ms.Input((2,), name="x")
        y = ms.ops.Tanh(x) + ms.ops.Tanh(x)
    after = rewrite(ancestors([y]), [y])[y]
    assert after.inputs[0] is after.inputs[1]
    apart = rewrite(ancestors([y]), [y], off=("merging",))[y]
    assert apart.inputs[0] is not apart.inputs[1]


def test_nodes_that_differ_in_an_option_stay_apart() -> None:
    with ms.Graph():
        x = ms.Input((2, 2), name="x")
        y = ms.ops.ReduceMax(x, axes=0) + ms.ops.Transpose(ms.ops.ReduceMax(x, axes=1))
    after = rewrite(ancestors([y]), [y])[y]
    np.testing.assert_equal(written(after), "Add(ReduceMax(x), Transpose(ReduceMax(x)))")
    assert after.inputs[0] is not after.inputs[1].inputs[0]


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_a_stage_can_be_switched_off_by_name(stage: str) -> None:
    def build(x: Node, row: Node) -> Node:
        shares = ms.ops.Softmax(ms.ops.Neg(-x)) * ms.ops.OnesLike(x)
        return shares * (ms.Constant(2.0) * ms.Constant(3.0))

    assert changed(build, off=(stage,))[1] != changed(build)[1]
