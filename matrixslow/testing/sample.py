"""Sample: an operator applied to example arrays, for the contract that every operator keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from matrixslow.core.node import Node


@dataclass(frozen=True, slots=True)
class Sample:
    """An operator applied to example arrays, and the value it must have.

    Args:
        name: What the sample shows, in words: "ReduceSum, two axes, kept".
        build: Makes the node from one node for each array.
        arrays: The inputs. Floating-point ones are given as float64, away from kinks, and are
            also tried as float32.
        expected: The value, as float64, or a function of the arrays that gives it: NumPy, SciPy
            or torch do the computing, never matrixslow.
        order: Up to which order gradients are compared with differences; 0 for integer results.
        tolerance: Relative to the largest entry, for the value in float64.
    """

    name: str
    build: Callable[..., Node]
    arrays: tuple[np.ndarray[Any, Any], ...]
    expected: Any
    order: int = 2
    tolerance: float = 1e-10
