"""The page of common mistakes shows what is really said.

    python tests/test_mistakes.py

makes every mistake on the page and writes the messages of now into it, in both languages.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.core.context import CURRENT

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("mistakes.md", "mistakes.zh-CN.md")

LINES = r"((?:(?!```).*\n)*)"
MISTAKE = re.compile(rf"^```python\n{LINES}```\n\n```text\n{LINES}```$", re.M)

FILE = "mistake.py"


def mistakes(page: str) -> list[tuple[str, str]]:
    """Every mistake on a page, with the message that is printed below it."""
    return MISTAKE.findall((DOCS / page).read_text("utf-8"))


def message(code: str) -> str:
    """What the mistake raises, as Python prints it at the end of a traceback."""
    linecache.cache[FILE] = (len(code), None, code.splitlines(keepends=True), FILE)
    token = CURRENT.set(None)
    try:
        exec(compile(code, FILE, "exec"), {"np": np, "ms": ms, "__name__": "__main__"})
    except Exception as error:
        # Newer Pythons guess what was meant.
        return re.sub(r"\. Did you mean .*", "", f"{type(error).__name__}: {error}")
    finally:
        CURRENT.reset(token)
        del linecache.cache[FILE]
    return "nothing was said"


ALL = mistakes(PAGES[0])


@pytest.mark.parametrize(("code", "printed"), ALL, ids=map(str, range(1, len(ALL) + 1)))
def test_the_message_on_the_page_is_the_real_one(
    code: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message(code) + "\n" == printed


def test_both_pages_show_the_same_mistakes() -> None:
    assert len(ALL) >= 20
    assert mistakes(PAGES[1]) == ALL


def rewrite(page: Path) -> None:
    """Put the messages of now on a page."""
    text = page.read_text("utf-8")
    page.write_text(
        MISTAKE.sub(lambda m: f"```python\n{m[1]}```\n\n```text\n{message(m[1])}\n```", text),
        "utf-8",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name in PAGES:
            rewrite(DOCS / name)
    print(f"{os.linesep.join(PAGES)}: written", file=sys.stderr)
