"""Lesson 8. Perceptron and adaline: the two ancestors.

Both say yes (1) or no (-1) by the side of a line on which a sample lies: the sign of x w + b. They
differ in what they call an error:

    perceptron   max(0, -t s)     only samples on the wrong side count, by their distance
    adaline      (s - t)**2       every sample should have a score s of exactly 1 or -1

With samples one by one, their steps down the slope are the rules of 1958 and 1960:

    perceptron   where the sign is wrong:  w <- w + rate t x,  b <- b + rate t
    adaline      always:                   w <- w + 2 rate (t - s) x,  b <- b + 2 rate (t - s)

Both start at w = [1, 1]: with w = 0 every score is 0, the perceptron's kink, where its slope is 0.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

data = lesson.data(ms.io.iris)
print("Setosa (1) or another iris (-1), by the length and width of its petals, in centimetres")
x, test_x = data.train_x[:, 2:], data.test_x[:, 2:]
t, test_t = (np.where(y == 0, 1.0, -1.0).astype(np.float32) for y in (data.train_y, data.test_y))
rate, epochs = 0.01, 10


def by_hand(rule: str) -> tuple[np.ndarray, np.float32]:
    """The historical rule, sample by sample."""
    w, b = np.ones(2, np.float32), np.float32(0)
    for _ in range(epochs):
        for sample, truth in zip(x, t, strict=True):
            score = sample @ w + b
            if rule == "perceptron":
                change = rate * truth if truth * score < 0 else 0.0
            else:
                change = 2 * rate * (truth - score)
            w, b = w + np.float32(change) * sample, b + np.float32(change)
    return w, b


def by_framework(rule: str) -> tuple[np.ndarray, np.ndarray, ms.trainer.History]:
    """The loss, and its slope found by the framework."""
    with ms.Graph(seed=0) as graph:
        petals = ms.Input((None, 2), name="petals")
        truth = ms.Input((None, 1), name="truth")
        ones = ms.initializers.Ones()
        score = ms.layers.dense(petals, 1, kernel_initializer=ones, name="score")
        losses = {"perceptron": ms.ops.PerceptronLoss, "adaline": ms.ops.MeanSquaredError}
        loss = losses[rule](score, truth, name="loss")
    accuracy = ms.metrics.Accuracy(score, truth, threshold=0.0)
    trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(rate), metrics=[accuracy])
    history = trainer.fit(
        {petals: x, truth: t[:, None]}, epochs=epochs, batch_size=1, shuffle=False, progress=False
    )
    return graph["score/W"].value.ravel(), graph["score/b"].value, history


accuracies, weights, curves = {}, {}, {}
for rule in ("perceptron", "adaline"):
    lesson.part(rule.capitalize())
    w, b, history = by_framework(rule)
    weights[rule] = (by_hand(rule), (w, b))
    curves[rule] = history["accuracy"]
    accuracies[rule] = np.mean(np.where(test_x @ w + b > 0, 1, -1) == test_t)
    (hand_w, hand_b), _ = weights[rule]
    print(f"by hand        w = {hand_w}, b = {hand_b:.4f}")
    print(f"by framework   w = {w}, b = {b[0]:.4f}")
    print(f"test accuracy  {accuracies[rule]:.1%}")

line_chart(
    curves,
    lesson.picture("08_accuracy.svg"),
    title="Setosa or not: the share of training samples told right, while learning",
    x_label="epoch",
    y_label="accuracy",
)
