"""Batches that can be repeated, splits without overlap, shares that add up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import model_selection

from matrixslow.errors import ArgumentError, FeedError
from matrixslow.io import Batches, batching, k_fold, shard, train_test_split


def samples(count: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": np.arange(3 * count).reshape(count, 3), "y": np.arange(count)}


def listed(batches: Batches[str], epoch: int, start: int = 0) -> list[dict[str, list[Any]]]:
    return [{key: rows.tolist() for key, rows in b.items()} for b in batches.epoch(epoch, start)]


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("matrixslow-batches")]


# ---- what an epoch holds ----------------------------------------------------------------------


@given(
    count=st.integers(1, 40),
    size=st.integers(1, 45),
    shuffle=st.booleans(),
    prefetch=st.sampled_from([0, 1, 3]),
    epoch=st.integers(0, 3),
)
def test_an_epoch_holds_each_sample_once(
    count: int, size: int, shuffle: bool, prefetch: int, epoch: int
) -> None:
    batches = Batches(samples(count), size, shuffle=shuffle, prefetch=prefetch)
    found = list(batches.epoch(epoch))
    assert len(found) == len(batches) == -(-count // size)
    assert [len(b["y"]) for b in found[:-1]] == [size] * (len(found) - 1)
    rows = np.concatenate([b["y"] for b in found])
    assert sorted(rows.tolist()) == list(range(count))
    assert rows.tolist() == batches.order(epoch).tolist()
    assert shuffle or rows.tolist() == list(range(count))
    np.testing.assert_array_equal(
        np.concatenate([b["x"] for b in found]), samples(count)["x"][rows]
    )


def test_the_last_batch_is_kept_unless_told_otherwise() -> None:
    assert [len(b["y"]) for b in Batches(samples(7), 3).epoch(0)] == [3, 3, 1]
    dropping = Batches(samples(7), 3, drop_last=True)
    assert [len(b["y"]) for b in dropping.epoch(0)] == [3, 3]
    assert len(dropping) == 2
    assert len(Batches(samples(6), 3, drop_last=True)) == 2


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_resumed_epoch_goes_on_where_it_stopped(prefetch: int) -> None:
    whole = listed(Batches(samples(50), 8, seed=3), epoch=2)
    for start in range(len(whole) + 1):
        again = Batches(samples(50), 8, seed=3, prefetch=prefetch)
        assert listed(again, epoch=2, start=start) == whole[start:]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first, again = Batches(samples(100), 8, seed=5), Batches(samples(100), 16, seed=5)
    orders = [first.order(epoch).tolist() for epoch in (0, 1, 2)]
    assert [again.order(epoch).tolist() for epoch in (2, 0, 1)] == [orders[e] for e in (2, 0, 1)]
    others = [Batches(samples(100), 8, seed=seed).order(0).tolist() for seed in (0, 6)]
    assert len({tuple(order) for order in orders + others}) == 5
    # Written down: a run stopped by one version must go on with the next.
    assert Batches(samples(8), 2, seed=1).order(3).tolist() == [7, 0, 6, 2, 1, 5, 4, 3]


def test_batches_are_the_readers_own() -> None:
    data = samples(6)
    for shuffle in (True, False):
        for batch in Batches(data, 2, shuffle=shuffle).epoch(0):
            batch["y"][:] = -1
    assert data["y"].tolist() == list(range(6))


def test_any_array_and_any_key_will_do(tmp_path: Path) -> None:
    on_disk = np.memmap(tmp_path / "x", np.float32, "w+", shape=(10, 4))
    on_disk[:] = np.arange(40).reshape(10, 4)
    key = object()
    (batch,) = Batches({"disk": on_disk, key: [str(i) for i in range(10)]}, 10).epoch(0)
    assert type(batch["disk"]) is np.ndarray
    assert batch["disk"].dtype == np.float32
    assert (batch["disk"][:, 0] / 4).astype(int).astype(str).tolist() == batch[key].tolist()


# ---- the background thread --------------------------------------------------------------------


def test_prefetching_changes_nothing_and_ends() -> None:
    plain, ahead = Batches(samples(30), 4), Batches(samples(30), 4, prefetch=3)
    assert listed(plain, 1) == listed(ahead, 1)
    assert threads() == []


def test_prefetching_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[int] = []
    plain = Batches._gather

    def gather(self: Batches[str], rows: Any) -> Any:
        gathered.append(len(rows))
        return plain(self, rows)

    monkeypatch.setattr(Batches, "_gather", gather)
    batches = Batches(samples(100), 1, prefetch=3).epoch(0)
    for taken in range(1, 5):
        next(batches)
        assert taken <= len(gathered) <= taken + 3
    batches.close()  # type: ignore[attr-defined]
    assert len(gathered) <= 7


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_reader_that_stops_early_leaves_no_thread(taken: int) -> None:
    batches = Batches(samples(100), 2, prefetch=4).epoch(0)
    for _ in range(taken):
        next(batches)
    assert threads() == (["matrixslow-batches_0"] if taken else [])
    del batches
    assert threads() == []


def test_a_reader_that_fails_leaves_no_thread() -> None:
    def train() -> None:
        for _ in Batches(samples(100), 2, prefetch=4).epoch(0):
            raise RuntimeError("the step failed")

    with pytest.raises(RuntimeError, match="the step failed"):
        train()
    assert threads() == []


def test_an_error_in_the_thread_reaches_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Batches._gather

    def gather(self: Batches[str], rows: Any) -> Any:
        if 6 in rows:
            raise OSError("the disk is gone")
        return plain(self, rows)

    monkeypatch.setattr(Batches, "_gather", gather)
    batches = Batches(samples(10), 2, shuffle=False, prefetch=2).epoch(0)
    assert [next(batches)["y"].tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert threads() == []


# ---- refusals ---------------------------------------------------------------------------------


class Named:
    """A key with a name, as an input of a graph is."""

    name = "image"


def refusal(kind: type[Exception], act: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (
            {Named(): np.zeros((60, 1, 8, 8), np.float32), "label": np.arange(59)},
            "Batches: each array needs the same number of samples, at least one\n"
            "  image  (60, 1, 8, 8) float32\n"
            "  label  (59,) int64\n"
            "  hint   the first axis counts the samples; make it equal in all of them",
        ),
        (
            {"x": np.float32(3)},
            "Batches: each array needs the same number of samples, at least one\n"
            "  x  () float32\n"
            "  hint   the first axis counts the samples; make it equal in all of them",
        ),
        (
            {"x": np.zeros((0, 3))},
            "Batches: each array needs the same number of samples, at least one\n"
            "  x  (0, 3) float64\n"
            "  hint   the first axis counts the samples; make it equal in all of them",
        ),
        (
            {},
            "Batches: each array needs the same number of samples, at least one\n"
            "  hint   the first axis counts the samples; make it equal in all of them",
        ),
        (
            {Named(): [[1, 2], [3]]},
            "Batches: the samples of image differ in shape\n  hint   pad them to one length",
        ),
    ],
    ids=["unequal", "no axis", "no samples", "no arrays", "ragged"],
)
def test_data_that_is_refused(arrays: dict[Any, Any], expected: str) -> None:
    assert refusal(FeedError, lambda: Batches(arrays, 2)) == expected


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (
            lambda: Batches(samples(4), 0),
            "Batches: batch_size must be a whole number of at least 1\n  came   0",
        ),
        (
            lambda: Batches(samples(4), 2.0),  # type: ignore[arg-type]
            "Batches: batch_size must be a whole number of at least 1\n  came   2.0",
        ),
        (
            lambda: Batches(samples(4), 2, seed=-1),
            "Batches: seed must be a whole number of at least 0\n  came   -1",
        ),
        (
            lambda: Batches(samples(4), 2, prefetch=-1),
            "Batches: prefetch must be a whole number of at least 0\n  came   -1",
        ),
        (
            lambda: Batches(samples(4), 5, drop_last=True),
            "Batches: 4 samples do not fill one batch of 5\n"
            "  hint   take a smaller batch_size, or drop_last=False",
        ),
        (
            lambda: Batches(samples(4), 2).epoch(-1),
            "Batches: epoch must be a whole number of at least 0\n  came   -1",
        ),
        (
            lambda: Batches(samples(4), 2).epoch(0, start=3),
            "Batches: start is 3, an epoch has 2 batches\n"
            "  hint   resume with the data and the batch_size of the run that stopped",
        ),
        (
            lambda: train_test_split([1, 2], test=1.0),
            "train_test_split: test=1.0 of 2 samples leaves a part empty\n"
            "  hint   give a share between 0 and 1, or a number of samples as an integer",
        ),
        (
            lambda: train_test_split([1, 2], stratify=[[1, 0], [0, 1]]),
            "train_test_split: stratify needs one label per sample\n"
            "  came   (2, 2) int64\n"
            "  hint   of one-hot labels give labels.argmax(axis=1)",
        ),
        (
            lambda: k_fold(3, 4),
            "k_fold: 4 folds of 3 samples leave a test empty\n  hint   make fewer folds",
        ),
        (
            lambda: k_fold(3, 1),
            "k_fold: splits must be a whole number of at least 2\n  came   1",
        ),
        (
            lambda: k_fold(2, 2, stratify=[[1, 0], [0, 1]]),
            "k_fold: stratify needs one label per sample\n"
            "  came   (2, 2) int64 for 2 samples\n"
            "  hint   of one-hot labels give labels.argmax(axis=1)",
        ),
        (
            lambda: k_fold(2, 2, stratify=[0, 1], shuffle=False),
            "k_fold: stratify deals out each label, which is no stretch of the samples\n"
            "  hint   leave shuffle=True",
        ),
        (
            lambda: shard(np.arange(4), 2, 2),
            "shard: rank 2 of 2 workers\n  hint   count the ranks from 0 to world - 1",
        ),
    ],
)
def test_options_that_are_refused(act: Callable[[], object], expected: str) -> None:
    assert refusal(ArgumentError, act) == expected


def test_unequal_arrays_are_not_split() -> None:
    assert refusal(FeedError, lambda: train_test_split([1, 2], [1, 2, 3], stratify=[1, 2])) == (
        "train_test_split: each array needs the same number of samples, at least one\n"
        "  array 0  (2,) int64\n"
        "  array 1  (3,) int64\n"
        "  stratify  (2,) int64\n"
        "  hint   the first axis counts the samples; make it equal in all of them"
    )


# ---- splitting and sharing --------------------------------------------------------------------


@given(
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=60),
    share=st.sampled_from([0.1, 0.25, 0.3, 0.45, 0.5]),
    seed=st.integers(0, 5),
    stratify=st.booleans(),
)
def test_a_split_keeps_every_sample_and_its_label(
    labels: list[int], share: float, seed: int, stratify: bool
) -> None:
    y = np.array(labels)
    x = np.arange(len(y)) * 10 + y
    count = len(model_selection.train_test_split(x, test_size=share)[1])
    parts = train_test_split(x, y, test=share, seed=seed, stratify=y if stratify else None)
    train_x, test_x, train_y, test_y = parts
    assert len(test_x) == count
    assert sorted([*train_x, *test_x]) == x.tolist()
    assert (train_x % 10).tolist() == train_y.tolist()
    assert (test_x % 10).tolist() == test_y.tolist()
    if stratify:
        exact = np.bincount(y) * count / len(y)
        assert np.abs(np.bincount(test_y, minlength=len(exact)) - exact).max() < 1


def test_splits_depend_on_the_seed() -> None:
    x = np.arange(100)
    first, again, other = (train_test_split(x, seed=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first != sorted(first)


def test_a_share_is_rounded_up_but_not_by_a_hair() -> None:
    x = np.arange(100)
    assert 100 * 0.07 > 7
    assert len(train_test_split(x, test=0.07)[1]) == 7
    assert len(train_test_split(x, test=0.071)[1]) == 8
    assert len(train_test_split(x, test=13)[1]) == 13


def test_a_stratified_split_mixes_the_labels() -> None:
    y = np.repeat(np.arange(10), 100)
    train_y, test_y = train_test_split(y, stratify=y)
    assert {*train_y[:60].tolist()} == {*test_y[:60].tolist()} == {*range(10)}


@given(
    labels=st.lists(st.integers(0, 3), min_size=7, max_size=60),
    splits=st.integers(2, 7),
    shuffle=st.booleans(),
    stratify=st.booleans(),
)
def test_folds_test_each_sample_once(
    labels: list[int], splits: int, shuffle: bool, stratify: bool
) -> None:
    y, count = np.array(labels), len(labels)
    stratify = stratify and shuffle
    folds = k_fold(count, splits, shuffle=shuffle, stratify=y if stratify else None)
    tests = [test.tolist() for _, test in folds]
    assert sorted(position for test in tests for position in test) == [*range(count)]
    assert max(map(len, tests)) - min(map(len, tests)) <= 1
    for train, test in folds:
        assert sorted([*train, *test]) == [*range(count)]
        assert test.tolist() == sorted(test)
        if stratify:
            exact = np.bincount(y) / splits
            assert np.abs(np.bincount(y[test], minlength=len(exact)) - exact).max() < 1
    if not shuffle:
        theirs = model_selection.KFold(splits).split(y)
        assert tests == [test.tolist() for _, test in theirs]


def test_folds_depend_on_the_seed() -> None:
    first, again, other = (k_fold(30, seed=seed)[0][1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@given(count=st.integers(0, 50), world=st.integers(1, 9))
def test_shards_hold_each_sample_once(count: int, world: int) -> None:
    order = np.random.default_rng(count).permutation(count)
    shares = [shard(order, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_whole_numbers_of_numpy_will_do() -> None:
    assert batching.whole_number("n", np.int32(3), 1) == 3
