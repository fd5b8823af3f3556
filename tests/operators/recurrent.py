"""Samples of the recurrent operators, against torch's modules with their gates reordered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import matrixslow as ms
from matrixslow.core.node import Node
from matrixslow.testing.sample import Sample

from . import numbers

Array = np.ndarray[Any, Any]

ORDERS = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}
"""Where torch's gates stand in ONNX's order: i, f, g, o in i, o, f, g; and r, z, n in z, r, n."""


def torch_module(
    kind: str, w: Array, r: Array, b: Array | None = None, *, activation: str = "tanh"
) -> torch.nn.RNNBase:
    """torch's module with weights that are laid out as ONNX's; two directions if w has two."""
    directions, width, features = w.shape
    module = getattr(torch.nn, kind)(
        features,
        r.shape[2],
        bias=b is not None,
        bidirectional=directions == 2,
        dtype=torch.float64,
        **({"nonlinearity": activation} if kind == "RNN" else {}),
    )
    parts = {"weight_ih": w, "weight_hh": r}
    if b is not None:
        parts |= {"bias_ih": b[:, :width], "bias_hh": b[:, width:]}
    for name, array in parts.items():
        gates = array.reshape(directions, -1, r.shape[2], *array.shape[2:])[:, ORDERS[kind]]
        for ours, suffix in zip(gates, ("_l0", "_l0_reverse"), strict=False):
            value = torch.from_numpy(ours.reshape(array.shape[1:]))
            getattr(module, name + suffix).data = value.contiguous()
    return module


def by_torch(
    kind: str,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    *,
    direction: str = "forward",
    activation: str = "tanh",
) -> Array:
    """The value of our node, sequence by sequence, so that nothing is ever padded."""
    if direction == "reverse":
        # torch has no such direction: take the second one of both.
        twice = [None if a is None else np.concatenate([a, a]) for a in (w, r, b, h, c)]
        w, r, b, h, c = twice
        both = by_torch(
            kind, x, w, r, b, lengths, h, c, direction="bidirectional", activation=activation
        )
        return both[..., 1:, :, :]
    (steps, batch, _), (directions, _, hidden) = x.shape, r.shape
    module = torch_module(kind, w, r, b, activation=activation)
    zeros = np.zeros((directions, batch, hidden))
    first = [torch.from_numpy(zeros if a is None else a) for a in (h, c)]
    y = np.zeros((2, steps, directions, batch, hidden))

    def run(part: Array, n: int) -> tuple[torch.Tensor, Any]:
        start = [a[:, n : n + 1].contiguous() for a in first]
        state = tuple(start) if kind == "LSTM" else start[0]
        with torch.no_grad():
            return module(torch.from_numpy(part[:, n : n + 1]), state)

    for n in range(batch):
        length = steps if lengths is None else lengths[n]
        states, _ = run(x[:length], n)
        y[0, :length, :, n] = states.reshape(length, directions, hidden)
        if kind == "LSTM":
            # The cell after a step is the last one of the sequence that ends there.
            for t in range(length):
                y[1, t, 0, n] = run(x[: t + 1], n)[1][1][0, 0]
                if directions == 2:
                    y[1, t, 1, n] = run(x[t:length], n)[1][1][1, 0]
    return y if kind == "LSTM" else y[0]


def original_gru(x: Array, w: Array, r: Array, b: Array) -> Array:
    """The GRU whose reset gate acts before the product, which torch does not have."""

    def sigmoid(v: Array) -> Array:
        return 1 / (1 + np.exp(-v))

    hidden = r.shape[2]
    wz, ws, wn = w[0].reshape(3, hidden, -1)
    rz, rs, rn = r[0].reshape(3, hidden, -1)
    bz, bs, bn, cz, cs, cn = b[0].reshape(6, hidden)
    y = np.zeros((len(x), 1, x.shape[1], hidden))
    for n in range(x.shape[1]):
        h = np.zeros(hidden)
        for t in range(len(x)):
            z = sigmoid(wz @ x[t, n] + bz + rz @ h + cz)
            s = sigmoid(ws @ x[t, n] + bs + rs @ h + cs)
            h = (1 - z) * np.tanh(wn @ x[t, n] + bn + rn @ (s * h) + cn) + z * h
            y[t, 0, n] = h
    return y


def arrays(gates: int, directions: int = 1, *, states: int = 0) -> tuple[Array, ...]:
    """x, w, r and b for 3 steps, 2 sequences, 2 features and 2 units, and first states."""
    width = 2 * gates
    shapes = [(3, 2, 2), (directions, width, 2), (directions, width, 2), (directions, 2 * width)]
    shapes += [(directions, 2, 2)] * states
    return tuple(numbers(*shape, seed=i) for i, shape in enumerate(shapes))


LENGTHS = np.array([2, 3])


def gradient(kind: str, **options: Any) -> Callable[..., Node]:
    """Builds the gradient node of a recurrence over given arrays, for an upstream that is given."""

    def build(x: Node, w: Node, r: Node, b: Node, upstream: Node) -> Node:
        value = getattr(ms.ops, kind)(x, w, r, b, **options)
        return ms.ops.RecurrenceGradient(
            *value.inputs,
            value,
            upstream,
            cell=value.cell,
            direction=value.direction,
            given=value.given,
        )

    return build


def gradient_by_torch(kind: str) -> Callable[..., Array]:
    def expected(x: Array, w: Array, r: Array, b: Array, upstream: Array) -> Array:
        module = torch_module(kind, w, r, b)
        fed = torch.from_numpy(x).requires_grad_()
        module(fed)[0].backward(torch.from_numpy(upstream[:, 0]))
        slopes = [getattr(module, name).grad.numpy() for name, _ in module.named_parameters()]
        back = np.argsort(ORDERS[kind])
        ours = [a.reshape(len(back), 2, -1)[back].ravel() for a in slopes]
        return np.concatenate([fed.grad.numpy().ravel(), *ours])

    return expected


SAMPLES = (
    Sample(
        "RNN",
        lambda x, w, r: ms.ops.RNN(x, w, r),
        arrays(1)[:3],
        lambda x, w, r: by_torch("RNN", x, w, r),
    ),
    Sample(
        "RNN, relu, both directions, biases",
        lambda *a: ms.ops.RNN(*a, direction="bidirectional", activation="relu"),
        arrays(1, 2),
        lambda *a: by_torch("RNN", *a, direction="bidirectional", activation="relu"),
    ),
    Sample(
        "RNN, reverse, unequal lengths, a first state",
        lambda x, w, r, b, h: ms.ops.RNN(x, w, r, b, LENGTHS, h, direction="reverse"),
        arrays(1, states=1),
        lambda x, w, r, b, h: by_torch("RNN", x, w, r, b, LENGTHS, h, direction="reverse"),
    ),
    Sample(
        "LSTM",
        lambda *a: ms.ops.LSTM(*a),
        arrays(4),
        lambda *a: by_torch("LSTM", *a),
    ),
    Sample(
        "LSTM, both directions, unequal lengths, first states",
        lambda x, w, r, b, h, c: ms.ops.LSTM(x, w, r, b, LENGTHS, h, c, direction="bidirectional"),
        arrays(4, 2, states=2),
        lambda x, w, r, b, h, c: by_torch(
            "LSTM", x, w, r, b, LENGTHS, h, c, direction="bidirectional"
        ),
        order=1,
    ),
    Sample(
        "LSTM, reverse, no biases",
        lambda x, w, r: ms.ops.LSTM(x, w, r, direction="reverse"),
        arrays(4)[:3],
        lambda x, w, r: by_torch("LSTM", x, w, r, direction="reverse"),
        order=1,
    ),
    Sample(
        "GRU, reset before the product",
        lambda *a: ms.ops.GRU(*a),
        arrays(3),
        original_gru,
    ),
    Sample(
        "GRU, reset after the product",
        lambda *a: ms.ops.GRU(*a, linear_before_reset=True),
        arrays(3),
        lambda *a: by_torch("GRU", *a),
    ),
    Sample(
        "GRU, both directions, unequal lengths, a first state",
        lambda x, w, r, b, h: ms.ops.GRU(
            x, w, r, b, LENGTHS, h, direction="bidirectional", linear_before_reset=True
        ),
        arrays(3, 2, states=1),
        lambda x, w, r, b, h: by_torch("GRU", x, w, r, b, LENGTHS, h, direction="bidirectional"),
        order=1,
    ),
    # What follows needs a known number of steps to be differentiated; the second gradients of the
    # samples above do it.
    Sample(
        "RecurrenceGradient, RNN",
        gradient("RNN"),
        (*arrays(1), numbers(3, 1, 2, 2, seed=9)),
        gradient_by_torch("RNN"),
        order=0,
    ),
    Sample(
        "RecurrenceGradient, GRU",
        gradient("GRU", linear_before_reset=True),
        (*arrays(3), numbers(3, 1, 2, 2, seed=9)),
        gradient_by_torch("GRU"),
        order=0,
    ),
)
