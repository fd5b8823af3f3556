"""Lesson 2. 100,000 unknowns: iterate, and choose S well.

A warm plate cools at its rim. One step of time asks for the temperature u of every point of a grid
of n x n points, which depends on those of its four neighbours:

    4.2 u[i, j] - u[i-1, j] - u[i+1, j] - u[i, j-1] - u[i, j+1] = f[i, j]

That is A u = f with a row for each point. Elimination would fill the matrix with numbers; iteration
keeps its five a row. As in lesson 1, A = S - T, and each step solves S u[k+1] = T u[k] + f, which
is the same as

    u[k+1] = u[k] + solve(S, f - A u[k])

    Jacobi         S = the diagonal of A
    Gauss-Seidel   S = the lower triangle of A
    ILU            S = L U, factors of A that leave out what would be filled in

S should be near to A, for few steps, and easy to solve, for cheap ones. SciPy gives the sparse
matrices. Jacobi and Gauss-Seidel are then built as graphs: on a grid, T u is a convolution.
"""

import time
from collections.abc import Callable

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)

try:
    from scipy import sparse
    from scipy.sparse import linalg
except ImportError:
    print("skipped: SciPy is not installed: pip install scipy")
    raise SystemExit(0) from None

n = 64 if lesson.smoke else 320
tolerance = 1e-8
f = np.zeros((n, n))
f[n // 4 : n // 2, n // 4 : n // 2] = 1.0

line = sparse.diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(n, n))
A = sparse.kronsum(line, line, format="csc")
print(f"{A.shape[0]:,} unknowns, {A.nnz:,} numbers in A")

lesson.part("Three choices of S, one loop")
began = time.perf_counter()
exact = linalg.spsolve(A, f.ravel())
print(f"direct          SciPy's elimination     {time.perf_counter() - began:5.2f} s")


def triangular(s: sparse.csc_array) -> linalg.SuperLU:
    """Factors of what has factors already: in this order, nothing is filled in."""
    return linalg.splu(s, permc_spec="NATURAL", diag_pivot_thresh=0.0)


def incomplete(a: sparse.csc_array) -> linalg.SuperLU:
    """L U near to a: what is filled in is dropped where it is small."""
    return linalg.spilu(a, drop_tol=1e-3, fill_factor=10.0)


def iterate(name: str, factors: Callable[..., linalg.SuperLU], s: sparse.csc_array) -> list[float]:
    """The largest error after each step, until it is small."""
    began = time.perf_counter()
    solver = factors(s)
    u = np.zeros(n * n)
    errors = [np.abs(exact).max()]
    while errors[-1] > tolerance:
        u += solver.solve(f.ravel() - A @ u)
        errors.append(np.abs(u - exact).max())
    seconds = time.perf_counter() - began
    print(f"{name:<15} {len(errors) - 1:4} steps, error {errors[-1]:.1e}   {seconds:5.2f} s")
    return errors


curves = {
    "Jacobi": iterate("Jacobi", triangular, sparse.diags_array(A.diagonal(), format="csc")),
    "Gauss-Seidel": iterate("Gauss-Seidel", triangular, sparse.tril(A, format="csc")),
    "ILU": iterate("ILU", incomplete, A),
}

# Beyond repetition: a Krylov method, here one of SciPy's, makes more of each step with the same S.
krylov = [np.abs(exact).max()]
linalg.bicgstab(
    A,
    f.ravel(),
    rtol=1e-10,
    M=linalg.LinearOperator(A.shape, incomplete(A).solve),
    callback=lambda u: krylov.append(np.abs(u - exact).max()),
)
curves["BiCGSTAB with ILU (SciPy)"] = krylov
print(f"BiCGSTAB + ILU  {len(krylov) - 1:4} steps, error {krylov[-1]:.1e}")

lesson.part("The same as graphs: the neighbours are a convolution")
cross = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
red = (np.indices((n, n)).sum(axis=0) % 2 == 0).reshape(1, 1, n, n)


def jacobi_step(u: ms.Node, heat: ms.Node) -> ms.Node:
    """All points at once, each from its old neighbours."""
    neighbours = ms.ops.Conv(u, cross.reshape(1, 1, 3, 3), pads=1)
    return (neighbours + heat) / 4.2


def gauss_seidel_step(u: ms.Node, heat: ms.Node) -> ms.Node:
    """The red squares of a chess board, then the black ones from the new red ones."""
    half = ms.ops.Where(red, jacobi_step(u, heat), u)
    return ms.ops.Where(red, half, jacobi_step(half, heat))


def iterate_graph(name: str, rule: Callable[[ms.Node, ms.Node], ms.Node]) -> list[float]:
    with ms.Graph():
        heat = ms.Constant(f.reshape(1, 1, n, n), dtype="float64", name="heat")
        u = ms.Variable(np.zeros((1, 1, n, n)), dtype="float64", name="u")
        step = ms.function([], [], updates=[(u, rule(u, heat))])
    began = time.perf_counter()
    errors = [np.abs(exact).max()]
    while errors[-1] > tolerance:
        step()
        errors.append(np.abs(u.value.ravel() - exact).max())
    seconds = time.perf_counter() - began
    print(f"{name:<15} {len(errors) - 1:4} steps, error {errors[-1]:.1e}   {seconds:5.2f} s")
    return errors


curves["Jacobi, graph"] = iterate_graph("Jacobi", jacobi_step)
curves["Gauss-Seidel, graph"] = iterate_graph("Gauss-Seidel", gauss_seidel_step)
print("Gauss-Seidel may take the equations in any order; on the board, half of them at a time.")

line_chart(
    curves,
    lesson.picture("02_iterations.svg"),
    title=f"{n * n:,} unknowns: the distance from SciPy's direct solution",
    x_label="step",
    y_label="largest error",
    log=True,
    first=0,
)
