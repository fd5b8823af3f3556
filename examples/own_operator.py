"""An operator of your own: ten lines, the contract that holds it, and a model that learns with it.

    python examples/own_operator.py

log(cosh(x)) is x**2 / 2 near zero and grows like |x| far away, so as a loss it forgives outliers
that pull a least-squares line off its course.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import matrixslow as ms
from matrixslow.ops.elementwise import FloatingElementwise


class LogCosh(FloatingElementwise):
    """y = log(cosh(x)), element by element."""

    def compute(self, xp, x):
        return xp.logaddexp(x, -x) - math.log(2.0)

    def gradient(self, upstream):
        (x,) = self.inputs
        return (upstream * ms.ops.Tanh(x),)


class LogCoshWithoutSign(LogCosh):
    """The same with a mistake in its rule, to see what the contract says."""

    def gradient(self, upstream):
        (x,) = self.inputs
        return (upstream * ms.ops.Abs(ms.ops.Tanh(x)),)


def sample(operator: type[ms.Node]) -> ms.testing.Sample:
    x = np.array([[-3.0, -0.5, 0.25], [1.0, 2.0, 40.0]])
    return ms.testing.Sample(
        f"{operator.__name__} of a matrix",
        build=operator,
        arrays=(x,),
        expected=np.log(np.cosh(x)),
    )


def fitted_line(x, y, error, steps: int) -> tuple[float, float]:
    """Slope and intercept of the line with the least mean error."""
    with ms.Graph(seed=0):
        abscissa, ordinate = ms.Input((None,), name="x"), ms.Input((None,), name="y")
        slope, intercept = ms.Variable(0.0, name="slope"), ms.Variable(0.0, name="intercept")
        residual = slope * abscissa + intercept - ordinate
        loss = ms.ops.ReduceMean(error(residual), keepdims=False)
        updates = ms.optimizers.Adam(0.05).minimize(loss)
        step = ms.function([abscissa, ordinate], loss, updates=updates)
    for _ in range(steps):
        step(x, y)
    return float(slope.value), float(intercept.value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="take a few steps only")
    smoke = parser.parse_args().smoke

    ms.testing.check_operator(sample(LogCosh))
    print("LogCosh keeps the contract.\n")
    try:
        ms.testing.check_operator(sample(LogCoshWithoutSign))
    except AssertionError as broken:
        print(f"A mistake is named:\n{broken}\n")

    rng = np.random.default_rng(0)
    x = rng.uniform(-3.0, 3.0, 200)
    y = 2.0 * x + 1.0 + rng.normal(0.0, 0.1, 200)
    y[:30] -= 20.0  # outliers, all on one side
    print("The line is y = 2 x + 1, and 30 of the 200 points lie far below it.")
    steps = 20 if smoke else 1000
    for name, error in {"x**2": lambda r: r * r, "LogCosh": LogCosh}.items():
        slope, intercept = fitted_line(x, y, error, steps)
        print(f"{name:8} finds y = {slope:.2f} x {intercept:+.2f}")


if __name__ == "__main__":
    main()
