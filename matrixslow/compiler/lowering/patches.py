"""Windows over images as loops: which part of the image each element of a window meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod

from matrixslow.compiler.indices import Axis, Index, flat, number, of, row_major
from matrixslow.compiler.loops import Statement, Store, loops
from matrixslow.compiler.symbols import Buffer, Symbol, constant
from matrixslow.ops.windows import Track, Windows

Element = Callable[[tuple[Index, ...]], Symbol]
"""The element of an image at a position along its spatial axes."""


def valid(track: Track, tap: int) -> tuple[int, int]:
    """The windows whose element number `tap` lies inside the image: from the first to before."""
    offset = tap * track.dilation - track.before
    first = max(0, -(offset // track.stride))
    last = (track.size - 1 - offset) // track.stride + 1
    return min(first, track.count), max(min(last, track.count), min(first, track.count))


def taps(windows: Windows) -> Iterator[tuple[int, ...]]:
    """The elements of a window, row by row."""
    return product(*(range(size) for size in windows.kernel))


def is_inside(windows: Windows) -> bool:
    """Whether no window reaches beyond the image."""
    return all(
        valid(track, tap) == (0, track.count)
        for track in windows.tracks
        for tap in range(track.kernel)
    )


def meeting(
    windows: Windows, tap: Sequence[int]
) -> tuple[list[Axis], tuple[Index, ...], tuple[Index, ...]]:
    """Axes over the windows in which a tap is inside; positions of window and of image."""
    axes, places, pixels = [], [], []
    for track, one in zip(windows.tracks, tap, strict=True):
        first, last = valid(track, one)
        axis = Axis(last - first)
        place = of(axis) + first
        axes.append(axis)
        places.append(place)
        pixels.append(place * track.stride + (one * track.dilation - track.before))
    return axes, tuple(places), tuple(pixels)


def columns(
    windows: Windows, channels: int, read: Callable[[Index, tuple[Index, ...]], Symbol], to: Buffer
) -> list[Statement]:
    """Fill a matrix (channels * taps, windows) with what the windows meet, zeros outside.

    Args:
        windows: Over one image.
        channels: Of the image.
        read: The element of the image in a channel, at a position.
        to: The matrix.
    """
    counts = windows.counts
    steps = row_major(counts)
    size, width = prod(windows.kernel), prod(counts)
    body: list[Statement] = []
    for number_of_tap, tap in enumerate(taps(windows)):
        channel = Axis(channels)
        row = of(channel) * (size * width) + number_of_tap * width
        axes, places, pixels = meeting(windows, tap)
        if all(axis.size for axis in axes):
            store = Store(to, row + flat(places, steps), read(of(channel), pixels))
            body += loops([channel, *axes], [store])
        for box in outside(
            [valid(t, one) for t, one in zip(windows.tracks, tap, strict=True)], counts
        ):
            border = [Axis(last - first) for first, last in box]
            place = [of(axis) + first for axis, (first, _) in zip(border, box, strict=True)]
            zero = constant(0, to.dtype)
            body += loops([channel, *border], [Store(to, row + flat(place, steps), zero)])
    return body


def outside(
    ranges: Sequence[tuple[int, int]], counts: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """Boxes that together cover what lies outside a box of ranges, none of them empty."""
    for axis, (first, last) in enumerate(ranges):
        before = ranges[:axis]
        behind = [(0, count) for count in counts[axis + 1 :]]
        for bounds in ((0, first), (last, counts[axis])):
            box = [*before, bounds, *behind]
            if all(low < high for low, high in box):
                yield box


def flipped(windows: Windows) -> Windows:
    """The windows over upstream gradients that give those of the image, where strides are 1."""
    tracks = []
    for track in windows.tracks:
        before = (track.kernel - 1) * track.dilation - track.before
        tracks.append(Track(track.count, track.kernel, 1, track.dilation, before, 0, track.size))
    return Windows(tuple(tracks))


ORIGIN = number(0)
