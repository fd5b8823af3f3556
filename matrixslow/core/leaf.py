"""The nodes without inputs: Input is fed, Constant stays, Variable is kept from run to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from sys import getrefcount
from typing import Any

import numpy as np

from matrixslow.backend import Array, as_native, to_device, to_host
from matrixslow.core.node import Node
from matrixslow.core.spec import FLOAT, DTypeLike, Spec, check_dtype
from matrixslow.errors import ArgumentError, DTypeError, FeedError, ShapeError

Initializer = Callable[[tuple[int, ...], np.dtype[Any], np.random.Generator], Array]
"""Makes a variable's first value from its shape, its dtype and a random stream of its own."""


class Leaf(Node):
    """A node without inputs, whose spec is given."""

    gradient = None

    def __init__(self, spec: Spec, *, name: str | None = None) -> None:
        self._given = spec
        super().__init__(name=name)

    def infer(self) -> Spec:
        """The spec it was given."""
        return self._given


@dataclass(frozen=True, slots=True)
class Limit:
    """A range of integers that a reader allows, and one value besides, in what a path picks."""

    low: int
    high: int
    reader: Node
    besides: int | None
    path: tuple[Node, ...]


class Input(Leaf):
    """A value that is fed at each run.

    Args:
        shape: The sizes of the axes; None on an axis whose size may differ from run to run.
        dtype: What the values are converted to, where that loses nothing in kind: integers may
            become floating-point numbers, not the other way round.
        name: Unique in the graph.

    >>> with ms.Graph():
    ...     ms.Input((None, 1, 28, 28), name="image")
    Input 'image' (None, 1, 28, 28) float32
    """

    def __init__(
        self, shape: Iterable[int | None], *, dtype: DTypeLike = FLOAT, name: str | None = None
    ) -> None:
        self._limits: tuple[Limit, ...] = ()
        self._fitting: tuple[int, ...] | None = None  # the last shape that was right
        super().__init__(Spec(shape, dtype), name=name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The arguments that build it again."""
        return {"shape": self.shape, "dtype": self.dtype}

    def limit(
        self,
        low: int,
        high: int,
        reader: Node,
        *,
        besides: int | None = None,
        path: tuple[Node, ...] = (),
    ) -> None:
        """Refuse integers outside low <= value < high when they are fed, on behalf of a reader.

        Args:
            low: The least value.
            high: One more than the greatest.
            reader: The node that reads the values.
            besides: A value that is allowed as well.
            path: Operators of one input, the first of which reads this node: what the last of them
                gives is judged. By default, every value is.
        """
        for known in self._limits:
            if (known.low, known.high, known.besides, known.path) == (low, high, besides, path):
                return
        self._limits = (*self._limits, Limit(low, high, reader, besides, path))

    def accept(self, value: Any) -> Array:
        """The value as an array of this node's dtype, on its device.

        Raises:
            FeedError: Its shape, its dtype or its range does not fit.
        """
        if (
            type(value) is np.ndarray
            and value.shape == self._fitting
            and value.dtype == self.spec.dtype
            and not self._limits
            and self.graph.device == "cpu"
        ):
            return value
        if isinstance(value, Node):
            raise self._refusal(
                f"a node was fed, {value!r}", "feed an array; nodes are wired while building"
            )
        try:
            array = as_native(value)
        except (ValueError, TypeError, RuntimeError) as error:
            raise self._refusal(
                f"what was fed is no array: {error}", "feed numbers, in rows of equal length"
            ) from None
        self.check_shape(array)
        if array.dtype != self.dtype:
            array = self._converted(array)
        self._check_limits(array)
        self._fitting = array.shape
        return to_device(array, self.device)

    def check_shape(self, array: Array) -> None:
        """Refuse an array whose shape does not fit.

        Raises:
            FeedError: It does not.
        """
        if array.ndim != self.ndim or any(
            size is not None and size != fed
            for size, fed in zip(self.shape, array.shape, strict=True)
        ):
            raise self._refusal(
                f"shape {self.shape} is declared, {array.shape} was fed", self._shape_hint(array)
            )

    def _converted(self, array: Array) -> Array:
        rule = f"{self.dtype} is declared, {array.dtype} was fed"
        if array.dtype.kind not in "fiub":
            raise self._refusal(rule, "feed numbers")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise self._refusal(
                rule, f'convert it: value.astype("{self.dtype}"), or declare dtype="{array.dtype}"'
            )
        converted = array.astype(self.dtype)
        if self.dtype.kind in "iu" and (wrong := converted != array).any():
            raise self._refusal(
                f"{self.dtype} is declared, {array[wrong][0]} was fed and does not fit",
                f'declare dtype="{array.dtype}"',
            )
        return converted

    def _check_limits(self, array: Array) -> None:
        for limit in self._limits:
            judged = array
            for node in limit.path:
                judged = node.compute(np, judged)
            if limit.besides is not None:
                judged = judged[judged != limit.besides]
            if not judged.size:
                continue
            least, most = int(judged.min()), int(judged.max())
            if least < limit.low or most >= limit.high:
                reader = limit.reader
                raise self._refusal(
                    f"values {limit.low} to {limit.high - 1} are allowed, "
                    f"{least if least < limit.low else most} was fed",
                    f"{type(reader).__name__} {reader.name!r} ({reader.site}) has "
                    f"{limit.high - limit.low} classes or rows: count from 0, or give it more",
                )

    def _shape_hint(self, array: Array) -> str:
        if self.dtype.kind in "iu" and array.ndim == self.ndim + 1:
            return "one-hot rows where integers belong? feed value.argmax(axis=-1)"
        if array.ndim == self.ndim - 1 and self.shape[0] is None:
            return "one sample without its batch axis? feed value[None]"
        if array.size == self.size:
            return f"reshape it: value.reshape({self.shape})"
        return "feed the declared shape, or declare None on an axis whose size differs"

    def _refusal(self, rule: str, hint: str) -> FeedError:
        return FeedError(f"Input {self.name!r} ({self.site}): {rule}", hint=hint)


class Constant(Leaf):
    """A value that never changes.

    Args:
        value: A number or array. Floating-point numbers become float32 unless `dtype` says other.
        dtype: The type of the elements.
        name: Unique in the graph.

    >>> with ms.Graph():
    ...     ms.Constant([1.0, 2.0])
    Constant 'constant' (2,) float32
    """

    def __init__(
        self, value: Any, *, dtype: DTypeLike | None = None, name: str | None = None
    ) -> None:
        array = as_array(value, dtype)
        super().__init__(Spec(array.shape, array.dtype), name=name)
        self.array = to_device(array, self.device)
        """The value, which must not be written to."""

    @property
    def attributes(self) -> dict[str, Any]:
        """The arguments that build it again."""
        return {"value": to_host(self.array), "dtype": self.dtype}

    @property
    def value(self) -> Array:
        """The value."""
        return self.array


class Variable(Leaf):
    """A value that is kept from run to run and changed by update pairs, as an optimizer's.

    Args:
        initial: An array, or an initializer: a function of shape, dtype and a random stream.
        shape: The sizes of the axes: for an initializer only.
        dtype: The type of the elements. Floating-point numbers become float32 by default.
        trainable: Whether optimizers change it.
        name: Unique in the graph.

    >>> with ms.Graph():
    ...     w = ms.Variable([[1.0, 2.0]], name="w")
    >>> w.value
    array([[1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        initial: Any,
        *,
        shape: Iterable[int] | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        made = callable(initial)
        if made == (shape is None):
            raise ArgumentError(
                "Variable: an initializer needs a shape, an array brings its own",
                hint="Variable(array) or Variable(initializer, shape=(784, 10))",
            )
        if made:
            assert shape is not None
            spec = Spec(shape, FLOAT if dtype is None else dtype)
        else:
            array = as_array(initial, dtype)
            spec = Spec(array.shape, array.dtype)
        if spec.size is None:
            raise ArgumentError(
                f"Variable: shape {spec.shape} has an axis of unknown size",
                hint="a variable has an array: give every size",
            )
        if trainable and not spec.floating:
            raise DTypeError(
                f"Variable: {spec.dtype} values have no slope and cannot be trained",
                hint='give dtype="float32" or trainable=False',
            )
        super().__init__(spec, name=name)
        self.trainable = trainable
        try:
            if made:
                array = as_native(initial(spec.shape, spec.dtype, self.graph.stream(self.name)))
            # Large tables are not copied in vain: what nobody else knows can be kept.
            known = getrefcount(array) > 2 or isinstance(array.base, np.ndarray)
            if known or array.dtype != self.dtype or array.shape != self.shape:
                self.value = array
            else:
                self._array = to_device(array, self.device)
        except Exception:
            self.graph.prune(self.index, [])
            raise

    @property
    def attributes(self) -> dict[str, Any]:
        """The arguments that build it again."""
        return {"initial": to_host(self.value), "dtype": self.dtype, "trainable": self.trainable}

    def takes(self, array: Array) -> bool:
        """Whether the array may become its value: the same shape, and no kind of number lost."""
        return array.shape == self.shape and np.can_cast(array.dtype, self.dtype, "same_kind")

    @property
    def value(self) -> Array:
        """The array it holds. A new one must have the same shape and a dtype of the same kind."""
        return self._array

    @value.setter
    def value(self, array: Any) -> None:
        array = as_native(array)
        if array.shape != self.shape:
            raise ShapeError(
                f"Variable {self.name!r} ({self.site}): its shape is {self.shape}, a value of "
                f"shape {array.shape} came",
                hint="a variable's shape is fixed: give an array of that shape",
            )
        if not self.takes(array):
            raise DTypeError(
                f"Variable {self.name!r} ({self.site}): its dtype is {self.dtype}, "
                f"{array.dtype} came",
                hint=f'convert it: value.astype("{self.dtype}")',
            )
        self._array = to_device(array.astype(self.dtype), self.device)


def as_array(value: Any, dtype: DTypeLike | None = None) -> np.ndarray[Any, Any]:
    """A copy of the value as an array; floating-point numbers become float32 by default.

    Raises:
        DTypeError: The value does not consist of numbers.
    """
    if isinstance(value, Node):
        raise DTypeError(f"an array is needed, a node came: {value!r}", hint="use the node itself")
    try:
        array = to_host(as_native(value))
    except (ValueError, TypeError) as error:
        raise DTypeError(f"numbers are needed: {error}", hint="give rows of equal length") from None
    if dtype is None:
        dtype = FLOAT if array.dtype.kind == "f" else array.dtype
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"numbers are needed, {array.dtype} came", hint="give numbers")
    return array.astype(check_dtype(dtype))
