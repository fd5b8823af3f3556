"""The names that every example in a docstring may use, as a reader has imported them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow


@pytest.fixture(autouse=True)
def names(doctest_namespace: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Give docstring examples `ms` and `np`, and a folder of their own to write into."""
    doctest_namespace.update(ms=matrixslow, np=np)
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
