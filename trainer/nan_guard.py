"""NaNGuard: stops at the first loss that is not finite, and names the node it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from matrixslow.backend import Array, to_host
from matrixslow.core.leaf import Constant, Input, Variable
from matrixslow.core.node import Node
from matrixslow.errors import NonFiniteError
from matrixslow.trainer.hooks import Hook

if TYPE_CHECKING:
    from matrixslow.trainer.trainer import Trainer


class NaNGuard(Hook):
    """Stops at the first loss that is NaN or infinite, and finds where that came from.

    Now and then it keeps a copy of the variables. When a loss, or at the end of an epoch a
    variable, is not finite, it goes back to the copy, repeats the good steps, and runs the bad one
    in the reference interpreter, which names the first node whose value is not finite. The
    variables are left as they were before the bad step.

    Args:
        every: How many steps lie between two copies.

    Raises:
        NonFiniteError: From `fit`, naming the node, its line, and its inputs.

    >>> with ms.Graph():
    ...     x = ms.Input((None,), name="x")
    ...     loss = ms.ops.ReduceMean(ms.ops.Log(ms.Variable(2.0) * x, name="log"))
    >>> trainer = ms.trainer.Trainer(loss, ms.optimizers.SGD(0.1))
    >>> try:
    ...     trainer.fit({x: [1.0, -1.0]}, shuffle=False, progress=False)
    ... except ms.errors.NonFiniteError as error:
    ...     print(error.rule)
    Log 'log': 1 of 2 values are not finite in epoch 1, batch 1, the first is nan at (1,)
    """

    order = 10

    def __init__(self, *, every: int = 50) -> None:
        self.every = every
        self._copy: dict[str, Any] = {}
        self._begin = 0

    def before_epoch(self, trainer: Trainer) -> None:
        """Keep a copy: hooks may have changed the learning rate, or a variable."""
        self._keep(trainer)

    def after_step(self, trainer: Trainer) -> None:
        """Look at the loss, and now and then at the variables.

        Raises:
            NonFiniteError: They are not finite.
        """
        last = trainer.batch == len(trainer.batches)
        due = last or trainer.batch - self._begin == self.every
        if not np.isfinite(trainer.tally.loss) or (due and not _all_finite(trainer)):
            raise self._error(trainer)
        if due and not last:
            self._keep(trainer)

    def end(self, trainer: Trainer) -> None:
        """Let the copy go."""
        self._copy = {}

    def _keep(self, trainer: Trainer) -> None:
        self._copy = trainer.graph.state_dict()
        self._begin = trainer.batch

    def _error(self, trainer: Trainer) -> NonFiniteError:
        """Repeat the steps since the copy, up to the bad one."""
        trainer.graph.load_state_dict(self._copy)
        batches = trainer.batches.epoch(trainer.epoch, start=self._begin)
        for number, batch in zip(range(self._begin + 1, trainer.batch + 1), batches, strict=False):
            feeds, last = trainer.feeds(batch), number == len(trainer.batches)
            before = trainer.graph.state_dict()
            loss = trainer.updater(feeds, last=last)[0]
            if np.isfinite(to_host(loss)).all() and _all_finite(trainer):
                continue
            trainer.graph.load_state_dict(before)
            traces = trainer.updater.trace(feeds, last=last)
            trainer.graph.load_state_dict(before)
            error = explain_not_finite(traces, f"epoch {trainer.epoch + 1}, batch {number}")
            if error is not None:
                return error
        return NonFiniteError(
            f"a loss of {trainer.tally.loss} in epoch {trainer.epoch + 1}, batch {trainer.batch} "
            "did not come again when the step was repeated",
            hint="look at hooks that change variables between steps",
        )


def explain_not_finite(traces: Sequence[Mapping[Node, Array]], where: str) -> NonFiniteError | None:
    """The error that names the first node that is not finite in what ran; None where all are."""
    for values in traces:
        culprit = first_not_finite(values)
        if culprit is not None:
            return _report(culprit, values, where)
    return None


def first_not_finite(values: Mapping[Node, Array]) -> Node | None:
    """The first node that is NaN, or else infinite, though all it is made of is finite.

    A constant may be infinite: it did not become so.
    """
    finite = {
        node: isinstance(node, Constant) or bool(np.isfinite(to_host(x)).all())
        for node, x in values.items()
    }
    suspects = [
        node for node, fine in finite.items() if not fine and all(finite[x] for x in node.inputs)
    ]
    suspects.sort(key=lambda node: node.index)
    with_nan = [node for node in suspects if np.isnan(to_host(values[node])).any()]
    return next(iter(with_nan or suspects), None)


def _all_finite(trainer: Trainer) -> bool:
    return all(np.isfinite(to_host(x.value)).all() for x in trainer.updater.variables)


def _report(node: Node, values: Mapping[Node, Array], where: str) -> NonFiniteError:
    array = to_host(values[node])
    bad = ~np.isfinite(array)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    rule = (
        f"{int(bad.sum())} of {array.size} values are not finite in {where}, the first is "
        f"{array[place]} at {place}"
    )
    if isinstance(node, Input):
        hint = "the data that is fed holds it: clean the data before training"
    elif isinstance(node, Variable):
        hint = "it was so before the step: look at its first value, and at hooks that change it"
    else:
        hint = "lower the learning rate, clip gradients, or keep its inputs in range"
    located = node.explain(NonFiniteError(rule, hint=hint))
    fed = [(x, to_host(values[x])) for x in node.inputs]
    rows = [f"fed    {x.name} from {v.min():.6g} to {v.max():.6g}" for x, v in fed if v.size]
    return NonFiniteError(located.rule, rows=(*located.rows, *rows), hint=located.hint)
