"""Layers over images: convolutions and pools in one, two or three dimensions.

Images are laid out (batch, channels, *sizes). An option for the spatial axes is one number for all
of them or a tuple with one for each. `padding` is "valid" for none, "same" so that a window stands
around every stride-th element, or numbers of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matrixslow import ops
from matrixslow.core import Initializer, Node
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.layers.layer import (
    GLOROT_UNIFORM,
    ZEROS,
    Activation,
    activation_of,
    check_count,
    known_size,
    layer,
    parameter,
)

PerAxis = int | Sequence[int]

Padding = str | PerAxis


def conv(
    x: Node,
    filters: int,
    *,
    kernel: PerAxis,
    strides: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
    groups: int = 1,
    activation: Activation = None,
    bias: bool = True,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    bias_initializer: Initializer = ZEROS,
    name: str | None = None,
) -> Node:
    """A convolution: y = activation(x convolved with W, + b).

    Args:
        x: Images.
        filters: The number of channels of y.
        kernel: The size of a window.
        strides: How far a window moves.
        padding: "valid", "same" or numbers of zeros around an image.
        dilation: How far apart the elements of a window are.
        groups: Into how many groups the channels are divided, each with filters of its own.
        activation: A name, as "relu", a function of a node, or None.
        bias: Whether there is a b.
        kernel_initializer: Makes W (filters, channels / groups, *kernel).
        bias_initializer: Makes b (filters).
        name: Of the layer; "conv" with a number by default.

    Shapes: x (batch, channels, *sizes) with 1 to 3 sizes, y (batch, filters, *sizes).

    Raises:
        ShapeError: The number of channels is not known, or images have no spatial axes.
        ArgumentError: An option has a value it cannot have.

    >>> with ms.Graph():
    ...     image = ms.Input((None, 1, 28, 28), name="image")
    ...     ms.layers.conv(image, 32, kernel=3, padding="same", activation="relu")
    Relu 'conv/relu' (None, 32, 28, 28) float32
    """
    activate = activation_of("conv", activation)
    filters, groups = check_count("conv", "filters", filters), check_count("conv", "groups", groups)
    with layer("conv", x, name):
        window = _per_axis("conv", "kernel", kernel, x)
        channels = known_size("conv", x, 1)
        _check_groups("conv", groups, channels=channels, filters=filters)
        w = parameter("W", (filters, channels // groups, *window), kernel_initializer, x)
        b = parameter("b", (filters,), bias_initializer, x) if bias else None
        pads, auto_pad = _pads("conv", padding)
        y = ops.Conv(
            x,
            w,
            b,
            strides=strides,
            pads=pads,
            dilations=dilation,
            group=groups,
            auto_pad=auto_pad,
        )
        return activate(y)


def conv_transpose(
    x: Node,
    filters: int,
    *,
    kernel: PerAxis,
    strides: PerAxis = 1,
    padding: Padding = "valid",
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    activation: Activation = None,
    bias: bool = True,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    bias_initializer: Initializer = ZEROS,
    name: str | None = None,
) -> Node:
    """The way back of a convolution: y = activation(W laid over y for each element of x, + b).

    Args:
        x: Images.
        filters: The number of channels of y.
        kernel: The size of a window.
        strides: How far apart windows are laid: y is about this many times larger than x.
        padding: "valid"; "same", which makes y exactly `strides` times larger; or how much is cut
            off around an image.
        output_padding: How much larger y is made at its end.
        dilation: How far apart the elements of a window are.
        groups: Into how many groups the channels are divided, each with filters of its own.
        activation: A name, as "relu", a function of a node, or None.
        bias: Whether there is a b.
        kernel_initializer: Makes W (channels, filters / groups, *kernel).
        bias_initializer: Makes b (filters).
        name: Of the layer; "conv_transpose" with a number by default.

    Shapes: x (batch, channels, *sizes) with 1 to 3 sizes, y (batch, filters, *sizes).

    Raises:
        ShapeError: The number of channels is not known, or images have no spatial axes.
        ArgumentError: An option has a value it cannot have.

    >>> with ms.Graph():
    ...     code = ms.Input((None, 16, 7, 7), name="code")
    ...     ms.layers.conv_transpose(code, 8, kernel=3, strides=2, padding="same").shape
    (None, 8, 14, 14)
    """
    kind = "conv_transpose"
    activate = activation_of(kind, activation)
    filters, groups = check_count(kind, "filters", filters), check_count(kind, "groups", groups)
    with layer(kind, x, name):
        window = _per_axis(kind, "kernel", kernel, x)
        channels = known_size(kind, x, 1)
        _check_groups(kind, groups, channels=channels, filters=filters)
        w = parameter("W", (channels, filters // groups, *window), kernel_initializer, x)
        b = parameter("b", (filters,), bias_initializer, x) if bias else None
        pads, auto_pad = _pads(kind, padding)
        y = ops.ConvTranspose(
            x,
            w,
            b,
            strides=strides,
            pads=pads,
            dilations=dilation,
            group=groups,
            auto_pad=auto_pad,
            output_padding=output_padding,
        )
        return activate(y)


def max_pool(
    x: Node,
    size: PerAxis,
    *,
    strides: PerAxis | None = None,
    padding: Padding = "valid",
    name: str | None = None,
) -> Node:
    """The largest element of each window.

    Args:
        x: Images.
        size: The size of a window.
        strides: How far a window moves; by its own size unless it is given.
        padding: "valid", "same" or numbers of elements around an image, which are never largest.
        name: Of the layer; "max_pool" with a number by default.

    Shapes: x (batch, channels, *sizes) with 1 to 3 sizes, y (batch, channels, *sizes).

    >>> with ms.Graph():
    ...     ms.layers.max_pool(ms.Input((None, 8, 28, 28)), 2)
    MaxPool 'max_pool/maxpool' (None, 8, 14, 14) float32
    """
    return _pool("max_pool", ops.MaxPool, x, size, strides, padding, name)


def average_pool(
    x: Node,
    size: PerAxis,
    *,
    strides: PerAxis | None = None,
    padding: Padding = "valid",
    name: str | None = None,
) -> Node:
    """The mean of each window, over the elements that lie inside of the image.

    Args:
        x: Images.
        size: The size of a window.
        strides: How far a window moves; by its own size unless it is given.
        padding: "valid", "same" or numbers of elements around an image, which do not count.
        name: Of the layer; "average_pool" with a number by default.

    Shapes: x (batch, channels, *sizes) with 1 to 3 sizes, y (batch, channels, *sizes).

    >>> with ms.Graph():
    ...     ms.layers.average_pool(ms.Input((None, 8, 28, 28)), 2).shape
    (None, 8, 14, 14)
    """
    return _pool("average_pool", ops.AveragePool, x, size, strides, padding, name)


def global_max_pool(x: Node, *, name: str | None = None) -> Node:
    """The largest element of each channel.

    Shapes: x (batch, channels, *sizes), y (batch, channels).

    >>> with ms.Graph():
    ...     ms.layers.global_max_pool(ms.Input((None, 8, 28, 28))).shape
    (None, 8)
    """
    with layer("global_max_pool", x, name):
        return ops.Flatten(ops.GlobalMaxPool(x))


def global_average_pool(x: Node, *, name: str | None = None) -> Node:
    """The mean of each channel.

    Shapes: x (batch, channels, *sizes), y (batch, channels).
    Source: Lin et al., "Network in network" (2013).

    >>> with ms.Graph():
    ...     ms.layers.global_average_pool(ms.Input((None, 8, 28, 28))).shape
    (None, 8)
    """
    with layer("global_average_pool", x, name):
        return ops.Flatten(ops.GlobalAveragePool(x))


def _pool(
    kind: str,
    operator: Callable[..., Node],
    x: Node,
    size: PerAxis,
    strides: PerAxis | None,
    padding: Padding,
    name: str | None,
) -> Node:
    with layer(kind, x, name):
        window = _per_axis(kind, "size", size, x)
        pads, auto_pad = _pads(kind, padding)
        return operator(
            x,
            kernel_shape=window,
            strides=window if strides is None else strides,
            pads=pads,
            auto_pad=auto_pad,
        )


def _per_axis(kind: str, option: str, value: PerAxis, x: Node) -> tuple[int, ...]:
    axes = x.ndim - 2
    if not 1 <= axes <= 3:
        raise ShapeError(
            f"{kind}: images (batch, channels, *sizes) with 1 to 3 sizes are needed, {x!r} came",
            hint="give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
        )
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise ArgumentError(
            f"{kind}: {option}={value!r} for images with {axes} spatial axes",
            hint="give one number for all axes, or one for each",
        )
    return tuple(check_count(kind, option, size) for size in values)


def _pads(kind: str, padding: Padding) -> tuple[PerAxis, str]:
    """The operators' `pads` and `auto_pad`."""
    if not isinstance(padding, str):
        return padding, "NOTSET"
    named = {"valid": "NOTSET", "same": "SAME_UPPER"}
    if padding not in named:
        raise ArgumentError(
            f"{kind}: padding={padding!r} is unknown", hint='give "valid", "same" or numbers'
        )
    return 0, named[padding]


def _check_groups(kind: str, groups: int, *, channels: int, filters: int) -> None:
    if channels % groups or filters % groups:
        raise ArgumentError(
            f"{kind}: {channels} channels and {filters} filters do not make {groups} equal groups",
            hint="give a number of groups that divides both",
        )
