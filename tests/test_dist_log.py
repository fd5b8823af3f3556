"""Log and snapshots: whatever is cut off or flipped is noticed, and a full disk loses nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dist_parts import Clock, push, small_model, values
from hypothesis import given, settings
from hypothesis import strategies as st

from matrixslow.dist.history import History
from matrixslow.dist.log import FILE, MARK, RECORD, Log, read_log
from matrixslow.dist.message import Message, encode
from matrixslow.dist.options import Options
from matrixslow.dist.store import Store
from matrixslow.errors import FormatError

STEPS = 7


def run(folder: Path, steps: int = STEPS, *, snapshots: tuple[int, ...] = ()) -> bytes:
    """A server's life up to a kill; gives the state that it had acknowledged."""
    history, store = recovered(folder)
    if store.model is None:
        store.setup(small_model(1), values())
        store.commit()
    store.join(0)
    store.commit()
    member = store.members.by_rank[0]
    for step in range(member.step + 1, member.step + 1 + steps):
        future = store.push(push(0, step, incarnation=member.incarnation))
        store.commit()
        assert future.result(0) == step
        if step in snapshots:
            history.snapshot(store)
    return encode(store.state())


def recovered(folder: Path) -> tuple[History, Store]:
    history = History(folder)
    store = Store(history.append, Options(), clock=Clock())
    history.recover(store)
    return history, store


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("life") / "state"
    return folder, run(folder, snapshots=(2, 5))


def test_a_killed_server_comes_back_as_it_was(tmp_path: Path) -> None:
    for _ in range(3):
        state = run(tmp_path, 3, snapshots=(2, 4))
        assert encode(recovered(tmp_path)[1].state()) == state


def test_two_snapshots_are_kept(life: tuple[Path, bytes]) -> None:
    names = sorted(path.name for path in life[0].iterdir())
    assert names == [
        f"{kind}-{number:020}.{ending}"
        for kind, ending in (("log", "bin"), ("snapshot", "npz"))
        for number in (4, 7)
    ]


def outcome(folder: Path, state: bytes) -> str:
    """What becomes of a folder that was damaged: "refused", "recovered", or "lost"."""
    try:
        store = recovered(folder)[1]
    except FormatError as error:
        return "refused" if str(folder) in str(error) else "unnamed"
    return "recovered" if encode(store.state()) == state else "lost"


@settings(max_examples=100)
@given(data=st.data())
def test_damage_never_loses_what_was_acknowledged(
    life: tuple[Path, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "state"
    shutil.copytree(life[0], folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, 8 * len(content) - 1))
        content[place // 8] ^= 1 << place % 8
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    assert outcome(folder, life[1]) in ("refused", "recovered")
    shutil.rmtree(folder.parent)


def test_without_checksums_damage_would_be_lost(
    life: tuple[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    shutil.copytree(life[0], tmp_path / "state")
    path = max((tmp_path / "state").glob("log-*"))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the last bytes only fill up
    path.write_bytes(content)
    assert outcome(tmp_path / "state", life[1]) == "refused"
    monkeypatch.setattr("matrixslow.dist.log.zlib", SimpleNamespace(crc32=lambda *_: 0))
    for log in (tmp_path / "state").glob("log-*"):
        content = bytearray(log.read_bytes())
        content[FILE.size - 4 : FILE.size] = bytes(4)
        for match in re.finditer(re.escape(MARK), bytes(content)):
            content[match.start() + RECORD.size - 4 : match.start() + RECORD.size] = bytes(4)
        log.write_bytes(content)
    assert outcome(tmp_path / "state", life[1]) == "lost"


def test_a_torn_tail_is_dropped_and_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log-0.bin"
    log = Log(path, base=0)
    record = Message("step", {}, {"x": np.arange(50.0)})
    log.append([record])
    good = log.size
    acknowledged = path.read_bytes()[: FILE.size]
    log.append([record, record])
    whole = path.read_bytes()
    # As a crash leaves it: the acknowledgement of the second write was never written.
    path.write_bytes(acknowledged + whole[FILE.size : -10])
    assert [number for number, _ in read_log(path, last=True)] == [1, 2]
    torn = acknowledged + whole[FILE.size : good + 30]
    path.write_bytes(torn)
    assert [number for number, _ in read_log(path, last=True)] == [1]
    assert path.stat().st_size == good
    path.write_bytes(torn + whole[good + 31 :])
    with pytest.raises(FormatError) as caught:
        read_log(path, last=True)
    assert str(caught.value) == (
        f"{path}, offset {good}: record 2 is damaged, and others follow\n"
        "  hint   put the file back from a copy; starting without it would lose acknowledged work"
    )


@pytest.mark.parametrize("kind", ["log", "snapshot"])
def test_a_missing_file_loses_nothing(life: tuple[Path, bytes], tmp_path: Path, kind: str) -> None:
    shutil.copytree(life[0], tmp_path / "state")
    max((tmp_path / "state").glob(f"{kind}-*")).unlink()
    expected = "refused" if kind == "log" else "recovered"
    assert outcome(tmp_path / "state", life[1]) == expected


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dist_parts import push, small_model, values
from matrixslow.dist.history import History
from matrixslow.dist.message import encode
from matrixslow.dist.options import Options
from matrixslow.dist.store import Store
from matrixslow.errors import Busy

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
history = History(Path(sys.argv[1]))
store = Store(history.append, Options())
history.recover(store)
store.setup(small_model(1), values()); store.commit()
store.join(0); store.commit()
limit = history.log_size + 1500
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
acknowledged = refused = 0
while acknowledged < 12:
    future = store.push(push(0, acknowledged + 1)); store.commit()
    if isinstance(future.exception(0), Busy):
        refused += 1
        assert store.version == acknowledged
        if refused == 3:
            try:
                history.snapshot(store)
            except OSError as error:
                print(error.strerror)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        acknowledged += 1
print(acknowledged, refused)
Path(sys.argv[1] + ".state").write_bytes(encode(store.state()))
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.stdout.split(), result.stderr) == (["File", "too", "large", "12", "3"], "")
    state = Path(f"{folder}.state").read_bytes()
    assert encode(recovered(folder)[1].state()) == state


def test_with_an_interval_a_quiet_log_reaches_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = Clock(), []
    sync = os.fdatasync
    log = Log(tmp_path / "log-0.bin", base=0, durability="interval", clock=clock)
    monkeypatch.setattr("os.fdatasync", lambda file: synced.append(sync(file)))
    log.append([Message("step")])
    log.tick()
    assert not synced
    clock.now += 1.5
    log.tick()
    log.tick()
    assert len(synced) == 1
