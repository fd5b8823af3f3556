"""Data sets by name, ready to train on; `matrixslow.io.data_folder` says where they are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from matrixslow.errors import DatasetMissing
from matrixslow.io.arff import read_arff
from matrixslow.io.batching import train_test_split
from matrixslow.io.folders import download_files, find_files
from matrixslow.io.readers import Array, PathLike, damaged, read_idx, read_npz
from matrixslow.io.tables import Table, read_csv


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Dataset:
    """Samples to train on and samples to test on.

    Args:
        train_x: The inputs to train on, float32; the first axis counts the samples.
        train_y: Their labels: class numbers, int64.
        test_x: The inputs to test on.
        test_y: Their labels.
        classes: The classes' names, by number.
        source: Who made the data, and their licence where it is known.
        features: The names of the columns of x, where it has any.

    >>> digits()                                                # doctest: +NORMALIZE_WHITESPACE
    Dataset(train_x (1437, 1, 8, 8) float32, train_y (1437,) int64,
            test_x (360, 1, 8, 8) float32, test_y (360,) int64, 10 classes)
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...]
    source: str
    features: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return _describe(self)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TabularDataset:
    """Rows of a table as factorization machines and wide-and-deep models want them.

    Each row has fields, which hold one of a few values and become ids, and numbers. One embedding
    for all fields together has `sum(sizes)` rows and is given `ids + offsets`.

    Args:
        train_ids: (rows, fields) int64; id 0 of a field: the value is missing, rare or new.
        train_numbers: (rows, numbers) float32, of mean 0 and deviation 1 over the training rows.
        train_y: Labels: class numbers, (rows,) int64.
        test_ids: As train_ids, of the rows to test on.
        test_numbers: As train_numbers; the training rows' mean and deviation are used.
        test_y: As train_y.
        train_rows: The training rows' positions in the table.
        test_rows: The test rows' positions in the table.
        table: The table as it was read.
        vocabularies: For each field its values by id; "" stands at id 0.
        numbers: The numbers' names.
        classes: The classes' names, by number.
        source: Who made the data, and their licence where it is known.
    """

    train_ids: Array
    train_numbers: Array
    train_y: Array
    test_ids: Array
    test_numbers: Array
    test_y: Array
    train_rows: Array
    test_rows: Array
    table: Table
    vocabularies: Mapping[str, tuple[str, ...]]
    numbers: tuple[str, ...]
    classes: tuple[str, ...]
    source: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many ids each field has."""
        return tuple(map(len, self.vocabularies.values()))

    @property
    def offsets(self) -> Array:
        """What to add to the ids so that no two fields share one, (fields,) int64."""
        return np.cumsum((0, *self.sizes[:-1]))

    def __repr__(self) -> str:
        return _describe(self)


def _describe(dataset: Dataset | TabularDataset) -> str:
    """The shapes and types of the arrays, not their numbers."""
    values = {each.name: getattr(dataset, each.name) for each in fields(dataset)}
    arrays = (
        f"{name} {value.shape} {value.dtype}"
        for name, value in values.items()
        if isinstance(value, np.ndarray)
    )
    return f"{type(dataset).__name__}({', '.join(arrays)}, {len(dataset.classes)} classes)"


def digits(*, test: float = 360, seed: int = 0) -> Dataset:
    """1,797 handwritten digits of 8x8 pixels, which come with the package.

    Each pixel counts the inked dots in a 4x4 block of a 32x32 bitmap, here divided by 16.

    Args:
        test: How many samples to test on, or which share of them.
        seed: Decides which; each digit keeps its share.

    Shapes: x (samples, 1, 8, 8) float32 in 0..1, y (samples,) int64.

    Source: "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998), UCI
    Machine Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0; the images of
    its test part.

    >>> data = digits()
    >>> data.train_x.shape, data.test_x.shape, data.classes[7]
    ((1437, 1, 8, 8), (360, 1, 8, 8), '7')
    """
    arrays = read_npz(Path(__file__).with_name("digits.npz"))
    x, y = arrays["images"][:, None] / np.float32(16), arrays["labels"].astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test=test, seed=seed, stratify=y)
    return Dataset(train_x, train_y, test_x, test_y, _DIGITS, source=str(arrays["about"]))


def mnist(*, folder: PathLike | None = None, download: bool = True) -> Dataset:
    """70,000 handwritten digits of 28x28 pixels, downloaded when they are not on this machine.

    Args:
        folder: The folder that holds `mnist/`; None looks wherever `data_folder` does.
        download: Whether to fetch 12 MB into the cache, when no folder is given and none has it.

    Shapes: x (60000 and 10000, 1, 28, 28) float32 in 0..1, y (60000 and 10000,) int64.

    Raises:
        DatasetMissing: The files are nowhere, and could not or should not be downloaded.
        FormatError: A file is damaged, or is none of this data set.

    Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".

    >>> data = mnist()  # doctest: +SKIP
    >>> data.train_x.shape, data.train_y[:3]  # doctest: +SKIP
    ((60000, 1, 28, 28), array([5, 0, 4]))
    """
    return _MNIST.read(folder, download)


def fashion_mnist(*, folder: PathLike | None = None, download: bool = True) -> Dataset:
    """70,000 pictures of clothes of 28x28 pixels, in the form of MNIST but harder.

    Args:
        folder: The folder that holds `fashion-mnist/`; None looks wherever `data_folder` does.
        download: Whether to fetch 31 MB into the cache, when no folder is given and none has it.

    Shapes: x (60000 and 10000, 1, 28, 28) float32 in 0..1, y (60000 and 10000,) int64.

    Raises:
        DatasetMissing: The files are nowhere, and could not or should not be downloaded.
        FormatError: A file is damaged, or is none of this data set.

    Source: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST" (2017), Zalando SE, MIT licence.

    >>> fashion_mnist().classes[:3]  # doctest: +SKIP
    ('T-shirt/top', 'trouser', 'pullover')
    """
    return _FASHION_MNIST.read(folder, download)


@dataclass(frozen=True, slots=True)
class _ImageFiles:
    """The four idx files of a data set in the form of MNIST, and where they can be had."""

    title: str
    folder: str
    mirrors: tuple[str, ...]
    checksums: Mapping[str, str]
    classes: tuple[str, ...]
    source: str

    def read(self, folder: PathLike | None, download: bool) -> Dataset:
        """The data set from its files, downloaded if they are nowhere and may be."""
        try:
            paths = find_files(self.title, [f"{self.folder}/{n}" for n in self.checksums], folder)
        except DatasetMissing:
            if folder is not None or not download:
                raise
            paths = download_files(self.title, self.checksums, self.mirrors, self.folder)
        train, test = self._part(*paths[:2]), self._part(*paths[2:])
        return Dataset(*train, *test, self.classes, self.source)

    def _part(self, images_path: Path, labels_path: Path) -> tuple[Array, Array]:
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            problem = f"{images.shape} {images.dtype} is no stack of 28x28 pictures"
        elif labels.shape != images.shape[:1] or labels.max(initial=0) >= len(self.classes):
            problem = f"its labels {labels.shape}, at most {labels.max(initial=0)}, do not fit"
        else:
            return images[:, None] / np.float32(255), labels.astype(np.int64)
        hint = f"put the four files of {self.title} in this folder"
        raise damaged("idx", images_path, problem, place="the header", hint=hint)


_DIGITS = tuple("0123456789")
_MNIST = _ImageFiles(
    title="MNIST",
    folder="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    checksums={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    classes=_DIGITS,
    source="Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits",
)
_FASHION_MNIST = _ImageFiles(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    checksums={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    classes=(
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    source="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST (2017), Zalando SE, MIT licence",
)


def iris(*, folder: PathLike | None = None, test: float = 0.2, seed: int = 0) -> Dataset:
    """Sepals and petals of 150 irises of three species, in centimetres.

    Args:
        folder: The folder that holds `Iris.csv`; None looks wherever `data_folder` does.
        test: Which share of the samples to test on, or how many of them.
        seed: Decides which; each species keeps its share.

    Shapes: x (samples, 4) float32, y (samples,) int64.

    Raises:
        DatasetMissing: The file is nowhere.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems" (1936).

    >>> iris().features  # doctest: +SKIP
    ('SepalLengthCm', 'SepalWidthCm', 'PetalLengthCm', 'PetalWidthCm')
    """
    (path,) = find_files("Iris", ["Iris.csv"], folder)
    table = read_csv(path)
    features = table.names[1:5]
    x = np.stack([table[name] for name in features], axis=1).astype(np.float32)
    species, y = np.unique(table["Species"], return_inverse=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test=test, seed=seed, stratify=y)
    classes = tuple(name.removeprefix("Iris-") for name in species.tolist())
    source = "R. A. Fisher, The use of multiple measurements in taxonomic problems (1936)"
    return Dataset(train_x, train_y, test_x, test_y, classes, source, features)


def articulary_word_recognition(*, folder: PathLike | None = None) -> Dataset:
    """575 recordings of 25 spoken words: nine sensors on tongue, lips and forehead, 144 steps.

    Args:
        folder: The folder that holds the two .arff.gz files; None looks wherever `data_folder`
            does.

    Shapes: x (275 and 300, 9, 144) float32: (samples, channels, steps); y (275 and 300,) int64.

    Raises:
        DatasetMissing: The files are nowhere.
        FormatError: A file is damaged.

    Source: J. Wang and others, recorded by an electromagnetic articulograph; A. Bagnall and
    others, "The UEA multivariate time series classification archive, 2018".

    >>> articulary_word_recognition().train_x.shape  # doctest: +SKIP
    (275, 9, 144)
    """
    name = "ArticularyWordRecognition"
    paths = find_files(name, [f"{name}_TRAIN.arff.gz", f"{name}_TEST.arff.gz"], folder)
    train, test = map(read_arff, paths)
    x, y = "relationalAtt", "classAttribute"
    return Dataset(
        *(train[x], train[y], test[x], test[y], train.classes[y]),
        source="J. Wang and others; the UEA multivariate time series classification archive, 2018",
    )


def titanic(
    *,
    folder: PathLike | None = None,
    test: float = 0.2,
    seed: int = 0,
    split: tuple[Array, Array] | None = None,
) -> TabularDataset:
    """891 passengers of the Titanic, and who survived.

    The fields are class, sex, port, title (from the name) and deck (from the cabin); a value seen
    less than five times among the training rows has id 0, as a missing one. The numbers are age,
    siblings and spouses, parents and children, log(1 + fare), and whether the age is known; a
    missing one is the mean. All that is learned from data is learned from the training rows alone.

    Args:
        folder: The folder that holds `titanic.csv`; None looks wherever `data_folder` does.
        test: Which share of the rows to test on, or how many of them.
        seed: Decides which; as many in each part survive.
        split: The rows to train on and to test on, as `k_fold` gives them; instead of `test`.

    Raises:
        DatasetMissing: The file is nowhere.

    Source: the passenger list in the form in which it is used for teaching, with 891 rows.

    >>> data = titanic()  # doctest: +SKIP
    >>> data.train_ids.shape, data.train_numbers.shape  # doctest: +SKIP
    ((712, 5), (712, 5))
    >>> data.sizes  # doctest: +SKIP
    (4, 3, 4, 7, 7)
    """
    (path,) = find_files("Titanic", ["titanic.csv"], folder)
    table = read_csv(path)
    y = table["Survived"]
    rows = np.arange(len(table))
    train, chosen = split or train_test_split(rows, test=test, seed=seed, stratify=y)
    titles = [re.search(r", *([^.]*)\.", name) for name in table["Name"].tolist()]
    values = {
        "class": table["Pclass"].astype(np.str_),
        "sex": table["Sex"],
        "port": table["Embarked"],
        "title": np.array([found[1] if found else "" for found in titles]),
        "deck": table["Cabin"].astype("U1"),
    }
    vocabularies = {name: _vocabulary(column[train]) for name, column in values.items()}
    ids = np.stack([_ids(values[name], vocabularies[name]) for name in values], axis=1)
    measured = {
        "age": table["Age"],
        "siblings and spouses": table["SibSp"],
        "parents and children": table["Parch"],
        "log fare": np.log1p(table["Fare"]),
        "age is known": ~table.missing["Age"],
    }
    raw = np.stack(list(measured.values()), axis=1)
    scaled = (raw - np.nanmean(raw[train], axis=0)) / np.nanstd(raw[train], axis=0)
    numbers = np.nan_to_num(scaled).astype(np.float32)
    return TabularDataset(
        *(ids[train], numbers[train], y[train]),
        *(ids[chosen], numbers[chosen], y[chosen]),
        train_rows=train,
        test_rows=chosen,
        table=table,
        vocabularies=vocabularies,
        numbers=tuple(measured),
        classes=("died", "survived"),
        source="the passenger list of the Titanic, in the form used for teaching",
    )


def _vocabulary(values: Array) -> tuple[str, ...]:
    """The values seen at least five times, in alphabetical order, after "" for all others."""
    counts = Counter(values.tolist())
    return ("", *sorted(value for value, count in counts.items() if value and count >= 5))


def _ids(values: Array, vocabulary: tuple[str, ...]) -> Array:
    """Each value's position in the vocabulary, or 0."""
    positions = {value: position for position, value in enumerate(vocabulary)}
    return np.array([positions.get(value, 0) for value in values.tolist()])
