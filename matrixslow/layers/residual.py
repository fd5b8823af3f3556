"""The block that deep convolutional networks are stacked from."""

from __future__ import annotations

from matrixslow import ops
from matrixslow.core import Initializer, Node
from matrixslow.initializers import HeNormal
from matrixslow.layers.convolution import conv
from matrixslow.layers.layer import Activation, activation_of, known_size, layer
from matrixslow.layers.normalization import batch_norm

HE_NORMAL = HeNormal()


def residual_block(
    x: Node,
    filters: int,
    *,
    strides: int = 1,
    activation: Activation = "relu",
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    kernel_initializer: Initializer = HE_NORMAL,
    name: str | None = None,
) -> Node:
    """Two convolutions with 3 x 3 windows, beside a way around them.

    y = f(norm(conv(f(norm(conv(x))))) + shortcut(x)). The shortcut is x itself, or norm(conv(x))
    with 1 x 1 windows where y has another shape.

    Args:
        x: Images.
        filters: The number of channels of y.
        strides: How far the windows of the first convolution move.
        activation: The function f.
        momentum: Of the batch normalizations.
        epsilon: Of the batch normalizations.
        kernel_initializer: Makes the weights of the convolutions.
        name: Of the layer; "residual_block" with a number by default.

    Shapes: x (batch, channels, *sizes), y (batch, filters, *sizes / strides, rounded up).

    Raises:
        ShapeError: The number of channels is not known.
        ArgumentError: An option has a value it cannot have.

    Source: He et al., "Deep residual learning for image recognition" (2016), option B.

    >>> with ms.Graph():
    ...     x = ms.Input((None, 64, 32, 32), name="x")
    ...     ms.layers.residual_block(x, 128, strides=2).shape
    (None, 128, 16, 16)
    """
    activate = activation_of("residual_block", activation)

    def normal_conv(x: Node, *, kernel: int, strides: int, name: str) -> Node:
        y = conv(
            x,
            filters,
            kernel=kernel,
            strides=strides,
            padding=kernel // 2,
            bias=False,
            kernel_initializer=kernel_initializer,
            name=name,
        )
        return batch_norm(y, momentum=momentum, epsilon=epsilon, name=f"{name}_norm")

    with layer("residual_block", x, name):
        channels = known_size("residual_block", x, 1)
        h = activate(normal_conv(x, kernel=3, strides=strides, name="conv1"))
        h = normal_conv(h, kernel=3, strides=1, name="conv2")
        if strides != 1 or channels != filters:
            x = normal_conv(x, kernel=1, strides=strides, name="shortcut")
        return activate(ops.Add(h, x))
