"""What all lessons share: their options, where their pictures go, and data that may be absent."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from matrixslow.errors import DatasetMissing

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson that has begun.

    Attributes:
        smoke: Whether it is run as a test: what takes long is cut short.
        folder: Where its pictures go.
    """

    smoke: bool
    folder: Path

    def part(self, title: str) -> None:
        """Print a heading."""
        print(f"\n{title}\n{'-' * len(title)}")

    def picture(self, name: str) -> Path:
        """The path of a picture, which is announced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        print(f"\npicture: {self.folder / name}")
        return self.folder / name

    def data(self, read: Callable[[], Data]) -> Data:
        """What `read` reads; the lesson ends here, and says why, where the data is absent."""
        try:
            return read()
        except DatasetMissing as missing:
            print(f"skipped: {missing}")
            raise SystemExit(0) from None


def begin(text: str) -> Lesson:
    """Read the command line and print the title, the first line of the lesson's text."""
    title = text.splitlines()[0]
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="as a test: cut short what takes long")
    parser.add_argument("--folder", type=Path, default=Path("lessons"), help="for the pictures")
    options = parser.parse_args()
    print(f"{title}\n{'=' * len(title)}")
    return Lesson(options.smoke, options.folder)
