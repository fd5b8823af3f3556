"""What every metric is: a small state that batches and workers add to."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matrixslow.errors import ArgumentError, FeedError, ShapeError

if TYPE_CHECKING:
    from matrixslow.core.node import Node

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Layout: TypeAlias = Mapping[str, tuple[int, ...]]
State: TypeAlias = dict[str, Floats]
Result: TypeAlias = float | Array | dict[str, Array]


class Metric(ABC):
    """A number about a model, gathered over any split of the data into batches and workers.

    A metric of one's own says three things: ``layout`` (the arrays that it keeps), ``measure``
    (the state of one batch) and ``result``. States are added by ``join``, which sums them unless
    a metric says otherwise; so the result depends on the samples and not on how they were split.

    A sample of weight zero counts as if it had not come: padding is masked this way.
    Before the first sample a result is nan, without a warning.

    Args:
        prediction: The node to judge.
        target: The node that holds the truth.
        weight: A node of one weight for each sample, finite and not negative.
        name: What the result is called; the class's name in snake case unless given.

    Attributes:
        nodes: What ``update`` wants the values of: prediction, target and, if given, weight.
        layout: The name and shape of each array of the state; a 0 in a shape stands for an axis
            whose length the data decide.
        options: The attributes in which two metrics must agree to be merged.

    Example:
        >>> import numpy as np
        >>> import matrixslow as ms
        >>> class Bias(ms.metrics.Metric):
        ...     layout = {"error": (), "count": ()}
        ...
        ...     def measure(self, prediction, target):
        ...         return {"error": (prediction - target).sum(), "count": target.size}
        ...
        ...     def result(self):
        ...         total = self.state()
        ...         return float(total["error"] / total["count"])
        >>> with ms.Graph():
        ...     guess, truth = ms.Input((None,)), ms.Input((None,))
        >>> bias = Bias(guess, truth)
        >>> bias.update(np.array([1.0, 2.0]), np.array([0.0, 2.0]))
        >>> bias.name, bias.result()
        ('bias', 0.5)
    """

    layout: ClassVar[Layout]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        prediction: Node,
        target: Node,
        *,
        weight: Node | None = None,
        name: str | None = None,
    ) -> None:
        pair = (prediction, target)
        self.nodes: tuple[Node, ...] = pair if weight is None else (*pair, weight)
        self.name = _snake_case(type(self).__name__) if name is None else name
        self.reset()

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    @abstractmethod
    def measure(self, *arrays: Array) -> State:
        """The state of one batch: arrays of float64 as ``layout`` names them."""

    @abstractmethod
    def result(self) -> Result:
        """The metric over all that came since the last reset."""

    def join(self, *states: State) -> State:
        """The state of several states' samples together: their sum."""
        return {
            key: np.asarray(
                np.sum([state[key] for state in states if state[key].size] or [np.zeros(axes)], 0)
            )
            for key, axes in self.layout.items()
        }

    def update(self, *arrays: Array) -> None:
        """Add one batch: the values of ``nodes``, in that order.

        Raises:
            FeedError: A value that cannot be judged (nan, a class out of range, a bad weight).
            ShapeError: Arrays that do not fit each other, or the batches before.
            DTypeError: An array that does not hold real numbers.
        """
        if len(arrays) != len(self.nodes):
            raise FeedError(
                f"{self}: one array is wanted for each of its {len(self.nodes)} nodes, "
                f"{len(arrays)} came",
                hint="pass the values of metric.nodes in their order",
            )
        self._add(self._checked(self.measure(*map(np.asarray, arrays))))

    def merge(self, other: Metric | Mapping[str, Array]) -> None:
        """Add what another metric of this kind has seen, or its ``state()``.

        Raises:
            ArgumentError: The other is of another kind, or counts by other options.
            ShapeError: Its state does not fit this one.
        """
        if not isinstance(other, Metric):
            self._add(self._checked(other))
            return
        if type(other) is not type(self):
            raise ArgumentError(
                f"{self}: only a metric of the same class can be merged, {other} came",
                hint="merge each metric with its own copy from the other worker",
            )
        for option in self.options:
            mine, its = getattr(self, option), getattr(other, option)
            if mine != its:
                raise ArgumentError(
                    f"{self}: metrics to merge must agree in {option}, {mine} and {its} came",
                    hint=f"build both with the same {option}",
                )
        self._add(other.state())

    def state(self) -> dict[str, Floats]:
        """A copy of all that was gathered, as arrays that can be sent or saved."""
        return {key: array.copy() for key, array in self._state.items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Forget what was gathered and go on from a ``state()``.

        Raises:
            ArgumentError: Arrays are missing, too many or of the wrong rank.
        """
        checked = self._checked(state)
        self.reset()
        self._add(checked)

    def reset(self) -> None:
        """Forget all samples."""
        self._state: State = {key: np.zeros(shape) for key, shape in self.layout.items()}

    def _add(self, state: State) -> None:
        for key, held in self._state.items():
            if held.size and state[key].size and held.shape != state[key].shape:
                raise ShapeError(
                    f"{self}: what is added must have the shape of what came before",
                    rows=(
                        f"before  {key}  {held.shape}",
                        f"added   {key}  {state[key].shape}",
                    ),
                    hint="feed one number of classes or outputs, or reset() in between",
                )
        self._state = self.join(self._state, state)

    def _checked(self, state: Mapping[str, Array]) -> State:
        if state.keys() != self.layout.keys():
            raise ArgumentError(
                f"{self}: a state holds {', '.join(self.layout)}; "
                f"{', '.join(state) or 'nothing'} came",
                hint="pass what state() of the same metric gave",
            )
        checked = {key: np.array(state[key], np.float64) for key in self.layout}
        ranks_fit = all(checked[key].ndim == len(axes) for key, axes in self.layout.items())
        lengths = {
            length
            for key, axes in self.layout.items()
            for length, axis in zip(checked[key].shape, axes, strict=False)
            if axis == 0
        }
        if not ranks_fit or len(lengths) > 1:
            raise ArgumentError(
                f"{self}: the arrays of a state do not fit each other",
                rows=tuple(f"{key}  {array.shape}" for key, array in checked.items()),
                hint="pass what state() of the same metric gave",
            )
        return checked


def ratio(part: Array | float, whole: Array | float, otherwise: float = math.nan) -> Floats:
    """Part / whole, and ``otherwise`` where the whole is zero."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    quotient = np.full(part.shape, otherwise)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def at_least(metric: Metric, option: str, value: int, least: int) -> int:
    """The value of an option that must be a whole number of a least size."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ArgumentError(
            f"{metric}: {option} must be a whole number of at least {least}, {value!r} came",
            hint=f"give {option}={least} or more",
        )
    return int(value)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
