"""The optimizers' formulas, one class each, as published; PyTorch's agree.

In the docstrings w is a weight, g its slope, eta the learning rate, t the step's number from 1.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.ops import Max, Sign, Sqrt
from matrixslow.optimizers.optimizer import Optimizer
from matrixslow.optimizers.schedules import Schedule
from matrixslow.optimizers.slot import Slot


@dataclass(eq=False)
class SGD(Optimizer):
    """w <- w - eta g.

    Source: Robbins and Monro, "A Stochastic Approximation Method" (1951).

    >>> with ms.Graph():
    ...     w = ms.Variable([4.0], name="w")
    ...     step = ms.function([], w * w, updates=ms.optimizers.SGD(0.25).minimize(w * w))
    >>> step(), w.value
    (array([16.], dtype=float32), array([2.], dtype=float32))
    """

    def step(self, slot: Slot) -> Node:
        """Eta g."""
        return slot.scalar(slot.rate) * slot.slope


@dataclass(eq=False)
class Momentum(Optimizer):
    """v <- momentum v + g; w <- w - eta v.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964).

    >>> ms.optimizers.Momentum(0.1)
    Momentum(learning_rate=0.1, weight_decay=0.0, clip_norm=None, clip_value=None, momentum=0.9)
    """

    _: KW_ONLY
    momentum: float = 0.9

    def step(self, slot: Slot) -> Node:
        """Eta v."""
        velocity = slot.state("velocity")
        faster = slot.becomes(velocity, self.momentum * velocity + slot.slope)
        return slot.scalar(slot.rate) * self.direction(slot, faster)

    def direction(self, slot: Slot, velocity: Node) -> Node:
        """Where to go, given the new velocity."""
        return velocity


@dataclass(eq=False)
class Nesterov(Momentum):
    """v <- momentum v + g; w <- w - eta (g + momentum v).

    Source: Nesterov (1983), in the form of Sutskever et al., "On the importance of initialization
    and momentum in deep learning" (2013).

    >>> ms.optimizers.Nesterov(0.1, momentum=0.95).momentum
    0.95
    """

    def direction(self, slot: Slot, velocity: Node) -> Node:
        """Where to go, given the new velocity: one step ahead."""
        return slot.slope + self.momentum * velocity


@dataclass(eq=False)
class AdaGrad(Optimizer):
    """s <- s + g g; w <- w - eta g / (sqrt(s) + epsilon).

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods" (2011).

    >>> ms.optimizers.AdaGrad().learning_rate
    0.01
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    epsilon: float = 1e-10

    def step(self, slot: Slot) -> Node:
        """Eta g / (sqrt(s) + epsilon)."""
        squares = slot.state("squares")
        more = slot.becomes(squares, squares + slot.slope * slot.slope)
        return slot.scalar(slot.rate) * (slot.slope / (Sqrt(more) + self.epsilon))


@dataclass(eq=False)
class RMSProp(Optimizer):
    """s <- rho s + (1 - rho) g g; v <- momentum v + g / (sqrt(s) + epsilon); w <- w - eta v.

    With `centered`, s is lessened by the square of the running mean of g.

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e (2012).

    >>> ms.optimizers.RMSProp(1e-3, momentum=0.9, centered=True).rho
    0.99
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    rho: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8

    def step(self, slot: Slot) -> Node:
        """Eta v."""
        slope = slot.slope
        spread = slot.running_mean("squares", slope * slope, self.rho)
        if self.centered:
            centre = slot.running_mean("mean", slope, self.rho)
            # Rounding may bring a slope that never changes below zero.
            spread = Max(spread - centre * centre, 0.0)
        step = slope / (Sqrt(spread) + self.epsilon)
        if self.momentum:
            velocity = slot.state("velocity")
            step = slot.becomes(velocity, self.momentum * velocity + step)
        return slot.scalar(slot.rate) * step


@dataclass(eq=False)
class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g g; w <- w - eta m' / (sqrt(v') + epsilon).

    m' = m / (1 - b1**t) and v' = v / (1 - b2**t) undo the start from zero.

    Source: Kingma and Ba, "Adam" (2015), algorithm 1.

    >>> ms.optimizers.Adam(3e-4, betas=(0.9, 0.95)).epsilon
    1e-08
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def step(self, slot: Slot) -> Node:
        """Eta m' / (sqrt(v') + epsilon)."""
        first, second = self.betas
        mean = slot.running_mean("mean", slot.slope, first)
        square = slot.running_mean("square", slot.slope * slot.slope, second)
        unbias = slot.scalar(1.0 / Sqrt(1.0 - second**slot.count))
        rate = slot.scalar(slot.rate / (1.0 - first**slot.count))
        return rate * mean / (Sqrt(square) * unbias + self.epsilon)


@dataclass(eq=False)
class AdamW(Adam):
    """Adam, with w <- (1 - eta weight_decay) w before the step in place of the L2 penalty.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).

    >>> ms.optimizers.AdamW(3e-4).weight_decay
    0.01
    """

    decoupled = True
    _: KW_ONLY
    weight_decay: float = 0.01


@dataclass(eq=False)
class Adadelta(Optimizer):
    """Steps in the units of the weight: g times the ratio of two running root mean squares.

    s <- rho s + (1 - rho) g g; d = g sqrt(u + epsilon) / sqrt(s + epsilon);
    u <- rho u + (1 - rho) d d; w <- w - eta d.

    Source: Zeiler, "ADADELTA" (2012), algorithm 1.

    >>> ms.optimizers.Adadelta().learning_rate
    1.0
    """

    learning_rate: float | Schedule = 1.0
    _: KW_ONLY
    rho: float = 0.9
    epsilon: float = 1e-6

    def step(self, slot: Slot) -> Node:
        """Eta d."""
        slope, steps = slot.slope, slot.state("steps")
        spread = slot.running_mean("squares", slope * slope, self.rho)
        step = slope * Sqrt(steps + self.epsilon) / Sqrt(spread + self.epsilon)
        slot.becomes(steps, self.rho * steps + (1.0 - self.rho) * (step * step))
        return slot.scalar(slot.rate) * step


@dataclass(eq=False)
class Nadam(Adam):
    """Adam with Nesterov's momentum: the mean is looked at one step ahead.

    mu_t = b1 (1 - 0.96**(t momentum_decay) / 2), and M_t is the product of mu_1 to mu_t.
    w <- w - eta (mu_{t+1} m / (1 - M_{t+1}) + (1 - mu_t) g / (1 - M_t)) / (sqrt(v') + epsilon).

    Source: Dozat, "Incorporating Nesterov Momentum into Adam" (2016).

    >>> ms.optimizers.Nadam().learning_rate
    0.002
    """

    learning_rate: float | Schedule = 2e-3
    _: KW_ONLY
    momentum_decay: float = 4e-3

    def step(self, slot: Slot) -> Node:
        """Eta times the mean ahead, over sqrt(v') + epsilon."""
        first, second = self.betas
        mean = slot.running_mean("mean", slot.slope, first)
        square = slot.running_mean("square", slot.slope * slot.slope, second)
        now = first * (1.0 - 0.5 * 0.96 ** (slot.count * self.momentum_decay))
        ahead = first * (1.0 - 0.5 * 0.96 ** ((slot.count + 1.0) * self.momentum_decay))
        product = Variable(1.0, dtype="float64", trainable=False, name="product")
        so_far = slot.becomes(product, product * now)
        on_slope = slot.scalar(slot.rate * (1.0 - now) / (1.0 - so_far))
        on_mean = slot.scalar(slot.rate * ahead / (1.0 - so_far * ahead))
        unbias = slot.scalar(1.0 / Sqrt(1.0 - second**slot.count))
        step = on_slope * slot.slope + on_mean * mean
        return step / (Sqrt(square) * unbias + self.epsilon)


@dataclass(eq=False)
class Lion(Optimizer):
    """w <- (1 - eta weight_decay) w - eta sign(b1 m + (1 - b1) g); m <- b2 m + (1 - b2) g.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2.

    >>> ms.optimizers.Lion(weight_decay=0.1).betas
    (0.9, 0.99)
    """

    decoupled = True
    learning_rate: float | Schedule = 1e-4
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.99)

    def step(self, slot: Slot) -> Node:
        """Eta sign(b1 m + (1 - b1) g)."""
        first, second = self.betas
        mean = slot.state("mean")
        slot.becomes(mean, second * mean + (1.0 - second) * slot.slope)
        return slot.scalar(slot.rate) * Sign(first * mean + (1.0 - first) * slot.slope)
