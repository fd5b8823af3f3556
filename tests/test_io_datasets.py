"""Data sets by name: where they are found, how they are fetched, what they hold."""

from __future__ import annotations

import errno
import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from matrixslow.errors import DatasetMissing, FormatError, MatrixSlowError
from matrixslow.io import (
    articulary_word_recognition,
    data_folder,
    datasets,
    digits,
    fashion_mnist,
    iris,
    k_fold,
    mnist,
    read_npz,
    titanic,
)
from matrixslow.io.datasets import Dataset
from matrixslow.io.folders import download_files


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no data set on it, and no network that a test could reach by mistake."""
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MATRIXSLOW_DATA", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def refusal(kind: type[Exception], act: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        act()
    return str(caught.value)


def check(data: Dataset, classes: int) -> None:
    """What every data set promises."""
    assert len(data.classes) == classes
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert len(x) == len(y)
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        assert np.isfinite(x).all()
        assert set(y.tolist()) == set(range(classes))


# ---- the sets ---------------------------------------------------------------------------------


def test_digits_are_scikit_learns_and_name_their_licence() -> None:
    arrays = read_npz(Path(datasets.__file__).with_name("digits.npz"))
    theirs = load_digits()
    np.testing.assert_array_equal(arrays["images"], theirs.images)
    np.testing.assert_array_equal(arrays["labels"], theirs.target)
    source = digits().source
    for part in ("E. Alpaydin and C. Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert part in source
    assert Path(datasets.__file__).with_name("digits.npz").stat().st_size < 100_000


def test_digits_are_split_by_the_seed_evenly() -> None:
    data = digits()
    check(data, 10)
    assert data.train_x.shape == (1437, 1, 8, 8)
    assert data.test_x.shape == (360, 1, 8, 8)
    assert (data.train_x.min(), data.train_x.max()) == (0, 1)
    assert np.bincount(data.test_y).min() >= 34
    together = np.concatenate([data.train_x, data.test_x]) * 16
    rows = sorted(map(tuple, together.reshape(1797, 64).tolist()))
    assert rows == sorted(map(tuple, load_digits().data.tolist()))
    np.testing.assert_array_equal(data.test_x, digits(seed=0).test_x)
    assert not np.array_equal(data.test_y, digits(seed=1).test_y)
    assert len(digits(test=0.5).test_y) == 899
    assert repr(data) == (
        "Dataset(train_x (1437, 1, 8, 8) float32, train_y (1437,) int64, "
        "test_x (360, 1, 8, 8) float32, test_y (360,) int64, 10 classes)"
    )


def test_mnist(data_folder: Path) -> None:
    data = mnist(folder=data_folder)
    check(data, 10)
    assert data.train_x.shape == (60000, 1, 28, 28)
    assert data.test_x.shape == (10000, 1, 28, 28)
    assert (data.train_x.min(), data.train_x.max()) == (0, 1)
    assert data.test_y[:5].tolist() == [7, 2, 1, 0, 4]
    raw = gzip.decompress((data_folder / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert (data.test_x[-1] * 255).astype(np.uint8).tobytes() == raw[-784:]


def test_iris(data_folder: Path) -> None:
    data = iris(folder=data_folder)
    check(data, 3)
    assert data.train_x.shape == (120, 4)
    assert data.features == ("SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm")
    assert data.classes == ("setosa", "versicolor", "virginica")
    assert np.bincount(data.test_y).tolist() == [10, 10, 10]
    setosa = data.train_x[data.train_y == 0]
    assert setosa[:, 2].max() < 2 < data.train_x[data.train_y > 0][:, 2].min()


def test_articulary_word_recognition(data_folder: Path) -> None:
    data = articulary_word_recognition(folder=data_folder)
    check(data, 25)
    assert data.train_x.shape == (275, 9, 144)
    assert data.test_x.shape == (300, 9, 144)
    assert data.classes[0] == "1.0"


def test_titanic_is_encoded_as_documented(data_folder: Path) -> None:
    data = titanic(folder=data_folder)
    assert data.train_ids.shape == (712, 5)
    assert data.test_numbers.shape == (179, 5)
    assert sorted([*data.train_rows, *data.test_rows]) == list(range(891))
    np.testing.assert_array_equal(data.table["Survived"][data.test_rows], data.test_y)
    assert data.train_y.mean() == pytest.approx(data.test_y.mean(), abs=0.005)
    assert data.train_numbers.dtype == np.float32
    np.testing.assert_allclose(data.train_numbers.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.train_numbers[:, 1:].std(axis=0), 1, atol=1e-4)
    for ids in (data.train_ids, data.test_ids):
        assert (ids.min(axis=0) >= 0).all()
        assert (ids.max(axis=0) < data.sizes).all()
    assert data.sizes == tuple(len(words) for words in data.vocabularies.values())
    flat = data.train_ids + data.offsets
    assert flat.max() < sum(data.sizes)
    assert len(np.unique(flat)) == sum(len(np.unique(column)) for column in data.train_ids.T)
    assert repr(data).startswith("TabularDataset(train_ids (712, 5) int64, train_numbers (712, 5)")

    row = int(np.flatnonzero(data.train_rows == 1)[0])  # Mrs. John Bradley Cumings, cabin C85
    words = [
        vocabulary[number]
        for vocabulary, number in zip(data.vocabularies.values(), data.train_ids[row], strict=True)
    ]
    assert words == ["1", "female", "C", "Mrs", "C"]


def test_titanic_takes_a_split(data_folder: Path) -> None:
    folds = k_fold(891, 5)
    parts = [titanic(folder=data_folder, split=fold) for fold in folds]
    for part, (train, test) in zip(parts, folds, strict=True):
        np.testing.assert_array_equal(part.train_rows, train)
        np.testing.assert_array_equal(part.test_y, part.table["Survived"][test])
        np.testing.assert_allclose(part.train_numbers.mean(axis=0), 0, atol=1e-5)


def test_titanic_learns_nothing_from_the_test_rows(data_folder: Path, tmp_path: Path) -> None:
    data = titanic(folder=data_folder)
    lines = (data_folder / "titanic.csv").read_text("utf-8").splitlines()
    for row in data.test_rows:
        number, survived, *_ = lines[row + 1].split(",")
        lines[row + 1] = f'{number},{survived},9,"X, New. Y",robot,400,90,90,T,9999,Z1,Z'
    (tmp_path / "titanic.csv").write_text("\n".join(lines), "utf-8")
    other = titanic(folder=tmp_path)
    np.testing.assert_array_equal(data.train_rows, other.train_rows)
    np.testing.assert_array_equal(data.train_ids, other.train_ids)
    np.testing.assert_array_equal(data.train_numbers, other.train_numbers)
    assert data.vocabularies == other.vocabularies
    assert not other.test_ids.any()


def test_a_missing_age_is_the_mean(data_folder: Path) -> None:
    data = titanic(folder=data_folder)
    missing = data.table.missing["Age"][data.train_rows]
    age, known = data.numbers.index("age"), data.numbers.index("age is known")
    assert not data.train_numbers[missing, age].any()
    assert (data.train_numbers[missing, known] < 0).all()
    assert (data.train_numbers[~missing, known] > 0).all()
    ages = data.table["Age"][data.train_rows][~missing]
    expected = (ages - ages.mean()) / ages.std()
    np.testing.assert_allclose(data.train_numbers[~missing, age], expected, atol=1e-5)


# ---- where they are found ---------------------------------------------------------------------


def test_folders_are_searched_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = home / ".cache" / "matrixslow"
    shared = home.parent / "shared" / "data"
    named = home.parent / "named"
    assert refusal(DatasetMissing, data_folder) == (
        "data folder: there is none\n"
        "  looked ../shared/data\n"
        f"  looked {cache}\n"
        "  hint   create one of them, or name another in MATRIXSLOW_DATA"
    )
    cache.mkdir(parents=True)
    assert data_folder() == cache
    shared.mkdir(parents=True)
    assert data_folder().resolve() == shared
    monkeypatch.setenv("MATRIXSLOW_DATA", str(named))
    assert data_folder().resolve() == shared
    named.mkdir()
    assert data_folder() == named
    assert data_folder(folder=cache) == cache


IRIS = "Id,a,b,c,d,Species\n" + "".join(f"{i},1,2,3,{i},{'xy'[i % 2]}\n" for i in range(10))


def test_a_set_is_taken_from_the_first_folder_that_has_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = home.parent / "shared" / "data"
    shared.mkdir(parents=True)
    (shared / "Iris.csv").write_text(IRIS)
    (home.parent / "named").mkdir()
    monkeypatch.setenv("MATRIXSLOW_DATA", str(home.parent / "named"))
    assert iris().features == ("a", "b", "c", "d")
    with pytest.raises(DatasetMissing):
        iris(folder=home.parent / "named")


@pytest.mark.parametrize(
    ("read", "title", "names"),
    [
        (iris, "Iris", "Iris.csv"),
        (titanic, "Titanic", "titanic.csv"),
        (
            articulary_word_recognition,
            "ArticularyWordRecognition",
            "ArticularyWordRecognition_TRAIN.arff.gz, ArticularyWordRecognition_TEST.arff.gz",
        ),
        (
            partial(mnist, download=False),
            "MNIST",
            "mnist/train-images-idx3-ubyte.gz, mnist/train-labels-idx1-ubyte.gz, "
            "mnist/t10k-images-idx3-ubyte.gz, mnist/t10k-labels-idx1-ubyte.gz",
        ),
    ],
)
def test_a_missing_set_says_where_it_was_looked_for(
    home: Path, read: Callable[..., object], title: str, names: str
) -> None:
    assert refusal(DatasetMissing, read) == (
        f"{title}: no folder holds {names}\n"
        "  looked ../shared/data\n"
        f"  looked {home / '.cache' / 'matrixslow'}\n"
        "  hint   put the files there, or name their folder in folder= or in MATRIXSLOW_DATA"
    )
    assert refusal(DatasetMissing, lambda: read(folder="here")) == (
        f"{title}: no folder holds {names}\n"
        "  looked here\n"
        "  hint   put the files there, or name their folder in folder= or in MATRIXSLOW_DATA"
    )


def test_a_missing_set_is_a_missing_file() -> None:
    assert issubclass(DatasetMissing, MatrixSlowError)
    assert issubclass(DatasetMissing, FileNotFoundError)


# ---- downloads --------------------------------------------------------------------------------


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = partial(_Handler, directory=str(folder))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()
        thread.join()


def checksum(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def idx(*shape: int) -> bytes:
    count = int(np.prod(shape))
    head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    return head + (np.arange(count) % 10).astype(np.uint8).tobytes()


def small_fashion(folder: Path, address: str) -> Any:
    """Fashion-MNIST's description with four small files in place of the real ones."""
    shapes = ((20, 28, 28), (20,), (10, 28, 28), (10,))
    checksums = {}
    for name, shape in zip(datasets._FASHION_MNIST.checksums, shapes, strict=True):
        data = gzip.compress(idx(*shape))
        (folder / name).write_bytes(data)
        checksums[name] = checksum(data)
    return replace(datasets._FASHION_MNIST, checksums=checksums, mirrors=(address,))


def test_a_set_is_downloaded_once(
    home: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = mirror
    small = small_fashion(folder, address)
    monkeypatch.setattr(datasets, "_FASHION_MNIST", small)
    data = fashion_mnist()
    check(data, 10)
    assert data.train_x.shape == (20, 1, 28, 28)
    cache = home / ".cache" / "matrixslow" / "fashion-mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(small.checksums)
    for path in folder.iterdir():
        path.unlink()
    np.testing.assert_array_equal(fashion_mnist().test_x, data.test_x)
    # With one file gone the other three are kept, and only that one is asked for.
    lost = next(iter(small.checksums))
    (cache / lost).unlink()
    with pytest.raises(DatasetMissing, match=lost):
        fashion_mnist()
    assert len(list(cache.iterdir())) == 3
    (folder / lost).write_bytes(gzip.compress(idx(20, 28, 28)))
    assert fashion_mnist().train_x.shape == (20, 1, 28, 28)


def test_a_folder_that_is_given_is_not_filled_by_a_download(
    home: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = mirror
    monkeypatch.setattr(datasets, "_FASHION_MNIST", small_fashion(folder, address))
    with pytest.raises(DatasetMissing, match="no folder holds"):
        fashion_mnist(folder=home)
    assert not home.exists()


def test_the_next_mirror_is_tried(home: Path, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    (folder / "wrong").mkdir()
    (folder / "wrong" / "file").write_bytes(b"something else")
    (folder / "file").write_bytes(b"right")
    mirrors = (f"{address}none/", f"{address}wrong/", address)
    paths = download_files("Set", {"file": checksum(b"right")}, mirrors, "set")
    assert paths == (home / ".cache" / "matrixslow" / "set" / "file",)
    assert paths[0].read_bytes() == b"right"


def test_a_failed_download_says_what_every_mirror_did(home: Path, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    (folder / "file").write_bytes(b"something else")
    with HTTPServer(("127.0.0.1", 0), _Handler) as closed:
        dead = f"http://127.0.0.1:{closed.server_port}/"
    came, wanted = checksum(b"something else"), checksum(b"right")
    mirrors = (dead, f"{address}none/", address)
    message = refusal(DatasetMissing, lambda: download_files("Set", {"file": wanted}, mirrors, "s"))
    assert message == (
        "Set: it is not on this machine and could not be downloaded\n"
        f"  tried  {dead}file: <urlopen error [Errno {errno.ECONNREFUSED}] Connection refused>\n"
        f"  tried  {address}none/file: HTTP Error 404: File not found\n"
        f"  tried  {address}file: its MD5 checksum is {came}, not {wanted}\n"
        f"  hint   check the network, or put the files into {home / '.cache' / 'matrixslow' / 's'}"
    )
    assert not home.exists()


def test_a_download_that_breaks_off_leaves_nothing(
    home: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = mirror
    (folder / "file").write_bytes(b"right")

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", break_off)
    with suppress(KeyboardInterrupt):
        download_files("Set", {"file": checksum(b"right")}, (address,), "set")
    cache = home / ".cache" / "matrixslow" / "set"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "data", "problem"),
    [
        (0, idx(20, 8, 8), "(20, 8, 8) uint8 is no stack of 28x28 pictures"),
        (1, idx(19), "its labels (19,), at most 9, do not fit"),
    ],
)
def test_files_of_another_set_are_refused(
    tmp_path: Path, place: int, data: bytes, problem: str
) -> None:
    (tmp_path / "fashion-mnist").mkdir()
    small_fashion(tmp_path / "fashion-mnist", "")
    names = list(datasets._FASHION_MNIST.checksums)
    (tmp_path / "fashion-mnist" / names[place]).write_bytes(data)
    assert refusal(FormatError, lambda: fashion_mnist(folder=tmp_path)) == (
        f"idx file '{tmp_path / 'fashion-mnist' / names[0]}': {problem}\n"
        "  place  the header\n"
        "  hint   put the four files of Fashion-MNIST in this folder"
    )


def test_the_checksums_are_the_published_ones() -> None:
    for files in (datasets._MNIST, datasets._FASHION_MNIST):
        assert len(files.mirrors) == 2
        assert len(set(files.checksums.values())) == 4
        assert {len(bytes.fromhex(md5)) for md5 in files.checksums.values()} == {16}
    assert not set(datasets._MNIST.checksums.values()) & set(
        datasets._FASHION_MNIST.checksums.values()
    )
