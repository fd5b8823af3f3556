"""Picking by position: what is out of range, sparse gradients of tables, and node[...]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matrixslow as ms
from matrixslow.errors import (
    ArgumentError,
    DTypeError,
    FeedError,
    MatrixSlowError,
    RunError,
    ShapeError,
)
from tests.operators import numbers

X = numbers(3, 4)

# ---- out of range --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [3, -4])
@pytest.mark.parametrize(
    "build",
    [
        lambda x, i: ms.ops.Gather(x, i, name="y"),
        lambda x, i: ms.ops.GatherElements(x, i, name="y"),
        lambda x, i: ms.ops.ScatterElements(x, i, np.zeros((1, 4)), name="y"),
    ],
)
def test_an_index_out_of_range_is_refused_by_name(
    graph: ms.Graph, build: Callable[..., ms.Node], wrong: int
) -> None:
    x, indices = ms.Input((3, 4)), ms.Input((1, 4), dtype="int64")
    y = build(x, indices)
    with pytest.raises(RunError) as caught:
        graph.forward(y, {x: X, indices: [[0, 1, wrong, 2]]})
    assert caught.value.rule == (
        f"{type(y).__name__} 'y': IndexError: index {wrong} is out of range, -3 <= index < 3"
    )


def test_ids_that_are_fed_are_checked_before_anything_runs(graph: ms.Graph) -> None:
    ids = ms.Input((None,), dtype="int64", name="ids")
    y = ms.ops.Embedding(ms.Variable(X, name="table"), ids, name="y")
    for wrong in (3, -1):
        with pytest.raises(FeedError) as caught:
            graph.forward(y, {ids: [0, wrong]})
        assert caught.value.rule == (
            f"Input 'ids' ({ids.site}): values 0 to 2 are allowed, {wrong} was fed"
        )
        assert caught.value.hint == (
            f"Embedding 'y' ({y.site}) has 3 classes or rows: count from 0, or give it more"
        )


def test_ids_that_are_computed_are_checked_when_they_are_used(graph: ms.Graph) -> None:
    y = ms.ops.Embedding(X, ms.Constant([0, 4]) - 5, name="y")
    with pytest.raises(RunError) as caught:
        graph.forward(y)
    assert caught.value.rule == (
        "Embedding 'y': IndexError: index -5 is out of range, 0 <= index < 3"
    )


# ---- gradients of tables -------------------------------------------------------------------------


def test_the_gradient_of_a_table_keeps_ids_and_rows_apart(graph: ms.Graph) -> None:
    table, ids = ms.Variable(X, dtype="float64"), ms.Input((None,), dtype="int32")
    weights = ms.Input((None, 4), dtype="float64")
    (slope,) = ms.gradients(ms.ops.Embedding(table, ids), [table], upstream=weights)
    assert isinstance(slope, ms.ops.EmbeddingGradient)
    assert slope.inputs == (table, ids, weights)
    given = numbers(5, 4, seed=1)
    dense = graph.forward(slope, {ids: [2, 0, 2, 2, 0], weights: given})
    np.testing.assert_allclose(dense, [given[1] + given[4], np.zeros(4), given[[0, 2, 3]].sum(0)])


def test_many_entries_are_added_up_right(graph: ms.Graph, rng: np.random.Generator) -> None:
    ids, rows = rng.integers(-50, 50, (30, 20)), rng.normal(size=(2, 30, 20, 3))
    like = ms.Constant(np.zeros((2, 50, 3)), dtype="float64")
    y = ms.ops.GatherGradient(ms.Constant(rows, dtype="float64"), ids, like, axis=1)
    expected = np.zeros((2, 50, 3))
    np.add.at(expected, (slice(None), ids), rows)
    np.testing.assert_allclose(graph.forward(y), expected)


def test_an_empty_table_gives_no_rows(graph: ms.Graph) -> None:
    table, ids = ms.Input((0, 4)), ms.Input((None,), dtype="int64")
    y = ms.ops.Gather(table, ids)
    (slope,) = ms.gradients(ms.ops.ReduceSum(y), [table])
    feeds = {table: np.zeros((0, 4)), ids: np.zeros(0, int)}
    assert [x.shape for x in graph.forward([y, slope], feeds)] == [(0, 4), (0, 4)]


# ---- the foremost --------------------------------------------------------------------------------


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=8), st.booleans(), st.data())
def test_the_foremost_come_in_order_and_ties_too(
    values: list[int], largest: bool, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(values)))
    with ms.Graph() as graph:
        found, indices = ms.ops.TopK(np.array(values), k=k, largest=largest)
    order = sorted(range(len(values)), key=lambda i: -values[i] if largest else values[i])[:k]
    assert graph.forward(indices).tolist() == order
    assert graph.forward(found).tolist() == [values[i] for i in order]


def test_nothing_is_larger_than_nan(graph: ms.Graph) -> None:
    _, indices = ms.ops.TopK([1.0, np.nan, 2.0], k=2)
    assert graph.forward(indices).tolist() == [1, 2]


def test_small_unsigned_indices_have_one_hot_rows(graph: ms.Graph) -> None:
    y = ms.ops.OneHot(np.array([1, 255], dtype="uint8"), depth=300, dtype="int8")
    assert graph.forward(y).argmax(axis=1).tolist() == [1, 255]


# ---- node[...] -----------------------------------------------------------------------------------

ENTRIES = st.one_of(
    st.integers(-2, 1),
    st.slices(2),
    st.none(),
    st.just(...),
)


@given(st.lists(ENTRIES, max_size=5), st.booleans())
def test_an_index_means_what_it_means_for_arrays(entries: list[Any], fed: bool) -> None:
    key = tuple(entries)
    array = numbers(2, 2, 2)
    try:
        expected = array[key]
    except IndexError:
        expected = None
    with ms.Graph() as graph:
        x = ms.Input((None, 2, None) if fed else (2, 2, 2), dtype="float64")
        if expected is None:
            with pytest.raises((ShapeError, ArgumentError)):
                x[key]
            return
        y = x[key]
    np.testing.assert_array_equal(graph.forward(y, {x: array}), expected)
    assert fed or y.shape == expected.shape


def test_an_index_that_changes_nothing_adds_no_node(graph: ms.Graph) -> None:
    x = ms.Input((2, 3))
    assert x[:] is x
    assert x[...] is x


def test_a_node_of_integers_is_an_index(graph: ms.Graph) -> None:
    x, row = ms.Input((3, 4), dtype="float64"), ms.Input((), dtype="int64")
    y = x[row]
    assert y.shape == (4,)
    np.testing.assert_array_equal(graph.forward(y, {x: X, row: -1}), X[-1])


def test_an_array_of_integers_is_an_index(graph: ms.Graph) -> None:
    x = ms.Constant(X)
    for key in ((slice(None), np.array([2, -1, 2])), np.array([[1], [0]]), [1], np.int64(1)):
        np.testing.assert_array_equal(graph.forward(x[key]), X.astype("float32")[key])


def test_the_last_of_a_fed_axis(graph: ms.Graph) -> None:
    x = ms.Input((None,), dtype="float64")
    (slope,) = ms.gradients(x[-1], [x])
    assert graph.forward(x[-1], {x: [1.0, 5.0]}) == 5.0
    np.testing.assert_array_equal(graph.forward(slope, {x: [1.0, 5.0]}), [0.0, 1.0])


# ---- what is refused -----------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Callable[[ms.Node], Any], type[MatrixSlowError], str, str]] = {
    "indices that are not integers": (
        lambda x: ms.ops.Gather(x, x),
        DTypeError,
        "Gather 'gather': indices are integers, float32 came",
        'declare dtype="int64", or convert: ms.ops.Cast(x, dtype="int64")',
    ),
    "one-hot of numbers": (
        lambda x: ms.ops.OneHot(x, depth=3),
        DTypeError,
        "OneHot 'onehot': indices are integers, float32 came",
        'declare dtype="int64", or convert: ms.ops.Cast(x, dtype="int64")',
    ),
    "a table that is a number": (
        lambda x: ms.ops.Embedding(1.0, [0]),
        ShapeError,
        "Embedding 'embedding': a scalar has no rows",
        "give a table of one row for each id",
    ),
    "too many indices on another axis": (
        lambda x: ms.ops.GatherElements(x, np.zeros((1, 5), int)),
        ShapeError,
        "GatherElements 'gatherelements': indices (1, 5) do not fit (None, 4) along axis 0",
        "give as many axes, none of them longer than x's, but for that one",
    ),
    "another number of axes": (
        lambda x: ms.ops.GatherElements(x, [0]),
        ShapeError,
        "GatherElements 'gatherelements': indices (1,) do not fit (None, 4) along axis 0",
        "give as many axes, none of them longer than x's, but for that one",
    ),
    "updates of another shape": (
        lambda x: ms.ops.ScatterElements(x, [[0, 1]], [[1.0]]),
        ShapeError,
        "ScatterElements 'scatterelements': indices (1, 2) and updates (1, 1) differ in shape",
        "give one index for each update",
    ),
    "updates in an unknown way": (
        lambda x: ms.ops.ScatterElements(x, [[0]], [[1.0]], reduction="mean"),
        ArgumentError,
        "ScatterElements: reduction='mean' is unknown",
        "one of 'none', 'add'",
    ),
    "more than there are": (
        lambda x: ms.ops.TopK(x, k=5),
        ShapeError,
        "TopKIndices 'topkindices': the foremost k=5 of 4 elements on axis 1 were asked for",
        "give 1 <= k <= the size of the axis",
    ),
    "an index out of range": (
        lambda x: x[:, 4],
        ShapeError,
        "Input 'x' (None, 4) float32: index 4 is out of range on axis 1",
        "give -4 <= index < 4",
    ),
    "more indices than axes": (
        lambda x: x[0, 0, 0],
        ShapeError,
        "Input 'x' (None, 4) float32: 3 axes are indexed, there are 2",
        "give at most one index for each axis",
    ),
    "... twice": (
        lambda x: x[..., ...],
        ArgumentError,
        "Input 'x' (None, 4) float32: ... comes twice in the index",
        "give it once",
    ),
    "two arrays": (
        lambda x: x[[0], [1]],
        ArgumentError,
        "Input 'x' (None, 4) float32: several axes are indexed at once, not all by slices",
        "index by one array or node of integers at a time: x[0][:, positions]",
    ),
    "a mask": (
        lambda x: x[np.array([True, False])],
        ArgumentError,
        "a mask picks as many elements as it has true entries, which only a run would tell",
        "choose inside the graph with ms.ops.Where(mask, x, y)",
    ),
    "text": (
        lambda x: x["a"],
        ArgumentError,
        "'a' is no index",
        "index by integers, slices, None, ..., or an array or node of integers",
    ),
    "a slice of fractions": (
        lambda x: x[:1.5],
        ArgumentError,
        "Slice: ends=(1.5,) is not made of integers",
        "give ends as an integer or a tuple of integers",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_it_is_refused(graph: ms.Graph, what: str) -> None:
    build, kind, rule, hint = REFUSALS[what]
    x = ms.Input((None, 4), name="x")
    with pytest.raises(kind) as caught:
        build(x)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)
