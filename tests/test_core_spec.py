"""Shapes and dtypes: what is known of a value while the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.core.spec import (
    Spec,
    broadcast_shapes,
    check_dtype,
    check_shape,
    check_unknown_axes,
    floating_dtype,
    normalize_axes,
    normalize_axis,
    same_dtype,
)
from matrixslow.errors import ArgumentError, DTypeError, ShapeError

ALL_DTYPES = (
    "bool, float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64"
)

shapes = st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4).map(tuple)


def test_spec_knows_what_its_shape_says() -> None:
    spec = Spec((2, 3), "float32")
    assert (spec.ndim, spec.size, spec.floating) == (2, 6, True)
    assert (Spec((None, 3), "int8").size, Spec((), "bool").size) == (None, 1)
    assert not Spec((None, 3), "int8").floating
    assert str(Spec((None, 3), "float32")) == "(None, 3) float32"
    assert spec == Spec([np.int64(2), 3], np.float32)
    assert hash(spec) == hash(Spec((2, 3), np.dtype("float32")))


@pytest.mark.parametrize("dtype", ALL_DTYPES.split(", "))
def test_dtypes_by_any_of_their_names(dtype: str) -> None:
    expected = np.dtype(dtype)
    assert check_dtype(dtype) == check_dtype(expected.type) == check_dtype(expected) == expected


def test_other_byte_orders_become_the_machines() -> None:
    found = check_dtype(np.dtype("int32").newbyteorder(">"))
    assert found == np.dtype("int32")
    assert found.isnative


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [
        ("float31", "'float31'"),
        ("complex64", "'complex64'"),
        (object, "<class 'object'>"),
        (None, "None"),
        ("<U3", "'<U3'"),
        (np.dtype("datetime64[s]"), "dtype('<M8[s]')"),
    ],
)
def test_other_dtypes_are_refused(dtype: Any, shown: str) -> None:
    with pytest.raises(DTypeError) as caught:
        check_dtype(dtype)
    assert str(caught.value) == f"no such dtype: {shown}\n  hint   one of {ALL_DTYPES}"


@pytest.mark.parametrize("shape", [3, None, (2, -1), (2.0,), ("a",), [[2]], (2, -3, None)])
def test_what_is_not_a_shape_is_refused(shape: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_shape(shape)
    assert str(caught.value) == (
        f"not a shape: {shape!r}\n  hint   give a tuple of sizes, None where a size is fed"
    )


def test_shapes_become_plain_integers() -> None:
    shape = check_shape([np.int32(2), True, None, 0])
    assert shape == (2, 1, None, 0)
    assert [type(size) for size in shape] == [int, int, type(None), int]


@given(st.lists(shapes, max_size=4))
def test_known_shapes_broadcast_as_numpys(several: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*several)
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast_shapes(*several)
    else:
        assert broadcast_shapes(*several) == expected


@pytest.mark.parametrize(
    ("several", "expected"),
    [
        ([(None, 3), (4, 1)], (4, 3)),
        ([(None, 3), (1, 3)], (None, 3)),
        ([(None, 3), (None, 1)], (None, 3)),
        ([(None,), ()], (None,)),
        ([(2, None), (None, 3)], (2, 3)),
        ([(None, 1, 3), (4, 1)], (None, 4, 3)),
        ([(None,), (0,)], (0,)),
    ],
)
def test_unknown_sizes_go_with_any(several: list[Any], expected: tuple[int | None, ...]) -> None:
    assert broadcast_shapes(*several) == expected


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ShapeError) as caught:
        broadcast_shapes((4, 3), (None, 1), (2, 3))
    assert str(caught.value) == (
        "shapes (4, 3), (None, 1), (2, 3) do not broadcast: axis -2 has sizes 4 and 2\n"
        "  hint   make the sizes equal, or one of them 1"
    )


def test_two_unknown_axes_must_be_fed_equal_sizes() -> None:
    declared = [Spec((None, 3), "float32"), Spec((None, 1), "float32"), Spec((3,), "float32")]
    check_unknown_axes(declared, [Spec((4, 3), "float32"), Spec((4, 1), "float32"), declared[2]])
    with pytest.raises(ShapeError) as caught:
        check_unknown_axes(
            declared, [Spec((4, 3), "float32"), Spec((1, 1), "float32"), declared[2]]
        )
    assert str(caught.value) == (
        "two axes of unknown size meet in axis -2 and were fed 1 and 4\n"
        "  hint   feed equal sizes, or declare the axis that is stretched with size 1"
    )


def test_dtypes_must_be_one() -> None:
    narrow, wide = Spec((2,), "float32"), Spec((), "float64")
    assert same_dtype(narrow, narrow) == np.float32
    with pytest.raises(DTypeError) as caught:
        same_dtype(narrow, wide, narrow)
    assert str(caught.value) == (
        "dtypes differ, float32 and float64\n"
        '  hint   convert one of them: ms.ops.Cast(x, dtype="float32")'
    )


def test_floating_dtypes_only() -> None:
    assert floating_dtype(Spec((), "float16")) == np.float16
    with pytest.raises(DTypeError) as caught:
        floating_dtype(Spec((), "int32"))
    assert str(caught.value) == (
        "floating-point values are needed, int32 came\n"
        '  hint   convert it: ms.ops.Cast(x, dtype="float32")'
    )


@pytest.mark.parametrize(
    ("axis", "ndim", "expected"), [(0, 1, 0), (-1, 3, 2), (2, 3, 2), (-3, 3, 0)]
)
def test_axes_are_counted_from_the_front(axis: int, ndim: int, expected: int) -> None:
    assert normalize_axis(axis, ndim) == expected


@pytest.mark.parametrize(
    ("axis", "ndim", "message"),
    [
        (3, 3, "axis 3 does not exist in 3 dimensions\n  hint   give -3 <= axis < 3"),
        (-2, 1, "axis -2 does not exist in 1 dimensions\n  hint   give -1 <= axis < 1"),
        (0, 0, "axis 0 does not exist in 0 dimensions\n  hint   a scalar has no axis"),
    ],
)
def test_axes_that_do_not_exist(axis: int, ndim: int, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        normalize_axis(axis, ndim)
    assert str(caught.value) == message


def test_several_axes() -> None:
    assert normalize_axes(None, 2) == (0, 1)
    assert normalize_axes(-1, 3) == normalize_axes(np.int64(2), 3) == (2,)
    assert type(normalize_axes(np.int64(2), 3)[0]) is int
    assert normalize_axes([2, -3], 3) == (0, 2)
    assert normalize_axes((), 3) == ()
    with pytest.raises(ShapeError) as caught:
        normalize_axes((0, -2), 2)
    assert str(caught.value) == "an axis is named twice in (0, -2)\n  hint   name each axis once"
