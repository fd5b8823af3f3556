"""Lesson 15. Words read from lips: a recurrent network on real recordings.

ArticularyWordRecognition: nine numbers, 200 times a second, from sensors on tongue and lips, while
somebody says one of 25 words. 275 recordings to learn from, 300 to be tested on.

A simple recurrent network must squeeze each step through a tanh, and early steps fade. An LSTM has
a memory c that is only added to, and gates (numbers from 0 to 1) that say what to forget, what to
write, and what to show:

    c[t] = forget * c[t-1] + write * tanh(...)        h[t] = show * tanh(c[t])

The last state knows the end of a word best. A second LSTM, which reads the word backwards, knows
the beginning.
"""

import time

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

data = lesson.data(ms.io.articulary_word_recognition)
stretch = 8
print(f"{len(data.train_x)} and {len(data.test_x)} recordings of {data.train_x.shape[2]} steps")


def prepared(series: np.ndarray) -> np.ndarray:
    """Means over stretches of 8 steps, with the channels last: (recordings, 18, 9)."""
    count, channels, steps = series.shape
    means = series.reshape(count, channels, steps // stretch, stretch).mean(axis=3)
    return means.transpose(0, 2, 1)


x, test_x = prepared(data.train_x), prepared(data.test_x)
mean, deviation = x.mean(axis=(0, 1)), x.std(axis=(0, 1))
x, test_x = (x - mean) / deviation, (test_x - mean) / deviation
print(f"as means of {stretch} steps: {x.shape[1]} steps of {x.shape[2]} numbers\n")

epochs, batch_size = 60, 25


def states(model: str, word: ms.Node) -> ms.Node:
    """What the last state, or the last states of both directions, know of a word."""
    if model == "simple":
        return ms.layers.rnn(word, 32, name="rnn")
    forward = ms.layers.lstm(word, 32, name="forward")
    if model == "LSTM":
        return forward
    backward = ms.layers.lstm(ms.ops.Flip(word, axes=1), 32, name="backward")
    return ms.ops.Concat(forward, backward, axis=1)


def fit(model: str) -> tuple[ms.trainer.History, dict[str, np.ndarray], ms.Graph]:
    with ms.Graph(seed=0) as graph:
        word = ms.Input((None, *x.shape[1:]), name="word")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.dropout(states(model, word), 0.5)
        scores = ms.layers.dense(h, len(data.classes), name="scores")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    steps = epochs * -(-len(x) // batch_size)
    trainer = ms.trainer.Trainer(
        loss,
        ms.optimizers.Adam(ms.optimizers.CosineDecay(1e-2, total=steps)),
        metrics=[ms.metrics.Accuracy(scores, label), ms.metrics.ConfusionMatrix(scores, label)],
    )
    history = trainer.fit(
        {word: x, label: data.train_y}, epochs=epochs, batch_size=batch_size, progress=False
    )
    return history, trainer.evaluate({word: test_x, label: data.test_y}), graph


models = ("LSTM both ways",) if lesson.smoke else ("simple", "LSTM", "LSTM both ways")
curves, accuracies = {}, {}
for model in models:
    began = time.perf_counter()
    history, judged, graph = fit(model)
    curves[model], accuracies[model] = history["loss"], judged["accuracy"]
    seconds = time.perf_counter() - began
    print(
        f"{model:<16}loss {history['loss'][-1]:.4f}, test accuracy {judged['accuracy']:.1%}"
        f"   {seconds:.1f} s"
    )

line_chart(
    curves,
    lesson.picture("15_loss.svg"),
    title="25 words from tongue and lips",
    x_label="epoch",
    y_label="loss",
    log=True,
)
matrix = judged["confusion_matrix"]
ms.render.confusion_matrix(
    matrix,
    lesson.picture("15_confusion.svg"),
    classes=[f"word {number}" for number in range(1, len(data.classes) + 1)],
    title=f"{models[-1]}: which word was taken for which",
)
graph.draw(lesson.picture("15_graph.svg"))
print(f"{matrix.sum() - np.trace(matrix):.0f} of {matrix.sum():.0f} words were taken for others")
