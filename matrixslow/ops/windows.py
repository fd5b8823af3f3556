"""Windows that move over the spatial axes of images: what convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.options import as_choice, as_integers, shape_of

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")

PerAxis = int | Iterable[int]
"""A number for every spatial axis, or one number for all."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Where windows lie on the spatial axes of an image whose sizes are known.

    Attributes:
        kernel: The size of a window, for each axis.
        strides: How far it moves.
        dilations: How far apart its elements are.
        pads: How many elements stand before and behind the image.
        sizes: The sizes of the image.
        counts: How many windows there are.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """The sizes of the image with its padding, as far as windows may reach."""
        return tuple(
            max(before + size + behind, (count - 1) * stride + reach(kernel, dilation))
            for size, (before, behind), count, stride, kernel, dilation in zip(
                self.sizes,
                self.pads,
                self.counts,
                self.strides,
                self.kernel,
                self.dilations,
                strict=True,
            )
        )

    def pad(self, xp: ModuleType, x: Array, value: float = 0.0) -> Array:
        """The images (N, C, *sizes) with their padding: (N, C, *extents)."""
        if self.extents == self.sizes:
            return x
        padded = xp.full((*x.shape[:2], *self.extents), value, x.dtype)
        self.crop(padded)[...] = x
        return padded

    def crop(self, padded: Array) -> Array:
        """The images without their padding."""
        core = (
            slice(before, before + size)
            for size, (before, _) in zip(self.sizes, self.pads, strict=True)
        )
        return padded[(..., *core)]

    def view(self, xp: ModuleType, padded: Array) -> Array:
        """A view (N, C, *kernel, *counts) of padded images: every element of every window."""
        steps = padded.strides[2:]
        within = (step * dilation for step, dilation in zip(steps, self.dilations, strict=True))
        between = (step * stride for step, stride in zip(steps, self.strides, strict=True))
        return xp.lib.stride_tricks.as_strided(
            padded,
            (*padded.shape[:2], *self.kernel, *self.counts),
            (*padded.strides[:2], *within, *between),
        )

    def places(self) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Each element of a window, with the key that picks it from padded images.

        Yields:
            Its position in the window, and an index so that padded[index] is (N, C, *counts).
        """
        for position in product(*map(range, self.kernel)):
            starts = (i * dilation for i, dilation in zip(position, self.dilations, strict=True))
            yield (
                position,
                (
                    ...,
                    *(
                        slice(start, start + (count - 1) * stride + 1, stride)
                        for start, count, stride in zip(
                            starts, self.counts, self.strides, strict=True
                        )
                    ),
                ),
            )

    def combine(self, xp: ModuleType, elements: Array) -> Array:
        """Images of which `view` shows these elements; where windows overlap, the sum."""
        padded = xp.zeros((*elements.shape[:2], *self.extents), elements.dtype)
        for position, index in self.places():
            padded[index] += elements[(slice(None), slice(None), *position)]
        return self.crop(padded)


class Windowed(Node):
    """Base of the operators with windows that move over the spatial axes of (N, C, *sizes).

    The options are ONNX's. A single number is meant for every spatial axis.

    Args:
        inputs: The nodes; the one with the most axes tells how many spatial axes there are.
        strides: How far a window moves.
        pads: How many elements stand before and behind the image: a number for each axis, or all
            those before, then all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER" or "SAME_LOWER" pad so that there are as many
            windows as elements, divided by the stride; an odd one goes behind or before. "VALID"
            pads nothing.
    """

    def __init__(
        self,
        *inputs: Operand,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        auto_pad: str = "NOTSET",
        name: str | None = None,
    ) -> None:
        axes = max(0, *(len(shape_of(x)) - 2 for x in inputs))
        self.strides = per_axis(self, "strides", strides, axes, least=1)
        self.dilations = per_axis(self, "dilations", dilations, axes, least=1)
        self.pads = per_axis(self, "pads", pads, axes, least=0, sides=2)
        self.auto_pad = as_choice(self, "auto_pad", auto_pad, AUTO_PADS)
        if any(self.pads) and auto_pad != "NOTSET":
            raise ArgumentError(
                f"{type(self).__name__}: pads={self.pads} and auto_pad={auto_pad!r} contradict",
                hint="give one of the two",
            )
        super().__init__(*inputs, name=name)

    def counts(self, sizes: Shape, kernel: Sequence[int], *, ceil: bool = False) -> Shape:
        """How many windows there are on each axis; None where the size is fed.

        Raises:
            ShapeError: A window is larger than the padded image.
        """
        return tuple(
            None if size is None else self._on_axis(axis, size, kernel[axis], ceil)[1]
            for axis, size in enumerate(sizes)
        )

    def windows(
        self, sizes: Sequence[int], kernel: Sequence[int], *, ceil: bool = False
    ) -> Windows:
        """The windows over images of these sizes.

        Args:
            sizes: The sizes of the spatial axes.
            kernel: The size of a window.
            ceil: Whether a last window may reach beyond the padding, if it starts before it.
        """
        found = [self._on_axis(axis, size, kernel[axis], ceil) for axis, size in enumerate(sizes)]
        return Windows(
            tuple(kernel),
            self.strides,
            self.dilations,
            tuple(pads for pads, _ in found),
            tuple(sizes),
            tuple(count for _, count in found),
        )

    def _on_axis(
        self, axis: int, size: int, kernel: int, ceil: bool
    ) -> tuple[tuple[int, int], int]:
        """The padding before and behind, and the number of windows."""
        stride, needed = self.strides[axis], reach(kernel, self.dilations[axis])
        if self.auto_pad.startswith("SAME"):
            count = -(-size // stride)
            total = max((count - 1) * stride + needed - size, 0)
            less, more = total // 2, total - total // 2
            return ((less, more) if self.auto_pad == "SAME_UPPER" else (more, less)), count
        before, behind = self.pads[axis], self.pads[axis + len(self.strides)]
        room = before + size + behind - needed
        if room < 0:
            raise ShapeError(
                f"a window of {needed} elements does not fit on axis {axis + 2}, "
                f"which has {size} and {before + behind} of padding",
                hint="make the window smaller or the image larger, or pad more",
            )
        count = room // stride + 1
        if ceil and room % stride and count * stride < before + size:
            count += 1
        return (before, behind), count


class FixedWindows(Windowed):
    """Base of the operators whose windows have a size of their own, not that of a kernel.

    Args:
        inputs: The nodes; the one with the most axes tells how many spatial axes there are.
        kernel_shape: The size of a window.
        strides: How far a window moves.
        pads: How many elements stand before and behind the image: a number for each axis, or all
            those before, then all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`, as for Windowed.
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.
    """

    def __init__(
        self,
        *inputs: Operand,
        kernel_shape: PerAxis,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        auto_pad: str = "NOTSET",
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        axes = max(0, *(len(shape_of(x)) - 2 for x in inputs))
        self.kernel_shape = per_axis(self, "kernel_shape", kernel_shape, axes, least=1)
        self.ceil_mode = bool(ceil_mode)
        super().__init__(
            *inputs, strides=strides, pads=pads, dilations=dilations, auto_pad=auto_pad, name=name
        )

    def counts_over(self, x: Spec) -> Shape:
        """How many windows there are over images of that shape, (N, C, *sizes), on each axis."""
        check_images(x)
        return self.counts(x.shape[2:], self.kernel_shape, ceil=self.ceil_mode)

    def windows_over(self, x: Array) -> Windows:
        """The windows over images (N, C, *sizes)."""
        return self.windows(x.shape[2:], self.kernel_shape, ceil=self.ceil_mode)


def reach(kernel: int, dilation: int) -> int:
    """How many elements there are from the first to the last one of a window, both included."""
    return (kernel - 1) * dilation + 1


def per_axis(
    owner: object, option: str, value: PerAxis, axes: int, *, least: int, sides: int = 1
) -> tuple[int, ...]:
    """The option as a number for each spatial axis, so often as there are sides.

    Raises:
        ArgumentError: There are too few or too many numbers, or one is too small.

    >>> per_axis(None, "strides", 2, 3, least=1)
    (2, 2, 2)
    >>> per_axis(None, "pads", (0, 1), 2, least=0, sides=2)
    (0, 1, 0, 1)
    """
    numbers = as_integers(owner, option, value)
    if not isinstance(value, Iterable):
        numbers *= axes
    if len(numbers) == axes:
        numbers *= sides
    if len(numbers) != axes * sides or any(number < least for number in numbers):
        raise ArgumentError(
            f"{type(owner).__name__}: {option}={value!r} does not fit {axes} spatial axes",
            hint=f"give numbers >= {least}, one for each axis of the image or one for all",
        )
    return numbers


def check_images(x: Spec) -> None:
    """Whether there are samples, channels and 1 to 3 spatial axes.

    Raises:
        ShapeError: There are not.
    """
    if not 3 <= x.ndim <= 5:
        raise ShapeError(
            f"images (N, C, *sizes) with 1 to 3 sizes are needed, {x.shape} came",
            hint="give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
        )
