"""SVG: well-formed whatever the names, text within its box, told apart without colour."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from matrixslow.render.item import Category
from matrixslow.render.layout import arrange
from matrixslow.render.lettering import text_width
from matrixslow.render.looks import LOOKS
from matrixslow.render.picture import SMALL, TITLE, Box, Cluster, Picture
from matrixslow.render.shapes import Rect
from matrixslow.render.svg import outline, to_svg

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = '</title><script>alert("x")</script>&amp;<![CDATA[ \x00\x1b\ud800 \'" 卷积 ﷽ é'


def picture_of_all() -> Picture:
    """A picture with a box of each category, a folded scope, a cluster and a note."""
    boxes = [
        Box(f"a/{category}", f"the {category}", ("subtitle",), "(3,) float32", "tip", category, 0)
        for category in Category
    ]
    boxes.append(Box("b", "folded", ("12 nodes",), "", "tip", Category.OPERATOR, folded=True))
    edges = tuple((index, index + 1) for index in range(len(boxes) - 1))
    return Picture(tuple(boxes), edges, (Cluster("a", "a · 12 parameters"),), "a note")


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_it_is_one_standalone_file() -> None:
    text = to_svg(arrange(picture_of_all()), title="model")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == "model"
    left, top, width, height = map(float, root.get("viewBox").split())
    assert (left, top) == (0, 0)
    assert (root.get("width"), root.get("height")) == (f"{width:g}", f"{height:g}")
    assert "href=" not in text
    assert "url(" not in text
    assert "prefers-color-scheme:dark" in text


def test_every_box_has_its_text_and_its_tooltip() -> None:
    root = ElementTree.fromstring(to_svg(arrange(picture_of_all())))
    shown = texts(root)
    for category in Category:
        assert f"the {category}" in shown
    assert shown.count("(3,) float32") == len(Category)
    assert {"folded", "12 nodes", "a · 12 parameters", "a note"} <= set(shown)
    tips = [element.text for element in root.iter(f"{SVG}title")]
    assert tips.count("tip") == len(Category) + 1


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    everything = texts(ElementTree.fromstring(to_svg(arrange(picture_of_all()))))
    assert {"input", "variable", "output", "gradient", "folded scope"} <= set(everything)
    assert "stands for a distant node" in everything
    little = Picture((Box("x", "x", category=Category.INPUT), Box("y", "y")), ((0, 1),))
    assert texts(ElementTree.fromstring(to_svg(arrange(little)))) == ["x", "y", "input", "operator"]


def test_hostile_names_stay_text() -> None:
    boxes = (
        Box(HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, HOSTILE, cluster=0),
        Box("y", "y", category=Category.OUTPUT),
    )
    picture = Picture(boxes, ((0, 1),), (Cluster(HOSTILE, HOSTILE),), HOSTILE)
    text = to_svg(arrange(picture), title=HOSTILE)
    root = ElementTree.fromstring(text.encode())
    readable = re.sub("[\x00\x1b\ud800]", "\ufffd", HOSTILE)
    assert not list(root.iter(f"{SVG}script"))
    assert texts(root).count(readable) == 5
    assert root.find(f"{SVG}title").text == readable


def test_a_reference_leads_to_its_box() -> None:
    boxes = (Box("x", "x"), Box("x", "x", category=Category.REFERENCE), Box("y", "y"))
    root = ElementTree.fromstring(to_svg(arrange(Picture(boxes, ((1, 2),)))))
    (link,) = root.iter(f"{SVG}a")
    assert link.get("href") == "#b0"
    assert any(element.get("id") == "b0" for element in root.iter(f"{SVG}g"))


def test_text_fits_into_its_box() -> None:
    """Against the advance widths of Verdana, the widest of the fonts that are asked for."""
    titles = [
        "W" * 30,
        "BatchNormalization",
        "illicit/ill",
        "block_17·(weights)",
        "卷积层",
        "MMMMmmmm",
    ]
    for category in Category:
        for title in titles:
            box = Box("x", title, (title,), category=category)
            assert text_width(title, TITLE) <= box.width - 20
            assert text_width(title, SMALL) <= box.width - 20


VERDANA = {
    "i": 562, "l": 562, "f": 720, "t": 807, "r": 874, "a": 1230, "e": 1220, "m": 1992, "w": 1676,
    "A": 1400, "M": 1726, "W": 2025, "_": 1302, "/": 930, "(": 930, "0": 1302, ",": 745, " ": 720,
    "@": 2048, "%": 2204, "·": 745, "n": 1296, "o": 1243, "p": 1276, "O": 1612, "Q": 1612,
    "G": 1588,
}  # fmt: skip
"""Advance widths in units of 1/2048 of the font's size, from the font's table of metrics."""


@pytest.mark.parametrize("word", ["MatMul", "weights", "(None, 100)", "a_long/name", "QOGWM%@"])
def test_estimated_widths_are_no_less_than_a_wide_font_needs(word: str) -> None:
    needed = sum(VERDANA.get(letter, 1302) for letter in word) / 2048 * 10
    assert needed <= text_width(word, 10) <= 1.35 * needed


def test_categories_differ_in_black_and_white() -> None:
    """Outline, dashes or thickness alone tell any two of them apart."""
    place = Rect(0, 0, 100, 42)
    marks = {
        category: (outline(category, place), LOOKS[category].dashes, LOOKS[category].thickness)
        for category in Category
    }
    assert len(set(marks.values())) == len(Category)
    assert len({look.fill for look in LOOKS.values()}) == len(Category)


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines 2.1 define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("category", [c for c in Category if c is not Category.REFERENCE])
def test_text_and_outlines_stand_out_from_fills(category: Category) -> None:
    look = LOOKS[category]
    assert contrast("#1c2126", look.fill) > 7
    assert contrast("#4a545e", look.fill) > 4.5
    assert contrast("#eef1f4", look.dark_fill) > 7
    assert contrast("#b3bcc5", look.dark_fill) > 4.5
    assert contrast(look.stroke, look.fill) > 3
    assert contrast(look.dark_stroke, look.dark_fill) > 3
