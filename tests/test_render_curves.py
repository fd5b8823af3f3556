"""Curves: round ticks, gaps where numbers are missing, and files that any reader takes."""

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.errors import ArgumentError
from matrixslow.render import line_chart
from matrixslow.render.axes import count_axis, log_axis, tick_labels, value_axis

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.floats(-1e300, 1e300)


def chart(tmp_path: Path, series: dict[str, list[float]], **options: object) -> ElementTree.Element:
    path = tmp_path / "chart.svg"
    line_chart(series, path, **options)
    return ElementTree.parse(path).getroot()


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def curves(root: ElementTree.Element) -> list[tuple[str, int]]:
    """The path of each curve, and how many markers it has; the legend comes first."""
    groups = list(root.iter(f"{SVG}g"))
    names = len(groups) // 2 if len(groups) > 1 else 0
    return [(group[0].get("d"), len(group) - 1) for group in groups[names:]]


# ---- axes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.03, 2.31, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
        (-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (93.0, 98.0, ["93", "94", "95", "96", "97", "98"]),
        (3.0, 3.0, ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5"]),
        (0.0, 0.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0.0, 5e6, ["0", "1e+06", "2e+06", "3e+06", "4e+06", "5e+06"]),
        (0.0, 4e-5, ["0", "1e-05", "2e-05", "3e-05", "4e-05"]),
        (1.0, 1.0 + 1e-15, ["0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6"]),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    axis = value_axis(low, high)
    assert axis.labels() == labels
    assert axis.low <= low
    assert axis.high >= high * (1 - 1e-9)


@given(NUMBERS, NUMBERS)
def test_any_two_numbers_make_an_axis(one: float, two: float) -> None:
    low, high = sorted((one, two))
    axis = value_axis(low, high)
    assert 2 <= len(axis.ticks) <= 9
    assert axis.low < axis.high
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low - slack <= low
    assert high <= axis.high + slack
    assert -1e-6 <= axis.fraction(low) <= axis.fraction(high) <= 1 + 1e-6
    labels = axis.labels()
    assert len(set(labels)) == len(labels)


@given(st.integers(1, 10_000))
def test_counts_have_whole_ticks(last: int) -> None:
    axis = count_axis(1, last)
    assert all(isinstance(tick, int) and 1 <= tick <= last for tick in axis.ticks)
    assert len(axis.ticks) <= 11
    assert len(axis.ticks) >= min(last, 4) or last == 1


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.02, 3.0, ["0.01", "0.1", "1", "10"]),
        (0.2, 0.7, ["0.1", "0.2", "0.5", "1"]),
        (1.0, 1.0, ["1", "2", "5", "10"]),
        (1e-12, 1e8, ["1e-12", "1e-09", "1e-06", "0.001", "1", "1e+03", "1e+06", "1e+08"]),
    ],
)
def test_logarithmic_ticks_are_decades(low: float, high: float, labels: list[str]) -> None:
    axis = log_axis(low, high)
    assert axis.labels() == labels
    assert axis.low <= low <= high <= axis.high
    assert axis.fraction(axis.low) == 0
    assert axis.fraction(math.sqrt(axis.low * axis.high)) == pytest.approx(0.5)


def test_labels_tell_ticks_apart() -> None:
    assert tick_labels([2_000_000, 2_000_001, 2_000_002]) == ["2000000", "2000001", "2000002"]
    assert tick_labels([1e9, 1.5e9, 2e9]) == ["1e+09", "1.5e+09", "2e+09"]
    assert tick_labels([2e-7, 4e-7]) == ["2e-07", "4e-07"]
    assert tick_labels([7]) == ["7"]


# ---- charts -------------------------------------------------------------------------------------


def test_a_chart(tmp_path: Path) -> None:
    root = chart(
        tmp_path,
        {"loss": [0.9, 0.5, 0.3], "validation_loss": [1.0, 0.6]},
        title="Training",
        x_label="epoch",
        y_label="cross entropy",
    )
    assert texts(root) == [
        *("Training", "loss", "validation_loss", "cross entropy"),
        *("0.2", "0.4", "0.6", "0.8", "1.0"),
        *("1", "2", "3", "epoch"),
    ]
    (first, first_markers), (second, second_markers) = curves(root)
    assert (first.count("M"), first.count("L"), first_markers) == (1, 2, 3)
    assert (second.count("M"), second.count("L"), second_markers) == (1, 1, 2)
    assert "prefers-color-scheme:dark" in root.find(f"{SVG}style").text


def test_points_lie_where_the_axes_say(tmp_path: Path) -> None:
    root = chart(tmp_path, {"y": [0.0, 1.0, 0.5]})
    ((path, _),) = curves(root)
    (x1, y1), (x2, y2), (x3, y3) = [
        tuple(map(float, point.split())) for point in re.split("[ML]", path)[1:]
    ]
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(2 * (y3 - y2), abs=0.2)
    assert y2 < y3 < y1
    width, height = float(root.get("width")), float(root.get("height"))
    assert 0 < x1 < x3 < width
    assert 0 < y2 < y1 < height


def test_missing_numbers_are_gaps(tmp_path: Path) -> None:
    ((path, markers),) = curves(chart(tmp_path, {"y": [1, math.nan, 2, 3, math.inf, 4, 4]}))
    assert (path.count("M"), path.count("L"), markers) == (3, 2, 5)


def test_a_number_between_gaps_is_seen_on_a_long_curve(tmp_path: Path) -> None:
    numbers = [1.0] * 50 + [math.nan, 2.0, math.nan] + [1.0] * 50
    ((path, markers),) = curves(chart(tmp_path, {"y": numbers}))
    assert (path.count("M"), markers) == (3, 1)


def test_one_point(tmp_path: Path) -> None:
    root = chart(tmp_path, {"y": [0.5]})
    ((path, markers),) = curves(root)
    assert (path.count("M"), path.count("L"), markers) == (1, 0, 1)
    assert texts(root)[-2:] == ["1", ""]


@pytest.mark.parametrize("numbers", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_to_draw_is_said(tmp_path: Path, numbers: list[float]) -> None:
    assert "no finite number to draw" in texts(chart(tmp_path, {"y": numbers}))


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm(tmp_path: Path) -> None:
    root = chart(tmp_path, {"y": [1.0, 0.0, -1.0, 0.01]}, log=True)
    assert {"0.01", "0.1", "1"} <= set(texts(root))
    ((path, _),) = curves(root)
    assert path.count("M") == 2


def test_a_count_may_start_at_another_number(tmp_path: Path) -> None:
    root = chart(tmp_path, {"y": [1.0, 2.0, 3.0]}, first=0)
    assert texts(root)[-4:-1] == ["0", "1", "2"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "</text><script>alert(1)</script>\x00"
    root = chart(tmp_path, {name: [1.0], "b": [2.0]}, title=name, x_label=name, y_label=name)
    assert not list(root.iter(f"{SVG}script"))
    assert sum("<script>" in text for text in texts(root)) == 4


def test_many_curves_have_a_legend_in_lines(tmp_path: Path) -> None:
    root = chart(tmp_path, {f"a curve with the number {i}": [i, i + 1] for i in range(9)})
    rows = {e.get("y") for e in root.iter(f"{SVG}text") if (e.text or "").startswith("a curve")}
    assert len(rows) >= 3
    ends = [float(e.get("x")) for e in root.iter(f"{SVG}text")]
    assert max(ends) < float(root.get("width"))


def test_a_history_draws_itself(tmp_path: Path) -> None:
    history = pytest.importorskip("matrixslow.trainer.history").History(
        {"loss": [0.9, 0.5], "validation_loss": [1.0, 0.7], "seconds": [1.0, 1.0]}
    )
    history.plot(tmp_path / "loss.svg")
    found = texts(ElementTree.parse(tmp_path / "loss.svg").getroot())
    assert "validation_loss" in found
    assert "seconds" not in found


@pytest.mark.parametrize(
    ("series", "name", "message"),
    [
        (
            {"y": [1.0]},
            "y.png",
            "line_chart: 'y.png' is no .svg file\n  hint   end the name in .svg",
        ),
        ({}, "y.svg", "line_chart: there is no curve to draw\n  hint   give {name: numbers}"),
    ],
)
def test_refusals(series: dict[str, list[float]], name: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        line_chart(series, name)
    assert str(caught.value) == message
    assert not Path(name).exists()
