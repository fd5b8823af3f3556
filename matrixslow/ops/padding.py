"""Pad, and what undoes it in gradients."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec
from matrixslow.errors import ShapeError
from matrixslow.ops.options import as_choice, as_integers

MODES = ("constant", "reflect", "edge", "wrap")


class Pad(Node):
    """x with more elements before and behind it on each axis.

    Args:
        x: Any node.
        pads: How many before, for each axis, then how many behind, for each axis.
        mode: What the new elements are: "constant"; "reflect", the mirror image beyond the first
            and the last element; "edge", the nearest element; "wrap", x over again.
        constant_value: What "constant" pads with.

    Raises:
        ShapeError: `pads` does not fit the axes, or asks for more than x can give.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Pad([1.0, 2.0, 3.0], pads=(2, 1), mode="reflect")
    >>> graph.forward(y)
    array([3., 2., 1., 2., 3., 2.], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        pads: Iterable[int],
        mode: str = "constant",
        constant_value: float = 0.0,
        name: str | None = None,
    ) -> None:
        self.pads = as_integers(self, "pads", pads)
        self.mode = as_choice(self, "mode", mode, MODES)
        self.constant_value = constant_value
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        widths = _widths(self.pads, x)
        for axis, (size, width) in enumerate(zip(x.shape, widths, strict=True)):
            if self.mode == "constant" or size is None:
                continue
            most = {"reflect": size - 1, "wrap": size, "edge": max(width) if size else 0}[self.mode]
            if max(width) > max(most, 0):
                raise ShapeError(
                    f"axis {axis} of {x.shape} cannot be padded by {max(width)} elements "
                    f"in mode {self.mode!r}",
                    hint=f"at most {max(most, 0)} elements can come from there",
                )
        sizes = zip(x.shape, widths, strict=True)
        return Spec((None if size is None else size + sum(width) for size, width in sizes), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        if not any(self.pads):
            return x
        widths = _widths(self.pads, x)
        if self.mode != "constant":
            return xp.pad(x, widths, self.mode)
        # Twice as fast as xp.pad on small arrays.
        padded = xp.full(
            [size + sum(width) for size, width in zip(x.shape, widths, strict=True)],
            self.constant_value,
            x.dtype,
        )
        padded[_core(padded, widths)] = x
        return padded

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (PadGradient(upstream, pads=self.pads, mode=self.mode),)


class PadGradient(Node):
    """What Pad was given, with everything that it copied to the borders added up.

    Args:
        x: As Pad returns it.
        pads: As for Pad.
        mode: As for Pad.
    """

    def __init__(
        self,
        x: Operand,
        *,
        pads: Iterable[int],
        mode: str = "constant",
        name: str | None = None,
    ) -> None:
        self.pads = as_integers(self, "pads", pads)
        self.mode = as_choice(self, "mode", mode, MODES)
        super().__init__(x, name=name)

    def infer(self, x: Spec) -> Spec:
        sizes = zip(x.shape, _widths(self.pads, x), strict=True)
        return Spec((None if size is None else size - sum(width) for size, width in sizes), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        widths = _widths(self.pads, x)
        if self.mode == "constant":
            return x[_core(x, widths)]
        for axis, (before, behind) in enumerate(widths):
            size = x.shape[axis] - before - behind
            padded = xp.moveaxis(x, axis, 0)
            total = padded[before : before + size].copy()
            for place in (*range(before), *range(before + size, len(padded))):
                total[self._source(place - before, size)] += padded[place]
            x = xp.moveaxis(total, 0, axis)
        return x

    def gradient(self, upstream: Node) -> tuple[Node]:
        return (Pad(upstream, pads=self.pads, mode=self.mode),)

    def _source(self, place: int, size: int) -> int:
        """The element that Pad copies to a place outside 0 <= place < size."""
        if self.mode == "edge":
            return 0 if place < 0 else size - 1
        if self.mode == "wrap":
            return place % size
        return -place if place < 0 else 2 * (size - 1) - place


def _widths(pads: tuple[int, ...], x: Spec | Array) -> list[tuple[int, int]]:
    """How many elements before and behind each axis."""
    if len(pads) != 2 * x.ndim or any(pad < 0 for pad in pads):
        raise ShapeError(
            f"pads={pads} does not fit the {x.ndim} axes of {x.shape}",
            hint="give how many elements come before, for each axis, then how many behind, for "
            "each axis; to cut elements off, slice",
        )
    return list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))


def _core(padded: Array, widths: list[tuple[int, int]]) -> tuple[Any, ...]:
    """Where x lies in the padded array."""
    return tuple(
        slice(before, size - behind)
        for size, (before, behind) in zip(padded.shape, widths, strict=True)
    )
