"""Reshaping, joining, slicing and padding: sizes that are fed, edges, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.errors import ArgumentError, MatrixSlowError, ShapeError
from tests.operators import numbers

Build = Callable[[ms.Node], ms.Node]


def run(node: ms.Node, feeds: dict[ms.Node, Any]) -> np.ndarray[Any, Any]:
    return node.graph.forward(node, feeds)


# ---- sizes that are fed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "target", "expected"),
    [
        ((None, 4, 5), (0, -1), (None, 20)),
        ((None, 4, 5), (-1, 20), (None, 20)),
        ((None, 4, 5), (0, 2, 2, 5), (None, 2, 2, 5)),
        ((None, None, 6), (0, 0, 2, 3), (None, None, 2, 3)),
        ((None, 4), (6, 2), (6, 2)),
        ((2, 3), (-1,), (6,)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_reshape_infers(
    graph: ms.Graph,
    shape: tuple[int | None, ...],
    target: tuple[int, ...],
    expected: tuple[int | None, ...],
) -> None:
    y = ms.ops.Reshape(ms.Input(shape), shape=target)
    assert y.shape == expected
    assert y.attributes == {"shape": target}


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_a_fed_axis_of_any_size_is_reshaped_and_flattened(graph: ms.Graph, samples: int) -> None:
    x = ms.Input((None, 4, 5))
    for y in (
        ms.ops.Reshape(x, shape=(0, -1)),
        ms.ops.Reshape(x, shape=(-1, 20)),
        ms.ops.Flatten(x),
    ):
        assert run(y, {x: np.ones((samples, 4, 5))}).shape == (samples, 20)


def test_squeeze_leaves_a_fed_axis_alone(graph: ms.Graph) -> None:
    x = ms.Input((None, 1, 3))
    y = ms.ops.Squeeze(x)
    assert y.shape == (None, 3)
    assert run(y, {x: np.ones((1, 1, 3))}).shape == (1, 3)


@pytest.mark.parametrize(("first", "second"), [(2, 3), (0, 1), (1, 0), (0, 0)])
def test_concat_and_its_gradient_along_fed_axes(graph: ms.Graph, first: int, second: int) -> None:
    a, b = (ms.Input((None, 2), dtype="float64") for _ in range(2))
    y = ms.ops.Concat(a, b, a, axis=0)
    assert y.shape == (None, 2)
    weights = ms.Input((None, 2), dtype="float64")
    slopes = ms.gradients(y, [a, b], upstream=weights)
    given = numbers(2 * first + second, 2)
    feeds = {a: np.zeros((first, 2)), b: np.ones((second, 2)), weights: given}
    np.testing.assert_array_equal(run(y, feeds)[first : first + second], 1.0)
    by_a, by_b = graph.forward(slopes, feeds)
    np.testing.assert_array_equal(by_a, given[:first] + given[first + second :])
    np.testing.assert_array_equal(by_b, given[first : first + second])


def test_concat_takes_the_size_that_one_input_knows(graph: ms.Graph) -> None:
    assert ms.ops.Concat(ms.Input((None, 2)), ms.Input((4, 3)), axis=1).shape == (4, 5)


def test_concat_that_is_fed_unequal_sizes_is_refused(graph: ms.Graph) -> None:
    a, b = ms.Input((None, 2), name="a"), ms.Input((None, 3), name="b")
    y = ms.ops.Concat(a, b, axis=1, name="y")
    with pytest.raises(ShapeError) as caught:
        run(y, {a: np.ones((4, 2)), b: np.ones((5, 3))})
    assert caught.value.rule == "Concat 'y': sizes on axis 0 differ, 4 and 5"
    assert caught.value.rows[-1] == "fed    a (4, 2) float32  b (5, 3) float32"


# ---- against NumPy -------------------------------------------------------------------------------

BOUNDS = st.one_of(st.none(), st.integers(-7, 7))


@given(
    size=st.integers(0, 5), start=BOUNDS, stop=BOUNDS, step=st.integers(-3, 3).filter(bool).map(int)
)
def test_slices_mean_what_they_mean_for_arrays(
    size: int, start: int | None, stop: int | None, step: int
) -> None:
    array = numbers(2, size)
    with ms.Graph() as graph:
        x = ms.Input((2, None), dtype="float64")
        y = x[:, start:stop:step]
        known = ms.Constant(array, dtype="float64")[:, start:stop:step]
    expected = array[:, start:stop:step]
    np.testing.assert_array_equal(graph.forward(y, {x: array}), expected)
    assert known.shape == expected.shape


@given(
    before=st.integers(0, 3),
    behind=st.integers(0, 3),
    mode=st.sampled_from(["constant", "reflect", "edge", "wrap"]),
)
def test_padding_is_numpys(before: int, behind: int, mode: str) -> None:
    array = numbers(2, 4)
    with ms.Graph() as graph:
        x = ms.Input((None, 4), dtype="float64")
        y = ms.ops.Pad(x, pads=(0, before, 0, behind), mode=mode)
    assert y.shape == (None, 4 + before + behind)
    padded = np.pad(array, ((0, 0), (before, behind)), mode=mode)
    np.testing.assert_array_equal(graph.forward(y, {x: array}), padded)
    np.testing.assert_array_equal(graph.forward(y, {x: array[:0]}), padded[:0])


def test_integers_are_padded_with_integers(graph: ms.Graph) -> None:
    y = ms.ops.Pad(np.array([1, 2]), pads=(1, 0), constant_value=7)
    np.testing.assert_array_equal(graph.forward(y), [7, 1, 2])


def test_the_gradient_of_an_edge_takes_all_its_copies(graph: ms.Graph) -> None:
    x = ms.Input((3,))
    y = ms.ops.Pad(x, pads=(2, 1), mode="edge")
    (slope,) = ms.gradients(ms.ops.ReduceSum(y), [x])
    np.testing.assert_array_equal(run(slope, {x: np.zeros(3)}), [3.0, 1.0, 2.0])


def test_split_gives_named_pieces(graph: ms.Graph) -> None:
    pieces = ms.ops.Split(ms.Input((7,)), num_outputs=3, name="piece")
    assert [(piece.name, piece.shape) for piece in pieces] == [
        ("piece_0", (3,)),
        ("piece_1", (3,)),
        ("piece_2", (1,)),
    ]


# ---- what is refused -----------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Build, type[MatrixSlowError], str, str]] = {
    "not integers": (
        lambda x: ms.ops.Reshape(x, shape=(1.5, 2)),
        ArgumentError,
        "Reshape: shape=(1.5, 2) is not made of integers",
        "give shape as an integer or a tuple of integers",
    ),
    "two sizes to work out": (
        lambda x: ms.ops.Reshape(x, shape=(-1, -1)),
        ArgumentError,
        "Reshape: shape=(-1, -1) is not a shape",
        "give sizes, 0 to copy an axis of x, and at most one -1 for what is left",
    ),
    "too few elements": (
        lambda x: ms.ops.Reshape(x[0], shape=(3, 5)),
        ShapeError,
        "Reshape 'reshape': the elements of (3, 4, 1) do not fit the shape (3, 5)",
        "reshape keeps the number of elements: give -1 for the size that follows",
    ),
    "no whole number of rows": (
        lambda x: ms.ops.Reshape(x[0], shape=(5, -1)),
        ShapeError,
        "Reshape 'reshape': the elements of (3, 4, 1) do not fit the shape (5, -1)",
        "reshape keeps the number of elements: give -1 for the size that follows",
    ),
    "never enough, however many samples": (
        lambda x: ms.ops.Reshape(x, shape=(5, 2)),
        ShapeError,
        "Reshape 'reshape': the elements of (None, 3, 4, 1) do not fit the shape (5, 2)",
        "reshape keeps the number of elements: give -1 for the size that follows",
    ),
    "no axis to copy": (
        lambda x: ms.ops.Reshape(x, shape=(0, 1, 1, 12, 0)),
        ShapeError,
        "Reshape 'reshape': (0, 1, 1, 12, 0) copies axis 4, which (None, 3, 4, 1) does not have",
        "0 copies the size of the same axis of x",
    ),
    "axes that are not all": (
        lambda x: ms.ops.Transpose(x, perm=(0, 1)),
        ShapeError,
        "Transpose 'transpose': perm=(0, 1) orders 2 axes, there are 4",
        "name every axis once",
    ),
    "an axis twice": (
        lambda x: ms.ops.Transpose(x, perm=(0, 1, 1, 2)),
        ShapeError,
        "Transpose 'transpose': an axis is named twice in (0, 1, 1, 2)",
        "name each axis once",
    ),
    "an axis that is full": (
        lambda x: ms.ops.Squeeze(x, axes=1),
        ShapeError,
        "Squeeze 'squeeze': axis 1 of (None, 3, 4, 1) has size 3 and cannot be dropped",
        "only axes of size 1 can; to pick one entry, index: x[:, 0]",
    ),
    "repeats for some axes": (
        lambda x: ms.ops.Tile(x, repeats=(2, 2)),
        ShapeError,
        "Tile 'tile': repeats=(2, 2) does not fit the 4 axes of (None, 3, 4, 1)",
        "give how often x is repeated, 1 or more, for each axis",
    ),
    "nothing to join": (
        lambda x: ms.ops.Concat(axis=0),
        ArgumentError,
        "Concat: nothing to join",
        "give at least one node",
    ),
    "unequal numbers of axes": (
        lambda x: ms.ops.Concat(x, x[0], axis=0),
        ShapeError,
        "Concat 'concat': the numbers of axes differ, (None, 3, 4, 1) and (3, 4, 1)",
        "give all as many axes: ms.ops.Unsqueeze(x, axes=0) adds one",
    ),
    "unequal sizes": (
        lambda x: ms.ops.Concat(x, x[:, :2], axis=0),
        ShapeError,
        "Concat 'concat': sizes on axis 1 differ, 3 and 2",
        "only axis 0, along which they are joined, may differ",
    ),
    "both ways to split": (
        lambda x: ms.ops.Split(x, axis=1, sizes=(1, 2), num_outputs=2)[0],
        ArgumentError,
        "Split: the pieces are told by their sizes or by their number",
        "give sizes=(2, 3) or num_outputs=2",
    ),
    "a fed axis to split": (
        lambda x: ms.ops.Split(x, num_outputs=2)[0],
        ShapeError,
        "Split: axis 0 of (None, 3, 4, 1) has a size that is fed",
        "slice it: x[:2], x[2:]",
    ),
    "too many pieces": (
        lambda x: ms.ops.Split(x, axis=2, num_outputs=6)[0],
        ShapeError,
        "Split: pieces of (1, 1, 1, 1, 1, -1) do not make up axis 2 of (None, 3, 4, 1)",
        "give sizes that add up to 4",
    ),
    "pieces that leave a rest": (
        lambda x: ms.ops.Split(x, axis=2, sizes=(1, 2))[0],
        ShapeError,
        "Split: pieces of (1, 2) do not make up axis 2 of (None, 3, 4, 1)",
        "give sizes that add up to 4",
    ),
    "starts without ends": (
        lambda x: ms.ops.Slice(x, starts=(0, 1), ends=2),
        ArgumentError,
        "Slice: 2 starts, 1 ends, 2 axes and 2 steps came",
        "give one of each for each axis",
    ),
    "a step that stands still": (
        lambda x: ms.ops.Slice(x, starts=0, ends=2, steps=0),
        ArgumentError,
        "Slice: steps=(0,) stands still",
        "give steps other than 0",
    ),
    "an axis sliced twice": (
        lambda x: ms.ops.Slice(x, starts=(0, 0), ends=(2, 2), axes=(1, -3)),
        ShapeError,
        "Slice 'slice': axis 1 is sliced twice in axes=(1, -3)",
        "name each axis once",
    ),
    "pads for some axes": (
        lambda x: ms.ops.Pad(x, pads=(1, 1)),
        ShapeError,
        "Pad 'pad': pads=(1, 1) does not fit the 4 axes of (None, 3, 4, 1)",
        "give how many elements come before, for each axis, then how many behind, for each axis; "
        "to cut elements off, slice",
    ),
    "a mirror that is too short": (
        lambda x: ms.ops.Pad(x, pads=(0, 3, 0, 0, 0, 0, 0, 0), mode="reflect"),
        ShapeError,
        "Pad 'pad': axis 1 of (None, 3, 4, 1) cannot be padded by 3 elements in mode 'reflect'",
        "at most 2 elements can come from there",
    ),
    "a mode that does not exist": (
        lambda x: ms.ops.Pad(x, pads=(0,) * 8, mode="mirror"),
        ArgumentError,
        "Pad: mode='mirror' is unknown",
        "one of 'constant', 'reflect', 'edge', 'wrap'",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, rule, hint = REFUSALS[what]
    x = ms.Input((None, 3, 4, 1), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)


def test_a_refusal_shows_what_came_and_where(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), name="x")
    with pytest.raises(ShapeError) as caught:
        ms.ops.Squeeze(x, axes=1, name="narrow")
    assert str(caught.value) == (
        "Squeeze 'narrow': axis 1 of (None, 3) has size 3 and cannot be dropped\n"
        f"  x      x  Input  (None, 3)  float32  {x.site}\n"
        f"  built  test_ops_shaping.py:{x.site.line + 2}   "
        'ms.ops.Squeeze(x, axes=1, name="narrow")\n'
        "  hint   only axes of size 1 can; to pick one entry, index: x[:, 0]"
    )
