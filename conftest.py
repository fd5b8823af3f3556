"""The names that every example in a docstring may use, as a reader has imported them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixslow


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests marked chaos be told which storms to make."""
    parser.addoption("--seed", type=int, default=0, help="of the first storm of the chaos tests")
    parser.addoption("--storms", type=int, default=10, help="how many, each with the next seed")


@pytest.fixture(autouse=True)
def names(doctest_namespace: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """Give docstring examples `ms` and `np`, and a folder of their own to write into."""
    doctest_namespace.update(ms=matrixslow, np=np)
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
