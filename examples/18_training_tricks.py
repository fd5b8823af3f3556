"""Lesson 18. Tricks of training: against overfitting, and against trouble.

A large network learns a small training part by heart: its loss there goes to 0, while on samples
that it has not seen it gets worse again. What helps is to hinder it, and to stop in time:

    weight decay     every step also shrinks the weights:  w <- w - rate (slope + decay w)
    dropout          every step a random half of the units is silent, the others count double
    early stopping   keep the weights of the epoch that was best on samples set aside
    schedule         large steps at first, small ones at the end

And when training breaks: a learning rate that is too large makes numbers infinite. A guard names
the node where it began. The slopes can be clipped; or better, the inputs brought to one scale.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

lesson.part("1. By hand: one step with weight decay, and dropout's double count")
with ms.Graph():
    w = ms.Variable([2.0, -1.0], name="w")
    loss = ms.ops.ReduceSum(w * w, keepdims=False)
    step = ms.function([], loss, updates=ms.optimizers.SGD(0.1, weight_decay=0.5).minimize(loss))
step()
decayed = np.array([2.0, -1.0]) - 0.1 * (np.array([4.0, -2.0]) + 0.5 * np.array([2.0, -1.0]))
print(f"w - 0.1 (slope + 0.5 w): by hand {decayed}, by the framework {w.value}")
with ms.Graph(seed=0):
    ones = ms.Constant(np.ones(10_000, np.float32))
    dropped = ms.ops.ReduceMean(ms.layers.dropout(ones, 0.5), keepdims=False)
    while_training = ms.function([], dropped, training=True)()
    while_judging = ms.function([], dropped, training=False)()
print(f"mean of 10,000 ones behind dropout: {while_training:.3f} in training, {while_judging} else")

lesson.part("2. 100 digits to learn from")
data = ms.io.digits()
x, y = data.train_x[:100], data.train_y[:100]
aside_x, aside_y = data.train_x[100:600], data.train_y[100:600]
epochs, batch_size = (30 if lesson.smoke else 100), 20
print("100 samples to learn from, 500 aside to watch, 360 to be tested on\n")


def fit(
    *,
    dropout: float = 0.0,
    decay: float = 0.0,
    schedule: bool = False,
    hooks: tuple[ms.trainer.Hook, ...] = (),
) -> tuple[ms.trainer.History, float]:
    with ms.Graph(seed=0):
        image = ms.Input((None, 1, 8, 8), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.flatten(image)
        for _ in range(2):
            h = ms.layers.dense(h, 128, activation="relu")
            h = ms.layers.dropout(h, dropout) if dropout else h
        scores = ms.layers.dense(h, 10)
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    steps = epochs * len(x) // batch_size
    rate = ms.optimizers.CosineDecay(3e-3, total=steps) if schedule else 3e-3
    trainer = ms.trainer.Trainer(
        loss,
        ms.optimizers.AdamW(rate, weight_decay=decay),
        metrics=[ms.metrics.Accuracy(scores, label)],
        hooks=hooks,
    )
    history = trainer.fit(
        {image: x, label: y},
        epochs=epochs,
        batch_size=batch_size,
        validation={image: aside_x, label: aside_y},
        progress=False,
    )
    return history, trainer.evaluate({image: data.test_x, label: data.test_y})["accuracy"]


tricks = {
    "plain": {},
    "weight decay": {"decay": 1.0},
    "dropout": {"dropout": 0.5},
    "dropout, schedule": {"dropout": 0.5, "schedule": True},
    "early stopping": {"hooks": (ms.trainer.EarlyStopping(patience=8),)},
}
curves, accuracies = {}, {}
print(f"{'':<20}{'epochs':<8}{'loss':<10}{'loss aside, least':<19}{'last':<9}test accuracy")
for name, options in tricks.items():
    history, accuracies[name] = fit(**options)
    aside = history["validation_loss"]
    curves[name] = aside
    print(
        f"{name:<20}{history.epochs:<8}{history['loss'][-1]:<10.4f}{min(aside):<19.4f}"
        f"{aside[-1]:<9.4f}{accuracies[name]:.1%}"
    )
line_chart(
    curves,
    lesson.picture("18_aside.svg"),
    title="Loss on samples set aside: where it rises, samples are learnt by heart",
    x_label="epoch",
    y_label="loss",
    log=True,
)

lesson.part("3. When numbers grow too large")


def prices(optimizer: ms.optimizers.Optimizer, *, scaled: bool) -> ms.trainer.History:
    """Least squares on sizes from 0 to 100, as they are or brought to mean 0 and deviation 1."""
    with ms.Graph(seed=0):
        size = ms.Input((None, 2), name="size")
        price = ms.Input((None, 1), name="price")
        guess = ms.layers.dense(size, 1, name="linear")
        loss = ms.ops.MeanSquaredError(guess, price, name="loss")
    sizes = np.random.default_rng(0).uniform(0, 100, (200, 2)).astype(np.float32)
    truth = sizes @ np.array([[3.0], [2.0]], np.float32)
    if scaled:
        sizes = (sizes - sizes.mean(axis=0)) / sizes.std(axis=0)
    trainer = ms.trainer.Trainer(loss, optimizer)
    return trainer.fit({size: sizes, price: truth}, epochs=20, batch_size=20, progress=False)


try:
    prices(ms.optimizers.SGD(0.01), scaled=False)
except ms.errors.NonFiniteError as error:
    caught = error
    print(f"SGD(0.01) stops, and says why:\n\n{error}\n")
outcomes = {
    "clip_norm=1": prices(ms.optimizers.SGD(0.01, clip_norm=1.0), scaled=False)["loss"],
    "scaled inputs": prices(ms.optimizers.SGD(0.01), scaled=True)["loss"],
    "scaled, rate 0.1": prices(ms.optimizers.SGD(0.1), scaled=True)["loss"],
}
for name, losses in outcomes.items():
    print(f"{name:<18} loss {losses[0]:10,.2f} at first, {losses[-1]:10,.2f} after 20 epochs")
