"""History: the numbers of a training run, epoch by epoch."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan

from matrixslow.files import write_text


class History(Mapping[str, list[float]]):
    """What each epoch ended with, by name: "loss", "validation_loss", "accuracy", "seconds", ...

    An epoch that did not measure a number has nan in its place.

    >>> history = ms.trainer.History()
    >>> history.append({"loss": 0.5})
    >>> history.append({"loss": 0.25, "accuracy": 0.9})
    >>> history["loss"], history.epochs
    ([0.5, 0.25], 2)
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self._columns = {name: list(values) for name, values in (columns or {}).items()}
        self.epochs = max(map(len, self._columns.values()), default=0)

    def append(self, numbers: Mapping[str, float]) -> None:
        """Add an epoch."""
        for name in dict.fromkeys([*self._columns, *numbers]):
            column = self._columns.setdefault(name, [nan] * self.epochs)
            column.append(float(numbers.get(name, nan)))
        self.epochs += 1

    def __getitem__(self, name: str) -> list[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.items())
        return f"History of {self.epochs} epochs: {last}" if last else "History of 0 epochs"

    def to_dict(self) -> dict[str, list[float]]:
        """A copy as a plain dictionary."""
        return {name: list(values) for name, values in self.items()}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with a line for each epoch, counted from 1."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["epoch", *self])
        writer.writerows(zip(range(1, self.epochs + 1), *self.values(), strict=True))
        write_text(path, text.getvalue())

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write an object of lists; numbers that are not finite, which JSON lacks, are null."""
        columns = {name: [x if isfinite(x) else None for x in self[name]] for name in self}
        write_text(path, json.dumps(columns, indent=1) + "\n")

    def plot(self, path: str | os.PathLike[str], *names: str) -> None:
        """Draw curves to an SVG file: those named, or the loss and the validation loss.

        >>> history = ms.trainer.History({"loss": [0.9, 0.5, 0.3]})
        >>> history.plot("loss.svg")
        """
        from matrixslow.render import line_chart

        curves = self._curves(names)
        line_chart(curves, path, title="Training", x_label="epoch", y_label=_only(curves))

    def _repr_svg_(self) -> str | None:
        """The curves that `plot` draws, which a notebook shows; None where there are none."""
        from matrixslow.render.curves import line_chart_svg

        curves = self._curves()
        return line_chart_svg(curves, "Training", "epoch", _only(curves)) if curves else None

    def _curves(self, names: Sequence[str] = ()) -> dict[str, list[float]]:
        chosen = names or [name for name in self if name in ("loss", "validation_loss")]
        return {name: self[name] for name in chosen}


def _only(curves: Mapping[str, list[float]]) -> str:
    """The name of the curve where there is but one."""
    return "".join(curves) if len(curves) == 1 else ""
