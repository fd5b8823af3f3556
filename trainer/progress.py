"""Progress: one live line on a terminal, one line for each epoch elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from matrixslow.trainer.hooks import Hook

if TYPE_CHECKING:
    from matrixslow.trainer.trainer import Trainer

INTERVAL = 0.1
"""Seconds between two drawings of the live line."""


class Progress(Hook):
    """Prints how far the training is.

    Args:
        stream: Where to; the standard output by default.
    """

    order = 90

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._began = self._drawn = 0.0
        self._live = False

    def begin(self, trainer: Trainer) -> None:
        """Look whether the stream is a terminal."""
        self._live = self.stream.isatty()
        self._began = time.monotonic()

    @property
    def stream(self) -> TextIO:
        """Where the lines go."""
        return sys.stdout if self._stream is None else self._stream

    def after_step(self, trainer: Trainer) -> None:
        """Draw the live line, ten times a second at most."""
        now = time.monotonic()
        if self._live and now - self._drawn > INTERVAL:
            self._drawn = now
            done = trainer.batch / trainer.batches
            bar = "=" * int(20 * done)
            left = (now - self._began) / max(trainer.batch, 1) * (trainer.batches - trainer.batch)
            self._write(
                f"\r{_epoch(trainer)}  [{bar:<20}] {trainer.batch}/{trainer.batches}  "
                f"loss {trainer.mean_loss:.4f}  {left:.0f} s left"
            )

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Print the epoch's line."""
        parts = [_number(name, value) for name, value in numbers.items()]
        self._write(("\r" if self._live else "") + f"{_epoch(trainer, 0)}  " + "  ".join(parts))
        self._end_line()
        self._began = time.monotonic()

    def failed(self, trainer: Trainer, error: BaseException) -> None:
        """Leave the live line as it is and begin a new one."""
        if self._live:
            self._end_line()

    def _write(self, text: str) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            text = text[: width + 1].ljust(width + 1)
        self.stream.write(text)
        self.stream.flush()

    def _end_line(self) -> None:
        self.stream.write("\n")
        self.stream.flush()


def _epoch(trainer: Trainer, running: int = 1) -> str:
    width = len(str(trainer.last_epoch))
    return f"epoch {trainer.epoch + running:>{width}}/{trainer.last_epoch}"


def _number(name: str, value: float) -> str:
    if name == "seconds":
        return f"{value:.1f} s"
    return (
        f"{name.replace('_', ' ')} {value:.4g}"
        if name == "learning_rate"
        else (f"{name.replace('_', ' ')} {value:.4f}")
    )
