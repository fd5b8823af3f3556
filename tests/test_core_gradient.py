"""Gradients as nodes: every order, every shape of graph, against torch and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.backend import Array
from matrixslow.core import Node
from matrixslow.errors import ArgumentError, DTypeError, GradientError, GraphError, ShapeError
from matrixslow.ops.elementwise import Elementwise

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])


def total(x: Node) -> Node:
    return ms.ops.ReduceSum(x, keepdims=False)


def slopes(target: Node, nodes: list[Node], **options: Any) -> list[Array]:
    found = ms.gradients(target, nodes, **options)
    return [None if x is None else target.graph.forward(x) for x in found]


# ---- shapes of graphs ---------------------------------------------------------------------------


def test_gradients_are_nodes_under_a_scope_of_their_own(graph: ms.Graph) -> None:
    with graph.scope("model"):
        w = ms.Variable([1.0, 2.0], name="w")
        y = total(w * w)
        (slope,) = ms.gradients(y, [w])
    assert slope.name == "gradients/model/w/add"
    assert slope.derived
    assert not y.derived
    assert (slope.shape, slope.dtype) == (w.shape, w.dtype)


def test_of_the_target_itself(graph: ms.Graph) -> None:
    w = ms.Variable([[3.0]])
    np.testing.assert_array_equal(slopes(w, [w]), [[[1.0]]])
    (slope,) = slopes(w, [w], upstream=ms.Constant([[5.0]]))
    np.testing.assert_array_equal(slope, [[5.0]])


def test_of_nodes_in_the_middle(graph: ms.Graph) -> None:
    w = ms.Variable([2.0, 3.0])
    h = w * w
    y = total(h * h)
    first, second = slopes(y, [h, w])
    np.testing.assert_array_equal(first, [8, 18])
    np.testing.assert_array_equal(second, [32, 108])
    # A node in the middle does not stop the way to what it is made of.
    np.testing.assert_array_equal(slopes(y, [w])[0], second)


def test_one_node_in_both_places(graph: ms.Graph) -> None:
    a = ms.Variable(np.float32([[1, 2], [3, 4]]))
    for y, expected in (
        (a + a, [[2, 2], [2, 2]]),
        (a - a, [[0, 0], [0, 0]]),
        (a * a, [[2, 4], [6, 8]]),
        (a / a, [[0, 0], [0, 0]]),
        (a @ a, [[7, 11], [9, 13]]),
        (ms.ops.Concat(a, a, axis=0), [[2, 2], [2, 2]]),
    ):
        np.testing.assert_array_equal(slopes(total(y), [a])[0], expected, str(y))


def test_parts_of_several_ways_add_up(graph: ms.Graph) -> None:
    w = ms.Variable([0.3], dtype="float64")
    y = total(ms.ops.Exp(w) * w + ms.ops.Tanh(w) + w)
    expected = np.exp(0.3) * 1.3 + 1 - np.tanh(0.3) ** 2 + 1
    np.testing.assert_allclose(slopes(y, [w])[0], [expected], rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (1, 1), (1, 2, 3)])
def test_broadcasting_is_undone(graph: ms.Graph, shape: tuple[int, ...]) -> None:
    a = ms.Variable(np.full(shape, 0.5), dtype="float64")
    x = ms.Constant(X, dtype="float64")
    (slope,) = slopes(total(a * x), [a])
    t = torch.full(shape, 0.5, dtype=torch.float64, requires_grad=True)
    (t * torch.tensor(X)).sum().backward()
    np.testing.assert_allclose(slope, t.grad.numpy(), rtol=1e-14)
    assert slope.shape == shape


def test_broadcasting_over_a_size_that_is_fed(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), name="x")
    scale, bias = ms.Input((None, 1), name="scale"), ms.Variable(np.zeros(3))
    found = ms.gradients(total(x * scale + bias), [x, scale, bias])
    assert [slope.shape for slope in found] == [(None, 3), (None, 1), (3,)]
    for n in (4, 1, 0):
        values = graph.forward(found, {x: np.ones((n, 3)), scale: np.full((n, 1), 2.0)})
        for value, expected in zip(
            values, (np.full((n, 3), 2), np.full((n, 1), 3), np.full(3, n)), strict=True
        ):
            np.testing.assert_array_equal(value, expected)


def test_stacked_diamonds_take_linear_time(graph: ms.Graph) -> None:
    # 2**60 ways lead through them.
    w = ms.Variable([1.0], dtype="float64")
    y = w
    for _ in range(60):
        y = y + y
    for _ in range(60):
        half = 0.5 * y
        y = half + half
    graph.forward(total(y))
    graph.backward(graph.nodes[-1])
    assert w.gradient == [2.0**60]
    assert len(graph) < 1000


def test_deep_chains_need_no_recursion(graph: ms.Graph) -> None:
    w = ms.Variable([1.0], dtype="float64")
    y = w
    for _ in range(20_000):
        y = y + 1e-4
    target = total(y * y)
    np.testing.assert_allclose(graph.forward(target), 9.0, rtol=1e-9)
    graph.backward(target)
    np.testing.assert_allclose(w.gradient, [6.0], rtol=1e-9)
    (slope,) = ms.gradients(target, [w])
    np.testing.assert_allclose(slopes(slope, [w])[0], [2.0], rtol=1e-9)


# ---- paths without a slope ----------------------------------------------------------------------


def test_unused_nodes_have_none_or_zeros(graph: ms.Graph) -> None:
    w, b = ms.Variable([1.0, 2.0], name="w"), ms.Variable([[3.0]], name="b")
    y = total(w * w)
    assert ms.gradients(y, [b]) == [None]
    first, second = slopes(y, [b, w], unused="zeros")
    np.testing.assert_array_equal(first, [[0.0]])
    np.testing.assert_array_equal(second, [2, 4])
    assert ms.gradients(y, []) == []


def test_zeros_are_named_in_the_order_asked_for(graph: ms.Graph) -> None:
    nodes = [ms.Variable([float(i)], name=f"w{i}") for i in range(5)]
    y = ms.Variable([1.0], name="y")
    found = ms.gradients(y, nodes, unused="zeros")
    assert [slope.inputs for slope in found] == [(node,) for node in nodes]
    assert [slope.index for slope in found] == sorted(slope.index for slope in found)


def test_stop_gradient_is_a_constant_in_every_gradient(graph: ms.Graph) -> None:
    w = ms.Variable([3.0])
    y = total(w * ms.stop_gradient(w))
    np.testing.assert_array_equal(slopes(y, [w])[0], [3.0])
    (slope,) = ms.gradients(y, [w])
    assert ms.gradients(total(slope), [w]) == [None]
    np.testing.assert_array_equal(graph.forward(ms.stop_gradient(w)), [3.0])


def test_operators_without_a_slope_stop_gradients(graph: ms.Graph) -> None:
    w = ms.Variable([3.7])
    assert ms.gradients(total(ms.ops.Floor(w)), [w]) == [None]
    (slope,) = slopes(total(w + ms.ops.Floor(w)), [w])
    np.testing.assert_array_equal(slope, [1.0])


def test_integers_on_the_way_stop_gradients(graph: ms.Graph) -> None:
    w = ms.Variable([3.7])
    y = ms.ops.Cast(ms.ops.Cast(w, dtype="int32"), dtype="float32")
    assert ms.gradients(total(y), [w]) == [None]


def test_nodes_that_are_not_needed_are_pruned(graph: ms.Graph) -> None:
    w, b = ms.Variable([1.0], name="w"), ms.Variable([1.0], name="b")
    y = total(w * b)
    before = graph.nodes
    (slope,) = ms.gradients(y, [w])
    assert slope is not None
    # The rule of Mul made the gradient with respect to b as well, which nobody asked for.
    assert [node for node in graph.nodes if b in node.inputs] == [y.inputs[0], slope]
    after = graph.nodes
    assert ms.gradients(b, [w]) == [None]
    assert graph.nodes == after
    assert graph.nodes[: len(before)] == before


# ---- higher orders ------------------------------------------------------------------------------


def test_third_order(graph: ms.Graph) -> None:
    w = ms.Variable([0.5, 2.0], dtype="float64")
    y = w**5
    for factor, power in ((5, 4), (20, 3), (60, 2), (120, 1)):
        (y,) = ms.gradients(total(y), [w])
        np.testing.assert_allclose(graph.forward(y), factor * w.value**power, rtol=1e-12)


def test_jacobian_of_a_matrix_function(graph: ms.Graph) -> None:
    a = np.array([[0.5, -1.0], [2.0, 1.0]])
    x = ms.Variable(a, dtype="float64")
    found = graph.forward(ms.jacobian(ms.ops.Tanh(x @ x), x))
    expected = torch.autograd.functional.jacobian(lambda t: torch.tanh(t @ t), torch.tensor(a))
    assert found.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12, atol=1e-14)


def test_jacobian_of_what_does_not_depend(graph: ms.Graph) -> None:
    x, y = ms.Variable(np.ones((1, 2))), ms.Variable(np.ones(3))
    np.testing.assert_array_equal(graph.forward(ms.jacobian(x, y)), np.zeros((1, 2, 3)))
    np.testing.assert_array_equal(graph.forward(ms.jacobian(x, x)), np.eye(2).reshape(1, 2, 1, 2))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_hessian_against_torch(graph: ms.Graph, shape: tuple[int, ...]) -> None:
    start = np.random.default_rng(0).standard_normal(shape)

    def function(t: torch.Tensor) -> torch.Tensor:
        return (torch.exp(t).sum() * torch.tanh(t).sum()) + (t**3).sum()

    x = ms.Variable(start, dtype="float64")
    y = total(ms.ops.Exp(x)) * total(ms.ops.Tanh(x)) + total(x**3)
    found = graph.forward(ms.hessian(y, x))
    expected = torch.autograd.functional.hessian(function, torch.tensor(start))
    assert found.shape == (*shape, *shape)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12, atol=1e-13)


def test_hessian_of_a_quadratic_form_is_its_matrix(graph: ms.Graph, rng: Any) -> None:
    a = rng.standard_normal((4, 4))
    x = ms.Variable(rng.standard_normal((4, 1)), dtype="float64")
    y = total(0.5 * ms.ops.Transpose(x) @ ms.Constant(a + a.T, dtype="float64") @ x)
    found = graph.forward(ms.hessian(y, x)).reshape(4, 4)
    np.testing.assert_allclose(found, a + a.T, rtol=1e-12)


def test_hessian_of_a_linear_form_is_zero(graph: ms.Graph) -> None:
    x = ms.Variable([1.0, 2.0])
    np.testing.assert_array_equal(graph.forward(ms.hessian(total(3.0 * x), x)), np.zeros((2, 2)))


def test_a_jacobian_needs_known_sizes(graph: ms.Graph) -> None:
    x, w = ms.Input((None, 2), name="x"), ms.Variable(np.ones(2), name="w")
    with pytest.raises(ShapeError) as caught:
        ms.jacobian(x * w, w)
    assert str(caught.value) == (
        "jacobian: shapes (None, 2) and (2,) must be wholly known\n"
        "  hint   declare the inputs without None"
    )


def test_upstream_is_the_gradient_of_something_further(graph: ms.Graph) -> None:
    w = ms.Variable([[1.0, 2.0]], dtype="float64")
    h = w * w
    y = total(ms.ops.Exp(h))
    (inner,) = ms.gradients(y, [h])
    (composed,) = slopes(h, [w], upstream=inner)
    np.testing.assert_allclose(composed, slopes(y, [w])[0], rtol=1e-14)


# ---- refusals -----------------------------------------------------------------------------------


def test_refusals(graph: ms.Graph) -> None:
    x, i = ms.Variable([1.0, 2.0], name="x"), ms.Input((2,), dtype="int64", name="i")
    y = ms.ops.ReduceSum(x, keepdims=False, name="y")
    with ms.Graph():
        foreign = ms.Variable(1.0, name="foreign")
        vector = ms.Variable([1.0, 1.0], name="vector")
    refused: list[tuple[Callable[[], Any], Any, str]] = [
        (
            lambda: ms.gradients(x, [x]),
            GradientError,
            "gradients: the target Variable 'x' (2,) float32 has more than one element\n"
            "  hint   reduce it first: ms.ops.ReduceMean(target), or give upstream=",
        ),
        (
            lambda: ms.gradients(y, [i]),
            DTypeError,
            "gradients: Input 'i' (2,) int64 has no slope, its values are int64\n"
            "  hint   only floating-point nodes have gradients",
        ),
        (
            lambda: ms.gradients(y, [foreign]),
            GraphError,
            "gradients: Variable 'foreign' () float32 and ReduceSum 'y' () float32 belong to two "
            "graphs\n  hint   differentiate within one graph",
        ),
        (
            lambda: ms.gradients(x, [x], upstream=vector),
            GraphError,
            "gradients: Variable 'vector' (2,) float32 and Variable 'x' (2,) float32 belong to two "
            "graphs\n  hint   differentiate within one graph",
        ),
        (
            lambda: ms.gradients(x, [x], upstream=y),
            ShapeError,
            "gradients: upstream is () float32, the target (2,) float32\n"
            "  hint   upstream is the gradient of something with respect to the target: "
            "give it the same shape and dtype",
        ),
        (
            lambda: ms.gradients(y, [x], upstream=ms.Variable(1.0, dtype="float64")),
            ShapeError,
            "gradients: upstream is () float64, the target () float32\n"
            "  hint   upstream is the gradient of something with respect to the target: "
            "give it the same shape and dtype",
        ),
        (
            lambda: ms.gradients(y, [x], unused="nothing"),  # type: ignore[call-overload]
            ArgumentError,
            'gradients: unused=\'nothing\'\n  hint   give "none" or "zeros"',
        ),
    ]
    for call, error, message in refused:
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message
    assert not [node for node in graph.nodes if node.derived]


class NoRule(Elementwise):
    """An operator whose author forgot the rule."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x


class OneSlopeTooFew(NoRule):
    """An operator whose rule forgets an input."""

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return ()


class SlopeOfAnotherType(NoRule):
    """An operator whose rule changes the dtype."""

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return (ms.ops.Cast(upstream, dtype="float64"),)


def test_rules_that_are_wrong_are_named(graph: ms.Graph) -> None:
    x = ms.Variable(1.0, name="x")
    refused = [
        (
            y := NoRule(x, name="y"),
            f"NoRule 'y' ({y.site}) has no gradient rule\n"
            "  hint   define NoRule.gradient(self, upstream), say `gradient = None` if it has no "
            "slope, or cut it off with ms.stop_gradient",
        ),
        (
            OneSlopeTooFew(x, name="z"),
            "OneSlopeTooFew 'z': its rule gave 0 gradients for 1 inputs\n"
            "  hint   return one node or None for each input",
        ),
        (
            SlopeOfAnotherType(x, name="v"),
            "SlopeOfAnotherType 'v': its rule gave a float64 gradient for "
            "Variable 'x' () float32\n"
            "  hint   a gradient has the dtype of its input",
        ),
    ]
    for target, message in refused:
        with pytest.raises(GradientError) as caught:
            ms.gradients(target, [x])
        assert str(caught.value) == message
    # Where nothing asks for the slope, a missing rule does no harm.
    assert ms.gradients(NoRule(ms.Constant(1.0)) * x, [x]) != [None]


# ---- graphs at random, against torch ------------------------------------------------------------

SHAPES = [(), (3,), (1, 3), (3, 1), (3, 3), (2, 3, 3)]

UNARY: dict[str, tuple[Callable[[Node], Node], Callable[[torch.Tensor], torch.Tensor]]] = {
    "tanh": (ms.ops.Tanh, torch.tanh),
    "exp": (lambda x: ms.ops.Exp(-x * x), lambda t: torch.exp(-t * t)),
    "negative": (lambda x: -x, lambda t: -t),
    "sum": (lambda x: ms.ops.ReduceSum(x, axes=(-1,)), lambda t: t.sum(-1, keepdim=True)),
    "mean": (lambda x: ms.ops.ReduceMean(x, axes=(0,)), lambda t: t.mean(0, keepdim=True)),
    "all": (total, torch.sum),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / (b * b + 1.0),
    "matmul": lambda a, b: a @ b,
}

leaves = st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4)
steps = st.lists(
    st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 10**6), st.integers(0, 10**6)),
    min_size=1,
    max_size=12,
)


def applies(name: str, a: torch.Tensor, b: torch.Tensor) -> bool:
    if name in ("sum", "mean"):
        return a.ndim > 0
    if name == "matmul":
        return a.shape[-2:] == b.shape[-2:] == (3, 3)
    return True


@settings(max_examples=60)
@given(leaves, steps)
def test_graphs_at_random_agree_with_torch(
    shapes: list[tuple[int, ...]], program: list[tuple[str, int, int]]
) -> None:
    """Values, first and second gradients of random programs, one node feeding many."""
    rng = np.random.default_rng(len(program))
    with ms.Graph() as graph:
        tensors = [torch.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
        nodes: list[Node] = [ms.Variable(t.detach().numpy(), dtype="float64") for t in tensors]
        ours, theirs = list(nodes), list(tensors)
        for name, i, j in program:
            (a, b), (s, t) = [(x[i % len(x)], x[j % len(x)]) for x in (ours, theirs)]
            if not applies(name, s, t):
                continue
            if name in UNARY:
                node, tensor = UNARY[name][0](a), UNARY[name][1](s)
            else:
                node, tensor = BINARY[name](a, b), BINARY[name](s, t)
            ours.append(ms.ops.Tanh(node))
            theirs.append(torch.tanh(tensor))
        target = total(ours[-1]) + total(ours[-1] * ours[len(ours) // 2])
        loss = theirs[-1].sum() + (theirs[-1] * theirs[len(theirs) // 2]).sum()
        first = ms.gradients(target, nodes, unused="zeros")
        # The squares are added to the loss so that every leaf has a second gradient.
        squares = [total(x * x) for x in first] + [total(x * x) for x in nodes]
        second = ms.gradients(sum(squares[1:], start=squares[0]), nodes, unused="zeros")
    grads = torch.autograd.grad(loss, tensors, create_graph=True, materialize_grads=True)
    norm = sum((g**2).sum() for g in grads) + sum((t**2).sum() for t in tensors)
    twice = torch.autograd.grad(norm, tensors)
    np.testing.assert_allclose(graph.forward(target), loss.item(), rtol=1e-10, atol=1e-10)
    for found, expected in zip(graph.forward([*first, *second]), [*grads, *twice], strict=True):
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-8, atol=1e-8)
