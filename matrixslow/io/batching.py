"""Samples in batches: splitting, seeded shuffling, gathering ahead of time, sharing out."""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from matrixslow.backend import as_native, to_host
from matrixslow.errors import ArgumentError, FeedError
from matrixslow.io.readers import Array

Key = TypeVar("Key")


class Batches(Generic[Key]):
    """Arrays of samples, cut into batches in an order that only (seed, epoch) decides.

    Nothing is remembered between epochs: any batch of any epoch can be asked for again, on another
    day and another machine, and is the same. So a run that stopped in batch 7 of epoch 3 goes on
    with `epoch(3, start=7)` and sees what it would have seen.

    Args:
        arrays: Arrays whose first axis counts the samples, by any key: a name, a graph's input.
            Arrays on disk (`numpy.memmap`) are read batch by batch.
        batch_size: Samples in a batch; the last batch has what is left.
        shuffle: Whether each epoch has an order of its own, or the arrays' order.
        seed: Decides the orders, together with the epoch's number.
        drop_last: Whether to leave out a last batch that is not full.
        prefetch: How many batches a background thread gathers ahead; 0 gathers when asked.

    Shapes: arrays (samples, ...); in a batch (batch_size, ...).

    Raises:
        FeedError: There are no samples, or the arrays differ in how many they have.
        ArgumentError: A number is out of its range.

    >>> batches = Batches({"x": np.arange(5), "y": np.arange(5) ** 2}, 2, seed=0)
    >>> len(batches)
    3
    >>> for batch in batches.epoch(0):
    ...     print(batch["x"], batch["y"])
    [0 3] [0 9]
    [2 1] [4 1]
    [4] [16]
    """

    def __init__(
        self,
        arrays: Mapping[Key, ArrayLike],
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        prefetch: int = 0,
    ) -> None:
        self._arrays = _as_samples("Batches", arrays)
        self.samples = len(next(iter(self._arrays.values())))
        self.batch_size = whole_number("Batches: batch_size", batch_size, 1)
        self.shuffle = shuffle
        self.seed = whole_number("Batches: seed", seed, 0)
        self.drop_last = drop_last
        self.prefetch = whole_number("Batches: prefetch", prefetch, 0)
        self._last_order: tuple[int, Array] | None = None
        if not len(self):
            raise ArgumentError(
                f"Batches: {self.samples} samples do not fill one batch of {self.batch_size}",
                hint="take a smaller batch_size, or drop_last=False",
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, left = divmod(self.samples, self.batch_size)
        return full + (left > 0 and not self.drop_last)

    def order(self, epoch: int) -> Array:
        """The samples' positions in the order of this epoch, (samples,) int64.

        >>> Batches({"x": np.zeros(5)}, 2, seed=0).order(1)
        array([4, 3, 2, 0, 1])
        """
        number = whole_number("Batches: epoch", epoch, 0)
        if not self.shuffle:
            return np.arange(self.samples)
        seeds = np.random.SeedSequence(self.seed, spawn_key=(number,))
        return np.random.default_rng(seeds).permutation(self.samples)

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[Key, Array]]:
        """The batches of an epoch from batch `start` on, each a dictionary of fresh arrays.

        Stopping early is fine: the background thread ends with the iterator. An error in it is
        raised here, at the batch that it belongs to.

        Args:
            number: The epoch, from 0.
            start: The first batch wanted; `len(batches)` gives none.

        >>> batches = Batches({"x": np.arange(6)}, 2, shuffle=False)
        >>> [batch["x"].tolist() for batch in batches.epoch(0, start=1)]
        [[2, 3], [4, 5]]
        """
        order = self.order(number)
        if whole_number("Batches: start", start, 0) > len(self):
            raise ArgumentError(
                f"Batches: start is {start}, an epoch has {len(self)} batches",
                hint="resume with the data and the batch_size of the run that stopped",
            )
        rows = (
            order[batch * self.batch_size : (batch + 1) * self.batch_size]
            for batch in range(start, len(self))
        )
        return self._gather_ahead(rows) if self.prefetch else map(self._gather, rows)

    def batch(self, epoch: int, number: int) -> dict[Key, Array]:
        """One batch of an epoch, for those who share an epoch's batches among them.

        >>> Batches({"x": np.arange(6)}, 2, shuffle=False).batch(0, 1)["x"].tolist()
        [2, 3]
        """
        if self._last_order is None or self._last_order[0] != epoch:
            self._last_order = epoch, self.order(epoch)
        start = number * self.batch_size
        return self._gather(self._last_order[1][start : start + self.batch_size])

    def _gather(self, rows: Array) -> dict[Key, Array]:
        return {key: array.take(rows, axis=0) for key, array in self._arrays.items()}

    def _gather_ahead(self, order: Iterator[Array]) -> Iterator[dict[Key, Array]]:
        """Gathers in one background thread, at most `prefetch` batches ahead of the reader."""
        from concurrent.futures import Future, ThreadPoolExecutor

        ahead: deque[Future[dict[Key, Array]]] = deque()
        pool = ThreadPoolExecutor(1, thread_name_prefix="matrixslow-batches")
        try:
            for rows in order:
                ahead.append(pool.submit(self._gather, rows))
                if len(ahead) > self.prefetch:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def train_test_split(
    *arrays: ArrayLike, test: float = 0.2, seed: int = 0, stratify: ArrayLike | None = None
) -> tuple[Array, ...]:
    """Each array cut into a part to train on and a part to test on, by one seeded shuffle.

    Args:
        arrays: Arrays with the same number of samples along their first axis.
        test: The share of the samples to test on, rounded up, or their number when an integer.
        seed: Decides which samples go where, and their order.
        stratify: A label per sample; both parts then have each label in the same proportion, to
            within one sample.

    Returns:
        For each array its two parts: train_x, test_x, train_y, test_y for the arrays x, y.

    Raises:
        FeedError: The arrays differ in length.
        ArgumentError: One of the parts would be empty.

    >>> x, y = np.arange(8), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> train_x, test_x, train_y, test_y = train_test_split(x, y, test=0.25, stratify=y)
    >>> sorted(test_y.tolist()), len(train_x)
    ([0, 1], 6)
    """
    named = {f"array {place}": array for place, array in enumerate(arrays)}
    if stratify is not None:
        named["stratify"] = stratify
    samples = _as_samples("train_test_split", named)
    count = len(next(iter(samples.values())))
    labels = None if stratify is None else to_host(samples.pop("stratify"))
    if labels is not None and labels.ndim != 1:
        raise ArgumentError(
            "train_test_split: stratify needs one label per sample",
            rows=(f"came   {labels.shape} {labels.dtype}",),
            hint="of one-hot labels give labels.argmax(axis=1)",
        )
    # A share such as 0.07 of 100 must not become 8 because the product is a hair above 7.
    tested = test if isinstance(test, int) else math.ceil(count * test - 1e-9)
    if not 0 < tested < count:
        raise ArgumentError(
            f"train_test_split: test={test} of {count} samples leaves a part empty",
            hint="give a share between 0 and 1, or a number of samples as an integer",
        )
    random = np.random.default_rng(whole_number("train_test_split: seed", seed, 0))
    order = random.permutation(count)
    is_test = np.arange(count) < tested
    if labels is not None:
        # Whoever comes first of each label is tested, so that the rest begins with some labels
        # and lacks others: a second shuffle mixes it.
        is_test = _share_of_each(labels[order], tested)
        again = random.permutation(count)
        order, is_test = order[again], is_test[again]
    return tuple(
        array.take(rows, axis=0)
        for array in samples.values()
        for rows in (order[~is_test], order[is_test])
    )


def k_fold(
    samples: int,
    splits: int = 5,
    *,
    shuffle: bool = True,
    seed: int = 0,
    stratify: ArrayLike | None = None,
) -> list[tuple[Array, Array]]:
    """The positions to train on and to test on, so often that each sample is tested once.

    This is cross-validation: train a new model on each fold, and take the mean of what the tests
    find. The folds' tests differ by one sample in size at most.

    Args:
        samples: How many there are.
        splits: How many folds to make.
        shuffle: Whether the samples are dealt out in a random order, or each test is a stretch.
        seed: Decides the order.
        stratify: A label per sample; each test then has each label in the same proportion, to
            within one sample. It needs `shuffle`.

    Returns:
        For each fold the positions (int64) to train on and those to test on, both rising.

    Raises:
        ArgumentError: There are fewer samples than folds, or not one label per sample.

    >>> for train, test in k_fold(5, 2, shuffle=False):
    ...     print(train, test)
    [3 4] [0 1 2]
    [0 1 2] [3 4]
    """
    count = whole_number("k_fold: samples", samples, 1)
    if whole_number("k_fold: splits", splits, 2) > count:
        raise ArgumentError(
            f"k_fold: {splits} folds of {count} samples leave a test empty",
            hint="make fewer folds",
        )
    order = np.arange(count)
    if shuffle:
        seeds = np.random.default_rng(whole_number("k_fold: seed", seed, 0))
        order = seeds.permutation(count)
    if stratify is None:
        sizes = np.full(splits, count // splits)
        sizes[: count % splits] += 1
        folds = np.repeat(np.arange(splits), sizes)
    else:
        labels = np.asarray(stratify)
        if labels.shape != (count,):
            raise ArgumentError(
                "k_fold: stratify needs one label per sample",
                rows=(f"came   {labels.shape} {labels.dtype} for {count} samples",),
                hint="of one-hot labels give labels.argmax(axis=1)",
            )
        if not shuffle:
            raise ArgumentError(
                "k_fold: stratify deals out each label, which is no stretch of the samples",
                hint="leave shuffle=True",
            )
        # Dealt out like cards, label after label.
        order = order[np.argsort(labels[order], kind="stable")]
        folds = np.arange(count) % splits
    tests = [np.sort(order[folds == fold]) for fold in range(splits)]
    return [(np.setdiff1d(order, test), test) for test in tests]


def _share_of_each(labels: Array, count: int) -> Array:
    """A mask with `count` true places: of each label its share, the first that come."""
    _, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    exact = sizes * (count / len(labels))
    shares = np.floor(exact).astype(np.int64)
    largest_rest_first = np.argsort(shares - exact, kind="stable")
    shares[largest_rest_first[: count - shares.sum()]] += 1
    by_label = np.argsort(numbers, kind="stable")
    place_in_label = np.empty_like(by_label)
    place_in_label[by_label] = np.concatenate([np.arange(size) for size in sizes])
    chosen: Array = place_in_label < shares[numbers]
    return chosen


def shard(samples: Array, rank: int, world: int) -> Array:
    """Every `world`-th sample from `rank` on: this worker's share.

    The shares of all ranks hold each sample once and differ by at most one in length.

    Args:
        samples: What to share out along the first axis, such as `Batches.order` or a batch.
        rank: This worker's number, from 0.
        world: How many workers share.

    Raises:
        ArgumentError: There is no such rank.

    >>> [shard(np.arange(5), rank, 2).tolist() for rank in range(2)]
    [[0, 2, 4], [1, 3]]
    """
    if whole_number("shard: rank", rank, 0) >= whole_number("shard: world", world, 1):
        raise ArgumentError(
            f"shard: rank {rank} of {world} workers", hint="count the ranks from 0 to world - 1"
        )
    return samples[rank::world]


def whole_number(name: str, value: int, least: int) -> int:
    """The value, when it is a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ArgumentError(
            f"{name} must be a whole number of at least {least}", rows=(f"came   {value!r}",)
        )
    return number


def _as_samples(caller: str, arrays: Mapping[Key, ArrayLike]) -> dict[Key, Array]:
    """The values as arrays, all with the same number of samples along their first axis."""
    samples: dict[Key, Array] = {}
    for key, array in arrays.items():
        try:
            # Of a memmap this is a plain view: what is taken from it lies in memory.
            samples[key] = as_native(array)
        except ValueError:
            raise FeedError(
                f"{caller}: the samples of {getattr(key, 'name', key)} differ in shape",
                hint="pad them to one length",
            ) from None
    lengths = {array.shape[:1] for array in samples.values()}
    if len(lengths) == 1 and all(length > (0,) for length in lengths):
        return samples
    raise FeedError(
        f"{caller}: each array needs the same number of samples, at least one",
        rows=tuple(
            f"{getattr(key, 'name', key)}  {array.shape} {array.dtype}"
            for key, array in samples.items()
        ),
        hint="the first axis counts the samples; make it equal in all of them",
    )
