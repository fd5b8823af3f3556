"""Concat joins arrays along an axis, Split cuts one into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Spec, normalize_axis, same_dtype
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.like import ZerosLike
from matrixslow.ops.options import as_integers, shape_of
from matrixslow.ops.slicing import Slice


class Concat(Node):
    """Several arrays one after the other along an axis.

    Args:
        xs: Nodes of equal sizes on every other axis.
        axis: Along which they are joined.

    Raises:
        ShapeError: Their sizes on another axis, or their numbers of axes, differ.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.Concat([1.0, 2.0], [3.0], axis=0)
    >>> graph.forward(y)
    array([1., 2., 3.], dtype=float32)
    """

    def __init__(self, *xs: Operand, axis: int, name: str | None = None) -> None:
        if not xs:
            raise ArgumentError("Concat: nothing to join", hint="give at least one node")
        (self.axis,) = as_integers(self, "axis", axis)
        super().__init__(*xs, name=name)

    def infer(self, *xs: Spec) -> Spec:
        if len({x.ndim for x in xs}) > 1:
            raise ShapeError(
                f"the numbers of axes differ, {' and '.join(str(x.shape) for x in xs)}",
                hint="give all as many axes: ms.ops.Unsqueeze(x, axes=0) adds one",
            )
        joined = normalize_axis(self.axis, xs[0].ndim)
        shape = []
        for axis, sizes in enumerate(zip(*(x.shape for x in xs), strict=True)):
            known = list(dict.fromkeys(size for size in sizes if size is not None))
            if axis == joined:
                shape.append(None if None in sizes else sum(size for size in sizes if size))
                continue
            if len(known) > 1:
                raise ShapeError(
                    f"sizes on axis {axis} differ, {known[0]} and {known[1]}",
                    hint=f"only axis {joined}, along which they are joined, may differ",
                )
            shape.append(known[0] if known else None)
        return Spec(shape, same_dtype(*xs))

    def compute(self, xp: ModuleType, *xs: Array) -> Array:
        return xp.concatenate(xs, axis=self.axis)

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        sizes = [x.shape[self.axis] for x in self.inputs]
        if None in sizes:
            return tuple(
                ConcatPart(upstream, *self.inputs, axis=self.axis, position=position)
                for position in range(len(sizes))
            )
        ends = [sum(size or 0 for size in sizes[: i + 1]) for i in range(len(sizes))]
        return tuple(
            Slice(upstream, starts=start, ends=end, axes=self.axis)
            for start, end in zip([0, *ends], ends, strict=False)
        )


class ConcatPart(Node):
    """The stretch of a joined array that one of the parts takes, where sizes are fed.

    Args:
        joined: As Concat(*parts, axis=axis) is shaped.
        parts: Nodes that lend their shapes.
        axis: Along which they are joined.
        position: Which part, counted from 0.
    """

    def __init__(
        self, joined: Operand, *parts: Operand, axis: int, position: int, name: str | None = None
    ) -> None:
        (self.axis,) = as_integers(self, "axis", axis)
        (self.position,) = as_integers(self, "position", position)
        super().__init__(joined, *parts, name=name)

    def infer(self, joined: Spec, *parts: Spec) -> Spec:
        return Spec(parts[self.position].shape, joined.dtype)

    def compute(self, xp: ModuleType, joined: Array, *parts: Array) -> Array:
        axis = self.axis % joined.ndim
        start = sum(part.shape[axis] for part in parts[: self.position])
        end = start + parts[self.position].shape[axis]
        return joined[(slice(None),) * axis + (slice(start, end),)]

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        _, *parts = self.inputs
        filled = [
            upstream if position == self.position else ZerosLike(part)
            for position, part in enumerate(parts)
        ]
        return (Concat(*filled, axis=self.axis), *(None for _ in parts))


def Split(  # noqa: N802 - it stands beside the operators, under ONNX's name
    x: Operand,
    *,
    axis: int = 0,
    sizes: Sequence[int] | None = None,
    num_outputs: int | None = None,
    name: str | None = None,
) -> tuple[Node, ...]:
    """Cut x into pieces along an axis.

    Args:
        x: Any node.
        axis: Along which to cut.
        sizes: The size of each piece.
        num_outputs: The number of pieces of equal size; the last one is smaller where it must be.
        name: The pieces are called name_0, name_1, ...

    Returns:
        The pieces, each a Slice.

    Raises:
        ArgumentError: Not just one of `sizes` and `num_outputs` is given.
        ShapeError: The pieces do not fit the axis, or its size is not known.

    >>> with ms.Graph():
    ...     left, right = ms.ops.Split(ms.Input((None, 5)), axis=1, num_outputs=2)
    ...     left.shape, right.shape
    ((None, 3), (None, 2))
    """
    if (sizes is None) == (num_outputs is None):
        raise ArgumentError(
            "Split: the pieces are told by their sizes or by their number",
            hint="give sizes=(2, 3) or num_outputs=2",
        )
    shape = shape_of(x)
    place = normalize_axis(axis, len(shape))
    whole = shape[place]
    if whole is None:
        raise ShapeError(
            f"Split: axis {place} of {shape} has a size that is fed",
            hint="slice it: x[:2], x[2:]",
        )
    if sizes is None:
        assert num_outputs is not None
        size = -(-whole // max(num_outputs, 1))
        sizes = (size,) * (num_outputs - 1) + (whole - size * (num_outputs - 1),)
    if min(sizes, default=0) < 0 or sum(sizes) != whole:
        raise ShapeError(
            f"Split: pieces of {tuple(sizes)} do not make up axis {place} of {shape}",
            hint=f"give sizes that add up to {whole}",
        )
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(
        Slice(x, starts=end - size, ends=end, axes=place, name=name and f"{name}_{i}")
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    )
