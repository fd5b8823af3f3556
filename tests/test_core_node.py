"""Nodes: Python's operators, names, literals, what an operator class declares, its errors."""

from __future__ import annotations

import operator
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.backend import Array
from matrixslow.core import Node, Operand, Spec
from matrixslow.core.site import Site
from matrixslow.errors import ArgumentError, DTypeError, GraphError, RunError, ShapeError
from matrixslow.ops.elementwise import Elementwise

A = np.float32([[1.5, -2.0], [0.5, 3.0]])
B = np.float32([[2.0, 1.0], [4.0, 0.5]])


def line() -> int:
    """The number of the line that asks."""
    return sys._getframe(1).f_lineno


class Paired(Elementwise):
    """An operator with options of every kind that files hold."""

    def __init__(
        self,
        left: Operand,
        right: Operand,
        *,
        scale: float = 1.0,
        axes: tuple[int, ...] = (0,),
        name: str | None = None,
    ) -> None:
        self.scale = float(scale)
        self.axes = tuple(axes)
        super().__init__(left, right, name=name)

    def infer(self, left: Spec, right: Spec) -> Spec:
        if left.shape != right.shape:
            raise ShapeError(
                f"shapes differ, {left.shape} and {right.shape}",
                hint="give {right} the shape of {left}",
            )
        return left

    def compute(self, xp: ModuleType, left: Array, right: Array) -> Array:
        return left * right


# ---- Python's operators -------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul]


@pytest.mark.parametrize("apply", [*BINARY, operator.pow], ids=lambda apply: apply.__name__)
def test_operators_of_python(graph: ms.Graph, apply: Any) -> None:
    a, b = ms.Variable(abs(A)), ms.Variable(B)
    for node, expected in (
        (apply(a, b), apply(abs(A), B)),
        (apply(a, B), apply(abs(A), B)),
        (apply(abs(A), b), apply(abs(A), B)),
    ):
        found = graph.forward(node)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("apply", [*BINARY[:4], operator.pow], ids=lambda apply: apply.__name__)
def test_numbers_take_the_dtype_of_the_node(graph: ms.Graph, apply: Any) -> None:
    for dtype in ("float32", "float64"):
        a = ms.Variable(abs(A), dtype=dtype)
        for number in (2, 2.5, np.float64(2.5), np.int32(3), np.float32(0.5)):
            for node, expected in (
                (apply(a, number), apply(a.value, number)),
                (apply(number, a), apply(number, a.value)),
            ):
                found = graph.forward(node)
                assert found.dtype == np.dtype(dtype)
                np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("apply", [operator.neg, abs], ids=["neg", "abs"])
def test_operators_on_one_node(graph: ms.Graph, apply: Any) -> None:
    np.testing.assert_array_equal(graph.forward(apply(ms.Variable(A))), apply(A))


@pytest.mark.parametrize(
    "key",
    [
        *(0, -1, slice(None), slice(None, None, -1), (0, 1), (slice(1), slice(1, None))),
        *(None, (..., 0), (None, ..., 1)),
    ],
    ids=repr,
)
def test_subscripts(graph: ms.Graph, key: Any) -> None:
    np.testing.assert_array_equal(graph.forward(ms.Variable(A)[key]), A[key])


def test_integers_stay_integers(graph: ms.Graph) -> None:
    i = ms.Input((2,), dtype="int32", name="i")
    found = graph.forward(i * np.int32(2) + i, {i: np.int32([1, 2])})
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [3, 6])


@pytest.mark.parametrize(
    ("use", "problem", "hint"),
    [
        (bool, "has no truth value", "ms.ops.Where(condition, x, y)"),
        (float, "is no number", "float(graph.forward(node, feeds)) after building"),
        (np.asarray, "is no array", "the operators in ms.ops instead of NumPy's functions"),
        (np.mean, "is no array", "the operators in ms.ops instead of NumPy's functions"),
        (np.cbrt, "is no array for np.cbrt", "ms.ops.... instead"),
        (np.exp, "is no array for np.exp", "ms.ops.Exp instead"),
        (
            lambda x: np.add.reduce(x),
            "is no array for np.add",
            "ms.ops.Add instead",
        ),
        (lambda x: x < 1, "cannot be compared by <", "ms.ops.Less(x, y)"),
        (lambda x: x <= x, "cannot be compared by <=", "ms.ops.LessOrEqual(x, y)"),
        (lambda x: x > 1, "cannot be compared by >", "ms.ops.Greater(x, y)"),
        (lambda x: x >= x, "cannot be compared by >=", "ms.ops.GreaterOrEqual(x, y)"),
        (lambda x: x == 0, "cannot be compared by ==", "ms.ops.Equal(x, y)"),
        (lambda x: x != np.float32(0), "cannot be compared by ==", "ms.ops.Equal(x, y)"),
        (
            lambda x: np.equal(A, x),
            "is no array for np.equal",
            "ms.ops.Equal instead",
        ),
    ],
)
def test_a_node_has_no_value_while_the_graph_is_built(
    graph: ms.Graph, use: Any, problem: str, hint: str
) -> None:
    x = ms.Input((2,), name="x")
    with pytest.raises(GraphError) as caught:
        use(x)
    assert str(caught.value) == (
        f"Input 'x' (2,) float32 {problem}: it has no value yet while the graph is built\n"
        f"  hint   use {hint}"
    )


def test_a_node_equals_itself_alone(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    assert x == x
    assert x != y
    assert x != "x"
    assert (y in [x], y in {x: 1}) == (False, False)


def test_a_node_is_no_sequence(graph: ms.Graph) -> None:
    with pytest.raises(TypeError, match="'Input' object is not iterable"):
        list(ms.Input((2,), name="x"))


# ---- what a node says of itself -----------------------------------------------------------------


def test_a_node_knows_its_place(graph: ms.Graph) -> None:
    x = ms.Input((None, 2), name="x")
    with graph.scope("layer"):
        y = ms.ops.Add(x, [1.0, 2.0], name="sum"); built = line()  # fmt: skip  # noqa: E702
    assert (y.name, y.scope, x.scope) == ("layer/sum", "layer", "")
    assert (y.shape, y.ndim, y.size, y.dtype) == ((None, 2), 2, None, np.dtype("float32"))
    assert (y.graph, y.device, y.trainable) == (graph, "cpu", False)
    assert [node.index for node in (x, *y.inputs[1:], y)] == [0, 1, 2]
    assert y.inputs[0] is x
    assert y.site == Site(__file__, built)
    assert str(y.site) == f"test_core_node.py:{built}"
    assert y.site.source.startswith("y = ms.ops.Add(x, [1.0, 2.0]")
    assert repr(y) == "Add 'layer/sum' (None, 2) float32"
    assert (y.value, y.gradient) == (None, None)


def test_a_constructor_of_something_else_is_a_place_as_any(graph: ms.Graph) -> None:
    class Model:
        def __init__(self, x: Node) -> None:
            self.y = -x

    model = Model(ms.Input((2,)))
    assert model.y.site.source == "self.y = -x"


def test_a_file_that_is_gone_has_no_source() -> None:
    assert Site("/nowhere/train.py", 12).source == ""


def test_options_are_keywords_that_are_read_back(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    node = Paired(x, x, scale=2, axes=[1, 2])
    assert Paired.options == ("scale", "axes")
    assert node.attributes == {"scale": 2.0, "axes": (1, 2)}
    assert ms.ops.Add(x, x).attributes == {}
    with pytest.raises(TypeError, match="unexpected keyword argument 'scales'"):
        Paired(x, x, scales=2)
    with pytest.raises(TypeError):
        Paired(x, x, 2.0)


# ---- errors -------------------------------------------------------------------------------------


def test_an_error_reads_from_operator_to_remedy(graph: ms.Graph) -> None:
    x = ms.Input((None, 784), name="x")
    w = ms.Variable(np.zeros((512, 10)), name="fc1/W")
    before = graph.nodes
    with graph.scope("fc1"), pytest.raises(ShapeError) as caught:
        Paired(x, w, name="pair")
    built = line() - 1
    assert str(caught.value) == (
        "Paired 'fc1/pair': shapes differ, (None, 784) and (512, 10)\n"
        f"  left   x      Input     (None, 784)  float32  {x.site}\n"
        f"  right  fc1/W  Variable  (512, 10)    float32  {w.site}\n"
        f'  built  test_core_node.py:{built}   Paired(x, w, name="pair")\n'
        "  hint   give fc1/W the shape of x"
    )
    assert graph.nodes == before


def test_a_refused_operator_leaves_no_constant_behind(graph: ms.Graph) -> None:
    x = ms.Input((3,), name="x")
    with pytest.raises(ShapeError):
        ms.ops.Add(x, [1.0, 2.0])
    assert graph.nodes == (x,)


def test_a_name_that_is_taken(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    with pytest.raises(GraphError) as caught:
        ms.ops.Neg(x, name="x")
    built = line() - 1
    assert str(caught.value) == (
        f"Neg 'x': the name 'x' is taken by Input 'x' (2,) float32 ({x.site})\n"
        f"  x      x  Input  (2,)  float32  {x.site}\n"
        f'  built  test_core_node.py:{built}   ms.ops.Neg(x, name="x")\n'
        "  hint   choose another name, or open a scope: with graph.scope(...)"
    )


@pytest.mark.parametrize("name", ["a//b", "/a", "a/", " a", "a\n", "a/ b"])
def test_names_that_cannot_be(graph: ms.Graph, name: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        ms.Input((2,), name=name)
    assert str(caught.value).startswith(f"Input {name!r}: not a name: {name!r}\n")
    assert str(caught.value).endswith('hint   give printable text, with "/" between scopes')


def test_what_is_no_number_is_refused_on_the_users_line(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    with pytest.raises(DTypeError) as caught:
        x + "1"
    assert str(caught.value) == (
        "Add 'add': numbers are needed, <U1 came\n"
        f'  built  test_core_node.py:{line() - 3}   x + "1"\n'
        "  hint   give numbers"
    )


def test_dtypes_that_differ(graph: ms.Graph) -> None:
    x, i = ms.Input((2,), name="x"), ms.Input((2,), dtype="int64", name="i")
    with pytest.raises(DTypeError) as caught:
        x * i
    assert str(caught.value) == (
        "Mul 'mul': dtypes differ, float32 and int64\n"
        f"  a      x  Input  (2,)  float32  {x.site}\n"
        f"  b      i  Input  (2,)  int64    {i.site}\n"
        f"  built  test_core_node.py:{line() - 5}   x * i\n"
        '  hint   convert one of them: ms.ops.Cast(x, dtype="float32")'
    )


def test_two_graphs_do_not_mix() -> None:
    with ms.Graph():
        x = ms.Input((2,), name="x")
    with ms.Graph():
        y = ms.Input((2,), name="y")
    with pytest.raises(GraphError) as caught:
        y + x
    assert str(caught.value) == (
        "Add: its inputs belong to two graphs\n"
        f"  Input 'y' (2,) float32 on cpu   {y.site}\n"
        f"  Input 'x' (2,) float32 on cpu   {x.site}\n"
        "  hint   build both inputs in one `with ms.Graph():` block"
    )


def test_without_a_graph_there_is_no_leaf_but_there_are_operators() -> None:
    for build in (lambda: ms.Input((2,)), lambda: ms.Constant(1.0), ms.current_graph):
        with pytest.raises(GraphError) as caught:
            build()
        assert str(caught.value) == (
            "no graph is open, so a new node has nowhere to go\n"
            "  hint   build inside a block: with ms.Graph() as graph: ..."
        )
    with ms.Graph() as graph:
        x = ms.Variable([1.0, 2.0])
    assert (x + 1.0).graph is graph  # the operands say where


# ---- operators of a user's own ------------------------------------------------------------------


def test_the_name_of_a_built_in_operator_is_taken() -> None:
    with pytest.raises(GraphError) as caught:
        type("Add", (Node,), {"__module__": "mine"})
    assert str(caught.value) == (
        "operator 'Add' is defined already, in matrixslow.ops.elementwise\n"
        "  hint   give your class another name"
    )
    assert Node.operators["Add"] is ms.ops.Add


def test_an_unknown_operator() -> None:
    with pytest.raises(GraphError) as caught:
        ms.core.operator("Nothing")
    assert str(caught.value) == (
        "no operator is named 'Nothing'\n  hint   import the module that defines it first"
    )


class Broken(Elementwise):
    """Fails, or breaks its promise, as it is told."""

    def __init__(self, x: Operand, *, how: str, name: str | None = None) -> None:
        self.how = how
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Any:
        if self.how == "raise":
            raise ZeroDivisionError("no way")
        if self.how == "refuse":
            raise RunError("values above 1 came", hint="scale {x}")
        return {"shape": x[:1], "dtype": x.astype("float64"), "list": x.tolist()}[self.how]


@pytest.mark.parametrize(
    ("how", "rule", "hint"),
    [
        ("raise", "ZeroDivisionError: no way", ""),
        ("refuse", "values above 1 came", "\n  hint   scale x"),
        (
            "shape",
            "infer promised (2,) float32, compute returned (1,) float32",
            "\n  hint   mend Broken.infer or Broken.compute",
        ),
        (
            "dtype",
            "infer promised (2,) float32, compute returned (2,) float64",
            "\n  hint   mend Broken.infer or Broken.compute",
        ),
        (
            "list",
            "infer promised (2,) float32, compute returned list",
            "\n  hint   mend Broken.infer or Broken.compute",
        ),
    ],
)
def test_a_failure_while_running_names_the_line_that_built_it(
    graph: ms.Graph, how: str, rule: str, hint: str
) -> None:
    x = ms.Variable([1.0, 2.0], name="x")
    y = Broken(x, how=how, name="y")
    with pytest.raises(RunError) as caught:
        graph.forward(y)
    assert str(caught.value) == (
        f"Broken 'y': {rule}\n"
        f"  x      x  Variable  (2,)  float32  {x.site}\n"
        f'  built  {y.site}   y = Broken(x, how=how, name="y"){hint}'
    )


def test_many_operands_are_numbered(graph: ms.Graph) -> None:
    parts = [ms.Input((2, n), name=f"part{n}") for n in range(3)]
    text = str(ms.ops.Concat(*parts, axis=1).explain(ShapeError("rule")))
    labels = [row.split()[0] for row in text.splitlines()[1:-1]]
    assert [label.partition("[")[2] for label in labels] == ["0]", "1]", "2]"]


@pytest.mark.parametrize(
    ("kind", "count", "needed"), [("Tanh", 2, "1"), ("Add", 1, "2"), ("Where", 2, "3")]
)
def test_the_number_of_inputs_is_checked(kind: str, count: int, needed: str) -> None:
    with ms.Graph() as graph:
        x = ms.Input((2,), name="x")
        with pytest.raises(GraphError) as caught:
            getattr(ms.ops, kind)(*[x] * count)
    rule, *_, hint = str(caught.value).splitlines()
    assert rule == f"{kind} {kind.lower()!r}: {needed} inputs are needed, {count} came"
    assert hint == "  hint   options are given by name, inputs in order"
    assert len(graph) == 1
