"""The peers, and what runs one of them in a process of its own.

A child takes one step and tells when it has ended; then it takes as many steps as each line of its
input says, and tells how long they took.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import data
import numpy as np

THREADS = 2

CHECKED_ROWS = 50
"""Ids of a field of W7 while steps are compared: a whole table would go through a file."""

Arrays = list[np.ndarray[Any, Any]]
Step = Callable[[], Any]


def ours(name: str, weights: Path) -> Step:
    """A step of ours; the weights that it begins with go to a file."""
    import workloads

    import matrixslow as ms

    ms.set_threads(THREADS)
    with ms.Graph(seed=0) as graph:
        inputs, result, optimizer = workloads.WORKLOADS[name]()
        updates = [] if optimizer is None else optimizer.minimize(result)
    if name != "w7" or data.ROWS == CHECKED_ROWS:
        np.savez(weights, *(x.value for x in graph.variables if x.trainable))
    step = ms.function(inputs, result, updates=updates, training=optimizer is not None)
    arrays = data.arrays_of(name)
    return lambda: step(*arrays)


def torch_eager(name: str, weights: Path) -> Step:
    """A step of PyTorch as it is."""
    return _torch(name, weights, lambda model: model)


def torch_compiled(name: str, weights: Path) -> Step:
    """A step of PyTorch, compiled."""
    import torch

    return _torch(name, weights, torch.compile)


def _torch(name: str, weights: Path, wrap: Callable[[Any], Any]) -> Step:
    import torch
    import torch_models

    torch.set_num_threads(1 if name in ("w4", "i1_1") else THREADS)
    step: Step = torch_models.step_of(name, data.arrays_of(name), read(name, weights), wrap)
    return step


def jax(name: str, weights: Path) -> Step:
    """A step of JAX."""
    import jax_models

    step: Step = jax_models.step_of(name, data.arrays_of(name), read(name, weights))
    return step


def onnx_runtime(name: str, weights: Path) -> Step:
    """An inference of ONNX Runtime."""
    import onnx_models

    step: Step = onnx_models.step_of(data.arrays_of(name), read(name, weights), threads=THREADS)
    return step


def read(name: str, weights: Path) -> Arrays:
    """The weights of a file, the tables of W7 with as many rows as there are to be."""
    with np.load(weights) as file:
        arrays = list(file.values())
    if name == "w7":
        rng = np.random.default_rng(0)
        more = 26 * data.ROWS - len(arrays[0])
        for number, table in enumerate(arrays[:2] if more else []):
            arrays[number] = rng.random((26 * data.ROWS, table.shape[1]), dtype=np.float32) * 0.05
    return arrays


@dataclass(frozen=True, slots=True)
class Peer:
    """Something to be measured.

    Attributes:
        name: As the table calls it.
        make: Gives its step, from a workload's name and a file of weights, which ours writes.
        needs: The packages it is made of.
        infers: Whether it runs workloads of inference only.
    """

    name: str
    make: Callable[[str, Path], Step]
    needs: tuple[str, ...] = ()
    infers: bool = False

    def runs(self, workload: str) -> bool:
        """Whether it can run a workload."""
        return workload.startswith("i") or not self.infers

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.needs if find_spec(package) is None]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("matrixslow", ours),
        Peer("torch", torch_eager, ("torch",)),
        Peer("torch.compile", torch_compiled, ("torch",)),
        Peer("JAX", jax, ("jax",)),
        Peer("ONNX Runtime", onnx_runtime, ("onnx", "onnxruntime"), infers=True),
    )
}


@dataclass
class Runner:
    """A peer in its process.

    Attributes:
        first: Seconds from the start of the process to the end of the first step.
        results: What the first two steps gave.
        times: Seconds for a step, from each turn.
        memory: The largest resident memory, in MiB.
        count: How many steps a turn takes.
    """

    peer: str
    workload: str
    weights: Path
    turn: float
    times: list[float] = field(default_factory=list)
    memory: float = 0.0

    def __post_init__(self) -> None:
        """Start it, and wait for the first step."""
        arguments = [self.peer, self.workload, str(self.weights), str(time.time())]
        command = [sys.executable, __file__, "time", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        begun = self._answer()
        self.first: float = begun["first"]
        self.results = np.array(begun["results"])
        self.run(1)
        self.count = max(1, int(self.turn / self.run(1)))
        self.times.clear()

    def run(self, count: int) -> float:
        """Seconds for one of that many steps."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.times.append(answer["seconds"])
        self.memory = answer["memory"]
        return float(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.peer} failed on {self.workload}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def two_steps(peer: str, workload: str, weights: Path) -> np.ndarray[Any, Any]:
    """What a peer gives in its first two steps, for fewer ids than are timed."""
    command = [sys.executable, __file__, "check", peer, workload, str(weights)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return np.array(json.loads(result.stdout.splitlines()[-1]))


def timed(peer: str, workload: str, weights: Path, started: float) -> None:
    """The child of a Runner."""
    step = PEERS[peer].make(workload, weights)
    result = step()
    first = time.time() - started
    print(json.dumps({"first": first, "results": numbers(result, step())}), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            step()
        seconds = (time.perf_counter() - begin) / int(line)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "memory": memory}), flush=True)


def checked(peer: str, workload: str, weights: Path) -> None:
    """The child of `two_steps`."""
    data.ROWS = CHECKED_ROWS
    step = PEERS[peer].make(workload, weights)
    result = step()
    print(json.dumps(numbers(result, step())))


def numbers(*results: Any) -> list[float]:
    """What steps gave, in a row."""
    arrays = [x.detach() if hasattr(x, "detach") else x for x in results]
    found: list[float] = np.concatenate([np.asarray(x).ravel() for x in arrays]).tolist()
    return found


if __name__ == "__main__":
    mode, peer, workload, file, *rest = sys.argv[1:]
    if mode == "time":
        timed(peer, workload, Path(file), *map(float, rest))
    else:
        checked(peer, workload, Path(file))
