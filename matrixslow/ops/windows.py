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
class Track:
    """Where windows lie on one axis of an image.

    Attributes:
        size: The size of the image.
        kernel: How many elements a window has.
        stride: How far it moves.
        dilation: How far apart its elements are.
        before: How many elements of padding stand before the image.
        behind: How many stand behind it.
        count: How many windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    behind: int
    count: int

    @property
    def extent(self) -> int:
        """The size of the image with its padding, as far as windows may reach."""
        last = (self.count - 1) * self.stride + reach(self.kernel, self.dilation)
        return max(self.before + self.size + self.behind, last)

    @property
    def core(self) -> slice:
        """Where the image lies in its padding."""
        return slice(self.before, self.before + self.size)

    @property
    def parts(self) -> list[slice]:
        """For each element of a window, where it lies in the padded image, window by window."""
        span = (self.count - 1) * self.stride + 1
        starts = range(0, self.kernel * self.dilation, self.dilation)
        return [slice(start, start + span, self.stride) for start in starts]


@dataclass(frozen=True, slots=True)
class Windows:
    """Where windows lie on images (N, C, *sizes): a track for each spatial axis."""

    tracks: tuple[Track, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        """The size of a window."""
        return tuple(track.kernel for track in self.tracks)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many windows there are on each axis."""
        return tuple(track.count for track in self.tracks)

    @property
    def extents(self) -> tuple[int, ...]:
        """The sizes of the padded images."""
        return tuple(track.extent for track in self.tracks)

    def pad(self, xp: ModuleType, x: Array, value: float = 0.0) -> Array:
        """The images in their padding: (N, C, *extents)."""
        if x.shape[2:] == self.extents:
            return x
        padded = xp.full((*x.shape[:2], *self.extents), value, x.dtype)
        self.crop(padded)[...] = x
        return padded

    def crop(self, padded: Array) -> Array:
        """The images without their padding."""
        return padded[(..., *(track.core for track in self.tracks))]

    def view(self, xp: ModuleType, padded: Array) -> Array:
        """A view (N, C, *kernel, *counts) of padded images: every element of every window."""
        steps = list(zip(padded.strides[2:], self.tracks, strict=True))
        return xp.lib.stride_tricks.as_strided(
            padded,
            (*padded.shape[:2], *self.kernel, *self.counts),
            (
                *padded.strides[:2],
                *(step * track.dilation for step, track in steps),
                *(step * track.stride for step, track in steps),
            ),
        )

    def places(self) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """The position of each element in a window, and the key that picks it from padded images.

        The key gives an array (N, C, *counts): that element of every window.
        """
        for choice in product(*(enumerate(track.parts) for track in self.tracks)):
            yield tuple(i for i, _ in choice), (..., *(part for _, part in choice))

    def combine(self, xp: ModuleType, elements: Array) -> Array:
        """Images of which `view` shows these elements; where windows overlap, the sum."""
        padded = xp.zeros((*elements.shape[:2], *self.extents), elements.dtype)
        for position, key in self.places():
            padded[key] += elements[(slice(None), slice(None), *position)]
        return self.crop(padded)

    def reduce(self, ufunc: Any, padded: Array) -> Array:
        """The elements of each window of padded images combined by a function: (N, C, *counts).

        One axis after the other takes the sum of the window's sizes in passes, not their product.
        """
        for axis, track in enumerate(self.tracks, start=2):
            first, *rest = (padded[(slice(None),) * axis + (part,)] for part in track.parts)
            padded = ufunc(first, rest[0]) if rest else first
            for part in rest[1:]:
                ufunc(padded, part, out=padded)
        return padded

    def spread(self, xp: ModuleType, y: Array) -> Array:
        """Images in which each element of y is added to every element of its window."""
        for axis, track in reversed(list(enumerate(self.tracks, start=2))):
            padded = xp.zeros((*y.shape[:axis], track.extent, *y.shape[axis + 1 :]), y.dtype)
            for part in track.parts:
                padded[(slice(None),) * axis + (part,)] += y
            y = padded
        return self.crop(y)

    def elements(self, xp: ModuleType, *, padding: bool) -> Array:
        """How many elements of each window lie in the image, or in its padding as well."""
        found = xp.ones(())
        for track in self.tracks:
            place = (
                xp.arange(track.count)[:, None] * track.stride
                + xp.arange(track.kernel) * track.dilation
                - track.before
            )
            low, high = -track.before * padding, track.size + track.behind * padding
            found = found[..., None] * ((place >= low) & (place < high)).sum(axis=1)
        return found


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
            None if size is None else self._track(axis, size, kernel[axis], ceil).count
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
        return Windows(
            tuple(self._track(axis, size, kernel[axis], ceil) for axis, size in enumerate(sizes))
        )

    def _track(self, axis: int, size: int, kernel: int, ceil: bool) -> Track:
        stride, dilation = self.strides[axis], self.dilations[axis]
        needed = reach(kernel, dilation)
        if self.auto_pad.startswith("SAME"):
            count = -(-size // stride)
            total = max((count - 1) * stride + needed - size, 0)
            before = total // 2 if self.auto_pad == "SAME_UPPER" else total - total // 2
            return Track(size, kernel, stride, dilation, before, total - before, count)
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
        return Track(size, kernel, stride, dilation, before, behind, count)


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
