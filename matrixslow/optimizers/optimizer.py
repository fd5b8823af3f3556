"""Optimizer: turns gradients into update pairs; its state is ordinary variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from math import inf
from numbers import Real
from typing import ClassVar

import numpy as np

from matrixslow.core.gradient import gradients
from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, GradientError, GraphError
from matrixslow.ops import Cast, Clip, Min, ReduceSumSquare, Sqrt
from matrixslow.optimizers.schedules import Schedule

FRACTIONS = ("momentum", "rho", "betas")
"""Options that weigh the past against the present."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What an optimizer's formula works on: one weight, its slope, and state of its own.

    Attributes:
        weight: The variable to change.
        slope: The gradient of the loss with respect to it.
        rate: The learning rate of this step, a float64 scalar node.
        count: The number of this step, from 1 on, a float64 scalar node.
        updates: The update pairs of the state so far.
    """

    weight: Variable
    slope: Node
    rate: Node
    count: Node
    updates: list[Update] = field(default_factory=list)

    def state(self, name: str) -> Variable:
        """A variable of the weight's shape and dtype, zero at first, that lives between steps."""
        zeros = np.zeros(self.weight.value.shape)
        return Variable(zeros, dtype=self.weight.dtype, trainable=False, name=name)

    def becomes(self, state: Variable, new: Node) -> Node:
        """The new value, which the state takes at the end of the step."""
        self.updates.append((state, new))
        return new

    def running_mean(self, name: str, x: Node, keep: float) -> Node:
        """The new value of a state that becomes keep * state + (1 - keep) * x."""
        state = self.state(name)
        return self.becomes(state, keep * state + (1.0 - keep) * x)

    def scalar(self, x: Node) -> Node:
        """A float64 scalar in the weight's dtype."""
        return Cast(x, dtype=self.weight.dtype)


@dataclass(eq=False)
class Optimizer(ABC):
    """Base of the optimizers. A subclass gives the formula for one weight, in `step`.

    Args:
        learning_rate: A number, or a schedule: a function of the number of steps done.
        weight_decay: L2 penalty: this times the weight is added to the slope.
        clip_norm: The largest norm of all slopes taken together; larger ones are scaled down.
        clip_value: The largest magnitude of an element of a slope.

    Raises:
        ArgumentError: A value is out of its range.

    Attributes:
        rate: The variable that holds the learning rate of the graph it was last used in; None
            before that, and under a schedule. Set `rate.value` to change it between steps.

    An optimizer of one's own:

    >>> class SignDescent(ms.optimizers.Optimizer):
    ...     def step(self, slot):
    ...         return slot.scalar(slot.rate) * ms.ops.Sign(slot.slope)
    >>> with ms.Graph():
    ...     w = ms.Variable([4.0, -4.0])
    ...     loss = ms.ops.ReduceSum(w * w)
    ...     step = ms.function([], loss, updates=SignDescent(0.5).minimize(loss))
    >>> step(), w.value
    (array([32.], dtype=float32), array([ 3.5, -3.5], dtype=float32))
    """

    decoupled: ClassVar[bool] = False
    """Whether weight decay shrinks the weight itself, by eta weight_decay, and not the slope."""

    learning_rate: float | Schedule
    _: KW_ONLY
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    rate: Variable | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not isinstance(self.learning_rate, Real | Schedule):
            raise ArgumentError(
                f"{type(self).__name__}: learning_rate={self.learning_rate!r}",
                hint="give a number, or a schedule such as ms.optimizers.StepDecay",
            )
        for option in fields(self):
            value = getattr(self, option.name)
            below = 1.0 if option.name in FRACTIONS else inf
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, Real) and not 0.0 <= float(number) < below:
                    raise ArgumentError(
                        f"{type(self).__name__}: {option.name}={value!r}",
                        hint="give 0 <= value < 1" if below == 1.0 else "give 0 or more",
                    )

    def minimize(self, loss: Node, variables: Sequence[Variable] | None = None) -> list[Update]:
        """The update pairs of one step down the slope of a loss.

        Args:
            loss: A node of one element.
            variables: What to change; by default every trainable variable the loss depends on.

        Raises:
            GraphError: There is nothing to train.
            GradientError: The loss does not depend on a variable that was named.
        """
        return self.updates(trainable_slopes(loss, variables))

    def updates(self, pairs: Sequence[tuple[Variable, Node]]) -> list[Update]:
        """The update pairs of one step, from pairs (variable, gradient)."""
        graph = pairs[0][0].graph
        with graph, graph.scope(type(self).__name__.lower(), absolute=True, unique=True):
            steps = Variable(0, dtype="int64", trainable=False, name="steps")
            more = steps + 1
            rate = self._rate(steps)
            count = Cast(more, dtype="float64")
            result: list[Update] = [(steps, more)]
            for weight, slope in self._clipped(pairs):
                with graph.scope(weight.name):
                    result += self._update(Slot(weight, slope, rate, count))
        return result

    @abstractmethod
    def step(self, slot: Slot) -> Node:
        """What is subtracted from a weight, by the optimizer's formula."""

    def _rate(self, steps: Variable) -> Node:
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate(Cast(steps, dtype="float64"))
        self.rate = Variable(
            self.learning_rate, dtype="float64", trainable=False, name="learning_rate"
        )
        return self.rate

    def _update(self, slot: Slot) -> list[Update]:
        weight: Node = slot.weight
        if self.weight_decay and self.decoupled:
            weight = weight * slot.scalar(1.0 - self.weight_decay * slot.rate)
        elif self.weight_decay:
            slot = replace(slot, slope=slot.slope + self.weight_decay * weight)
        new = weight - self.step(slot)
        return [*slot.updates, (slot.weight, new)]

    def _clipped(self, pairs: Sequence[tuple[Variable, Node]]) -> Sequence[tuple[Variable, Node]]:
        if self.clip_value is not None:
            low, high = -self.clip_value, self.clip_value
            pairs = [(weight, Clip(slope, min=low, max=high)) for weight, slope in pairs]
        if self.clip_norm is not None:
            squares = [
                Cast(ReduceSumSquare(slope, keepdims=False), dtype="float64") for _, slope in pairs
            ]
            norm = Sqrt(sum(squares[1:], start=squares[0]))
            # As torch.nn.utils.clip_grad_norm_ guards the division.
            factor = Min(self.clip_norm / (norm + 1e-6), 1.0)
            pairs = [(weight, slope * Cast(factor, dtype=slope.dtype)) for weight, slope in pairs]
        return pairs


def trainable_slopes(
    loss: Node, variables: Sequence[Variable] | None = None
) -> list[tuple[Variable, Node]]:
    """Pairs (variable, gradient of the loss), by default of all trainable variables it depends on.

    Raises:
        GraphError: There is nothing to train.
        GradientError: The loss does not depend on a variable that was named.
    """
    if variables is None:
        variables = [x for x in ancestors([loss]) if isinstance(x, Variable) and x.trainable]
    if not variables:
        raise GraphError(
            f"minimize: {loss!r} depends on no trainable variable",
            hint="build the model from layers, or from ms.Variable",
        )
    pairs = []
    for variable, slope in zip(variables, gradients(loss, variables), strict=True):
        if slope is None:
            raise GradientError(
                f"minimize: {loss!r} has no slope with respect to {variable!r}",
                hint="name only variables that the loss depends on, or set trainable=False",
            )
        pairs.append((variable, slope))
    return pairs
