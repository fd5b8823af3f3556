"""Each rewriting of the graph: what it makes of a graph, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.compiler.passes import STAGES, rewrite
from matrixslow.compiler.program import Program
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
        (
            lambda x, row: (
                ms.ops.ReduceMean(x, axes=1, keepdims=False)
                + ms.ops.Reshape(ms.ops.ReduceMean(x, axes=1), shape=(2,))
            ),
            "Add(ReduceMean(x), Reshape(Reshape(ReduceMean(x))))",
        ),
        (lambda x, row: ms.ops.Gemm(x, x, transA=True), "MatMul(Transpose(x), x)"),
        (lambda x, row: ms.ops.Tanh(x + row), "Tanh(Add(x, row))"),
    ],
)
def test_a_graph_becomes_an_equal_cheaper_one(build: Any, after: str) -> None:
    before, found = changed(build)
    assert found == after, f"{before}\nbecame {found}"


def test_batch_normalization_is_folded_into_the_convolution_before_it() -> None:
    rng = np.random.default_rng(0)
    with ms.Graph():
        x = ms.Input((2, 3, 4, 4), name="x")
        kernel, bias = (ms.Variable(np.ones(s), name=n) for s, n in (((5, 3, 1, 1), "w"), (5, "b")))
        own = [ms.Variable(np.ones(5), name=n) for n in ("scale", "shift", "mean", "variance")]
        y = ms.ops.BatchNormalization(ms.ops.Conv(x, kernel, bias), *own)
        moments = ms.ops.moments(ms.ops.Conv(x, kernel), axes=(0, 2, 3), keepdims=False)
        trained = ms.ops.BatchNormalization(ms.ops.Conv(x, kernel), *own[:2], *moments)
    rest = ("compositions", "shapes", "algebra", "constants")
    factor = "Div(scale, Sqrt(Add(variance, 1e-05)))"
    assert written(rewrite(ancestors([y]), [y], off=rest)[y]) == (
        f"Conv(x, Mul(w, Reshape({factor})), Add(Mul(Sub(b, mean), {factor}), shift))"
    )
    after = rewrite(ancestors([trained]), [trained], off=rest)[trained]
    assert after.inputs[0].inputs == (x, kernel)
    for variable in own:
        variable.value = rng.uniform(0.5, 2.0, 5).astype("float32")
    program = Program([x], [y], training=False)
    feeds = [rng.standard_normal((2, 3, 4, 4)).astype("float32")]
    found, expected = program.run(feeds)[0], program.reference.run(feeds)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


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
        images, five = ms.Constant(np.ones((1, 5, 4, 4))), ms.Variable(np.ones(5))
        convolved = ms.ops.Conv(images, ms.Variable(np.ones((5, 5, 1, 1))))
        normal = ms.ops.BatchNormalization(convolved, five, five, five, five)
        return shares * (ms.Constant(2.0) * ms.Constant(3.0)) + ms.ops.ReduceSum(normal)

    assert changed(build, off=(stage,))[1] != changed(build)[1]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_the_place_of_a_peak_is_found_natively(kind: str, last: bool, dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 3, (5, 7, 4)).astype(dtype)
    if dtype == "float32":
        values[0, 1:3, 2] = np.nan
    for axis in (0, -2):
        with ms.Graph():
            x = ms.Input((5, 7, 4), dtype=dtype)
            y = getattr(ms.ops, kind)(x, axis=axis, select_last_index=last)
            native, plain = ms.function([x], y), ms.function([x], y, compile=False)
        np.testing.assert_array_equal(native(values), plain(values))
        assert "by compute" not in native.program.explain()
