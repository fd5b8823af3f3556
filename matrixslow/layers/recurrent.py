"""Layers over sequences (batch, steps, features): rnn, lstm and gru."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matrixslow import ops
from matrixslow.backend import Array
from matrixslow.core import Initializer, Node
from matrixslow.errors import ShapeError
from matrixslow.initializers import Orthogonal
from matrixslow.layers.layer import (
    GLOROT_UNIFORM,
    ZEROS,
    check_count,
    known_size,
    layer,
    parameter,
)

ORTHOGONAL = Orthogonal()


def rnn(
    x: Node,
    units: int,
    *,
    activation: str = "tanh",
    return_sequences: bool = False,
    bidirectional: bool = False,
    lengths: Node | None = None,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    recurrent_initializer: Initializer = ORTHOGONAL,
    bias_initializer: Initializer = ZEROS,
    name: str | None = None,
) -> Node:
    """A simple recurrence: the state after the last step, or after every step.

    h[t] = f(x[t] W' + h[t-1] R' + b), f = tanh or relu.

    Args:
        x: Sequences.
        units: The size of a state.
        activation: "tanh" or "relu".
        return_sequences: Whether the states after all steps are wanted.
        bidirectional: Whether a second state goes from the end to the beginning; the two stand
            side by side in y.
        lengths: The number of steps of each sequence, integers (batch); all of them by default.
            What lies beyond is not read, and 0 in y.
        kernel_initializer: Makes W, from a block (features, units) for each gate and direction.
        recurrent_initializer: Makes R, from a block (units, units) for each gate and direction.
        bias_initializer: Makes b (directions, 2 * gates * units): that of W, then that of R.
        name: Of the layer; "rnn" with a number by default.

    Shapes: x (batch, steps, features), y (batch, directions * units), or with `return_sequences`
        (batch, steps, directions * units).

    Raises:
        ShapeError: x has another layout, or the number of features is not known.
        ArgumentError: There is no such activation, or units < 1.

    >>> with ms.Graph():
    ...     ms.layers.rnn(ms.Input((None, 28, 8)), 16).shape
    (None, 16)
    """
    with layer("rnn", x, name):
        operands = _operands(
            "rnn",
            x,
            units,
            gates=1,
            bidirectional=bidirectional,
            kernel=kernel_initializer,
            recurrent=recurrent_initializer,
            bias=bias_initializer,
        )
        node = ops.RNN(
            *operands,
            lengths,
            direction="bidirectional" if bidirectional else "forward",
            activation=activation,
        )
        return _result(node, return_sequences)


def lstm(
    x: Node,
    units: int,
    *,
    return_sequences: bool = False,
    bidirectional: bool = False,
    lengths: Node | None = None,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    recurrent_initializer: Initializer = ORTHOGONAL,
    bias_initializer: Initializer = ZEROS,
    forget_bias: float = 1.0,
    name: str | None = None,
) -> Node:
    """Long short-term memory: the state after the last step, or after every step.

    Args:
        x: Sequences.
        units: The size of a state.
        return_sequences: Whether the states after all steps are wanted.
        bidirectional: As in `rnn`.
        lengths: As in `rnn`.
        kernel_initializer: As in `rnn`.
        recurrent_initializer: As in `rnn`.
        bias_initializer: As in `rnn`.
        forget_bias: Added to the first bias of the forget gate, so that it starts open.
        name: Of the layer; "lstm" with a number by default.

    Shapes: x (batch, steps, features), y (batch, directions * units), or with `return_sequences`
        (batch, steps, directions * units).

    Raises:
        ShapeError: x has another layout, or the number of features is not known.

    Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997); the bias by Jozefowicz et
        al., "An empirical exploration of recurrent network architectures" (2015).

    >>> with ms.Graph():
    ...     x = ms.Input((None, 28, 8), name="x")
    ...     ms.layers.lstm(x, 16, return_sequences=True, bidirectional=True).shape
    (None, 28, 32)
    """
    with layer("lstm", x, name):
        operands = _operands(
            "lstm",
            x,
            units,
            gates=4,
            bidirectional=bidirectional,
            kernel=kernel_initializer,
            recurrent=recurrent_initializer,
            bias=ForgetBias(bias_initializer, forget_bias),
        )
        node = ops.LSTM(
            *operands,
            lengths,
            direction="bidirectional" if bidirectional else "forward",
        )
        return _result(node, return_sequences)


def gru(
    x: Node,
    units: int,
    *,
    return_sequences: bool = False,
    bidirectional: bool = False,
    lengths: Node | None = None,
    kernel_initializer: Initializer = GLOROT_UNIFORM,
    recurrent_initializer: Initializer = ORTHOGONAL,
    bias_initializer: Initializer = ZEROS,
    name: str | None = None,
) -> Node:
    """Gated recurrent unit: the state after the last step, or after every step.

    The reset gate acts after the product with R, as in torch and Keras.

    Args:
        x: Sequences.
        units: The size of a state.
        return_sequences: Whether the states after all steps are wanted.
        bidirectional: As in `rnn`.
        lengths: As in `rnn`.
        kernel_initializer: As in `rnn`.
        recurrent_initializer: As in `rnn`.
        bias_initializer: As in `rnn`.
        name: Of the layer; "gru" with a number by default.

    Shapes: x (batch, steps, features), y (batch, directions * units), or with `return_sequences`
        (batch, steps, directions * units).

    Raises:
        ShapeError: x has another layout, or the number of features is not known.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014).

    >>> with ms.Graph():
    ...     x = ms.Input((None, 28, 8), name="x")
    ...     lengths = ms.Input((None,), dtype="int64", name="lengths")
    ...     ms.layers.gru(x, 16, lengths=lengths).shape
    (None, 16)
    """
    with layer("gru", x, name):
        operands = _operands(
            "gru",
            x,
            units,
            gates=3,
            bidirectional=bidirectional,
            kernel=kernel_initializer,
            recurrent=recurrent_initializer,
            bias=bias_initializer,
        )
        node = ops.GRU(
            *operands,
            lengths,
            direction="bidirectional" if bidirectional else "forward",
            linear_before_reset=True,
        )
        return _result(node, return_sequences)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Recurrent weights (directions, gates * units, in) from blocks in the layout (in, units).

    So fans, and what is orthogonal, are those of one gate.
    """

    initializer: Initializer
    gates: int

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """A block for each direction and gate, one after the other from one stream."""
        directions, width, inputs = shape
        block = (inputs, width // self.gates)
        blocks = [self.initializer(block, dtype, rng).T for _ in range(directions * self.gates)]
        return np.concatenate(blocks).reshape(shape)


@dataclass(frozen=True, slots=True)
class ForgetBias:
    """LSTM biases (directions, 8 * units) with a number added to W's of the forget gate."""

    initializer: Initializer
    value: float

    def __call__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: np.random.Generator
    ) -> Array:
        """What the initializer makes, the third block of each direction raised."""
        biases = np.array(self.initializer(shape, dtype, rng))
        units = shape[1] // 8
        biases[:, 2 * units : 3 * units] += self.value
        return biases


def _operands(
    kind: str,
    x: Node,
    units: int,
    *,
    gates: int,
    bidirectional: bool,
    kernel: Initializer,
    recurrent: Initializer,
    bias: Initializer,
) -> tuple[Node, Node, Node, Node]:
    """The operators' first inputs: sequences with the steps first, W, R and b."""
    units = check_count(kind, "units", units)
    if x.ndim != 3:
        raise ShapeError(
            f"{kind}: sequences (batch, steps, features) are needed, {x!r} came",
            hint="a single feature needs an axis, too: ms.ops.Unsqueeze(x, axes=2)",
        )
    directions, width, features = 1 + bidirectional, gates * units, known_size(kind, x, 2)
    return (
        ops.Transpose(x, perm=(1, 0, 2)),
        parameter("W", (directions, width, features), Blocks(kernel, gates), x),
        parameter("R", (directions, width, units), Blocks(recurrent, gates), x),
        parameter("b", (directions, 2 * width), bias, x),
    )


def _result(node: ops.RNN | ops.LSTM | ops.GRU, return_sequences: bool) -> Node:
    """States with the batch first, the directions side by side."""
    states, last, *_ = node.outputs()
    if return_sequences:
        by_sample = ops.Transpose(states, perm=(2, 0, 1, 3))
        return ops.Reshape(by_sample, shape=(0, 0, -1))
    return ops.Reshape(ops.Transpose(last, perm=(1, 0, 2)), shape=(0, -1))
