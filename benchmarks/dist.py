"""Steps per second on 1, 2 and 3 workers of a thread each, beside PyTorch's DDP (gloo).

    python benchmarks/dist.py [--steps 40] [cnn deepfm table]

A worker's batch is the same whatever their number, so perfect scaling keeps the steps per second as
they are, as far as there are cores. All processes of a row run on this machine; the peer's row
follows at once. DDP keeps the table of DeepFM in every worker, with sparse slopes and SparseAdam.
`table` shows a step against the size of the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import matrixslow as ms
from matrixslow.dist.supervisor import free_ports
from matrixslow.dist.top import read

WARM = 5
"""Steps before the time is taken."""

CNN_BATCH, CLICK_BATCH, FIELDS, WIDTH = 64, 512, 26, 16

ROOT = Path(__file__).resolve().parents[1]


class Times(ms.trainer.Hook):
    """When each step ended."""

    def begin(self, trainer: ms.trainer.Trainer) -> None:
        """Begin anew."""
        self.times: list[float] = []

    def after_step(self, trainer: ms.trainer.Trainer) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())


def rate(times: list[float]) -> float:
    """Steps per second after the first few."""
    return (len(times) - 1 - WARM) / (times[-1] - times[WARM])


def images(samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((samples, 1, 28, 28), np.float32), rng.integers(0, 10, samples)


def clicks(samples: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, rows, (samples, FIELDS)), rng.integers(0, 2, (samples, 1))


def our_cnn(samples: int) -> tuple[ms.Node, dict[ms.Node, Any]]:
    x, y = images(samples)
    with ms.Graph(seed=0):
        image = ms.Input((None, 1, 28, 28))
        label = ms.Input((None,), dtype="int64")
        h = ms.layers.max_pool(ms.layers.conv(image, 32, kernel=3, activation="relu"), 2)
        h = ms.layers.max_pool(ms.layers.conv(h, 64, kernel=3, activation="relu"), 2)
        h = ms.layers.dense(ms.layers.flatten(h), 128, activation="relu")
        loss = ms.ops.SoftmaxCrossEntropy(ms.layers.dense(h, 10), label)
    return loss, {image: x, label: y}


def our_deepfm(samples: int, rows: int) -> tuple[ms.Node, dict[ms.Node, Any]]:
    x, y = clicks(samples, rows)
    zeros = ms.initializers.Zeros()
    with ms.Graph(seed=0):
        ids = ms.Input((None, FIELDS), dtype="int64")
        clicked = ms.Input((None, 1))
        e = ms.layers.embedding(ids, rows, WIDTH, sparse=True, initializer=zeros)
        w = ms.layers.embedding(ids, rows, 1, sparse=True, initializer=zeros)
        h = ms.layers.dense(ms.layers.flatten(e), 64, activation="relu")
        score = ms.layers.dense(h, 1) + ms.layers.pairwise_interactions(e)
        score = score + ms.ops.ReduceSum(w, axes=1, keepdims=False)
        loss = ms.ops.BinaryCrossEntropyWithLogits(score, clicked)
    return loss, {ids: x, clicked: y.astype(np.float32)}


def our_worker(workload: str, steps: int, rows: int) -> None:
    """A worker of ours: trains, and worker 0 prints its steps per second."""
    ms.set_threads(1)
    cluster = ms.dist.cluster()
    batch = CNN_BATCH if workload == "cnn" else CLICK_BATCH
    samples = steps * batch * cluster.world
    made = our_cnn(samples) if workload == "cnn" else our_deepfm(samples, rows)
    loss, data = made
    times = Times()
    trainer = ms.trainer.ParameterServerTrainer(
        loss, ms.optimizers.Adam(1e-3), cluster=cluster, hooks=[times], new_rows=(-0.05, 0.05)
    )
    trainer.fit(data, batch_size=batch, progress=False)
    if cluster.first:
        print(json.dumps({"rate": rate(times.times)}))
    trainer.close()


def peer_worker(workload: str, steps: int, rows: int) -> None:
    """The same under PyTorch's DDP."""
    import torch
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()

    class DeepFM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.e = nn.Embedding(rows, WIDTH, sparse=True)
            self.w = nn.Embedding(rows, 1, sparse=True)
            self.deep = nn.Sequential(nn.Linear(FIELDS * WIDTH, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, ids: Any) -> Any:
            e = self.e(ids)
            pairs = (e.sum(1) ** 2 - (e**2).sum(1)).sum(1, keepdim=True) / 2
            return self.deep(e.flatten(1)) + pairs + self.w(ids).sum(1)

    if workload == "cnn":
        model: nn.Module = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
        )
        batch, judge = CNN_BATCH, nn.CrossEntropyLoss()
        x, y = map(torch.from_numpy, images(steps * batch))
        optimizers = [torch.optim.Adam(model.parameters(), 1e-3)]
    else:
        model = DeepFM()
        batch, judge = CLICK_BATCH, nn.BCEWithLogitsLoss()
        ids, clicked = clicks(steps * batch, rows)
        x, y = torch.from_numpy(ids), torch.from_numpy(clicked.astype(np.float32))
        tables = [model.e.weight, model.w.weight]
        optimizers = [
            torch.optim.SparseAdam(tables, 1e-3),
            torch.optim.Adam(model.deep.parameters(), 1e-3),
        ]
    network = DistributedDataParallel(model)
    times = []
    for start in range(0, steps * batch, batch):
        loss = judge(network(x[start : start + batch]), y[start : start + batch])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        times.append(time.perf_counter())
    if rank == 0:
        print(json.dumps({"rate": rate(times)}))
    torch.distributed.destroy_process_group()


def run_ours(workload: str, workers: int, steps: int, rows: int) -> tuple[float, float]:
    """Steps per second, and megabytes per step over the server's card."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-m", "matrixslow.serve", "--listen", "127.0.0.1:0",
             "--state-dir", folder],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stderr is not None
        try:
            about: dict[str, Any] = {}
            while about.get("event") != "serving":
                about = json.loads(server.stderr.readline())
            variables = {"MATRIXSLOW_SERVERS": about["address"], "MATRIXSLOW_WORLD": str(workers)}
            found = run_workers(
                "ours", workload, steps, rows,
                [{**variables, "MATRIXSLOW_RANK": str(rank)} for rank in range(workers)],
            )  # fmt: skip
            reading = read(about["metrics"])
            assert reading is not None
            moved = reading.values["received_bytes_total"] + reading.values["sent_bytes_total"]
            return found, moved / 1e6 / reading.values["steps_total"]
        finally:
            server.terminate()
            server.communicate()


def run_peer(workload: str, workers: int, steps: int, rows: int) -> float:
    """Steps per second under DDP."""
    (port,) = free_ports(1)
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(workers)}
    return run_workers(
        "peer", workload, steps, rows,
        [{**variables, "RANK": str(rank)} for rank in range(workers)],
    )  # fmt: skip


def run_workers(
    who: str, workload: str, steps: int, rows: int, environments: list[dict[str, str]]
) -> float:
    """Run the processes of a row; what worker 0 measured."""
    command = [sys.executable, __file__, "--worker", who, "--rows", str(rows), "--steps",
               str(steps), workload]  # fmt: skip
    base = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, env={**base, **own}, stdout=subprocess.PIPE, text=True)
        for own in environments
    ]
    try:
        printed = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return float(json.loads(printed[0].strip().splitlines()[-1])["rate"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["cnn", "deepfm", "table"])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--worker", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work = our_worker if options.worker == "ours" else peer_worker
        work(options.what[0], options.steps, options.rows)
        return
    for workload in (x for x in ("cnn", "deepfm") if x in options.what):
        print(f"\n{workload}: steps/s     workers  matrixslow     DDP   ratio   MB/step")
        for workers in (1, 2, 3):
            ours, moved = run_ours(workload, workers, options.steps, options.rows)
            peer = run_peer(workload, workers, options.steps, options.rows)
            print(f"{workers:>28}  {ours:>10.1f}  {peer:>6.1f}  {ours / peer:>6.2f}  {moved:>8.2f}")
    if "table" in options.what:
        print("\ndeepfm, 1 worker       rows  ms/step")
        for rows in (100_000, 1_000_000, 10_000_000):
            ours, _ = run_ours("deepfm", 1, options.steps, rows)
            print(f"{rows:>27,}  {1000 / ours:>7.1f}")


if __name__ == "__main__":
    main()
