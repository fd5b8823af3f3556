"""Lesson 13. Wide & deep, and DeepFM: who survived the Titanic?

A passenger is five ids (class, sex, port, title, deck) and five numbers (age, fare, ...). Four
models make a score of them, and the sigmoid of the score is the chance to survive:

    logistic      wide   = b + weights of the ids + weights of the numbers
    FM            wide   + the products of all pairs of the ids' vectors        (lesson 12)
    wide & deep   wide   + a network that reads the ids' vectors and the numbers
    DeepFM        wide   + pairs + network, and both read the same vectors

The wide part learns rules by heart, the deep part guesses at what the rules have in common, and
they are trained as one. With 891 passengers a single test part says little. So there are five: each
passenger is tested once, by a model that was trained on the four fifths without him or her.
"""

import time

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

survived = lesson.data(ms.io.titanic).table["Survived"]
folds = ms.io.k_fold(len(survived), 5, seed=0, stratify=survived)
epochs = 5 if lesson.smoke else 20
print(f"{len(survived)} passengers, {survived.mean():.1%} survived; 5 folds of about 178")
print(f"Whoever says that all died is right in {1 - survived.mean():.1%}.")


def scores(model: str, ids: ms.Node, numbers: ms.Node, rows: int) -> ms.Node:
    """The score of each passenger, positive for those who are thought to have survived."""
    weights = ms.layers.embedding(ids, rows, 1, name="weights")
    score = ms.ops.ReduceSum(weights, axes=1, keepdims=False)
    score = score + ms.layers.dense(numbers, 1, name="wide")
    if model == "logistic":
        return score
    vectors = ms.layers.embedding(ids, rows, 8, name="vectors")
    if model in ("FM", "DeepFM"):
        score = score + ms.layers.pairwise_interactions(vectors, name="pairs")
    if model in ("wide & deep", "DeepFM"):
        h = ms.ops.Concat(ms.layers.flatten(vectors), numbers, axis=1)
        for units in (32, 16):
            h = ms.layers.dropout(ms.layers.dense(h, units, activation="relu"), 0.3)
        score = score + ms.layers.dense(h, 1, name="deep")
    return score


def fit(model: str, data: ms.io.TabularDataset) -> tuple[ms.Graph, np.ndarray]:
    """The trained model, and its scores of the passengers to test on."""
    with ms.Graph(seed=0) as graph:
        ids = ms.Input((None, len(data.sizes)), dtype="int64", name="ids")
        numbers = ms.Input((None, len(data.numbers)), name="numbers")
        label = ms.Input((None, 1), name="label")
        score = scores(model, ids + data.offsets, numbers, sum(data.sizes))
        loss = ms.ops.BinaryCrossEntropyWithLogits(score, label, name="loss")
    trainer = ms.trainer.Trainer(loss, ms.optimizers.AdamW(0.01, weight_decay=0.01))
    train = {ids: data.train_ids, numbers: data.train_numbers, label: data.train_y[:, None]}
    trainer.fit(train, epochs=epochs, batch_size=64, progress=False)
    return graph, trainer.predict(score, {ids: data.test_ids, numbers: data.test_numbers})


parts = [ms.io.titanic(split=fold) for fold in folds]
found, curves, confusion = {}, {}, None
print(f"\n{'':<13}{'accuracy in each fold':<37}mean    area under ROC")
for model in ("logistic", "FM", "wide & deep", "DeepFM"):
    began = time.perf_counter()
    with ms.Graph():
        score, label = ms.Input((None, 1)), ms.Input((None,), dtype="int64")
    roc = ms.metrics.RocCurve(score, label)
    matrix = ms.metrics.ConfusionMatrix(score, label, threshold=0.0)
    area = ms.metrics.AUC(score, label)
    accuracies = []
    for part in parts:
        graph, told = fit(model, part)
        accuracies.append(np.mean((told[:, 0] > 0) == part.test_y))
        for metric in (roc, matrix, area):
            metric.update(told, part.test_y)
    found[model], curves[model] = np.mean(accuracies), roc.result()
    shown = " ".join(f"{each:6.1%}" for each in accuracies)
    print(
        f"{model:<13}{shown:<37}{found[model]:.1%}   {area.result():.3f}"
        f"   {time.perf_counter() - began:.1f} s"
    )
print("The folds of one model differ more than the models do: one test part would have told")
print("mostly which passengers were in it.")

ms.render.roc_curves(curves, lesson.picture("13_roc.svg"), title="Who survived? Four models")
ms.render.confusion_matrix(
    matrix.result(),
    lesson.picture("13_confusion.svg"),
    classes=parts[0].classes,
    title="DeepFM on all five folds",
)

lesson.part("What the vectors of the ids say")
vocabularies = parts[-1].vocabularies
names = [value or "other" for values in vocabularies.values() for value in values]
fields = [field for field, values in vocabularies.items() for _ in values]
ms.render.scatter(
    graph["vectors/table"].value,
    lesson.picture("13_vectors.svg"),
    groups=fields,
    names=names,
    title="DeepFM: the vectors of all ids, as the last fold learnt them",
)
weights = graph["weights/table"].value.ravel()
for place in (*np.argsort(weights)[:3], *np.argsort(weights)[-3:]):
    print(f"{fields[place]:<7}{names[place]:<9}weight {weights[place]:+.2f}")

lesson.part("The ready parts")
with ms.Graph(seed=0) as graph:
    ids = ms.Input((None, 5), dtype="int64", name="ids")
    numbers = ms.Input((None, 5), name="numbers")
    score = scores("DeepFM", ids, numbers, sum(parts[0].sizes))
graph.draw(lesson.picture("13_deepfm.svg"))
print("The picture shows DeepFM: one table of vectors feeds both the pairs and the network.")
