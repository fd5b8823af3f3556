"""Lesson 19. Save, load, resume.

What is there to keep?

    a model       its structure and its weights: to predict with it elsewhere, without its code
    weights       arrays by name: to give them to a model that is built by code
    a checkpoint  all that a run needs to go on: weights, the optimizer's memory, the epoch, the
                  place in the data, random numbers

None of them holds code: to load a file is to read numbers, and no stranger's program is run by it.
Files are written wholly or not at all, with checksums.
"""

import tempfile
from pathlib import Path

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)
data = ms.io.digits()
epochs, batch_size = 6, 64
work = tempfile.TemporaryDirectory()
folder = Path(work.name)


def build(*hooks: ms.trainer.Hook) -> tuple[ms.Graph, ms.trainer.Trainer, ms.Node]:
    """The model as code, and its trainer."""
    with ms.Graph(seed=0) as graph:
        image = ms.Input((None, 1, 8, 8), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.dense(ms.layers.flatten(image), 64, activation="relu", name="fc1")
        h = ms.layers.dropout(h, 0.2, name="dropout")
        scores = ms.layers.dense(h, 10, name="scores")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    accuracy = ms.metrics.Accuracy(scores, label)
    trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(3e-3), metrics=[accuracy], hooks=[*hooks])
    return graph, trainer, scores


def feeds(graph: ms.Graph) -> dict[ms.Node, np.ndarray]:
    return {graph["image"]: data.train_x, graph["label"]: data.train_y}


lesson.part("1. A run without a break")
graph, trainer, scores = build(ms.trainer.Checkpoint(folder / "whole"))
whole = trainer.fit(feeds(graph), epochs=epochs, batch_size=batch_size, progress=False)
straight = graph.state_dict()
print(f"{epochs} epochs: loss {whole['loss'][-1]:.6f}")

lesson.part("2. The same run, interrupted in the middle of an epoch, and resumed")


class PowerCut(ms.trainer.Hook):
    """Breaks off after so many steps."""

    order = 99

    def after_step(self, trainer: ms.trainer.Trainer) -> None:
        if trainer.steps == 70:
            raise KeyboardInterrupt


first, first_trainer, _ = build(ms.trainer.Checkpoint(folder / "run", every_steps=10), PowerCut())
try:
    first_trainer.fit(feeds(first), epochs=epochs, batch_size=batch_size, progress=False)
except KeyboardInterrupt:
    print(f"the power fails in epoch {first_trainer.epoch + 1}, batch {first_trainer.batch}")
checkpoint = folder / "run" / "last.npz"
second, second_trainer, _ = build(ms.trainer.Checkpoint(folder / "run", every_steps=10), PowerCut())
second_trainer.resume(checkpoint)
print(f"another process resumes at epoch {second_trainer.epoch + 1}, batch {second_trainer.batch}")
resumed = second_trainer.fit(feeds(second), epochs=epochs, batch_size=batch_size, progress=False)
print(f"{epochs} epochs: loss {resumed['loss'][-1]:.6f}")
equal = all(np.array_equal(x, straight[name]) for name, x in second.state_dict().items())
print(f"all {len(straight)} arrays equal those of the run without a break, bit for bit: {equal}")

lesson.part("3. A model file: structure and weights")
model = folder / "model"
graph.save(model)
loaded = ms.io.load(model)
test = data.test_x
before = trainer.predict(scores, {graph["image"]: test})
predict = ms.function([loaded["image"]], loaded[scores.name])
after = predict(test)
print(f"the file has {(folder / 'model.npz').stat().st_size / 1024:.0f} KiB; it needs no code")
print(f"scores before and after, the first: {before[0, 0]:.6f} {after[0, 0]:.6f}")
print(f"test accuracy of the loaded model: {np.mean(after.argmax(axis=1) == data.test_y):.1%}")

lesson.part("4. Weights alone, and what is refused")
other, _, other_scores = build()
other.load_state_dict({name: straight[name] for name in other.state_dict()})
same = ms.function([other["image"]], other_scores)(test[:1])
print(f"weights given to a model built by code: first score {same[0, 0]:.6f}")
try:
    other.load_state_dict({"fc1/W": np.zeros((3, 3))})
except ms.errors.GraphError as error:
    refused = error
    print(f"\nweights that do not fit change nothing, and all of them are named:\n{error}\n")
damaged = bytearray((folder / "model.npz").read_bytes())
damaged[len(damaged) // 2] ^= 1
(folder / "damaged.npz").write_bytes(damaged)
try:
    ms.io.load(folder / "damaged.npz")
except ms.errors.FormatError as error:
    print("a file in which one bit has flipped is refused:")
    print(str(error).replace(f"{folder}/", ""))
    found_damage = True
work.cleanup()
