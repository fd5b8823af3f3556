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

    >>> with ms.Graph():
    ...     x = ms.Input((None,), name="x")
    ...     loss = ms.Variable(2.0) * ms.ops.ReduceMean(x)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.5))
    >>> history = trainer.fit({x: [1.0]}, epochs=2)  # doctest: +ELLIPSIS
    epoch 1/2  loss 2.0000  learning rate 0.5  ... s
    epoch 2/2  loss 1.5000  learning rate 0.5  ... s
    """

    order = 90

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._out: TextIO = sys.stdout
        self._live = self._drawn = False
        self._began = self._last = 0.0
        self._first = 0

    def begin(self, trainer: Trainer) -> None:
        """Look whether the stream is a terminal."""
        self._out = sys.stdout if self._stream is None else self._stream
        self._live = self._out.isatty()

    def before_epoch(self, trainer: Trainer) -> None:
        """Note the time."""
        self._began = time.monotonic()
        self._first = trainer.batch

    def after_step(self, trainer: Trainer) -> None:
        """Draw the live line, ten times a second at most."""
        now = time.monotonic()
        if self._live and now - self._last > INTERVAL:
            self._last = now
            batch, batches = trainer.batch, len(trainer.batches)
            bar = "=" * (20 * batch // batches)
            left = (now - self._began) / (batch - self._first) * (batches - batch)
            line = (
                f"{_epoch(trainer.epoch + 1, trainer)}  [{bar:<20}] {batch}/{batches}  "
                f"loss {trainer.tally.mean_loss:.4f}  {left:.0f} s left"
            )
            self._draw(line[: _columns()])

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Print the epoch's line."""
        parts = [_number(name, value) for name, value in numbers.items()]
        self._draw("  ".join([_epoch(trainer.epoch, trainer), *parts]))
        self._end_line()

    def end(self, trainer: Trainer) -> None:
        """Leave a live line that is not ended as it is, and begin a new one."""
        if self._drawn:
            self._end_line()

    def _draw(self, text: str) -> None:
        """Write a line, on a terminal over the one that was drawn before."""
        self._write("\r" + text.ljust(_columns()) if self._live else text)
        self._drawn = True

    def _end_line(self) -> None:
        self._write("\n")
        self._drawn = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _columns() -> int:
    """How long a line may be without wrapping on any terminal."""
    return shutil.get_terminal_size().columns - 1


def _epoch(number: int, trainer: Trainer) -> str:
    width = len(str(trainer.last_epoch))
    return f"epoch {number:>{width}}/{trainer.last_epoch}"


def _number(name: str, value: float) -> str:
    if name == "seconds":
        return f"{value:.1f} s"
    return f"{name.replace('_', ' ')} {value:{'.4g' if name == 'learning_rate' else '.4f'}}"
