"""Archives: what goes in comes out, damage is always seen, and a failing write changes nothing."""

from __future__ import annotations

import math
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.core.spec import DTYPES
from matrixslow.errors import DTypeError, FormatError, MissingExtra
from matrixslow.files import replacing, write_text
from matrixslow.io import read_archive, write_archive

SUFFIXES = (".npz", ".safetensors")

HEADER = {"text": "权重", "list": [1, 2.5, None, True], "nested": {"inf": math.inf}}

ARRAYS = {
    "fc1/W": np.arange(6, dtype="float32").reshape(2, 3),
    "scalar": np.array(3.0),
    "empty": np.zeros((0, 4), "int64"),
    "turned": np.arange(6.0).reshape(2, 3).T,
    "层/偏置": np.array([True, False]),
    **{f"as {name}": np.array([0, 1, 100]).astype(dtype) for dtype, name in DTYPES.items()},
}

ROOT = Path(__file__).resolve().parents[1]


def write(path: Path, header: Any = HEADER, arrays: Any = ARRAYS) -> Path:
    write_archive(path, header, arrays, kind="test", version=3)
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_archive(path, kind="test", version=3)


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        assert found[name].dtype == x.dtype
        assert found[name].shape == x.shape
        np.testing.assert_array_equal(found[name], x)


# ---- what goes in comes out -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_goes_in_comes_out(tmp_path: Path, suffix: str) -> None:
    header, arrays = read(write(tmp_path / f"a{suffix}"))
    assert header == HEADER
    assert_same(arrays, ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_an_archive_too(tmp_path: Path, suffix: str) -> None:
    assert read(write(tmp_path / f"a{suffix}", {}, {})) == ({}, {})


def test_numpy_reads_it(tmp_path: Path) -> None:
    with np.load(write(tmp_path / "a.npz"), allow_pickle=False) as archive:
        assert_same({name: archive[name] for name in archive if name in ARRAYS}, ARRAYS)


def test_safetensors_reads_it(tmp_path: Path) -> None:
    assert_same(safetensors.numpy.load_file(write(tmp_path / "a.safetensors")), ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_under_another_name_is_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}").rename(tmp_path / "a.backup")
    assert_same(read(path)[1], ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_content_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, second = write(tmp_path / f"a{suffix}"), write(tmp_path / f"b{suffix}")
    assert first.read_bytes() == second.read_bytes()


# ---- damage -----------------------------------------------------------------------------------

DAMAGED = re.compile(
    r".*: (the file is damaged, its checksum is wrong"
    r"\n  hint   take another copy; nothing was loaded"
    r"|not a file of matrixslow, or cut off at its beginning"
    r"\n  hint   give a file that matrixslow wrote; plain arrays are read by ms.io.read_npz)"
)


def assert_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read(path)
    assert DAMAGED.fullmatch(str(caught.value)), str(caught.value)


@pytest.fixture(scope="module", params=SUFFIXES)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return write(folder / f"a{request.param}", {"rate": 1e-5}, {"w": np.arange(3.0)})


def test_every_byte_counts(small: Path, rng: np.random.Generator) -> None:
    data = small.read_bytes()
    damaged = small.with_name("damaged")
    for place, bit in enumerate(rng.integers(8, size=len(data))):
        changed = bytearray(data)
        changed[place] ^= 1 << int(bit)
        assert_refused(damaged, bytes(changed))


def test_a_file_cut_off_anywhere(small: Path) -> None:
    data = small.read_bytes()
    damaged = small.with_name("damaged")
    for length in (*range(0, len(data), 7), *range(len(data) - 80, len(data))):
        assert_refused(damaged, data[:length])


@given(flips=st.sets(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1))
def test_bits_flipped_anywhere(small: Path, flips: set[tuple[float, int]]) -> None:
    data = small.read_bytes()
    changed = bytearray(data)
    for place, bit in flips:
        changed[int(place * len(data))] ^= 1 << bit
    if changed != data:
        assert_refused(small.with_name("damaged"), bytes(changed))


@given(place=st.floats(0, 1), more=st.binary(min_size=1))
def test_bytes_that_do_not_belong(small: Path, place: float, more: bytes) -> None:
    data = small.read_bytes()
    cut = int(place * len(data))
    assert_refused(small.with_name("damaged"), data[:cut] + more + data[cut:])


@pytest.mark.parametrize("name", ["zip", "npz", "safetensors", "text", "pickle", "nothing"])
def test_foreign_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"foreign.{name}"
    if name == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "hello")
    elif name == "npz":
        np.savez(path, w=np.ones(3))
    elif name == "safetensors":
        safetensors.numpy.save_file({"w": np.ones(3)}, path)
    else:
        path.write_bytes({"text": b"a,b\n1,2\n", "pickle": pickle.dumps([1]), "nothing": b""}[name])
    with pytest.raises(FormatError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path}: not a file of matrixslow, or cut off at its beginning\n"
        "  hint   give a file that matrixslow wrote; plain arrays are read by ms.io.read_npz"
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_kind_or_version(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}")
    for kind, version in (("test", 4), ("other", 3)):
        with pytest.raises(FormatError) as caught:
            read_archive(path, kind=kind, version=version)
        assert str(caught.value) == (
            f"{path}: a {kind} of version {version} is needed, it is a test of version 3\n"
            "  hint   ms.io.load reads models, Trainer.resume reads checkpoints"
        )


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "absent.npz"))):
        read(tmp_path / "absent.npz")


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("x", [np.array([None]), np.array([1j]), np.array(["a"])])
def test_only_numbers_are_written(tmp_path: Path, suffix: str, x: Any) -> None:
    path = write(tmp_path / f"a{suffix}")
    with pytest.raises(DTypeError) as caught:
        write(path, arrays={"w": np.ones(3), "odd": x})
    assert str(caught.value) == (
        f"write_archive: 'odd' holds {x.dtype}\n"
        "  hint   give one of bool, float16, float32, float64, int8, int16, int32, int64, uint8, "
        "uint16, uint32, uint64"
    )
    assert_same(read(path)[1], ARRAYS)


def test_safetensors_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for act in (write, read):
        with pytest.raises(MissingExtra) as caught:
            act(path)
        assert str(caught.value) == (
            "files that end in .safetensors need the package safetensors, which is not installed\n"
            "  hint   pip install 'matrixslow[safetensors]', or save as .npz"
        )
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, call: str
) -> None:
    path = write(tmp_path / f"a{suffix}")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            write(path, {}, {"w": np.zeros(5)})
    assert os.listdir(tmp_path) == [path.name]
    assert_same(read(path)[1], ARRAYS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource", reason="no limits on file sizes on this system")
    assert resource.RLIMIT_FSIZE
    path = write(tmp_path / f"a{suffix}")
    program = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from matrixslow.io import write_archive\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    write_archive(sys.argv[1], {}, {'w': np.zeros(10_000)}, kind='test', version=3)\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert result.stdout == "File too large\n"
    assert os.listdir(tmp_path) == [path.name]
    assert_same(read(path)[1], ARRAYS)


def test_an_interrupted_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert os.listdir(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


def test_a_reader_sees_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "老")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text("utf-8") == "老"
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    before = os.umask(0o027)
    try:
        write_text(path, "one")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    link.symlink_to(path)
    write_text(link, "two")
    assert path.stat().st_mode & 0o777 == 0o604
    assert link.is_symlink()
    assert path.read_text() == "two"
