"""Hooks: their order, their end, and what each of them does; the history."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow.errors import ArgumentError, MissingExtra
from matrixslow.optimizers import SGD, StepDecay
from matrixslow.trainer import (
    Checkpoint,
    EarlyStopping,
    History,
    Hook,
    NaNGuard,
    Progress,
    ReduceOnPlateau,
    TensorBoard,
    Trainer,
)


class Script(Hook):
    """Sets the weight before each epoch; the loss is the weight."""

    order = 5

    def __init__(self, losses: Sequence[float]) -> None:
        self.losses = losses

    def before_epoch(self, trainer: Trainer) -> None:
        trainer.graph["w"].value = np.float32(self.losses[trainer.epoch])  # type: ignore[misc]


class Scripted:
    """A trainer whose epochs end with given losses."""

    def __init__(self, losses: Sequence[float], *hooks: Hook, **options: Any) -> None:
        with ms.Graph() as graph:
            self.x = ms.Input((None,), name="x")
            w = ms.Variable(0.0, name="w")
            loss = w * ms.ops.ReduceMean(self.x, keepdims=False)
        hooks = (Script(losses), *hooks)
        self.weight = w
        self.trainer = Trainer(loss, SGD(0.0), hooks=hooks, **options)
        self.graph = graph

    def fit(self, epochs: int, *, steps: int = 1, progress: bool = False) -> History:
        data = {self.x: np.ones(steps)}
        return self.trainer.fit(data, epochs=epochs, batch_size=1, progress=progress)


def fitted(losses: Sequence[float], *hooks: Hook) -> Trainer:
    scripted = Scripted(losses, *hooks)
    scripted.fit(len(losses))
    return scripted.trainer


# ---- order and end ------------------------------------------------------------------------------


class Loud(Hook):
    """Notes every call, and fails at one."""

    def __init__(self, name: str, calls: list[str], *, order: int = 50, fails_in: str = "") -> None:
        self.name, self.calls, self.fails_in = name, calls, fails_in
        self.order = order  # type: ignore[misc]

    def note(self, method: str) -> None:
        self.calls.append(f"{self.name} {method}")
        if method == self.fails_in:
            raise RuntimeError(f"{self.name} fails in {method}")

    def begin(self, trainer: Trainer) -> None:
        self.note("begin")

    def before_epoch(self, trainer: Trainer) -> None:
        self.note("before_epoch")

    def after_step(self, trainer: Trainer) -> None:
        self.note("after_step")

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        self.note("after_epoch")

    def failed(self, trainer: Trainer, error: BaseException) -> None:
        self.note(f"failed: {error}")

    def end(self, trainer: Trainer) -> None:
        self.note("end")


def test_hooks_run_in_order_and_end_in_reverse() -> None:
    calls: list[str] = []
    hooks = [Loud("late", calls, order=60), Loud("a", calls), Loud("b", calls)]
    Scripted([1.0, 1.0], *hooks).fit(2, steps=2)
    epoch = ["before_epoch", "after_step", "after_step", "after_epoch"]
    wanted = ["begin", *epoch, *epoch]
    names = ("a", "b", "late")
    assert calls == [
        *(f"{name} {method}" for method in wanted for name in names),
        "late end", "b end", "a end",
    ]  # fmt: skip


def test_an_error_in_begin_ends_those_that_have_begun() -> None:
    calls: list[str] = []
    hooks = [Loud("a", calls), Loud("b", calls, fails_in="begin"), Loud("c", calls)]
    with pytest.raises(RuntimeError, match="b fails in begin"):
        Scripted([1.0], *hooks).fit(1)
    assert calls == [
        "a begin", "b begin",
        "b failed: b fails in begin", "b end",
        "a failed: b fails in begin", "a end",
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["before_epoch", "after_step", "after_epoch"])
def test_an_error_on_the_way_ends_all(method: str) -> None:
    calls: list[str] = []
    hooks = [Loud("a", calls), Loud("b", calls, fails_in=method), Loud("c", calls)]
    with pytest.raises(RuntimeError, match=f"b fails in {method}"):
        Scripted([1.0], *hooks).fit(1)
    assert calls[-8:] == [
        f"a {method}", f"b {method}",
        *(f"{name} {end}" for name in "cba" for end in (f"failed: b fails in {method}", "end")),
    ]  # fmt: skip


def test_an_error_in_end_does_not_keep_others_from_theirs() -> None:
    calls: list[str] = []
    hooks = [Loud("a", calls), Loud("b", calls, fails_in="end"), Loud("c", calls)]
    with pytest.raises(RuntimeError, match="b fails in end"):
        Scripted([1.0], *hooks).fit(1)
    assert calls[-4:] == ["c end", "b end", "a failed: b fails in end", "a end"]


def test_an_error_of_the_model_ends_all() -> None:
    calls: list[str] = []
    scripted = Scripted([1.0, math.nan], Loud("a", calls))
    with pytest.raises(ms.errors.NonFiniteError):
        scripted.fit(2)
    assert calls[-1] == "a end"
    assert calls[-2].startswith("a failed: Variable 'w': 1 of 1 values are not finite")


def test_the_guard_looks_first_and_progress_comes_last() -> None:
    hooks = [Progress(), Checkpoint("."), EarlyStopping(), ReduceOnPlateau(), Hook(), NaNGuard()]
    hooks.append(TensorBoard("."))
    names = [type(hook).__name__ for hook in sorted(hooks, key=lambda hook: hook.order)]
    assert names == [
        "NaNGuard", "Hook", "ReduceOnPlateau", "EarlyStopping", "Checkpoint", "TensorBoard",
        "Progress",
    ]  # fmt: skip


# ---- early stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "options", "epochs", "best"),
    [
        ([5, 4, 3, 2, 1], {}, 5, 1),
        ([5, 4, 4, 4, 1], {}, 4, 4),
        ([5, 4, 6, 3, 7, 7, 1], {}, 6, 3),
        ([5, 4, 6, 3, 7, 7, 1], {"patience": 1}, 3, 4),
        ([5, 4.5, 4, 3.5], {"least": 0.75}, 4, 4),
        ([5, 4.5, 4.4, 3], {"least": 0.75}, 3, 5),
        ([1, 2, 3, 3, 3, 9], {"mode": "max"}, 5, 3),
        ([5, math.inf, 4, -math.inf, 3], {}, 5, -math.inf),
    ],
)
def test_early_stopping(
    losses: list[float], options: dict[str, Any], epochs: int, best: float
) -> None:
    stopping = EarlyStopping("loss", **{"patience": 2, **options})
    scripted = Scripted(losses, stopping, guard=False)
    assert scripted.fit(len(losses)).epochs == epochs
    assert scripted.weight.value == best


def test_early_stopping_waits_while_a_number_is_nan() -> None:
    scripted = Scripted([5, math.nan, math.nan, 4], EarlyStopping("loss", patience=2), guard=False)
    assert scripted.fit(4).epochs == 3
    assert scripted.weight.value == 5


def test_early_stopping_may_leave_the_last_epoch() -> None:
    stopping = EarlyStopping("loss", patience=2, restore_best=False)
    assert fitted([1, 2, 3, 4], stopping).graph["w"].value == 3


def test_early_stopping_restores_the_state_of_the_optimizer_too(graph: ms.Graph) -> None:
    x = ms.Input((None,), name="x")
    w = ms.Variable(1.0, name="w")
    stopping = EarlyStopping("loss", patience=1)
    # Steps of a rate this large make every epoch worse than the first.
    loss = ms.ops.ReduceMean(x, keepdims=False) * w * w
    trainer = Trainer(loss, ms.optimizers.Momentum(3.0), hooks=[stopping])
    trainer.fit({x: np.ones(4)}, epochs=5, batch_size=4, progress=False)
    assert trainer.epoch == 2
    # One step was made from 1, by the slope 2.
    assert (w.value, graph["momentum/w/velocity"].value, graph["momentum/steps"].value) == (
        -5,
        2,
        1,
    )


def test_every_call_of_fit_looks_for_a_best_of_its_own() -> None:
    scripted = Scripted([1, 2, 3, 9, 8, 7], EarlyStopping("loss", patience=2))
    scripted.fit(3)
    assert scripted.weight.value == 1
    assert scripted.fit(3).epochs == 6
    assert scripted.weight.value == 7


@pytest.mark.parametrize("hook", [EarlyStopping(), ReduceOnPlateau(), Checkpoint(".", monitor="f")])
def test_a_number_that_is_not_measured(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError) as caught:
        fitted([1.0], hook)
    name = "f" if isinstance(hook, Checkpoint) else "validation_loss"
    assert str(caught.value) == (
        f"{type(hook).__name__}: '{name}' is not measured\n"
        "  measured  loss, learning_rate, seconds\n"
        "  hint   monitor one of these, or give fit(validation=...)"
    )


@pytest.mark.parametrize(
    ("name", "better"),
    [("loss", "min"), ("validation_mean_squared_error", "min"), ("accuracy", "max"), ("r2", "max")],
)
def test_the_direction_follows_from_the_name(name: str, better: str) -> None:
    monitor = ms.trainer.Monitor(name)
    assert monitor.improved(Hook(), {name: 0.5})
    assert monitor.improved(Hook(), {name: 0.4}) == (better == "min")
    assert monitor.improved(Hook(), {name: 0.6}) == (better == "max")


# ---- the learning rate --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateaus_are_those_of_torch(mode: Any, rng: np.random.Generator) -> None:
    losses = rng.integers(0, 40, 60) + np.linspace(40, 0, 60)

    class Rates(Hook):
        order = 56

        def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
            seen.append(trainer.learning_rate)

    seen: list[float] = []
    plateau = ReduceOnPlateau("loss", mode=mode, factor=0.5, patience=3, least=0.5, minimum=0.01)
    scripted = Scripted(losses.tolist(), plateau, Rates())
    scripted.trainer.learning_rate = 1.0
    scripted.fit(60)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=mode, factor=0.5, patience=3, threshold=0.5, threshold_mode="abs",
        min_lr=0.01,
    )  # fmt: skip
    wanted = []
    for loss in losses.astype(np.float32):
        peer.step(float(loss))
        wanted.append(optimizer.param_groups[0]["lr"])
    assert seen == wanted
    assert len(set(wanted)) > 4


@pytest.mark.parametrize("factor", [0.0, 1.0, -0.5, math.nan])
def test_a_factor_that_does_not_reduce(factor: float) -> None:
    with pytest.raises(ArgumentError) as caught:
        ReduceOnPlateau(factor=factor)
    assert str(caught.value) == f"ReduceOnPlateau: factor={factor}\n  hint   give 0 < factor < 1"


def test_a_schedule_has_no_plateaus(graph: ms.Graph) -> None:
    x = ms.Input((None,), name="x")
    loss = ms.Variable(1.0) * ms.ops.ReduceMean(x, keepdims=False)
    trainer = Trainer(loss, SGD(StepDecay(0.1, every=5)), hooks=[ReduceOnPlateau("loss")])
    with pytest.raises(ArgumentError, match="Trainer: there is no single learning rate"):
        trainer.fit({x: [1.0]}, progress=False)
    assert trainer.steps == 0


# ---- TensorBoard --------------------------------------------------------------------------------


def events(folder: Path) -> list[tuple[str, int, float]]:
    """What an event file holds: records of a length, a checksum, data and a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(x.tag, event.step, x.simple_value) for x in event.summary.value]
        data = data[16 + length :]
    return found


def test_tensorboard_reads_every_number(tmp_path: Path) -> None:
    trainer = fitted([3.0, 2.0], TensorBoard(tmp_path))
    history = trainer.history
    assert events(tmp_path) == [
        (name, epoch + 1, pytest.approx(history[name][epoch], rel=1e-6))
        for epoch in range(2)
        for name in ("loss", "learning_rate", "seconds")
    ]


def test_tensorboard_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra) as caught:
        fitted([3.0], TensorBoard(tmp_path))
    assert str(caught.value) == (
        "TensorBoard needs tensorboardX, which is not installed\n"
        "  hint   pip install 'matrixslow[tensorboard]'"
    )


# ---- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """A clock that goes a quarter of a second at each look."""
    ticks = iter(range(10_000))

    def monotonic() -> float:
        return next(ticks) / 4

    monkeypatch.setattr("time.monotonic", monotonic)
    return monotonic


@pytest.mark.usefixtures("clock")
def test_progress_where_nobody_looks() -> None:
    out = io.StringIO()
    fitted([3.0, 2.125], Progress(out))
    assert out.getvalue() == (
        "epoch 1/2  loss 3.0000  learning rate 0  0.8 s\n"
        "epoch 2/2  loss 2.1250  learning rate 0  0.8 s\n"
    )


@pytest.mark.usefixtures("clock")
def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    out = Terminal()
    Scripted([3.0] * 10, Progress(out)).fit(10, steps=4)
    lines = out.getvalue().split("\n")
    assert len(lines) == 11
    wanted = [
        "epoch  1/10  [=====               ] 1/4  loss 3.0000  1 s left",
        "epoch  1/10  [==========          ] 2/4  loss 3.0000  0 s left",
        "epoch  1/10  [===============     ] 3/4  loss 3.0000  0 s left",
        "epoch  1/10  [====================] 4/4  loss 3.0000  0 s left",
        "epoch  1/10  loss 3.0000  learning rate 0  1.5 s",
    ]
    assert lines[0] == "".join("\r" + line.ljust(69) for line in wanted)


@pytest.mark.usefixtures("clock")
def test_a_resumed_epoch_is_timed_from_where_it_goes_on(tmp_path: Path) -> None:
    failing = Loud("a", [], fails_in="after_step")
    first = Scripted([3.0], failing)
    with pytest.raises(RuntimeError, match="a fails"):
        first.fit(1, steps=8)
    first.trainer.save(tmp_path / "first.npz")
    out = Terminal()
    second = Scripted([3.0], Loud("a", []))
    second.trainer.resume(tmp_path / "first.npz")
    second.trainer.hooks.append(Progress(out))
    second.fit(1, steps=8)
    # A quarter of a second was needed for the second of eight.
    assert " 2/8  loss 3.0000  2 s left" in out.getvalue().split("\r")[1]


@pytest.mark.usefixtures("clock")
def test_a_narrow_terminal_gets_one_line_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    Scripted([3.0], Progress(out)).fit(1, steps=2)
    assert out.getvalue() == (
        "\repoch 1/1  [=======\repoch 1/1  [======="
        "\repoch 1/1  loss 3.0000  learning rate 0  1.0 s\n"
    )


def test_the_live_line_is_drawn_ten_times_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(100_000))
    monkeypatch.setattr("time.monotonic", lambda: 10 + next(ticks) / 1000)
    out = Terminal()
    Scripted([3.0], Progress(out)).fit(1, steps=250)
    drawn = out.getvalue().split("\r")[1:-1]
    assert [int(line.split("/250")[0].split("] ")[1]) for line in drawn] == [1, 102, 203]


@pytest.mark.usefixtures("clock")
def test_an_error_leaves_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    out = Terminal()
    failing = Loud("a", [], order=95, fails_in="after_step")
    with pytest.raises(RuntimeError, match="a fails"):
        Scripted([3.0], Progress(out), failing).fit(1, steps=2)
    line = "epoch 1/1  [==========          ] 1/2  loss 3.0000  0 s left"
    assert out.getvalue() == "\r" + line.ljust(69) + "\n"


def test_progress_goes_to_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    scripted = Scripted([3.0, 2.0, 1.0])
    scripted.fit(2, progress=True)
    assert capsys.readouterr().out.startswith("epoch 1/2  loss 3.0000  learning rate 0  0.0 s\n")
    scripted.fit(1, progress=False)
    assert capsys.readouterr().out == ""


# ---- history ------------------------------------------------------------------------------------


@pytest.fixture
def history() -> History:
    history = History()
    history.append({"loss": 0.5})
    history.append({"loss": 0.1 + 0.2, "accuracy": 0.9})
    history.append({"loss": math.inf, "accuracy": 1})
    return history


def test_history_is_a_mapping(history: History) -> None:
    assert list(history) == ["loss", "accuracy"]
    assert history["loss"] == [0.5, 0.1 + 0.2, math.inf]
    assert history["accuracy"][1:] == [0.9, 1.0]
    assert math.isnan(history["accuracy"][0])
    assert (len(history), history.epochs) == (2, 3)
    assert repr(history) == "History of 3 epochs: loss inf, accuracy 1"
    assert repr(History()) == "History of 0 epochs"
    copy = history.to_dict()
    copy["loss"].append(0.0)
    assert history.epochs == len(history["loss"]) == 3
    assert History(copy)["loss"] == copy["loss"]


def test_history_as_csv(history: History, tmp_path: Path) -> None:
    history.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["epoch", "loss", "accuracy"],
            ["1", "0.5", "nan"],
            ["2", "0.30000000000000004", "0.9"],
            ["3", "inf", "1.0"],
        ]
    assert ms.io.read_csv(tmp_path / "history.csv")["loss"].tolist() == history["loss"]


def test_history_as_json(history: History, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    history.to_json(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text(), parse_constant=refuse) == {
        "loss": [0.5, 0.30000000000000004, None],
        "accuracy": [None, 0.9, 1.0],
    }


def test_history_as_a_picture(history: History, tmp_path: Path) -> None:
    path = tmp_path / "history.svg"
    history.plot(path)
    assert "loss" in path.read_text()
    assert "accuracy" not in path.read_text()
    history.plot(path, "accuracy", "loss")
    assert "accuracy" in path.read_text()
    with pytest.raises(KeyError, match="speed"):
        history.plot(path, "speed")
    assert os.listdir(tmp_path) == ["history.svg"]
