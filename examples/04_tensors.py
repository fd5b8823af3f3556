"""Lesson 4. Tensors: arrays that know where they come from.

A tensor is an array with a past: it knows which operator made it, from which other tensors, and so
it can be differentiated. Here tensors are the nodes of a graph, which is built before it is run.
"""

import numpy as np
from course import begin

import matrixslow as ms

lesson = begin(__doc__)

lesson.part("From 0 to 5 axes")
with ms.Graph():
    tensors = {
        "scalar": ms.Constant(3.5),
        "vector": ms.Input((3,)),
        "matrix": ms.Input((2, 3)),
        "picture": ms.Input((3, 224, 224)),
        "pictures": ms.Input((64, 3, 224, 224)),
        "films": ms.Input((32, 30, 3, 224, 224)),
    }
means = {
    "scalar": "one number",
    "vector": "numbers in a row",
    "matrix": "rows and columns",
    "picture": "channels, rows, columns",
    "pictures": "pictures, channels, rows, columns",
    "films": "films, pictures, channels, rows, columns",
}
print(f"{'':<10}{'ndim':<6}{'shape':<24}{'size':<13}axes")
for name, tensor in tensors.items():
    print(f"{name:<10}{tensor.ndim:<6}{tensor.shape!s:<24}{tensor.size:<13,}{means[name]}")

lesson.part("Ways to make one")
with ms.Graph(seed=0) as graph:
    made = {
        "Constant([[1, 2], [3, 4]])": ms.Constant([[1.0, 2.0], [3.0, 4.0]]),
        "Variable of zeros": ms.Variable(ms.initializers.Zeros(), shape=(2, 2), name="zeros"),
        "Variable of ones": ms.Variable(ms.initializers.Ones(), shape=(2, 2), name="ones"),
        "Variable, normal": ms.Variable(
            ms.initializers.Normal(scale=1.0), shape=(2, 2), name="normal"
        ),
        "RandomNormal, anew in each run": ms.ops.RandomNormal(shape=(2, 2)),
    }
for how, node in made.items():
    print(f"{how:<32}{np.round(graph.forward(node), 3).tolist()}")

lesson.part("What a tensor says of itself")
with ms.Graph(seed=0) as graph:
    x = ms.Input((2,), name="x")
    w = ms.Variable([3.0, 4.0], name="w")
    b = ms.Variable(0.5, name="b")
    y = ms.ops.ReduceSum(w * x + b, keepdims=False, name="y")
graph.forward(y, {x: [1.0, 2.0]})
graph.backward(y)
print("y = sum(w * x + b),   x = [1, 2], w = [3, 4], b = 0.5\n")
questions = {
    "shape": ("sizes of the axes", "shape, size()"),
    "ndim": ("number of axes", "ndim"),
    "dtype": ("kind of number", "dtype, type()"),
    "device": ("where its value lives", "device, is_cuda"),
    "trainable": ("whether optimizers change it", "requires_grad"),
    "value": ("after graph.forward", "data"),
    "gradient": ("dy / d(this), after graph.backward", "grad"),
    "inputs": ("what it was made of", "grad_fn.next_functions"),
}
print(f"{'':<11}{'x':<11}{'w':<11}{'y':<28}{'meaning':<36}in PyTorch")
for attribute, (question, theirs) in questions.items():
    cells = []
    for node in (x, w, y):
        found = getattr(node, attribute)
        if attribute == "inputs":
            found = tuple(node.name for node in found)
        cells.append(str(found))
    print(f"{attribute:<11}{cells[0]:<11}{cells[1]:<11}{cells[2]:<28}{question:<36}{theirs}")

lesson.part("Where a tensor comes from")
print("y was made by an operator from its inputs, those from theirs, and so on to the leaves:\n")


def show(node: ms.Node, depth: int = 0) -> None:
    print(f"{'    ' * depth}{node.name} = {type(node).__name__}    value {node.value}")
    for each in node.inputs:
        show(each, depth + 1)


show(y)
print("\nThe gradient goes the same way back: each operator hands it to its inputs, by its rule.")

lesson.part("Where it computes")
print(f"This graph is on {graph.device!r}. ms.Graph(device='cuda') puts all of a graph on a GPU:")
print("variables, constants, and what is fed. Nodes of two graphs cannot be mixed.")

lesson.part("From NumPy and back")
array = np.linspace(0, 1, 5, dtype=np.float32)
with ms.Graph() as graph:
    doubled = 2.0 * ms.Constant(array)
result = graph.forward(doubled)
print(f"{array} doubled in a graph is {result}, a {type(result).__name__} again")
