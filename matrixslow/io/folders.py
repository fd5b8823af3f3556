"""Where data sets lie on this machine, and how those that may be downloaded get there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from matrixslow.errors import DatasetMissing
from matrixslow.files import replacing
from matrixslow.io.readers import PathLike


def data_folder(*, folder: PathLike | None = None) -> Path:
    """The folder that data sets are read from: the first of these that exists.

    1. `folder`, when it is given: then nowhere else;
    2. the folder that the environment variable MATRIXSLOW_DATA names;
    3. `../shared/data`, seen from the working directory;
    4. `~/.cache/matrixslow`, where data sets are kept once they were downloaded.

    A single data set is taken from the first of these that holds its files.

    Raises:
        DatasetMissing: None of them exists.

    >>> data_folder(folder="no/such/folder")
    Traceback (most recent call last):
        ...
    matrixslow.errors.DatasetMissing: data folder: there is none
      looked no/such/folder
      hint   create one of them, or name another in MATRIXSLOW_DATA
    """
    places = _places(folder)
    for place in places:
        if place.is_dir():
            return place
    hint = "create one of them, or name another in MATRIXSLOW_DATA"
    raise DatasetMissing("data folder: there is none", rows=_looked(places), hint=hint)


def find_files(title: str, names: Sequence[str], folder: PathLike | None) -> tuple[Path, ...]:
    """The paths of a data set's files, all in the first folder that has them all.

    Raises:
        DatasetMissing: No folder has them; the message lists where it looked.
    """
    places = _places(folder)
    for place in places:
        paths = tuple(place / name for name in names)
        if all(path.is_file() for path in paths):
            return paths
    raise DatasetMissing(
        f"{title}: no folder holds {', '.join(names)}",
        rows=_looked(places),
        hint="put the files there, or name their folder in folder= or in MATRIXSLOW_DATA",
    )


def download_files(
    title: str, checksums: Mapping[str, str], mirrors: Sequence[str], folder: str
) -> tuple[Path, ...]:
    """The paths of files in a folder of the cache, fetched when they are not there yet.

    A file gets its name only when it is complete and its checksum is right.

    Args:
        title: The data set, for messages.
        checksums: The MD5 checksum of each file, by name.
        mirrors: Addresses that the names are appended to, tried in this order.
        folder: The folder's name in the cache.

    Raises:
        DatasetMissing: No mirror had a file; the message says what went wrong with each.
    """
    home = _cache() / folder
    for name, checksum in checksums.items():
        if not (home / name).is_file():
            data = _download(title, [mirror + name for mirror in mirrors], checksum, home)
            home.mkdir(parents=True, exist_ok=True)
            with replacing(home / name) as file:
                file.write(data)
    return tuple(home / name for name in checksums)


def _places(folder: PathLike | None) -> tuple[Path, ...]:
    """The folders to look in, in order."""
    if folder is not None:
        return (Path(folder),)
    named = os.environ.get("MATRIXSLOW_DATA")
    return (*((Path(named),) if named else ()), Path("..", "shared", "data"), _cache())


def _cache() -> Path:
    return Path.home() / ".cache" / "matrixslow"


def _looked(places: Sequence[Path]) -> tuple[str, ...]:
    return tuple(f"looked {place}" for place in places)


def _download(title: str, addresses: Sequence[str], checksum: str, home: Path) -> bytes:
    """The bytes at the first address that has them with this MD5 checksum."""
    # Imported here: it takes as long as a tenth of NumPy, and most programs never download.
    import http.client
    import urllib.request

    failures = []
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=30) as response:
                data: bytes = response.read()
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"tried  {address}: {error}")
            continue
        came = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if came == checksum:
            return data
        failures.append(f"tried  {address}: its MD5 checksum is {came}, not {checksum}")
    raise DatasetMissing(
        f"{title}: it is not on this machine and could not be downloaded",
        rows=tuple(failures),
        hint=f"check the network, or put the files into {home}",
    )
