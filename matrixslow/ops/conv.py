"""Convolution, and the three operators of which its gradients of every order are made.

<g, conv(x, w)> is linear in g, in x and in w, so its slope by one of the three is an operator of
the other two: Conv, ConvInput and ConvKernel are each other's gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec, floating_dtype
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.options import as_integers, may_equal, shape_of
from matrixslow.ops.reduction import ReduceSum
from matrixslow.ops.windows import PerAxis, Windowed, Windows, check_images, per_axis, reach

TILE = 2**20
"""Bytes of patches that are made at a time: so many stay in the cache until they are used."""


class Convolution(Windowed):
    """Base of the convolutions: their options, and the product of matrices that they are.

    Every array is seen in groups. With T windows, G groups, and K elements in a group's window, a
    kernel is a stack of matrices (G, M / G, K), the patches of an image are (G, K, T), its result
    (G, M / G, T).
    """

    layout: ClassVar[str] = "(M, C / group, *sizes)"
    """The shape of the kernel, in words."""

    def __init__(
        self,
        *inputs: Operand,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        group: int = 1,
        auto_pad: str = "NOTSET",
        name: str | None = None,
    ) -> None:
        (self.group,) = as_integers(self, "group", group)
        if self.group < 1:
            raise ArgumentError(f"{type(self).__name__}: group={group}", hint="give group >= 1")
        super().__init__(
            *inputs, strides=strides, pads=pads, dilations=dilations, auto_pad=auto_pad, name=name
        )

    def convolve(self, xp: ModuleType, x: Array, kernel: Array) -> Array:
        """The windows of the images x, each multiplied with the kernel."""
        windows = self.windows(x.shape[2:], kernel.shape[2:])
        matrices = self._matrices(kernel)
        y = xp.empty((len(x), *matrices.shape[:2], prod(windows.counts)), x.dtype)
        for part in _parts(xp, windows, x.shape, x.itemsize):
            xp.matmul(matrices, self._patches(xp, windows, x[part]), out=y[part])
        return y.reshape(len(x), len(kernel), *windows.counts)

    def spread(self, xp: ModuleType, g: Array, kernel: Array, sizes: tuple[int, ...]) -> Array:
        """Images of these sizes: the kernel, times each element of g, where its window lies."""
        windows = self.windows(sizes, kernel.shape[2:])
        matrices = self._matrices(kernel).transpose(0, 2, 1)
        x = xp.empty((len(g), kernel.shape[1] * self.group, *sizes), g.dtype)
        for part in _parts(xp, windows, x.shape, x.itemsize):
            patches = xp.matmul(matrices, self._results(g[part]))
            shape = (len(patches), x.shape[1], *windows.kernel, *windows.counts)
            x[part] = windows.combine(xp, patches.reshape(shape))
        return x

    def correlate(self, xp: ModuleType, x: Array, g: Array, kernel: Array) -> Array:
        """A kernel: the elements of x under each window, times the element of g there, added up."""
        windows = self.windows(x.shape[2:], kernel.shape[2:])
        total = xp.zeros_like(self._matrices(kernel), dtype=x.dtype)
        for part in _parts(xp, windows, x.shape, x.itemsize):
            patches = self._patches(xp, windows, x[part]).transpose(0, 1, 3, 2)
            total += xp.matmul(self._results(g[part]), patches).sum(axis=0)
        return total.reshape(kernel.shape)

    def check_kernel(self, x: Spec, kernel: Spec, *, inputs: int) -> tuple[int, ...]:
        """The size of the windows of a kernel that fits images.

        Args:
            x: The images.
            kernel: The kernel.
            inputs: The axis of the kernel that goes with the channels of x: 1, where it counts
                those of one group, or 0, where it counts all.

        Raises:
            ShapeError: It does not fit.
        """
        check_images(x)
        window = tuple(size for size in kernel.shape[2:] if size is not None)
        if kernel.ndim != x.ndim or len(window) != x.ndim - 2:
            raise ShapeError(
                f"a kernel with {x.ndim - 2} known sizes goes with images {x.shape}, "
                f"{kernel.shape} came",
                hint=f"give {{kernel}} the shape {self.layout}",
            )
        channels = kernel.shape[inputs]
        if inputs and channels is not None:
            channels *= self.group
        if not may_equal(x.shape[1:2], (channels,)):
            raise ShapeError(
                f"the images have {x.shape[1]} channels, the kernel is made for {channels}",
                hint=f"give {{kernel}} the shape {self.layout}",
            )
        if kernel.shape[0] is not None and kernel.shape[0] % self.group:
            raise ShapeError(
                f"{kernel.shape[0]} channels cannot be divided into {self.group} groups",
                hint="give each group as many",
            )
        return window

    def _matrices(self, kernel: Array) -> Array:
        return kernel.reshape(self.group, len(kernel) // self.group, prod(kernel.shape[1:]))

    def _patches(self, xp: ModuleType, windows: Windows, x: Array) -> Array:
        elements = x.shape[1] // self.group * prod(windows.kernel)
        shape = (len(x), self.group, elements, prod(windows.counts))
        return windows.view(xp, windows.pad(xp, x)).reshape(shape)

    def _results(self, y: Array) -> Array:
        return y.reshape(len(y), self.group, y.shape[1] // self.group, prod(y.shape[2:]))


class Conv(Convolution):
    """Each window of the images times a kernel, for each output channel.

    y[n, m, t] = bias[m] + sum over c, k of x[n, c, t * strides + k * dilations - pads]
    kernel[m, c, k]

    Args:
        x: Images.
        kernel: One for each output channel.
        bias: Added to each output channel.
        strides: How far a window moves, on each axis or on all.
        pads: How many zeros stand before and behind the image: a number for each axis, or all
            those before, then all those behind.
        dilations: How far apart the elements of a window are.
        group: Into how many groups the channels are divided, each with kernels of its own.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, kernel (M, C / group, *sizes), bias (M,),
        y (N, M, *number of windows).

    Raises:
        ShapeError: The kernel does not fit the images.

    Source: LeCun et al., "Backpropagation Applied to Handwritten Zip Code Recognition" (1989).

    >>> with ms.Graph():
    ...     image = ms.Input((None, 3, 28, 28))
    ...     kernel = ms.Variable(np.zeros((8, 3, 5, 5)))
    ...     ms.ops.Conv(image, kernel, strides=2, auto_pad="SAME_UPPER").shape
    (None, 8, 14, 14)
    """

    def __init__(
        self,
        x: Operand,
        kernel: Operand,
        bias: Operand = None,
        *,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        group: int = 1,
        auto_pad: str = "NOTSET",
        name: str | None = None,
    ) -> None:
        inputs = (x, kernel) if bias is None else (x, kernel, bias)
        super().__init__(
            *inputs,
            strides=strides,
            pads=pads,
            dilations=dilations,
            group=group,
            auto_pad=auto_pad,
            name=name,
        )

    def infer(self, x: Spec, kernel: Spec, *bias: Spec) -> Spec:
        window = self.check_kernel(x, kernel, inputs=1)
        _check_bias(bias, kernel.shape[0])
        counts = self.counts(x.shape[2:], window)
        return Spec((x.shape[0], kernel.shape[0], *counts), floating_dtype(x, kernel, *bias))

    def compute(self, xp: ModuleType, x: Array, kernel: Array, bias: Array = None) -> Array:
        y = self.convolve(xp, x, kernel)
        return y if bias is None else _with_bias(y, bias)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        x, kernel, *bias = self.inputs
        return (
            ConvInput(upstream, kernel, x, **self.attributes),
            ConvKernel(x, upstream, kernel, **self.attributes),
            *(_bias_slope(upstream) for _ in bias),
        )


class ConvInput(Convolution):
    """The slope of <upstream, Conv(x, kernel)> with respect to x.

    Args:
        upstream: As Conv(like, kernel) with the same options.
        kernel: As for Conv.
        like: Images, which lend their shape.

    Shapes: upstream (N, M, *number of windows), like and y (N, C, *sizes).
    """

    def infer(self, upstream: Spec, kernel: Spec, like: Spec) -> Spec:
        return Spec(like.shape, floating_dtype(upstream, kernel))

    def compute(self, xp: ModuleType, upstream: Array, kernel: Array, like: Array) -> Array:
        return self.spread(xp, upstream, kernel, like.shape[2:])

    def gradient(self, upstream: Node) -> tuple[Node, Node, None]:
        windows, kernel, _ = self.inputs
        return (
            Conv(upstream, kernel, **self.attributes),
            ConvKernel(upstream, windows, kernel, **self.attributes),
            None,
        )


class ConvKernel(Convolution):
    """The slope of <upstream, Conv(x, kernel)> with respect to the kernel.

    Args:
        x: Images.
        upstream: As Conv(x, like) with the same options.
        like: A kernel, which lends its shape.

    Shapes: x (N, C, *sizes), upstream (N, M, *number of windows), like and y
        (M, C / group, *sizes).
    """

    def infer(self, x: Spec, upstream: Spec, like: Spec) -> Spec:
        return Spec(like.shape, floating_dtype(x, upstream))

    def compute(self, xp: ModuleType, x: Array, upstream: Array, like: Array) -> Array:
        return self.correlate(xp, x, upstream, like)

    def gradient(self, upstream: Node) -> tuple[Node, Node, None]:
        x, windows, _ = self.inputs
        return (
            ConvInput(windows, upstream, x, **self.attributes),
            Conv(x, upstream, **self.attributes),
            None,
        )


class ConvTranspose(Convolution):
    """The kernel times each element of the images, laid where a window of Conv would lie.

    It turns the shapes around: Conv takes y to x's shape with the same options.

    Args:
        x: Images.
        kernel: One for each input channel.
        bias: Added to each output channel.
        strides: How far apart the kernels are laid, on each axis or on all.
        pads: How much is cut off before and behind: a number for each axis, or all those before,
            then all those behind.
        dilations: How far apart the elements of a kernel are.
        group: Into how many groups the channels are divided, each with kernels of its own.
        auto_pad: In place of `pads`: "SAME_UPPER" and "SAME_LOWER" give sizes * strides.
        output_padding: How much is added behind, less than the stride.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, kernel (C, M / group, *sizes), bias (M,), y (N, M,
        *((sizes - 1) * strides + (kernel sizes - 1) * dilations + 1 + output_padding - pads)).

    Raises:
        ShapeError: The kernel does not fit the images, or nothing is left.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    >>> with ms.Graph():
    ...     image = ms.Input((None, 8, 14, 14))
    ...     kernel = ms.Variable(np.zeros((8, 3, 5, 5)))
    ...     ms.ops.ConvTranspose(image, kernel, strides=2, auto_pad="SAME_UPPER").shape
    (None, 3, 28, 28)
    """

    layout: ClassVar[str] = "(C, M / group, *sizes)"

    def __init__(
        self,
        x: Operand,
        kernel: Operand,
        bias: Operand = None,
        *,
        strides: PerAxis = 1,
        pads: PerAxis = 0,
        dilations: PerAxis = 1,
        group: int = 1,
        auto_pad: str = "NOTSET",
        output_padding: PerAxis = 0,
        name: str | None = None,
    ) -> None:
        axes = max(len(shape_of(x)) - 2, 0)
        self.output_padding = per_axis(self, "output_padding", output_padding, axes, least=0)
        limits = per_axis(self, "strides", strides, axes, least=1)
        if auto_pad.startswith("SAME"):
            limits = (1,) * axes
        if any(more >= limit for more, limit in zip(self.output_padding, limits, strict=True)):
            raise ArgumentError(
                f"ConvTranspose: output_padding={output_padding} is too much for "
                f"strides={strides} and auto_pad={auto_pad!r}",
                hint="it tells apart sizes that give as many windows: 0 to stride - 1, and 0 where "
                "auto_pad tells the size",
            )
        inputs = (x, kernel) if bias is None else (x, kernel, bias)
        super().__init__(
            *inputs,
            strides=strides,
            pads=pads,
            dilations=dilations,
            group=group,
            auto_pad=auto_pad,
            name=name,
        )

    def infer(self, x: Spec, kernel: Spec, *bias: Spec) -> Spec:
        window = self.check_kernel(x, kernel, inputs=0)
        channels = None if kernel.shape[1] is None else kernel.shape[1] * self.group
        _check_bias(bias, channels)
        sizes = self._sizes(x.shape[2:], window)
        return Spec((x.shape[0], channels, *sizes), floating_dtype(x, kernel, *bias))

    def compute(self, xp: ModuleType, x: Array, kernel: Array, bias: Array = None) -> Array:
        y = self.spread(xp, x, kernel, self._sizes(x.shape[2:], kernel.shape[2:]))
        return y if bias is None else _with_bias(y, bias)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        x, kernel, *bias = self.inputs
        options = {option: getattr(self, option) for option in Conv.options}
        return (
            Conv(upstream, kernel, **options),
            ConvKernel(upstream, x, kernel, **options),
            *(_bias_slope(upstream) for _ in bias),
        )

    def _sizes(self, counts: Shape, kernel: Sequence[int]) -> tuple[Any, ...]:
        """The sizes of images over which there are so many windows; None where that is fed."""
        return tuple(
            None if count is None else self._size(axis, count, kernel[axis])
            for axis, count in enumerate(counts)
        )

    def _size(self, axis: int, count: int, kernel: int) -> int:
        stride = self.strides[axis]
        if self.auto_pad.startswith("SAME"):
            return count * stride
        whole = (count - 1) * stride + reach(kernel, self.dilations[axis])
        cut = self.pads[axis] + self.pads[axis + len(self.strides)]
        size = whole + self.output_padding[axis] - cut
        if size < 1:
            raise ShapeError(
                f"nothing is left of axis {axis + 2}: {whole} elements, less {cut} for padding",
                hint="cut off less: smaller pads",
            )
        return size


def _parts(
    xp: ModuleType, windows: Windows, shape: tuple[int, ...], itemsize: int
) -> Iterator[slice]:
    """The samples in slices whose patches fit a tile; a GPU takes as many as it has memory for."""
    image = itemsize * prod(shape[1:2]) * prod(windows.kernel) * prod(windows.counts)
    step = max(1, (TILE if xp is np else 256 * TILE) // max(image, 1))
    return (slice(start, start + step) for start in range(0, shape[0], step))


def _with_bias(y: Array, bias: Array) -> Array:
    y += bias.reshape(-1, *(1,) * (y.ndim - 2))
    return y


def _check_bias(bias: Sequence[Spec], channels: int | None) -> None:
    for found in bias:
        if not may_equal(found.shape, (channels,)):
            raise ShapeError(
                f"a bias of shape {found.shape} came for {channels} channels",
                hint=f"give it the shape ({channels},)",
            )


def _bias_slope(upstream: Node) -> Node:
    return ReduceSum(upstream, axes=(0, *range(2, upstream.ndim)), keepdims=False)
