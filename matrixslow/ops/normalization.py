"""Normalization: values centred and scaled by their own mean and variance, or by running ones."""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, broadcast_shapes, floating_dtype, normalize_axis
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.like import ReshapeLike
from matrixslow.ops.moments import mean_over, moments
from matrixslow.ops.options import as_integers, may_equal
from matrixslow.ops.pool import AveragePool, AveragePoolGradient
from matrixslow.ops.powers import Sqrt
from matrixslow.ops.reduction import ReduceMean, ReduceSum
from matrixslow.ops.shaping import Reshape
from matrixslow.ops.windows import check_images


class BatchNormalization(Node):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, channel by channel.

    Mean and variance are inputs: `moments` of the batch, which `MovingAverage` replaces at
    inference; `ms.layers.batch_norm` wires the three together.

    Args:
        x: Samples.
        scale: For each channel.
        bias: For each channel.
        mean: Of each channel.
        variance: Of each channel.
        epsilon: Keeps the divisor from zero.

    Shapes: x (N, C, ...), the others (C,), y as x.
    Source: Ioffe and Szegedy, "Batch Normalization" (2015).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.BatchNormalization([[5.0], [9.0]], [1.0], [0.5], [7.0], [4.0], epsilon=0.0)
    >>> graph.forward(y)
    array([[-0.5],
           [ 1.5]], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        scale: Operand,
        bias: Operand,
        mean: Operand,
        variance: Operand,
        *,
        epsilon: float = 1e-5,
        name: str | None = None,
    ) -> None:
        self.epsilon = float(epsilon)
        super().__init__(x, scale, bias, mean, variance, name=name)

    def infer(self, x: Spec, scale: Spec, bias: Spec, mean: Spec, variance: Spec) -> Spec:
        for each in (scale, bias, mean, variance):
            _check_channels(x, each)
        return Spec(x.shape, floating_dtype(x, scale, bias, mean, variance))

    def compute(
        self, xp: ModuleType, x: Array, scale: Array, bias: Array, mean: Array, variance: Array
    ) -> Array:
        # Centred before it is scaled: one pass less would lose digits where the mean is large.
        y = x - _of_channels(mean, x.ndim)
        y *= _of_channels(scale / xp.sqrt(variance + self.epsilon), x.ndim)
        y += _of_channels(bias, x.ndim)
        return y

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        x, scale, _, mean, variance = self.inputs
        inverse = 1.0 / Sqrt(variance + self.epsilon)
        factor = scale * inverse
        total = _sum_of_channels(upstream)
        by_scale = _sum_of_channels(upstream * (x - _channels(mean, x))) * inverse
        return (
            upstream * _channels(factor, x),
            by_scale,
            total,
            -(total * factor),
            by_scale * factor * inverse * -0.5,
        )


class LayerNormalization(Node):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over the last axes of each sample.

    Args:
        x: Samples.
        scale: One for each element that is normalized together, or what broadcasts to it.
        bias: The same, or left out.
        axis: The first of the axes that are normalized together.
        epsilon: Keeps the divisor from zero.

    Shapes: x (any), scale and bias (sizes of x from `axis` on), y as x.
    Source: Ba, Kiros and Hinton, "Layer Normalization" (2016).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.LayerNormalization([[1.0, 3.0], [8.0, 4.0]], [1.0, 1.0], epsilon=0.0)
    >>> graph.forward(y)
    array([[-1.,  1.],
           [ 1., -1.]], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        scale: Operand,
        bias: Operand = None,
        *,
        axis: int = -1,
        epsilon: float = 1e-5,
        name: str | None = None,
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        self.epsilon = float(epsilon)
        inputs = (x, scale) if bias is None else (x, scale, bias)
        super().__init__(*inputs, name=name)

    def infer(self, x: Spec, scale: Spec, *bias: Spec) -> Spec:
        together = x.shape[normalize_axis(self.axis, x.ndim) :]
        for each in (scale, *bias):
            if not may_equal(broadcast_shapes(each.shape, together), together):
                raise ShapeError(
                    f"shape {each.shape} does not fit {together}, what is normalized together",
                    hint=f"give scale and bias the shape {together}",
                )
        return Spec(x.shape, floating_dtype(x, scale, *bias))

    def compute(self, xp: ModuleType, x: Array, scale: Array, bias: Array = None) -> Array:
        y = _standardized(xp, x, self._axes(x.ndim), self.epsilon) * scale
        return y if bias is None else y + bias

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        x, scale, *bias = self.inputs
        standard, slope = _standardization(x, upstream * scale, self._axes(x.ndim), self.epsilon)
        return (slope, upstream * standard, *(upstream for _ in bias))

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(range(normalize_axis(self.axis, ndim), ndim))


class ChannelNormalization(Node):
    """Base of the operators that normalize groups of channels, sample by sample."""

    epsilon: float
    groups: int
    """Into how many groups the channels are divided; 0 leaves each one alone."""

    def infer(self, x: Spec, scale: Spec, bias: Spec) -> Spec:
        for each in (scale, bias):
            _check_channels(x, each)
        return Spec(x.shape, floating_dtype(x, scale, bias))

    def compute(self, xp: ModuleType, x: Array, scale: Array, bias: Array) -> Array:
        samples, channels = x.shape[:2]
        groups = self.groups or channels
        rows = x.reshape(samples, groups, channels // groups * prod(x.shape[2:]))
        y = _standardized(xp, rows, (2,), self.epsilon).reshape(x.shape)
        y *= _of_channels(scale, x.ndim)
        y += _of_channels(bias, x.ndim)
        return y

    def gradient(self, upstream: Node) -> tuple[Node, Node, Node]:
        x, scale, _ = self.inputs
        rows = (0, self.groups, -1)
        standard, slope = _standardization(
            Reshape(x, shape=rows),
            Reshape(upstream * _channels(scale, x), shape=rows),
            (2,),
            self.epsilon,
        )
        product = upstream * ReshapeLike(standard, x)
        return ReshapeLike(slope, x), _sum_of_channels(product), _sum_of_channels(upstream)


class InstanceNormalization(ChannelNormalization):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over each channel of each sample.

    Args:
        x: Images.
        scale: For each channel.
        bias: For each channel.
        epsilon: Keeps the divisor from zero.

    Shapes: x (N, C, *sizes) with 1 to 3 sizes, scale and bias (C,), y as x.
    Source: Ulyanov, Vedaldi and Lempitsky, "Instance Normalization" (2016).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.InstanceNormalization([[[1.0, 3.0]]], [2.0], [5.0], epsilon=0.0)
    >>> graph.forward(y)
    array([[[3., 7.]]], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        scale: Operand,
        bias: Operand,
        *,
        epsilon: float = 1e-5,
        name: str | None = None,
    ) -> None:
        self.groups = 0
        self.epsilon = float(epsilon)
        super().__init__(x, scale, bias, name=name)

    def infer(self, x: Spec, scale: Spec, bias: Spec) -> Spec:
        check_images(x)
        return super().infer(x, scale, bias)


class GroupNormalization(ChannelNormalization):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, over groups of channels.

    Args:
        x: Samples.
        scale: For each channel.
        bias: For each channel.
        num_groups: Into how many groups the channels of a sample are divided.
        epsilon: Keeps the divisor from zero.

    Shapes: x (N, C, ...), scale and bias (C,), y as x.
    Source: Wu and He, "Group Normalization" (2018).

    >>> with ms.Graph() as graph:
    ...     x = [[[1.0], [3.0], [8.0], [4.0]]]
    ...     y = ms.ops.GroupNormalization(x, [1.0] * 4, [0.0] * 4, num_groups=2, epsilon=0.0)
    >>> graph.forward(y).ravel()
    array([-1.,  1.,  1., -1.], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        scale: Operand,
        bias: Operand,
        *,
        num_groups: int,
        epsilon: float = 1e-5,
        name: str | None = None,
    ) -> None:
        (self.num_groups,) = as_integers(self, "num_groups", num_groups)
        if self.num_groups < 1:
            raise ArgumentError(
                f"GroupNormalization: num_groups={num_groups}", hint="give num_groups >= 1"
            )
        self.groups = self.num_groups
        self.epsilon = float(epsilon)
        super().__init__(x, scale, bias, name=name)

    def infer(self, x: Spec, scale: Spec, bias: Spec) -> Spec:
        found = super().infer(x, scale, bias)
        if x.shape[1] is not None and x.shape[1] % self.num_groups:
            raise ShapeError(
                f"{x.shape[1]} channels cannot be divided into {self.num_groups} groups",
                hint="give each group as many",
            )
        return found


class LRN(Node):
    """y = x / (bias + alpha / size * sum of x**2 over the nearest `size` channels) ** beta.

    Args:
        x: Samples, of which the number of channels is known.
        size: Over how many channels, the middle one being x's.
        alpha: The weight of the sum.
        beta: The exponent.
        bias: Keeps the divisor from zero.

    Shapes: x (N, C, ...), y as x.
    Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional
    Neural Networks" (2012), section 3.3.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.LRN([[3.0, 4.0]], size=3, alpha=3.0, beta=0.5, bias=0.0)
    >>> graph.forward(y)
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(
        self,
        x: Operand,
        *,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        name: str | None = None,
    ) -> None:
        (self.width,) = as_integers(self, "size", size)
        if self.width < 1:
            raise ArgumentError(f"LRN: size={size}", hint="give size >= 1")
        self.alpha, self.beta, self.bias = float(alpha), float(beta), float(bias)
        super().__init__(x, name=name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The options; `size` names the number of elements of a node."""
        return {"size": self.width, "alpha": self.alpha, "beta": self.beta, "bias": self.bias}

    def infer(self, x: Spec) -> Spec:
        if x.ndim < 2 or x.shape[1] is None:
            raise ShapeError(
                f"samples (N, C, ...) with a known number of channels are needed, {x.shape} came",
                hint="declare the number of channels",
            )
        return Spec(x.shape, floating_dtype(x))

    def compute(self, xp: ModuleType, x: Array) -> Array:
        channels = x.shape[1]
        before, behind = self._pads
        squares = xp.zeros((len(x), before + channels + behind, *x.shape[2:]), x.dtype)
        squares[:, before : before + channels] = x * x
        total = xp.zeros_like(x)
        for start in range(self.width):
            total += squares[:, start : start + channels]
        return x / (self.bias + self.alpha / self.width * total) ** self.beta

    def gradient(self, upstream: Node) -> tuple[Node]:
        (node,) = self.inputs
        rows: tuple[Any, ...] = (0, 1, node.shape[1], -1)
        x, g = Reshape(node, shape=rows), Reshape(upstream, shape=rows)
        before, behind = self._pads
        window: dict[str, Any] = {
            "kernel_shape": (self.width, 1),
            "pads": (before, 0, behind, 0),
            "count_include_pad": True,
        }
        base = self.bias + self.alpha * AveragePool(x * x, **window)
        direct = g * base**-self.beta
        others = AveragePoolGradient(x * direct / base, x, **window)
        return (ReshapeLike(direct - (2.0 * self.alpha * self.beta) * x * others, node),)

    @property
    def _pads(self) -> tuple[int, int]:
        """How many channels before and behind one belong to its sum."""
        return (self.width - 1) // 2, self.width // 2


def _check_channels(x: Spec, each: Spec) -> None:
    if x.ndim < 2 or not may_equal(each.shape, x.shape[1:2]):
        raise ShapeError(
            f"shape {each.shape} came for the channels of {x.shape}",
            hint="x is (N, C, ...): give one number for each channel, (C,)",
        )


def _channels(each: Node, x: Node) -> Node:
    """One number for each channel, so shaped that it broadcasts with x."""
    return Reshape(each, shape=(1, -1, *(1,) * (x.ndim - 2)))


def _of_channels(each: Array, ndim: int) -> Array:
    """The same for arrays."""
    return each.reshape(1, -1, *(1,) * (ndim - 2))


def _sum_of_channels(x: Node) -> Node:
    return ReduceSum(x, axes=(0, *range(2, x.ndim)), keepdims=False)


def _standardized(xp: ModuleType, x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon), an array of its own."""
    y = x - mean_over(xp, x, axes)
    y /= xp.sqrt(mean_over(xp, y * y, axes) + epsilon)
    return y


def _standardization(
    x: Node, upstream: Node, axes: tuple[int, ...], epsilon: float
) -> tuple[Node, Node]:
    """S = (x - mean) / sqrt(variance + epsilon) as nodes, and the slope of <upstream, s> by x."""
    mean, variance = moments(x, axes=axes)
    deviation = Sqrt(variance + epsilon)
    s = (x - mean) / deviation
    projection = s * ReduceMean(upstream * s, axes=axes)
    return s, (upstream - ReduceMean(upstream, axes=axes) - projection) / deviation
