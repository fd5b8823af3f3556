"""A worker of the tests: trains on parameter servers, and writes what came out to a folder."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
from mpi_job import problem

import matrixslow as ms


class Kill(ms.trainer.Hook):
    """Kills this process after a step."""

    order = 99

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, trainer: ms.trainer.Trainer) -> None:
        if trainer.steps == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, batch_size: int, kill: int) -> None:
    loss, data, metric = problem()
    trainer = ms.trainer.ParameterServerTrainer(
        loss, ms.optimizers.Adam(0.02), metrics=[metric], hooks=[Kill(kill)]
    )
    trainer.fit(data, epochs=2, batch_size=batch_size, validation=data, progress=False)
    trainer.save(folder / "cluster.npz")
    np.savez(folder / f"worker-{trainer.rank}.npz", **trainer.graph.state_dict())
    trainer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
