"""Numbers: what an array holds, in a few figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matrixslow.backend import Array, to_host


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an array holds.

    Attributes:
        shape: The sizes of its axes.
        least: The smallest finite number.
        mean: The mean of the finite numbers.
        deviation: Their standard deviation.
        most: The largest finite number.
        norm: The root of the sum of their squares.
        zeros: How many are zero.
        broken: How many are NaN or infinite.
        whole: Whether they are integers.
    """

    shape: tuple[int, ...]
    least: float
    mean: float
    deviation: float
    most: float
    norm: float
    zeros: int
    broken: int
    whole: bool

    def __str__(self) -> str:
        """The number itself; mean and deviation of several; the range of integers."""
        if self.broken:
            return f"{self.broken:,} not finite"
        if self.shape.count(1) == len(self.shape):
            return f"{self.mean:.4g}"
        if self.whole:
            return f"{self.least:.0f} … {self.most:.0f}"
        return f"{self.mean:.3g} ± {self.deviation:.3g}"

    def rows(self) -> list[tuple[str, str]]:
        """The figures by name: the number itself, or all that there is to say of several."""
        if self.shape.count(1) == len(self.shape) and not self.broken:
            return [("value", f"{self.mean:.6g}")]
        rows = [
            ("shape", str(self.shape)),
            ("minimum", f"{self.least:.4g}"),
            ("mean", f"{self.mean:.4g}"),
            ("deviation", f"{self.deviation:.4g}"),
            ("maximum", f"{self.most:.4g}"),
            ("norm", f"{self.norm:.4g}"),
            ("zeros", f"{self.zeros:,}"),
        ]
        return [*rows, ("not finite", f"{self.broken:,}")] if self.broken else rows


def measure(array: Array | None) -> Numbers | None:
    """The figures of an array; None where there is none, or nothing in it.

    >>> str(measure(np.array([1.0, 3.0])))
    '2 ± 1'
    """
    if array is None or not array.size:
        return None
    host = to_host(array)
    flat = np.asarray(host, np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    if not finite.size:
        finite = np.full(1, np.nan)
    return Numbers(
        shape=host.shape,
        least=float(finite.min()),
        mean=float(finite.mean()),
        deviation=float(finite.std()),
        most=float(finite.max()),
        norm=float(np.linalg.norm(finite)),
        zeros=int(flat.size - np.count_nonzero(flat)),
        broken=int(np.count_nonzero(~np.isfinite(flat))),
        whole=host.dtype.kind != "f",
    )
