"""Message: a kind, fields, and named arrays, as bytes; what the wire carries and the log keeps.

    start    magic, version of the format, length of the header   12 bytes
    header   kind, fields, and name, dtype and shape of each array   JSON
    payload  the arrays, raw and little-endian, each at a multiple of 8 bytes

The header is JSON, checked by hand, and not protobuf: it needs no generated code and no compiler
for it, it can be read in a dump, and the tensors, which are all of the weight, never pass through
it. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from matrixslow.core.spec import DTYPES
from matrixslow.errors import DTypeError, FormatError

Array = NDArray[Any]

MAGIC = b"MSLW"
VERSION = 1
START = struct.Struct("<4sII")

PIECE = 1 << 20
"""The most bytes in one piece on the wire."""

HEADER_LIMIT = 1 << 20
"""The most bytes in a header, 12 of them before the JSON."""

PAYLOAD_LIMIT = 1 << 34
"""The most bytes of arrays in one message."""

NAMES = {name: dtype for dtype, name in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """A kind, fields that JSON can hold, and arrays by name.

    >>> from matrixslow.dist.message import Message, decode, encode
    >>> decode(encode(Message("push", {"step": 3}, {"w": np.ones(2)})))
    Message(kind='push', fields={'step': 3}, arrays={'w': array([1., 1.])})
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)

    def whole(self, name: str, *, least: int = 0) -> int:
        """A field that must be a whole number.

        Raises:
            FormatError: It is missing, or something else.
        """
        value = self.fields.get(name)
        if type(value) is not int or not least <= value < 1 << 63:
            self.refuse(f"{name} must be a whole number of at least {least}, {value!r} came")
        return value

    def text(self, name: str) -> str:
        """A field that must be text.

        Raises:
            FormatError: It is missing, or something else.
        """
        value = self.fields.get(name)
        if not isinstance(value, str):
            self.refuse(f"{name} must be text, {value!r} came")
        return value

    def under(self, prefix: str) -> dict[str, Array]:
        """The arrays whose names begin so, by what follows."""
        found = self.arrays.items()
        return {name[len(prefix) :]: x for name, x in found if name.startswith(prefix)}

    def refuse(self, rule: str) -> NoReturn:
        """Raise the error of a message that does not make sense."""
        raise FormatError(f"message {self.kind!r}: {rule}")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a header says: everything but the arrays' numbers.

    Attributes:
        specs: Name, dtype, shape and offset of each array.
        size: Bytes of the payload.
    """

    kind: str
    fields: Mapping[str, Any]
    specs: Sequence[tuple[str, np.dtype[Any], tuple[int, ...], int]]
    size: int

    def message(self, payload: Array) -> Message:
        """The message whose arrays lie in these bytes; they are not copied."""
        arrays = {
            name: payload[offset : offset + _size(dtype, shape)].view(dtype).reshape(shape)
            for name, dtype, shape, offset in self.specs
        }
        return Message(self.kind, self.fields, arrays)


def fresh(layout: Layout) -> Mapping[str, Array]:
    """New arrays for all that a header announces."""
    return layout.message(np.empty(layout.size, np.uint8)).arrays


def header(message: Message) -> bytes:
    """The start and the header of a message.

    Raises:
        DTypeError: An array does not hold numbers.
        FormatError: It is longer than a header may be.
    """
    for name, x in message.arrays.items():
        if x.dtype not in DTYPES:
            raise DTypeError(
                f"message {message.kind!r}: {name!r} holds {x.dtype}",
                hint=f"give one of {', '.join(DTYPES.values())}",
            )
    content = {
        "kind": message.kind,
        "fields": message.fields,
        "arrays": [[name, DTYPES[x.dtype], x.shape] for name, x in message.arrays.items()],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    if len(text) + START.size > HEADER_LIMIT:
        message.refuse(f"its header has {len(text)} bytes, {HEADER_LIMIT} are allowed")
    return START.pack(MAGIC, VERSION, len(text)) + text


def payload(message: Message) -> Iterator[memoryview]:
    """The bytes of the arrays, with zeros between them where the next one is aligned."""
    for x in message.arrays.values():
        plain = np.ascontiguousarray(x).astype(x.dtype.newbyteorder("<"), copy=False)
        yield plain.reshape(-1).view(np.uint8).data
        if gap := -x.nbytes % 8:
            yield memoryview(bytes(gap))


def pieces(message: Message) -> Iterator[bytes]:
    """A message for the wire: in one piece if it is small, else the header comes alone.

    No piece has more than 1 MiB.
    """
    start = header(message)
    if len(start) + sum(_aligned(x.nbytes) for x in message.arrays.values()) <= PIECE:
        yield b"".join([start, *payload(message)])
        return
    yield start
    waiting: list[memoryview] = []
    size = 0
    for part in payload(message):
        while len(part):
            taken = part[: PIECE - size]
            part = part[len(taken) :]
            waiting.append(taken)
            size += len(taken)
            if size == PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def encode(message: Message) -> bytes:
    """A message in one piece."""
    return b"".join([header(message), *payload(message)])


def decode(data: bytes) -> Message:
    """The message that was encoded; its arrays may not be written to.

    Raises:
        FormatError: The bytes are not exactly a message.
    """
    end = header_end(data)
    layout = read_header(data[:end])
    if len(data) - end != layout.size:
        raise FormatError(
            f"message: {layout.size} bytes of arrays belong to it, {len(data) - end} came"
        )
    return layout.message(np.frombuffer(data, np.uint8, offset=end))


def header_end(data: bytes) -> int:
    """Where the header ends.

    Raises:
        FormatError: There is none.
    """
    if len(data) < START.size:
        raise FormatError(f"message: {len(data)} bytes are no header")
    return START.size + int(START.unpack_from(data)[2])


def read_header(data: bytes) -> Layout:
    """What a header says, once every part of it has been looked at.

    Raises:
        FormatError: It is damaged, foreign or of another version.
    """
    if not START.size <= len(data) <= HEADER_LIMIT:
        raise FormatError(f"message: {len(data)} bytes are no header")
    magic, version, length = START.unpack_from(data)
    if magic != MAGIC:
        raise FormatError("message: it does not begin as a message of matrixslow does")
    if version != VERSION:
        raise FormatError(
            f"message: format {version} came, format {VERSION} is spoken here",
            hint="use the same version of matrixslow on workers and servers",
        )
    if length != len(data) - START.size:
        raise FormatError(f"message: a header of {length} bytes, {len(data) - START.size} came")
    try:
        content = json.loads(data[START.size :])
    except (ValueError, RecursionError):
        raise FormatError("message: the header is no JSON") from None
    match content:
        case {"kind": str(kind), "fields": dict(fields), "arrays": list(entries)}:
            return _layout(kind, fields, entries)
    raise FormatError("message: the header has no kind, fields and arrays")


class Assembler:
    """Puts the pieces of a message together, as they come.

    Args:
        limit: The most bytes of arrays that are taken.
        place: Gives the arrays that are filled, by name, once the header is there; by default
            new ones.
    """

    def __init__(
        self, *, limit: int = PAYLOAD_LIMIT, place: Callable[[Layout], Mapping[str, Array]] = fresh
    ) -> None:
        self._limit = limit
        self._place = place
        self._layout: Layout | None = None
        self._arrays: Mapping[str, Array] = {}
        self._targets: list[Array] = []
        self._filled = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            FormatError: It does not belong to a message.
        """
        content = piece
        if self._layout is None:
            end = header_end(piece)
            self._begin(read_header(piece[:end]))
            content = piece[end:]
        elif not piece:
            raise FormatError("message: a piece without bytes")
        assert self._layout is not None
        if len(content) > PIECE or self._filled + len(content) > self._layout.size:
            raise FormatError(
                f"message: a piece of {len(content)} bytes after {self._filled} of "
                f"{self._layout.size} bytes"
            )
        self._filled += len(content)
        view = np.frombuffer(content, np.uint8)
        while len(view):
            target = self._targets[0]
            count = min(len(target), len(view))
            target[:count] = view[:count]
            view = view[count:]
            if count < len(target):
                self._targets[0] = target[count:]
            else:
                del self._targets[0]

    def finish(self) -> Message:
        """The whole message.

        Raises:
            FormatError: Pieces are missing.
        """
        if self._layout is None or self._filled != self._layout.size:
            raise FormatError("message: it was cut off")
        return Message(self._layout.kind, self._layout.fields, self._arrays)

    def _begin(self, layout: Layout) -> None:
        if layout.size > self._limit:
            raise FormatError(
                f"message: {layout.size} bytes of arrays, {self._limit} are taken here"
            )
        self._layout, self._arrays = layout, self._place(layout)
        for name, dtype, shape, _ in layout.specs:
            found = self._arrays[name]
            if (found.dtype, found.shape) != (dtype, shape):
                raise FormatError(
                    f"message {layout.kind!r}: {name!r} is {found.shape} {found.dtype} here, "
                    f"{shape} {dtype} came"
                )
            gap = np.empty(-found.nbytes % 8, np.uint8)
            self._targets += [x for x in (found.reshape(-1).view(np.uint8), gap) if len(x)]


def _layout(kind: str, fields: Mapping[str, Any], entries: Sequence[object]) -> Layout:
    specs, end = {}, 0
    for entry in entries:
        match entry:
            case [str(name), str(dtype), list(shape)] if name not in specs and dtype in NAMES:
                if all(type(size) is int and 0 <= size <= PAYLOAD_LIMIT for size in shape):
                    specs[name] = (name, NAMES[dtype], tuple(shape), end)
                    end += _aligned(_size(NAMES[dtype], shape))
                    if len(shape) <= 32 and end <= PAYLOAD_LIMIT:
                        continue
        raise FormatError(f"message {kind!r}: {str(entry)[:80]} does not describe an array")
    return Layout(kind, fields, tuple(specs.values()), end)


def _size(dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    return prod(shape) * dtype.itemsize


def _aligned(size: int) -> int:
    return size + -size % 8
