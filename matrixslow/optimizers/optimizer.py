"""Optimizer: turns gradients into update pairs; its state is ordinary variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields

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
    """

    weight: Variable
    slope: Node
    rate: Node
    count: Node

    def state(self, name: str, *, initial: float = 0.0) -> Variable:
        """A variable of the weight's shape and dtype that lives from step to step."""
        array = np.full(self.weight.value.shape, initial, dtype=self.weight.dtype)
        return Variable(array, dtype=self.weight.dtype, trainable=False, name=name)

    def scalar(self, x: Node) -> Node:
        """A float64 scalar in the weight's dtype."""
        return Cast(x, dtype=self.weight.dtype)


@dataclass(eq=False)
class Optimizer(ABC):
    """Base of the optimizers. A subclass gives the formula for one weight, in `rule`.

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
    """

    learning_rate: float | Schedule
    _: KW_ONLY
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    rate: Variable | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for option in fields(self):
            value = getattr(self, option.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and not self._allows(option.name, number):
                    raise ArgumentError(
                        f"{type(self).__name__}: {option.name}={value!r}",
                        hint="give 0 <= value < 1" if option.name in FRACTIONS else "give >= 0",
                    )

    def _allows(self, option: str, number: float) -> bool:
        return 0.0 <= number < 1.0 if option in FRACTIONS else number >= 0.0

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
            if isinstance(self.learning_rate, Schedule):
                rate = self.learning_rate(Cast(steps, dtype="float64"))
            else:
                rate = self.rate = Variable(
                    self.learning_rate, dtype="float64", trainable=False, name="learning_rate"
                )
            more = steps + 1
            count = Cast(more, dtype="float64")
            result: list[Update] = [(steps, more)]
            for weight, slope in self._clipped(pairs):
                with graph.scope(weight.name):
                    if self.weight_decay:
                        slope = self.decay(weight, slope)
                    result += self.rule(Slot(weight, slope, rate, count))
        return result

    def decay(self, weight: Variable, slope: Node) -> Node:
        """The slope with that of the penalty added."""
        return slope + self.weight_decay * weight

    @abstractmethod
    def rule(self, slot: Slot) -> Iterator[Update]:
        """The update pairs of one weight: of its state, and of itself."""

    def _clipped(self, pairs: Sequence[tuple[Variable, Node]]) -> list[tuple[Variable, Node]]:
        if self.clip_value is not None:
            low, high = -self.clip_value, self.clip_value
            pairs = [(weight, Clip(slope, min=low, max=high)) for weight, slope in pairs]
        if self.clip_norm is not None:
            squares = [
                Cast(ReduceSumSquare(slope, keepdims=False), dtype="float64") for _, slope in pairs
            ]
            total = squares[0]
            for square in squares[1:]:
                total = total + square
            # As torch.nn.utils.clip_grad_norm_ guards the division.
            factor = Min(self.clip_norm / (Sqrt(total) + 1e-6), 1.0)
            pairs = [(weight, slope * Cast(factor, dtype=slope.dtype)) for weight, slope in pairs]
        return list(pairs)


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
