"""Lesson 3. Arrays: many numbers under one name.

An array has axes, counted from 0. How many there are is `ndim`, how long each is `shape`, how many
numbers that makes is `size`, and what kind of number they are `dtype`. A node of a graph has the
same four, and is indexed in the same way; but it is a plan, and has no numbers before it is run.
"""

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
b = np.array(rows, dtype=int)
with ms.Graph() as graph:
    node = ms.Constant(rows, dtype=int, name="b")
print(b)

lesson.part("What an array says of itself")
print(f"{'':<8}{'NumPy':<12}node")
for attribute in ("ndim", "shape", "size", "dtype"):
    print(f"{attribute:<8}{getattr(b, attribute)!s:<12}{getattr(node, attribute)}")

lesson.part("Access: rows first, then columns, both counted from 0")
access = {
    "b[0,1]": (b[0, 1], node[0, 1]),
    "b[:,1]": (b[:, 1], node[:, 1]),
    "b[1,:]": (b[1, :], node[1, :]),
    "b[1,1:]": (b[1, 1:], node[1, 1:]),
    "b[1,:2]": (b[1, :2], node[1, :2]),
    "b[-1]": (b[-1], node[-1]),
    "b[::2]": (b[::2], node[::2]),
    "b[::-1,0]": (b[::-1, 0], node[::-1, 0]),
    "b[[0,3],1:]": (b[[0, 3], 1:], node[[0, 3], 1:]),
}
meaning = {
    "b[0,1]": "row 0, column 1",
    "b[:,1]": "column 1 of all rows",
    "b[1,:]": "all of row 1",
    "b[1,1:]": "row 1, from column 1 on",
    "b[1,:2]": "row 1, up to column 2 and without it",
    "b[-1]": "the last row",
    "b[::2]": "every second row",
    "b[::-1,0]": "column 0, from below",
    "b[[0,3],1:]": "rows 0 and 3, from column 1 on",
}
shown = {}
print(f"{'':<13}{'NumPy':<24}node")
for expression, (array, entry) in access.items():
    shown[expression] = graph.forward(entry)
    numbers = [str(x.tolist()) for x in (array, shown[expression])]
    print(f"{expression:<13}{numbers[0]:<24}{numbers[1]:<24}{meaning[expression]}")
print(f"\nAn entry of a node is a node again: {node[1, 1:]!r}")

lesson.part("Along an axis")
print("Three readers score four books. A sum along axis 0 goes down, along axis 1 across.")
interest_score = np.random.default_rng(0).integers(10, size=(4, 3))
with ms.Graph() as graph:
    score = ms.Constant(interest_score, name="score")
    down = ms.ops.ReduceSum(score, axes=0, keepdims=False)
    across = ms.ops.ReduceSum(score, axes=1, keepdims=False)
    total = ms.ops.ReduceSum(score, keepdims=False)
graph.forward([down, across, total])
print(interest_score)
print(f"np.sum(interest_score, axis=0) = {np.sum(interest_score, axis=0)}   node {down.value}")
print(f"np.sum(interest_score, axis=1) = {np.sum(interest_score, axis=1)} node {across.value}")
print(f"np.sum(interest_score)         = {np.sum(interest_score)}           node {total.value}")

lesson.part("Shapes that differ: the shorter one is stretched")
with ms.Graph() as graph:
    column = ms.Constant([[10], [20], [30], [40]], name="column")
    row = ms.Constant([1, 2, 3], name="row")
    stretched = column + row
print(f"{column.shape} + {row.shape} = {stretched.shape}")
print(graph.forward(stretched))
