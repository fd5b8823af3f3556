"""Hooks: what may happen beside the training loop, at its steps and epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf, isnan
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from matrixslow.errors import ArgumentError, MissingExtra

if TYPE_CHECKING:
    from matrixslow.trainer.trainer import Trainer

Mode = Literal["min", "max"]


class Hook:
    """Base of the hooks: every method may be left out.

    Hooks run in ascending `order`, then in the order they were given, and are ended in the reverse
    order. `end` is called once for every `begin`, however the run ends.

    Attributes:
        order: Its place among the hooks.

    >>> class Halve(ms.trainer.Hook):
    ...     def after_epoch(self, trainer, numbers):
    ...         trainer.learning_rate /= 2
    """

    order: ClassVar[int] = 50

    def begin(self, trainer: Trainer) -> None:
        """Before the first step of a call of `fit`."""

    def before_epoch(self, trainer: Trainer) -> None:
        """Before the first batch of an epoch, or the one that a resumed run begins with."""

    def after_step(self, trainer: Trainer) -> None:
        """After a batch: `trainer.tally.loss` is its loss."""

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """After an epoch and its validation; the numbers are in `trainer.history` by now."""

    def failed(self, trainer: Trainer, error: BaseException) -> None:
        """After an error that ends the run."""

    def end(self, trainer: Trainer) -> None:
        """At the end of a call of `fit`, however it ended."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep of this hook: numbers, text and arrays by name."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


class Monitor:
    """Follows one number of the history and knows whether it got better.

    Args:
        name: Which number: "validation_loss".
        mode: Whether less or more is better; by default less for names that end in "loss" or
            "error", more for all others.
        least: By how much it must get better to count.

    >>> monitor = ms.trainer.Monitor("accuracy", least=0.01)
    >>> [monitor.improved(ms.trainer.Hook(), {"accuracy": x}) for x in (0.5, 0.505, 0.6)]
    [True, False, True]
    """

    def __init__(self, name: str, *, mode: Mode | None = None, least: float = 0.0) -> None:
        self.name = name
        self.sign = 1.0 if (mode or _direction(name)) == "min" else -1.0
        self.least = least
        self.best = inf

    def improved(self, owner: Hook, numbers: Mapping[str, float]) -> bool:
        """Whether this epoch is the best so far; it is remembered if so.

        Raises:
            ArgumentError: The number is not measured.
        """
        if self.name not in numbers:
            raise ArgumentError(
                f"{type(owner).__name__}: {self.name!r} is not measured",
                rows=(f"measured  {', '.join(numbers)}",),
                hint="monitor one of these, or give fit(validation=...)",
            )
        value = self.sign * numbers[self.name]
        if isnan(value) or not value < self.best - self.least:
            return False
        self.best = value
        return True


def _direction(name: str) -> Mode:
    return "min" if name.endswith(("loss", "error")) else "max"


class EarlyStopping(Hook):
    """Stops when a number has not got better for `patience` epochs.

    Args:
        monitor: The number's name.
        patience: How many epochs without a better one are borne.
        mode: "min" or "max"; see `Monitor`.
        least: By how much it must get better to count.
        restore_best: Whether all variables, those of the optimizer too, go back to the best epoch
            when the run ends, however it ends.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> hook = ms.trainer.EarlyStopping("loss", patience=2)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.0), hooks=[hook])
    >>> trainer.fit({x: np.ones((4, 2))}, epochs=100, progress=False).epochs
    3
    """

    order = 60

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 5,
        mode: Mode | None = None,
        least: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.monitor = Monitor(monitor, mode=mode, least=least)
        self.patience = patience
        self.restore_best = restore_best
        self.waited = 0
        self._best: dict[str, Any] | None = None

    def begin(self, trainer: Trainer) -> None:
        """Forget what was best, unless the run goes on; it may have been about to stop."""
        if not trainer.resumed:
            self.monitor.best, self.waited, self._best = inf, 0, None
        elif self.waited >= self.patience:
            trainer.stop()

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Count the epochs without a better one."""
        if self.monitor.improved(self, numbers):
            self.waited = 0
            if self.restore_best:
                self._best = trainer.graph.state_dict()
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stop()

    def end(self, trainer: Trainer) -> None:
        """Go back to the best epoch."""
        if self._best is not None:
            trainer.graph.load_state_dict(self._best)

    def state(self) -> dict[str, Any]:
        """The best number, the wait for a better one, and the variables of the best epoch."""
        best = {f"variables/{name}": array for name, array in (self._best or {}).items()}
        return {"best": self.monitor.best, "waited": self.waited, **best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.monitor.best, self.waited = float(state["best"]), int(state["waited"])
        mark = "variables/"
        best = {name[len(mark) :]: x for name, x in state.items() if name.startswith(mark)}
        self._best = best or None


class ReduceOnPlateau(Hook):
    """Multiplies the learning rate when a number has not got better for `patience` epochs.

    Args:
        monitor: The number's name.
        factor: What the learning rate is multiplied by.
        patience: How many epochs without a better one are borne.
        mode: "min" or "max"; see `Monitor`.
        least: By how much it must get better to count.
        minimum: The learning rate does not go below this.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> hook = ms.trainer.ReduceOnPlateau("loss", factor=0.5, patience=1)
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.0), hooks=[hook])
    >>> trainer.learning_rate = 1e-9
    >>> trainer.fit({x: np.ones((4, 2))}, epochs=4, progress=False)["learning_rate"]
    [1e-09, 1e-09, 1e-09, 5e-10]
    """

    order = 55

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        factor: float = 0.1,
        patience: int = 5,
        mode: Mode | None = None,
        least: float = 1e-4,
        minimum: float = 0.0,
    ) -> None:
        if not 0.0 < factor < 1.0:
            raise ArgumentError(f"ReduceOnPlateau: factor={factor}", hint="give 0 < factor < 1")
        self.monitor = Monitor(monitor, mode=mode, least=least)
        self.factor = factor
        self.patience = patience
        self.minimum = minimum
        self.waited = 0

    def begin(self, trainer: Trainer) -> None:
        """Forget what was best, unless the run goes on.

        Raises:
            ArgumentError: There is no single learning rate to change.
        """
        _ = trainer.learning_rate  # refused now, and not at the first plateau
        if not trainer.resumed:
            self.monitor.best, self.waited = inf, 0

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Count the epochs without a better one."""
        if self.monitor.improved(self, numbers):
            self.waited = 0
            return
        self.waited += 1
        if self.waited > self.patience:
            trainer.learning_rate = max(trainer.learning_rate * self.factor, self.minimum)
            self.waited = 0

    def state(self) -> dict[str, Any]:
        """The best number and the wait for a better one."""
        return {"best": self.monitor.best, "waited": self.waited}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.monitor.best, self.waited = float(state["best"]), int(state["waited"])


class TensorBoard(Hook):
    """Writes the numbers of every epoch for TensorBoard to read; needs the extra `tensorboard`.

    Args:
        folder: Where the event files go.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> hook = ms.trainer.TensorBoard("events")
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1), hooks=[hook])
    >>> history = trainer.fit({x: np.ones((4, 2))}, progress=False)
    """

    order = 80

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = folder
        self._writer: Any = None

    def begin(self, trainer: Trainer) -> None:
        """Open the file."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingExtra(
                "TensorBoard needs tensorboardX, which is not installed",
                hint="pip install 'matrixslow[tensorboard]'",
            ) from error
        self._writer = SummaryWriter(os.fspath(self.folder))

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Write the numbers."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, trainer.epoch)

    def end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
