"""Lesson 6. The chain rule, checked by hand.

A gradient says how a result changes with what it is made of. Along a chain the slopes multiply:

    y1 = x w1 + b1,  y2 = y1 w2 + b2        dy2/dw1 = dy2/dy1 * dy1/dw1 = w2 * x

The framework does no more than this. It walks the graph from the result backwards, and multiplies
by the slope of one operator after the other; and what it writes down are nodes of the graph.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import draw

lesson = begin(__doc__)

lesson.part("1. Two links of a chain")
with ms.Graph() as graph:
    x = ms.Input((), name="x")
    w1 = ms.Variable(2.0, name="w1")
    b1 = ms.Variable(1.0, name="b1")
    w2 = ms.Variable(3.0, name="w2")
    b2 = ms.Variable(1.0, name="b2")
    y1 = ms.ops.Add(x * w1, b1, name="y1")
    y2 = ms.ops.Add(y1 * w2, b2, name="y2")
(dy2_dy1,) = ms.gradients(y2, [y1])
(dy1_dw1,) = ms.gradients(y1, [w1])
(dy2_dw1,) = ms.gradients(y2, [w1])
first, second, whole = graph.forward([dy2_dy1, dy1_dw1, dy2_dw1], {x: 5.0})
print(f"dy2/dy1 = {first}  (w2)     dy1/dw1 = {second}  (x)")
print(f"dy2/dy1 * dy1/dw1 = {first * second}     dy2/dw1 = {whole}")
graph.draw(lesson.picture("06_chain.svg"))
draw(dy2_dw1, lesson.picture("06_chain_gradient.svg"), gradients=True)
print("The second picture is dy2/dw1: the nodes below y2 are 1, times w2, times x.")

lesson.part("2. y = sum of x**2: the gradient is 2 x")
with ms.Graph(seed=0) as graph:
    x = ms.Variable(ms.initializers.Normal(scale=1.0), shape=(2, 3), name="x")
    y = ms.ops.ReduceSum(x**2, keepdims=False, name="y")
graph.forward(y)
graph.backward(y)
slopes, values = x.gradient, x.value
for name, numbers in (("x", values), ("gradient", slopes), ("ratio", slopes / values)):
    print(f"{name:<10}{np.array2string(numbers, prefix=' ' * 10)}")
# Along a contour y stays as it is. For y = x1**2 + x2**2 contours are circles around 0.
point = np.array([0.6, 0.8])
along = np.array([-point[1], point[0]])
right_angle = along @ (2 * point)
print(f"At (0.6, 0.8) the circle runs along {along}, the gradient points to {2 * point}:")
print(f"their product is {right_angle:.1f}. The gradient stands at right angles on the contour.")

lesson.part("3. Two layers of matrices")
print("z = w1 x + b1,  y = sum(w2 z + b2).  By hand: dy/dz = sum of w2's rows, dy/dw1 = dy/dz x'")
with ms.Graph(seed=1) as graph:
    normal = ms.initializers.Normal(scale=1.0)
    x = ms.Variable(normal, shape=(3, 1), name="x")
    w1 = ms.Variable(normal, shape=(2, 3), name="w1")
    b1 = ms.Variable(normal, shape=(2, 1), name="b1")
    w2 = ms.Variable(normal, shape=(2, 2), name="w2")
    b2 = ms.Variable(normal, shape=(1, 1), name="b2")
    z = ms.ops.Add(w1 @ x, b1, name="z")
    y = ms.ops.ReduceSum(w2 @ z + b2, keepdims=False, name="y")
graph.forward(y)
graph.backward(y)
dy_dz = w2.value.T @ np.ones((2, 1), np.float32)
by_hand = {
    "w1": dy_dz @ x.value.T,
    "b1": dy_dz,
    "x": w1.value.T @ dy_dz,
    "w2": np.ones((2, 1), np.float32) @ z.value.T,
    "b2": np.array([[2.0]], np.float32),  # stretched over two rows, so it counts twice
}
layers = {node.name: node.gradient for node in (w1, b1, x, w2, b2)}
for name, gradient in layers.items():
    print(f"dy/d{name}, by hand and by the framework")
    for mine, its in zip(by_hand[name], gradient, strict=True):
        print(f"    {np.array2string(mine, precision=4):<30}{np.array2string(its, precision=4)}")
graph.draw(lesson.picture("06_layers.svg"))

lesson.part("4. j = mean(2 (x + 1)**2): the gradient is 2/3 (x + 1)")
with ms.Graph() as graph:
    x = ms.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype="float64", name="x")
    y = ms.ops.Add(x, 1.0, name="y")
    z = ms.ops.Mul(2.0 * y, y, name="z")
    j = ms.ops.ReduceMean(z, keepdims=False, name="j")
graph.forward(j)
graph.backward(j)
print(f"y =\n{y.value}\nz =\n{z.value}\nj = {j.value:.4f}")
print("dj/dz = 1/6    dz/dy = 4 y    dy/dx = 1    dj/dx = 1/6 * 4 (x + 1) = 2/3 (x + 1)")
print(f"dj/dz, by the framework:\n{z.gradient}")
print(f"dj/dx, by the framework:\n{x.gradient}")
print(f"2/3 (x + 1), by hand:\n{2 / 3 * (x.value + 1)}")

lesson.part("5. By differences, without any rule")
print("(j(x + h) - j(x - h)) / 2h nears the slope for a small h: slow, but it checks every rule.")
h = 1e-5
ahead, behind = x.value.copy(), x.value.copy()
ahead[0, 0] += h
behind[0, 0] -= h
mean = [(2 * (near + 1) ** 2).mean() for near in (ahead, behind)]
print(f"dj/dx[0, 0], by differences: {(mean[0] - mean[1]) / (2 * h):.8f}")
ms.testing.check_gradients(j, [x])
print("ms.testing.check_gradients(j, [x]) compared them all, and second slopes, and is silent.")
