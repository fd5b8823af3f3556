"""Lesson 9. Logistic and softmax regression: from scores to probabilities.

A linear model gives scores. To choose between two classes, the sigmoid makes a score s into a
probability; between many, softmax makes scores s[c] into probabilities that sum to 1:

    sigmoid   p = 1 / (1 + exp(-s))            loss  -log p of what is true
    softmax   p[c] = exp(s[c]) / sum exp(s)    loss  -log p[true class]: the cross entropy

Both losses have the simplest slope there is: d loss / d s = p - t, where t is 1 at the true class
and 0 elsewhere. The lesson checks that, and learns irises by it, by hand and with ready parts.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)


def irises(seed: int) -> tuple[np.ndarray, ...]:
    """One of many ways to set a fifth aside, each column of mean 0 and deviation 1."""
    data = lesson.data(lambda: ms.io.iris(seed=seed))
    mean, deviation = data.train_x.mean(axis=0), data.train_x.std(axis=0)
    x, test_x = ((each - mean) / deviation for each in (data.train_x, data.test_x))
    return x, data.train_y, test_x, data.test_y


x, y, test_x, test_y = irises(seed=0)
rate, epochs = 0.5, 1000

lesson.part("1. The slope of both losses is p - t")
with ms.Graph() as graph:
    score = ms.Variable([[0.5], [-1.0]], name="score")
    scores = ms.Variable([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]], name="scores")
    logistic = ms.ops.BinaryCrossEntropyWithLogits(score, [[1.0], [0.0]], reduction="sum")
    softmax = ms.ops.SoftmaxCrossEntropy(scores, np.array([0, 1]), reduction="sum")
    total = logistic + softmax
graph.forward(total)
graph.backward(total)
p = 1 / (1 + np.exp(-score.value))
print(f"sigmoid: p - t  {(p - [[1], [0]]).ravel()}     framework {score.gradient.ravel()}")
p = np.exp(scores.value) / np.exp(scores.value).sum(axis=1, keepdims=True)
slope_by_hand = p - [[1, 0, 0], [0, 1, 0]]
for mine, its in zip(slope_by_hand, scores.gradient, strict=True):
    print(f"softmax: p - t  {np.round(mine, 4)!s:<28}framework {np.round(its, 4)}")

lesson.part("2. Logistic regression, by hand and with ready parts: virginica or not")
t, test_t = (y == 2).astype(np.float32), (test_y == 2)
w, b = np.zeros(4, np.float32), 0.0
for _ in range(epochs):
    p = 1 / (1 + np.exp(-(x @ w + b)))
    w -= rate * x.T @ (p - t) / len(x)
    b -= rate * (p - t).mean()
logistic_accuracy = np.mean((test_x @ w + b > 0) == test_t)
print(f"test accuracy {logistic_accuracy:.1%}")
with ms.Graph(seed=0) as graph:
    features = ms.Input((None, 4), name="features")
    virginica = ms.Input((None, 1), name="virginica")
    zeros = ms.initializers.Zeros()
    score = ms.layers.dense(features, 1, kernel_initializer=zeros, name="score")
    loss = ms.ops.BinaryCrossEntropyWithLogits(score, virginica, name="loss")
roc = ms.metrics.RocCurve(score, virginica)
trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(rate), metrics=[roc])
trainer.fit({features: x, virginica: t[:, None]}, epochs=epochs, batch_size=len(x), progress=False)
logistic_w = graph["score/W"].value.ravel()
print(f"weights by hand            {w}\nweights with ready parts   {logistic_w}")
logistic_hand = w
judged = trainer.evaluate({features: test_x, virginica: test_t[:, None].astype(np.float32)})
ms.render.roc_curves(
    {"logistic regression": judged[roc.name]},
    lesson.picture("09_roc.svg"),
    title="Virginica or not, on 30 irises",
)

lesson.part("3. Softmax regression by hand: which of the three")
w, b = np.zeros((4, 3), np.float32), np.zeros(3, np.float32)
truth = np.eye(3, dtype=np.float32)[y]
hand_losses = []
for _ in range(epochs):
    exponentials = np.exp(x @ w + b)
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    hand_losses.append(-np.log(p[np.arange(len(y)), y]).mean())
    w -= rate * x.T @ (p - truth) / len(x)
    b -= rate * (p - truth).mean(axis=0)
hand_accuracy = np.mean((test_x @ w + b).argmax(axis=1) == test_y)
print(f"loss {hand_losses[-1]:.4f}, test accuracy {hand_accuracy:.1%}")

lesson.part("4. Softmax regression with ready parts")


def softmax_regression(
    data: tuple[np.ndarray, ...], optimizer: ms.optimizers.Optimizer, epochs: int, batch_size: int
) -> tuple[ms.trainer.History, float, np.ndarray]:
    """Train on one part, and judge on the other."""
    x, y, test_x, test_y = data
    with ms.Graph(seed=0) as graph:
        features = ms.Input((None, *x.shape[1:]), name="features")
        label = ms.Input((None,), dtype="int64", name="label")
        zeros = ms.initializers.Zeros()
        flat = ms.layers.flatten(features)
        scores = ms.layers.dense(flat, int(y.max()) + 1, kernel_initializer=zeros, name="scores")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    accuracy = ms.metrics.Accuracy(scores, label)
    trainer = ms.trainer.Trainer(loss, optimizer, metrics=[accuracy])
    history = trainer.fit(
        {features: x, label: y}, epochs=epochs, batch_size=batch_size, progress=False
    )
    judged = trainer.evaluate({features: test_x, label: test_y})
    return history, judged["accuracy"], graph["scores/W"].value


history, ready_accuracy, ready_w = softmax_regression(
    (x, y, test_x, test_y), ms.optimizers.SGD(rate), epochs, len(x)
)
print(f"loss {history['loss'][-1]:.4f}, test accuracy {ready_accuracy:.1%}")
print(f"largest difference between the weights, by hand and ready: {np.abs(w - ready_w).max():.1e}")
iris_accuracies = [ready_accuracy]
for seed in range(1, 5):
    parts = irises(seed)
    found = softmax_regression(parts, ms.optimizers.SGD(rate), epochs, len(parts[0]))
    iris_accuracies.append(found[1])
print("30 irises are few to judge by. With other fifths set aside:", end=" ")
print(", ".join(f"{each:.1%}" for each in iris_accuracies), end="; ")
print(f"mean {np.mean(iris_accuracies):.1%}")
line_chart(
    {"by hand": hand_losses, "ready parts": history["loss"]},
    lesson.picture("09_iris.svg"),
    title="Softmax regression on Iris: one curve, twice",
    x_label="epoch",
    y_label="loss",
)

lesson.part("5. The same model on MNIST")
try:
    mnist = ms.io.mnist(download=False)
except ms.errors.DatasetMissing as missing:
    print(f"skipped: {missing}")
else:
    count = 2000 if lesson.smoke else 60000
    images = (mnist.train_x[:count], mnist.train_y[:count], mnist.test_x, mnist.test_y)
    _, mnist_accuracy, _ = softmax_regression(images, ms.optimizers.Adam(1e-3), 5, 64)
    print(f"{count} images, 5 epochs: test accuracy {mnist_accuracy:.1%}")
