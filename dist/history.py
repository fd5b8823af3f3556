"""History: the folder of a server's snapshots and logs, from which it recovers.

A snapshot `snapshot-N.npz` holds what records 1 to N did; a log `log-N.bin` has the records after
N. Two snapshots are kept, and the logs from the older one on, so that a damaged snapshot can be
made up for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from matrixslow.dist.log import Durability, Log, log_base, read_log
from matrixslow.dist.message import Message
from matrixslow.dist.store import Store
from matrixslow.errors import FormatError
from matrixslow.io import read_archive, write_archive

KIND = "matrixslow server state"
VERSION = 1
KEPT = 2
"""Snapshots that are kept."""


class History:
    """Keeps a store's records and snapshots in a folder.

    Args:
        folder: Where; it is made if need be.
        durability: See `Log`.
        clock: Seconds that never go back.

    Attributes:
        damaged: Snapshots that were passed over in the recovery.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = "logged",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.damaged: list[Path] = []
        self._durability: Durability = durability
        self._clock = clock
        self._log: Log | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, records: Sequence[Message]) -> None:
        """Keep records: the store's journal."""
        assert self._log is not None, "recover first"
        self._log.append(records)

    def tick(self) -> None:
        """Bring to the disk what has waited there for long enough, with durability "interval"."""
        if self._log is not None:
            self._log.tick()

    def recover(self, store: Store) -> None:
        """Bring an empty store to the last acknowledged record, and begin a new log after it.

        Raises:
            FormatError: A file is damaged or missing, and nothing makes up for it.
        """
        start = self._load_newest(store)
        logs = sorted(self.folder.glob("log-*.bin"), key=_number)
        for path in logs:
            if log_base(path) != _number(path):
                self._refuse(path, "its name and its header differ")
        if logs and start not in map(_number, logs):
            self._refuse(self.folder / f"log-{start:020}.bin", "the file is missing")
        for path in logs:
            if _number(path) < start:
                continue
            if _number(path) != store.sequence:
                self._refuse(path, f"records {store.sequence + 1} to {_number(path)} are missing")
            for _, record in read_log(path, last=path == logs[-1]):
                store.apply(record)
        store.members.listen_again()
        self.snapshot(store)

    def snapshot(self, store: Store) -> None:
        """Write all that the store holds, and begin a new log.

        Raises:
            OSError: The disk is full; the log goes on as it was.
        """
        path = self.folder / f"log-{store.sequence:020}.bin"
        # The log comes first: a snapshot whose log is missing was robbed of it.
        if self._log is None or self._log.path != path:
            log = Log(path, base=store.sequence, durability=self._durability, clock=self._clock)
            self.close()
            self._log = log
        state = store.state()
        header = {"fields": dict(state.fields), "names": list(state.arrays)}
        arrays = {str(place): x for place, x in enumerate(state.arrays.values())}
        write_archive(
            self.folder / f"snapshot-{store.sequence:020}.npz",
            header,
            arrays,
            kind=KIND,
            version=VERSION,
        )
        self._remove_old()

    def close(self) -> None:
        """Bring everything to the disk."""
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def log_size(self) -> int:
        """Bytes in the newest log."""
        return 0 if self._log is None else self._log.size

    def _load_newest(self, store: Store) -> int:
        snapshots = sorted(self.folder.glob("snapshot-*.npz"), key=_number, reverse=True)
        failures = []
        for path in snapshots:
            try:
                header, arrays = read_archive(path, kind=KIND, version=VERSION)
            except FormatError as error:
                failures.append(error)
                self.damaged.append(path)
                continue
            named = {name: arrays[str(place)] for place, name in enumerate(header["names"])}
            store.load(Message("state", header["fields"], named))
            return store.sequence
        if failures and not (self.folder / f"log-{0:020}.bin").exists():
            raise failures[0]
        return 0

    def _remove_old(self) -> None:
        snapshots = sorted(self.folder.glob("snapshot-*.npz"), key=_number)
        sound = [path for path in snapshots if path not in self.damaged]
        if len(sound) < KEPT:
            return
        oldest = _number(sound[-KEPT])
        old = [path for path in snapshots if _number(path) < oldest]
        logs = sorted(self.folder.glob("log-*.bin"), key=_number)
        old += [path for path in logs if _number(path) < oldest]
        for path in old:
            path.unlink()

    def _refuse(self, path: Path, rule: str) -> NoReturn:
        raise FormatError(
            f"{path}, offset 0: {rule}", hint="put the folder back from a copy, whole"
        )


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
