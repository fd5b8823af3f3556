"""Lesson 11. Optimizers compared.

All go down the slope g of the loss; they differ in how they use the slopes that were before.

    SGD        w <- w - rate g
    Momentum   v <- 0.9 v + g,                      w <- w - rate v
    Nesterov   the same, looking one step ahead
    AdaGrad    s <- s + g g,                        w <- w - rate g / sqrt(s)
    RMSProp    s <- 0.99 s + 0.01 g g,              w <- w - rate g / sqrt(s)
    Adam       running means m of g and v of g g,   w <- w - rate m / sqrt(v)

First in a narrow valley, where all of it can be seen; then on handwritten digits.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

lesson.part("1. A valley: loss = (x**2 + 50 y**2) / 2, from (10, 1)")
steps = 100


def valley(optimizer: ms.optimizers.Optimizer) -> list[float]:
    with ms.Graph():
        w = ms.Variable([10.0, 1.0], name="w")
        loss = ms.ops.ReduceSum(w * w * [0.5, 25.0], keepdims=False)
        step = ms.function([], loss, updates=optimizer.minimize(loss))
    return [float(step()) for _ in range(steps)]


in_valley = {
    "SGD": valley(ms.optimizers.SGD(0.03)),
    "Momentum": valley(ms.optimizers.Momentum(0.03)),
    "Nesterov": valley(ms.optimizers.Nesterov(0.02)),
    "AdaGrad": valley(ms.optimizers.AdaGrad(1.0)),
    "RMSProp": valley(ms.optimizers.RMSProp(0.1)),
    "Adam": valley(ms.optimizers.Adam(0.5)),
}
for name, losses in in_valley.items():
    print(f"{name:<10} loss {losses[0]:.0f} at first, {losses[-1]:.2e} after {steps} steps")
by_hand = np.array([10.0, 1.0])
for _ in range(steps - 1):
    by_hand -= 0.03 * by_hand * [1.0, 50.0]
hand_loss = by_hand @ (by_hand * [0.5, 25.0])
print(f"SGD by hand: {hand_loss:.2e}")
line_chart(
    in_valley,
    lesson.picture("11_valley.svg"),
    title="A narrow valley",
    x_label="step",
    y_label="loss",
    log=True,
)

lesson.part("2. Handwritten digits: one network, the same batches")
data = ms.io.digits()
epochs = 3 if lesson.smoke else 20


def digits(optimizer: ms.optimizers.Optimizer) -> tuple[list[float], float]:
    with ms.Graph(seed=0):
        image = ms.Input((None, 1, 8, 8), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.dense(ms.layers.flatten(image), 32, activation="relu")
        scores = ms.layers.dense(h, 10)
        loss = ms.ops.SoftmaxCrossEntropy(scores, label)
    trainer = ms.trainer.Trainer(loss, optimizer, metrics=[ms.metrics.Accuracy(scores, label)])
    history = trainer.fit(
        {image: data.train_x, label: data.train_y}, epochs=epochs, batch_size=32, progress=False
    )
    return history["loss"], trainer.evaluate({image: data.test_x, label: data.test_y})["accuracy"]


optimizers = [
    ms.optimizers.SGD(0.1),
    ms.optimizers.Momentum(0.05),
    ms.optimizers.Nesterov(0.05),
    ms.optimizers.AdaGrad(0.03),
    ms.optimizers.RMSProp(3e-3),
    ms.optimizers.Adam(5e-3),
    ms.optimizers.AdamW(5e-3),
    ms.optimizers.Adadelta(1.0),
    ms.optimizers.Nadam(5e-3),
    ms.optimizers.Lion(1e-3),
]
curves, accuracies = {}, {}
for optimizer in optimizers:
    name = type(optimizer).__name__
    curves[name], accuracies[name] = digits(optimizer)
    print(f"{name:<10} loss {curves[name][-1]:.4f}, test accuracy {accuracies[name]:.1%}")
line_chart(
    {name: curves[name] for name in in_valley},  # more than six curves would share their looks
    lesson.picture("11_digits.svg"),
    title="Six optimizers learn handwritten digits",
    x_label="epoch",
    y_label="loss",
    log=True,
)
