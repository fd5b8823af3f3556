"""ParameterServerTrainer on real servers: equality with one machine, coming and going, files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dist_parts import same
from dist_processes import ROOT, ServerProcess, servers, until
from mpi_job import SAMPLES, problem

import matrixslow as ms
from matrixslow.errors import ArgumentError, ClusterError, FeedError, NonFiniteError
from matrixslow.trainer import Hook, ParameterServerTrainer, Trainer
from matrixslow.trainer.distributed import SharingUpdater

BATCH = 7
BATCHES = -(-SAMPLES // BATCH)

Act = Callable[[ParameterServerTrainer, dict[ms.Node, Any]], Any]


def fit(trainer: Trainer, data: dict[ms.Node, Any], epochs: int = 2) -> ms.trainer.History:
    return trainer.fit(data, epochs=epochs, batch_size=BATCH, validation=data, progress=False)


def optimizer(convex: bool) -> ms.optimizers.Optimizer:
    """What gets far enough in a few epochs."""
    return ms.optimizers.Adam(0.2 if convex else 0.02)


def alone(accumulate: int = 1, epochs: int = 2, *, convex: bool = False) -> Trainer:
    """The same training on one machine."""
    loss, data, metric = problem(convex=convex)
    trainer = Trainer(loss, optimizer(convex), metrics=[metric], accumulate=accumulate)
    fit(trainer, data, epochs)
    return trainer


def worker(
    started: Sequence[ServerProcess],
    rank: int,
    world: int,
    act: Act,
    *,
    convex: bool = False,
    **options: Any,
) -> ParameterServerTrainer:
    """A worker in this process, which does something and goes."""
    loss, data, metric = problem(convex=convex)
    cluster = ms.dist.Cluster(rank, world, tuple(server.address for server in started))
    trainer = ParameterServerTrainer(
        loss, optimizer(convex), cluster=cluster, metrics=[metric], **options
    )
    try:
        act(trainer, data)
    finally:
        trainer.close()
    return trainer


def workers(started: Sequence[ServerProcess], world: int, act: Act) -> list[ParameterServerTrainer]:
    """Several workers at a time, each in a thread with a graph and a connection of its own."""
    with ThreadPoolExecutor(world) as pool:
        futures = [pool.submit(worker, started, rank, world, act) for rank in range(world)]
        return [future.result(100) for future in futures]


def trained(trainer: Trainer, mark: str = "") -> dict[str, Any]:
    """Weights and optimizer state."""
    state = trainer.graph.state_dict()
    return {
        k: x for k, x in state.items() if not k.startswith(("random", "accumulated")) and k >= mark
    }


def numbers(trainer: Trainer) -> dict[str, list[float]]:
    return {name: x for name, x in trainer.history.items() if name != "seconds"}


def fit_and_save(folder: Path) -> Act:
    def act(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
        fit(trainer, data)
        trainer.save(folder / "cluster.npz")

    return act


# ---- equality -----------------------------------------------------------------------------------


def test_one_worker_is_a_single_machine_bit_for_bit(tmp_path: Path) -> None:
    with servers(tmp_path) as started:
        (trainer,) = workers(started, 1, fit_and_save(tmp_path))
    expected = alone()
    assert same(trainer.graph.state_dict(), expected.graph.state_dict())
    assert numbers(trainer) == numbers(expected)


@pytest.mark.parametrize("count", [1, 2])
def test_workers_in_step_are_one_machine_that_accumulates(tmp_path: Path, count: int) -> None:
    """Batches of odd sizes, dropout, a last round in which not all have a batch."""
    with servers(tmp_path, count=count) as started:
        first, *others = workers(started, 3, fit_and_save(tmp_path))
    expected = alone(accumulate=3)
    assert same(trained(first), trained(expected))
    for other in others:
        assert all(other.history[name] == first.history[name] for name in numbers(first))
    for name, column in numbers(expected).items():
        np.testing.assert_allclose(first.history[name], column, rtol=1e-6)


@pytest.mark.parametrize("flags", [("--mode", "async"), ("--mode", "ssp", "--staleness", "1")])
def test_in_every_mode_each_batch_counts_once(tmp_path: Path, flags: Sequence[str]) -> None:
    with servers(tmp_path, *flags, count=2) as started:
        trainers = workers(started, 3, lambda trainer, data: fit(trainer, data, 3))
        later = workers(started, 3, lambda trainer, data: fit(trainer, data, 3))
    assert [trainer.steps for trainer in later] == [0, 0, 0]  # nothing was left to do
    for trainer in trainers:
        assert trainer.history.epochs == 3
        assert trainer.history["loss"] == trainers[0].history["loss"]
        assert trainer.history["loss"][2] < trainer.history["loss"][0]


# ---- checkpoints --------------------------------------------------------------------------------


class SaveAt(Hook):
    """Saves a checkpoint after a step."""

    order = 99

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def after_step(self, trainer: Trainer) -> None:
        if trainer.steps == self.step:
            trainer.save(self.path)


def go_on(trainer: Trainer, path: Path, data: dict[ms.Node, Any]) -> None:
    trainer.resume(path)
    fit(trainer, data)


@pytest.mark.parametrize("step", [3, BATCHES, BATCHES + 2])
def test_a_checkpoint_of_the_cluster_goes_on_alone_and_the_reverse(
    tmp_path: Path, step: int
) -> None:
    """What one side began in the middle of an epoch, or at its end, the other ends, bit for bit."""
    path = tmp_path / "checkpoint.npz"
    hooks = [SaveAt(step, path)]
    expected = alone()

    def check(trainer: Trainer) -> None:
        assert same(trainer.graph.state_dict(), expected.graph.state_dict())
        assert numbers(trainer) == numbers(expected)

    with servers(tmp_path / "first") as started:
        worker(started, 0, 1, lambda trainer, data: fit(trainer, data), hooks=hooks)
    loss, data, metric = problem()
    single = Trainer(loss, ms.optimizers.Adam(0.02), metrics=[metric], hooks=hooks)
    go_on(single, path, data)
    check(single)

    path.unlink()
    loss, data, metric = problem()
    single = Trainer(loss, ms.optimizers.Adam(0.02), metrics=[metric], hooks=hooks)
    fit(single, data)

    def act(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
        go_on(trainer, path, data)
        trainer.save(path)

    with servers(tmp_path / "second") as started:
        check(worker(started, 0, 1, act, hooks=hooks))


def test_a_checkpoint_of_several_workers_goes_on_with_as_many(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"

    def save(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
        trainer.hooks.append(SaveAt(2, path))
        fit(trainer, data)

    def resume(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
        trainer.hooks.append(SaveAt(0, path))
        go_on(trainer, path, data)

    trainers = []
    for folder, count, act in (("first", 2, save), ("second", 1, resume)):
        with servers(tmp_path / folder, count=count) as started:
            trainers.append(workers(started, 3, act)[0])
    weights = [
        {x.name: x.value for x in trainer.graph.variables if x.trainable} for trainer in trainers
    ]
    assert same(*weights)


# ---- alone, and refusals ------------------------------------------------------------------------


def test_without_a_cluster_it_is_the_trainer() -> None:
    loss, data, metric = problem()
    cluster = ms.dist.cluster(environment={})
    trainer = ParameterServerTrainer(loss, optimizer(False), cluster=cluster, metrics=[metric])
    fit(trainer, data)
    trainer.close()
    expected = alone()
    assert same(trainer.graph.state_dict(), expected.graph.state_dict())
    assert numbers(trainer) == numbers(expected)


def test_several_workers_need_a_server() -> None:
    loss, _, _ = problem()
    with pytest.raises(ArgumentError, match=r"3 workers \(given\) and no server"):
        ParameterServerTrainer(
            loss, ms.optimizers.SGD(0.1), cluster=ms.dist.cluster(rank=0, world=3, environment={})
        )


def test_modes_are_known() -> None:
    loss, _, _ = problem()
    with pytest.raises(ArgumentError, match="mode='fast'"):
        ParameterServerTrainer(loss, ms.optimizers.SGD(0.1), mode="fast")  # type: ignore[arg-type]


def test_the_servers_must_keep_step_as_asked(tmp_path: Path) -> None:
    with servers(tmp_path) as started, pytest.raises(ClusterError) as caught:
        worker(started, 0, 1, lambda trainer, data: fit(trainer, data), mode="ssp", staleness=3)
    assert str(caught.value) == (
        "ParameterServerTrainer: server 0 keeps step in another way\n"
        "  mode  ssp asked for, sync there\n"
        "  staleness  3 asked for, 0 there\n"
        "  hint   start the servers with this --mode and --staleness, or leave both out"
    )


def test_a_slope_that_is_not_finite_is_named_and_not_pushed(tmp_path: Path) -> None:
    with ms.Graph():
        x = ms.Input((None,), name="x")
        loss = ms.ops.ReduceMean(ms.ops.Log(ms.Variable(2.0, name="w") * x, name="log"))
    with servers(tmp_path) as started:
        cluster = ms.dist.Cluster(0, 1, (started[0].address,))
        trainer = ParameterServerTrainer(loss, ms.optimizers.SGD(0.1), cluster=cluster)
        with pytest.raises(NonFiniteError, match=r"^Log 'log': 1 of 2 .* batch 1, worker 0"):
            trainer.fit({x: [1.0, -1.0]}, shuffle=False, progress=False)
        trainer.close()


def test_the_learning_rate_lives_on_the_servers_and_a_mistake_is_forgiven(tmp_path: Path) -> None:
    def act(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
        with pytest.raises(FeedError):
            fit(trainer, {})
        fit(trainer, data, 1)
        with pytest.raises(ArgumentError, match="the learning rate lives on the servers"):
            trainer.learning_rate = 0.1

    with servers(tmp_path) as started:
        assert worker(started, 0, 1, act).history.epochs == 1


# ---- coming and going ---------------------------------------------------------------------------


class Each(Hook):
    """Does something after each step."""

    order = 99

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def after_step(self, trainer: Trainer) -> None:
        self.act()


def process(
    started: Sequence[ServerProcess], folder: Path, rank: int, world: int, kill: int = 0
) -> Any:
    """A worker in a process of its own, which may kill itself after a step."""
    environment = {
        **os.environ,
        "MATRIXSLOW_SERVERS": ",".join(server.address for server in started),
        "MATRIXSLOW_WORLD": str(world),
        "MATRIXSLOW_RANK": str(rank),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "tests/ps_job.py", str(folder), str(BATCH), str(kill)]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


class Leave(Exception):
    """A worker has had enough."""


def test_workers_come_and_go_and_each_batch_counts_once(tmp_path: Path) -> None:
    """Two begin, four more come, and three of the six go: as good as two all the time."""
    epochs = 24
    taken: list[tuple[int, int]] = []
    begun = threading.Event()

    def live(trainer: ParameterServerTrainer) -> list[int]:
        assert trainer.link is not None
        found: list[int] = trainer.link.client.status()[0]["live"]
        return found

    def act(leave_at: int) -> Act:
        def fit_until(trainer: ParameterServerTrainer, data: dict[ms.Node, Any]) -> None:
            def look() -> None:
                updater = trainer.updater
                assert isinstance(updater, SharingUpdater)
                if updater.part is not None:
                    taken.append(updater.part)
                if trainer.rank == 0 and trainer.steps == 2:
                    begun.set()
                    until(lambda: len(live(trainer)) == 6, "the others have come")
                if trainer.steps == leave_at:
                    trainer.close()
                    raise Leave

            trainer.hooks.append(Each(look))
            with suppress(Leave):
                fit(trainer, data, epochs)

        return fit_until

    def begin(rank: int) -> Future[ParameterServerTrainer]:
        leave_at = 4 if rank > 2 else 0
        return pool.submit(worker, started, rank, 2, act(leave_at), convex=True)

    with servers(tmp_path) as started, ThreadPoolExecutor(6) as pool:
        jobs = [begin(rank) for rank in range(2)]
        assert begun.wait(60)
        jobs += [begin(rank) for rank in range(2, 6)]
        trainers = [job.result(100) for job in jobs]
    assert [trainer.steps for trainer in trainers[3:]] == [4, 4, 4]
    once = [(epoch, batch) for epoch in range(epochs) for batch in range(BATCHES)]
    # Two may take the same batch while one of them is new; servers count it once (see Place).
    assert sorted(set(taken)) == once
    found, steady = trainers[0].history["validation_loss"][-1], alone(2, epochs, convex=True)
    assert found == pytest.approx(steady.history["validation_loss"][-1], rel=0.02)


def test_a_worker_that_is_killed_and_started_again_changes_nothing(tmp_path: Path) -> None:
    with servers(tmp_path, count=2) as started:
        jobs = [process(started, tmp_path, 0, 2), process(started, tmp_path, 1, 2, kill=3)]
        assert jobs[1].wait(60) == -signal.SIGKILL
        jobs[1] = process(started, tmp_path, 1, 2)
        assert [job.wait(60) for job in jobs] == [0, 0]
    expected = alone(accumulate=2)
    found = dict(np.load(tmp_path / "worker-0.npz"))
    assert same({name: found[name] for name in trained(expected)}, trained(expected))


# ---- tables -------------------------------------------------------------------------------------


def click_problem(
    rows: int = 500, initializer: ms.Initializer | None = None
) -> tuple[ms.Node, dict[ms.Node, Any], ms.Node]:
    """Clicks that depend on some of many ids; the loss, the data, and the prediction."""
    rng = np.random.default_rng(2)
    fields = rng.integers(0, rows, (60, 3))
    options = {} if initializer is None else {"initializer": initializer}
    with ms.Graph(seed=3):
        ids = ms.Input((None, 3), dtype="int64", name="ids")
        clicked = ms.Input((None, 1), name="clicked")
        e = ms.layers.embedding(ids, rows, 8, sparse=True, name="e", **options)
        score = ms.layers.dense(ms.layers.flatten(e), 1, name="score")
        loss = ms.ops.BinaryCrossEntropyWithLogits(score, clicked)
    return loss, {ids: fields, clicked: (fields[:, :1] % 2).astype(np.float32)}, score


def click_trainer(
    started: Sequence[ServerProcess], rank: int = 0, world: int = 1, **options: Any
) -> tuple[ParameterServerTrainer, dict[ms.Node, Any], ms.Node]:
    loss, data, score = click_problem(**options.pop("problem", {}))
    cluster = ms.dist.Cluster(rank, world, tuple(server.address for server in started))
    trainer = ParameterServerTrainer(loss, ms.optimizers.Adam(0.05), cluster=cluster, **options)
    return trainer, data, score


def test_rows_on_a_server_are_those_of_a_single_machine(tmp_path: Path) -> None:
    """Training, validation, prediction, and a checkpoint that goes on alone and the reverse."""
    path = tmp_path / "checkpoint.npz"
    loss, data, score = click_problem()
    single = Trainer(loss, ms.optimizers.Adam(0.05))
    with servers(tmp_path / "first") as started:
        trainer, _, distant_score = click_trainer(started)
        assert trainer.link is not None
        (table,) = trainer.link.tables
        single.graph["e/table"].value = table.spec.first_rows(np.arange(500))  # type: ignore[misc]
        distant = dict(zip(trainer.inputs, (data[x] for x in single.inputs), strict=True))
        for each, fed in ((trainer, distant), (single, data)):
            fit(each, fed)
        assert numbers(trainer) == numbers(single)
        found = trainer.predict(distant_score, distant)
        np.testing.assert_array_equal(found, single.predict(score, data))
        trainer.save(path)
        trainer.close()
    assert same(trainer.graph.state_dict(), single.graph.state_dict())
    loss, data, _ = click_problem()
    later = Trainer(loss, ms.optimizers.Adam(0.05))
    later.resume(path)
    fit(later, data, 3)
    with servers(tmp_path / "second", count=1) as started:
        trainer, data, _ = click_trainer(started)
        trainer.resume(path)
        fit(trainer, data, 3)
        trainer.save(path)
        trainer.close()
    assert same(trainer.graph.state_dict(), later.graph.state_dict())


def test_a_large_table_lives_on_the_servers_alone(tmp_path: Path) -> None:
    """A hundred million rows, 3.2 GB, of which workers and servers hold those that were read."""

    def act(rank: int) -> ParameterServerTrainer:
        problem = {"rows": 100_000_000, "initializer": ms.initializers.Zeros()}
        trainer, data, _ = click_trainer(started, rank, 2, problem=problem, new_rows=(-0.05, 0.05))
        fit(trainer, data, 3)
        trainer.close()
        return trainer

    with servers(tmp_path, count=2) as started, ThreadPoolExecutor(2) as pool:
        first, second = pool.map(act, range(2))
    assert first.history["loss"] == second.history["loss"]
    assert first.history["loss"][-1] < 0.9 * first.history["loss"][0]
