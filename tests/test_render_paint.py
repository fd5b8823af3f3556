"""Paint: the marks of an SVG picture, and what graphviz makes of them."""

import math
import shutil
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from test_render_svg import HOSTILE, picture_of_all

import matrixslow as ms
from matrixslow.render.canvas import paint
from matrixslow.render.dot import run_dot, to_background
from matrixslow.render.item import Category
from matrixslow.render.layout import arrange
from matrixslow.render.looks import LOOKS
from matrixslow.render.paint import Line, Painting, Words, read_svg
from matrixslow.render.picture import Box, Picture
from matrixslow.render.svg import MARGIN, to_svg


def imread(path: Path) -> np.ndarray:
    """The colours of a .png file, from 0 to 1."""
    return pytest.importorskip("matplotlib.image").imread(path)


needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


@pytest.fixture
def painting() -> Painting:
    return read_svg(to_svg(arrange(picture_of_all()), title="all"))


def words(painting: Painting) -> dict[str, Words]:
    return {mark.text: mark for mark in painting.marks if isinstance(mark, Words)}


def lines(painting: Painting) -> list[Line]:
    return [mark for mark in painting.marks if isinstance(mark, Line)]


def extent(line: Line) -> tuple[float, float, float, float]:
    xs, ys = zip(*line.curve, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def test_every_text_is_there_with_its_look(painting: Painting) -> None:
    root = ElementTree.fromstring(to_svg(arrange(picture_of_all())))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    marks = [mark for mark in painting.marks if isinstance(mark, Words)]
    assert sorted(mark.text for mark in marks) == sorted(texts)
    found = words(painting)
    title, small = found["the operator"], found["subtitle"]
    assert (title.size, title.bold, title.centred, title.colour) == (13, True, True, "#1c2126")
    assert (small.size, small.bold, small.centred, small.colour) == (11, False, True, "#4a545e")
    assert not found["a · 12 parameters"].centred


def test_boxes_stand_where_the_layout_puts_them() -> None:
    box = Box("x", "x", category=Category.OPERATOR)
    layout = arrange(Picture((box, Box("y", "y", category=Category.INPUT)), ((1, 0),)))
    painting = read_svg(to_svg(layout))
    left = (painting.width - layout.width) / 2
    place = layout.boxes[0]
    wanted = (left + place.left, MARGIN + place.top, left + place.right, MARGIN + place.bottom)
    assert any(extent(line) == pytest.approx(wanted, abs=0.1) for line in lines(painting))
    assert extent(lines(painting)[0]) == (0, 0, painting.width, painting.height)


def test_colours_and_strokes_are_those_of_the_looks(painting: Painting) -> None:
    found = {(line.fill, line.stroke, line.thickness, line.dashes) for line in lines(painting)}
    for category, look in LOOKS.items():
        dashes = tuple(map(float, look.dashes.split()))
        fill = look.fill.removeprefix("none")
        assert (fill, look.stroke, look.thickness, dashes) in found, category
    assert ("#5a6b7c0d", "#9aa5b0", 1.0, ()) in found  # a frame, nearly clear
    assert ("#7b8794", "", 1.3, ()) in found  # an arrow head


def test_lines_are_whole_curves(painting: Painting) -> None:
    for line in lines(painting):
        assert len(line.curve) % 3 == 1
        assert not line.closed or line.curve[0] == pytest.approx(line.curve[-1])
        assert line.closed or not line.fill


def test_corners_are_quarters_of_circles() -> None:
    layout = arrange(Picture((Box("x", "x", category=Category.INPUT),)))
    painting = read_svg(to_svg(layout))
    place, left = layout.boxes[0], (painting.width - layout.width) / 2
    radius = place.height / 2
    pill = next(line for line in lines(painting) if line.fill == LOOKS[Category.INPUT].fill)
    centre_y = MARGIN + place.top + radius
    for start in range(0, len(pill.curve) - 1, 3):
        a, b, c, d = pill.curve[start : start + 4]
        x, y = ((a[k] + 3 * b[k] + 3 * c[k] + d[k]) / 8 for k in (0, 1))
        if a[0] != d[0] and a[1] != d[1]:
            side = left + place.left + radius if x < painting.width / 2 else None
            centre_x = side or left + place.right - radius
            assert math.hypot(x - centre_x, y - centre_y) == pytest.approx(radius, rel=0.02)


@pytest.fixture(params=[pytest.param("graphviz", marks=needs_dot), "matplotlib"])
def painter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each program that paints, in turn."""
    if request.param == "matplotlib":
        pytest.importorskip("matplotlib")
        monkeypatch.setenv("PATH", "")
    return request.param


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))


def test_pictures_of_dots_and_on_paper(painter: str, tmp_path: Path) -> None:
    model = ms.testing.mlp().graph
    for suffix in ("svg", "png", "pdf"):
        model.draw(tmp_path / f"model.{suffix}")
    painting = read_svg((tmp_path / "model.svg").read_text("utf-8"))
    data = (tmp_path / "model.png").read_bytes()
    size = [2 * painting.width, 2 * painting.height]
    assert list(struct.unpack(">II", data[16:24])) == pytest.approx(size, abs=2)
    assert (tmp_path / "model.pdf").read_bytes().startswith(b"%PDF")
    dots = imread(tmp_path / "model.png")
    boxes = [line for line in lines(painting) if line.closed and len(line.fill) == 7]
    assert len(boxes) > 10
    for box in boxes:
        left, top, right, bottom = extent(box)
        if right - left < 20 or bottom - top > 60:
            continue  # an arrow head, or the paper
        inside = dots[round(top + bottom), round(2 * left) + 16, :3]  # text begins further right
        assert tuple(inside) == pytest.approx(rgb(box.fill), abs=0.02)


def test_a_very_large_picture_of_dots_has_fewer_for_a_pixel() -> None:
    pytest.importorskip("matplotlib")
    data = paint(Painting("long", 90.0, 120_000.0, ()), "png")
    assert struct.unpack(">II", data[16:24]) == (45, 60_000)


def test_the_same_picture_is_the_same_file(painting: Painting) -> None:
    pytest.importorskip("matplotlib")
    for form in ("png", "pdf"):
        assert paint(painting, form) == paint(painting, form)


def test_dollars_are_no_mathematics() -> None:
    pytest.importorskip("matplotlib")
    words = Words("$x^{", (5, 20), 13, "#000000", bold=False, centred=False)
    assert paint(Painting("x", 100, 40, (words,)), "png").startswith(b"\x89PNG")


@needs_dot
def test_graphviz_draws_each_mark_in_its_place(painting: Painting) -> None:
    root = ElementTree.fromstring(run_dot(to_background(painting), "svg", placed=True))
    svg = "{http://www.w3.org/2000/svg}"
    height = painting.height * 0.75
    found = {element.text: element for element in root.iter(f"{svg}text")}
    assert set(found) == set(words(painting))
    for text, mark in words(painting).items():
        element = found[text]
        x, y = float(element.get("x")), height + float(element.get("y"))
        if list(words(painting)).count(text) == 1 and text.startswith("the "):
            assert (x, y) == pytest.approx((mark.at[0] * 0.75, mark.at[1] * 0.75), abs=0.1)
            assert element.get("font-weight") == ("bold" if mark.bold else None)
            assert element.get("text-anchor") == "middle"
    drawn = [*root.iter(f"{svg}path"), *root.iter(f"{svg}polygon")]
    fills = {element.get("fill") for element in drawn}
    assert {look.fill for look in LOOKS.values()} - {"none", "#ffffff"} <= fills


@needs_dot
def test_hostile_names_stay_text() -> None:
    hostile = HOSTILE + ' \\N \\" \\'
    boxes = (Box("x", hostile, (hostile,)), Box("y", 'ends in "', category=Category.OUTPUT))
    painting = read_svg(to_svg(arrange(Picture(boxes, ((0, 1),)))))
    root = ElementTree.fromstring(run_dot(to_background(painting), "svg", placed=True))
    shown = [element.text.strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]
    wanted = [mark.text.replace("\\", "\N{FULLWIDTH REVERSE SOLIDUS}") for mark in painting.marks
              if isinstance(mark, Words)]  # fmt: skip
    assert len(shown) == len(wanted)
    assert 'ends in "' in shown
    assert any("卷积" in text and "<script>" in text for text in shown)
