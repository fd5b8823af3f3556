"""The page of the benchmarks, made of made-up results. Nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    import report

    return report


def test_a_line_of_the_table(report: ModuleType) -> None:
    line = report.line(report.Result("w1", "torch", 0.0012, 0.001, 4.5, 2.25, 301.4))
    assert line == "| w1: MLP 784-128-10 | torch | 1.200 | 1.000 | 4.50 | 2.25 | 301 |"
    assert line.count("|") == report.HEAD[0].count("|")


def test_bars_begin_at_1_and_end_at_the_ratio(report: ModuleType) -> None:
    results = [
        report.Result(name, peer, 1.0, 1.0, ratio, 1.0, 1.0)
        for name, peer, ratio in (
            ("w1", "matrixslow", 1.0),
            ("w1", "torch", 4.0),
            ("w1", "JAX", 0.5),
            ("i3_64", "ONNX Runtime", 2.0),
        )
    ]
    root = ElementTree.fromstring(report.bars(results))
    space = "{http://www.w3.org/2000/svg}"
    drawn = {
        rect.get("fill"): (float(rect.get("x", 0)), float(rect.get("width", 0)))
        for rect in root.iter(f"{space}rect")
        if float(rect.get("height", 0)) == report.BAR - 1
    }
    start, width = drawn[report.INKS["torch"]]
    half, back = drawn[report.INKS["JAX"]]
    assert drawn[report.INKS["ONNX Runtime"]] == pytest.approx((start, width / 2), abs=0.2)
    assert (half + back, back) == pytest.approx((start, width / 2), abs=0.2)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {"MLP 784-128-10", "CNN, inference of 64", "4.0", "0.5", "2.0"} <= set(texts)
    assert "torch.compile" not in texts


def test_every_workload_and_peer_has_words(report: ModuleType) -> None:
    import peers
    import workloads

    assert list(report.TITLES) == list(workloads.WORKLOADS)
    assert [name for name in peers.PEERS if name != "matrixslow"] == list(report.INKS)
