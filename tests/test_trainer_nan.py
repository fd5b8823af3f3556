"""The NaN guard: which node it names, and what it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.errors import NonFiniteError
from matrixslow.optimizers import SGD, Adam, ExponentialDecay, Optimizer
from matrixslow.trainer import Hook, NaNGuard, ReduceOnPlateau, Trainer
from matrixslow.trainer.nan_guard import first_not_finite


class Model:
    """loss = mean((act(x w + dropout(x w)) - 1)**2)."""

    def __init__(self, act: Callable[[ms.Node], ms.Node], *, dropout: float = 0.0) -> None:
        with ms.Graph(seed=1) as self.graph:
            self.x = ms.Input((None, 3), name="x")
            w = ms.Variable([[0.5], [0.25], [1.0]], name="w")
            self.product = ms.ops.MatMul(self.x, w, name="product")
            h = self.product
            if dropout:
                h = h + ms.layers.dropout(h, dropout)
            error = act(h) - 1.0
            self.loss = ms.ops.ReduceMean(error * error, keepdims=False, name="loss")

    def error(self, trainer: Trainer, data: np.ndarray, **options: Any) -> str:
        """The message of the guard, with the places of lines left out."""
        options = {"batch_size": 2, "shuffle": False, "progress": False, **options}
        with pytest.raises(NonFiniteError) as caught:
            trainer.fit({self.x: data}, **options)
        return re.sub(r"test_trainer_nan\.py:\d+", "here:*", str(caught.value))

    def state_after(self, optimizer: Optimizer, data: np.ndarray, steps: int) -> dict[str, Any]:
        """All variables after so many steps of two samples, by a plain loop."""
        step = ms.function([self.x], self.loss, updates=optimizer.minimize(self.loss))
        for number in range(steps):
            step(data[2 * number % len(data) :][:2])
        return self.graph.state_dict()


def assert_same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        np.testing.assert_array_equal(found[name], x, err_msg=name)


def logarithm(x: ms.Node) -> ms.Node:
    return ms.ops.Log(x, name="log")


def exponential(x: ms.Node) -> ms.Node:
    return ms.ops.Exp(x, name="exp")


def identity(x: ms.Node) -> ms.Node:
    return x


@pytest.fixture
def data(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1.5, size=(40, 3)).astype(np.float32)


# ---- which node it names ------------------------------------------------------------------------


def test_the_logarithm_of_a_negative_number(data: np.ndarray) -> None:
    data[15] = -1.0
    model = Model(logarithm)
    assert model.error(Trainer(model.loss, SGD(0.0)), data) == (
        "Log 'log': 1 of 2 values are not finite in epoch 1, batch 8, the first is nan at (1, 0)\n"
        "  x      product  MatMul  (None, 1)  float32  here:*\n"
        '  built  here:*   return ms.ops.Log(x, name="log")\n'
        "  fed    product from -1.75 to 1.7389\n"
        "  hint   lower the learning rate, clip gradients, or keep its inputs in range"
    )


def test_an_exponential_that_overflows(data: np.ndarray) -> None:
    data[6] = 100.0
    model = Model(exponential)
    assert model.error(Trainer(model.loss, SGD(0.0)), data) == (
        "Exp 'exp': 1 of 2 values are not finite in epoch 1, batch 4, the first is inf at (0, 0)\n"
        "  x      product  MatMul  (None, 1)  float32  here:*\n"
        '  built  here:*   return ms.ops.Exp(x, name="exp")\n'
        "  fed    product from 1.45567 to 175\n"
        "  hint   lower the learning rate, clip gradients, or keep its inputs in range"
    )


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_data_that_is_not_finite(data: np.ndarray, value: str) -> None:
    data[4, 1] = float(value)
    model = Model(identity)
    assert model.error(Trainer(model.loss, SGD(0.0)), data) == (
        f"Input 'x': 1 of 6 values are not finite in epoch 1, batch 3, the first is {value} at "
        "(0, 1)\n"
        '  built  here:*   self.x = ms.Input((None, 3), name="x")\n'
        "  hint   the data that is fed holds it: clean the data before training"
    )


def test_a_learning_rate_that_explodes(data: np.ndarray) -> None:
    model = Model(identity)
    message = model.error(Trainer(model.loss, SGD(1e4)), data)
    assert re.fullmatch(
        r"Mul 'mul': 2 of 2 values are not finite in epoch 1, batch 6, the first is inf at "
        r"\(0, 0\)\n"
        r"  a      sub  Sub  \(None, 1\)  float32  here:\*\n"
        r"  b      sub  Sub  \(None, 1\)  float32  here:\*\n"
        r"  built  here:\*   self.loss = ms.ops.ReduceMean.*\n"
        r"  fed    sub from -\S+e\+\d\d to -\S+e\+\d\d\n"
        r"  fed    sub from -\S+e\+\d\d to -\S+e\+\d\d\n"
        r"  hint   lower the learning rate, clip gradients, or keep its inputs in range",
        message,
    )


def test_a_variable_that_was_not_finite_from_the_start(data: np.ndarray) -> None:
    model = Model(identity)
    trainer = Trainer(model.loss, SGD(0.1))
    model.graph["w"].value = np.float32([[1], [np.nan], [1]])  # type: ignore[misc]
    assert model.error(trainer, data) == (
        "Variable 'w': 1 of 3 values are not finite in epoch 1, batch 1, the first is nan at "
        "(1, 0)\n"
        '  built  here:*   w = ms.Variable([[0.5], [0.25], [1.0]], name="w")\n'
        "  hint   it was so before the step: look at its first value, and at hooks that change it"
    )


def infinite_slope(x: ms.Node) -> ms.Node:
    """Its value is finite, its slope is not where x has a row of zeros."""
    return ms.ops.Sqrt(x, name="sqrt")


@pytest.mark.parametrize("batches", [4, 20])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_slope_that_is_not_finite(data: np.ndarray, batches: int, accumulate: int) -> None:
    # The loss shows it a step later, or never, if it was the last.
    data[7] = 0.0
    model, plain = Model(infinite_slope), Model(infinite_slope)
    trainer = Trainer(model.loss, SGD(0.01), accumulate=accumulate)
    message = model.error(trainer, data[: 2 * batches])
    assert message.startswith(
        "Div 'gradients/sqrt/div': 1 of 2 values are not finite in epoch 1, batch 4, the first is "
        "-inf at (1, 0)\n"
    )
    assert "\n  built  here:*   trainer = Trainer(model.loss, SGD(0.01), accumulate" in message
    wanted = plain.state_after(SGD(0.01), data, 3)["w"]
    if accumulate == 1:
        np.testing.assert_array_equal(model.graph["w"].value, wanted)
    else:
        assert (model.graph["accumulated/batches"].value, model.graph["sgd/steps"].value) == (0, 1)


def test_nan_comes_before_infinity_and_constants_may_be_infinite(graph: ms.Graph) -> None:
    x = ms.Input((2,), name="x")
    masked = ms.ops.Where(ms.ops.Less(x, 0.0), -np.inf, x)
    summed = ms.ops.ReduceSum(ms.ops.Exp(masked), keepdims=False)
    log = ms.ops.Log(x - 2.0, name="log")
    total = summed + ms.ops.ReduceSum(log, keepdims=False)
    for values, name in (
        ([5.0, 1.0], "log"),
        ([-1.0, 3.0], "log"),
        ([2.0, 3.0], "log"),
        ([200.0, 3.0], "exp"),
    ):
        graph.forward(total, {x: values})
        found = first_not_finite(graph.kept_values)
        assert found is not None
        assert found.name == name
    graph.forward(total, {x: [3.0, 4.0]})
    assert first_not_finite(graph.kept_values) is None


# ---- what it leaves behind ----------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3, 4, 50])
@pytest.mark.parametrize("bad", [0, 7, 19])
def test_the_variables_are_as_before_the_bad_step(data: np.ndarray, every: int, bad: int) -> None:
    data[2 * bad] = -1.0
    model, plain = Model(logarithm, dropout=0.1), Model(logarithm, dropout=0.1)
    trainer = Trainer(model.loss, Adam(0.01), hooks=[NaNGuard(every=every)], guard=False)
    message = model.error(trainer, data)
    assert f"are not finite in epoch 1, batch {bad + 1}, the first is nan at (0, 0)" in message
    assert_same(model.graph.state_dict(), plain.state_after(Adam(0.01), data, bad))


def test_learning_rates_that_change_are_repeated(data: np.ndarray) -> None:
    class Poison(Hook):
        """Brings the bad sample in the fourth epoch."""

        def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
            if trainer.epoch == 3:
                data[30] = -1.0

    good = data[30].copy()
    guarded = Model(logarithm)
    plateau = ReduceOnPlateau("loss", patience=0, factor=0.5, mode="max")
    trainer = Trainer(guarded.loss, SGD(0.05), hooks=[plateau, Poison()])
    assert "in epoch 4, batch 16," in guarded.error(trainer, data, epochs=9)

    data[30] = good
    model = Model(logarithm)
    optimizer = SGD(0.05)
    step = ms.function([model.x], model.loss, updates=optimizer.minimize(model.loss))
    assert optimizer.rate is not None
    losses: list[float] = []
    for epoch in range(4):
        batches = [data[2 * number :][:2] for number in range(20 if epoch < 3 else 15)]
        losses.append(float(np.mean([step(batch) for batch in batches])))
        if 0 < epoch < 3 and losses[-1] <= max(losses[:-1]) + 1e-4:
            optimizer.rate.value = optimizer.rate.value / 2
    assert optimizer.rate.value < 0.05
    assert_same(guarded.graph.state_dict(), model.graph.state_dict())


def test_schedules_are_repeated(data: np.ndarray) -> None:
    data[33] = -1.0
    model, plain = Model(logarithm), Model(logarithm)
    optimizer = SGD(ExponentialDecay(0.05, every=5))
    assert "in epoch 1, batch 17," in model.error(Trainer(model.loss, optimizer), data)
    assert_same(model.graph.state_dict(), plain.state_after(optimizer, data, 16))


def test_what_hooks_do_between_steps_is_not_repeated(data: np.ndarray) -> None:
    class Spoil(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.steps == 4:
                trainer.graph["w"].value = np.full((3, 1), np.nan, "float32")  # type: ignore[misc]

    model = Model(identity)
    trainer = Trainer(model.loss, SGD(0.01), hooks=[Spoil()])
    assert model.error(trainer, data) == (
        "a loss of nan in epoch 1, batch 5 did not come again when the step was repeated\n"
        "  hint   look at hooks that change variables between steps"
    )


def test_training_goes_on_after_the_cause_is_gone(data: np.ndarray) -> None:
    model = Model(identity)
    trainer = Trainer(model.loss, SGD(1e4))
    model.error(trainer, data)
    model.graph["w"].value = np.zeros((3, 1), "float32")  # type: ignore[misc]
    trainer.learning_rate = 0.05
    history = trainer.fit({model.x: data}, epochs=3, progress=False)
    assert history["loss"][-1] < history["loss"][0]


def test_without_the_guard_the_run_goes_on(data: np.ndarray) -> None:
    data[15] = -1.0
    model = Model(logarithm)
    metric = ms.metrics.Mean(model.product)
    trainer = Trainer(model.loss, SGD(0.0), metrics=[metric], guard=False)
    history = trainer.fit({model.x: data}, batch_size=2, shuffle=False, progress=False)
    assert np.isnan(history["loss"][0])
    # The weights are NaN from then on: nothing could be measured.
    assert history["mean"][0] == pytest.approx((data[:14] @ [0.5, 0.25, 1.0]).mean(), rel=1e-6)
