"""Lesson 17. A convolutional network reads handwritten digits.

Lesson 16 had one filter, and told it what to find. A convolutional network has many, in layers, and
tells them only which digit each picture shows. Three ideas:

    convolution   a filter sees a small window, and the same weights serve every place
    pooling       of each 2 x 2 square only the largest number is kept: what, not quite where
    depth         the second layer sees what the first one found, in a window of its own

The lesson borrows its model from mnist.py, which trains it to 99 % and more. Here it sees 6,000 of
the 60,000 pictures twice, and then shows what its filters have become.
"""

import numpy as np
from course import begin
from mnist import convolutional_network

import matrixslow as ms

lesson = begin(__doc__)
data = lesson.data(lambda: ms.io.mnist(download=False))

lesson.part("1. What a layer does to the shape, and what it costs")
with ms.Graph(seed=0) as graph:
    image = ms.Input((None, 1, 28, 28), name="image")
    label = ms.Input((None,), dtype="int64", name="label")
    logits = convolutional_network(image)
    loss = ms.ops.SoftmaxCrossEntropy(logits, label, name="loss")
print("a k x k filter on an n x n picture has (n - k + 1)**2 places; pooling halves them")
print(
    "28 -> 28 - 3 + 1 = 26 -> 13 -> 13 - 3 + 1 = 11 -> 5;  64 channels of 5 x 5 are 1,600 numbers"
)
print(f"first layer: 32 filters of 3 x 3 weights and a bias: {32 * (9 + 1)} parameters")
print(f"a dense layer from 28 x 28 to 32 x 26 x 26 would have {28**2 * 32 * 26**2:,}\n")
print(graph.summary())

lesson.part("2. A convolution by hand")
first = data.train_x[:1]
weights, bias = graph["conv1/W"].value, graph["conv1/b"].value
maps = graph.forward(graph["conv1/relu"], {image: first})[0]
place, row, column = np.unravel_index(maps.argmax(), maps.shape)
window = first[0, 0, row : row + 3, column : column + 3]
by_hand = max((window * weights[place, 0]).sum() + bias[place], 0.0)
print(f"filter {place} at ({row}, {column}), relu: by hand {by_hand:.6f},", end=" ")
print(f"by the framework {maps[place, row, column]:.6f}")

lesson.part("3. Training")
count, epochs = (1280, 2) if lesson.smoke else (6_000, 2)
test = slice(0, 1000 if lesson.smoke else 10_000)
filters_before = weights.copy()
metrics = [ms.metrics.Accuracy(logits, label), ms.metrics.ConfusionMatrix(logits, label)]
trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(2e-3), metrics=metrics)
trainer.fit(
    {image: data.train_x[:count], label: data.train_y[:count]}, epochs=epochs, batch_size=64
)
judged = trainer.evaluate({image: data.test_x[test], label: data.test_y[test]})
print(f"{count:,} pictures, {epochs} epochs: test accuracy {judged['accuracy']:.1%}")

ms.render.confusion_matrix(
    judged["confusion_matrix"],
    lesson.picture("17_confusion.svg"),
    classes=data.classes,
    title="Which digit was taken for which",
)
ms.render.image_grid(
    np.concatenate([filters_before[:16], graph["conv1/W"].value[:16]]),
    lesson.picture("17_filters.svg"),
    columns=16,
    title="16 filters of the first layer, before (above) and after",
)
seven = int(np.flatnonzero(data.test_y == 7)[0])
found = graph.forward(graph["conv1/relu"], {image: data.test_x[seven : seven + 1]})[0]
strongest = np.argsort(-found.mean(axis=(1, 2)))[:15]
ms.render.image_grid(
    np.concatenate([data.test_x[seven, :, 1:-1, 1:-1], found[strongest]]),
    lesson.picture("17_found.svg"),
    labels=["picture", *(f"filter {place}" for place in strongest)],
    shared=False,
    title="What 15 filters of the first layer find in a seven",
)
scores = trainer.predict(logits, {image: data.test_x[test]})
guesses, truth = scores.argmax(axis=1), data.test_y[test]
wrong = np.flatnonzero(guesses != truth)[:16]
ms.render.image_grid(
    data.test_x[test][wrong],
    lesson.picture("17_wrong.svg"),
    labels=[f"{truth[place]}, not {guesses[place]}" for place in wrong],
    title="Pictures that were taken for another digit",
)
vectors = trainer.predict(graph["fc1/relu"], {image: data.test_x[:500]})
ms.render.scatter(
    vectors,
    lesson.picture("17_vectors.svg"),
    groups=data.test_y[:500],
    title="500 pictures as the last hidden layer sees them",
)
