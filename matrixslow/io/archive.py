"""Archives: named arrays and a header in one file, sealed with a checksum; no pickle.

A path that ends in `.safetensors` is written in that format (extra `safetensors`), any other as
NumPy's npz, which `numpy.load` reads too.

The seal is the SHA-256 of the whole file, with zeros in place of the seal itself. It stands at the
end of an npz file, as the comment of the zip, and at the start of a safetensors file's metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from matrixslow.core.spec import DTYPES
from matrixslow.errors import DTypeError, FormatError, MissingExtra
from matrixslow.files import replacing

CONTENT = "matrixslow.json"
"""The name of the part that says what the file is, and that holds the header."""

BLANK = b"0" * 64
"""What is in the place of the seal while it is computed."""

BEFORE_SEAL = rb"{\"seal\": \""
"""What stands before the seal in a safetensors file."""

Arrays = dict[str, NDArray[Any]]


def write_archive(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    kind: str,
    version: int,
) -> None:
    """Write arrays and a header, atomically: a reader sees the old file or the whole new one.

    Args:
        path: Where to.
        header: What JSON can hold.
        arrays: Arrays of numbers by name.
        kind: What is in it, in words.
        version: Of what the header and the arrays mean.

    Raises:
        DTypeError: An array does not hold numbers.
        MissingExtra: The path ends in `.safetensors`, and that package is not installed.
        OSError: The file cannot be written; the old one is left as it was.

    >>> ms.io.write_archive("a.npz", {"x": 1}, {"y": np.ones(2)}, kind="example", version=1)
    >>> ms.io.read_archive("a.npz", kind="example", version=1)
    ({'x': 1}, {'y': array([1., 1.])})
    """
    solid = {name: _solid(name, x) for name, x in arrays.items()}
    content = {"seal": BLANK.decode(), "kind": kind, "version": version, "header": header}
    write = _write_safetensors if Path(path).suffix == ".safetensors" else _write_npz
    with replacing(path) as file:
        write(file, json.dumps(content), solid)


def read_archive(
    path: str | os.PathLike[str], *, kind: str, version: int
) -> tuple[dict[str, Any], Arrays]:
    """The header and the arrays of an archive.

    Raises:
        FormatError: The file is damaged, cut off, not written by matrixslow, or of another kind or
            version.
        FileNotFoundError: There is no such file.
        MissingExtra: It is a safetensors file, and that package is not installed.
    """
    data = Path(path).read_bytes()
    if CONTENT.encode() not in data:
        raise FormatError(
            f"{os.fspath(path)}: not a file of matrixslow, or cut off at its beginning",
            hint="give a file that matrixslow wrote; plain arrays are read by ms.io.read_npz",
        )
    zipped = data.startswith(b"PK")
    start = len(data) - len(BLANK) if zipped else data.find(BEFORE_SEAL) + len(BEFORE_SEAL)
    if data[start : start + len(BLANK)] != _seal(data, start):
        raise FormatError(
            f"{os.fspath(path)}: the file is damaged, its checksum is wrong",
            hint="take another copy; nothing was loaded",
        )
    text, arrays = _read_npz(data) if zipped else _read_safetensors(data)
    content = json.loads(text)
    if (content["kind"], content["version"]) != (kind, version):
        raise FormatError(
            f"{os.fspath(path)}: a {kind} of version {version} is needed, it is a "
            f"{content['kind']} of version {content['version']}",
            hint="ms.io.load reads models, Trainer.resume reads checkpoints",
        )
    return content["header"], arrays


def _seal(data: bytes, start: int) -> bytes:
    """The seal of a file that has it, or zeros, at that place."""
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(BLANK)
    digest.update(memoryview(data)[start + len(BLANK) :])
    return digest.hexdigest().encode()


def _write_npz(file: BinaryIO, text: str, arrays: Arrays) -> None:
    hashed = _Hashed(file)
    with zipfile.ZipFile(hashed, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        archive.comment = BLANK
        with archive.open(CONTENT, "w") as member:  # which, unlike writestr, notes no time
            member.write(text.encode())
        for name, x in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, x, allow_pickle=False)
    file.seek(-len(BLANK), os.SEEK_END)
    file.write(hashed.digest.hexdigest().encode())


def _read_npz(data: bytes) -> tuple[str, Arrays]:
    arrays: Arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name != CONTENT:
                member = io.BytesIO(archive.read(name))
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(
                    member, allow_pickle=False
                )
        return archive.read(CONTENT).decode(), arrays


def _write_safetensors(file: BinaryIO, text: str, arrays: Arrays) -> None:
    data: bytes = _safetensors().save(arrays, metadata={CONTENT: text})
    start = data.index(BEFORE_SEAL) + len(BEFORE_SEAL)
    file.write(data[:start] + _seal(data, start) + data[start + len(BLANK) :])


def _read_safetensors(data: bytes) -> tuple[str, Arrays]:
    length = int.from_bytes(data[:8], "little")
    text: str = json.loads(data[8 : 8 + length])["__metadata__"][CONTENT]
    return text, _safetensors().load(data)


class _Hashed:
    """A file that is written from its start to its end, with the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _solid(name: str, x: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(x, order="C")
    if array.dtype not in DTYPES:
        raise DTypeError(
            f"write_archive: {name!r} holds {array.dtype}",
            hint=f"give one of {', '.join(DTYPES.values())}",
        )
    return array


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtra(
            "files that end in .safetensors need the package safetensors, which is not installed",
            hint="pip install 'matrixslow[safetensors]', or save as .npz",
        ) from error
    return safetensors.numpy
