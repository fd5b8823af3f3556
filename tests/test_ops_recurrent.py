"""Recurrent operators: padded sequences as torch packs them, outputs, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from tests.operators.recurrent import ORDERS, torch_module

Array = np.ndarray[Any, Any]

STEPS, BATCH, FEATURES, HIDDEN = 7, 4, 3, 5
LENGTHS = np.array([7, 2, 5, 1])
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
OPTIONS: dict[str, dict[str, Any]] = {"RNN": {}, "LSTM": {}, "GRU": {"linear_before_reset": True}}


def weights(kind: str, directions: int, rng: np.random.Generator) -> list[Array]:
    width = GATES[kind] * HIDDEN
    shapes = [(directions, width, FEATURES), (directions, width, HIDDEN), (directions, 2 * width)]
    return [rng.normal(0, 0.5, shape) for shape in shapes]


def build(kind: str, arrays: list[Array], **options: Any) -> tuple[list[ms.Variable], ms.ops.LSTM]:
    nodes = [ms.Variable(array, dtype="float64") for array in arrays]
    node = getattr(ms.ops, kind)(*nodes[:4], LENGTHS, *nodes[4:], **OPTIONS[kind], **options)
    return nodes, node


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_unequal_lengths_are_what_torch_packs(
    graph: ms.Graph, rng: np.random.Generator, kind: str, directions: int
) -> None:
    """All outputs, and the gradients of their weighted sum with respect to all inputs."""
    count = 2 if kind == "LSTM" else 1
    x = rng.normal(size=(STEPS, BATCH, FEATURES))
    first = [rng.normal(size=(directions, BATCH, HIDDEN)) for _ in range(count)]
    w, r, b = weights(kind, directions, rng)

    module = torch_module(kind, w, r, b)
    fed = [torch.from_numpy(array).requires_grad_() for array in (x, *first)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        fed[0], torch.from_numpy(LENGTHS), enforce_sorted=False
    )
    states, last = module(packed, tuple(fed[1:]) if kind == "LSTM" else fed[1])
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, total_length=STEPS)
    theirs = [
        states.reshape(STEPS, BATCH, directions, HIDDEN).transpose(1, 2),
        *(last if kind == "LSTM" else [last]),
    ]
    weighting = [rng.normal(size=tuple(output.shape)) for output in theirs]
    sum((y * torch.from_numpy(c)).sum() for y, c in zip(theirs, weighting, strict=True)).backward()

    direction = "forward" if directions == 1 else "bidirectional"
    nodes, node = build(kind, [x, w, r, b, *first], direction=direction)
    ours = node.outputs()
    assert len(ours) == 1 + count
    slopes = [
        ms.gradients(y, nodes, upstream=ms.Constant(c, dtype="float64"))
        for y, c in zip(ours, weighting, strict=True)
    ]
    for y, expected in zip(graph.forward(ours), theirs, strict=True):
        np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    summed = [
        sum(graph.forward([slope for slope in by_output if slope is not None]))
        for by_output in zip(*slopes, strict=True)
    ]
    back = np.argsort(ORDERS[kind])
    grads = {name: value.grad.numpy() for name, value in module.named_parameters()}
    suffixes = ("_l0", "_l0_reverse")[:directions]

    def reordered(*names: str) -> Array:
        """torch's gradient, its gates in our order, the directions stacked."""
        parts = [
            [grads[name + suffix].reshape(len(back), HIDDEN, -1)[back] for name in names]
            for suffix in suffixes
        ]
        return np.stack(
            [np.concatenate([part.reshape(-1, part.shape[-1]) for part in one]) for one in parts]
        )

    expected = [
        fed[0].grad.numpy(),
        reordered("weight_ih"),
        reordered("weight_hh"),
        reordered("bias_ih", "bias_hh")[..., 0],
        *(start.grad.numpy() for start in fed[1:]),
    ]
    for ours_, theirs_ in zip(summed, expected, strict=True):
        np.testing.assert_allclose(ours_, theirs_, atol=1e-11)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_last_states_without_lengths(graph: ms.Graph, rng: np.random.Generator, kind: str) -> None:
    w, r, b = weights(kind, 2, rng)
    x = rng.normal(size=(STEPS, BATCH, FEATURES))
    node = getattr(ms.ops, kind)(x, w, r, b, direction="bidirectional", **OPTIONS[kind])
    states, *last = graph.forward(node.outputs())
    with torch.no_grad():
        _, expected = torch_module(kind, w, r, b)(torch.from_numpy(x))
    for ours, theirs in zip(last, expected if kind == "LSTM" else [expected], strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    np.testing.assert_array_equal(states[-1, 0], last[0][0])
    np.testing.assert_array_equal(states[0, 1], last[0][1])


def test_last_states_in_reverse(graph: ms.Graph, rng: np.random.Generator) -> None:
    x = rng.normal(size=(STEPS, BATCH, FEATURES))
    _, node = build("GRU", [x, *weights("GRU", 1, rng)], direction="reverse")
    states, last = graph.forward(node.outputs())
    np.testing.assert_array_equal(last[0], states[0, 0])


def test_what_is_in_the_padding_does_not_matter(graph: ms.Graph, rng: np.random.Generator) -> None:
    x = rng.normal(size=(STEPS, BATCH, FEATURES))
    other = x.copy()
    for n, length in enumerate(LENGTHS):
        other[length:, n] = 1000.0
    nodes, node = build("LSTM", [x, *weights("LSTM", 2, rng)], direction="bidirectional")
    slopes = ms.gradients(node, nodes[1:], upstream=ms.ops.OnesLike(node))
    values = graph.forward([node, *slopes])
    nodes[0].value = other
    for ours, again in zip(graph.forward([node, *slopes]), values, strict=True):
        np.testing.assert_array_equal(ours, again)


def test_sizes_that_are_fed(graph: ms.Graph, rng: np.random.Generator) -> None:
    """Steps and batch of unknown size, forward and backward."""
    x = ms.Input((None, None, FEATURES), name="x")
    lengths = ms.Input((None,), dtype="int32", name="lengths")
    w, r, b = (ms.Variable(array) for array in weights("LSTM", 1, rng))
    states, last, _ = ms.ops.LSTM(x, w, r, b, lengths).outputs()
    assert states.shape == (None, 1, None, HIDDEN)
    assert last.shape == (1, None, HIDDEN)
    slopes = ms.gradients(last, [x, w], upstream=ms.ops.OnesLike(last))
    for steps, batch in ((4, 2), (6, 3)):
        fed = {x: rng.normal(size=(steps, batch, FEATURES)), lengths: np.arange(batch) + 2}
        value, dx, dw = graph.forward([last, *slopes], fed)
        assert value.shape == (1, batch, HIDDEN)
        assert dx.shape == (steps, batch, FEATURES)
        assert dw.shape == w.shape
        assert abs(dx[2:, 0]).max() == 0
        assert abs(dx[:2, 0]).min() > 0


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 3), (0, 2), (3, 0)])
def test_odd_sizes(graph: ms.Graph, rng: np.random.Generator, steps: int, batch: int) -> None:
    w, r, b = (ms.Variable(array) for array in weights("GRU", 1, rng))
    x = ms.Variable(np.ones((steps, batch, FEATURES)))
    node = ms.ops.GRU(x, w, r, b)
    values = graph.forward([node, *ms.gradients(node, [x, w], upstream=ms.ops.OnesLike(node))])
    assert [value.shape for value in values] == [(steps, 1, batch, HIDDEN), x.shape, w.shape]


def test_weights_that_make_their_own_input(graph: ms.Graph) -> None:
    """A second gradient must not count a path twice when x is made of the weights."""
    w = ms.Variable([[[0.4]]], dtype="float64")
    x = ms.ops.Reshape(w * w, shape=(1, 1, 1))
    y = ms.ops.RNN(x, w, ms.ops.ZerosLike(w))
    (slope,) = ms.gradients(y, [w], upstream=ms.ops.OnesLike(y))
    (bend,) = ms.gradients(slope, [w], upstream=ms.ops.OnesLike(slope))
    # y = tanh(w**3)
    v = np.tanh(0.4**3)
    assert graph.forward(slope).item() == pytest.approx((1 - v**2) * 3 * 0.4**2, rel=1e-12)
    expected = (1 - v**2) * (6 * 0.4 - 2 * v * (3 * 0.4**2) ** 2)
    assert graph.forward(bend).item() == pytest.approx(expected, rel=1e-12)


def test_a_second_gradient_needs_a_known_number_of_steps(graph: ms.Graph) -> None:
    x = ms.Input((None, 2, 1), name="x")
    w = ms.Variable(np.ones((1, 1, 1)), name="w")
    y = ms.ops.RNN(x, w, w, name="y")
    (slope,) = ms.gradients(y, [w], upstream=ms.ops.OnesLike(y))
    with pytest.raises(ms.errors.GradientError) as caught:
        ms.gradients(slope, [w], upstream=ms.ops.OnesLike(slope))
    assert caught.value.rule == (
        "RecurrenceGradient 'gradients/y/recurrencegradient': a second gradient needs a known "
        "number of steps"
    )
    assert caught.value.hint == "declare it where the sequences are fed: ms.Input((28, None, 8))"


def test_a_node_is_rebuilt_from_its_inputs_and_attributes(
    graph: ms.Graph, rng: np.random.Generator
) -> None:
    w, r, _ = weights("LSTM", 1, rng)
    x = rng.normal(size=(STEPS, BATCH, FEATURES))
    node = ms.ops.LSTM(x, w, r, sequence_lens=LENGTHS, direction="reverse")
    assert node.attributes == {"direction": "reverse", "given": ("sequence_lens",)}
    again = ms.ops.LSTM(*node.inputs, **node.attributes)
    assert again.attributes == node.attributes
    np.testing.assert_array_equal(*graph.forward([node, again]))


@pytest.mark.parametrize(
    ("call", "rule", "hint"),
    [
        (
            lambda x, w, r: ms.ops.GRU(x, w, r, name="y"),
            "GRU 'y': r has shape (1, 16, 4), (1, 12, 4) is needed",
            "the layout of r is (directions, gates * hidden, hidden)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, np.zeros((1, 16, 2)), r, name="y"),
            "LSTM 'y': w has shape (1, 16, 2), (1, 16, 3) is needed",
            "the layout of w is (directions, gates * hidden, features)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, np.zeros((1, 16)), name="y"),
            "LSTM 'y': b has shape (1, 16), (1, 32) is needed",
            "the layout of b is (directions, 2 * gates * hidden)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, direction="bidirectional", name="y"),
            "LSTM 'y': r has shape (1, 16, 4), (2, ?, ?) is needed",
            "the layout of r is (directions, gates * hidden, hidden)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, sequence_lens=[1, 2, 3], name="y"),
            "LSTM 'y': sequence_lens has shape (3,), (2) is needed",
            "the layout of sequence_lens is (batch)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, initial_c=np.zeros((1, 4)), name="y"),
            "LSTM 'y': initial_c has shape (1, 4), (1, 2, 4) is needed",
            "the layout of initial_c is (directions, batch, hidden)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x[0], w, r, name="y"),
            "LSTM 'y': x has shape (2, 3), (?, ?, ?) is needed",
            "the layout of x is (steps, batch, features)",
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, sequence_lens=[1.0, 2.0], name="y"),
            "LSTM 'y': sequence_lens are numbers of steps, float32 came",
            'give integers: ms.Input((None,), dtype="int64")',
        ),
        (
            lambda x, w, r: ms.ops.LSTM(x, w, r, direction="both"),
            "LSTM: direction='both' is unknown",
            "one of 'forward', 'reverse', 'bidirectional'",
        ),
        (
            lambda x, w, r: ms.ops.RNN(x, w, r, activation="softmax"),
            "RNN: activation='softmax' is unknown",
            "one of 'tanh', 'relu'",
        ),
    ],
)
def test_refusals(graph: ms.Graph, call: Callable[..., ms.Node], rule: str, hint: str) -> None:
    x = ms.Input((5, 2, 3), name="x")
    w, r = ms.Variable(np.zeros((1, 16, 3))), ms.Variable(np.zeros((1, 16, 4)))
    with pytest.raises(ms.errors.MatrixSlowError) as caught:
        call(x, w, r)
    assert (caught.value.rule, caught.value.hint) == (rule, hint)
