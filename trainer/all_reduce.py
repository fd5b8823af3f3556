"""AllReduceTrainer: workers that sum their slopes, each with all weights."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from matrixslow.backend import Array
from matrixslow.core.leaf import Input, Variable
from matrixslow.core.node import Node
from matrixslow.dist.cluster import Cluster, cluster
from matrixslow.dist.communicator import Buckets, Communicator, MPICommunicator
from matrixslow.dist.message import Message
from matrixslow.dist.place import Part, Place
from matrixslow.function import Function, function
from matrixslow.metrics import Metric
from matrixslow.optimizers import Optimizer, ParameterGroups
from matrixslow.optimizers.optimizer import trainable_slopes
from matrixslow.trainer.distributed import DistributedTrainer, SharingUpdater
from matrixslow.trainer.hooks import Hook
from matrixslow.trainer.updater import Updater


class AllReduceTrainer(DistributedTrainer):
    """Fits a model with workers that keep step and sum their slopes.

    It is started by `mpiexec -n 8 python train.py`. Each worker has all weights and the optimizer's
    state, and all take the same step: the one that a single machine takes when it accumulates their
    batches, but for the order in which MPI adds. A worker that fails or is killed ends the job,
    which goes on from its checkpoint.

    Args:
        loss: See `Trainer`.
        optimizer: See `Trainer`.
        cluster: Which worker this is; by default what the environment says. Alone, it is a
            `Trainer`.
        communicator: What carries the sums; by default MPI.
        metrics: See `Trainer`.
        hooks: See `Trainer`.
        guard: Whether slopes that are not finite stop the run, naming the node.

    Raises:
        MissingExtra: mpi4py is not installed, and there are several workers.

    >>> with ms.Graph(seed=0):
    ...     x = ms.Input((None, 2), name="x")
    ...     loss = ms.ops.ReduceMean(ms.layers.dense(x, 1) ** 2)
    >>> trainer = ms.trainer.AllReduceTrainer(loss, ms.optimizers.SGD(0.1))
    >>> trainer.fit({x: np.ones((4, 2))}, epochs=3, progress=False).epochs
    3
    """

    def __init__(
        self,
        loss: Node,
        optimizer: Optimizer | ParameterGroups,
        *,
        cluster: Cluster | None = None,
        communicator: Communicator | None = None,
        metrics: Sequence[Metric] = (),
        hooks: Sequence[Hook] = (),
        guard: bool = True,
    ) -> None:
        self._communicator = communicator or _communicator(cluster)
        self.link = None
        super().__init__(loss, optimizer, metrics=metrics, hooks=hooks, guard=guard)

    def _make_updater(self, optimizer: Optimizer | ParameterGroups) -> Updater:
        if self._communicator is None:
            return super()._make_updater(optimizer)
        pairs = trainable_slopes(self.loss)
        graph = self.loss.graph
        with graph, graph.scope("means", absolute=True, unique=True):
            means = [Input(x.shape, dtype=x.dtype, name=x.name) for x, _ in pairs]
        variables = [x for x, _ in pairs if isinstance(x, Variable)]
        updates = optimizer.updates(list(zip(variables, means, strict=True)))
        updater = SharingUpdater(
            self.inputs,
            self.tally.nodes,
            loss=self.loss,
            slopes=[slope for _, slope in pairs],
            variables=[x for x, _ in updates if isinstance(x, Variable)],
            guard=self._guard,
        )
        step = function(means, [], updates=updates, training=True)
        self.link = updater.link = AllReduceLink(
            self._communicator, step, [x.value for x in variables]
        )
        return updater


class AllReduceLink:
    """Sums slopes with the others, and lets the optimizer take the step.

    Args:
        communicator: What carries the sums.
        step: The optimizer's step, given the mean slopes.
        like: Arrays of the slopes' shapes and dtypes.
    """

    keeps_step = True

    def __init__(self, communicator: Communicator, step: Function, like: Sequence[Array]) -> None:
        self.rank = communicator.rank
        self._communicator = communicator
        self._workers = tuple(range(communicator.size))
        self._step = step
        self._buckets = Buckets(like)
        self._place = Place()
        self._batches = 0

    def look(
        self, place: Place, batches: int, ids: Mapping[Variable, Array]
    ) -> tuple[Place, Sequence[int]]:
        """Where the job is: all keep step, so each knows it by itself."""
        if (place.epoch, place.batches) > (self._place.epoch, self._place.batches):
            self._place = place  # a new epoch, or a run that goes on
        self._batches = batches
        return self._place, self._workers

    def step(self, part: Part | None, samples: int, slopes: Sequence[Array]) -> None:
        """Sum the slopes, weighed by their samples, and take the step on their mean."""
        self._buckets.fill(slopes, samples)
        total = self._communicator.sum_all(self._buckets.buffers, samples)
        self._buckets.divide(total)
        self._step(*self._buckets.arrays)
        place = self._place
        for rank in self._workers:
            number = place.next(self._batches, self._workers, rank)
            if number is not None:
                self._place = self._place.after((place.epoch, number))

    def read(self, ids: Mapping[Variable, Array]) -> None:
        """Nothing: each worker has all rows."""

    def gather(
        self, key: str, said: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Mapping[int, Message]:
        """What every worker said, by rank."""
        return self._communicator.gather(Message(key, said, arrays))

    def rejoin(self) -> None:
        """Nobody is given up here: who is lost ends the job."""

    def fail(self, error: BaseException) -> None:
        """End the job: the others wait for a sum that will not come."""
        print(f"worker {self.rank} failed, which ends the job:", file=sys.stderr)
        traceback.print_exception(error)
        self._communicator.abort()

    def close(self) -> None:
        """Nothing is open."""


def _communicator(given: Cluster | None) -> Communicator | None:
    """MPI, where there are several workers."""
    found = cluster() if given is None else given
    return MPICommunicator(found.rank, found.world) if found.world > 1 else None
