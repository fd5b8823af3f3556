"""Pooling: one number for each window of each channel, or for the whole channel."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, floating_dtype
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.comparison import Greater, Where
from matrixslow.ops.extremes import ReduceMax
from matrixslow.ops.options import as_integers, shape_of
from matrixslow.ops.piecewise import Sign
from matrixslow.ops.reduction import FloatingReduction, ReduceMean
from matrixslow.ops.windows import FixedWindows, PerAxis, Windows, check_images, reach


class Pooling(FixedWindows):
    """Base of the operators that give one number for each window.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, *number of windows).
    """

    def infer(self, x: Spec) -> Spec:
        counts = self.counts_over(x)
        reaches = map(reach, self.kernel_shape, self.dilations)
        if any(pad >= most for pad, most in zip(self.pads, (*reaches,) * 2, strict=True)):
            raise ShapeError(
                f"pads={self.pads} lay a window of {self.kernel_shape} wholly outside the image",
                hint="pad less than the size of a window",
            )
        return Spec((*x.shape[:2], *counts), floating_dtype(x))


class MaxPool(Pooling):
    """The largest element of each window.

    Of equal elements the first one, row by row, takes the whole gradient.

    Args:
        x: Images.
        kernel_shape: The size of a window, on each axis or on all.
        strides: How far it moves.
        pads: How much may lie outside the image: a number for each axis, or all those before, then
            all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, *number of windows).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.MaxPool([[[1.0, 4.0, 2.0, 3.0]]], kernel_shape=2, strides=2)
    >>> graph.forward(y)
    array([[[4., 3.]]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        windows = self.windows_over(x)
        return windows.reduce(xp.maximum, windows.pad(xp, x, -xp.inf))

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (MaxPoolGradient(upstream, x, self, **self.attributes),)


class MaxPoolIndices(Pooling):
    """Where MaxPool finds the largest element of each window.

    Of equal elements the first one, row by row, counts. The positions are those in x as one long
    row, as in ONNX: `x.ravel()[y]` is what MaxPool gives.

    Args:
        x: Images.
        kernel_shape: The size of a window; this and all other options as for MaxPool.
        strides: How far it moves.
        pads: How much may lie outside the image.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`.
        ceil_mode: Whether a last window may reach beyond the padding.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, *number of windows) of int64.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.MaxPoolIndices([[[1.0, 4.0, 2.0, 3.0]]], kernel_shape=2, strides=2)
    >>> graph.forward(y)
    array([[[1, 3]]])
    """

    gradient = None

    def infer(self, x: Spec) -> Spec:
        return Spec(super().infer(x).shape, np.int64)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        windows = self.windows_over(x)
        maximum = windows.reduce(xp.maximum, windows.pad(xp, x, -xp.inf))
        places = windows.pad(xp, xp.arange(x.size).reshape(x.shape))
        y = xp.zeros(maximum.shape, xp.int64)
        for key, found in _winners(xp, windows, x, maximum):
            y += places[key] * found
        return y


class MaxPoolGradient(FixedWindows):
    """Zeros, but for the upstream gradient where MaxPool finds the largest elements of x.

    Shapes: upstream and maximum (N, C, *number of windows), x and y (N, C, *sizes).
    """

    def infer(self, upstream: Spec, x: Spec, maximum: Spec) -> Spec:
        return Spec(x.shape, upstream.dtype)

    def compute(self, xp: ModuleType, upstream: Array, x: Array, maximum: Array) -> Array:
        windows = self.windows_over(x)
        y = xp.zeros((*x.shape[:2], *windows.extents), upstream.dtype)
        for key, found in _winners(xp, windows, x, maximum):
            y[key] += upstream * found
        return windows.crop(y)

    def gradient(self, upstream: Node) -> tuple[Node, None, None]:
        _, x, maximum = self.inputs
        return MaxPoolPick(upstream, x, maximum, **self.attributes), None, None


class MaxPoolPick(FixedWindows):
    """The elements of v where MaxPool finds the largest elements of x.

    Shapes: v and x (N, C, *sizes), maximum and y (N, C, *number of windows).
    """

    def infer(self, v: Spec, x: Spec, maximum: Spec) -> Spec:
        return Spec(maximum.shape, v.dtype)

    def compute(self, xp: ModuleType, v: Array, x: Array, maximum: Array) -> Array:
        windows = self.windows_over(x)
        padded = windows.pad(xp, v)
        y = xp.zeros(maximum.shape, v.dtype)
        for key, found in _winners(xp, windows, x, maximum):
            y += padded[key] * found
        return y

    def gradient(self, upstream: Node) -> tuple[Node, None, None]:
        _, x, maximum = self.inputs
        return MaxPoolGradient(upstream, x, maximum, **self.attributes), None, None


class Averaging(FixedWindows):
    """Base of AveragePool and its gradient: what the sum over a window is divided by.

    Args:
        inputs: The nodes.
        kernel_shape: The size of a window; this and most options as for FixedWindows.
        strides: How far it moves.
        pads: How much may lie outside the image.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`.
        ceil_mode: Whether a last window may reach beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: In place of the number of elements; 1 gives sums.
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
        count_include_pad: bool = False,
        divisor_override: float | None = None,
        name: str | None = None,
    ) -> None:
        self.count_include_pad = bool(count_include_pad)
        self.divisor_override = divisor_override
        super().__init__(
            *inputs,
            kernel_shape=kernel_shape,
            strides=strides,
            pads=pads,
            dilations=dilations,
            auto_pad=auto_pad,
            ceil_mode=ceil_mode,
            name=name,
        )

    def divisor(self, xp: ModuleType, x: Array) -> Array | float:
        """What the sum over each window is divided by: (*number of windows), or one number."""
        if self.divisor_override is not None:
            return self.divisor_override
        found = self.windows_over(x).elements(xp, padding=self.count_include_pad)
        return xp.maximum(found, 1.0).astype(x.dtype)


class AveragePool(Averaging, Pooling):
    """The mean of each window.

    Args:
        x: Images.
        kernel_shape: The size of a window, on each axis or on all.
        strides: How far it moves.
        pads: How much may lie outside the image: a number for each axis, or all those before, then
            all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: What to divide by in place of the number of elements; 1 gives sums.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, *number of windows).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.AveragePool([[[1.0, 4.0, 2.0, 3.0]]], kernel_shape=2, strides=2)
    >>> graph.forward(y)
    array([[[2.5, 2.5]]], dtype=float32)
    """

    def compute(self, xp: ModuleType, x: Array) -> Array:
        windows = self.windows_over(x)
        return windows.reduce(xp.add, windows.pad(xp, x)) / self.divisor(xp, x)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (AveragePoolGradient(upstream, x, **self.attributes),)


class AveragePoolGradient(Averaging):
    """The upstream gradient, divided among the elements of each window.

    Shapes: upstream (N, C, *number of windows), like and y (N, C, *sizes).
    """

    def infer(self, upstream: Spec, like: Spec) -> Spec:
        return Spec(like.shape, upstream.dtype)

    def compute(self, xp: ModuleType, upstream: Array, like: Array) -> Array:
        return self.windows_over(like).spread(xp, upstream / self.divisor(xp, like))

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return AveragePool(upstream, **self.attributes), None


class LpPool(Pooling):
    """The p-norm of each window: (sum of |x|**p) ** (1 / p).

    Where a window holds zeros only, the gradient is zero.

    Args:
        x: Images.
        kernel_shape: The size of a window, on each axis or on all.
        p: The exponent, 1 or more.
        strides: How far it moves.
        pads: How much may lie outside the image: a number for each axis, or all those before, then
            all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, *number of windows).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.LpPool([[[3.0, 4.0, 0.0, 1.0]]], kernel_shape=2, strides=2)
    >>> graph.forward(y)
    array([[[5., 1.]]], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        kernel_shape: PerAxis,
        p: int = 2,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        auto_pad: str = "NOTSET",
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        self.p = _exponent(self, p)
        super().__init__(
            x,
            kernel_shape=kernel_shape,
            strides=strides,
            pads=pads,
            dilations=dilations,
            auto_pad=auto_pad,
            ceil_mode=ceil_mode,
            name=name,
        )

    def compute(self, xp: ModuleType, x: Array) -> Array:
        windows = self.windows_over(x)
        return windows.reduce(xp.add, xp.abs(windows.pad(xp, x)) ** self.p) ** (1 / self.p)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        options = {option: getattr(self, option) for option in FixedWindows.options}
        share = upstream * _norm_power(self, 1 - self.p)
        return (AveragePoolGradient(share, x, divisor_override=1, **options) * _slope(x, self.p),)


class GlobalMaxPool(ReduceMax):
    """The largest element of each channel.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, 1, ...).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.GlobalMaxPool([[[1.0, 4.0, 2.0]]])
    >>> graph.forward(y)
    array([[[4.]]], dtype=float32)
    """

    def __init__(self, x: Operand, *, name: str | None = None) -> None:
        super().__init__(x, axes=_spatial_axes(x), name=name)

    def infer(self, x: Spec) -> Spec:
        check_images(x)
        return super().infer(x)


class GlobalAveragePool(ReduceMean):
    """The mean of each channel.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, 1, ...).
    Source: Lin, Chen and Yan, "Network In Network" (2013).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.GlobalAveragePool([[[1.0, 4.0, 2.0, 3.0]]])
    >>> graph.forward(y)
    array([[[2.5]]], dtype=float32)
    """

    def __init__(self, x: Operand, *, name: str | None = None) -> None:
        super().__init__(x, axes=_spatial_axes(x), name=name)

    def infer(self, x: Spec) -> Spec:
        check_images(x)
        return super().infer(x)


class GlobalLpPool(FloatingReduction):
    """The p-norm of each channel: (sum of |x|**p) ** (1 / p).

    Where a channel holds zeros only, the gradient is zero.

    Args:
        x: Images.
        p: The exponent, 1 or more.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, y (N, C, 1, ...).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.GlobalLpPool([[[3.0, 0.0, 4.0]]])
    >>> graph.forward(y)
    array([[[5.]]], dtype=float32)
    """

    def __init__(self, x: Operand, *, p: int = 2, name: str | None = None) -> None:
        self.p = _exponent(self, p)
        super().__init__(x, axes=_spatial_axes(x), name=name)

    def infer(self, x: Spec) -> Spec:
        check_images(x)
        return super().infer(x)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        total = (xp.abs(x) ** self.p).sum(axis=self.axes, dtype=x.dtype, keepdims=True)
        return total ** (1 / self.p)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (upstream * _norm_power(self, 1 - self.p) * _slope(x, self.p),)


def _spatial_axes(x: Operand) -> range:
    return range(2, len(shape_of(x)))


def _winners(
    xp: ModuleType, windows: Windows, x: Array, maximum: Array
) -> Iterator[tuple[tuple[Any, ...], Array]]:
    """For each element of the windows, its key and where it is the first to be the maximum."""
    padded = windows.pad(xp, x, -xp.inf)
    sought = xp.ones(maximum.shape, bool)
    for _, key in windows.places():
        found = (padded[key] == maximum) & sought
        sought ^= found
        yield key, found


def _exponent(owner: object, p: int) -> int:
    (exponent,) = as_integers(owner, "p", p)
    if exponent < 1:
        raise ArgumentError(f"{type(owner).__name__}: p={p} gives no norm", hint="give p >= 1")
    return exponent


def _norm_power(norm: Node, exponent: int) -> Node:
    """A norm to a power, and 1 where the norm is zero: its slope is zero in all directions."""
    positive = Greater(norm, 0.0)
    return Where(positive, norm, 1.0) ** exponent


def _slope(x: Node, p: int) -> Node:
    """The slope of |x|**p / p."""
    return x ** (p - 1) if p % 2 == 0 else Sign(x) * abs(x) ** (p - 1)
