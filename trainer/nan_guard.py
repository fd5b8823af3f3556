"""NaNGuard: stops at the first loss that is not finite, and names the node it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.interpreter import Interpreter
from matrixslow.core.leaf import Leaf
from matrixslow.core.node import Node
from matrixslow.errors import NonFiniteError
from matrixslow.trainer.hooks import Hook

if TYPE_CHECKING:
    from matrixslow.trainer.trainer import Trainer


class NaNGuard(Hook):
    """Stops at the first loss that is NaN or infinite, and finds where that came from.

    Every `every` steps it keeps a copy of the variables, and from then on the batches. When a loss
    is not finite it goes back to the copy, repeats the good steps, and runs the bad one in the
    reference interpreter, which names the first node whose value is not finite. The variables are
    left as they were before the bad step.

    Args:
        every: How many steps lie between two copies.

    Raises:
        NonFiniteError: From `fit`, naming the node, its line, and its inputs.
    """

    order = 10

    def __init__(self, *, every: int = 50) -> None:
        self.every = every
        self._copy: dict[str, Any] = {}
        self._batches: list[list[Array]] = []

    def begin(self, trainer: Trainer) -> None:
        """Keep the first copy."""
        self._keep(trainer)

    def after_step(self, trainer: Trainer) -> None:
        """Look at the loss.

        Raises:
            NonFiniteError: It is not finite.
        """
        self._batches.append(trainer.feeds)
        if not np.isfinite(trainer.loss_value):
            raise self._found(trainer)
        if len(self._batches) == self.every:
            self._keep(trainer)

    def after_epoch(self, trainer: Trainer, numbers: Mapping[str, float]) -> None:
        """Keep a copy: a hook may have changed the learning rate, or a variable."""
        self._keep(trainer)

    def end(self, trainer: Trainer) -> None:
        """Let the copies go."""
        self._copy, self._batches = {}, []

    def _keep(self, trainer: Trainer) -> None:
        self._copy = trainer.graph.state_dict()
        self._batches = []

    def _found(self, trainer: Trainer) -> NonFiniteError:
        trainer.graph.load_state_dict(self._copy)
        good, bad = self._batches[:-1], self._batches[-1]
        for feeds in good:
            trainer.updater(feeds)
        before = trainer.graph.state_dict()
        updates = [new for _, new in trainer.updater.updates]
        program = Interpreter(trainer.inputs, [trainer.target, *updates], training=True)
        values = program.trace(bad)
        trainer.graph.load_state_dict(before)
        culprit = first_not_finite(values)
        where = f"epoch {trainer.epoch + 1}, batch {trainer.batch}"
        if culprit is None:
            return NonFiniteError(
                f"the loss {trainer.target.name!r} became {trainer.loss_value} in {where}, and "
                "not again when the step was repeated",
                hint="look at custom hooks that change variables between steps",
            )
        return _report(culprit, values, where)


def first_not_finite(values: Mapping[Node, Array]) -> Node | None:
    """The first node that is NaN, or else infinite, though all it is made of is finite."""
    finite = {node: bool(np.isfinite(to_host(x)).all()) for node, x in values.items()}
    suspects = [
        node for node, fine in finite.items() if not fine and all(finite[x] for x in node.inputs)
    ]
    with_nan = [node for node in suspects if np.isnan(to_host(values[node])).any()]
    return next(iter(with_nan or suspects), None)


def _report(node: Node, values: Mapping[Node, Array], where: str) -> NonFiniteError:
    array = to_host(values[node])
    bad = ~np.isfinite(array)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    rule = (
        f"{int(bad.sum())} of {array.size} values are not finite in {where}, the first is "
        f"{array[place]} at {place}"
    )
    if isinstance(node, Leaf):
        hint = "the data that is fed holds it: clean the data before training"
        rows: tuple[str, ...] = ()
    else:
        hint = "lower the learning rate, clip gradients, or keep its inputs in range"
        rows = tuple(_extent(x, values[x]) for x in node.inputs)
    located = node.explain(NonFiniteError(rule, hint=hint))
    return NonFiniteError(located.rule, rows=(*located.rows, *rows), hint=located.hint)


def _extent(node: Node, value: Array) -> str:
    array = to_host(value)
    return f"fed    {node.name} from {array.min():.6g} to {array.max():.6g}" if array.size else ""
