"""Operators that take stretches of an array, and put them back."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, normalize_axis
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.options import as_integers, may_equal

Integers = int | Iterable[int]


class Strided(Node):
    """Base of the operators that share the options of Slice.

    Args:
        inputs: The nodes.
        starts: The first element on each axis; negative ones count from the end.
        ends: Where to stop, that element excluded; too large or too small ones stop at the border.
        axes: The axes meant; the first ones by default.
        steps: How far to go each time; negative ones go backwards. 1 by default.
    """

    def __init__(
        self,
        *inputs: Operand,
        starts: Integers,
        ends: Integers,
        axes: Integers | None = None,
        steps: Integers | None = None,
        name: str | None = None,
    ) -> None:
        self.starts = as_integers(self, "starts", starts)
        count = len(self.starts)
        self.ends = as_integers(self, "ends", ends)
        self.axes = as_integers(self, "axes", range(count) if axes is None else axes)
        self.steps = as_integers(self, "steps", (1,) * count if steps is None else steps)
        if not len(self.ends) == len(self.axes) == len(self.steps) == count:
            raise ArgumentError(
                f"{type(self).__name__}: {count} starts, {len(self.ends)} ends, "
                f"{len(self.axes)} axes and {len(self.steps)} steps came",
                hint="give one of each for each axis",
            )
        if 0 in self.steps:
            raise ArgumentError(
                f"{type(self).__name__}: steps={self.steps} stands still",
                hint="give steps other than 0",
            )
        super().__init__(*inputs, name=name)

    def slices(self, ndim: int) -> tuple[slice, ...]:
        """The options as Python's slices, one for each axis.

        Raises:
            ShapeError: An axis does not exist, or is named twice.
        """
        found: dict[int, slice] = {}
        for axis, *bounds in zip(self.axes, self.starts, self.ends, self.steps, strict=True):
            place = normalize_axis(axis, ndim)
            if place in found:
                raise ShapeError(
                    f"axis {place} is sliced twice in axes={self.axes}", hint="name each axis once"
                )
            found[place] = slice(*bounds)
        return tuple(found.get(axis, slice(None)) for axis in range(ndim))


class Slice(Strided):
    """The elements of x at starts[i], starts[i] + steps[i], ... before ends[i] on axis axes[i].

    Indexing a node, x[1:, ::-1], is the usual way to write it.

    Args:
        x: Any node.
        starts: The first element on each axis; negative ones count from the end.
        ends: Where to stop, that element excluded; too large or too small ones stop at the border.
        axes: The axes meant; the first ones by default.
        steps: How far to go each time; negative ones go backwards. 1 by default.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Slice([1.0, 2.0, 3.0, 4.0], starts=1, ends=4, steps=2)
    >>> graph.forward(y)
    array([2., 4.], dtype=float32)
    """

    def infer(self, x: Spec) -> Spec:
        return Spec(map(_sliced_size, x.shape, self.slices(x.ndim)), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x[self.slices(x.ndim)]

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (SliceGradient(upstream, x, **self.attributes),)


class SliceGradient(Strided):
    """x put where Slice takes it from, in zeros of the shape of `like`.

    Shapes: x (as Slice(like) with the same options), y as like.
    """

    def infer(self, x: Spec, like: Spec) -> Spec:
        places = tuple(map(_sliced_size, like.shape, self.slices(like.ndim)))
        if not may_equal(x.shape, places):
            raise ShapeError(
                f"shape {x.shape} came for places of shape {places} in {like.shape}",
                hint="give the shape that Slice gives with the same options",
            )
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, like: Array) -> Array:
        y = xp.zeros(like.shape, x.dtype)
        y[self.slices(like.ndim)] = x
        return y

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return Slice(upstream, **self.attributes), None


def _sliced_size(size: int | None, part: slice) -> int | None:
    return None if size is None else len(range(*part.indices(size)))
