"""Lesson 5. The families of operations.

A framework is a box of operations on arrays. They come in families: of one array, of two, choices,
reductions, geometry, and the two that do most of the work, contraction and convolution. Each line
shows an operation, a node in a graph, at work on small numbers.
"""

import time

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

graph = ms.Graph(seed=0)
results = {}


def show(text: str, node: ms.Node) -> None:
    """Run a node, and print the operation beside its result."""
    results[text] = graph.forward(node)
    numbers = np.array2string(results[text], precision=4, suppress_small=True)
    print(f"{text:<36}{node.shape!s:<14}{numbers.replace(chr(10), chr(10) + 50 * ' ')}")


with graph:
    x = ms.Constant([1.0, 4.0, 9.0], name="x")
    y = ms.Constant([2.0, -3.0, 5.0], name="y")
    m = ms.Constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], name="m")
    print("x = [1, 4, 9]    y = [2, -3, 5]    m = [[1, 2, 3], [4, 5, 6]]")

    lesson.part("Unary: of one array, number by number")
    show("Sqrt(x)", ms.ops.Sqrt(x))
    show("x**2", x**2)
    show("Exp(x)", ms.ops.Exp(x))
    show("abs(y)", abs(y))
    show("-y", -y)
    show("Sigmoid(y)", ms.ops.Sigmoid(y))
    show("Relu(y)", ms.ops.Relu(y))

    lesson.part("Binary: of two arrays, number by number")
    show("x + y", x + y)
    show("x - y", x - y)
    show("x * y", x * y)
    show("x / y", x / y)
    show("Max(x, y)", ms.ops.Max(x, y))
    show("m + x    each row of m, + x", m + x)

    lesson.part("Selection: if and else, inside the graph")
    positive = ms.ops.Greater(y, 0.0)
    show("Greater(y, 0)", positive)
    show("Where(Greater(y, 0), x, y)", ms.ops.Where(positive, x, y))
    show("Clip(x, min=2, max=5)", ms.ops.Clip(x, min=2.0, max=5.0))
    show("Gather(x, [2, 0])", ms.ops.Gather(x, [2, 0]))

    lesson.part("Reduction: fewer numbers, along axes")
    show("ReduceSum(m)", ms.ops.ReduceSum(m, keepdims=False))
    show("ReduceSum(m, axes=0)", ms.ops.ReduceSum(m, axes=0, keepdims=False))
    show("ReduceMean(m, axes=1)", ms.ops.ReduceMean(m, axes=1, keepdims=False))
    show("ReduceMax(m)", ms.ops.ReduceMax(m, keepdims=False))
    show("ArgMax(y)", ms.ops.ArgMax(y, keepdims=False))
    show("CumSum(x)", ms.ops.CumSum(x, axis=0))

    lesson.part("Geometry: the same numbers in another place")
    image = ms.Constant(np.arange(9.0).reshape(1, 1, 3, 3), name="image")
    show("Reshape(m, shape=(3, 2))", ms.ops.Reshape(m, shape=(3, 2)))
    show("Transpose(m)", ms.ops.Transpose(m))
    show("m[:, 1:]    slice", m[:, 1:])
    show("m[1]    chip", m[1])
    show("Flip(m, axes=1)    reverse", ms.ops.Flip(m, axes=1))
    show("Shuffle(x)    anew in every run", ms.ops.Shuffle(x))
    show("Pad(m, pads=(0, 1, 0, 1))", ms.ops.Pad(m, pads=(0, 1, 0, 1)))
    show("Concat(x, y, axis=0)", ms.ops.Concat(x, y, axis=0))
    show("Tile(x, repeats=2)", ms.ops.Tile(x, repeats=(2,)))
    print("\nimage = [[0, 1, 2], [3, 4, 5], [6, 7, 8]], one of one channel")
    show("ExtractPatches(image, 2 x 2)", ms.ops.ExtractPatches(image, kernel_shape=(2, 2)))
    print("Each column is one of the four places of a 2 x 2 window: convolution begins with this.")

    lesson.part("Contraction: sums of products over shared axes")
    n = ms.Constant([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], name="n")
    print("n = [[1, 0], [0, 2], [1, 1]];  entry (i, j) of m @ n is row i of m times column j of n")
    show("m @ n", m @ n)
    show("Einsum('ij,jk->ik', m, n)", ms.ops.Einsum(m, n, equation="ij,jk->ik"))
    show("Einsum('i,j->ij', x, y)", ms.ops.Einsum(x, y, equation="i,j->ij"))

    lesson.part("Convolution: the same small contraction at every place")
    kernel = ms.Constant([[[[1.0, 0.0], [0.0, -1.0]]]], name="kernel")
    print("kernel = [[1, 0], [0, -1]]: the number at the upper left minus that at the lower right")
    show("Conv(image, kernel)", ms.ops.Conv(image, kernel))
    row = ms.ops.Reshape(kernel, shape=(1, 4))
    show(
        "  the same: kernel row @ patches",
        row @ ms.ops.ExtractPatches(image, kernel_shape=(2, 2)),
    )
    show("MaxPool(image, 2 x 2)", ms.ops.MaxPool(image, kernel_shape=(2, 2)))

lesson.part("Why matrices: one product instead of three loops")
size = 48
left, right = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
began = time.perf_counter()
by_loops = np.zeros((size, size))
for i in range(size):
    for j in range(size):
        for k in range(size):
            by_loops[i, j] += left[i, k] * right[k, j]
loops = time.perf_counter() - began
with ms.Graph() as product:
    a, b = ms.Input((size, size), name="a"), ms.Input((size, size), name="b")
    multiply = ms.function([a, b], a @ b)
at_once = multiply(left, right)
began = time.perf_counter()
for _ in range(100):
    multiply(left, right)
seconds = (time.perf_counter() - began) / 100
print(f"{size} x {size}, {size**3:,} products: by loops {loops * 1e3:.1f} ms,", end=" ")
print(f"at once {seconds * 1e3:.3f} ms")
print(f"largest difference {np.abs(by_loops - at_once).max():.1e}")
