"""Archives: named arrays and a header in one file, with checksums; no pickle.

A path that ends in `.safetensors` is written in that format (extra `safetensors`), any other as
NumPy's npz, which `numpy.load` reads too.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.core.spec import DTYPES
from matrixslow.errors import FormatError, MissingExtra
from matrixslow.files import replacing

HEADER = "matrixslow.json"

Arrays = dict[str, NDArray[Any]]


def write_archive(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write arrays and a header, atomically: a reader sees the old file or the whole new one.

    Args:
        path: Where to.
        header: What JSON can hold.
        arrays: Arrays by name.

    Raises:
        MissingExtra: The path ends in `.safetensors`, and that package is not installed.
        OSError: The file cannot be written; the old one is left as it was.
    """
    solid = {name: np.ascontiguousarray(x).reshape(np.shape(x)) for name, x in arrays.items()}
    text = json.dumps({"header": header, "checksums": _checksums(header, solid)})
    if _is_safetensors(path):
        data = _safetensors().save(solid, metadata={HEADER: text})
        with replacing(path) as file:
            file.write(data)
        return
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(HEADER, text)
        for name, x in solid.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, x, allow_pickle=False)


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Arrays]:
    """The header and the arrays of an archive.

    Raises:
        FormatError: The file is damaged, cut off, or was not written by matrixslow.
        FileNotFoundError: There is no such file.
        MissingExtra: The path ends in `.safetensors`, and that package is not installed.
    """
    data = Path(path).read_bytes()
    try:
        text, arrays = _read_safetensors(data) if _is_safetensors(path) else _read_npz(data)
        content = json.loads(text)
        header, checksums = content["header"], content["checksums"]
    except MissingExtra:
        raise
    except KeyError:
        raise FormatError(
            f"{os.fspath(path)}: not a file of matrixslow",
            hint="give a file that matrixslow wrote; plain arrays are read by ms.io.read_npz",
        ) from None
    except Exception as error:
        raise _damaged(path, str(error)) from error
    found = _checksums(header, arrays)
    for name in sorted({*found, *checksums}):
        if found.get(name) != checksums.get(name):
            raise _damaged(path, f"the checksum of {name!r} is wrong")
    return header, arrays


def _read_npz(data: bytes) -> tuple[str, Arrays]:
    arrays: Arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(HEADER).decode()
        for name in archive.namelist():
            if name != HEADER:
                member = io.BytesIO(archive.read(name))
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(
                    member, allow_pickle=False
                )
    return text, arrays


def _read_safetensors(data: bytes) -> tuple[str, Arrays]:
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    return metadata[HEADER], _safetensors().load(data)


def _checksums(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """SHA-256 of the header, and of each array's dtype, shape and bytes."""
    result = {HEADER: hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()}
    for name, x in arrays.items():
        if x.dtype not in DTYPES:
            raise FormatError(f"{name}: {x.dtype} arrays are not written", hint="save numbers")
        digest = hashlib.sha256(f"{x.dtype.str} {x.shape} ".encode())
        digest.update(np.ascontiguousarray(x).data)
        result[name] = digest.hexdigest()
    return result


def _is_safetensors(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix == ".safetensors"


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtra(
            "files that end in .safetensors need the package safetensors, which is not installed",
            hint="pip install 'matrixslow[safetensors]', or save as .npz",
        ) from error
    return safetensors.numpy


def _damaged(path: str | os.PathLike[str], why: str) -> FormatError:
    return FormatError(
        f"{os.fspath(path)}: the file is damaged: {why}",
        hint="take an older copy; nothing was loaded",
    )
