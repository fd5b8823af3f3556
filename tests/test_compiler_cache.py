"""Machine code on disk: kept, checked, bounded, and done without where there is no folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrixslow.compiler import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "native")
    return tmp_path / "native"


def never() -> bytes:
    raise AssertionError("it was kept, and is made again")


def test_an_entry_is_made_once(folder: Path) -> None:
    assert cache.cached("key", lambda: b"code") == b"code"
    assert cache.cached("key", never) == b"code"
    assert cache.cached("another", lambda: b"other") == b"other"
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 40])
def test_a_damaged_entry_is_made_again(folder: Path, damage: bytes) -> None:
    cache.cached("key", lambda: b"code")
    (entry,) = folder.iterdir()
    entry.write_bytes(damage)
    assert cache.cached("key", lambda: b"code") == b"code"
    assert cache.cached("key", never) == b"code"


def test_what_was_not_used_for_longest_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ENTRIES", 2)
    for age, key in enumerate("abc"):
        cache.cached(key, key.encode)
        for entry in folder.iterdir():
            if entry.read_bytes().endswith(key.encode()):
                os.utime(entry, (age, age))
    assert cache.cached("b", never) == b"b"
    assert cache.cached("a", lambda: b"made again") == b"made again"


def test_nothing_is_kept_where_no_folder_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "file" / "native")
    assert cache.cached("key", lambda: b"code") == b"code"
    assert cache.cached("key", lambda: b"again") == b"again"


WRITER = """
import sys
from pathlib import Path
from matrixslow.compiler import cache
cache.folder = lambda: Path(sys.argv[1])
for number in range(60):
    key = str(number % 7)
    code = key.encode() * 5000
    assert cache.cached(key, lambda: code) == code
    (cache.folder() / cache.hashlib.sha256(key.encode()).hexdigest()).unlink(missing_ok=True)
"""


def test_processes_that_write_at_once_see_whole_entries_only(folder: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(folder)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]


def test_entries_take_no_more_than_so_much_of_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "BYTES", 250)
    for age, key in enumerate("abc"):
        cache.cached(key, lambda: bytes(60))
        for entry in folder.iterdir():
            if entry.stat().st_mtime > 1000:
                os.utime(entry, (age, age))
    assert len(list(folder.iterdir())) == 2
    cache.cached("large", lambda: bytes(1000))
    assert cache.cached("large", lambda: b"made again") == b"made again"
