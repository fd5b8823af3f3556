"""Lesson 10. The multilayer perceptron, and what epoch, batch and iteration mean.

Two linear models in a row are one linear model. A kink between them changes that:

    H = relu(X W1 + b1)    relu(h) = max(h, 0)
    scores = H W2 + b2

With enough columns in W1 the kinks can follow any border. Here it is that between two spirals,
where a linear model is as good as a coin.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)
x, test_x, y, test_y = ms.io.train_test_split(*ms.io.spirals(1000, turns=1.0, seed=0), seed=0)
hidden, rate, batch_size = 64, 1e-2, 40
epochs = 40

lesson.part("1. Epoch, batch, iteration")
iterations = -(-len(x) // batch_size)
print("An epoch goes through all training samples once, a batch at a time. Each batch is one step,")
print(f"or iteration. 1000 samples, batch size 10: {1000 // 10} iterations make 1 epoch.")
print(f"Here: {len(x)} samples, batch size {batch_size}: {iterations} iterations an epoch,")
print(f"{epochs} epochs: {epochs * iterations} iterations in all.")

lesson.part("2. Without a kink, two layers are one")
rng = np.random.default_rng(0)
first, second = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
once = x[:1] @ (first @ second)
twice = (x[:1] @ first) @ second
print(f"(X W1) W2 = {twice[0]}    X (W1 W2) = {once[0]}")

lesson.part("3. By hand: variables and matrix products")


def relu(h: ms.Node) -> ms.Node:
    return ms.ops.Max(h, 0.0)


with ms.Graph(seed=0) as graph:
    points = ms.Input((None, 2), name="points")
    label = ms.Input((None,), dtype="int64", name="label")
    glorot, zeros = ms.initializers.GlorotUniform(), ms.initializers.Zeros()
    W1 = ms.Variable(glorot, shape=(2, hidden), name="W1")
    b1 = ms.Variable(zeros, shape=(hidden,), name="b1")
    W2 = ms.Variable(glorot, shape=(hidden, 2), name="W2")
    b2 = ms.Variable(zeros, shape=(2,), name="b2")
    scores = relu(points @ W1 + b1) @ W2 + b2
    loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    step = ms.function(
        [points, label], loss, updates=ms.optimizers.Adam(rate).minimize(loss), training=True
    )
    predict = ms.function([points], scores)
start = graph.state_dict()

batches = ms.io.Batches({"x": x, "y": y}, batch_size, seed=0)
hand_losses, count = [], 0
for epoch in range(epochs):
    losses = []
    for batch in batches.epoch(epoch):
        losses.append(step(batch["x"], batch["y"]))
        count += 1
    hand_losses.append(np.mean(losses))
hand_accuracy = np.mean(predict(test_x).argmax(axis=1) == test_y)
print(f"{count} iterations, loss {hand_losses[-1]:.4f}, test accuracy {hand_accuracy:.1%}")

lesson.part("4. Ready parts")


def fit(*units: int) -> tuple[ms.Graph, ms.trainer.History, float]:
    """A network with hidden layers of so many units, trained."""
    with ms.Graph(seed=0) as graph:
        points = ms.Input((None, 2), name="points")
        label = ms.Input((None,), dtype="int64", name="label")
        h = points
        for place, width in enumerate(units, start=1):
            h = ms.layers.dense(h, width, activation="relu", name=f"fc{place}")
        scores = ms.layers.dense(h, 2, name="scores")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    if units == (hidden,):  # begin where the one by hand began
        names = {"fc1/W": "W1", "fc1/b": "b1", "scores/W": "W2", "scores/b": "b2"}
        graph.load_state_dict({name: start[old] for name, old in names.items()})
    accuracy = ms.metrics.Accuracy(scores, label)
    trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(rate), metrics=[accuracy])
    history = trainer.fit(
        {points: x, label: y}, epochs=epochs, batch_size=batch_size, progress=False
    )
    return graph, history, trainer.evaluate({points: test_x, label: test_y})["accuracy"]


_, linear, linear_accuracy = fit()
graph, ready, ready_accuracy = fit(hidden)
_, deep, deep_accuracy = fit(hidden, hidden)
print(f"no hidden layer       loss {linear['loss'][-1]:.4f}, test accuracy {linear_accuracy:.1%}")
print(f"one, from the same W  loss {ready['loss'][-1]:.4f}, test accuracy {ready_accuracy:.1%}")
print(f"two hidden layers     loss {deep['loss'][-1]:.4f}, test accuracy {deep_accuracy:.1%}")
line_chart(
    {
        "no hidden layer": linear["loss"],
        "by hand": hand_losses,
        "one hidden layer": ready["loss"],
        "two hidden layers": deep["loss"],
    },
    lesson.picture("10_loss.svg"),
    title="Two spirals: what hidden layers can do",
    x_label="epoch",
    y_label="loss",
    log=True,
)
graph.draw(lesson.picture("10_graph.svg"))
