"""Lesson 7. Linear regression, by hand and with ready parts.

Given samples (x, y), find weights and a bias with which x w + b is near to y:

    model       y' = x w + b
    loss        the mean over a batch of (y' - y)**2 / 2
    step        w <- w - rate * d loss / d w,  b <- b - rate * d loss / d b

Every model is these three: a structure, a loss, and a way to make the loss smaller. Part 1 writes
all three out in NumPy, slopes included; part 2 lets a graph find the slopes; part 3 uses a layer,
an optimizer and the trainer. The three agree.
"""

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

x, y, true_w, true_b = ms.io.linear(1000, features=2, noise=0.01, seed=0)
rate, epochs, batch_size = 0.03, 3, 10
print(f"true weights {true_w.ravel()}, true bias {true_b}")
batches = ms.io.Batches({"x": x, "y": y}, batch_size, seed=0)
print(
    f"{len(x)} samples in batches of {batch_size}: {len(batches)} steps an epoch, {epochs} epochs"
)

lesson.part("1. By hand: the slopes worked out on paper")


def linreg(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return x @ w + b


def squared_loss(prediction: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (prediction - y.reshape(prediction.shape)) ** 2 / 2


def sgd(parameters: list[np.ndarray], slopes: list[np.ndarray], rate: float) -> None:
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter -= rate * slope


print("d loss/d w = x' (y' - y) / n,  d loss/d b = the mean of y' - y")
w, b = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)
for epoch in range(epochs):
    for batch in batches.epoch(epoch):
        difference = linreg(batch["x"], w, b) - batch["y"]
        slopes = [batch["x"].T @ difference / len(difference), difference.mean(axis=0)]
        sgd([w, b], slopes, rate)
    print(f"epoch {epoch + 1}, loss {squared_loss(linreg(x, w, b), y).mean():.6f}")
by_hand = (w, b)

lesson.part("2. A graph finds the slopes")
with ms.Graph() as graph:
    features = ms.Input((None, 2), name="features")
    target = ms.Input((None, 1), name="target")
    w = ms.Variable(np.zeros((2, 1)), name="w")
    b = ms.Variable(np.zeros(1), name="b")
    prediction = features @ w + b
    loss = ms.ops.ReduceMean((prediction - target) ** 2 / 2.0, keepdims=False, name="loss")
    dw, db = ms.gradients(loss, [w, b])
    step = ms.function([features, target], loss, updates=[(w, w - rate * dw), (b, b - rate * db)])
    judge = ms.function([features, target], loss)
for epoch in range(epochs):
    for batch in batches.epoch(epoch):
        step(batch["x"], batch["y"])
    print(f"epoch {epoch + 1}, loss {judge(x, y):.6f}")
by_graph = (w.value, b.value)

lesson.part("3. Ready parts: a layer, an optimizer, the trainer")
with ms.Graph(seed=0) as graph:
    features = ms.Input((None, 2), name="features")
    target = ms.Input((None, 1), name="target")
    zeros = ms.initializers.Zeros()
    prediction = ms.layers.dense(features, 1, kernel_initializer=zeros, name="linear")
    loss = ms.ops.MeanSquaredError(prediction, target, name="loss") / 2.0
trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(rate))
history = trainer.fit({features: x, target: y}, epochs=epochs, batch_size=batch_size)
ready = (graph["linear/W"].value, graph["linear/b"].value)
history.plot(lesson.picture("07_loss.svg"))
graph.draw(lesson.picture("07_graph.svg"))

lesson.part("The same weights, three times")
print(f"{'':<14}{'weights':<26}bias")
rows = {"true": (true_w, true_b), "by hand": by_hand, "by graph": by_graph, "ready parts": ready}
for name, (weights, bias) in rows.items():
    print(f"{name:<14}{weights.ravel()!s:<26}{bias}")
