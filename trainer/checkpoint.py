"""Checkpoint: a run on disk, from which it goes on bit for bit as if it had never stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrixslow.errors import ArgumentError
from matrixslow.trainer.hooks import Hook, Mode, Monitor

if TYPE_CHECKING:
    from matrixslow.trainer.trainer import Trainer


class Checkpoint(Hook):
    """Writes `last.npz` into a folder as training goes on, and `best.npz` at the best epoch.

    `trainer.resume("folder/last.npz")` goes on from there: variables, optimizer state, random
    numbers, epoch and place in the data.

    Args:
        folder: Where to; it is made if need be.
        monitor: Which number decides what is best; without one only the last is written.
        mode: "min" or "max"; see `Monitor`.
        every_steps: Write also after so many steps, in the middle of epochs.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> hook = ms.trainer.Checkpoint("run", every_steps=100)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1), hooks=[hook])
    >>> history = trainer.fit({x: np.ones((4, 2))}, epochs=3, progress=False)
    >>> trainer.resume("run/last.npz")  # in another process, with the trainer built anew
    >>> trainer.epoch
    3
    """

    order = 70

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        monitor: str | None = None,
        mode: Mode | None = None,
        every_steps: int | None = None,
    ) -> None:
        if every_steps is not None and every_steps < 1:
            raise ArgumentError(f"Checkpoint: every_steps={every_steps}", hint="give 1 or more")
        self.folder = Path(folder)
        self.monitor = None if monitor is None else Monitor(monitor, mode=mode)
        self.every_steps = every_steps

    def begin(self, trainer: Trainer) -> None:
        """Make the folder, so that a wrong one is known now."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def after_step(self, trainer: Trainer) -> None:
        """Write in the middle of an epoch."""
        if self.every_steps is not None and trainer.steps % self.every_steps == 0:
            trainer.save(self.folder / "last.npz")

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Write at the end of an epoch."""
        if self.monitor is not None and self.monitor.improved(self, numbers):
            trainer.save(self.folder / "best.npz")
        trainer.save(self.folder / "last.npz")

    def state(self) -> dict[str, Any]:
        """The best number."""
        return {} if self.monitor is None else {"best": self.monitor.best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if self.monitor is not None and "best" in state:
            self.monitor.best = float(state["best"])
