"""Recurrences as native loops: every cell, direction and option beside the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow as ms

STEPS, BATCH, FEATURES, HIDDEN = 7, 5, 6, 9

CELLS: dict[str, tuple[Any, int, dict[str, Any]]] = {
    "rnn tanh": (ms.ops.RNN, 1, {}),
    "rnn relu": (ms.ops.RNN, 1, {"activation": "relu"}),
    "lstm": (ms.ops.LSTM, 4, {}),
    "gru": (ms.ops.GRU, 3, {}),
    "gru reset after": (ms.ops.GRU, 3, {"linear_before_reset": True}),
}


def both_ways(
    cell: str, direction: str, *, lengths: bool, first: bool, steps: int = STEPS
) -> tuple[list[Any], list[Any], str]:
    """Value and gradients, compiled and interpreted, and the plan."""
    rng = np.random.default_rng(0)

    def made(*shape: int) -> Any:
        return rng.standard_normal(shape).astype("float32") * np.float32(0.5)

    operator, gates, options = CELLS[cell]
    count = 2 if direction == "bidirectional" else 1
    with ms.Graph(seed=0):
        x = ms.Input((steps, BATCH, FEATURES), name="x")
        ends = ms.Input((BATCH,), dtype="int32", name="ends")
        given = [
            ms.Variable(made(count, gates * HIDDEN, FEATURES)),
            ms.Variable(made(count, gates * HIDDEN, HIDDEN)),
            ms.Variable(made(count, 2 * gates * HIDDEN)),
        ]
        named = {"sequence_lens": ends} if lengths else {}
        wanted: list[ms.Node] = [x, *given]
        for name in ("initial_h", "initial_c")[: 2 if cell == "lstm" else 1]:
            if first:
                named[name] = ms.Variable(made(count, BATCH, HIDDEN))
                wanted.append(named[name])
        y = operator(x, *given, **named, **options, direction=direction)
        loss = ms.ops.ReduceSum(y * made(*y.shape))
        inputs = [x, ends] if lengths else [x]
        outputs = [y, *ms.gradients(loss, wanted)]
        native = ms.function(inputs, outputs)
        plain = ms.function(inputs, outputs, compile=False)
    data = [made(steps, BATCH, FEATURES)]
    if lengths:
        data.append(rng.integers(1, steps + 1, BATCH, dtype="int32"))
    return native(*data), plain(*data), native.program.explain()


def check(found: list[Any], expected: list[Any]) -> None:
    """Equal to what float32 can tell."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    ("direction", "lengths", "first"),
    [
        ("forward", False, True),
        ("forward", True, True),
        ("reverse", True, False),
        ("bidirectional", False, True),
        ("bidirectional", True, False),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrences_run_natively(cell: str, direction: str, lengths: bool, first: bool) -> None:
    found, expected, plan = both_ways(cell, direction, lengths=lengths, first=first)
    check(found, expected)
    assert "by compute" not in plan


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_single_step(cell: str, first: bool) -> None:
    found, expected, plan = both_ways(cell, "forward", lengths=False, first=first, steps=1)
    check(found, expected)
    assert "by compute" not in plan


def test_first_states_behind_the_ends_of_sequences_fall_back() -> None:
    found, expected, plan = both_ways("lstm", "reverse", lengths=True, first=True)
    check(found, expected)
    assert "no lowering for first states behind the ends of sequences" in plan


def test_a_gradient_that_nobody_wants_is_not_computed() -> None:
    with ms.Graph(seed=0):
        x = ms.Input((4, STEPS, FEATURES), name="x")
        y = ms.layers.lstm(x, HIDDEN)
        loss = ms.ops.ReduceSum(y)
        step = ms.function([x], loss, updates=ms.optimizers.SGD(0.1).minimize(loss))
        slope = ms.function([x], ms.gradients(loss, [x]))
    data = np.ones((4, STEPS, FEATURES), np.float32)
    step(data)
    slope(data)
    product = f"({4 * STEPS}, {4 * HIDDEN}) ({4 * HIDDEN}, {FEATURES})"
    assert product not in step.program.explain()
    assert product in slope.program.explain()


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_layers_with_lengths_train_natively(kind: str) -> None:
    rng = np.random.default_rng(0)
    with ms.Graph(seed=0):
        x = ms.Input((None, STEPS, FEATURES), name="x")
        ends = ms.Input((None,), dtype="int64", name="ends")
        y = getattr(ms.layers, kind)(x, HIDDEN, lengths=ends, bidirectional=True)
        loss = ms.ops.ReduceSum(y * y)
        outputs = [y, *ms.gradients(loss, [x])]
        native = ms.function([x, ends], outputs)
        plain = ms.function([x, ends], outputs, compile=False)
    data = rng.standard_normal((4, STEPS, FEATURES), np.float32), [1, STEPS, 3, 2]
    check(native(*data), plain(*data))
    assert "by compute" not in native.program.explain()
    with pytest.raises(ms.errors.FeedError, match="values 0 to 7 are allowed, 8 was fed"):
        native(data[0], [8, 1, 1, 1])
