"""Lesson 1. How many children, how many adults?

A party of children and adults goes by bus, 3 a child and 3.2 an adult, for 118.4 in all; and comes
back by train, 3.5 a child and 3.6 an adult, for 135.2. Who went?

    3   c + 3.2 a = 118.4        A x = b:   A = [[3, 3.2], [3.5, 3.6]]
    3.5 c + 3.6 a = 135.2                   x = [c, a],  b = [118.4, 135.2]

Two equations are two lines, and the party is where they cross. This lesson finds the place five
times: by elimination, by the inverse matrix, by `Solve`, by iteration, and by descent.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

A = np.array([[3.0, 3.2], [3.5, 3.6]])
b = np.array([118.4, 135.2])
found = {}

lesson.part("Vectors: whatever can be added, and scaled by a number")
# An arrow, a polynomial's coefficients, a row of a matrix, a sound: the rules are the same.
arrow = np.array([2.0, 1.0]) + 0.5 * np.array([2.0, -4.0])
print(f"arrows        (2, 1) + 0.5 (2, -4) = {arrow}")
polynomial = np.array([1.0, 0.0, 3.0]) + 2 * np.array([0.0, 1.0, -1.0])
sides = 1 + 3 * 0.7**2 + 2 * (0.7 - 0.7**2), polynomial @ 0.7 ** np.arange(3)
print(f"polynomials   (1 + 3 t^2) + 2 (t - t^2) has the coefficients {polynomial};")
print(f"              at t = 0.7 both are {sides[0]:.2f} and {sides[1]:.2f}")
print("the party     x = [c, a]; A takes it to the fares, A (x + y) = A x + A y")

children = np.arange(0, 38)
line_chart(
    {
        "bus: adults = (118.4 - 3 children) / 3.2": (b[0] - A[0, 0] * children) / A[0, 1],
        "train: adults = (135.2 - 3.5 children) / 3.6": (b[1] - A[1, 0] * children) / A[1, 1],
    },
    lesson.picture("01_lines.svg"),
    title="Two equations, two lines: they cross at 16 children and 22 adults",
    x_label="children",
    y_label="adults",
    first=0,
)

lesson.part("1. Elimination, by hand")
factor = A[1, 0] / A[0, 0]
left = A[1, 1] - factor * A[0, 1]
right = b[1] - factor * b[0]
print(f"second - {factor:.4f} * first:   {left:.4f} a = {right:.4f}")
adults = right / left
print(f"a = {right:.4f} / {left:.4f} = {adults:.0f}")
kids = (b[0] - A[0, 1] * adults) / A[0, 0]
print(f"c = (118.4 - 3.2 * {adults:.0f}) / 3 = {kids:.0f}")
found["elimination"] = np.array([kids, adults])

lesson.part("2. The inverse matrix, and 3. Solve")
# The lines are nearly parallel, so that rounding is magnified: float64 keeps the digits.
with ms.Graph() as graph:
    a = ms.Constant(A, dtype="float64", name="A")
    rhs = ms.Constant(b, dtype="float64", name="b")
    inverse = ms.ops.Inverse(a, name="inverse")
    by_inverse = ms.ops.MatMul(inverse, rhs, name="by_inverse")
    by_solve = ms.ops.Solve(a, rhs, name="by_solve")
found["inverse"], found["Solve"] = graph.forward([by_inverse, by_solve])
print(f"inverse of A:\n{inverse.value}")
print(f"inverse @ b = {by_inverse.value}")
print(f"Solve(A, b) = {by_solve.value}   by elimination, and cheaper than the inverse")
as_row = b @ np.linalg.inv(A.T)
print(f"With the party as a row, x A' = b, and so x = b inverse(A') = {as_row}")

lesson.part("One party, none, or many")
# Lines that are parallel never meet; a line and its double meet everywhere.
for what, second, total in (
    ("train", [3.5, 3.6], 135.2),
    ("another bus for other money", [3.0, 3.2], 120.0),
    ("the same bus, twice the fare", [6.0, 6.4], 236.8),
):
    lines = np.array([A[0], second])
    rank = np.linalg.matrix_rank(lines)
    both = np.linalg.matrix_rank(np.column_stack([lines, [b[0], total]]))
    outcome = "one solution" if rank == 2 else "none" if both > rank else "as many as one likes"
    print(f"{what:<30} determinant {np.linalg.det(lines):5.2f}: {outcome}")

lesson.part("4. Iteration: S x[k+1] = T x[k] + b")
print(
    "A is split into S - T. Start anywhere, and solve S x[k+1] = T x[k] + b again and again,\n"
    "where S is easy to solve: the diagonal of A (Jacobi) or its lower triangle (Gauss-Seidel).\n"
    "Each step multiplies the error by inverse(S) T: it shrinks if the eigenvalues are below 1.\n"
)


def iterate(name: str, a: np.ndarray, b: np.ndarray, s: np.ndarray) -> list[float]:
    """The errors of all steps until one is less than 1e-9 or more than 1e3."""
    with ms.Graph():
        x = ms.Variable(np.zeros(2), dtype="float64", name="x")
        step = ms.function([], [], updates=[(x, ms.ops.Solve(s, (s - a) @ x + b))])
    radius = abs(np.linalg.eigvals(np.linalg.solve(s, s - a))).max()
    errors = [np.abs(x.value - [16, 22]).max()]
    while 1e-9 < errors[-1] < 1e3:
        step()
        errors.append(np.abs(x.value - [16, 22]).max())
    outcome = "diverges" if errors[-1] > 1 else f"finds {np.round(x.value, 6)}"
    print(f"{name:<30} largest eigenvalue {radius:.4f}: {outcome} in {len(errors) - 1} steps")
    found[name] = x.value
    return errors


curves = {"Jacobi, as given": iterate("Jacobi, as given", A, b, np.diag(np.diag(A)))}
print("In the other order the larger numbers stand on the diagonal:")
A2, b2 = A[::-1], b[::-1]
curves["Jacobi"] = iterate("Jacobi", A2, b2, np.diag(np.diag(A2)))
curves["Gauss-Seidel"] = iterate("Gauss-Seidel", A2, b2, np.tril(A2))

lesson.part("5. Descent: make |A x - b|^2 small")


def descend(name: str, optimizer: ms.optimizers.Optimizer, steps: int) -> list[float]:
    with ms.Graph():
        x = ms.Variable(np.zeros(2), dtype="float64", name="x")
        difference = A @ x - b
        loss = ms.ops.ReduceSum(difference * difference, keepdims=False)
        step = ms.function([], loss, updates=optimizer.minimize(loss))
    errors = [22.0]
    for _ in range(steps):
        step()
        errors.append(np.abs(x.value - [16, 22]).max())
    print(f"{name:<30} {np.round(x.value, 6)} after {steps} steps")
    found[name] = x.value
    return errors


# The best rate and momentum follow from the least and the greatest curvature of the loss.
low, high = np.linalg.eigvalsh(2 * A.T @ A)
print(f"The loss is a valley: {high:.1f} steep across, {low:.5f} along. Plain steps crawl in it.")
curves["descent"] = descend("descent", ms.optimizers.SGD(2 / (low + high)), 1500)
rate = 4 / (np.sqrt(low) + np.sqrt(high)) ** 2
momentum = ((np.sqrt(high) - np.sqrt(low)) / (np.sqrt(high) + np.sqrt(low))) ** 2
curves["with momentum"] = descend(
    "with momentum", ms.optimizers.Momentum(rate, momentum=momentum), 1800
)

line_chart(
    curves,
    lesson.picture("01_errors.svg"),
    title="Distance from (16, 22), step by step",
    x_label="step",
    y_label="largest error",
    log=True,
    first=0,
)

lesson.part("The party")
for name in ("elimination", "inverse", "Solve", "Jacobi", "Gauss-Seidel", "with momentum"):
    print(f"{name:<30} {found[name][0]:.4f} children, {found[name][1]:.4f} adults")
