"""Messages: what goes in comes out, in any pieces; what is damaged is refused as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dist_parts import same
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.core.spec import DTYPES
from matrixslow.dist.message import (
    PIECE,
    START,
    VERSION,
    Assembler,
    Message,
    decode,
    encode,
    header,
    pieces,
)
from matrixslow.errors import DTypeError, FormatError

ARRAYS = {
    dtype: np.arange(7).reshape(7, 1).astype(dtype)[:, :, None] for dtype in DTYPES.values()
} | {"empty": np.zeros((0, 3)), "scalar": np.array(2.5)}
MESSAGE = Message("push", {"worker": 3, "job": "a"}, ARRAYS)


def assembled(parts: list[bytes]) -> Message:
    assembler = Assembler()
    for part in parts:
        assembler.add(part)
    return assembler.finish()


def test_every_dtype_comes_back() -> None:
    for found in (decode(encode(MESSAGE)), assembled([*pieces(MESSAGE)])):
        assert (found.kind, found.fields) == ("push", {"worker": 3, "job": "a"})
        assert same(found.arrays, ARRAYS)
        assert [x.dtype for x in found.arrays.values()] == [x.dtype for x in ARRAYS.values()]


def test_pieces_are_of_at_most_one_mebibyte() -> None:
    message = Message("push", {}, {"a": np.ones(3), "b": np.ones((600, 500)), "c": np.ones(1)})
    parts = [*pieces(message)]
    assert [len(part) for part in parts[1:]] == [PIECE, PIECE, 2400032 - 2 * PIECE]
    assert same(assembled(parts).arrays, message.arrays)


@given(data=st.data())
def test_damaged_messages_are_refused_or_read_wholly(data: st.DataObject) -> None:
    content = bytearray(encode(MESSAGE))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "add"])):
            case "flip":
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[place : place + 1 + data.draw(st.integers(0, 40))]
            case "add":
                content[place:place] = data.draw(st.binary(max_size=9))
        if not content:
            break
    try:
        found = decode(bytes(content))
    except FormatError:
        return
    assert len(encode(found)) - len(header(found)) == sum(
        x.nbytes + -x.nbytes % 8 for x in found.arrays.values()
    )


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_noise_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(FormatError):
        assembled(parts)


def forged(arrays: object) -> bytes:
    text = json.dumps({"kind": "push", "fields": {}, "arrays": arrays}).encode()
    return START.pack(b"MSLW", VERSION, len(text)) + text


@pytest.mark.parametrize(
    "arrays",
    [
        [["x", "object", [1]]],
        [["x", "float32", [-1]]],
        [["x", "float32", [1.5]]],
        [["x", "float32", [True]]],
        [["x", "float64", [1 << 40, 1 << 40]]],
        [["x", "float32", [1]], ["x", "float32", [1]]],
        [["x", "float32", [0] * 40]],
        ["x"],
        {"x": 1},
    ],
)
def test_forged_arrays_are_refused_before_memory_is_taken(arrays: object) -> None:
    with pytest.raises(FormatError, match=r"does not describe an array|has no kind, fields"):
        Assembler().add(forged(arrays))


def test_refusals_say_why() -> None:
    other = bytearray(encode(MESSAGE))
    other[4] = 9
    with pytest.raises(FormatError) as caught:
        decode(bytes(other))
    assert str(caught.value) == (
        "message: format 9 came, format 1 is spoken here\n"
        "  hint   use the same version of matrixslow on workers and servers"
    )
    with pytest.raises(FormatError, match=r"^message: 8 bytes of arrays, 4 are taken here$"):
        Assembler(limit=4).add(header(Message("push", {}, {"x": np.ones(1)})))
    with pytest.raises(FormatError, match=r"^message: it was cut off$"):
        assembled([header(MESSAGE)])
    with pytest.raises(FormatError, match=r"^message 'push': job must be text, None came$"):
        Message("push").text("job")
    with pytest.raises(FormatError, match=r"^message 'push': step must be .* at least 1, 0 came$"):
        Message("push", {"step": 0}).whole("step", least=1)
    with pytest.raises(DTypeError, match="'x' holds complex128"):
        encode(Message("push", {}, {"x": np.ones(1, complex)}))
