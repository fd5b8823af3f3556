"""The demo: a convolutional network learns handwritten digits, and shows all it can do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow import io, layers, metrics, ops, optimizers, trainer
from matrixslow.backend import Array
from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.core import Graph, Input, Node
from matrixslow.function import function

SHADES = " .:-=+*#%@"

NEXT = """
Try next:
  .venv/bin/python -m matrixslow                  all commands: train on data of your own, ...
  .venv/bin/python examples/mnist.py --model cnn  learn MNIST
  .venv/bin/python examples/own_operator.py       add an operator in ten lines"""


def build(graph: Graph) -> tuple[Input, Input, Node, Node]:
    """The network: image, label, probabilities and loss."""
    with graph:
        image = Input((None, 1, 8, 8), name="image")
        label = Input((None,), dtype="int64", name="label")
        h = layers.conv(image, 16, kernel=3, padding="same", activation="relu", name="conv1")
        h = layers.conv(h, 32, kernel=3, padding="same", activation="relu", name="conv2")
        h = layers.dropout(layers.max_pool(h, 2), 0.25)
        h = layers.dense(layers.flatten(h), 64, activation="relu", name="fc1")
        logits = layers.dense(h, 10, name="fc2")
        probabilities = ops.Softmax(logits, name="probabilities")
        loss = ops.SoftmaxCrossEntropy(logits, label, name="loss")
    return image, label, probabilities, loss


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="for what is written")
    parser.add_argument("--epochs", type=count, default=12, help="how often to go through the data")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Train, judge, draw, save and load; everything written goes into the folder."""
    folder, epochs = options.folder, options.epochs
    data = io.digits()
    page.text(
        f"Handwritten digits: {len(data.train_x)} images of 8x8 to learn from, "
        f"{len(data.test_x)} to test on.\n"
    )
    graph = Graph(seed=options.seed)
    image, label, probabilities, loss = build(graph)
    page.text(graph.summary())

    page.text()
    model = trainer.Trainer(
        loss,
        optimizers.Adam(optimizers.CosineDecay(3e-3, total=epochs * len(data.train_x) // 32)),
        metrics=[metrics.Accuracy(probabilities, label)],
    )
    history = model.fit(
        {image: data.train_x, label: data.train_y},
        epochs=epochs,
        batch_size=32,
        validation={image: data.test_x, label: data.test_y},
        progress=not page.as_json,
    )
    accuracy = float(model.evaluate({image: data.test_x, label: data.test_y})["accuracy"])
    page.text(f"\ntest accuracy {accuracy:.1%}\n")

    predicted = _predict(graph, data.test_x)
    page.text(_show(data.test_x, data.test_y, predicted))

    folder.mkdir(parents=True, exist_ok=True)
    graph.draw(folder / "model.svg")
    history.plot(folder / "loss.svg")
    file = io.save(graph, folder / "model")
    same = np.array_equal(_predict(io.load(file), data.test_x), predicted)
    page.status = 0 if same else 1
    page.text(
        f"\nwrote {folder / 'model.svg'} (the graph), {folder / 'loss.svg'} (the loss), {file}"
    )
    page.text(f"loaded {file}: {'the same' if same else 'OTHER'} predictions on all test images")
    page.text(NEXT)
    return {"accuracy": accuracy, "file": str(file), "same": same, "history": history.to_dict()}


def _predict(graph: Graph, images: Array) -> Array:
    probabilities: Array = function([graph["image"]], graph["probabilities"])(images)
    return probabilities


def _show(images: Array, labels: Array, probabilities: Array) -> str:
    """A few images as text, side by side, with what the network says: right ones and wrong ones."""
    guesses = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guesses != labels)[:2]
    right = np.flatnonzero(guesses == labels)[: 6 - len(wrong)]
    chosen = [*right, *wrong]
    lines = ["   ".join(_row(images[i, 0, row]) for i in chosen) for row in range(8)]
    answers = [f"{guesses[i]} ({probabilities[i, guesses[i]]:.0%})" for i in chosen]
    truths = ["right" if guesses[i] == labels[i] else f"it is a {labels[i]}" for i in chosen]
    for captions in (answers, truths):
        lines.append("   ".join(f"{caption:<16}" for caption in captions))
    return "\n".join(line.rstrip() for line in lines)


def _row(pixels: Sequence[float]) -> str:
    return "".join(2 * SHADES[round(float(pixel) * (len(SHADES) - 1))] for pixel in pixels)


DEMO = Command("demo", "see a network learn handwritten digits", "demo", options, run)
