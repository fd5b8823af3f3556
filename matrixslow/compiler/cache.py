"""Cache: machine code on disk, so that the next process does not compile it again.

An entry is named by what it was made from, down to the processor and the version of LLVM, and holds
a checksum: another one's, an old or a damaged entry is never run. Without a folder to write to,
nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from matrixslow.files import replacing

ENTRIES = 500
"""How many are kept; those that were not used for longest go."""

BYTES = 256 << 20
"""How much of the disk they take together."""

CHECKSUM = 32


def folder() -> Path:
    """Where entries lie: `.cache/matrixslow/native` in the user's home."""
    return Path(os.path.expanduser("~")) / ".cache" / "matrixslow" / "native"


def cached(key: str, make: Callable[[], bytes]) -> bytes:
    """What was kept under a key; where nothing is, what `make` gives, which is kept."""
    path = folder() / hashlib.sha256(key.encode()).hexdigest()
    found = _read(path)
    if found is None:
        found = make()
        _keep(path, found)
    return found


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    checksum, found = content[:CHECKSUM], content[CHECKSUM:]
    return found if hashlib.sha256(found).digest() == checksum else None


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(hashlib.sha256(content).digest() + content)
        _make_room(path.parent)
    except OSError:
        return


def _make_room(entries: Path) -> None:
    known = []
    for entry in entries.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room as well
            known.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry))
    total = 0
    for number, (_, size, entry) in enumerate(sorted(known, reverse=True)):
        total += size
        if number >= ENTRIES or total > BYTES:
            entry.unlink(missing_ok=True)
