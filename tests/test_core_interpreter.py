"""The reference interpreter: what it computes, in which order, and how updates are applied."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.backend import Array
from matrixslow.core import Interpreter, Node, Operand
from matrixslow.core.traversal import ancestors, at_inference
from matrixslow.errors import GraphError, ShapeError
from matrixslow.ops.elementwise import Elementwise

ONE = np.ones(2, "float32")


class Counted(Elementwise):
    """y = x, and counts its runs; an update doubles a variable."""

    def __init__(self, x: Operand, *, name: str | None = None) -> None:
        self.runs = 0
        super().__init__(x, name=name)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        self.runs += 1
        return x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (upstream * self,)


class Averaged(Elementwise):
    """y = value while training, average at inference; training moves the average half-way."""

    def compute(self, xp: ModuleType, value: Array, average: Array) -> Array:
        return value

    def inference(self) -> Node:
        return self.inputs[1]

    def updates(self) -> Sequence[tuple[Node, Node]]:
        value, average = self.inputs
        with self.graph.scope("averages", absolute=True):
            return [(average, 0.5 * value + 0.5 * average)]

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return upstream, None


def test_each_node_is_computed_once(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    y = Counted(x)
    program = Interpreter([x], [y + y, y * y, y], training=True)
    for run in (1, 2):
        np.testing.assert_array_equal(program.run([ONE]), [[2, 2], [1, 1], [1, 1]])
        assert y.runs == run


def test_nothing_before_what_is_fed_is_computed(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    y = Counted(x)
    program = Interpreter([y], [-y], training=True)
    np.testing.assert_array_equal(program.run([2 * ONE]), [[-2, -2]])
    assert (y.runs, program.missing, program.nodes) == (0, [], [y, program.outputs[0]])


def test_what_is_fed_may_be_an_output_or_unused(graph: ms.Graph) -> None:
    x, unused = ms.Input((2,), name="x"), ms.Input((3,), name="unused")
    w = ms.Variable(5 * ONE)
    program = Interpreter([unused, x], [x, w, x], training=True)
    np.testing.assert_array_equal(program.run([np.zeros(3), ONE]), [[1, 1], [5, 5], [1, 1]])


def test_leaves_that_are_missing(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    assert Interpreter([x], [x + y + ms.Variable(ONE)], training=True).missing == [y]


def test_values_are_arrays_even_of_one_number(graph: ms.Graph) -> None:
    x = ms.Variable(2.0)
    (found,) = Interpreter([], [x * x], training=True).run([])
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == ((), np.float32)


def test_values_that_no_later_step_reads_are_dropped(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    a = -x
    b = a + x
    c = -b
    program = Interpreter([x], [b, c], training=True)
    drops = {step.node: [program.nodes[slot] for slot in step.dropped] for step in program.steps}
    assert {node: set(dropped) for node, dropped in drops.items()} == {
        a: set(),
        b: {a, x},
        c: set(),
    }
    np.testing.assert_array_equal(program.run([ONE]), [[0, 0], [0, 0]])


def test_a_trace_keeps_every_value_in_order(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    w = ms.Variable(ONE, name="w")
    a = x * w
    b = -a
    values = Interpreter([x], [b], training=True).trace([3 * ONE])
    assert list(values) == [x, w, a, b]
    np.testing.assert_array_equal(list(values.values()), [[3, 3], [1, 1], [3, 3], [-3, -3]])


def test_specs_are_inferred_again_for_new_shapes_only(
    graph: ms.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = ms.Input((None, 2), name="x")
    w = ms.Variable(ONE)
    known, fed = -w, -x
    program = Interpreter([x], [known + fed], training=True)
    inferred: list[Node] = []
    infer = Elementwise.infer

    def spy(self: Elementwise, *specs: ms.core.Spec) -> ms.core.Spec:
        inferred.append(self)
        return infer(self, *specs)

    for cls in (ms.ops.Neg, ms.ops.Add):
        monkeypatch.setattr(cls, "infer", spy)
    for n in (3, 3, 4, 3, 4):
        program.run([np.zeros((n, 2), "float32")])
    assert inferred == 2 * [fed, program.outputs[0]]


# ---- updates ------------------------------------------------------------------------------------


def test_updates_are_applied_together_at_the_end(graph: ms.Graph) -> None:
    a, b = ms.Variable(1.0, name="a"), ms.Variable(2.0, name="b")
    program = Interpreter([], [a, b, a + b], updates=[(a, b), (b, a)], training=True)
    assert [float(x) for x in program.run([])] == [1, 2, 3]
    assert (a.value, b.value) == (2, 1)
    assert [float(x) for x in program.run([])] == [2, 1, 3]
    assert (a.value, b.value) == (1, 2)


def test_results_are_not_changed_by_later_runs(graph: ms.Graph) -> None:
    w = ms.Variable(ONE, name="w")
    program = Interpreter([], [w], updates=[(w, w + 1.0)], training=True)
    first, second = program.run([])[0], program.run([])[0]
    np.testing.assert_array_equal([first, second, w.value], [[1, 1], [2, 2], [3, 3]])


def test_writing_into_results_changes_no_variable(graph: ms.Graph) -> None:
    w = ms.Variable([[1.0, 2.0]], name="w")
    program = Interpreter([], [w, ms.ops.Reshape(w, shape=(2,)), w[0, :1]], training=False)
    for result in program.run([]):
        result[...] = 7
    np.testing.assert_array_equal(w.value, [[1, 2]])


def test_nothing_is_updated_when_a_step_fails(graph: ms.Graph) -> None:
    x, w = ms.Input((None,), name="x"), ms.Variable(ONE, name="w")
    program = Interpreter([x], [x * w], updates=[(w, w + 1.0)], training=True)
    with pytest.raises(ShapeError):
        program.run([np.zeros(3)])
    np.testing.assert_array_equal(w.value, [1, 1])


def test_nodes_bring_updates_of_their_own(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    average = ms.Variable(np.zeros(2), trainable=False, name="average")
    y = Averaged(x, average)
    training = Interpreter([x], [y], training=True)
    inference = Interpreter([x], [-y], training=False)
    np.testing.assert_array_equal(training.run([4 * ONE])[0], [4, 4])
    np.testing.assert_array_equal(average.value, [2, 2])
    np.testing.assert_array_equal(inference.run([4 * ONE])[0], [-2, -2])
    np.testing.assert_array_equal(average.value, [2, 2])
    assert inference.missing == []
    assert [node for node, _ in training.updates] == [average]


def test_a_node_that_is_fed_updates_nothing(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    average = ms.Variable(np.zeros(2), trainable=False, name="average")
    y = Averaged(x, average)
    Interpreter([y], [-y], training=True).run([ONE])
    np.testing.assert_array_equal(average.value, [0, 0])


def test_updates_that_cannot_be(graph: ms.Graph) -> None:
    w, x = ms.Variable(ONE, name="w"), ms.Input((2,), name="x")
    one, two = ms.ops.Neg(w, name="one"), ms.ops.Neg(w, name="two")
    wide = ms.Input((3,), name="wide")
    for updates, error, message in (
        (
            [(x, w)],
            GraphError,
            "only a variable can be updated, Input 'x' (2,) float32 is none\n"
            "  hint   give pairs (variable, new value)",
        ),
        (
            [(w, one), (w, two)],
            GraphError,
            "Variable 'w' (2,) float32 is given two new values, 'one' and 'two'\n"
            "  hint   add them up, or update it in two functions",
        ),
        (
            [(w, wide)],
            ShapeError,
            "Variable 'w' (2,) float32 cannot take the new value Input 'wide' (3,) float32\n"
            "  hint   a new value has the variable's shape and dtype",
        ),
    ):
        with pytest.raises(error) as caught:
            Interpreter([x], [], updates=updates, training=True)
        assert str(caught.value) == message
    Interpreter([], [], updates=[(w, one), (w, one)], training=True).run([])
    np.testing.assert_array_equal(w.value, [-1, -1])


# ---- stand-ins ----------------------------------------------------------------------------------


def test_a_stand_in_may_have_a_stand_in(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    inner = Averaged(x, ms.Variable(np.zeros(2), trainable=False))
    outer = Averaged(x, inner)
    assert at_inference(outer) is inner.inputs[1]
    assert ancestors([-outer], stand_in=at_inference)[0] is inner.inputs[1]


# ---- the plan as text ---------------------------------------------------------------------------


def test_explain(graph: ms.Graph) -> None:
    x, w = ms.Input((None, 2), name="x"), ms.Variable(ONE, name="w")
    y = ms.ops.Mul(x, w, name="y")
    z = ms.ops.Neg(w, name="z")
    assert Interpreter([x], [y], updates=[(w, z)], training=True).explain() == (
        "interpreter: 2 steps, 1 updates\n"
        "  Mul 'y' (None, 2) float32 <- x, w\n"
        "  Neg 'z' (2,) float32 <- w\n"
        "  update w <- z"
    )


# ---- walking ------------------------------------------------------------------------------------


def test_ancestors_come_before_what_is_made_of_them(graph: ms.Graph) -> None:
    x = ms.Input((2,))
    a = -x
    b = a + x
    c = -b
    d = c + a
    assert ancestors([d, a]) == [x, a, b, c, d]
    assert ancestors([d], stop={b}) == [x, a, b, c, d]
    assert ancestors([c], stop={b}) == [b, c]
    assert ancestors([]) == []
