"""Paint: the marks of an SVG picture, and what graphviz makes of them."""

import math
import shutil
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from test_render_svg import HOSTILE, picture_of_all

import matrixslow as ms
from matrixslow.render.dot import run_dot, to_background
from matrixslow.render.item import Category
from matrixslow.render.layout import arrange
from matrixslow.render.looks import LOOKS
from matrixslow.render.paint import Line, Painting, Words, read_svg
from matrixslow.render.picture import Box, Picture
from matrixslow.render.svg import MARGIN, to_svg

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


@needs_dot
def test_a_png_has_two_dots_for_a_pixel(tmp_path: Path) -> None:
    model = ms.testing.mlp().graph
    model.draw(tmp_path / "model.svg")
    model.draw(tmp_path / "model.png")
    model.draw(tmp_path / "model.pdf")
    root = ElementTree.parse(tmp_path / "model.svg").getroot()
    data = (tmp_path / "model.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    size = [2 * float(root.get("width")), 2 * float(root.get("height"))]
    assert list(struct.unpack(">II", data[16:24])) == pytest.approx(size, abs=2)
    assert (tmp_path / "model.pdf").read_bytes().startswith(b"%PDF")


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
