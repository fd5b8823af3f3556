"""A job of the tests, run by `mpiexec`: trains, and writes what came out to a folder."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import matrixslow as ms

SAMPLES = 50


class Die(ms.trainer.Hook):
    """Kills a worker, or lets it fail, after a step."""

    order = 99

    def __init__(self, step: int, rank: int, how: str) -> None:
        self.step, self.rank, self.how = step, rank, how

    def after_step(self, trainer: ms.trainer.Trainer) -> None:
        assert isinstance(trainer, ms.trainer.AllReduceTrainer)
        if trainer.rank == self.rank and trainer.steps == self.step:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("a defect")


def problem(*, convex: bool = False) -> tuple[ms.Node, dict[ms.Node, Any], ms.metrics.Metric]:
    """A classifier with dropout, or one with a single best solution; its data, and a metric."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(SAMPLES, 6)).astype(np.float32)
    with ms.Graph(seed=5):
        features = ms.Input((None, 6), name="x")
        label = ms.Input((None,), dtype="int64", name="label")
        h = features
        if not convex:
            h = ms.layers.dropout(ms.layers.dense(h, 16, activation="tanh"), 0.2)
        logits = ms.layers.dense(h, 3)
        loss = ms.ops.SoftmaxCrossEntropy(logits, label)
    scores = x @ rng.normal(size=(6, 3)) + 2 * rng.normal(size=(SAMPLES, 3))
    data = {features: x, label: scores.argmax(axis=1)}
    return loss, data, ms.metrics.Accuracy(logits, label)


def main(folder: Path, action: str) -> None:
    loss, data, metric = problem()
    hooks: list[ms.trainer.Hook] = [ms.trainer.Checkpoint(folder, every_steps=1)]
    # A killed worker had taken its step; checkpoints are worker 0's.
    hooks.append(Die(4 if action in ("kill", "raise") else 0, 1, action))
    trainer = ms.trainer.AllReduceTrainer(
        loss, ms.optimizers.Adam(0.02), metrics=[metric], hooks=hooks
    )
    if action == "resume":
        trainer.resume(folder / "last.npz")
    history = trainer.fit(data, epochs=3, batch_size=7, validation=data)
    weights = {k: x for k, x in trainer.graph.state_dict().items() if not k.startswith("random")}
    np.savez(folder / f"worker-{trainer.rank}.npz", **weights)
    if trainer.rank == 0:
        history.to_json(folder / "history.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
