"""Several optimizers for one loss, each with variables of its own."""

from __future__ import annotations

from collections.abc import Sequence

from matrixslow.core.interpreter import Update
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node
from matrixslow.errors import GradientError, GraphError
from matrixslow.optimizers.optimizer import Optimizer, trainable_slopes


class ParameterGroups:
    """Optimizers by group of variables. Each clips the slopes of its own group.

    Args:
        groups: Pairs (optimizer, its variables).
        rest: The optimizer of all other trainable variables; without one they stay as they are.

    Raises:
        GraphError: A variable is in two groups.

    >>> with ms.Graph():
    ...     w, b = ms.Variable([1.0]), ms.Variable([1.0])
    ...     groups = ms.optimizers.ParameterGroups(
    ...         [(ms.optimizers.SGD(0.0), [b])], rest=ms.optimizers.SGD(0.5)
    ...     )
    ...     step = ms.function([], w, updates=groups.minimize(w + b))
    >>> step(), w.value, b.value
    (array([1.], dtype=float32), array([0.5], dtype=float32), array([1.], dtype=float32))
    """

    def __init__(
        self,
        groups: Sequence[tuple[Optimizer, Sequence[Variable]]],
        *,
        rest: Optimizer | None = None,
    ) -> None:
        self.groups = [(optimizer, list(variables)) for optimizer, variables in groups]
        self.rest = rest
        named = [variable for _, variables in self.groups for variable in variables]
        for variable in named:
            if named.count(variable) > 1:
                raise GraphError(
                    f"ParameterGroups: {variable!r} is in two groups",
                    hint="put each variable into one group",
                )

    def minimize(self, loss: Node, variables: Sequence[Variable] | None = None) -> list[Update]:
        """The update pairs of one step: see `Optimizer.minimize`."""
        return self.updates(trainable_slopes(loss, variables))

    def updates(self, pairs: Sequence[tuple[Variable, Node]]) -> list[Update]:
        """The update pairs of one step, from pairs (variable, gradient).

        Raises:
            GradientError: A variable of a group is not among the pairs.
        """
        left = dict(pairs)
        result: list[Update] = []
        for optimizer, variables in self.groups:
            for variable in variables:
                if variable not in left:
                    raise GradientError(
                        f"ParameterGroups: {variable!r} is in a group and has no slope",
                        hint="group only trainable variables that the loss depends on",
                    )
            result += optimizer.updates([(x, left.pop(x)) for x in variables])
        if self.rest is not None and left:
            result += self.rest.updates(list(left.items()))
        return result
