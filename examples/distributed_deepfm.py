"""DeepFM with a table of ten million rows, which lives on two parameter servers.

    matrixslow launch --servers 2 --workers 2 examples/distributed_deepfm.py

Who clicks on what is known by ids: of the user, the page, the advertisement, ... Each has a vector
in a table. A batch reads a few thousand rows of it, so only these are pulled and pushed, and only
they take memory: the cost of a step depends on the batch, and not on the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

import numpy as np

import matrixslow as ms

FIELDS = 8


def clicks(samples: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids that are used as often as in life, a few very often, and clicks that depend on them."""
    rng = np.random.default_rng(0)
    share = rows // FIELDS
    popular = np.minimum(rng.zipf(1.2, (samples, FIELDS)), share) - 1
    taste = np.sin(popular * 12.9898 + np.arange(FIELDS)) > 0
    chance = 1 / (1 + np.exp(4 - taste.sum(axis=1)))
    clicked = (rng.random(samples) < chance).astype(np.float32).reshape(-1, 1)
    return popular + share * np.arange(FIELDS), clicked


def deep_fm(ids: ms.Node, rows: int) -> ms.Node:
    """A weight for each id and each pair of ids, and a network that reads the same vectors."""
    untouched = ms.initializers.Zeros()  # the servers make the rows, when they are first read
    options = {"sparse": True, "initializer": untouched}
    vectors = ms.layers.embedding(ids, rows, 8, name="vectors", **options)
    weights = ms.layers.embedding(ids, rows, 1, name="weights", **options)
    first = ms.ops.ReduceSum(weights, axes=1, keepdims=False)
    pairs = ms.layers.pairwise_interactions(vectors, name="pairs")
    h = ms.layers.dense(ms.layers.flatten(vectors), 64, activation="relu", name="deep1")
    return first + pairs + ms.layers.dense(h, 1, name="deep2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="a few batches only, as a test")
    options = parser.parse_args()
    cluster = ms.dist.cluster()
    if options.smoke and cluster.source == "alone":
        smoke()
        return

    samples = 4_000 if options.smoke else options.samples
    fields, clicked = clicks(samples, options.rows)
    with ms.Graph(seed=0):
        ids = ms.Input((None, FIELDS), dtype="int64", name="ids")
        target = ms.Input((None, 1), name="clicked")
        score = deep_fm(ids, options.rows)
        loss = ms.ops.BinaryCrossEntropyWithLogits(score, target, name="loss")

    trainer = ms.trainer.ParameterServerTrainer(
        loss,
        ms.optimizers.Adam(2e-3),
        cluster=cluster,
        metrics=[ms.metrics.AUC(score, target)],
        new_rows=(-0.02, 0.02),
    )
    held_out = samples // 10
    trainer.fit(
        {ids: fields[held_out:], target: clicked[held_out:]},
        epochs=1 if options.smoke else options.epochs,
        batch_size=512,
        validation={ids: fields[:held_out], target: clicked[:held_out]},
    )
    trainer.close()


def smoke() -> None:
    """The same script once more, on two servers and two workers."""
    with tempfile.TemporaryDirectory() as folder:
        job = ["--servers", "2", "--workers", "2", "--state-dir", folder, __file__, "--smoke"]
        subprocess.run([sys.executable, "-m", "matrixslow", "launch", *job], check=True)


if __name__ == "__main__":
    main()
