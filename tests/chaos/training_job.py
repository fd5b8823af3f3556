"""A worker that learns digits with a small network of convolutions, on servers that are killed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import matrixslow as ms


def main(folder: Path, epochs: int) -> None:
    digits = ms.io.digits()
    with ms.Graph(seed=3):
        image = ms.Input((None, 1, 8, 8), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.conv(image, 16, kernel=3, activation="relu")
        h = ms.layers.max_pool(h, 2)
        logits = ms.layers.dense(ms.layers.flatten(h), 10)
        loss = ms.ops.SoftmaxCrossEntropy(logits, label)
    trainer = ms.trainer.ParameterServerTrainer(
        loss, ms.optimizers.Adam(0.003), metrics=[ms.metrics.Accuracy(logits, label)]
    )
    data = {image: digits.train_x, label: digits.train_y}
    held = {image: digits.test_x, label: digits.test_y}
    trainer.fit(data, epochs=epochs, batch_size=32, validation=held, progress=False)
    accuracy = trainer.evaluate(held)["accuracy"]
    weights = {x.name: x.value for x in trainer.graph.variables if x.trainable}
    trainer.close()
    np.savez(folder / f"result-{trainer.rank}.npz", accuracy=accuracy, **weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
