"""Log: records on disk, each of which is either there to the last bit or was never acknowledged.

    file     magic, version, number of the record before the first, bytes acknowledged, checksum
    record   mark, length, number, checksum, then the message

The bytes acknowledged are written after each `fdatasync`. So a bit that flips in a record that
somebody relies on is told from a tail that a crash tore, which nobody was told of.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NoReturn, get_args

from matrixslow.dist.message import Message, decode, header, payload
from matrixslow.errors import ArgumentError, FormatError, LogBroken
from matrixslow.files import replacing

Durability = Literal["logged", "interval", "memory"]

MAGIC = b"MSLOG\x00\x00\x01"
FILE = struct.Struct("<8sQQI")
MARK = b"\xa5REC"
RECORD = struct.Struct("<4sQQI")

Bytes = bytes | memoryview

TOGETHER = 512
"""Parts that are written with one call; the kernel takes twice as many."""

SYNC_INTERVAL = 1.0
"""Seconds of acknowledged work that may be lost with durability "interval"."""


class Log:
    """One file of records, written at its end.

    Args:
        path: The file, which is made.
        base: The number of the record before its first.
        durability: "logged": what `append` returned from is on the disk. "interval": it may be
            up to a second later. "memory": nothing is written.
        clock: Seconds that never go back.

    Attributes:
        number: The number of the last record.
        size: Bytes in the file.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        base: int,
        durability: Durability = "logged",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if durability not in get_args(Durability):
            raise ArgumentError(
                f"durability={durability!r}", hint="give logged, interval or memory"
            )
        self.path, self.base, self.number = path, base, base
        self._durability = durability
        self._clock = clock
        self.size = FILE.size
        with replacing(path) as file:
            file.write(_file_header(base, self.size))
        self._file = os.open(path, os.O_RDWR)
        self._synced, self._unsynced = clock(), False

    def append(self, records: Sequence[Message]) -> None:
        """Keep records, with one `fdatasync` for all of them.

        Raises:
            OSError: They cannot be written; the file is as it was.
            LogBroken: That is not so: nothing can be relied on but what was acknowledged.
        """
        if self._durability == "memory":
            return
        data: list[Bytes] = []
        for number, record in enumerate(records, self.number + 1):
            data += _frame(number, record)
        try:
            written = _write(self._file, data, self.size)
            self._unsynced = True
            self._sync()
        except OSError:
            self._undo()
            raise
        self.size += written
        self.number += len(records)
        if self._durability == "logged":
            self._acknowledge()

    def tick(self) -> None:
        """With durability "interval": bring to the disk what was written a second ago.

        Raises:
            LogBroken: That cannot be done.
        """
        if self._durability == "interval" and self._unsynced:
            try:
                self._sync()
            except OSError as error:
                raise LogBroken(f"{self.path}: what was written does not reach the disk") from error

    def close(self) -> None:
        """Bring everything to the disk, and close the file."""
        os.fdatasync(self._file)
        self._acknowledge()
        os.close(self._file)

    def _sync(self) -> None:
        now = self._clock()
        if self._durability == "logged" or now - self._synced >= SYNC_INTERVAL:
            os.fdatasync(self._file)
            self._synced, self._unsynced = now, False

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file, self.size)
            os.fdatasync(self._file)
        except OSError as error:
            raise LogBroken(f"{self.path}: a write failed and cannot be undone") from error

    def _acknowledge(self) -> None:
        try:
            _write(self._file, [_file_header(self.base, self.size)], 0)
        except OSError as error:
            raise LogBroken(f"{self.path}: its header cannot be written") from error


def read_log(path: Path, *, last: bool) -> list[tuple[int, Message]]:
    """The records of a file, by number. A torn tail is cut off.

    Args:
        path: The file.
        last: Whether it is the newest file, in which alone a tail may be torn.

    Raises:
        FormatError: It is damaged; the message names the file and the offset.
    """
    data = path.read_bytes()
    base, acknowledged = _read_file_header(path, data)
    records: list[tuple[int, Message]] = []
    offset, number = FILE.size, base
    while (end := _record_end(data, offset, number + 1)) is not None:
        number += 1
        records.append((number, decode(data[offset + RECORD.size : end])))
        offset = end
    if offset < acknowledged:
        _refuse(path, offset, f"record {number + 1}, which was acknowledged, is damaged")
    if offset < len(data):
        if not last or _good_record_after(data, offset, number):
            _refuse(path, offset, f"record {number + 1} is damaged, and others follow")
        os.truncate(path, offset)
    return records


def log_base(path: Path) -> int:
    """The number of the record before the first of a file.

    Raises:
        FormatError: The file is damaged.
    """
    with open(path, "rb") as file:
        return _read_file_header(path, file.read(FILE.size))[0]


def _frame(number: int, record: Message) -> list[Bytes]:
    """A record as it is written: the arrays themselves, not copies of them."""
    body: list[Bytes] = [header(record), *payload(record)]
    length = sum(map(len, body))
    checksum = zlib.crc32(struct.pack("<QQ", length, number))
    for part in body:
        checksum = zlib.crc32(part, checksum)
    return [RECORD.pack(MARK, length, number, checksum), *body]


def _record_end(data: bytes, offset: int, number: int | None) -> int | None:
    """Where the record at an offset ends; None where it is no whole record of that number."""
    start = offset + RECORD.size
    if start > len(data):
        return None
    mark, length, found, checksum = RECORD.unpack_from(data, offset)
    if mark != MARK or start + length > len(data) or number not in (None, found):
        return None
    body = memoryview(data)[start : start + length]
    expected = zlib.crc32(body, zlib.crc32(struct.pack("<QQ", length, found)))
    return start + length if checksum == expected else None


def _good_record_after(data: bytes, offset: int, number: int) -> bool:
    """Whether a whole record follows: then the damage is not the end that a crash tore."""
    place = data.find(MARK, offset + 1)
    while place >= 0:
        if _record_end(data, place, None) is not None:
            return int(RECORD.unpack_from(data, place)[2]) > number
        place = data.find(MARK, place + 1)
    return False


def _file_header(base: int, acknowledged: int) -> bytes:
    checksum = zlib.crc32(MAGIC + struct.pack("<QQ", base, acknowledged))
    return FILE.pack(MAGIC, base, acknowledged, checksum)


def _read_file_header(path: Path, data: bytes) -> tuple[int, int]:
    if len(data) < FILE.size:
        _refuse(path, 0, "the file is cut off in its header")
    magic, base, acknowledged, _ = FILE.unpack_from(data)
    if magic != MAGIC or data[: FILE.size] != _file_header(base, acknowledged):
        _refuse(path, 0, "the header is damaged")
    return base, acknowledged


def _refuse(path: Path, offset: int, rule: str) -> NoReturn:
    raise FormatError(
        f"{path}, offset {offset}: {rule}",
        hint="put the file back from a copy; starting without it would lose acknowledged work",
    )


def _write(file: int, data: Sequence[Bytes], offset: int) -> int:
    """Write all of it; gives how many bytes that are."""
    waiting = [memoryview(part) for part in data if len(part)]
    start = offset
    while waiting:
        written = os.pwritev(file, waiting[:TOGETHER], offset)
        offset += written
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]
    return offset - start
