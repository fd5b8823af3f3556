"""The names that every example in a docstring may use, as a reader has imported them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow


@pytest.fixture(autouse=True)
def names(doctest_namespace: dict[str, Any]) -> None:
    """Give docstring examples `ms` and `np`."""
    doctest_namespace.update(ms=matrixslow, np=np)
