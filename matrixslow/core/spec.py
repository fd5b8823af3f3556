"""Spec: the shape and dtype of a node, known when it is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any, SupportsIndex

import numpy as np

from matrixslow.errors import ArgumentError, DTypeError, ShapeError

Shape = tuple[int | None, ...]
"""Sizes of the axes; None on an axis whose size is known only when it is fed."""

DTypeLike = str | type | np.dtype[Any]

FLOAT = np.dtype("float32")
"""The dtype of floating-point data that names no other."""

DTYPES = {
    np.dtype(name): name
    for name in (
        *("bool", "float16", "float32", "float64"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}
"""The names of the dtypes that matrixslow computes with."""


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype of that name.

    Raises:
        DTypeError: matrixslow does not compute with it.

    >>> check_dtype("float64")
    dtype('float64')
    """
    try:
        found = np.dtype(dtype)
        if found not in DTYPES:
            found = found.newbyteorder("=")
    except TypeError:
        found = None
    if found not in DTYPES or dtype is None:  # which NumPy takes for float64
        raise DTypeError(f"no such dtype: {dtype!r}", hint=f"one of {', '.join(DTYPES.values())}")
    return found


def check_shape(shape: Iterable[int | None]) -> Shape:
    """The shape as a tuple of plain integers and None.

    Raises:
        ArgumentError: It is not a sequence of sizes >= 0 and None.
    """
    try:
        sizes = tuple([None if size is None else index(size) for size in shape])
    except TypeError:
        sizes = (-1,)
    if any(size is not None and size < 0 for size in sizes):
        raise ArgumentError(
            f"not a shape: {shape!r}", hint="give a tuple of sizes, None where a size is fed"
        )
    return sizes


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of a value.

    >>> spec = Spec((None, 3), "float32")
    >>> spec.ndim, spec.size, str(spec)
    (2, None, '(None, 3) float32')
    """

    shape: Shape
    dtype: np.dtype[Any]

    def __init__(self, shape: Iterable[int | None], dtype: DTypeLike) -> None:
        object.__setattr__(self, "shape", check_shape(shape))
        object.__setattr__(self, "dtype", check_dtype(dtype))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int | None:
        """The number of elements; None where an axis is not known yet."""
        sizes = [size for size in self.shape if size is not None]
        return prod(sizes) if len(sizes) == self.ndim else None

    @property
    def floating(self) -> bool:
        """Whether values are floating-point numbers, so that they can have a slope."""
        return self.dtype.kind == "f"

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape of an elementwise result (NumPy's rule, with None for sizes that are fed).

    An unknown size goes with any known one. Two unknown sizes on one axis must be equal when they
    are fed (`check_unknown_axes`): an axis of unknown size is stretched only against a known one.

    Raises:
        ShapeError: Two sizes on one axis differ, and neither is 1.

    >>> broadcast_shapes((None, 1, 3), (4, 1))
    (None, 4, 3)
    """
    if shapes and shapes.count(shapes[0]) == len(shapes):
        return shapes[0]
    ndim = max(map(len, shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    result: list[int | None] = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            first, second = sorted(known, key=sizes.index)[:2]
            raise ShapeError(
                f"shapes {', '.join(map(str, shapes))} do not broadcast: "
                f"axis {axis - ndim} has sizes {first} and {second}",
                hint="make the sizes equal, or one of them 1",
            )
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result)


def same_dtype(*specs: Spec) -> np.dtype[Any]:
    """The dtype that all specs share.

    Raises:
        DTypeError: They differ.
    """
    dtypes = dict.fromkeys([spec.dtype for spec in specs])
    if len(dtypes) > 1:
        raise DTypeError(
            f"dtypes differ, {' and '.join(map(str, dtypes))}",
            hint=f'convert one of them: ms.ops.Cast(x, dtype="{specs[0].dtype}")',
        )
    return specs[0].dtype


def floating_dtype(*specs: Spec) -> np.dtype[Any]:
    """The floating-point dtype that all specs share.

    Raises:
        DTypeError: They differ, or are not floating-point.
    """
    dtype = same_dtype(*specs)
    if dtype.kind != "f":
        raise DTypeError(
            f"floating-point values are needed, {dtype} came",
            hint='convert it: ms.ops.Cast(x, dtype="float32")',
        )
    return dtype


def normalize_axis(axis: SupportsIndex, ndim: int) -> int:
    """The axis counted from the front, as a plain integer.

    Raises:
        ShapeError: There is no such axis.

    >>> normalize_axis(-1, 3)
    2
    """
    axis = index(axis)
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"axis {axis} does not exist in {ndim} dimensions",
            hint=f"give {-ndim} <= axis < {ndim}" if ndim else "a scalar has no axis",
        )
    return axis % ndim


def normalize_axes(
    axes: SupportsIndex | Sequence[SupportsIndex] | None, ndim: int
) -> tuple[int, ...]:
    """The axes counted from the front, in ascending order; None means all of them.

    Raises:
        ShapeError: An axis does not exist, or is named twice.

    >>> normalize_axes((-1, 0), 3)
    (0, 2)
    """
    if axes is None:
        return tuple(range(ndim))
    named = (axes,) if isinstance(axes, SupportsIndex) else tuple(axes)
    found = sorted(normalize_axis(axis, ndim) for axis in named)
    if len(set(found)) < len(found):
        raise ShapeError(f"an axis is named twice in {named}", hint="name each axis once")
    return tuple(found)


def check_unknown_axes(specs: Sequence[Spec], fed: Sequence[Spec]) -> None:
    """Hold operands that broadcast to the promise of `broadcast_shapes` once sizes are fed.

    Args:
        specs: The operands' specs when the graph was built.
        fed: Their specs with the sizes that were fed.

    Raises:
        ShapeError: Two axes of unknown size meet, and were fed different sizes.
    """
    ndim = max((spec.ndim for spec in specs), default=0)
    for axis in range(-ndim, 0):
        sizes = {
            given.shape[axis]
            for spec, given in zip(specs, fed, strict=True)
            if spec.ndim >= -axis and spec.shape[axis] is None
        }
        if len(sizes) > 1:
            raise ShapeError(
                f"two axes of unknown size meet in axis {axis} and were fed "
                f"{' and '.join(map(str, sorted(sizes, key=str)))}",
                hint="feed equal sizes, or declare the axis that is stretched with size 1",
            )
