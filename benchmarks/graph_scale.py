"""Time and memory against the number of nodes: long chains, and stacked diamonds.

Each row is one fresh process. A chain is tanh(y) + w, over and over; a diamond is y + y, so that
2**60 ways lead through sixty of them. Times are CPU seconds. Memory is the growth of the largest
resident set from before the graph is built to after its gradients were computed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

import matrixslow as ms
from matrixslow.core import Node

KINDS = {"chain": (12_500, 25_000, 50_000, 100_000), "diamonds": (60, 600, 6_000)}
"""The kinds of graphs, and how many parts they have."""

Row = dict[str, float]

FORMATS = {
    "nodes": ",.0f",
    "build s": ".2f",
    "forward s": ".2f",
    "backward s": ".2f",
    "with gradients": ",.0f",
    "us per node": ".1f",
    "MB": ".0f",
    "bytes per node": ",.0f",
    "both again s": ".3f",
}
"""The columns of a table, and how their numbers are written."""


def chain(w: Node, count: int) -> Node:
    y = w
    for _ in range(count // 2):
        y = ms.ops.Tanh(y) + w
    return y


def diamonds(w: Node, count: int) -> Node:
    y = w
    for _ in range(count):
        y = 0.5 * y
        y = y + y
    return y


def resident() -> int:
    """The largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(kind: str, count: int) -> Row:
    """Build a graph of one kind, run it forward and backward."""
    before = resident()
    row: Row = {}
    clock = time.process_time()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.process_time()
        row[name], clock = now - clock, now

    with ms.Graph() as graph:
        w = ms.Variable(np.full(2, 0.5), name="w")
        y = ms.ops.ReduceSum((chain if kind == "chain" else diamonds)(w, count))
    row["nodes"] = len(graph)
    lap("build s")
    graph.forward(y)
    lap("forward s")
    graph.backward(y)
    lap("backward s")
    row["with gradients"] = len(graph)
    row["MB"] = (resident() - before) / 1e6
    row["bytes per node"] = 1e6 * row["MB"] / len(graph)
    row["us per node"] = 1e6 * (row["build s"] + row["forward s"] + row["backward s"]) / len(graph)
    clock = time.process_time()
    graph.forward(y)
    graph.backward(y)
    lap("both again s")
    return row


def measured_alone(kind: str, count: int) -> Row:
    command = [sys.executable, __file__, kind, str(count)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    row: Row = json.loads(result.stdout)
    return row


def table(kind: str, counts: tuple[int, ...]) -> list[str]:
    """A Markdown table; in its last row, by how much each column grows from first to last."""
    rows = [measured_alone(kind, count) for count in counts]
    # A small graph may find room in memory that the process had already.
    ends = {name: (rows[0][name], rows[-1][name]) for name in FORMATS}
    lines = [f"| {' | '.join([kind, *FORMATS])} |", f"|{'---|' * (len(FORMATS) + 1)}"]
    for count, row in zip(counts, rows, strict=True):
        cells = [f"{row[name]:{style}}" for name, style in FORMATS.items()]
        lines.append(f"| {' | '.join([f'{count:,}', *cells])} |")
    grown = [f"{end / begin:.1f}x" if begin else "" for begin, end in ends.values()]
    return [*lines, f"| {' | '.join(['growth', *grown])} |"]


def main() -> None:
    for kind, counts in KINDS.items():
        print("\n".join(["", *table(kind, counts)]))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
