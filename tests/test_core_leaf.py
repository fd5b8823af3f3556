"""The leaves: what may be fed to an input, what a constant and a variable hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError, DTypeError, FeedError, MissingExtra, ShapeError


def refusal(node: ms.Input, value: Any) -> str:
    """The message with which an input refuses a value, after its own name and line."""
    with pytest.raises(FeedError) as caught:
        node.accept(value)
    start = f"Input {node.name!r} ({node.site}): "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


# ---- Input: dtypes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("float32", [[1.5, 2.5]]),
        ("float32", np.float64([[1.5, 2.5]])),
        ("float32", np.uint8([[1, 255]])),
        ("float32", np.array([[True, False]])),
        ("float32", [[np.nan, np.inf]]),
        ("float64", np.float32([[1.5, 2.5]])),
        ("int64", np.int32([[1, -2]])),
        ("int64", np.uint8([[1, 200]])),
        ("int32", [[1, 2]]),
        ("float32", np.arange(2.0, dtype=">f4")[None]),
        ("bool", [[True, False]]),
    ],
)
def test_what_loses_nothing_in_kind_is_converted(
    graph: ms.Graph, declared: str, value: Any
) -> None:
    x = ms.Input((None, 2), dtype=declared)
    found = x.accept(value)
    assert found.dtype == np.dtype(declared)
    np.testing.assert_array_equal(found, np.asarray(value).astype(declared))


def test_an_array_that_fits_is_not_copied(graph: ms.Graph) -> None:
    value = np.ones((4, 2), "float32")
    assert ms.Input((None, 2)).accept(value) is value


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        (
            "int64",
            [1.0, 2.0],
            "int64 is declared, float64 was fed\n"
            '  hint   convert it: value.astype("int64"), or declare dtype="float64"',
        ),
        (
            "bool",
            [1, 0],
            "bool is declared, int64 was fed\n"
            '  hint   convert it: value.astype("bool"), or declare dtype="int64"',
        ),
        (
            "uint8",
            [1, 2],
            "uint8 is declared, int64 was fed\n"
            '  hint   convert it: value.astype("uint8"), or declare dtype="int64"',
        ),
        (
            "int32",
            [1, 2**31],
            "int32 is declared, 2147483648 was fed and does not fit\n"
            '  hint   declare dtype="int64"',
        ),
        ("float32", ["1", "2"], "float32 is declared, <U1 was fed\n  hint   feed numbers"),
        ("float32", [1, None], "float32 is declared, object was fed\n  hint   feed numbers"),
        ("float32", [1j, 2], "float32 is declared, complex128 was fed\n  hint   feed numbers"),
    ],
)
def test_other_dtypes_are_refused(graph: ms.Graph, declared: str, value: Any, message: str) -> None:
    assert refusal(ms.Input((None,), dtype=declared, name="x"), value) == message


# ---- Input: shapes ------------------------------------------------------------------------------


def test_an_axis_of_unknown_size_takes_any(graph: ms.Graph) -> None:
    x = ms.Input((None, 2))
    assert [x.accept(np.zeros((n, 2))).shape for n in (0, 1, 7)] == [(0, 2), (1, 2), (7, 2)]


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        (
            (None, 3),
            np.zeros((2, 4)),
            "shape (None, 3) is declared, (2, 4) was fed\n"
            "  hint   feed the declared shape, or declare None on an axis whose size differs",
        ),
        (
            (None, 3),
            np.zeros(3),
            "shape (None, 3) is declared, (3,) was fed\n"
            "  hint   one sample without its batch axis? feed value[None]",
        ),
        (
            (4, 2),
            np.zeros((2, 4)),
            "shape (4, 2) is declared, (2, 4) was fed\n  hint   reshape it: value.reshape((4, 2))",
        ),
        (
            (),
            np.zeros((2, 4)),
            "shape () is declared, (2, 4) was fed\n"
            "  hint   feed the declared shape, or declare None on an axis whose size differs",
        ),
    ],
)
def test_other_shapes_are_refused(
    graph: ms.Graph, shape: tuple[int | None, ...], value: Any, message: str
) -> None:
    assert refusal(ms.Input(shape, name="x"), value) == message


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_one_hot_rows_where_integers_belong(graph: ms.Graph, dtype: str) -> None:
    label = ms.Input((None,), dtype="int64", name="label")
    assert refusal(label, np.eye(3, dtype=dtype)) == (
        "shape (None,) is declared, (3, 3) was fed\n"
        "  hint   one-hot rows where integers belong? feed value.argmax(axis=-1)"
    )


def test_ragged_rows_are_refused(graph: ms.Graph) -> None:
    message = refusal(ms.Input((None, 2), name="x"), [[1, 2], [3]])
    assert message.startswith("what was fed is no array: setting an array element with a sequence")
    assert message.endswith("\n  hint   feed numbers, in rows of equal length")


def test_a_node_is_no_value(graph: ms.Graph) -> None:
    x, w = ms.Input((2,), name="x"), ms.Variable([1.0, 2.0], name="w")
    assert refusal(x, w) == (
        "a node was fed, Variable 'w' (2,) float32\n"
        "  hint   feed an array; nodes are wired while building"
    )


# ---- Input: limits ------------------------------------------------------------------------------


def test_integers_outside_the_limits_are_refused(graph: ms.Graph) -> None:
    label = ms.Input((None,), dtype="int64", name="label")
    reader = ms.Variable([1.0], name="reader")
    label.limit(0, 10, reader)
    label.accept([0, 9])
    label.accept(np.zeros(0, "int64"))
    for value in (10, -1):
        assert refusal(label, [3, value]) == (
            f"values 0 to 9 are allowed, {value} was fed\n"
            f"  hint   Variable 'reader' ({reader.site}) has 10 classes or rows: "
            "count from 0, or give it more"
        )


def test_the_limits_of_every_reader_count(graph: ms.Graph) -> None:
    label = ms.Input((None,), dtype="int64")
    for low, high in ((0, 10), (-5, 4), (0, 10)):
        label.limit(low, high, ms.Constant(0.0))
    label.accept([0, 3])
    assert "values -5 to 3 are allowed, 4 was fed" in refusal(label, [4])
    assert "values 0 to 9 are allowed, -1 was fed" in refusal(label, [-1])


def test_one_value_may_be_allowed_besides(graph: ms.Graph) -> None:
    label = ms.Input((None,), dtype="int64")
    label.limit(0, 3, ms.Constant(0.0), besides=-100)
    label.accept([-100, 2])
    label.accept([-100])
    assert "values 0 to 2 are allowed, -1 was fed" in refusal(label, [-100, -1])


# ---- Constant -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.5, None, "float32"),
        ([1, 2], None, "int64"),
        (np.float64(1.5), None, "float32"),
        (np.float16([1.5]), None, "float32"),
        (np.int8([1]), None, "int8"),
        (True, None, "bool"),
        ([1, 2], "float64", "float64"),
        (np.arange(3, dtype=">i4"), None, "int32"),
    ],
)
def test_floating_point_numbers_become_float32(
    graph: ms.Graph, value: Any, dtype: str | None, expected: str
) -> None:
    node = ms.Constant(value, dtype=dtype)
    assert node.dtype == node.value.dtype == np.dtype(expected)
    np.testing.assert_array_equal(node.value, value)


def test_leaves_copy_what_they_are_given(graph: ms.Graph) -> None:
    given = np.ones(2, "float32")
    constant, variable = ms.Constant(given), ms.Variable(given)
    given[:] = 7
    np.testing.assert_array_equal(constant.value, [1, 1])
    np.testing.assert_array_equal(variable.value, [1, 1])
    variable.value = given
    given[:] = 8
    np.testing.assert_array_equal(variable.value, [7, 7])


def test_what_an_initializer_makes_is_copied_if_others_know_it(graph: ms.Graph) -> None:
    whole = np.ones((2, 2), "float32")
    made = []

    def fresh(shape: Any, dtype: Any, rng: Any) -> Any:
        array = np.zeros(shape, dtype)
        made.append(array.ctypes.data)
        return array

    known = ms.Variable(lambda shape, dtype, rng: whole, shape=(2, 2))
    part = ms.Variable(lambda shape, dtype, rng: whole[0], shape=(2,))
    other = ms.Variable(lambda shape, dtype, rng: [1, 1], shape=(2,))
    assert ms.Variable(fresh, shape=(2,)).value.ctypes.data == made[0]
    whole[:] = 7
    for variable in (known, part, other):
        np.testing.assert_array_equal(variable.value, np.ones(variable.shape))
        assert variable.value.dtype == np.float32


@pytest.mark.parametrize("make", [ms.Constant, ms.Variable])
def test_numbers_only(graph: ms.Graph, make: Any) -> None:
    for value, shown in (("a", "<U1"), (None, "object"), ([1j], "complex128")):
        with pytest.raises(DTypeError) as caught:
            make(value)
        assert str(caught.value) == f"numbers are needed, {shown} came\n  hint   give numbers"
    with pytest.raises(DTypeError) as caught:
        make([[1], [1, 2]])
    assert str(caught.value).startswith("numbers are needed: setting an array element")
    assert str(caught.value).endswith("\n  hint   give rows of equal length")
    with pytest.raises(DTypeError) as caught:
        make(ms.Input((2,), name="x"))
    assert str(caught.value) == (
        "an array is needed, a node came: Input 'x' (2,) float32\n  hint   use the node itself"
    )


# ---- Variable -----------------------------------------------------------------------------------


def test_an_initializer_gets_shape_dtype_and_a_stream_of_its_own() -> None:
    def noise(shape: Any, dtype: Any, rng: np.random.Generator) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    def build(seed: int, *names: str) -> list[Any]:
        with ms.Graph(seed=seed):
            return [ms.Variable(noise, shape=(4,), name=name).value for name in names]

    w, b = build(1, "w", "b")
    assert w.dtype == np.float32
    assert not np.array_equal(w, b)
    # A stream belongs to the name: variables made before it change nothing.
    np.testing.assert_array_equal(build(1, "a", "w")[1], w)
    assert not np.array_equal(build(2, "w")[0], w)


def test_a_variable_knows_its_attributes(graph: ms.Graph) -> None:
    step = ms.Variable(3, trainable=False, name="step")
    assert step.attributes == {"initial": 3, "dtype": np.dtype("int64"), "trainable": False}
    again = ms.Variable(**step.attributes)
    assert (again.spec, again.trainable, again.value) == (step.spec, False, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ([1.0],),
            {"shape": (1,)},
            ArgumentError,
            "Variable: an initializer needs a shape, an array brings its own\n"
            "  hint   Variable(array) or Variable(initializer, shape=(784, 10))",
        ),
        (
            (lambda *_: 0.0,),
            {},
            ArgumentError,
            "Variable: an initializer needs a shape, an array brings its own\n"
            "  hint   Variable(array) or Variable(initializer, shape=(784, 10))",
        ),
        (
            (lambda *_: 0.0,),
            {"shape": (None, 2)},
            ArgumentError,
            "Variable: shape (None, 2) has an axis of unknown size\n"
            "  hint   a variable has an array: give every size",
        ),
        (
            ([1, 2],),
            {},
            DTypeError,
            "Variable: int64 values have no slope and cannot be trained\n"
            '  hint   give dtype="float32" or trainable=False',
        ),
    ],
)
def test_variables_that_cannot_be(
    graph: ms.Graph, arguments: Any, options: Any, error: Any, message: str
) -> None:
    with pytest.raises(error) as caught:
        ms.Variable(*arguments, **options)
    assert str(caught.value) == message
    assert len(graph) == 0


def test_a_wrong_initializer_leaves_no_variable_behind(graph: ms.Graph) -> None:
    with pytest.raises(ShapeError) as caught:
        ms.Variable(lambda *_: np.zeros(3), shape=(2,), name="w")
    assert "its shape is (2,), a value of shape (3,) came" in str(caught.value)
    assert len(graph) == 0
    ms.Variable(lambda *_: np.zeros(2), shape=(2,), name="w")


def test_a_new_value_must_fit(graph: ms.Graph) -> None:
    w = ms.Variable([1.0, 2.0], name="w")
    w.value = [3, 4]
    np.testing.assert_array_equal(w.value, np.float32([3, 4]))
    assert w.value.dtype == np.float32
    with pytest.raises(ShapeError) as caught:
        w.value = [1.0]
    assert str(caught.value) == (
        f"Variable 'w' ({w.site}): its shape is (2,), a value of shape (1,) came\n"
        "  hint   a variable's shape is fixed: give an array of that shape"
    )
    with pytest.raises(DTypeError) as caught:
        w.value = [1j, 2]
    assert str(caught.value) == (
        f"Variable 'w' ({w.site}): its dtype is float32, complex128 came\n"
        '  hint   convert it: value.astype("float32")'
    )
    np.testing.assert_array_equal(w.value, [3, 4])


# ---- devices ------------------------------------------------------------------------------------


def test_a_gpu_without_cupy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(MissingExtra) as caught:
        ms.Graph(device="cuda")
    assert str(caught.value) == (
        "device 'cuda' needs CuPy, which is not installed\n"
        "  hint   pip install 'matrixslow[gpu13]' (CUDA 13) or 'matrixslow[gpu12]' (CUDA 12)"
    )


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "", "cuda:-1"])
def test_devices_that_do_not_exist(name: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        ms.Graph(device=name)
    assert str(caught.value) == (
        f'no such device: {name!r}\n  hint   give "cpu", "cuda" or "cuda:1"'
    )


def test_values_live_on_the_graphs_device(device: str) -> None:
    with ms.Graph(device=device) as graph:
        x, w = ms.Input((2,), name="x"), ms.Variable([1.0, 2.0])
        y = w * x
    assert {node.device for node in graph.nodes} == {"cpu" if device == "cpu" else "cuda:0"}
    found = graph.forward(y, {x: [3.0, 4.0]})
    assert type(found) is type(w.value) is type(ms.backend.to_device(np.zeros(1), x.device))
    np.testing.assert_array_equal(ms.backend.to_host(found), [3, 8])
