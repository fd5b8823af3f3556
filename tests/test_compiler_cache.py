"""Machine code on disk: kept, checked, bounded, and done without where there is no folder."""

from __future__ import annotations

import os
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
