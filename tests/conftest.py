"""What every test may ask for: seeded numbers, a graph, a device, the data folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import matrixslow as ms
from matrixslow.core.context import CURRENT

ROOT = Path(__file__).resolve().parents[1]

# Machines are shared, so an example may take its time; the same run must give the same verdict.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(autouse=True)
def no_graph_open() -> Iterator[None]:
    """A graph that one test leaves open is not found by the next."""
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


@pytest.fixture
def graph(no_graph_open: None) -> Iterator[ms.Graph]:
    """A graph of the test's own, open."""
    with ms.Graph(seed=0) as graph:
        yield graph


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Each device in turn: the same test, never a copy of it."""
    return str(request.param)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the real data sets, named by MATRIXSLOW_DATA or lying beside the checkout."""
    folder = Path(os.environ.get("MATRIXSLOW_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set MATRIXSLOW_DATA to the folder that holds mnist/")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and (reason := missing_gpu()):
            item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("ray") and find_spec("ray") is None:
            item.add_marker(pytest.mark.skip(reason="Ray is not installed: make test-ray"))


@cache
def missing_gpu() -> str:
    """Why the tests marked gpu cannot run here; empty where they can."""
    try:
        import cupy
    except ImportError:
        return "cupy is not installed: pip install -e '.[gpu13]' (or gpu12)"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device: {error}"
    return "" if count else "no CUDA device"
