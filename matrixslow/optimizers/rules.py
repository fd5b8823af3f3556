"""The optimizers' formulas, one class each, as published; PyTorch's agree.

In the docstrings w is a weight, g its slope, eta the learning rate, t the step's number from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.ops import Sign, Sqrt
from matrixslow.optimizers.optimizer import Optimizer, Slot
from matrixslow.optimizers.schedules import Schedule


@dataclass(eq=False)
class SGD(Optimizer):
    """w <- w - eta g.

    Source: Robbins and Monro, "A Stochastic Approximation Method" (1951).

    >>> with ms.Graph() as graph:
    ...     w = ms.Variable([4.0], name="w")
    ...     step = ms.function([], w * w, updates=ms.optimizers.SGD(0.25).minimize(w * w))
    >>> step(), w.value
    (array([16.], dtype=float32), array([2.], dtype=float32))
    """

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        yield slot.weight, slot.weight - slot.scalar(slot.rate) * slot.slope


@dataclass(eq=False)
class Momentum(Optimizer):
    """v <- momentum v + g; w <- w - eta v.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964).
    """

    _: KW_ONLY
    momentum: float = 0.9

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        velocity = slot.state("velocity")
        faster = self.momentum * velocity + slot.slope
        yield velocity, faster
        yield slot.weight, slot.weight - slot.scalar(slot.rate) * self.direction(slot, faster)

    def direction(self, slot: Slot, velocity: Node) -> Node:
        """Where to go, given the new velocity."""
        return velocity


@dataclass(eq=False)
class Nesterov(Momentum):
    """v <- momentum v + g; w <- w - eta (g + momentum v).

    Source: Nesterov (1983), in the form of Sutskever et al., "On the importance of initialization
    and momentum in deep learning" (2013).
    """

    def direction(self, slot: Slot, velocity: Node) -> Node:
        """Where to go, given the new velocity: one step ahead."""
        return slot.slope + self.momentum * velocity


@dataclass(eq=False)
class AdaGrad(Optimizer):
    """s <- s + g g; w <- w - eta g / (sqrt(s) + epsilon).

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods" (2011).
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    epsilon: float = 1e-10

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        squares = slot.state("squares")
        more = squares + slot.slope * slot.slope
        yield squares, more
        step = slot.slope / (Sqrt(more) + self.epsilon)
        yield slot.weight, slot.weight - slot.scalar(slot.rate) * step


@dataclass(eq=False)
class RMSProp(Optimizer):
    """s <- rho s + (1 - rho) g g; v <- momentum v + g / (sqrt(s) + epsilon); w <- w - eta v.

    With `centered`, s is lessened by the square of the running mean of g.

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e (2012).
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    rho: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        squares = slot.state("squares")
        spread = self.rho * squares + (1.0 - self.rho) * (slot.slope * slot.slope)
        yield squares, spread
        if self.centered:
            mean = slot.state("mean")
            centre = self.rho * mean + (1.0 - self.rho) * slot.slope
            yield mean, centre
            spread = spread - centre * centre
        step = slot.slope / (Sqrt(spread) + self.epsilon)
        if self.momentum:
            velocity = slot.state("velocity")
            step = self.momentum * velocity + step
            yield velocity, step
        yield slot.weight, slot.weight - slot.scalar(slot.rate) * step


@dataclass(eq=False)
class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g g; w <- w - eta m' / (sqrt(v') + epsilon).

    m' = m / (1 - b1**t) and v' = v / (1 - b2**t) undo the start from zero.

    Source: Kingma and Ba, "Adam" (2015), algorithm 1.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        first, second = self.betas
        mean, square = slot.state("mean"), slot.state("square")
        new_mean = first * mean + (1.0 - first) * slot.slope
        new_square = second * square + (1.0 - second) * (slot.slope * slot.slope)
        yield mean, new_mean
        yield square, new_square
        unbias = slot.scalar(1.0 / Sqrt(1.0 - second**slot.count))
        rate = slot.scalar(slot.rate / (1.0 - first**slot.count))
        step = rate * new_mean / (Sqrt(new_square) * unbias + self.epsilon)
        yield slot.weight, self.shrunk(slot) - step

    def shrunk(self, slot: Slot) -> Node:
        """The weight before the step."""
        return slot.weight


@dataclass(eq=False)
class AdamW(Adam):
    """Adam, with w <- (1 - eta weight_decay) w before the step in place of the L2 penalty.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def decay(self, weight: Variable, slope: Node) -> Node:
        """The slope alone."""
        return slope

    def shrunk(self, slot: Slot) -> Node:
        """The weight before the step, decayed."""
        return slot.weight * slot.scalar(1.0 - self.weight_decay * slot.rate)


@dataclass(eq=False)
class Adadelta(Optimizer):
    """Steps in the units of the weight: g times the ratio of two running root mean squares.

    s <- rho s + (1 - rho) g g; d = g sqrt(u + epsilon) / sqrt(s + epsilon);
    u <- rho u + (1 - rho) d d; w <- w - eta d.

    Source: Zeiler, "ADADELTA" (2012), algorithm 1.
    """

    learning_rate: float | Schedule = 1.0
    _: KW_ONLY
    rho: float = 0.9
    epsilon: float = 1e-6

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        squares, steps = slot.state("squares"), slot.state("steps")
        spread = self.rho * squares + (1.0 - self.rho) * (slot.slope * slot.slope)
        step = slot.slope * Sqrt(steps + self.epsilon) / Sqrt(spread + self.epsilon)
        yield squares, spread
        yield steps, self.rho * steps + (1.0 - self.rho) * (step * step)
        yield slot.weight, slot.weight - slot.scalar(slot.rate) * step


@dataclass(eq=False)
class Nadam(Adam):
    """Adam with Nesterov's momentum: the mean is looked at one step ahead.

    mu_t = b1 (1 - 0.96**(t momentum_decay) / 2), and M_t is the product of mu_1 to mu_t.
    w <- w - eta (mu_{t+1} m / (1 - M_{t+1}) + (1 - mu_t) g / (1 - M_t)) / (sqrt(v') + epsilon).

    Source: Dozat, "Incorporating Nesterov Momentum into Adam" (2016).
    """

    learning_rate: float | Schedule = 2e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    momentum_decay: float = 4e-3
    epsilon: float = 1e-8

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        first, second = self.betas
        mean, square = slot.state("mean"), slot.state("square")
        product = Variable(1.0, dtype="float64", trainable=False, name="product")
        new_mean = first * mean + (1.0 - first) * slot.slope
        new_square = second * square + (1.0 - second) * (slot.slope * slot.slope)
        now = first * (1.0 - 0.5 * 0.96 ** (slot.count * self.momentum_decay))
        ahead = first * (1.0 - 0.5 * 0.96 ** ((slot.count + 1.0) * self.momentum_decay))
        new_product = product * now
        yield mean, new_mean
        yield square, new_square
        yield product, new_product
        unbias = slot.scalar(1.0 / Sqrt(1.0 - second**slot.count))
        on_slope = slot.scalar(slot.rate * (1.0 - now) / (1.0 - new_product))
        on_mean = slot.scalar(slot.rate * ahead / (1.0 - new_product * ahead))
        step = on_slope * slot.slope + on_mean * new_mean
        yield slot.weight, slot.weight - step / (Sqrt(new_square) * unbias + self.epsilon)


@dataclass(eq=False)
class Lion(AdamW):
    """w <- (1 - eta weight_decay) w - eta sign(b1 m + (1 - b1) g); m <- b2 m + (1 - b2) g.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2.
    """

    learning_rate: float | Schedule = 1e-4
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.99)

    def rule(self, slot: Slot) -> Iterator[Update]:
        """One weight's update pairs."""
        first, second = self.betas
        mean = slot.state("mean")
        direction = Sign(first * mean + (1.0 - first) * slot.slope)
        yield mean, second * mean + (1.0 - second) * slot.slope
        yield slot.weight, self.shrunk(slot) - slot.scalar(slot.rate) * direction
