"""Charts of results and weights: the right numbers in the right places."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import decomposition, metrics

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.render import confusion_matrix, image_grid, roc_curves, scatter
from matrixslow.render.png import to_png
from matrixslow.render.shades import BLUES, GREYS, SIGNED

SVG = "{http://www.w3.org/2000/svg}"


def drawn(tmp_path: Path, draw: Callable[..., None], *data: Any, **options: Any) -> Any:
    path = tmp_path / "chart.svg"
    draw(*data, path, **options)
    return ElementTree.parse(path).getroot()


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def decoded(png: bytes) -> np.ndarray[Any, Any]:
    """The pixels of an unfiltered PNG of 8 bits a colour, its checksums checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        (checksum,) = struct.unpack(">I", png[place + 8 + size : place + 12 + size])
        assert checksum == zlib.crc32(kind + body)
        chunks[kind], place = body, place + 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def images(root: ElementTree.Element) -> list[np.ndarray[Any, Any]]:
    found = (element.get("href") or "" for element in root.iter(f"{SVG}image"))
    return [decoded(base64.b64decode(uri.removeprefix("data:image/png;base64,"))) for uri in found]


# ---- colours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shades", [GREYS, BLUES, SIGNED])
def test_shades_are_in_order_without_colour(shades: Any) -> None:
    lightness = shades(np.linspace(0, 1, 64)) @ [0.2126, 0.7152, 0.0722]
    steps = np.diff(lightness)
    assert (steps > 0).all() or (steps < 0).all()
    assert shades.hex(1.0) == shades.colours[-1]


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_png_keeps_every_pixel(pixels: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(decoded(to_png(pixels)), pixels)


# ---- confusion matrices -------------------------------------------------------------------------


def test_a_confusion_matrix(tmp_path: Path) -> None:
    matrix = [[9, 1], [2, 6]]
    names = ["cat", "dog"]
    root = drawn(tmp_path, confusion_matrix, matrix, classes=names, title="Pets")
    cells = [
        (group.find(f"{SVG}title").text, group.find(f"{SVG}rect"), group.find(f"{SVG}text").text)
        for group in root.iter(f"{SVG}g")
    ]
    assert [told for told, _, _ in cells] == [
        "cat, taken for cat: 9, 90.0% of its row",
        "cat, taken for dog: 1, 10.0% of its row",
        "dog, taken for cat: 2, 25.0% of its row",
        "dog, taken for dog: 6, 75.0% of its row",
    ]
    assert [number for _, _, number in cells] == ["9", "1", "2", "6"]
    assert [rect.get("fill") for _, rect, _ in cells] == [
        BLUES.hex(share) for share in (0.9, 0.1, 0.25, 0.75)
    ]
    xs, ys = ([float(rect.get(axis)) for _, rect, _ in cells] for axis in "xy")
    assert xs[0] == xs[2] < xs[1] == xs[3]
    assert ys[0] == ys[1] < ys[2] == ys[3]
    assert {"Pets", "true", "predicted", "cat", "dog"} <= {*texts(root)}


def test_the_result_of_the_metric_is_drawn(tmp_path: Path) -> None:
    with ms.Graph():
        score, label = ms.Input((None,)), ms.Input((None,), dtype="int64")
    matrix = ms.metrics.ConfusionMatrix(score, label)
    matrix.update(np.array([0.9, 0.2, 0.7]), np.array([1, 1, 0]))
    shown = texts(drawn(tmp_path, confusion_matrix, matrix.result()))
    assert shown[1:5] == ["0", "1", "1", "1"]


def test_a_class_without_samples_and_many_classes(tmp_path: Path) -> None:
    matrix = np.diag([0, *range(1, 60)])
    root = drawn(tmp_path, confusion_matrix, matrix)
    rects = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill")]
    assert len(rects) == 3600
    assert rects[0].get("fill") == BLUES.hex(0.0)
    ends = [float(rect.get("x")) + float(rect.get("width")) for rect in rects]
    assert max(ends) < float(root.get("width"))


# ---- ROC ----------------------------------------------------------------------------------------


def test_roc_curves(tmp_path: Path, rng: np.random.Generator) -> None:
    labels = rng.integers(2, size=200)
    curves = {}
    for name, noise in (("good", 0.3), ("fair", 1.0)):
        scores = labels + rng.normal(0, noise, 200)
        with ms.Graph():
            metric = ms.metrics.RocCurve(ms.Input((None,)), ms.Input((None,), dtype="int64"))
        metric.update(scores, labels)
        curves[name] = metric.result(), metrics.roc_auc_score(labels, scores)
    given = {name: curve for name, (curve, _) in curves.items()}
    root = drawn(tmp_path, roc_curves, given, title="Two")
    for name, (_, area) in curves.items():
        assert f"{name}: area {area:.3f}" in texts(root)


def test_a_roc_curve_keeps_its_corners(tmp_path: Path) -> None:
    rates = [[0, 0, 0, 0.25, 0.5, 1], [0, 0.25, 0.5, 0.5, 1, 1]]
    curve = dict(zip(("false_positive_rate", "true_positive_rate"), rates, strict=True))
    root = drawn(tmp_path, roc_curves, {"a": curve})
    *_, group = root.iter(f"{SVG}g")
    points = np.array(
        [[*map(float, point.split())] for point in re.split("[ML]", group[0].get("d"))[1:]]
    )
    low, high = points[0], points[-1]
    np.testing.assert_allclose(
        (points - low) / (high - low),
        [[0, 0], [0, 0.5], [0.25, 0.5], [0.5, 1], [1, 1]],
        atol=1e-3,
    )


# ---- images -------------------------------------------------------------------------------------


def test_images_keep_their_numbers(tmp_path: Path) -> None:
    given = np.array([[[0.0, 1.0], [0.5, 0.25]], [[1.0, 1.0], [0.0, 0.0]]])
    root = drawn(tmp_path, image_grid, given, labels=["one", "two"], title="Pair")
    first, second, _ = images(root)
    zoom = len(first) // 2
    np.testing.assert_array_equal(first[::zoom, ::zoom, 0], [[0, 255], [128, 64]])
    np.testing.assert_array_equal(second[zoom - 1 :: zoom, ::zoom, 0], [[255, 255], [0, 0]])
    assert texts(root) == ["Pair", "one", "two", "0", "0.5", "1"]


def test_signs_are_told_apart(tmp_path: Path) -> None:
    root = drawn(tmp_path, image_grid, np.array([[[[-1.0, 0.0, 2.0, -2.0]]]]))
    first, _ = images(root)
    zoom = first.shape[1] // 4
    np.testing.assert_array_equal(first[0, ::zoom], SIGNED(np.array([0.25, 0.5, 1.0, 0.0])))
    assert texts(root) == ["-2", "0", "2"]


def test_a_scale_of_their_own(tmp_path: Path) -> None:
    given = np.array([[[0.0, 1.0]], [[0.0, 10.0]]])
    for shared, brightest in ((True, 26), (False, 255)):
        first, *_ = images(drawn(tmp_path, image_grid, given, shared=shared))
        assert first.max() == brightest


def test_colours_and_columns(tmp_path: Path) -> None:
    given = np.zeros((5, 3, 2, 2))
    given[:, 1] = 0.5
    root = drawn(tmp_path, image_grid, given, columns=2)
    assert [image[0, 0].tolist() for image in images(root)] == [[0, 128, 0]] * 5
    places = [(image.get("x"), image.get("y")) for image in root.iter(f"{SVG}image")]
    assert len({x for x, _ in places}) == 2
    assert len({y for _, y in places}) == 3


def test_an_even_image_is_drawn(tmp_path: Path) -> None:
    assert images(drawn(tmp_path, image_grid, np.zeros((1, 4, 4))))[0].max() == 0


# ---- points -------------------------------------------------------------------------------------


def groups(root: ElementTree.Element) -> list[tuple[str, list[tuple[float, float]]]]:
    """The marker paths of each group, legend left out."""
    found = [group for group in root.iter(f"{SVG}g") if group[0].get("fill-opacity")]
    return [
        (
            group.get("class"),
            [(float(x), float(y)) for x, y in re.findall(r"M(\S+) ([\d.]+)", group[0].get("d"))],
        )
        for group in found
    ]


def test_points_of_groups(tmp_path: Path) -> None:
    root = drawn(
        tmp_path,
        scatter,
        [[0, 0], [1, 1], [2, 0], [3, 1]],
        groups=[10, 9, 10, 9],
        x_label="left to right",
        y_label="up",
        title="Points",
    )
    (_, nines), (_, tens) = groups(root)
    assert len(nines) == len(tens) == 2
    assert texts(root)[:3] == ["Points", "9", "10"]
    assert nines[0][1] < tens[0][1]  # higher up in the picture
    assert tens[0][0] < nines[0][0] < tens[1][0] < nines[1][0]


def test_every_group_has_a_look_of_its_own(tmp_path: Path) -> None:
    points = np.tile(np.arange(24.0)[:, None], 2)
    root = drawn(tmp_path, scatter, points, groups=[*range(24)])
    looks = {
        (group.get("class"), re.sub(r"^M\S+ [\d.]+", "", group[0].get("d")))
        for group in root.iter(f"{SVG}g")
        if group[0].get("fill-opacity")
    }
    assert len(looks) == 24


def test_many_coordinates_are_seen_on_principal_axes(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    points = rng.normal(size=(30, 5)) * [1, 5, 2, 1, 3]
    root = drawn(tmp_path, scatter, points)
    theirs = decomposition.PCA(2).fit(points)
    first, second = theirs.explained_variance_ratio_
    assert f"first principal axis, {first:.0%} of the spread" in texts(root)
    assert f"second principal axis, {second:.0%}" in texts(root)
    ((_, spots),) = groups(root)
    for mine, its in zip(np.transpose(spots), theirs.transform(points).T, strict=True):
        assert abs(np.corrcoef(mine, its)[0, 1]) > 0.999


def test_a_single_point(tmp_path: Path) -> None:
    root = drawn(tmp_path, scatter, [[1.0, 2.0, 3.0]], names=["alone"])
    assert "alone" in texts(root)


def test_names_do_not_cover_each_other(tmp_path: Path, rng: np.random.Generator) -> None:
    names = [f"name {place}" for place in range(25)]
    root = drawn(tmp_path, scatter, rng.normal(size=(25, 2)), names=names)
    found = [e for e in root.iter(f"{SVG}text") if (e.text or "").startswith("name")]
    assert [e.text for e in found] == names
    places = np.array([[float(e.get("x")), float(e.get("y"))] for e in found])
    apart = np.abs(places[:, None] - places[None])
    covering = (apart[..., 0] < 35) & (apart[..., 1] < 8)
    assert covering.sum() == 25


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "</text><script>alert(1)</script>\x00"
    for root in (
        drawn(tmp_path, confusion_matrix, [[1]], classes=[name], title=name),
        drawn(tmp_path, image_grid, np.zeros((1, 2, 2)), labels=[name], title=name),
        drawn(tmp_path, scatter, [[1, 2]], names=[name], groups=[name], title=name, x_label=name),
    ):
        assert not list(root.iter(f"{SVG}script"))


RATES = {"false_positive_rate": [0, 1], "true_positive_rate": [0, 1]}


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (
            lambda path: confusion_matrix([[1]], "m.png"),
            "confusion_matrix: 'm.png' is no .svg file\n  hint   end the name in .svg",
        ),
        (
            lambda path: confusion_matrix([[1, 2]], path),
            "confusion_matrix: a square matrix is needed, (1, 2) came\n"
            "  hint   give the result of ms.metrics.ConfusionMatrix",
        ),
        (
            lambda path: confusion_matrix([[-1.0]], path),
            "confusion_matrix: numbers of samples are finite and not negative\n"
            "  hint   give counts, not scores",
        ),
        (
            lambda path: confusion_matrix([[1]], path, classes=["a", "b"]),
            "confusion_matrix: 2 names for 1 classes\n  hint   give a name for each class, or none",
        ),
        (
            lambda path: roc_curves({}, path),
            "roc_curves: there is no curve to draw\n  hint   give {name: curve}",
        ),
        (
            lambda path: roc_curves({"a": {"true_positive_rate": [0, 1]}}, path),
            "roc_curves: curve 'a' has no false_positive_rate\n"
            "  hint   give the result of ms.metrics.RocCurve",
        ),
        (
            lambda path: roc_curves({"a": RATES | {"true_positive_rate": [0]}}, path),
            "roc_curves: the rates of curve 'a' differ in shape, (2,) and (1,)\n"
            "  hint   give the result of ms.metrics.RocCurve",
        ),
        (
            lambda path: roc_curves({"a": RATES | {"true_positive_rate": [0, np.nan]}}, path),
            "roc_curves: a rate of curve 'a' is not between 0 and 1\n"
            "  hint   rates are nan where there are no samples of a class: judge samples of both",
        ),
        (
            lambda path: image_grid(np.zeros((2, 2)), path),
            "image_grid: (count, height, width) or (count, 1 or 3, height, width) is needed, "
            "(2, 2) came\n  hint   take one channel of many: images[:, :1]",
        ),
        (
            lambda path: image_grid(np.full((1, 2, 2), np.nan), path),
            "image_grid: a number is NaN or infinite\n  hint   draw finite numbers: np.nan_to_num",
        ),
        (
            lambda path: image_grid(np.zeros((1, 2, 2)), path, labels=["a", "b"]),
            "image_grid: 2 labels for 1 images\n  hint   give a label for each image, or none",
        ),
        (
            lambda path: image_grid(np.zeros((1, 2, 2)), path, columns=0),
            "image_grid: columns=0\n  hint   give 1 or more",
        ),
        (
            lambda path: scatter([1.0, 2.0], path),
            "scatter: points (count, 2 or more) are needed, (2,) came\n"
            "  hint   give a row for each point",
        ),
        (
            lambda path: scatter([[1.0, np.inf]], path),
            "scatter: a coordinate is NaN or infinite\n  hint   leave such points out",
        ),
        (
            lambda path: scatter([[1.0, 2.0]], path, names=["a", "b"]),
            "scatter: 2 names for 1 points\n  hint   give names for all points, or none",
        ),
        (
            lambda path: scatter(np.zeros((25, 2)), path, groups=[*range(25)]),
            "scatter: 25 groups, and 24 can be told apart\n"
            "  hint   join some of them, or give names",
        ),
    ],
)
def test_refusals(act: Callable[[Path], None], expected: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        act(tmp_path / "chart.svg")
    assert str(caught.value) == expected
    assert not list(tmp_path.iterdir())
