"""Whole training steps and inferences beside the peers', each in a process of its own, in turns.

    python benchmarks/speed.py [--quick] [--write] [w1 i3_64 ...]

The first two steps of every peer, from the same weights on the same data, must agree. Then a round
times every peer once; a ratio is taken within a round, its median over all rounds. Times of a
shared machine wander, ratios less. The last columns are the seconds from the start of the process
to the end of the first step, and the largest resident memory. Peers that are not installed are left
out; `pip install -e '.[bench]'` brings them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
from peers import PEERS, Peer, Runner, two_steps
from report import Result

QUICK = ("w1", "w3", "w5", "w7", "i3_64")

NAMES = ("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "i1_1", "i1_64", "i3_1", "i3_64")

PAUSE = 0.1
"""Seconds between turns: threads of the last peer may still be spinning."""

TOLERANCE = 1e-3
"""How far losses and scores may lie apart, relative to the largest."""


def measured(name: str, peers: Sequence[Peer], rounds: int, turn: float) -> list[Result]:
    """What came of one workload.

    Raises:
        SystemExit: A peer computes something else than ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        if name == "w7":
            compare(name, {peer.name: two_steps(peer.name, name, weights) for peer in peers})
        runners = [Runner(peer.name, name, weights, turn) for peer in peers]
        if name != "w7":
            compare(name, {runner.peer: runner.results for runner in runners})
    for number in range(rounds):
        for runner in runners[number % 2 :] + runners[: number % 2]:
            time.sleep(PAUSE)
            runner.run(runner.count)
    results = []
    for runner in runners:
        pairs = zip(runner.times, runners[0].times, strict=True)
        results.append(
            Result(
                name,
                runner.peer,
                statistics.median(runner.times),
                min(runner.times),
                statistics.median(theirs / own for theirs, own in pairs),
                runner.first,
                runner.memory,
            )
        )
        runner.close()
    return results


def compare(name: str, results: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Hold what all peers give to what ours gives.

    Raises:
        SystemExit: They differ.
    """
    wanted = results["matrixslow"]
    for peer, found in results.items():
        apart = np.abs(found - wanted).max() / np.abs(wanted).max()
        if not apart < TOLERANCE:
            raise SystemExit(f"{name}: {peer} differs by {apart:.2g} of the largest")


def main() -> None:
    """Time what is asked for, print a table, and write the page if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads; all by default")
    parser.add_argument("--quick", action="store_true", help="a minute: few, short, uncompiled")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and .svg")
    options = parser.parse_args()
    there = []
    for peer in PEERS.values():
        if peer.missing:
            print(f"{peer.name} is left out: {' and '.join(peer.missing)} cannot be imported")
        elif not (options.quick and peer.name == "torch.compile"):
            there.append(peer)
    rounds, turn = (3, 0.05) if options.quick else (9, 0.1)
    print("\n".join(("", report.machine(), "", *report.HEAD)))
    results = []
    for name in options.names or (QUICK if options.quick else NAMES):
        for result in measured(name, [x for x in there if x.runs(name)], rounds, turn):
            results.append(result)
            print(report.line(result), flush=True)
        if options.write:
            report.write(results, graphs=False)
    if options.write:
        report.write(results, graphs=True)


if __name__ == "__main__":
    main()
