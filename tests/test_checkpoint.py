"""Checkpoints: a run that was interrupted anywhere goes on bit for bit as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError, FormatError, GraphError
from matrixslow.optimizers import SGD, Adam, CosineDecay, Optimizer
from matrixslow.trainer import Checkpoint, EarlyStopping, Hook, ReduceOnPlateau, Trainer

EPOCHS = 3


class Interrupt(Hook):
    """Ends the run after a step and its checkpoint: by an error, or the process at once."""

    order = 99

    def __init__(self, step: int, *, kill: bool) -> None:
        self.step = step
        self.kill = kill

    def after_step(self, trainer: Trainer) -> None:
        if trainer.steps == self.step:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt


class Job:
    """A classifier with dropout and batch normalization, trained with shuffling and hooks."""

    def __init__(
        self,
        folder: Path,
        *,
        stop_at: int = 0,
        kill: bool = False,
        hooks: Sequence[Hook] | None = None,
        optimizer: Optimizer | None = None,
        accumulate: int = 1,
        seed: int = 11,
        width: int = 6,
    ) -> None:
        rng = np.random.default_rng(1)
        x = rng.normal(size=(50, 4)).astype(np.float32)
        with ms.Graph(seed=seed) as self.graph:
            image = ms.Input((None, 4), name="x")
            label = ms.Input((None,), dtype="int64", name="label")
            h = ms.layers.batch_norm(ms.layers.dense(image, width, name="fc1"), name="norm")
            h = ms.layers.dropout(ms.ops.Relu(h), 0.3)
            scores = ms.layers.dense(h, 2, name="fc2")
            loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
        if hooks is None:
            hooks = [
                Checkpoint(folder, monitor="validation_loss", every_steps=1),
                EarlyStopping("validation_loss", patience=2),
                ReduceOnPlateau("validation_loss", patience=0, factor=0.7),
            ]
        self.trainer = Trainer(
            loss,
            optimizer or Adam(0.02),
            metrics=[ms.metrics.Accuracy(scores, label), ms.metrics.AUC(scores[:, 1], label)],
            hooks=[*hooks, Interrupt(stop_at, kill=kill)],
            accumulate=accumulate,
        )
        self.data = {image: x, label: (x[:, 0] * x[:, 1] > 0).astype(int)}
        self.validation = {image: x[::-2], label: (x[::-2, 1] > 0).astype(int)}

    def fit(self, epochs: int = EPOCHS, **options: Any) -> None:
        options = {"batch_size": 8, "progress": False, **options}
        self.trainer.fit(self.data, epochs=epochs, validation=self.validation, **options)

    def fit_until_interrupted(self, epochs: int = EPOCHS) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.fit(epochs)

    def resume(self, path: Path) -> Job:
        self.trainer.resume(path)
        return self

    def assert_same(self, other: Job) -> None:
        mine, its = self.graph.state_dict(), other.graph.state_dict()
        assert mine.keys() == its.keys()
        for name, x in mine.items():
            np.testing.assert_array_equal(x, its[name], err_msg=name)
        assert numbers(self.trainer) == numbers(other.trainer)
        assert self.trainer.steps == other.trainer.steps


def numbers(trainer: Trainer) -> dict[str, list[float]]:
    return {name: x for name, x in trainer.history.items() if name != "seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The run that nothing interrupts: seven batches in an epoch, the last of them small."""
    job = Job(tmp_path_factory.mktemp("whole"))
    job.fit()
    assert job.trainer.steps == 21
    assert len(set(job.trainer.history["learning_rate"])) > 1  # a plateau has come
    return job


# ---- killed and resumed -------------------------------------------------------------------------


def start(folder: Path, step: int) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "tests.test_checkpoint", str(folder), str(step)]
    return subprocess.Popen(program, cwd=Path(__file__).parents[1])


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_killed_in_mid_epoch(whole: Job, tmp_path: Path) -> None:
    assert start(tmp_path, 11).wait(timeout=60) == -signal.SIGKILL
    job = Job(tmp_path).resume(tmp_path / "last.npz")
    assert (job.trainer.epoch, job.trainer.batch, job.trainer.steps) == (1, 4, 11)
    job.fit()
    job.assert_same(whole)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_killed_at_any_moment(whole: Job, tmp_path: Path) -> None:
    process = start(tmp_path, 0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "last.npz").exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.wait(timeout=60)
    job = Job(tmp_path).resume(tmp_path / "last.npz")
    assert job.trainer.steps >= 1
    job.fit()
    job.assert_same(whole)


# ---- interrupted and resumed --------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 6, 7, 8, 13, 14, 20, 21])
def test_interrupted_after_any_step(whole: Job, tmp_path: Path, step: int) -> None:
    Job(tmp_path, stop_at=step).fit_until_interrupted()
    job = Job(tmp_path).resume(tmp_path / "last.npz")
    assert job.trainer.steps == step
    job.fit()
    job.assert_same(whole)


@pytest.mark.parametrize("step", [2, 3, 6, 7, 9])
def test_interrupted_while_batches_are_accumulated(tmp_path: Path, step: int) -> None:
    def job(stop_at: int = 0) -> Job:
        adam = Adam(CosineDecay(0.05, total=9))
        hooks = [Checkpoint(tmp_path, every_steps=1)]
        return Job(tmp_path, stop_at=stop_at, hooks=hooks, optimizer=adam, accumulate=3)

    uninterrupted = job()
    uninterrupted.fit()
    job(step).fit_until_interrupted()
    resumed = job().resume(tmp_path / "last.npz")
    resumed.fit()
    resumed.assert_same(uninterrupted)


def test_a_run_that_had_ended_goes_on(whole: Job, tmp_path: Path) -> None:
    ended = Job(tmp_path)
    ended.fit(2)
    file = (tmp_path / "last.npz").rename(tmp_path / "ended.npz")
    resumed = Job(tmp_path).resume(file)
    resumed.fit(2)
    assert resumed.trainer.steps == 14
    resumed.assert_same(ended)
    resumed = Job(tmp_path).resume(file)
    resumed.fit(EPOCHS)
    resumed.assert_same(whole)


def test_a_second_call_of_fit_is_resumed(tmp_path: Path) -> None:
    uninterrupted, interrupted = Job(tmp_path), Job(tmp_path, stop_at=10)
    for job in (uninterrupted, interrupted):
        job.fit(1)
    uninterrupted.fit(2)
    interrupted.fit_until_interrupted(2)
    resumed = Job(tmp_path).resume(tmp_path / "last.npz")
    resumed.fit(2)
    assert resumed.trainer.epoch == 3
    resumed.assert_same(uninterrupted)


def test_early_stopping_that_was_due_stops_the_resumed_run(tmp_path: Path) -> None:
    def job() -> Job:
        hooks = [Checkpoint(tmp_path), EarlyStopping("learning_rate", patience=2)]
        return Job(tmp_path, hooks=hooks)

    uninterrupted = job()
    uninterrupted.fit(20)
    assert uninterrupted.trainer.epoch == 3
    resumed = job().resume(tmp_path / "last.npz")
    resumed.fit(20)
    resumed.assert_same(uninterrupted)


def test_a_checkpoint_before_any_training(whole: Job, tmp_path: Path) -> None:
    Job(tmp_path).trainer.save(tmp_path / "start.npz")
    job = Job(tmp_path)
    job.graph["fc1/W"].value = np.zeros((4, 6), np.float32)  # type: ignore[misc]
    job.resume(tmp_path / "start.npz").fit()
    job.assert_same(whole)


# ---- the files ----------------------------------------------------------------------------------


def test_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    states: list[dict[str, np.ndarray]] = []

    class Keep(Hook):
        def after_epoch(self, trainer: Trainer, numbers: Any) -> None:
            states.append(trainer.graph.state_dict())

    folder = tmp_path / "new" / "folder"
    hooks = [Checkpoint(folder, monitor="validation_loss"), Keep()]
    job = Job(tmp_path, hooks=hooks)
    job.fit(8)
    losses = job.trainer.history["validation_loss"]
    best = int(np.argmin(losses))
    assert best < 7
    for name, epoch in (("best", best), ("last", 7)):
        other = Job(tmp_path, hooks=hooks).resume(folder / f"{name}.npz")
        assert other.trainer.epoch == epoch + 1
        for variable, x in other.graph.state_dict().items():
            np.testing.assert_array_equal(x, states[epoch][variable])
    assert sorted(os.listdir(folder)) == ["best.npz", "last.npz"]


def test_a_resumed_run_knows_its_best_epoch(tmp_path: Path) -> None:
    def job(stop_at: int = 0) -> Job:
        # The learning rate stays, so that only the first epoch is better than those before.
        hook = Checkpoint(tmp_path, monitor="learning_rate", every_steps=1)
        return Job(tmp_path, stop_at=stop_at, hooks=[hook])

    job(10).fit_until_interrupted()
    job().resume(tmp_path / "last.npz").fit()
    assert job().resume(tmp_path / "last.npz").trainer.epoch == EPOCHS
    assert job().resume(tmp_path / "best.npz").trainer.epoch == 1


def test_checkpoints_are_written_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(Trainer, "save", lambda self, _: seen.append((self.steps, self.batch)))
    Job(tmp_path, hooks=[Checkpoint(tmp_path, every_steps=5)]).fit(2)
    assert seen == [(5, 5), (7, 0), (10, 3), (14, 0)]


def test_a_folder_that_cannot_be_made_is_known_before_training(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    job = Job(tmp_path / "taken")
    with pytest.raises(FileExistsError, match="taken"):
        job.fit()
    assert job.trainer.steps == 0


def test_every_steps_below_one() -> None:
    with pytest.raises(ArgumentError) as caught:
        Checkpoint("folder", every_steps=0)
    assert str(caught.value) == "Checkpoint: every_steps=0\n  hint   give 1 or more"


# ---- refusals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("file")
    Job(folder, stop_at=3).fit_until_interrupted()
    return folder / "last.npz"


def refusal(error: type[Exception], act: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def test_another_trainer(file: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, seed=12, accumulate=2, hooks=[Checkpoint(tmp_path)])
    job.trainer.tally.metrics = job.trainer.tally.metrics[:1]
    before = job.graph.state_dict()
    assert refusal(ArgumentError, lambda: job.resume(file)) == (
        "resume: not the run that was interrupted\n"
        "  seed  11 in the checkpoint, 12 here\n"
        "  accumulate  1 in the checkpoint, 2 here\n"
        "  metrics  ['accuracy', 'auc'] in the checkpoint, ['accuracy'] here\n"
        "  hooks  ['Checkpoint', 'EarlyStopping', 'ReduceOnPlateau', 'Interrupt'] in the "
        "checkpoint, ['Checkpoint', 'Interrupt'] here\n"
        "  hint   build the trainer as it was built"
    )
    assert all(np.array_equal(before[name], x) for name, x in job.graph.state_dict().items())


def test_another_model(file: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, optimizer=SGD(0.1), width=7)
    message = refusal(GraphError, lambda: job.resume(file))
    first, *rows = message.split("\n")
    assert first.startswith("load_state_dict: ")
    assert any(row.startswith("  mismatched  fc1/W: (4, 7) float32 here") for row in rows)
    assert "  missing     sgd/steps" in rows
    assert "  unexpected  adam/fc1/W/mean" in rows
    assert not job.trainer.resumed


def test_other_data(file: Path, tmp_path: Path) -> None:
    job = Job(tmp_path).resume(file)
    assert refusal(ArgumentError, lambda: job.fit(batch_size=10, shuffle=False)) == (
        "fit: not the run that was interrupted\n"
        "  batch_size  8 in the checkpoint, 10 here\n"
        "  shuffle  True in the checkpoint, False here\n"
        "  hint   go on with the data and options of that run"
    )
    job.data = {node: x[:40] for node, x in job.data.items()}
    assert refusal(ArgumentError, job.fit) == (
        "fit: not the run that was interrupted\n"
        "  samples  50 in the checkpoint, 40 here\n"
        "  hint   go on with the data and options of that run"
    )
    assert job.trainer.steps == 3


def test_once_it_has_gone_on_a_run_is_free(file: Path, tmp_path: Path) -> None:
    job = Job(tmp_path).resume(file)
    job.fit(2)
    assert not job.trainer.resumed
    job.fit(1, batch_size=25, shuffle=False)
    assert (job.trainer.epoch, job.trainer.steps) == (3, 16)


def test_a_model_is_no_checkpoint_and_the_reverse(file: Path, tmp_path: Path) -> None:
    job = Job(tmp_path)
    model = ms.io.save(job.graph, tmp_path / "model")
    assert refusal(FormatError, lambda: job.resume(model)) == (
        f"{model}: a matrixslow checkpoint of version 1 is needed, it is a matrixslow model of "
        "version 1\n"
        "  hint   ms.io.load reads models, Trainer.resume reads checkpoints"
    )
    assert refusal(FormatError, lambda: ms.io.load(file)) == (
        f"{file}: a matrixslow model of version 1 is needed, it is a matrixslow checkpoint of "
        "version 1\n"
        "  hint   ms.io.load reads models, Trainer.resume reads checkpoints"
    )


def test_a_damaged_checkpoint_changes_nothing(file: Path, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.npz").write_bytes(data)
    job = Job(tmp_path)
    before = job.graph.state_dict()
    message = refusal(FormatError, lambda: job.resume(tmp_path / "bad.npz"))
    assert "bad.npz: the file is damaged" in message
    assert all(np.array_equal(before[name], x) for name, x in job.graph.state_dict().items())
    assert not job.trainer.resumed


if __name__ == "__main__":
    Job(Path(sys.argv[1]), stop_at=int(sys.argv[2]), kill=True).fit()
