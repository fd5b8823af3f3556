"""Sparse gradients of embeddings: ids and rows as nodes; optimizers change those rows alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow.errors import GradientError
from matrixslow.optimizers import (
    SGD,
    Adadelta,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    Nadam,
    Nesterov,
    Optimizer,
    RMSProp,
)

ROWS, FEATURES, STEPS = 40, 3, 100

TABLE = np.random.default_rng(1).normal(size=(ROWS, FEATURES))

TORCH: dict[str, tuple[Callable[[], Optimizer], Callable[[Any], torch.optim.Optimizer]]] = {
    "SGD": (lambda: SGD(0.5), lambda p: torch.optim.SGD(p, 0.5)),
    "AdaGrad": (lambda: AdaGrad(0.1), lambda p: torch.optim.Adagrad(p, 0.1)),
    # torch adds epsilon before it corrects the bias, as Adam's paper does at the end of section 2.
    "Adam": (
        lambda: Adam(0.02, betas=(0.8, 0.95), epsilon=1e-15),
        lambda p: torch.optim.SparseAdam(p, 0.02, betas=(0.8, 0.95), eps=1e-15),
    ),
}

OPTIMIZERS = {
    f"{type(optimizer).__name__} {number}": optimizer
    for number, optimizer in enumerate(
        (
            SGD(0.5, weight_decay=0.1),
            SGD(0.5, clip_norm=0.1),
            SGD(0.5, clip_value=0.01),
            Momentum(0.1),
            Nesterov(0.1),
            AdaGrad(0.1, weight_decay=0.1),
            RMSProp(0.01, momentum=0.9, centered=True),
            Adam(0.01, clip_norm=0.1),
            AdamW(0.01),
            Adadelta(),
            Nadam(0.01),
            Lion(0.01, weight_decay=0.1),
        )
    )
}

EXACT = ("SGD 1", "SGD 2", "AdaGrad")
"""Those that leave a row of slope zero as it is."""


def batches(*, every: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and targets; every batch has an id twice, and with `every` all rows as well."""
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        ids = rng.integers(0, ROWS, (4, 2))
        ids[0, 0] = ids[2, 1]
        if every:
            ids = np.concatenate([ids, np.arange(ROWS).reshape(-1, 2)])
        yield ids, rng.normal(size=(len(ids), FEATURES))


class Model:
    """loss = mean((tanh(w[a] + w[b]) - y)**2)."""

    def __init__(self, *, sparse: bool, dtype: str = "float64") -> None:
        with ms.Graph() as self.graph:
            self.ids = ms.Input((None, 2), dtype="int64", name="ids")
            self.y = ms.Input((None, FEATURES), dtype=dtype, name="y")
            self.table = ms.Variable(TABLE, dtype=dtype, name="table")
            rows = ms.ops.Embedding(self.table, self.ids, sparse=sparse)
            error = ms.ops.Tanh(ms.ops.ReduceSum(rows, axes=1, keepdims=False)) - self.y
            self.loss = ms.ops.ReduceMean(error * error, keepdims=False)

    def step(self, optimizer: Optimizer, *, compiled: bool = False) -> ms.Function:
        updates = optimizer.minimize(self.loss)
        return ms.function([self.ids, self.y], self.loss, updates=updates, compile=compiled)

    def train(self, optimizer: Optimizer, *, compiled: bool, every: bool = False) -> np.ndarray:
        step = self.step(optimizer, compiled=compiled)
        for ids, y in batches(every=every):
            step(ids, y.astype(self.y.dtype))
        table: np.ndarray = self.table.value
        return table


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", TORCH)
def test_a_hundred_steps_beside_torch(name: str, compiled: bool) -> None:
    ours, theirs = TORCH[name]
    found = Model(sparse=True).train(ours(), compiled=compiled)
    embedding = torch.nn.Embedding.from_pretrained(torch.tensor(TABLE), freeze=False, sparse=True)
    optimizer = theirs(embedding.parameters())
    with torch.sparse.check_sparse_tensor_invariants(enable=True):
        for ids, y in batches():
            optimizer.zero_grad()
            error = torch.tanh(embedding(torch.tensor(ids)).sum(1)) - torch.tensor(y)
            (error * error).mean().backward()
            optimizer.step()
    expected = embedding.weight.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", [*OPTIMIZERS, "AdaGrad"])
def test_as_dense_where_every_row_is_looked_up(name: str, compiled: bool) -> None:
    optimizer = OPTIMIZERS.get(name) or AdaGrad(0.1)
    every = name not in EXACT
    sparse = Model(sparse=True).train(optimizer, compiled=compiled, every=every)
    dense = Model(sparse=False).train(optimizer, compiled=False, every=every)
    np.testing.assert_allclose(sparse, dense, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_other_rows_and_their_state_stay(name: str, compiled: bool) -> None:
    model = Model(sparse=True)
    step = model.step(OPTIMIZERS[name], compiled=compiled)
    tables = [x for x in model.graph.variables if x.shape == (ROWS, FEATURES)]
    generator = batches()
    for ids, y in (next(generator) for _ in range(3)):
        before = [x.value.copy() for x in tables]
        step(ids, y)
        others = np.setdiff1d(np.arange(ROWS), ids)
        for table, old in zip(tables, before, strict=True):
            np.testing.assert_array_equal(table.value[others], old[others])
            assert (table.value[ids] != old[ids]).any()


@pytest.mark.parametrize("compiled", [False, True])
def test_merged_rows(compiled: bool) -> None:
    model = Model(sparse=True)
    (slope,) = ms.gradients(model.loss, [model.table])
    ids, y = next(batches())
    f = ms.function(
        [model.ids, model.y], [slope, *ms.merged_rows(slope)], training=True, compile=compiled
    )
    dense, distinct, rows = f(ids, y)
    known = np.unique(ids)
    assert len(known) < ids.size
    np.testing.assert_array_equal(distinct, [*known, *[-1] * (ids.size - len(known))])
    np.testing.assert_allclose(rows[: len(known)], dense[known], rtol=1e-12)
    np.testing.assert_array_equal(rows[len(known) :], 0.0)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_table_that_is_looked_up_twice_keeps_a_sparse_slope(compiled: bool) -> None:
    with ms.Graph() as graph:
        users = ms.Input((None,), dtype="int64", name="users")
        items = ms.Input((None, 3), dtype="int64", name="items")
        table = ms.Variable(TABLE, name="table")
        one = ms.ops.Embedding(table, users, sparse=True)
        three = ms.ops.Embedding(table, items, sparse=True)
        loss = ms.ops.ReduceSum(one * ms.ops.ReduceSum(three, axes=1, keepdims=False))
    (slope,) = ms.gradients(loss, [table])
    ids, rows = ms.merged_rows(slope)
    f = ms.function([users, items], [slope, ids, rows], training=True, compile=compiled)
    dense, distinct, merged = f([5, 2], [[5, 7, 5], [0, 2, 9]])
    np.testing.assert_array_equal(distinct, [0, 2, 5, 7, 9, -1, -1, -1])
    np.testing.assert_allclose(merged[:5], dense[[0, 2, 5, 7, 9]], rtol=1e-6)
    assert graph["table"] is table


def test_a_slope_is_dense_where_the_table_is_used_in_another_way() -> None:
    with ms.Graph():
        table = ms.Variable(TABLE, name="table")
        read = ms.ops.Embedding(table, [1, 2], sparse=True)
        penalty = ms.ops.ReduceSumSquare(table)
        (slope,) = ms.gradients(ms.ops.ReduceSum(read) + penalty, [table])
        (dense,) = ms.gradients(ms.ops.ReduceSum(ms.ops.Embedding(table, [1])), [table])
    for x in (slope, dense):
        with pytest.raises(GradientError) as refusal:
            ms.merged_rows(x)
        assert str(refusal.value) == (
            f"merged_rows: the gradient {x!r} is not sparse\n"
            "  hint   embed with sparse=True, and use the table for nothing else"
        )


def test_batches_of_sparse_slopes_are_not_accumulated() -> None:
    model = Model(sparse=True)
    text = (
        "accumulate=2: the slope of Variable 'table' (40, 3) float64 is sparse, its sum over "
        "batches is not\n  hint   feed larger batches, or embed with sparse=False"
    )
    with pytest.raises(GradientError, match=re.escape(text)):
        ms.trainer.Trainer(model.loss, SGD(0.1), accumulate=2)


def test_layers_pass_it_on() -> None:
    with ms.Graph() as graph:
        ids = ms.Input((None, 2), dtype="int64", name="ids")
        words = ms.layers.embedding(ids, 9, 2, sparse=True)
        score = ms.layers.factorization_machine(ids, 9, 2, sparse=True)
        loss = ms.ops.ReduceSum(words) + ms.ops.ReduceSum(score)
    tables = [x for x in graph.variables if x.ndim == 2]
    assert len(tables) == 3
    for slope in ms.gradients(loss, tables):
        assert slope is not None
        ms.merged_rows(slope)


def test_what_does_not_fit_is_refused() -> None:
    with ms.Graph() as graph:
        ids = ms.Input((None,), dtype="int64", name="ids")
        distinct = ms.ops.DistinctIds(ids, rows=5, name="distinct")
        ranks = ms.ops.IdRanks([1, 3], ms.Constant([1, 2], name="others"), name="ranks")
        with pytest.raises(ms.errors.ShapeError) as refusal:
            ms.ops.ReplacedRows(TABLE, distinct, np.ones((2, 4)), name="y")
    assert str(refusal.value).startswith(
        f"ReplacedRows 'y': table ({ROWS}, 3), ids (None,) and rows (2, 4) do not fit\n"
    )
    assert "hint   give a list of ids, and a row of the table's width for each" in str(
        refusal.value
    )
    with pytest.raises(ms.errors.FeedError, match="values 0 to 4 are allowed, 5 was fed"):
        graph.forward(distinct, {ids: [0, 5]})
    with pytest.raises(ms.errors.RunError, match="an id is not among the distinct ones"):
        graph.forward(ranks)


def test_ids_that_are_reshaped_or_joined_are_held_to_the_limits_too() -> None:
    with ms.Graph() as graph:
        ids = ms.Input((None,), dtype="int64", name="ids")
        joined = ms.ops.Concat(ms.ops.Reshape(ids, shape=(-1,)), [1], axis=0)
        y = ms.ops.Embedding(TABLE, joined, name="y")
    with pytest.raises(ms.errors.FeedError, match="values 0 to 39 are allowed, 40 was fed"):
        graph.forward(y, {ids: [40]})


def works(rows: int) -> list[str]:
    """How much each kernel of a compiled step has to do."""
    with ms.Graph():
        ids = ms.Input((8, 2), dtype="int64", name="ids")
        read = ms.layers.embedding(ids, rows, 4, sparse=True)
        loss = ms.ops.ReduceSum(read * read)
        step = ms.function([ids], loss, updates=Adam(0.1).minimize(loss))
    step(np.arange(16).reshape(8, 2))
    plan = step.program.explain()
    for state in ("table", "table/mean", "table/square"):
        assert re.search(rf"^update \S*{state} in place by", plan, re.MULTILINE), plan
    assert "by compute" not in plan
    return re.findall(r"work ([\d,]+)\]", plan)


def test_a_compiled_step_does_the_same_whatever_the_size_of_the_table() -> None:
    assert works(3_000) == works(1_000_000)


def in_rows(graph: ms.Graph, table: ms.Node, ids: ms.Node) -> tuple[ms.Node, ms.Node]:
    """Distinct ids, and a table whose rows at them are doubled."""
    distinct = ms.ops.DistinctIds(ids, rows=ROWS)
    rows = ms.ops.Embedding(table, ms.ops.Max(distinct, 0))
    return distinct, ms.ops.ReplacedRows(table, distinct, 2.0 * rows)


@pytest.mark.parametrize("compiled", [False, True])
def test_rows_replaced_in_other_variables_and_beside_the_old_value(compiled: bool) -> None:
    with ms.Graph() as graph:
        ids = ms.Input((4,), dtype="int64", name="ids")
        a = ms.Variable(TABLE, dtype="float64", name="a")
        b = ms.Variable(TABLE + 1.0, dtype="float64", name="b")
        c = ms.Variable(TABLE + 2.0, dtype="float64", name="c")
        _, new_a = in_rows(graph, a, ids)
        _, new_b = in_rows(graph, a + 1.0, ids)
        _, new_c = in_rows(graph, b, ids)
        both = a * new_a
    step = ms.function(
        [ids], [both, new_a], updates=[(a, new_a), (b, new_b), (c, new_c)], compile=compiled
    )
    found, shown = step([3, 7, 3, 0])
    doubled = np.ones((ROWS, 1))
    doubled[[0, 3, 7]] = 2.0
    np.testing.assert_array_equal(found, TABLE * TABLE * doubled)
    for variable, expected in ((a, TABLE), (b, TABLE + 1.0), (c, TABLE + 1.0)):
        np.testing.assert_array_equal(variable.value, expected * doubled)
    np.testing.assert_array_equal(shown, a.value)


@pytest.mark.parametrize("compiled", [False, True])
def test_ids_that_are_computed_are_checked_when_they_run(compiled: bool) -> None:
    with ms.Graph():
        ids = ms.Input((2,), dtype="int64", name="ids")
        table = ms.Variable(TABLE, name="table")
        loss = ms.ops.ReduceSum(ms.ops.Embedding(table, ids * 2, sparse=True))
        step = ms.function([ids], loss, updates=SGD(1.0).minimize(loss), compile=compiled)
    step([1, 1])
    np.testing.assert_allclose(table.value[2], TABLE[2] - 2.0, rtol=1e-6)
    np.testing.assert_array_equal(table.value[4:], TABLE[4:].astype("float32"))
    before = table.value.copy()
    with pytest.raises(ms.errors.RunError, match="index 40 is out of range"):
        step([1, 20])
    np.testing.assert_array_equal(table.value, before)


def test_ids_that_are_computed_are_not_taken_for_checked_ones_of_their_kind() -> None:
    with ms.Graph():
        ids = ms.Input((2,), dtype="int64", name="ids")
        table = ms.Variable(TABLE, name="table")
        both = ms.ops.Embedding(table, ids) + ms.ops.Embedding(table, ids * 2)
    step = ms.function([ids], both)
    step([1, 19])
    with pytest.raises(ms.errors.RunError, match="index 40 is out of range"):
        step([1, 20])


def test_constants_out_of_range_are_refused_by_compiled_code_too() -> None:
    for build in (ms.ops.Embedding, ms.ops.Gather):
        with ms.Graph():
            y = build(ms.Variable(TABLE), [0, ROWS])
        with pytest.raises(ms.errors.RunError, match=f"index {ROWS} is out of range"):
            ms.function([], y)()


def test_columns_of_ids_are_checked_each_for_its_own_table() -> None:
    with ms.Graph():
        ids = ms.Input((None, 2), dtype="int64", name="ids")
        few = ms.ops.Embedding(ms.Variable(TABLE[:3], name="few"), ids[:, 0], sparse=True)
        many = ms.ops.Embedding(ms.Variable(TABLE, name="many"), ids[:, 1], sparse=True)
        loss = ms.ops.ReduceSum(few * many)
        step = ms.function([ids], loss, updates=Adam(0.1).minimize(loss))
    step([[2, 39], [0, 3]])
    assert "by compute" not in step.program.explain()
    for wrong in ([3, 3], [0, 40]):
        with pytest.raises(ms.errors.FeedError, match=f"{max(wrong)} was fed"):
            step([wrong])


def test_ids_of_one_column_are_looked_up_with_their_axis_and_without() -> None:
    with ms.Graph():
        ids = ms.Input((None, 1), dtype="int64", name="ids")
        first, second = ms.Variable(TABLE), ms.Variable(TABLE)
        y = ms.ops.Embedding(first, ids[:, 0], sparse=True)
        loss = ms.ops.ReduceSum(y * ms.ops.Embedding(second, ids, sparse=True)[:, 0])
        step = ms.function([ids], loss, updates=SGD(0.1).minimize(loss))
    step([[7], [2], [7]])
    assert "by compute" not in step.program.explain()
    wanted = TABLE.copy()
    wanted[[7, 2]] -= 0.1 * np.array([[2], [1]]) * TABLE[[7, 2]]
    for table in (first, second):
        np.testing.assert_allclose(table.value, wanted, rtol=1e-6)


def test_the_first_ids_of_one_sample_are_sorted_without_the_others() -> None:
    with ms.Graph():
        ids = ms.Input((None, 5), dtype="int64", name="ids")
        table = ms.Variable(TABLE)
        loss = ms.ops.ReduceSum(ms.ops.Embedding(table, ids[:, 0], sparse=True))
        step = ms.function([ids], loss, updates=SGD(1.0).minimize(loss))
    step([[9, 3, 1, 8, 2]])
    assert "by compute" not in step.program.explain()
    wanted = TABLE.copy()
    wanted[9] -= 1
    np.testing.assert_allclose(table.value, wanted, rtol=1e-6)


def test_the_ids_of_a_slope_are_checked_too() -> None:
    with ms.Graph():
        ids = ms.Input((2,), dtype="int64", name="ids")
        slope = ms.ops.EmbeddingGradient(TABLE, ids, np.ones((2, FEATURES)))
    with pytest.raises(ms.errors.FeedError, match="values 0 to 39 are allowed, 40 was fed"):
        ms.function([ids], slope)([1, 40])
