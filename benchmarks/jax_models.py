"""The workloads once more, in JAX, each in the form in which JAX is fastest on a CPU.

Images lie with their channels last; a pool is a maximum over a reshaped array, whose slope is far
cheaper than that of a window; recurrences are scans, with the products of the inputs taken out;
the table of W7 is changed in the rows that a step looks up. Old parameters are given away, so that
new ones are written in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = list[np.ndarray[Any, Any]]
Parameters = list[jax.Array]


def step_of(name: str, arrays: Arrays, weights: Arrays) -> Callable[[], Any]:
    """One training step, or one inference, on the data and from the weights that ours has."""
    parameters = [jnp.asarray(x) for x in weights]
    prepare, forward = MODELS[name[:2]]
    parameters = prepare(parameters)
    x = jnp.asarray(arrays[0])
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    if name.startswith("i"):
        infer = jax.jit(forward)
        return lambda: infer(parameters, x).block_until_ready()
    y = jnp.asarray(arrays[1])
    loss = clicks if name == "w7" else classes
    if name == "w7":
        return table_step(parameters, x, y)
    update = momentum if name in ("w3", "w6") else adam

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(state: Any, parameters: Parameters, x: jax.Array, y: jax.Array) -> Any:
        value, slopes = jax.value_and_grad(lambda p: loss(forward(p, x), y))(parameters)
        return *update(state, parameters, slopes), value

    state = update_state(parameters)

    def run() -> Any:
        nonlocal state, parameters
        state, parameters, value = step(state, parameters, x, y)
        return value.block_until_ready()

    return run


# ---- losses and updates --------------------------------------------------------------------------


def classes(logits: jax.Array, y: jax.Array) -> jax.Array:
    """Mean cross entropy, of scores along axis 1."""
    logarithms = jax.nn.log_softmax(logits, axis=1)
    return -jnp.take_along_axis(logarithms, y[:, None], axis=1).mean()


def clicks(score: jax.Array, y: jax.Array) -> jax.Array:
    """Mean binary cross entropy of scores."""
    return (jax.nn.softplus(score) - y * score).mean()


def update_state(parameters: Parameters) -> Any:
    """Two zeros for each parameter, and the number of steps."""
    return [[jnp.zeros_like(p), jnp.zeros_like(p)] for p in parameters], jnp.zeros((), "int32")


def adam(state: Any, parameters: Parameters, slopes: Parameters) -> Any:
    """One step of Adam."""
    moments, count = state
    count = count + 1
    new = [
        moved(count, p, m, v, g) for p, (m, v), g in zip(parameters, moments, slopes, strict=True)
    ]
    return ([[m, v] for _, m, v in new], count), [p for p, _, _ in new]


def moved(count: jax.Array, p: jax.Array, m: jax.Array, v: jax.Array, g: jax.Array) -> Any:
    """Adam's formula for one parameter."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    rate = 1e-3 / (1 - 0.9**count)
    return p - rate * m / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8), m, v


def momentum(state: Any, parameters: Parameters, slopes: Parameters) -> Any:
    """One step of SGD with momentum."""
    moments, count = state
    faster = [0.9 * m + g for (m, _), g in zip(moments, slopes, strict=True)]
    rest = [v for _, v in moments]
    new = [p - 1e-2 * m for p, m in zip(parameters, faster, strict=True)]
    return ([list(pair) for pair in zip(faster, rest, strict=True)], count), new


# ---- models --------------------------------------------------------------------------------------


def dense(p: Parameters, x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them."""
    for w, b in zip(p[:-2:2], p[1:-2:2], strict=True):
        x = jax.nn.relu(x @ w + b)
    return x @ p[-2] + p[-1]


def conv(x: jax.Array, w: jax.Array, strides: int = 1) -> jax.Array:
    """A convolution, channels last; padded by half of the kernel."""
    pads = [(size // 2, size // 2) for size in w.shape[:2]]
    return jax.lax.conv_general_dilated(
        x, w, (strides, strides), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def cnn(p: Parameters, x: jax.Array) -> jax.Array:
    """Two convolutions with ReLU and pooling, then two dense layers."""
    for w, b in ((p[0], p[1]), (p[2], p[3])):
        x = jax.nn.relu(conv(x, w) + b)
        n, height, width, channels = x.shape
        x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))
    return dense(p[4:], x.reshape(len(x), -1))


def channels_last(p: Parameters) -> Parameters:
    """Kernels, and the rows of the dense layer behind them, for channels last."""
    p = [x.transpose(2, 3, 1, 0) if x.ndim == 4 else x for x in p]
    if p[3].ndim == 1 and p[4].ndim == 2:
        channels = p[2].shape[-1]
        size = int((p[4].shape[0] // channels) ** 0.5)
        rows = p[4].reshape(channels, size, size, -1).transpose(1, 2, 0, 3)
        p[4] = rows.reshape(p[4].shape)
    return p


def rnn(p: Parameters, x: jax.Array) -> jax.Array:
    """An Elman RNN and dense layers on its last state."""
    w, r, b = (each[0] for each in p[:3])
    units = len(w)
    shares = x.transpose(1, 0, 2) @ w.T + b[:units] + b[units:]

    def cell(h: jax.Array, share: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(share + h @ r.T), None

    h, _ = jax.lax.scan(cell, jnp.zeros((len(x), units)), shares)
    return dense(p[3:], h)


def lstm(p: Parameters, x: jax.Array) -> jax.Array:
    """An LSTM and a dense layer on its last state."""
    w, r, b = (each[0] for each in p[:3])
    units = r.shape[1]
    shares = x.transpose(1, 0, 2) @ w.T + b[: 4 * units] + b[4 * units :]

    def cell(state: Any, share: jax.Array) -> tuple[Any, None]:
        h, c = state
        i, o, f, g = jnp.split(share + h @ r.T, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), units))
    (h, _), _ = jax.lax.scan(cell, (zeros, zeros), shares)
    return dense(p[3:], h)


def resnet(p: Parameters, x: jax.Array) -> jax.Array:
    """ResNet-20; each convolution has a kernel, a scale and a bias of its own."""
    place = 0

    def normal_conv(x: jax.Array, strides: int = 1) -> jax.Array:
        nonlocal place
        w, scale, bias = p[place : place + 3]
        place += 3
        y = conv(x, w, strides)
        mean = y.mean((0, 1, 2))
        variance = (y * y).mean((0, 1, 2)) - mean * mean
        return (y - mean) * (scale * jax.lax.rsqrt(variance + 1e-5)) + bias

    x = jax.nn.relu(normal_conv(x))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and block == 0 else 1
            y = normal_conv(jax.nn.relu(normal_conv(x, strides)))
            x = jax.nn.relu(y + (x if strides == 1 else normal_conv(x, strides)))
    return dense(p[place:], x.mean((1, 2)))


def gpt(p: Parameters, ids: jax.Array) -> jax.Array:
    """Four blocks of attention and dense layers; scores with classes on axis 1."""
    places, table, *p = p
    h = table[ids] + places
    batch, length, width = h.shape
    mask = jnp.tril(jnp.ones((length, length), bool))
    for start in range(0, 64, 16):
        scale1, bias1, wq, bq, wk, bk, wv, bv, wo, bo, scale2, bias2, *mlp = p[start : start + 16]
        x = normal(h, scale1, bias1)
        q, k, v = (
            (x @ w + b).reshape(batch, length, 4, width // 4).transpose(0, 2, 1, 3)
            for w, b in ((wq, bq), (wk, bk), (wv, bv))
        )
        scores = q @ k.transpose(0, 1, 3, 2) / (width // 4) ** 0.5
        seen = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1) @ v
        h = h + seen.transpose(0, 2, 1, 3).reshape(batch, length, width) @ wo + bo
        x = normal(h, scale2, bias2)
        h = h + jax.nn.gelu(x @ mlp[0] + mlp[1], approximate=False) @ mlp[2] + mlp[3]
    scale, bias, w, b = p[64:]
    return (normal(h, scale, bias) @ w + b).transpose(0, 2, 1)


def normal(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Layer normalization."""
    centred = x - x.mean(-1, keepdims=True)
    return (
        centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * scale + bias
    )


def table_step(parameters: Parameters, ids: jax.Array, y: jax.Array) -> Callable[[], Any]:
    """DeepFM, whose tables are changed in rows: the slopes of equal ids are summed first."""

    def score(rows: jax.Array, weights: jax.Array, p: Parameters) -> jax.Array:
        total = rows.sum(1)
        second = 0.5 * (total * total - (rows * rows).sum(1)).sum(1, keepdims=True)
        return dense(p, rows.reshape(len(rows), -1)) + second + weights.sum(1)

    def in_rows(count: jax.Array, table: Any, moments: Any, slope: jax.Array, y: jax.Array) -> Any:
        distinct, ranks = jnp.unique(y, return_inverse=True, size=y.size, fill_value=len(table))
        width = table.shape[1]
        slope = jax.ops.segment_sum(slope.reshape(-1, width), ranks.reshape(-1), y.size)
        m, v = moments
        new = moved(count, table[distinct], m[distinct], v[distinct], slope)
        put = [
            x.at[distinct].set(row, mode="drop") for x, row in zip((table, m, v), new, strict=True)
        ]
        return put[0], put[1:]

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(state: Any, parameters: Parameters, ids: jax.Array, y: jax.Array) -> Any:
        table, weights, *p = parameters
        slopes_of = jax.value_and_grad(lambda *parts: clicks(score(*parts), y), (0, 1, 2))
        value, (a, b, c) = slopes_of(table[ids], weights[ids], p)
        (first, second, *rest), count = state
        (rest, count), p = adam((rest, count), p, c)
        table, first = in_rows(count, table, first, a, ids)
        weights, second = in_rows(count, weights, second, b, ids)
        return ([first, second, *rest], count), [table, weights, *p], value

    state = update_state(parameters)

    def run() -> Any:
        nonlocal state, parameters
        state, parameters, value = step(state, parameters, ids, y)
        return value.block_until_ready()

    return run


def same(p: Parameters) -> Parameters:
    """The parameters as they are."""
    return p


MODELS: dict[str, tuple[Callable[[Parameters], Parameters], Callable[..., jax.Array]]] = {
    **dict.fromkeys(("w1", "w2", "i1"), (same, dense)),
    **dict.fromkeys(("w3", "w9", "i3"), (channels_last, cnn)),
    "w4": (same, rnn),
    "w5": (same, lstm),
    "w6": (channels_last, resnet),
    "w7": (same, dense),
    "w8": (same, gpt),
}
