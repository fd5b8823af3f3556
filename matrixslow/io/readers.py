"""Files of arrays: idx, as MNIST comes, and npz, as NumPy writes it. Both may be gzipped."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matrixslow.errors import FormatError

Array: TypeAlias = NDArray[Any]
PathLike: TypeAlias = str | os.PathLike[str]

_GZIP_MAGIC = b"\x1f\x8b"

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# RuntimeError and ValueError: a damaged byte reads as a newer format, a password, a wrong offset.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)

_FETCH_AGAIN = "fetch the file again, it is damaged or cut off"


def damaged(kind: str, path: PathLike, problem: str, *, place: str, hint: str) -> FormatError:
    """The error for a file that cannot be read: which file, what is wrong, where, what to do."""
    name = os.fspath(path)
    return FormatError(f"{kind} file '{name}': {problem}", rows=(f"place  {place}",), hint=hint)


def read_bytes(path: PathLike) -> bytes:
    """All bytes of a file, unpacked when the file is gzipped (whatever its name says).

    Raises:
        FormatError: The gzip data are damaged or cut off.
    """
    data = Path(path).read_bytes()
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        problem, place = "the compressed data stop early", f"byte {len(data)}, the file's end"
    except (gzip.BadGzipFile, zlib.error) as error:
        problem, place = f"the compressed data are wrong: {error}", f"within {len(data)} bytes"
    raise damaged("gzip", path, problem, place=place, hint=_FETCH_AGAIN)


def read_text(kind: str, path: PathLike) -> str:
    """The text of a UTF-8 file, gzipped or not, without a byte order mark.

    Raises:
        FormatError: The file is not UTF-8.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"byte {data[error.start]:#04x} is no UTF-8 text"
        place = f"line {line}, byte {error.start}"
        raise damaged(kind, path, problem, place=place, hint="save it as UTF-8 text") from None


def read_idx(path: PathLike) -> Array:
    """The array in an idx file, gzipped or not: MNIST's format, all six element types.

    Args:
        path: The file.

    Returns:
        An array of the shape and type that the file declares, in this machine's byte order.

    Raises:
        FormatError: The file is no idx file, or its length does not fit its header.

    Source: the format is described on the page of the MNIST database (Y. LeCun).

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "three.idx")
    ...     _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        problem = f"it begins with {data[:4]!r}, not with two zero bytes and an element type"
        hint = "give an idx file, or fetch this one again"
        raise damaged("idx", path, problem, place="byte 0", hint=hint)
    dtype, axes = np.dtype(_IDX_TYPES[data[2]]), data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        problem = f"the header stops early: {axes} axes need {start} bytes, {len(data)} came"
        raise damaged("idx", path, problem, place=f"byte {len(data)}", hint=_FETCH_AGAIN)
    shape = struct.unpack_from(f">{axes}I", data, 4)
    needed, came = math.prod(shape) * dtype.itemsize, len(data) - start
    if needed != came:
        problem = f"{shape} {dtype.newbyteorder('=')} needs {needed} bytes of data, {came} came"
        raise damaged("idx", path, problem, place=f"byte {start}", hint=_FETCH_AGAIN)
    return np.ndarray(shape, dtype, data, start).astype(dtype.newbyteorder("="))


def read_npz(path: PathLike) -> dict[str, Array]:
    """The arrays in an npz file by name. Pickled objects are refused, checksums are verified.

    Args:
        path: The file, as `numpy.savez` or `numpy.savez_compressed` writes it.

    Raises:
        FormatError: The file is no npz file, is damaged, or holds pickled objects.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "numbers.npz")
    ...     np.savez(path, odd=[1, 3, 5])
    ...     read_npz(path)
    {'odd': array([1, 3, 5])}
    """
    data = read_bytes(path)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_ERRORS as error:
        problem = f"it is no complete zip archive: {error}"
        hint = "give a file written by numpy.savez, or fetch this one again"
        place = f"byte {len(data)}, where its table of contents should end"
        raise damaged("npz", path, problem, place=place, hint=hint) from None
    return {
        entry.filename.removesuffix(".npy"): _read_entry(path, archive, entry)
        for entry in archive.infolist()
    }


def _read_entry(path: PathLike, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """One array of an npz file."""
    place = f"entry '{entry.filename}', byte {entry.header_offset}"
    try:
        # The whole entry first: only that compares its checksum before anything is believed.
        member = io.BytesIO(archive.read(entry))
    except _ZIP_ERRORS as error:
        problem = f"an entry cannot be unpacked: {error}"
        raise damaged("npz", path, problem, place=place, hint=_FETCH_AGAIN) from None
    try:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
    except (ValueError, EOFError) as error:
        problem = f"an entry is no plain array: {error}"
        hint = "keep numbers and text only; nothing is ever unpickled"
        raise damaged("npz", path, problem, place=place, hint=hint) from None
    return array
