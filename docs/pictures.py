"""The pictures of the guide, drawn by the framework itself: python docs/pictures.py."""

from __future__ import annotations

from pathlib import Path

import matrixslow as ms

FOLDER = Path(__file__).with_name("pictures")


def line() -> tuple[ms.Graph, ms.Node]:
    """A line through points, and how far it is off."""
    with ms.Graph(seed=0) as graph:
        x = ms.Input((None,), name="x")
        truth = ms.Input((None,), name="truth")
        w, b = ms.Variable(0.5, name="w"), ms.Variable(0.0, name="b")
        guess = ms.ops.Add(ms.ops.Mul(w, x, name="wx"), b, name="guess")
        error = ms.ops.Sub(guess, truth, name="error")
        loss = ms.ops.ReduceMean(
            ms.ops.Mul(error, error, name="square"), keepdims=False, name="loss"
        )
    return graph, loss


def network() -> ms.Graph:
    """A convolutional network."""
    with ms.Graph(seed=0) as graph:
        image = ms.Input((None, 1, 28, 28), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.conv(image, 32, kernel=3, activation="relu", name="conv1")
        h = ms.layers.conv(ms.layers.max_pool(h, 2), 64, kernel=3, activation="relu", name="conv2")
        h = ms.layers.flatten(ms.layers.max_pool(h, 2))
        h = ms.layers.dense(h, 128, activation="relu", name="fc1")
        logits = ms.layers.dense(h, 10, name="fc2")
        ms.ops.SoftmaxCrossEntropy(logits, label, name="loss")
    return graph


def main() -> None:
    """Draw all pictures into the folder beside this file."""
    FOLDER.mkdir(exist_ok=True)
    graph, loss = line()
    graph.draw(FOLDER / "forward.svg", engine="own")
    graph.forward(loss, {graph["x"]: [1.0, 2.0, 3.0], graph["truth"]: [2.0, 4.0, 6.0]})
    graph.backward(loss)
    graph.draw(FOLDER / "values.svg", values=True, engine="own")
    slopes = ms.gradients(loss, [graph["w"], graph["b"]])
    ms.render.draw([loss, *slopes], FOLDER / "gradients.svg", gradients=True, engine="own")
    scopes = ("conv1", "max_pool", "conv2", "max_pool_1", "flatten", "fc1", "fc2")
    network().draw(FOLDER / "network.svg", fold=scopes, engine="own")


if __name__ == "__main__":
    main()
