"""`ms.function`: a part of the graph as a Python function."""

from __future__ import annotations

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.errors import FeedError, GraphError

ONE = np.ones(2, "float32")


def test_one_output_or_several(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    np.testing.assert_array_equal(ms.function([x, y], x - y)([3, 4], [1, 1]), [2, 3])
    several = ms.function([y, x], [x - y, x])([1, 1], [3, 4])
    assert isinstance(several, list)
    np.testing.assert_array_equal(several, [[2, 3], [3, 4]])
    assert ms.function([], [])() == []


def test_inputs_are_converted_and_results_are_arrays(graph: ms.Graph) -> None:
    x = ms.Input((None,), name="x")
    total = ms.function([x], ms.ops.ReduceSum(x, keepdims=False))
    for n in (3, 0, 1, 3):
        found = total(np.arange(n))
        assert isinstance(found, np.ndarray)
        assert (found.shape, found.dtype, float(found)) == ((), np.float32, n * (n - 1) / 2)


def test_a_training_step(graph: ms.Graph) -> None:
    x, w = ms.Input((2,), name="x"), ms.Variable([1.0, -2.0], name="w")
    loss = ms.ops.ReduceSum((w - x) * (w - x), keepdims=False)
    (slope,) = ms.gradients(loss, [w])
    step = ms.function([x], loss, updates=[(w, w - 0.25 * slope)])
    losses = [float(step(ONE)) for _ in range(4)]
    assert losses == [9.0, 2.25, 0.5625, 0.140625]
    np.testing.assert_array_equal(w.value, [1, 0.8125])


def test_two_variables_change_places(graph: ms.Graph) -> None:
    a, b = ms.Variable(1.0), ms.Variable(2.0)
    swap = ms.function([], [a, b], updates=[(a, b), (b, a)])
    assert [[float(x) for x in swap()] for _ in range(3)] == [[1, 2], [2, 1], [1, 2]]
    assert (a.value, b.value) == (2, 1)


def test_training_is_meant_where_there_are_updates(graph: ms.Graph) -> None:
    x = ms.Input((1000,), name="x")
    w = ms.Variable(np.zeros(1000))
    y = ms.ops.Dropout(x, ratio=0.5)
    data = np.ones(1000)
    for options, trains in (
        ({}, False),
        ({"training": True}, True),
        ({"updates": [(w, y)]}, True),
        ({"updates": [(w, x)], "training": False}, False),
    ):
        function = ms.function([x], y, **options)
        assert function.training is trains
        assert (function(data) == 0).any() == trains


def test_functions_share_variables(graph: ms.Graph) -> None:
    w = ms.Variable(1.0, name="w")
    read, grow = ms.function([], w), ms.function([], [], updates=[(w, 2.0 * w)])
    grow()
    assert read() == 2
    w.value = 5.0
    grow()
    assert read() == 10


def test_random_numbers_move_on_with_every_call() -> None:
    def draw() -> list[list[float]]:
        with ms.Graph(seed=4):
            x = ms.ops.RandomUniform(shape=(3,))
        numbers = ms.function([], x)
        return [numbers().tolist() for _ in range(3)]

    first = draw()
    assert len({tuple(numbers) for numbers in first}) == 3
    assert draw() == first


def test_a_function_of_constants(graph: ms.Graph) -> None:
    assert ms.function([], ms.Constant(2.0) * 3.0)() == 6


def test_what_a_function_says_of_itself(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    function = ms.function([x, y], x + y)
    assert repr(function) == "Function of x, y"
    assert repr(ms.function([], ms.Constant(1.0))) == "Function of nothing"
    assert function.inputs == (x, y)
    assert function.program.explain().startswith("interpreter: 1 steps, 0 updates\n")


def test_inputs_that_are_not_named(graph: ms.Graph) -> None:
    x, y, z = (ms.Input((2,), name=name) for name in "xyz")
    w = ms.Variable(ONE, name="w")
    with pytest.raises(GraphError) as caught:
        ms.function([x], x + y, updates=[(w, z)])
    assert str(caught.value) == (
        "function: the outputs need 2 inputs that are not named\n"
        f"  missing  Input 'y' (2,) float32   {y.site}\n"
        f"  missing  Input 'z' (2,) float32   {z.site}\n"
        "  hint   add them to the list of inputs"
    )


def test_only_inputs_can_be_fed(graph: ms.Graph) -> None:
    w = ms.Variable(ONE, name="w")
    with pytest.raises(GraphError) as caught:
        ms.function([w], -w)  # type: ignore[list-item]
    assert str(caught.value) == (
        "function: Variable 'w' (2,) float32 is not an input\n"
        "  hint   only ms.Input nodes can be fed"
    )


def test_the_number_of_arrays_must_fit(graph: ms.Graph) -> None:
    x, y = ms.Input((2,), name="x"), ms.Input((2,), name="y")
    function = ms.function([x, y], x + y)
    with pytest.raises(FeedError) as caught:
        function(ONE)
    assert str(caught.value) == (
        "2 arrays are needed, 1 came\n"
        "  input  Input 'x' (2,) float32\n"
        "  input  Input 'y' (2,) float32\n"
        "  hint   give one array for each input, in this order"
    )
    with pytest.raises(FeedError) as caught:
        function(ONE, np.zeros(3))
    assert str(caught.value) == (
        f"Input 'y' ({y.site}): shape (2,) is declared, (3,) was fed\n"
        "  hint   feed the declared shape, or declare None on an axis whose size differs"
    )
