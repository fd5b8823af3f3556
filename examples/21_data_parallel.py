"""Lesson 21. Many workers, one model.

The loss of a batch is a mean over its samples, and so is its slope. So workers can share a batch:
each finds the slope of its own samples, and the mean of these, weighed by their numbers, is the
slope of the whole batch:

    slope = (n[1] slope[1] + n[2] slope[2] + ...) / (n[1] + n[2] + ...)

How do they agree on it? By a parameter server, to which all push and from which all pull; or around
a ring, in which each worker talks to its neighbour only. A server can also be asked not to wait for
the slow: then slopes arrive that belong to older weights. This lesson plays all workers in one
process, so that every message can be seen; `ms.trainer.ParameterServerTrainer` and
`ms.trainer.AllReduceTrainer` do the same with processes of their own.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)
x, y, true_w, true_b = ms.io.linear(600, features=4, noise=0.1, seed=0)

with ms.Graph(seed=0) as graph:
    features = ms.Input((None, 4), name="features")
    target = ms.Input((None, 1), name="target")
    w = ms.Variable(np.zeros((4, 1)), name="w")
    loss = ms.ops.MeanSquaredError(features @ w + true_b, target, name="loss")
    (slope_of_w,) = ms.gradients(loss, [w])
    slope = ms.function([features, target], slope_of_w)
    judge = ms.function([features, target], loss)

lesson.part("1. The slope of a batch from the slopes of its parts")
workers = 3
rows = np.arange(50)
whole = slope(x[:50], y[:50])
shares = [ms.io.shard(rows, rank, workers) for rank in range(workers)]
slopes = [slope(x[share], y[share]) for share in shares]
numbers = [len(share) for share in shares]
joined = sum(n * each for n, each in zip(numbers, slopes, strict=True)) / sum(numbers)
for rank, (n, each) in enumerate(zip(numbers, slopes, strict=True)):
    print(f"worker {rank}: {n} samples, slope {each.ravel()}")
print(f"joined:               slope {joined.ravel()}")
print(f"the batch as a whole: slope {whole.ravel()}")
print(f"mean without weights: slope {np.mean(slopes, axis=0).ravel()}   the shares are unequal")

lesson.part("2. Around a ring: each sends to its right neighbour only")
print("Each array is cut into as many pieces as there are workers. In the first round sums grow as")
print("they go around; in the second the finished sums go around, and replace what is there.\n")


def all_reduce(arrays: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """The sum of all arrays at every worker, and how many numbers each has sent."""
    count, sent = len(arrays), 0
    pieces = [np.array_split(array.astype(np.float64), count) for array in arrays]
    for turn in range(2 * count - 2):
        messages = [pieces[rank][(rank - turn) % count].copy() for rank in range(count)]
        for rank in range(count):
            place = (rank - 1 - turn) % count  # what the left neighbour has just sent
            if turn < count - 1:
                pieces[rank][place] += messages[rank - 1]
            else:
                pieces[rank][place] = messages[rank - 1]
        sent += len(messages[0])
    return [np.concatenate(each) for each in pieces], sent


size = 1200
arrays = [np.random.default_rng(rank).normal(size=size) for rank in range(4)]
sums, sent = all_reduce(arrays)
right = all(np.allclose(each, sum(arrays)) for each in sums)
print(f"4 workers, {size} numbers each: all have the sum: {right}; each has sent {sent} numbers,")
print(
    f"2 (4 - 1) / 4 of {size}, and with more workers it stays below {2 * size}. A server that all"
)
print(f"push to takes in 4 * {size} and gives out as many.")

lesson.part("3. Waiting or not: slopes that come late")
rate, steps, batch_size = 0.05, 120, 20
order = np.random.default_rng(0).integers(len(x), size=(steps, batch_size))


def descend(delay: int) -> list[float]:
    """Every slope is that of the weights of so many steps ago."""
    past = [np.zeros((4, 1), np.float32)]
    losses = []
    for batch in order:
        w.value = past[max(0, len(past) - 1 - delay)]
        late = slope(x[batch], y[batch])
        w.value = past[-1] - rate * late
        past.append(w.value.copy())
        losses.append(float(judge(x, y)))
    return losses


curves = {f"{delay} steps late": descend(delay) for delay in (0, 2, 8, 14)}
curves = {name.replace("0 steps late", "all wait"): losses for name, losses in curves.items()}
for name, losses in curves.items():
    print(f"{name:<15} loss {losses[9]:8.4f} after 10 steps, {losses[-1]:8.4f} after {steps}")
print("A little late does little harm, and nobody waits for the slowest. Much too late, and steps")
print("go on in a direction that was right long ago: they swing to and fro, and do not settle.")
line_chart(
    curves,
    lesson.picture("21_late.svg"),
    title="Slopes that belong to older weights",
    x_label="step",
    y_label="loss",
    log=True,
)
