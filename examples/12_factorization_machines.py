"""Lesson 12. Factorization machines: weights for pairs of things.

Who likes which film? A row says only that user 7 saw film 3: two ids. Logistic regression gives
each id a weight, and adds them up. So it knows kind users and good films, but not who likes what:
that is a matter of the pair. A weight for each pair would need to see each pair. A factorization
machine gives each id a short vector e instead, and each pair the product of its two:

    y = b + sum of w[i] + sum over all pairs i < j of <e[i], e[j]>

With n ids a row there are n (n - 1) / 2 pairs, but no need to go through them: in the square of a
sum each pair stands twice, and each e[i] once with itself:

    sum over pairs of <e[i], e[j]>  =  (|sum of e[i]|**2 - sum of |e[i]|**2) / 2
"""

import itertools

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

lesson.part("1. Pairs by hand, by the shorter formula, and by the layer")
rng = np.random.default_rng(0)
with ms.Graph(seed=0) as graph:
    ids = ms.Input((None, 4), dtype="int64", name="ids")
    wide = ms.initializers.Normal(scale=1.0)
    y = ms.layers.factorization_machine(ids, 10, 3, initializer=wide, name="fm")
graph["fm/w/table"].value = rng.normal(size=(10, 1))
rows = np.array([[0, 3, 5, 9], [1, 3, 6, 7]])
by_layer = graph.forward(y, {ids: rows}).ravel()
e, w, b = (graph[f"fm/{name}"].value for name in ("e/table", "w/table", "b"))
by_pairs, by_squares = [], []
for row in rows:
    linear = b[0] + w[row].sum()
    pairs = [e[i] @ e[j] for i, j in itertools.combinations(row, 2)]
    by_pairs.append(linear + sum(pairs))
    by_squares.append(linear + ((e[row].sum(axis=0) ** 2).sum() - (e[row] ** 2).sum()) / 2)
    print(f"ids {row}: {len(pairs)} pairs")
print(f"pair by pair        {np.array(by_pairs)}")
print(f"by squares          {np.array(by_squares)}")
print(f"by the framework    {by_layer}")

lesson.part("2. Films that nobody has described")
genres = ("comedy", "drama", "thriller", "music")
users, films = 60, 40
taste = rng.uniform(0, 2 * np.pi, users)
genre = rng.permutation(films) % len(genres)
# Comedy and thriller are opposites, and so are drama and music.
liking = np.cos(taste[:, None] - genre * np.pi / 2)
liked = rng.random((users, films)) < 1 / (1 + np.exp(-6 * liking))
seen = np.stack(np.meshgrid(range(users), range(films), indexing="ij"), axis=-1).reshape(-1, 2)
train, test, train_y, test_y = ms.io.train_test_split(seen, liked.reshape(-1, 1), test=0.5)
print(f"{users} users, {films} films; of {len(seen)} pairs half are known, half are to be guessed.")
print(f"At best, as the likings are drawn by chance: {np.mean((liking > 0) == liked):.1%} right.")

epochs = 10 if lesson.smoke else 30


def fit(model: str) -> tuple[float, np.ndarray | None]:
    """Train on the known pairs, judge on the others; and the films' vectors."""
    with ms.Graph(seed=0) as graph:
        pair = ms.Input((None, 2), dtype="int64", name="pair")
        target = ms.Input((None, 1), name="target")
        ids = pair + np.array([0, users])  # one table for both: films come after users
        if model == "logistic regression":
            weights = ms.layers.embedding(ids, users + films, 1)
            score = ms.ops.ReduceSum(weights, axes=1, keepdims=False)
        else:
            start = ms.initializers.Normal(scale=0.3)
            score = ms.layers.factorization_machine(
                ids, users + films, 2, initializer=start, name="fm"
            )
        loss = ms.ops.BinaryCrossEntropyWithLogits(score, target, name="loss")
    accuracy = ms.metrics.Accuracy(score, target, threshold=0.0)
    trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(0.05), metrics=[accuracy])
    trainer.fit({pair: train, target: train_y}, epochs=epochs, batch_size=60, progress=False)
    judged = trainer.evaluate({pair: test, target: test_y})
    table = None if model == "logistic regression" else graph["fm/e/table"].value[users:]
    return judged["accuracy"], table


logistic_accuracy, _ = fit("logistic regression")
machine_accuracy, vectors = fit("factorization machine")
print(f"logistic regression      {logistic_accuracy:.1%}")
print(f"factorization machine    {machine_accuracy:.1%}")

names = [genres[each] for each in genre]
ms.render.scatter(
    vectors,
    lesson.picture("12_films.svg"),
    groups=names,
    title="The vectors of 40 films: nobody named their genres, likings tell them",
)
centres = np.stack([vectors[genre == each].mean(axis=0) for each in range(4)])
print("\nThe cosines between the genres' mean vectors: -1 for opposites, 0 for strangers.")
directions = centres / np.linalg.norm(centres, axis=1, keepdims=True)
cosines = directions @ directions.T
for name, row in zip(genres, cosines, strict=True):
    print(f"{name:<10}{''.join(f'{each:8.2f}' for each in row)}")
