"""Layers that bring activations to mean 0 and variance 1, then to a scale and bias they learn."""

from __future__ import annotations

from matrixslow import ops
from matrixslow.core import Node, Variable
from matrixslow.core.spec import normalize_axis
from matrixslow.initializers import Ones
from matrixslow.layers.layer import ZEROS, check_count, known_size, layer, parameter

ONES = Ones()


def batch_norm(
    x: Node, *, momentum: float = 0.9, epsilon: float = 1e-5, name: str | None = None
) -> Node:
    """Normalize each channel.

    y = scale (x - mean) / sqrt(variance + epsilon) + bias. Mean and variance are those of the batch
    while training, and their running averages else. The averages follow the batches:
    average = momentum average + (1 - momentum) value.

    Args:
        x: Images, or samples of features, whose second axis is that of the channels.
        momentum: How much of the average is kept at every step; torch's momentum is 1 - this.
        epsilon: Added to the variance.
        name: Of the layer; "batch_norm" with a number by default.

    Shapes: x (batch, channels, ...), y as x.

    Raises:
        ShapeError: The number of channels is not known.

    Source: Ioffe and Szegedy, "Batch normalization" (2015).

    >>> with ms.Graph() as graph:
    ...     y = ms.layers.batch_norm(ms.Input((None, 8, 28, 28)), name="bn")
    ...     [variable.name for variable in graph.variables]
    ['bn/scale', 'bn/bias', 'bn/mean', 'bn/variance']
    """
    with layer("batch_norm", x, name):
        shape = (known_size("batch_norm", x, 1),)
        scale, bias = _scale_and_bias(shape, x)
        means = Variable(ZEROS, shape=shape, dtype=x.dtype, trainable=False, name="mean")
        variances = Variable(ONES, shape=shape, dtype=x.dtype, trainable=False, name="variance")
        others = (0, *range(2, x.ndim))
        mean, variance = ops.moments(x, axes=others, keepdims=False)
        return ops.BatchNormalization(
            x,
            scale,
            bias,
            ops.MovingAverage(mean, means, momentum=momentum),
            ops.MovingAverage(variance, variances, momentum=momentum),
            epsilon=epsilon,
        )


def layer_norm(x: Node, *, axis: int = -1, epsilon: float = 1e-5, name: str | None = None) -> Node:
    """Normalize each sample.

    y = scale (x - mean) / sqrt(variance + epsilon) + bias.

    Args:
        x: Activations.
        axis: Mean and variance are taken over this axis and those behind it.
        epsilon: Added to the variance.
        name: Of the layer; "layer_norm" with a number by default.

    Shapes: x (any), y as x, scale and bias as the axes from `axis` on.

    Raises:
        ShapeError: A size of those axes is not known.

    Source: Ba et al., "Layer normalization" (2016).

    >>> with ms.Graph():
    ...     ms.layers.layer_norm(ms.Input((None, 10, 64))).shape
    (None, 10, 64)
    """
    with layer("layer_norm", x, name):
        axes = range(normalize_axis(axis, x.ndim), x.ndim)
        shape = tuple(known_size("layer_norm", x, i) for i in axes)
        scale, bias = _scale_and_bias(shape, x)
        return ops.LayerNormalization(x, scale, bias, axis=axis, epsilon=epsilon)


def group_norm(x: Node, groups: int, *, epsilon: float = 1e-5, name: str | None = None) -> Node:
    """Normalize each sample and group of channels.

    y = scale (x - mean) / sqrt(variance + epsilon) + bias.

    Args:
        x: Images.
        groups: Into how many groups the channels are divided.
        epsilon: Added to the variance.
        name: Of the layer; "group_norm" with a number by default.

    Shapes: x (batch, channels, ...), y as x, scale and bias (channels).

    Raises:
        ShapeError: The number of channels is not known, or `groups` does not divide it.

    Source: Wu and He, "Group normalization" (2018).

    >>> with ms.Graph():
    ...     ms.layers.group_norm(ms.Input((None, 8, 28, 28)), 4).shape
    (None, 8, 28, 28)
    """
    groups = check_count("group_norm", "groups", groups)
    with layer("group_norm", x, name):
        shape = (known_size("group_norm", x, 1),)
        scale, bias = _scale_and_bias(shape, x)
        return ops.GroupNormalization(x, scale, bias, num_groups=groups, epsilon=epsilon)


def instance_norm(x: Node, *, epsilon: float = 1e-5, name: str | None = None) -> Node:
    """Normalize each sample and channel.

    y = scale (x - mean) / sqrt(variance + epsilon) + bias.

    Args:
        x: Images.
        epsilon: Added to the variance.
        name: Of the layer; "instance_norm" with a number by default.

    Shapes: x (batch, channels, *sizes), y as x, scale and bias (channels).

    Raises:
        ShapeError: The number of channels is not known.

    Source: Ulyanov et al., "Instance normalization" (2016).

    >>> with ms.Graph():
    ...     ms.layers.instance_norm(ms.Input((None, 8, 28, 28))).shape
    (None, 8, 28, 28)
    """
    with layer("instance_norm", x, name):
        shape = (known_size("instance_norm", x, 1),)
        scale, bias = _scale_and_bias(shape, x)
        return ops.InstanceNormalization(x, scale, bias, epsilon=epsilon)


def _scale_and_bias(shape: tuple[int, ...], x: Node) -> tuple[Variable, Variable]:
    return parameter("scale", shape, ONES, x), parameter("bias", shape, ZEROS, x)
