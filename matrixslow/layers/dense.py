"""Layers that connect everything with everything, and what stands between them."""

from __future__ import annotations

from matrixslow import ops
from matrixslow.core import Initializer, Node
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


def dense(
    x: Node,
    units: int,
    *,
    activation: Activation = None,
    bias: bool = True,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    bias_initializer: Initializer = ZEROS,
    name: str | None = None,
) -> Node:
    """A dense layer: y = activation(x W + b).

    Args:
        x: Samples, or sequences of them: the last axis is multiplied.
        units: The size of the last axis of y.
        activation: A name, as "relu", a function of a node, or None.
        bias: Whether there is a b.
        kernel_initializer: Makes W (features, units).
        bias_initializer: Makes b (units).
        name: Of the layer; "dense" with a number by default.

    Shapes: x (..., features), y (..., units).

    Raises:
        ShapeError: The number of features is not known.
        ArgumentError: There is no such activation, or units < 1.

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 784), name="x")
    ...     ms.layers.dense(x, 10, activation="softmax", name="fc1")
    ...     [variable.name for variable in graph.variables]
    Softmax 'fc1/softmax' (None, 10) float32
    ['fc1/W', 'fc1/b']
    """
    activate = activation_of("dense", activation)
    units = check_count("dense", "units", units)
    with layer("dense", x, name):
        features = known_size("dense", x, -1)
        y: Node = ops.MatMul(x, parameter("W", (features, units), kernel_initializer, x))
        if bias:
            y = ops.Add(y, parameter("b", (units,), bias_initializer, x))
        return activate(y)


def flatten(x: Node, *, name: str | None = None) -> Node:
    """All axes but the first, the batch, laid out in one.

    Shapes: x (batch, ...), y (batch, the product of the others).

    >>> with ms.Graph():
    ...     ms.layers.flatten(ms.Input((None, 8, 3, 3)))
    Flatten 'flatten/flatten' (None, 72) float32
    """
    with layer("flatten", x, name, floating=False):
        return ops.Flatten(x)


def dropout(x: Node, ratio: float, *, name: str | None = None) -> Node:
    """While training, a share of x is set to 0 and the rest scaled up; else y = x.

    Args:
        x: Activations.
        ratio: The share that is dropped, 0 <= ratio < 1.
        name: Of the layer; "dropout" with a number by default.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting"
        (2014).

    >>> with ms.Graph() as graph:
    ...     x = ms.Input((None, 3), name="x")
    ...     y = ms.layers.dropout(x, 0.5)
    >>> graph.forward(y, {x: [[1.0, 2.0, 3.0]]}, training=False)
    array([[1., 2., 3.]], dtype=float32)
    """
    with layer("dropout", x, name):
        return ops.Dropout(x, ratio=ratio)
