"""What operators do with their options and with shapes that may hold None."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape
from matrixslow.errors import ArgumentError

END = 2**63 - 1
"""The end of a slice that goes to the last element, as ONNX writes it."""


def as_integers(owner: object, option: str, value: int | Iterable[int]) -> tuple[int, ...]:
    """The option's value as a tuple of plain integers; a single integer becomes a tuple of one.

    Raises:
        ArgumentError: It is something else.

    >>> as_integers(None, "axes", 1)
    (1,)
    """
    values: Any = value if isinstance(value, Iterable) else (value,)
    try:
        return tuple(number.__index__() for number in values)
    except (AttributeError, TypeError):
        raise ArgumentError(
            f"{type(owner).__name__}: {option}={value!r} is not made of integers",
            hint=f"give {option} as an integer or a tuple of integers",
        ) from None


def as_choice(owner: object, option: str, value: str, choices: Sequence[str]) -> str:
    """The option's value, which is one of the choices.

    Raises:
        ArgumentError: It is none of them.

    >>> as_choice(None, "mode", "edge", ("constant", "edge"))
    'edge'
    """
    if value not in choices:
        raise ArgumentError(
            f"{type(owner).__name__}: {option}={value!r} is unknown",
            hint=f"one of {', '.join(map(repr, choices))}",
        )
    return value


def shape_of(x: Operand) -> Shape:
    """The shape of an operand, before it is a node.

    >>> shape_of([[1.0, 2.0]])
    (1, 2)
    """
    return x.shape if isinstance(x, Node) else np.shape(x)


def may_equal(shape: Shape, other: Shape) -> bool:
    """Whether two shapes can be the same once every size is fed.

    >>> may_equal((None, 3), (2, 3)), may_equal((None, 3), (2, 4))
    (True, False)
    """
    return len(shape) == len(other) and all(
        one is None or two is None or one == two for one, two in zip(shape, other, strict=True)
    )
