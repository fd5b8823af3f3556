"""Lesson 20. Draw the graph.

A model is a graph: nodes, and arrows from each node to those that read it. So it can be drawn. Each
kind of node has its colour and its outline, so that a picture tells the same in print and to those
who see colours differently; scopes are boxes, and large ones are folded.

This needs nothing but the framework. An .html is a page to look around in, which needs no network.
With graphviz the framework also draws .png and .pdf.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import draw

lesson = begin(__doc__)

with ms.Graph(seed=0) as graph:
    image = ms.Input((None, 1, 28, 28), name="image")
    label = ms.Input((None,), dtype="int64", name="label")
    h = ms.layers.conv(image, 8, kernel=3, activation="relu", name="conv1")
    h = ms.layers.max_pool(h, 2, name="pool1")
    h = ms.layers.conv(h, 16, kernel=3, activation="relu", name="conv2")
    h = ms.layers.max_pool(h, 2, name="pool2")
    scores = ms.layers.dense(ms.layers.flatten(h), 10, name="scores")
    loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")

lesson.part("1. The whole model")
graph.draw(lesson.picture("20_model.svg"))
graph.draw(lesson.picture("20_model.html"))
print(graph.summary())

lesson.part("2. Part of it: what one node is made of")
draw(h, lesson.picture("20_part.svg"))

lesson.part("3. Scopes folded: a box for a layer")
graph.draw(lesson.picture("20_folded.svg"), fold=0)

lesson.part("4. Gradients are nodes, too")
(slope,) = ms.gradients(loss, [graph["scores/b"]])
draw(slope, lesson.picture("20_gradient.svg"), gradients=True)
print("d loss / d scores/b is the mean over the batch of softmax(scores) - one-hot(label)")
x, y = np.zeros((4, 1, 28, 28), np.float32), np.array([0, 1, 2, 3])
p = graph.forward(ms.ops.Softmax(scores), {image: x})
expected = (p - np.eye(10)[y]).mean(axis=0)
found = graph.forward(slope, {image: x, label: y})
print(f"by hand       {np.round(expected[:5], 4)} ...\nby the graph  {np.round(found[:5], 4)} ...")

lesson.part("5. As text, and as a network for other tools")
print("\n".join(graph.dump().splitlines()[:6]), "\n...")
network = graph.to_networkx()
print(f"graph.to_networkx(): {len(network)} nodes, {network.number_of_edges()} arrows")
