"""idx and npz files: right, damaged at every place, and foreign."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from matrixslow.errors import FormatError
from matrixslow.io import read_csv, read_idx, read_npz

IDX_CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """The array as an idx file, written after the format's description."""
    header = bytes([0, 0, IDX_CODES[array.dtype.name], array.ndim])
    shape = np.array(array.shape, ">u4").tobytes()
    return header + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def npz_bytes(save: Callable[..., None], **values: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **values)
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def message(path: Path, read: Callable[[Path], object]) -> str:
    """The refusal of a file, with its folder left out."""
    with pytest.raises(FormatError) as caught:
        read(path)
    return str(caught.value).replace(str(path), "file")


# ---- idx --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("dtype", IDX_CODES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3, 2), (0, 4)])
def test_idx_comes_back(
    path: Path, dtype: str, shape: tuple[int, ...], pack: Callable[[bytes], bytes]
) -> None:
    array = (np.arange(np.prod(shape)) * 37 % 251).astype(dtype).reshape(shape)
    path.write_bytes(pack(idx_bytes(array)))
    read = read_idx(path)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)
    assert read.shape == shape


@given(arrays(np.int16, array_shapes(max_dims=4, max_side=5)))
def test_any_idx_comes_back(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_idx_cut_off_anywhere_is_refused(path: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(idx_bytes(np.arange(6, dtype=np.int32).reshape(2, 3)))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert "file 'file': " in message(path, read_idx)


IDX = idx_bytes(np.arange(6, dtype=np.int32).reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"<html>not here</html>",
            "idx file 'file': it begins with b'<htm', not with two zero bytes and an element type\n"
            "  place  byte 0\n"
            "  hint   give an idx file, or fetch this one again",
        ),
        (
            IDX[:7],
            "idx file 'file': the header stops early: 2 axes need 12 bytes, 7 came\n"
            "  place  byte 7\n"
            "  hint   fetch the file again, it is damaged or cut off",
        ),
        (
            IDX[:-1],
            "idx file 'file': (2, 3) int32 needs 24 bytes of data, 23 came\n"
            "  place  byte 12\n"
            "  hint   fetch the file again, it is damaged or cut off",
        ),
        (
            IDX + b"!",
            "idx file 'file': (2, 3) int32 needs 24 bytes of data, 25 came\n"
            "  place  byte 12\n"
            "  hint   fetch the file again, it is damaged or cut off",
        ),
        (
            gzip.compress(IDX, mtime=0)[:20],
            "gzip file 'file': the compressed data stop early\n"
            "  place  byte 20, the file's end\n"
            "  hint   fetch the file again, it is damaged or cut off",
        ),
        (
            gzip.compress(IDX, mtime=0)[:-8] + bytes(8),
            "gzip file 'file': the compressed data are wrong: CRC check failed\n"
            "  place  within 38 bytes\n"
            "  hint   fetch the file again, it is damaged or cut off",
        ),
    ],
    ids=["foreign", "header", "short", "long", "gzip short", "gzip wrong"],
)
def test_idx_refusals(path: Path, data: bytes, expected: str) -> None:
    path.write_bytes(data)
    assert message(path, read_idx) == expected


def test_mnist_is_read_fast_and_right(data_folder: Path) -> None:
    begin = perf_counter()
    images = read_idx(data_folder / "mnist" / "train-images-idx3-ubyte.gz")
    labels = read_idx(data_folder / "mnist" / "train-labels-idx1-ubyte.gz")
    assert perf_counter() - begin < 5  # about 0.2 s where nothing else runs
    assert images.shape == (60000, 28, 28)
    assert images.dtype == np.uint8
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the mean commonly quoted
    assert np.bincount(labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]


# ---- npz --------------------------------------------------------------------------------------

ARRAYS = {
    "whole": np.arange(30),
    "part": np.linspace(0, 1, 12).reshape(3, 4).astype(np.float32),
    "text": np.array(["a", "größer"]),
    "one": np.array(3.5),
    "none": np.zeros((0, 2)),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_comes_back(path: Path, save: Callable[..., None]) -> None:
    path.write_bytes(npz_bytes(save, **ARRAYS))
    read = read_npz(path)
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array, strict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_never_gives_other_numbers(path: Path, save: Callable[..., None]) -> None:
    whole = npz_bytes(save, whole=ARRAYS["whole"], part=ARRAYS["part"])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert "file 'file': " in message(path, read_npz)
    refused = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        path.write_bytes(flipped)
        try:
            read = read_npz(path)
        except FormatError:
            refused += 1
        else:  # the byte was a date or a note, or part of a name
            for name in read.keys() & ARRAYS.keys():
                np.testing.assert_array_equal(read[name], ARRAYS[name])
    assert refused > len(whole) / 2


def test_npz_refusals(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY and so on")
    assert message(path, read_npz) == (
        "npz file 'file': it is no complete zip archive: File is not a zip file\n"
        "  place  byte 16, where its table of contents should end\n"
        "  hint   give a file written by numpy.savez, or fetch this one again"
    )
    path.write_bytes(npz_bytes(np.savez, evil=np.array([print], object)))
    assert message(path, read_npz) == (
        "npz file 'file': an entry is no plain array: "
        "Object arrays cannot be loaded when allow_pickle=False\n"
        "  place  entry 'evil.npy', byte 0\n"
        "  hint   keep numbers and text only; nothing is ever unpickled"
    )
    whole = npz_bytes(np.savez, x=np.arange(3))
    path.write_bytes(whole.replace(np.arange(3).tobytes(), np.arange(1, 4).tobytes()))
    assert message(path, read_npz) == (
        "npz file 'file': an entry cannot be unpacked: Bad CRC-32 for file 'x.npy'\n"
        "  place  entry 'x.npy', byte 0\n"
        "  hint   fetch the file again, it is damaged or cut off"
    )


# ---- any file ---------------------------------------------------------------------------------


@pytest.fixture(params=[read_idx, read_npz, read_csv], ids=lambda read: str(read.__name__))
def reader(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return request.param


def test_a_file_that_is_not_there_is_no_format_error(
    path: Path, reader: Callable[[Path], object]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*file"):
        reader(path)


@given(st.binary(max_size=200))
def test_noise_is_refused_in_one_way(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(data)
    for read in (read_idx, read_npz):
        assert "file 'file': " in message(path, read)
