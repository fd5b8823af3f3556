"""Lesson 16. Convolution, and the Sobel filter: applied, then learnt.

A filter is a small matrix of weights that is laid over every place of a picture. At each place the
products of weights and pixels are added up:

    y[i, j] = sum over u, v of w[u, v] x[i + u, j + v]

The filter of Sobel weighs the right side against the left, and so finds upright edges; its
transpose weighs below against above, and finds level ones. Together they give the strength:

    w = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]        strength = sqrt(right**2 + down**2)

A network does not know Sobel's numbers. But shown pictures and their edges, it finds them: the
weights of a convolution are variables like any others.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)
sobel = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], np.float32)
size = 48


def scene(seed: int) -> np.ndarray:
    """A disk, a box and a ramp of grey, each at a place and of a brightness of its own."""
    rng = np.random.default_rng(seed)
    down, right = np.indices((size, size))
    picture = 0.3 * right / size
    middle, radius = rng.uniform(15, 33, 2), rng.uniform(6, 14)
    picture[(down - middle[0]) ** 2 + (right - middle[1]) ** 2 < radius**2] = rng.uniform(0.5, 1)
    top, left = rng.integers(4, 24, 2)
    height, width = rng.integers(6, 18, 2)
    picture[top : top + height, left : left + width] = rng.uniform(0, 1)
    return picture.astype(np.float32)


lesson.part("1. Applied")
picture = scene(3)
with ms.Graph() as graph:
    image = ms.Input((None, 1, size, size), name="image")
    kernels = np.stack([sobel, sobel.T])[:, None]
    slopes = ms.ops.Conv(image, kernels, name="slopes")
    right, down = slopes[:, :1], slopes[:, 1:]
    strength = ms.ops.Sqrt(right**2 + down**2, name="strength")
to_right, to_below, edges = graph.forward([right, down, strength], {image: picture[None, None]})
i, j = np.unravel_index(edges[0, 0].argmax(), edges.shape[2:])
window = picture[i : i + 3, j : j + 3]
by_hand = (window * sobel).sum()
print(f"the window at ({i}, {j})\n{window}")
print(f"by hand: sum of window * sobel = {by_hand:.4f}")
print(f"by Conv:                         {to_right[0, 0, i, j]:.4f}")
inner = picture[1:-1, 1:-1]
ms.render.image_grid(
    np.stack([inner, to_right[0, 0], to_below[0, 0], edges[0, 0]]),
    lesson.picture("16_applied.svg"),
    labels=["picture", "to the right", "downwards", "strength"],
    shared=False,
    title="Sobel's filter: dark to bright is yellow, bright to dark is blue",
)

lesson.part("2. Learnt")
pictures = np.stack([scene(seed) for seed in range(32)])[:, None]
truth = ms.function([image], slopes)(pictures)
steps = 100 if lesson.smoke else 600
with ms.Graph(seed=0) as graph:
    image = ms.Input((None, 1, size, size), name="image")
    target = ms.Input((None, 2, size - 2, size - 2), name="target")
    guess = ms.layers.conv(image, 2, kernel=3, bias=False, name="filter")
    loss = ms.ops.MeanSquaredError(guess, target, name="loss")
    step = ms.function([image, target], loss, updates=ms.optimizers.Adam(0.05).minimize(loss))
weights = graph["filter/W"]
stages, losses = {"step 0": weights.value.copy()}, []
for count in range(1, steps + 1):
    losses.append(float(step(pictures, truth)))
    if count in (steps // 10, steps // 4):
        stages[f"step {count}"] = weights.value.copy()
stages[f"step {steps}"] = weights.value
print(f"loss {losses[0]:.4f} at first, {losses[-1]:.2e} after {steps} steps")
learnt = weights.value[0, 0]
for mine, its in zip(sobel, learnt, strict=True):
    print(f"Sobel {mine!s:<16} learnt {np.round(its, 3)}")
ms.render.image_grid(
    np.concatenate([*stages.values(), kernels]),
    lesson.picture("16_learnt.svg"),
    labels=[label for when in [*stages, "Sobel"] for label in (when, "and down")],
    columns=2 * len(stages) + 2,
    title="From chance to Sobel",
)
line_chart(
    {"loss": losses},
    lesson.picture("16_loss.svg"),
    title="A filter is learnt",
    x_label="step",
    y_label="mean squared error",
    log=True,
)
