"""The store: modes, push identity, fencing, membership, sums, rows; all without a socket."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from dist_parts import SHAPES, Site, push, same, slopes, small_model, values

import matrixslow as ms
from matrixslow.dist.message import decode, encode
from matrixslow.dist.options import Options
from matrixslow.dist.recipe import describe
from matrixslow.dist.rows import CHUNK, RowTable, TableSpec
from matrixslow.dist.sharding import RowMap
from matrixslow.dist.store import Store
from matrixslow.errors import (
    ArgumentError,
    Busy,
    ClusterError,
    FeedError,
    Fenced,
    NonFiniteError,
    WorkerLost,
)

OPTIMIZERS = [
    ms.optimizers.SGD(ms.optimizers.WarmUp(ms.optimizers.CosineDecay(0.1, total=9), steps=3)),
    ms.optimizers.Adam(0.1, clip_norm=0.5),
    ms.optimizers.Nadam(0.1),
    ms.optimizers.AdamW(0.1, betas=(0.8, 0.9)),
]


def accumulated(optimizer: ms.optimizers.Optimizer, steps: int, workers: int) -> dict[str, object]:
    """The same steps by an optimizer in one graph, which adds the slopes of the workers itself."""
    with ms.Graph():
        variables = [ms.Variable(x, name=name) for name, x in values().items()]
        inputs = [ms.Input(x.shape, name=f"slopes/{x.name}") for x in variables]
    with ms.Graph():
        operands = [ms.Input((None,)), ms.Input((None,)), ms.Input((), dtype="int64")]
        more = operands[0] + operands[1] * ms.ops.Cast(operands[2], dtype="float32")
    add = ms.function(operands, more)
    updates = optimizer.updates(list(zip(variables, inputs, strict=True)))
    step = ms.function(inputs, [], updates=updates)
    for number in range(1, steps + 1):
        means = []
        for name, shape in SHAPES.items():
            total = np.zeros(shape, "float32").reshape(-1)
            for rank in range(workers):
                total = add(total, slopes(rank, number)[name].reshape(-1), np.int64(5 + rank))
            samples = sum(5 + rank for rank in range(workers))
            means.append(total.reshape(shape) / np.float32(samples))
        step(*means)
    return {x.name: x.value for x in variables}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda x: type(x).__name__)
def test_sync_equals_one_machine_whatever_the_order(optimizer: ms.optimizers.Optimizer) -> None:
    expected = accumulated(optimizer, 2, 3)
    for order in itertools.permutations(range(3)):
        site = Site(small_model(3, optimizer))
        for step in (1, 2):
            futures = [site.store.push(push(rank, step)) for rank in order]
            assert not any(future.done() for future in futures)
            site.store.commit()
            assert [future.result(0) for future in futures] == [step] * 3
        assert same(site.weights(), expected)


def test_the_order_of_the_sum_matters() -> None:
    """The control of the test above: added in order of arrival, the bits differ."""
    arrays = [slopes(rank, 1)["w"] for rank in range(3)]
    sums = {sum(x, np.float32(0)).tobytes() for x in itertools.permutations(arrays)}
    assert len(sums) > 1


def test_one_worker_equals_the_plain_optimizer() -> None:
    site = Site(small_model(1))
    with ms.Graph():
        w = ms.Variable(values()["w"], name="w")
        slope = ms.Input(w.shape)
    step = ms.function([slope], [], updates=ms.optimizers.Adam(0.1).updates([(w, slope)]))
    for number in range(1, 4):
        site.store.push(push(0, number))
        site.store.commit()
        step(slopes(0, number)["w"])
    assert site.weights()["w"].tobytes() == w.value.tobytes()


def test_two_servers_hold_what_one_holds() -> None:
    whole = Site()
    halves = [Site(shard=shard, shards=2) for shard in range(2)]
    for site in (whole, *halves):
        for rank in range(2):
            site.store.push(push(rank, 1, dense=site.blocks(slopes(rank, 1))))
        site.store.commit()
    for name, x in whole.weights().items():
        parts = [half.weights()[name].reshape(-1) for half in halves if name in half.weights()]
        assert np.concatenate(parts).tobytes() == x.tobytes()


def test_sync_waits_for_every_live_worker() -> None:
    site = Site()
    first = site.store.push(push(0, 1))
    site.store.commit()
    assert not first.done()
    second = site.store.push(push(1, 1))
    site.store.commit()
    assert (first.result(0), second.result(0), site.store.version) == (1, 1, 1)


def test_the_first_step_waits_until_all_have_joined() -> None:
    site = Site(small_model(2), joined=[0])
    first = site.store.push(push(0, 1))
    site.store.commit()
    assert not first.done()
    site.join(1)
    site.store.push(push(1, 1))
    site.store.commit()
    assert first.result(0) == 1


@pytest.mark.parametrize("mode", ["sync", "ssp", "async"])
def test_a_push_is_applied_once(mode: str) -> None:
    site = Site(small_model(1), mode=mode)
    first = site.store.push(push(0, 1))
    assert site.store.push(push(0, 1)) is first
    site.store.commit()
    once = site.weights()
    assert site.store.push(push(0, 1)).result(0) == 1
    site.store.commit()
    assert same(site.weights(), once)
    assert site.store.counters.duplicates == 2


def test_one_step_is_in_flight() -> None:
    site = Site()
    site.store.push(push(0, 1))
    with pytest.raises(ArgumentError, match="step 3 came, step 1 comes next"):
        site.store.push(push(1, 3))
    site = Site(mode="async")
    site.store.push(push(0, 1))
    with pytest.raises(Busy, match=r"worker 0: step 1 is not done yet"):
        site.store.push(push(0, 2))


def test_an_older_incarnation_is_fenced() -> None:
    site = Site()
    assert site.join(0) == 2
    with pytest.raises(Fenced) as caught:
        site.store.push(push(0, 1))
    assert str(caught.value) == (
        "worker 0, incarnation 1: incarnation 2 is in\n"
        "  hint   join again; what was not acknowledged was not applied"
    )
    assert site.store.counters.fenced == 1


def test_two_that_join_at_once_are_told_apart() -> None:
    site = Site()
    one, two = site.store.join(0), site.store.join(0)
    site.store.commit()
    assert (one.result(0), two.result(0)) == (2, 3)


def test_what_an_older_incarnation_began_is_begun_again() -> None:
    site = Site()
    old = site.store.push(push(0, 1))
    site.join(0)
    assert isinstance(old.exception(0), Fenced)
    new = site.store.push(push(0, 1, incarnation=2))
    site.store.push(push(1, 1))
    site.store.commit()
    assert new.result(0) == 1


@pytest.mark.parametrize("mode", ["ssp", "async"])
def test_a_step_that_was_applied_stays_so_when_its_worker_joins_again(mode: str) -> None:
    site = Site(small_model(1), mode=mode)
    site.store.push(push(0, 1))
    site.store.join(0)  # in the same commit, made before the step was applied
    site.store.commit()
    once = site.weights()
    site.store.push(push(0, 1, incarnation=2))
    site.store.commit()
    assert same(site.weights(), once)
    assert site.store.members.by_rank[0].step == 1


def test_the_barrier_shrinks_to_the_live() -> None:
    site = Site(small_model(3))
    futures = [site.store.push(push(rank, 1)) for rank in (0, 1)]
    site.clock.now += 9.9
    site.store.heartbeat(0, 1), site.store.heartbeat(1, 1)
    site.store.tick()
    site.store.commit()
    assert not futures[0].done()
    site.clock.now += 0.2
    site.store.tick()
    site.store.commit()
    assert [future.result(0) for future in futures] == [1, 1]
    with pytest.raises(Fenced):
        site.store.push(push(2, 1))
    assert site.join(2) == 2
    assert site.store.members.by_rank[2].step == 1


def test_too_few_workers_is_a_named_error() -> None:
    site = Site(min_workers=2)
    future = site.store.push(push(0, 1))
    pull = site.store.pull(0, 1, 1)
    site.clock.now += 5.0
    site.store.heartbeat(0, 1)
    site.clock.now += 5.2
    site.store.tick()
    site.store.commit()
    for error in (future.exception(0), pull.exception(0)):
        assert isinstance(error, WorkerLost)
        assert str(error) == (
            "worker 1, last seen 10.2 s ago, step 0\n"
            "  hint   start it again; the others go on by themselves once enough are in"
        )
    site.join(1)
    futures = [site.store.push(push(0, 1)), site.store.push(push(1, 1, incarnation=2))]
    site.store.commit()
    assert [x.result(0) for x in futures] == [1, 1]


def test_ssp_holds_back_the_fast() -> None:
    site = Site(mode="ssp", staleness=2)
    for step in (1, 2):
        site.store.push(push(0, step))
        site.store.commit()
        assert site.store.pull(0, 1, step).result(0).version == step
    site.store.push(push(0, 3))
    site.store.commit()
    held = site.store.pull(0, 1, 3)
    assert not held.done()
    site.store.push(push(1, 1))
    site.store.commit()
    assert held.result(0).version == 4


def test_ssp_lets_go_when_the_slow_one_is_given_up() -> None:
    site = Site(mode="ssp", staleness=0)
    site.store.push(push(0, 1))
    site.store.commit()
    held = site.store.pull(0, 1, 1)
    site.clock.now += 6
    site.store.heartbeat(0, 1)
    site.clock.now += 6
    site.store.tick()
    site.store.commit()
    assert held.result(0).version == 1


def test_async_waits_for_nobody() -> None:
    site = Site(mode="async")
    for step in range(1, 5):
        future = site.store.push(push(0, step))
        site.store.commit()
        assert future.result(0) == step
        assert site.store.pull(0, 1, step).result(0).version == step


def test_the_version_before_can_be_read_where_servers_are_two() -> None:
    site = Site(small_model(1), shards=2)
    before = site.store.pull(0, 1, 0).result(0).dense
    site.store.push(push(0, 1, dense=site.blocks(slopes(0, 1))))
    site.store.commit()
    assert same(site.store.pull(0, 1, 0).result(0).dense, before)
    assert not same(site.store.pull(0, 1, 1).result(0).dense, before)
    loaded = Store(site.journal, site.store.options)
    loaded.load(decode(encode(site.store.state())))
    assert same(loaded.pull(0, 1, 0).result(0).dense, before)


def test_nothing_is_applied_that_the_journal_does_not_keep() -> None:
    site = Site(mode="async")
    before = encode(site.store.state())
    site.journal.full = True
    future = site.store.push(push(0, 1))
    site.store.commit()
    assert isinstance(future.exception(0), Busy)
    assert encode(site.store.state()) == before
    site.journal.full = False
    again = site.store.push(push(0, 1))
    site.store.commit()
    assert again.result(0) == 1


@pytest.mark.parametrize("mode", ["sync", "ssp", "async"])
@pytest.mark.parametrize("shards", [1, 2])
def test_the_records_make_the_same_store_again(mode: str, shards: int) -> None:
    site = Site(small_model(2, table=True), mode=mode, shards=shards)
    ids = np.array([3, 8, 10**12])
    for step in range(1, 5):
        for rank in range(2):
            rows = {"table": (ids + rank, np.full((3, 2), 0.5 + rank, "float32"))}
            dense = site.blocks(slopes(rank, step))
            site.store.push(push(rank, step, dense=dense, rows=rows))
        site.store.commit()
        if step == 2:
            site.join(1)
            site.join(0)
            break
    site.store.leave(1, 2)
    site.store.commit()
    state = encode(site.store.state())
    assert encode(site.replayed().state()) == state
    loaded = Store(site.journal, site.store.options)
    loaded.load(decode(state))
    assert encode(loaded.state()) == state


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    site = Site()
    before = encode(site.store.state())
    wrong = {"w": np.zeros((2, 3), "float32"), "v": np.zeros(1)}
    with pytest.raises(FeedError) as caught:
        site.store.push(push(0, 1, dense=wrong))
    assert str(caught.value) == (
        "push of worker 0, step 1: 3 entries do not fit\n"
        "  missing     b\n"
        "  mismatched  w: (40, 8) float32 here, (2, 3) float32 came\n"
        "  unexpected  v\n"
        "  hint   build the same graph on every worker"
    )
    bad = slopes(0, 1) | {"b": np.array([1, np.nan, 2], "float32")}
    with pytest.raises(NonFiniteError, match="NaN or infinity in b"):
        site.store.push(push(0, 1, dense=bad))
    with pytest.raises(ClusterError) as other:
        site.store.setup(small_model(3), None)
    assert str(other.value) == (
        "this server serves the job 'job', and what came is another one\n"
        "  workers  2 here, 3 came\n"
        "  hint   start a server with another --state-dir for another job"
    )
    site.store.commit()
    assert encode(site.store.state()) == before


def test_nonfinite_slopes_can_be_counted_and_left_out() -> None:
    site = Site(small_model(1), nonfinite="count")
    bad = slopes(0, 1) | {"b": np.array([1, np.inf, 2], "float32")}
    future = site.store.push(push(0, 1, dense=bad))
    site.store.commit()
    assert (future.result(0), site.store.counters.nonfinite) == (1, 1)
    assert same(site.weights(), values())


def test_one_state_belongs_to_one_server() -> None:
    site = Site()
    other = Store(site.journal, Options(mode="async"))
    with pytest.raises(ArgumentError, match="the state that was kept is of another server"):
        other.load(site.store.state())


def test_clip_norm_needs_one_server() -> None:
    with pytest.raises(ArgumentError, match="clip_norm needs the slopes of all variables"):
        Site(small_model(optimizer=ms.optimizers.SGD(0.1, clip_norm=1.0)), shards=2)


def test_classes_of_ones_own_are_refused() -> None:
    class Own(ms.optimizers.SGD):
        pass

    with pytest.raises(ArgumentError) as caught:
        describe(Own(0.1))
    assert str(caught.value) == (
        "Own: a parameter server does not know this class\n"
        "  hint   use one of matrixslow.optimizers, or train on one machine"
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS[1:], ids=lambda x: type(x).__name__)
def test_rows_move_as_a_dense_table_does(optimizer: ms.optimizers.Optimizer) -> None:
    """Where every row has a slope in every step, a table is a dense variable."""
    if optimizer.clip_norm:
        optimizer = ms.optimizers.RMSProp(0.1)
    count = CHUNK + 7
    ids = np.arange(count)
    spec = TableSpec("table", 3, seed=1)
    table = RowTable(spec, describe(optimizer))
    with ms.Graph():
        dense = ms.Variable(spec.first_rows(ids), name="table")
        slope = ms.Input(dense.shape)
    step = ms.function([slope], [], updates=optimizer.updates([(dense, slope)]))
    for number in range(3):
        rows = np.random.default_rng(number).normal(size=dense.shape).astype("float32")
        order = np.random.default_rng(number).permutation(count)
        table.step(ids[order], rows[order])
        step(rows)
    assert table.read(ids).tobytes() == dense.value.tobytes()


def test_new_rows_come_from_seed_and_id_alone() -> None:
    spec = TableSpec("table", 2000, low=-1.0, high=3.0, seed=7)
    rows = spec.first_rows(np.array([5, 6, 5]))
    assert rows[0].tobytes() == rows[2].tobytes() != rows[1].tobytes()
    assert -1 <= rows.min() < -0.98
    assert 2.98 < rows.max() < 3
    assert abs(rows.mean() - 1) < 0.1
    assert len(RowTable(spec, describe(ms.optimizers.SGD(0.1)))) == 0


def test_rows_are_spread_evenly_by_their_hash() -> None:
    counts = np.bincount(RowMap.even(3).servers_of(np.arange(0, 300_000, 7)))
    assert counts.sum() == 42858
    assert np.ptp(counts) < 0.05 * counts.mean()


def test_rows_of_the_version_before_can_be_read_too() -> None:
    """One server may be a step ahead when a worker begins again: it needs both as they were."""
    site = Site(small_model(1, table=True), shards=2)
    ids, ones = np.array([3, 8]), np.ones((2, 2), "float32")
    blocks = site.blocks(slopes(0, 1))
    read = []
    for step in (1, 2):
        read.append(site.store.pull(0, 1, step - 1, {"table": ids}).result(0).rows["table"])
        site.store.push(
            push(0, step, dense=blocks, rows={"table": (ids[step - 1 :], ones[: 3 - step])})
        )
        site.store.commit()
        for store in (site.store, loaded(site.store)):
            again = store.pull(0, 1, step - 1, {"table": ids}).result(0)
            assert again.version == step - 1
            assert again.rows["table"].tobytes() == read[-1].tobytes()
    site.store.push(push(0, 3, dense=blocks))
    site.store.commit()
    assert same(
        dict(site.store.pull(0, 1, 2, {"table": ids}).result(0).rows),
        dict(site.store.pull(0, 1, 3, {"table": ids}).result(0).rows),
    )


def loaded(store: Store) -> Store:
    other = Store(lambda records: None, store.options)
    other.load(decode(encode(store.state())))
    return other
