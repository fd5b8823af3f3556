"""Whole training steps beside PyTorch's, each in a process of its own, in turns.

    python benchmarks/speed.py [--quick] [w1 w3 ...]

A round times every peer once; a ratio is taken within a round, its median over all rounds. Times of
a shared machine wander, ratios less. The last columns are the seconds from the start of the process
to the end of the first step, and the largest resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

THREADS = 2

PAUSE = 0.3
"""Seconds between turns: threads of the last peer may still be spinning."""


def ours(name: str) -> Callable[[], Any]:
    """A step of ours."""
    import workloads

    import matrixslow as ms

    ms.set_threads(THREADS)
    with ms.Graph(seed=0):
        inputs, loss, optimizer, data = workloads.WORKLOADS[name]()
        step = ms.function(inputs, loss, updates=optimizer.minimize(loss))
    return lambda: step(*data)


def torch_eager(name: str) -> Callable[[], Any]:
    """A step of PyTorch as it is."""
    import torch_models

    return torch_step(name, torch_models, lambda model: model)


def torch_compiled(name: str) -> Callable[[], Any]:
    """A step of PyTorch, compiled."""
    import torch
    import torch_models

    return torch_step(name, torch_models, torch.compile)


def torch_step(name: str, models: Any, wrap: Callable[[Any], Any]) -> Callable[[], Any]:
    """A step of PyTorch on our data."""
    import torch
    import workloads

    import matrixslow as ms

    torch.set_num_threads(1 if name == "w4" else THREADS)
    with ms.Graph(seed=0):
        *_, data = workloads.WORKLOADS[name]()
    step: Callable[[], Any] = models.step_of(name, data, wrap)
    return step


PEERS = {"matrixslow": ours, "torch": torch_eager, "torch.compile": torch_compiled}


def child(peer: str, name: str, started: float) -> None:
    """Take one step, then as many as each line of the input says, and tell how long they took."""
    step = PEERS[peer](name)
    step()
    print(json.dumps({"first": time.time() - started}), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            step()
        seconds = (time.perf_counter() - begin) / int(line)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "memory": memory}), flush=True)


@dataclass
class Runner:
    """A peer in its process."""

    peer: str
    name: str
    times: list[float] = field(default_factory=list)
    memory: float = 0.0

    def __post_init__(self) -> None:
        """Start it, and wait for the first step."""
        arguments = [sys.executable, __file__, "--child", self.peer, self.name, str(time.time())]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.first: float = self._answer()["first"]
        trial = self.run(1)
        self.count = max(1, int(0.1 / trial))
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

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.peer} failed on {self.name}")
        answer: dict[str, float] = json.loads(line)
        return answer


def main() -> None:
    """Time what is asked for, and print a table."""
    import workloads

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads; all by default")
    parser.add_argument("--quick", action="store_true", help="few rounds, without torch.compile")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        peer, name, started = options.child
        child(peer, name, float(started))
        return
    peers = [peer for peer in PEERS if not (options.quick and peer == "torch.compile")]
    print(f"{os.cpu_count()} cores, {THREADS} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| workload | peer | ms, median | ms, least | ratio | first step, s | memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for name in options.names or workloads.WORKLOADS:
        runners = [Runner(peer, name) for peer in peers]
        for _ in range(5 if options.quick else 15):
            for runner in runners:
                time.sleep(PAUSE)
                runner.run(runner.count)
        for runner in runners:
            pairs = zip(runner.times, runners[0].times, strict=True)
            ratio = statistics.median(theirs / own for theirs, own in pairs)
            middle, least = statistics.median(runner.times) * 1e3, min(runner.times) * 1e3
            print(
                f"| {name} | {runner.peer} | {middle:.3f} | {least:.3f} | {ratio:.2f} | "
                f"{runner.first:.2f} | {runner.memory:.0f} |",
                flush=True,
            )
            runner.close()


if __name__ == "__main__":
    main()
