"""Task: the data of a model, from a data set or a file, and how such data is read again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow import io
from matrixslow.commands.columns import Columns
from matrixslow.errors import ArgumentError
from matrixslow.io import Table
from matrixslow.io.readers import Array, read_text

DATA_SETS = ("digits", "mnist", "fashion-mnist", "iris", "titanic", "articulary-words")

TABLES = (".csv", ".csv.gz", ".tsv", ".arff", ".arff.gz")


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays of as many samples each.

    Args:
        features: What a model predicts from, by the name of its input.
        target: What is to be predicted; None where that is not known.
    """

    features: Mapping[str, Array]
    target: Array | None

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))

    def first(self, count: int) -> Samples:
        """The first samples."""
        target = None if self.target is None else self.target[:count]
        return Samples({name: array[:count] for name, array in self.features.items()}, target)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learned.

    Args:
        train: The samples to train on.
        test: The samples to test on.
        classes: The classes' names; none where numbers are predicted.
        ids: How many ids there are, where a feature is made of ids.
        data: The data set's name or the file that it came from.
        share: Which share was kept to test on, where the data does not say it.
        seed: Which decided it.
        columns: How the rows of a table became arrays.
    """

    train: Samples
    test: Samples
    classes: tuple[str, ...]
    ids: int
    data: str
    share: float
    seed: int
    columns: Columns | None

    def to_dict(self) -> dict[str, Any]:
        """What must be known to read such data again, as JSON can hold it."""
        columns = None if self.columns is None else self.columns.to_dict()
        kept = {"data": self.data, "share": self.share, "seed": self.seed}
        return {**kept, "classes": list(self.classes), "columns": columns}


def read_task(
    data: str, *, target: str | None = None, ignore: Collection[str] = (), share: float, seed: int
) -> Task:
    """The task that a data set or a table sets.

    Args:
        data: A name of DATA_SETS, or a CSV or ARFF file.
        target: The column of a table to predict; the last one by default.
        ignore: The columns of a table to leave out.
        share: Which share of the samples to test on.
        seed: Decides which.

    Raises:
        ArgumentError: There is no such data set or column.
        DatasetMissing: The data set is not on this machine.
        FormatError: The file is damaged.
    """
    if data in DATA_SETS:
        return _named(data, share, seed)
    if not _is_table(data):
        raise ArgumentError(
            f"train: {data!r} is neither a data set nor a table",
            rows=(f"data sets  {', '.join(DATA_SETS)}", f"tables     *{', *'.join(TABLES)}"),
            hint="name one of them",
        )
    table = read_table(data)
    target = target or table.names[-1]
    everything = Columns.learn(table, target, ignore, np.arange(len(table)))
    labels = everything.labels(table)
    train, test = io.train_test_split(
        np.arange(len(table)),
        test=share,
        seed=seed,
        stratify=labels if everything.classes else None,
    )
    columns = Columns.learn(table, target, ignore, train)
    features, labels = columns.features(table), columns.labels(table)
    assert labels is not None
    train_part, test_part = (
        Samples({name: array[rows] for name, array in features.items()}, labels[rows])
        for rows in (train, test)
    )
    return Task(train_part, test_part, columns.classes, columns.ids, data, share, seed, columns)


def read_samples(data: str | None, kept: Mapping[str, Any]) -> Samples:
    """Samples for a model that was trained on a task.

    Args:
        data: A data set, whose test part is taken; a table, or an .npz file with an array for each
            input. None: the samples that were kept to test on when the model was trained.
        kept: What `Task.to_dict` gave; empty for a model that was not trained on a task.

    Raises:
        ArgumentError: The data does not say what is needed.
    """
    if data is None and not kept:
        raise ArgumentError(
            "the model does not say which data it was trained on",
            hint="name a data set, or an .npz file with an array for each input",
        )
    if data is None or (kept and data == kept["data"] and data in DATA_SETS):
        columns = kept["columns"] or {"target": None, "left_out": {}}
        ignore = [name for name, why in columns["left_out"].items() if why == "as you wish"]
        options = {"share": kept["share"], "seed": kept["seed"]}
        return read_task(kept["data"], target=columns["target"], ignore=ignore, **options).test
    if data in DATA_SETS:
        return _named(data, 0.2, 0).test
    if data.endswith(".npz"):
        arrays = io.read_npz(data)
        labels = [name for name in ("label", "target") if name in arrays]
        target = arrays.pop(labels[0]) if labels else None
        return Samples(arrays, target)
    if not kept or kept["columns"] is None:
        raise ArgumentError(
            f"{data}: the model was not trained on a table",
            hint="give an .npz file with an array for each input",
        )
    table, columns = read_table(data), Columns.from_dict(kept["columns"])
    return Samples(columns.features(table), columns.labels(table))


def read_table(path: str) -> Table:
    """The table in a CSV or ARFF file."""
    if not _is_table(path):
        raise ArgumentError(
            f"{path}: it is no table", hint=f"give a file that ends in {', '.join(TABLES)}"
        )
    if ".arff" in Path(path).suffixes:
        return io.read_arff(path)
    first = read_text("CSV", path).partition("\n")[0]
    return io.read_csv(path, delimiter=max(",;\t", key=first.count))


def _is_table(path: str) -> bool:
    return path.lower().endswith(TABLES)


def _named(name: str, share: float, seed: int) -> Task:
    """The task of a data set."""
    if name == "titanic":
        table = io.titanic(test=share, seed=seed)
        train, test = (
            Samples({"ids": ids + table.offsets, "numbers": numbers}, y)
            for ids, numbers, y in (
                (table.train_ids, table.train_numbers, table.train_y),
                (table.test_ids, table.test_numbers, table.test_y),
            )
        )
        return Task(train, test, table.classes, sum(table.sizes), name, share, seed, None)
    readers: dict[str, Callable[[], io.Dataset]] = {
        "digits": lambda: io.digits(test=share, seed=seed),
        "mnist": io.mnist,
        "fashion-mnist": io.fashion_mnist,
        "iris": lambda: io.iris(test=share, seed=seed),
        "articulary-words": io.articulary_word_recognition,
    }
    data = readers[name]()
    feature = {2: "numbers", 3: "series", 4: "image"}[data.train_x.ndim]
    train = Samples({feature: data.train_x}, data.train_y)
    test = Samples({feature: data.test_x}, data.test_y)
    return Task(train, test, data.classes, 0, name, share, seed, None)
