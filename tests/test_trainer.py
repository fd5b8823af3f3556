"""The trainer's three verbs: fit, evaluate and predict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.backend import array_module, device_of
from matrixslow.errors import ArgumentError, FeedError, GraphError, ShapeError
from matrixslow.io import Batches
from matrixslow.optimizers import SGD, Adam, Momentum, ParameterGroups, StepDecay
from matrixslow.trainer import Hook, Trainer

SAMPLES = 54


class Model:
    """Two dense layers on four features."""

    def __init__(
        self, *, dtype: str = "float64", dropout: float = 0.0, device: str = "cpu"
    ) -> None:
        with ms.Graph(seed=7, device=device) as self.graph:
            self.x = ms.Input((None, 4), dtype=dtype, name="x")
            self.y = ms.Input((None, 1), dtype=dtype, name="y")
            h = ms.layers.dense(self.x, 5, activation="tanh", name="fc1")
            if dropout:
                h = ms.layers.dropout(h, dropout)
            self.out = ms.layers.dense(h, 1, name="fc2")
            self.loss = ms.ops.MeanSquaredError(self.out, self.y, name="loss")

    def data(self, samples: int = SAMPLES) -> dict[ms.Node, np.ndarray]:
        rng = np.random.default_rng(5)
        x = rng.normal(size=(samples, 4))
        return {self.x: x, self.y: x[:, :1] - 2 * x[:, 1:2] * x[:, 2:3]}

    def weights(self) -> dict[str, np.ndarray]:
        return {x.name: x.value for x in self.graph.variables if x.trainable}


class Record(Hook):
    """Keeps the loss of every batch, and whatever else is asked for."""

    def __init__(self, ask: Callable[[Trainer], Any] = lambda trainer: trainer.tally.loss) -> None:
        self.ask = ask
        self.seen: list[Any] = []

    def after_step(self, trainer: Trainer) -> None:
        self.seen.append(self.ask(trainer))


def assert_same_weights(one: Model, other: Model, rtol: float = 0.0) -> None:
    for name, x in one.weights().items():
        np.testing.assert_allclose(x, other.weights()[name], rtol=rtol, err_msg=name)


# ---- fit ----------------------------------------------------------------------------------------


def test_fit_is_the_loop_that_one_would_write() -> None:
    by_hand, fitted = Model(dropout=0.2), Model(dropout=0.2)
    step = ms.function(
        [by_hand.x, by_hand.y], by_hand.loss, updates=Adam(0.01).minimize(by_hand.loss)
    )
    batches = Batches(by_hand.data(), 16, seed=by_hand.graph.seed)
    losses = [
        [float(step(batch[by_hand.x], batch[by_hand.y])) for batch in batches.epoch(epoch)]
        for epoch in range(3)
    ]

    record = Record()
    trainer = Trainer(fitted.loss, Adam(0.01), hooks=[record])
    history = trainer.fit(fitted.data(), epochs=3, batch_size=16, progress=False)

    assert record.seen == [loss for row in losses for loss in row]
    assert_same_weights(by_hand, fitted)
    sizes = [16, 16, 16, 6]
    assert history["loss"] == pytest.approx([np.average(row, weights=sizes) for row in losses])
    assert (trainer.epoch, trainer.batch, trainer.steps) == (3, 0, 12)
    assert history is trainer.history


def test_fit_learns() -> None:
    model = Model(dtype="float32")
    history = Trainer(model.loss, Adam(0.02)).fit(model.data(300), epochs=40, progress=False)
    assert history["loss"][-1] < 0.05 * history["loss"][0]


def test_the_last_batch_counts_by_its_size() -> None:
    model = Model()
    whole = float(model.graph.forward(model.loss, model.data()))
    trainer = Trainer(model.loss, SGD(0.0))
    for batch_size in (1, 16, 53, 54, 1000):
        trainer.fit(model.data(), batch_size=batch_size, progress=False)
        assert trainer.evaluate(model.data(), batch_size=batch_size)["loss"] == pytest.approx(whole)
    assert trainer.history["loss"] == pytest.approx([whole] * 5, rel=1e-12)


def test_calls_of_fit_go_on() -> None:
    once, twice = Model(), Model()
    Trainer(once.loss, Momentum(0.02)).fit(once.data(), epochs=5, progress=False)
    trainer = Trainer(twice.loss, Momentum(0.02))
    trainer.fit(twice.data(), epochs=2, progress=False)
    assert trainer.fit(twice.data(), epochs=0, progress=False).epochs == 2
    assert trainer.fit(twice.data(), epochs=3, progress=False).epochs == 5
    assert_same_weights(once, twice)


def test_every_epoch_has_an_order_of_its_own(graph: ms.Graph) -> None:
    x = ms.Input((None,), dtype="int64", name="x")
    w = ms.Variable(1.0, dtype="float64")
    loss = w * ms.ops.ReduceMean(ms.ops.Cast(x, dtype="float64"), keepdims=False)
    record = Record(lambda trainer: trainer.tally.loss)
    trainer = Trainer(loss, SGD(0.0), hooks=[record])
    trainer.fit({x: np.arange(20)}, epochs=2, batch_size=1, progress=False)
    first, second = record.seen[:20], record.seen[20:]
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first == Batches({"x": np.arange(20)}, 1, seed=graph.seed).order(0).tolist()
    trainer.fit({x: np.arange(20)}, batch_size=1, shuffle=False, progress=False)
    assert record.seen[40:] == list(range(20))


def test_gathering_ahead_changes_nothing() -> None:
    plain, ahead = Model(), Model()
    Trainer(plain.loss, SGD(0.1)).fit(plain.data(), epochs=2, batch_size=8, progress=False)
    Trainer(ahead.loss, SGD(0.1)).fit(
        ahead.data(), epochs=2, batch_size=8, prefetch=3, progress=False
    )
    assert_same_weights(plain, ahead)


def test_a_device_trains_as_the_host_does(device: str) -> None:
    host, there = Model(dropout=0.2), Model(dropout=0.2, device=device)
    losses = []
    for model in (host, there):
        data = {
            node: array_module(model.graph.device).asarray(x) for node, x in model.data().items()
        }
        trainer = Trainer(model.loss, Adam(0.01, clip_norm=1.0), accumulate=2)
        history = trainer.fit(data, epochs=3, batch_size=16, validation=data, progress=False)
        losses.append([history["loss"], history["validation_loss"]])
        assert isinstance(trainer.predict(model.out, data), np.ndarray)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-10)
    assert {device_of(x.value) for x in there.graph.variables} == {there.graph.device}


def test_data_may_be_lists_and_of_other_floating_types() -> None:
    arrays, lists = Model(dtype="float32"), Model(dtype="float32")
    Trainer(arrays.loss, SGD(0.1)).fit(arrays.data(), progress=False)
    Trainer(lists.loss, SGD(0.1)).fit(
        {node: x.tolist() for node, x in lists.data().items()}, progress=False
    )
    assert_same_weights(arrays, lists)


def test_stop_ends_after_the_epoch() -> None:
    class Stop(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.steps == 5:
                trainer.stop()

    model = Model()
    trainer = Trainer(model.loss, SGD(0.1), hooks=[Stop()])
    trainer.fit(model.data(), epochs=9, batch_size=16, progress=False)
    assert (trainer.epoch, trainer.steps) == (2, 8)
    trainer.fit(model.data(), epochs=1, batch_size=16, progress=False)
    assert trainer.epoch == 3


def test_after_an_error_the_epoch_begins_anew() -> None:
    class Fail(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.steps == 6:
                raise KeyboardInterrupt

    model = Model()
    record = Record(lambda trainer: (trainer.epoch, trainer.batch))
    trainer = Trainer(model.loss, SGD(0.1), hooks=[record, Fail()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(model.data(), epochs=3, batch_size=16, progress=False)
    trainer.fit(model.data(), epochs=1, batch_size=27, progress=False)
    assert record.seen == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 1), (1, 2)]
    assert trainer.history.epochs == 2


# ---- several inputs and outputs, weights of samples ---------------------------------------------


def test_several_inputs_and_outputs(graph: ms.Graph, rng: np.random.Generator) -> None:
    left, right = ms.Input((None, 3), name="left"), ms.Input((None, 2), name="right")
    label = ms.Input((None,), dtype="int64", name="label")
    amount = ms.Input((None, 1), name="amount")
    h = ms.layers.dense(ms.ops.Concat(left, right, axis=1), 8, activation="relu")
    scores, guess = ms.layers.dense(h, 3), ms.layers.dense(h, 1)
    loss = ms.ops.SoftmaxCrossEntropy(scores, label) + 0.5 * ms.ops.MeanSquaredError(guess, amount)
    trainer = Trainer(
        loss,
        Adam(0.03),
        metrics=[ms.metrics.Accuracy(scores, label), ms.metrics.R2(guess, amount)],
    )
    a, b = rng.normal(size=(200, 3)), rng.normal(size=(200, 2))
    data = {
        amount: a[:, :1] + b[:, 1:],
        label: a.argmax(axis=1),
        right: b,
        left: a,
    }
    trainer.fit(data, epochs=40, progress=False, validation=data)
    assert trainer.history["validation_accuracy"][-1] > 0.95
    assert trainer.history["validation_r2"][-1] > 0.9
    classes, amounts = trainer.predict([scores, guess], {left: a, right: b}, batch_size=64)
    assert classes.shape == (200, 3)
    assert (classes.argmax(axis=1) == data[label]).mean() > 0.95
    np.testing.assert_allclose(amounts, trainer.predict(guess, data))


def test_samples_of_weight_zero_do_not_count() -> None:
    def build() -> tuple[dict[str, ms.Node], Trainer]:
        with ms.Graph(seed=3):
            nodes: dict[str, ms.Node] = {
                "x": ms.Input((None, 2), dtype="float64", name="x"),
                "y": ms.Input((None, 1), dtype="float64", name="y"),
                "weight": ms.Input((None,), dtype="float64", name="weight"),
            }
            out = ms.layers.dense(nodes["x"], 1)
            loss = ms.ops.MeanSquaredError(out, nodes["y"], weight=nodes["weight"])
            metric = ms.metrics.MeanSquaredError(out, nodes["y"], weight=nodes["weight"])
        return nodes, Trainer(loss, SGD(0.1), metrics=[metric])

    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    counted = np.arange(40) % 3 != 0

    nodes, weighted = build()
    data = dict(zip(nodes.values(), (x, y, counted.astype(float)), strict=True))
    weighted.fit(data, epochs=5, batch_size=40, progress=False)
    nodes, fewer = build()
    data = dict(zip(nodes.values(), (x[counted], y[counted], np.ones(26)), strict=True))
    fewer.fit(data, epochs=5, batch_size=40, progress=False)

    for name in ("loss", "mean_squared_error"):
        np.testing.assert_allclose(weighted.history[name], fewer.history[name], rtol=1e-12)
    assert weighted.history["loss"][-1] < weighted.history["loss"][0]


# ---- accumulation -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.1), lambda: Adam(StepDecay(0.02, every=3))])
@pytest.mark.parametrize("samples", [48, 50, 54])  # whole groups, a small batch, a group cut short
def test_accumulating_batches_is_one_large_batch(
    optimizer: Callable[[], ms.optimizers.Optimizer], samples: int
) -> None:
    small, large = Model(), Model()
    accumulating = Trainer(small.loss, optimizer(), accumulate=3)
    accumulating.fit(small.data(samples), epochs=4, batch_size=4, progress=False)
    plain = Trainer(large.loss, optimizer())
    plain.fit(large.data(samples), epochs=4, batch_size=12, progress=False)
    assert_same_weights(small, large, rtol=1e-11)
    assert accumulating.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-11)
    assert accumulating.steps == 4 * -(-samples // 4)


def test_accumulating_with_clipping_and_groups() -> None:
    def groups(model: Model) -> ParameterGroups:
        first = [x for x in model.graph.variables if x.name.startswith("fc1/")]
        return ParameterGroups([(Adam(0.02, clip_norm=0.1), first)], rest=Momentum(0.01))

    small, large = Model(), Model()
    Trainer(small.loss, groups(small), accumulate=2).fit(
        small.data(), epochs=3, batch_size=5, progress=False
    )
    Trainer(large.loss, groups(large)).fit(large.data(), epochs=3, batch_size=10, progress=False)
    assert_same_weights(small, large, rtol=1e-9)


def test_what_was_accumulated_before_an_error_is_forgotten() -> None:
    class Fail(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.steps == 2:
                raise RuntimeError("stop here")

    interrupted, plain = Model(), Model()
    trainer = Trainer(interrupted.loss, SGD(0.1), accumulate=3, hooks=[Fail()])
    with pytest.raises(RuntimeError, match="stop here"):
        trainer.fit(interrupted.data(), batch_size=4, progress=False)
    assert_same_weights(interrupted, plain)
    trainer.fit(interrupted.data(), batch_size=4, progress=False)
    Trainer(plain.loss, SGD(0.1), accumulate=3).fit(plain.data(), batch_size=4, progress=False)
    assert_same_weights(interrupted, plain)


# ---- metrics and validation ---------------------------------------------------------------------


def test_metrics_and_validation_are_in_the_history() -> None:
    model = Model()
    metric = ms.metrics.MeanAbsoluteError(model.out, model.y)
    trainer = Trainer(model.loss, SGD(0.05), metrics=[metric])
    data, other = model.data(), {node: x[::-1][:20] for node, x in model.data().items()}
    judged = []

    class Judge(Hook):
        def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
            judged.append(trainer.evaluate(other))

    trainer.hooks.append(Judge())
    history = trainer.fit(data, epochs=3, validation=other, progress=False)
    assert list(history) == [
        "loss", "mean_absolute_error", "validation_loss", "validation_mean_absolute_error",
        "learning_rate", "seconds",
    ]  # fmt: skip
    assert history["validation_loss"] == [numbers["loss"] for numbers in judged]
    assert history["validation_mean_absolute_error"] == [
        numbers["mean_absolute_error"] for numbers in judged
    ]
    guess = trainer.predict(model.out, other)
    np.testing.assert_allclose(
        judged[-1]["mean_absolute_error"], np.abs(guess - other[model.y]).mean()
    )
    assert history["learning_rate"] == [0.05] * 3
    assert min(history["seconds"]) > 0.0


def test_judging_in_the_middle_of_an_epoch_leaves_its_numbers_alone() -> None:
    class Judge(Hook):
        def after_step(self, trainer: Trainer) -> None:
            trainer.evaluate({node: x[:10] for node, x in data.items()})

    histories = []
    for hooks in ([], [Judge()]):
        model = Model()
        data = model.data()
        trainer = Trainer(
            model.loss, SGD(0.05), hooks=hooks, metrics=[ms.metrics.R2(model.out, model.y)]
        )
        trainer.fit(data, epochs=2, batch_size=10, progress=False)
        histories.append([trainer.history["loss"], trainer.history["r2"]])
    assert histories[0] == histories[1]


def test_results_that_are_not_numbers_are_given_and_not_kept(graph: ms.Graph) -> None:
    x, y = ms.Input((None, 2), name="x"), ms.Input((None,), dtype="int64", name="y")
    scores = ms.layers.dense(x, 2)
    matrix = ms.metrics.ConfusionMatrix(scores, y)
    trainer = Trainer(ms.ops.SoftmaxCrossEntropy(scores, y), SGD(0.1), metrics=[matrix])
    data = {x: np.eye(2), y: [0, 1]}
    trainer.fit(data, progress=False)
    assert "confusion_matrix" not in trainer.history
    assert trainer.evaluate(data)["confusion_matrix"].sum() == 2


def test_evaluate_and_predict_are_without_dropout() -> None:
    model = Model(dropout=0.5)
    trainer = Trainer(model.loss, SGD(0.1))
    data = model.data()
    once, again = trainer.predict(model.out, data, batch_size=7), trainer.predict(model.out, data)
    np.testing.assert_allclose(once, again, rtol=1e-12)
    assert once.shape == (SAMPLES, 1)
    wanted = ((once - data[model.y]) ** 2).mean()
    assert trainer.evaluate(data)["loss"] == pytest.approx(wanted, rel=1e-12)
    assert trainer.steps == 0


def test_evaluate_uses_the_averages_of_batch_normalization(graph: ms.Graph) -> None:
    x, y = ms.Input((None, 3), name="x"), ms.Input((None, 1), name="y")
    out = ms.layers.dense(ms.layers.batch_norm(x), 1)
    trainer = Trainer(ms.ops.MeanSquaredError(out, y), SGD(0.01))
    data = {x: np.random.default_rng(0).normal(5.0, 3.0, size=(64, 3)), y: np.zeros((64, 1))}
    trainer.fit(data, epochs=60, batch_size=64, progress=False)
    before = graph.state_dict()
    # A sample is judged the same alone and among others, and judging changes no average.
    alone = np.concatenate([trainer.predict(out, {x: data[x][i : i + 1]}) for i in range(64)])
    np.testing.assert_allclose(alone, trainer.predict(out, data), rtol=1e-5, atol=1e-6)
    after = graph.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert abs(trainer.evaluate(data)["loss"] - trainer.history["loss"][-1]) < 0.1


# ---- learning rate ------------------------------------------------------------------------------


def test_the_learning_rate_is_read_and_set() -> None:
    model = Model()
    trainer = Trainer(model.loss, SGD(0.5))
    trainer.learning_rate = 0.0
    before = model.weights()
    trainer.fit(model.data(), progress=False)
    assert trainer.learning_rate == 0.0
    assert all(np.array_equal(before[name], x) for name, x in model.weights().items())


def test_two_trainers_share_an_optimizer_and_not_its_rate() -> None:
    first, second = Model(), Model()
    optimizer = SGD(0.5)
    one, two = Trainer(first.loss, optimizer), Trainer(second.loss, optimizer)
    one.learning_rate = 0.25
    assert (one.learning_rate, two.learning_rate) == (0.25, 0.5)


@pytest.mark.parametrize(
    "optimizer", [SGD(StepDecay(0.1, every=5)), ParameterGroups([], rest=SGD(0.1))]
)
def test_no_single_learning_rate(optimizer: Any) -> None:
    trainer = Trainer(Model().loss, optimizer)
    with pytest.raises(ArgumentError) as caught:
        trainer.learning_rate = 0.1
    assert str(caught.value) == (
        "Trainer: there is no single learning rate to read or set\n"
        "  hint   give one optimizer a number as learning_rate; a schedule moves by itself"
    )
    trainer.fit(trainer_data(trainer), progress=False)
    assert "learning_rate" not in trainer.history


def trainer_data(trainer: Trainer) -> dict[ms.Node, np.ndarray]:
    return {trainer.graph["x"]: np.ones((4, 4)), trainer.graph["y"]: np.ones((4, 1))}


# ---- refusals -----------------------------------------------------------------------------------


class Classifier:
    def __init__(self) -> None:
        with ms.Graph() as self.graph:
            self.x = ms.Input((None, 2), name="x")
            self.label = ms.Input((None,), dtype="int64", name="label")
            self.scores = ms.layers.dense(self.x, 3, name="fc")
            self.loss = ms.ops.SoftmaxCrossEntropy(self.scores, self.label, name="loss")
        self.trainer = Trainer(self.loss, SGD(0.1))


def refusal(error: type[Exception], act: Callable[[], object]) -> str:
    """The message, with the places of lines left out."""
    with pytest.raises(error) as caught:
        act()
    return re.sub(r"test_trainer\.py:\d+", "test_trainer.py:*", str(caught.value))


@pytest.mark.parametrize("verb", ["fit", "validation", "evaluate"])
def test_data_that_does_not_fit(verb: str) -> None:
    model = Classifier()
    x, label = np.zeros((6, 2)), np.arange(6) % 3

    def act(data: dict[ms.Node, Any]) -> Callable[[], object]:
        if verb == "validation":
            good = {model.x: x, model.label: label}
            return lambda: model.trainer.fit(good, validation=data, progress=False)
        if verb == "fit":
            return lambda: model.trainer.fit(data, progress=False)
        return lambda: model.trainer.evaluate(data)

    assert refusal(FeedError, act({model.x: x})) == (
        "1 of 2 inputs are not fed\n"
        "  missing  Input 'label' (None,) int64   test_trainer.py:*\n"
        "  hint   give an array for each: {node: array, ...}"
    )
    assert refusal(FeedError, act({model.x: x, model.label: np.eye(3, dtype=int)[label]})) == (
        "Input 'label' (test_trainer.py:*): shape (None,) is declared, (6, 3) was fed\n"
        "  hint   one-hot rows where integers belong? feed value.argmax(axis=-1)"
    )
    late = np.where(np.arange(6) == 5, 3, label)
    assert refusal(FeedError, act({model.x: x, model.label: late})) == (
        "Input 'label' (test_trainer.py:*): values 0 to 2 are allowed, 3 was fed\n"
        "  hint   SoftmaxCrossEntropy 'loss' (test_trainer.py:*) has 3 classes or rows: count from "
        "0, or give it more"
    )
    assert refusal(FeedError, act({model.x: x, model.label: label.astype(float)})) == (
        "Input 'label' (test_trainer.py:*): int64 is declared, float64 was fed\n"
        '  hint   convert it: value.astype("int64"), or declare dtype="float64"'
    )
    assert refusal(FeedError, act({model.x: x[:, :1], model.label: label})) == (
        "Input 'x' (test_trainer.py:*): shape (None, 2) is declared, (6, 1) was fed\n"
        "  hint   feed the declared shape, or declare None on an axis whose size differs"
    )
    assert refusal(FeedError, act({model.x: x[:5], model.label: label})) == (
        "Batches: each array needs the same number of samples, at least one\n"
        "  x  (5, 2) float64\n"
        "  label  (6,) int64\n"
        "  hint   the first axis counts the samples; make it equal in all of them"
    )
    assert refusal(FeedError, act({model.x: 3.0, model.label: label})) == (
        "Input 'x' (test_trainer.py:*): shape (None, 2) is declared, () was fed\n"
        "  hint   feed the declared shape, or declare None on an axis whose size differs"
    )
    assert refusal(FeedError, act({model.x: x, model.label: label, model.scores: x})) == (
        "only inputs of this graph can be fed, not Add 'fc/add' (None, 3) float32\n"
        "  hint   its inputs are: x, label"
    )
    assert model.trainer.steps == 0


def test_unknown_options_are_refused() -> None:
    model = Classifier()
    data = {model.x: np.zeros((6, 2)), model.label: np.zeros(6, int)}
    with pytest.raises(TypeError, match="unexpected keyword argument 'batch'"):
        model.trainer.fit(data, batch=16)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'optimiser'"):
        Trainer(model.loss, optimiser=SGD(0.1))  # type: ignore[call-arg]


def test_accumulate_below_one() -> None:
    assert refusal(ArgumentError, lambda: Trainer(Model().loss, SGD(0.1), accumulate=0)) == (
        "Trainer: accumulate=0\n  hint   give 1 or more"
    )


def test_metrics_of_one_name() -> None:
    model = Classifier()
    metric = ms.metrics.Accuracy(model.scores, model.label)
    other = ms.metrics.Mean(model.scores, name="loss")
    assert refusal(
        ArgumentError, lambda: Trainer(model.loss, SGD(0.1), metrics=[metric, metric])
    ) == (
        "Trainer: two numbers are called 'accuracy'\n"
        '  hint   give a name: Accuracy(..., name="...")'
    )
    assert refusal(ArgumentError, lambda: Trainer(model.loss, SGD(0.1), metrics=[other])) == (
        "Trainer: two numbers are called 'loss'\n  hint   give a name: Mean(..., name=\"...\")"
    )


def test_a_metric_of_another_graph() -> None:
    model, other = Classifier(), Classifier()
    metric = ms.metrics.Accuracy(other.scores, model.label)
    assert refusal(GraphError, lambda: Trainer(model.loss, SGD(0.1), metrics=[metric])) == (
        "Trainer: metric 'accuracy' reads Add 'fc/add' (None, 3) float32 of another graph\n"
        "  hint   build the metric from nodes of the loss's graph"
    )


def test_an_input_without_a_batch_axis(graph: ms.Graph) -> None:
    x = ms.Input((8, 2), name="x")
    loss = ms.ops.ReduceMean(ms.layers.dense(x, 1))
    assert refusal(ShapeError, lambda: Trainer(loss, SGD(0.1))) == (
        "Trainer: the first axis of Input 'x' (8, 2) float32 is not the batch\n"
        "  hint   declare the input with shape (None, ...)"
    )


def test_predicting_what_has_no_batch_axis() -> None:
    model = Classifier()
    data = {model.x: np.zeros((6, 2)), model.label: np.zeros(6, int)}
    assert refusal(ShapeError, lambda: model.trainer.predict(model.loss, data)) == (
        "predict: the first axis of SoftmaxCrossEntropy 'loss' () float32 is not the batch\n"
        "  hint   for other nodes make a function: ms.function"
    )


WEIGHTED: dict[str, tuple[Callable[..., ms.Node], bool]] = {
    "a weight": (lambda s, y, w: ms.ops.SoftmaxCrossEntropy(s, y, w), True),
    "class weights": (
        lambda s, y, w: ms.ops.SoftmaxCrossEntropy(s, y, class_weight=[1.0, 2.0, 5.0]),
        True,
    ),
    "an index to ignore": (lambda s, y, w: ms.ops.SoftmaxCrossEntropy(s, y, ignore_index=1), True),
    "class and sample weights, an index to ignore": (
        lambda s, y, w: ms.ops.SoftmaxCrossEntropy(
            s, y, w, class_weight=[1.0, 2.0, 5.0], ignore_index=1
        ),
        True,
    ),
    "log-probabilities": (
        lambda s, y, w: ms.ops.NegativeLogLikelihood(ms.ops.LogSoftmax(s, axis=1), y, w),
        True,
    ),
    "squares": (lambda s, y, w: ms.ops.MeanSquaredError(s, s * 0.0, weight=w), True),
    "squares and a penalty": (
        lambda s, y, w: ms.ops.MeanSquaredError(s, s * 0.0, weight=w) / 2.0 + 1.0,
        True,
    ),
    "no weights": (lambda s, y, w: ms.ops.SoftmaxCrossEntropy(s, y), False),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_mean_loss_of_an_epoch_is_that_of_all_samples_at_once(name: str) -> None:
    build, weighted = WEIGHTED[name]
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=(23, 3)), rng.integers(3, size=23), rng.uniform(0, 9, 23)
    with ms.Graph(seed=0) as graph:
        scores = ms.Input((None, 3), dtype="float64", name="scores")
        label = ms.Input((None,), dtype="int64", name="label")
        weight = ms.Input((None,), dtype="float64", name="weight")
        scale = ms.Variable(1.0, dtype="float64", name="scale")
        loss = build(scores * scale, label, weight)
    model = [node.name for node in graph.nodes if not node.derived]
    trainer = Trainer(loss, SGD(0.0), metrics=[ms.metrics.Accuracy(scores, label)])
    assert [node.name for node in graph.nodes if not node.derived] == model
    feeds = {scores: x, label: y, weight: w}
    whole = graph.forward(loss, {node: feeds[node] for node in trainer.inputs})
    history = trainer.fit(feeds, batch_size=4, progress=False)
    assert history["loss"] == [pytest.approx(float(whole), rel=1e-9)]
    judged = trainer.evaluate(feeds, batch_size=5)
    assert judged["loss"] == pytest.approx(float(whole), rel=1e-9)
    assert judged["accuracy"] == np.mean(x.argmax(axis=1) == y)
    parts = [slice(start, start + 4) for start in range(0, 23, 4)]
    losses = [
        graph.forward(loss, {node: feeds[node][part] for node in trainer.inputs}) for part in parts
    ]
    by_size = np.average(losses, weights=[len(y[part]) for part in parts])
    assert (by_size != pytest.approx(float(whole), rel=1e-3)) == weighted


def test_a_weighted_mean_goes_on_from_the_middle_of_an_epoch(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=23), rng.uniform(0, 9, 23)

    def build() -> tuple[Trainer, dict[ms.Node, Any]]:
        with ms.Graph(seed=0):
            each = ms.Input((None,), dtype="float64", name="x")
            weight = ms.Input((None,), dtype="float64", name="weight")
            scale = ms.Variable(1.0, dtype="float64", name="scale")
            loss = ms.ops.MeanSquaredError(each * scale, each * 0.0, weight=weight)
        return Trainer(loss, SGD(0.1)), {each: x, weight: w}

    trainer, feeds = build()
    whole = trainer.fit(feeds, batch_size=4, progress=False)["loss"]
    interrupted, feeds = build()

    class Cut(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.steps == 3:
                trainer.save(tmp_path / "run.npz")

    interrupted.hooks.append(Cut())
    interrupted.fit(feeds, batch_size=4, progress=False)
    again, feeds = build()
    again.hooks.append(Cut())
    again.resume(tmp_path / "run.npz")
    assert again.fit(feeds, batch_size=4, progress=False)["loss"] == whole


def test_two_weighted_means_weigh_by_the_number_of_samples() -> None:
    with ms.Graph():
        x, w = ms.Input((None,), name="x"), ms.Input((None,), name="w")
        scale = ms.Variable(1.0)
        one, two = (ms.ops.MeanSquaredError(x * scale, x * k, weight=w) for k in (2.0, 3.0))
    trainer = Trainer(one + two, SGD(0.0))
    assert trainer.tally.nodes == (trainer.loss,)


def test_a_loss_of_many_elements() -> None:
    model = Classifier()
    with pytest.raises(GraphError, match="'fc/add'"):
        Trainer(model.scores, SGD(0.1))
