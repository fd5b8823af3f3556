"""Optimizer: turns gradients into update pairs; its state is ordinary variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from math import inf
from numbers import Real
from typing import ClassVar

from matrixslow.core.gradient import gradients
from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, GradientError, GraphError
from matrixslow.ops import Cast, Clip, Min, ReduceSumSquare, Sqrt
from matrixslow.ops.rows import is_sparse, merged_rows
from matrixslow.optimizers.schedules import Schedule
from matrixslow.optimizers.slot import RowSlot, Slot

FRACTIONS = ("momentum", "rho", "betas")
"""Options that weigh the past against the present."""


@dataclass(eq=False)
class Optimizer(ABC):
    """Base of the optimizers. A subclass gives the formula for one weight, in `step`.

    A table that is embedded with `sparse=True` is changed in the rows that a step looks up, and in
    no others: their state and their weight decay wait until they are looked up again, while the
    number of the step counts on. For SGD and AdaGrad that is the very step that a dense slope
    makes, as it is without momentum and decay a row of slope zero that changes nothing; for Adam it
    is what is known as sparse or lazy Adam. Clipping sees the rows of equal ids summed, and so
    what it sees of the whole slope. A slope is dense if the table is used in another way as well.

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
            ids: dict[Variable, Node] = {}
            slopes = []
            for weight, slope in pairs:
                if is_sparse(slope):
                    ids[weight], slope = merged_rows(slope)
                slopes.append((weight, slope))
            for weight, slope in self._clipped(slopes):
                with graph.scope(weight.name):
                    if weight in ids:
                        slot: Slot = RowSlot.of(weight, ids[weight], slope, rate, count)
                    else:
                        slot = Slot(weight, slope, rate, count)
                    result += self._update(slot)
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
        weight = slot.weight
        if self.weight_decay and self.decoupled:
            weight = weight * slot.scalar(1.0 - self.weight_decay * slot.rate)
        elif self.weight_decay:
            slot = replace(slot, slope=slot.slope + self.weight_decay * weight)
        slot.becomes(slot.weight, weight - self.step(slot))
        return slot.updates

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
