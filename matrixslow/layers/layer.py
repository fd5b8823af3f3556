"""What all layers share: a scope of their own, variables in it, and activations by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from matrixslow import ops
from matrixslow.core import Initializer, Node, Variable
from matrixslow.errors import ArgumentError, DTypeError, ShapeError
from matrixslow.initializers import GlorotUniform, Zeros

Activation = str | Callable[[Node], Node] | None
"""A name in ACTIVATIONS, any function of a node, or None for no activation."""

ACTIVATIONS: Mapping[str, Callable[[Node], Node]] = MappingProxyType(
    {
        "celu": ops.Celu,
        "elu": ops.Elu,
        "gelu": ops.Gelu,
        "hard_sigmoid": ops.HardSigmoid,
        "hard_swish": ops.HardSwish,
        "leaky_relu": ops.LeakyRelu,
        "log_softmax": ops.LogSoftmax,
        "mish": ops.Mish,
        "relu": ops.Relu,
        "selu": ops.Selu,
        "sigmoid": ops.Sigmoid,
        "silu": ops.Silu,
        "softmax": ops.Softmax,
        "softplus": ops.Softplus,
        "softsign": ops.Softsign,
        "tanh": ops.Tanh,
    }
)
"""The activations that a layer takes by name."""


GLOROT_UNIFORM = GlorotUniform()
"""What makes weights where nothing else is said, as in Keras."""

ZEROS = Zeros()
"""What makes biases where nothing else is said."""


@contextmanager
def layer(kind: str, x: Node, name: str | None, *, floating: bool = True) -> Iterator[None]:
    """The graph of x, and a scope in it: the layer's name, or a new one after its kind.

    Raises:
        ArgumentError: x is not a node.
        DTypeError: x is not floating-point, and should be.
    """
    if not isinstance(x, Node):
        raise ArgumentError(
            f"{kind}: a node is needed, {type(x).__name__} came",
            hint="make one: ms.Input(shape) for what is fed, ms.Constant(array) for what stays",
        )
    if floating and not x.spec.floating:
        raise DTypeError(
            f"{kind}: floating-point values are needed, {x!r} came",
            hint='convert it: ms.ops.Cast(x, dtype="float32")',
        )
    with x.graph, x.graph.scope(name or kind, unique=name is None):
        yield


def parameter(name: str, shape: tuple[int, ...], initializer: Initializer, like: Node) -> Variable:
    """A trainable variable of the layer, of the dtype of another node."""
    return Variable(initializer, shape=shape, dtype=like.dtype, name=name)


def known_size(kind: str, x: Node, axis: int) -> int:
    """The size of an axis, which weights depend on.

    Raises:
        ShapeError: It is fed at run time, or there is no such axis.
    """
    size = x.shape[axis] if -x.ndim <= axis < x.ndim else None
    if size is None:
        raise ShapeError(
            f"{kind}: the weights need to know the size of axis {axis} of {x!r}",
            hint="declare it in the input's shape; only the sizes of other axes may be None",
        )
    return size


def check_count(kind: str, option: str, value: Any) -> int:
    """The value, if it is a number of things.

    Raises:
        ArgumentError: It is not an integer from 1 up.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ArgumentError(f"{kind}: {option}={value!r}", hint="give an integer from 1 up")
    return int(value)


def activation_of(kind: str, activation: Activation) -> Callable[[Node], Node]:
    """The activation as a function.

    Raises:
        ArgumentError: There is none of that name.
    """
    if activation is None:
        return _identity
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ArgumentError(
            f"{kind}: no activation is named {activation!r}",
            hint=f"one of {', '.join(ACTIVATIONS)}, or a function of a node",
        )
    return ACTIVATIONS[activation]


def _identity(x: Node) -> Node:
    return x
