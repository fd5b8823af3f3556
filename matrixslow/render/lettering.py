"""Text as pictures and tables need it: how wide it is, how it is cut, and how XML takes it."""

from __future__ import annotations

import unicodedata
from html import escape

FONT = "'Helvetica Neue', Arial, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', sans-serif"
"""The fonts of all pictures; whichever is there, `text_width` is no less than what it needs."""

NARROW = frozenset(" !'(),./:;I[]`fijlrt{|}·")
WIDE = frozenset("%@MWmw—…")


def text_width(text: str, size: float) -> float:
    """An upper estimate of the width of a text, for the usual sans-serif fonts.

    Args:
        text: One line.
        size: The font's size; the result has its unit.

    >>> text_width("ill", 10) < text_width("WWW", 10) <= text_width("汉字汉", 10)
    True
    """
    return size * sum(map(_advance, text))


def cell_width(text: str) -> int:
    """The number of columns that a text takes on a terminal.

    >>> cell_width("conv"), cell_width("卷积")
    (4, 4)
    """
    return sum(_cells(letter) for letter in text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text filled up with blanks to a number of columns."""
    blanks = " " * (width - cell_width(text))
    return blanks + text if right else text + blanks


def shorten(text: str, limit: int) -> str:
    """The text, its middle left out where it takes more columns than the limit.

    >>> shorten("encoder/block_17/attention", 16)
    'encoder/…tention'
    """
    if cell_width(text) <= limit:
        return text
    room = limit - 1
    head = _prefix(text, room - room // 2)
    tail = _prefix(text[::-1], room // 2)[::-1]
    return f"{head}…{tail}"


def xml(text: str) -> str:
    """The text as XML takes it, in content and in attributes.

    >>> xml('a<b & "c"')
    'a&lt;b &amp; &quot;c&quot;'
    """
    return escape("".join(letter if _allowed(letter) else "\ufffd" for letter in text))


def _prefix(text: str, room: int) -> str:
    for end, letter in enumerate(text):
        room -= _cells(letter)
        if room < 0:
            return text[:end]
    return text


def _advance(letter: str) -> float:
    """The letter's width over the font's size: Verdana's, about, the widest of the usual fonts."""
    cells = _cells(letter)
    if cells != 1:
        return 1.05 * (cells == 2)
    if letter in NARROW:
        return 0.43
    if letter in WIDE:
        return 1.02
    return 0.76 if letter.isupper() else 0.65


def _cells(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _allowed(letter: str) -> bool:
    """Whether XML 1.0 has the character at all."""
    code = ord(letter)
    return code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
