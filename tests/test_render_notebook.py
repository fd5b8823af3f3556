"""What Jupyter shows: pictures of graphs and histories, cards of nodes, and none of them leaks."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from browser import open_browser
from test_render_svg import HOSTILE

import matrixslow as ms
from matrixslow.render.sheet import style_sheet

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def model() -> ms.Graph:
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
        w = ms.Variable([1.0, 2.0], name="w")
        ms.ops.ReduceSum(ms.ops.Tanh(x * w, name="h"), keepdims=False, name="loss")
    return graph


def cells(node: ms.Node) -> dict[str, str]:
    """The rows of a card: the text of the second cell by that of the first."""
    rows = ElementTree.fromstring(node._repr_html_()).iter("tr")
    texts = (["".join(cell.itertext()) for cell in row] for row in rows)
    return {row[0]: "".join(row[1:]) for row in texts}


def test_a_graph_shows_the_picture_that_it_draws(model: ms.Graph, tmp_path: Path) -> None:
    model.draw(tmp_path / "model.svg")
    shown = ElementTree.fromstring(model._repr_svg_())
    drawn = ElementTree.parse(tmp_path / "model.svg").getroot()
    assert shown.find(f"{SVG}title").text == "Graph of 5 nodes, seed 0, on cpu"
    shown.find(f"{SVG}title").text = drawn.find(f"{SVG}title").text
    assert ElementTree.tostring(shown) == ElementTree.tostring(drawn)


def test_an_empty_graph_shows_itself() -> None:
    assert ElementTree.fromstring(ms.Graph()._repr_svg_()).tag == f"{SVG}svg"


def test_a_history_shows_its_curves(tmp_path: Path) -> None:
    history = ms.trainer.History(
        {"loss": [0.9, 0.5], "validation_loss": [0.8, 0.6], "seconds": [1, 1]}
    )
    history.plot(tmp_path / "curves.svg")
    assert history._repr_svg_() == (tmp_path / "curves.svg").read_text("utf-8")
    assert ms.trainer.History()._repr_svg_() is None


def test_a_node_shows_a_card(model: ms.Graph) -> None:
    card = cells(model["h"])
    assert list(card) == ["Tanh h", "shape", "formula", "made of", "built"]
    assert card["shape"] == "(None, 2) float32"
    assert card["formula"].startswith("y = tanh(x).")
    assert card["made of"] == "mul  Mul (None, 2) float32"
    assert card["built"].startswith("test_render_notebook.py:")
    assert "ms.ops.Tanh(x * w" in card["built"]


def test_a_cell_is_called_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "ipykernel_12" / "345678.py"
    with ms.Graph() as graph:
        exec(compile('\nms.Input((2,), name="x")', file, "exec"), {"ms": ms})
    assert str(graph["x"].site) == "cell:2"
    assert cells(graph["x"])["built"].startswith("cell:2")


def test_a_card_has_the_figures_of_the_last_run(model: ms.Graph) -> None:
    assert list(cells(model["w"])) == ["Variable w", "shape", "value", "built"]
    assert cells(model["w"])["value"].startswith("shape (2,), minimum 1, mean 1.5, deviation 0.5")
    model.forward(model["loss"], {model["x"]: [[0.5, 0.25]]})
    model.backward(model["loss"])
    assert cells(model["loss"])["value"] == f"{2 * np.tanh(0.5):.6g}"
    assert cells(model["loss"])["gradient"] == "1"
    assert "norm" in cells(model["h"])["gradient"]


def test_a_card_lists_a_few_inputs() -> None:
    with ms.Graph():
        parts = [ms.Input((2,), name=f"x{i}") for i in range(9)]
        card = cells(ms.ops.Concat(*parts, axis=0))
    assert card["made of"].startswith("x0  Input (2,) float32")
    assert card["made of"].endswith("and 3 more")
    assert list(cells(parts[0])) == ["Input x0", "shape", "built"]


def test_hostile_names_stay_text() -> None:
    name = re.sub("[\x00\x1b\ud800/]", "", HOSTILE).strip()
    with ms.Graph() as graph:
        ms.ops.Tanh(ms.Input((2,), name=name))
    assert cells(graph[name])[f"Input {name}"] == ""
    assert cells(graph["tanh"])["made of"].startswith(name)
    assert name[:10] in "".join(ElementTree.fromstring(graph._repr_svg_()).itertext())


def test_styles_hold_in_their_own_pictures_only() -> None:
    sheet = style_sheet("graph", ["text,.t{x:1}", ".a path{y:2}.b{z:3}"], [".t{x:4}"])
    assert sheet == (
        ".graph text,.graph .t{x:1}.graph .a path{y:2}.graph .b{z:3}"
        "@media (prefers-color-scheme:dark){.graph .t{x:4}}"
    )


def test_all_of_them_in_one_document(model: ms.Graph, tmp_path: Path) -> None:
    history = ms.trainer.History({"loss": [0.9, 0.5, 0.3]})
    page = tmp_path / "notebook.html"
    parts = [model._repr_svg_(), history._repr_svg_(), model["h"]._repr_html_()]
    page.write_text(f"<!DOCTYPE html><meta charset=utf-8><p>text</p>{''.join(parts)}", "utf-8")
    size = "getComputedStyle(document.querySelector('{}')).fontSize"
    with open_browser(tmp_path) as browser:
        browser.open(page)
        assert browser.run(size.format(".graph .t")) == "13px"
        assert browser.run(size.format(".chart text:not(.title)")) == "12px"
        assert browser.run(size.format("p")) == "16px"
        fill = "getComputedStyle(document.querySelector('.operator path')).fill"
        assert browser.run(fill) == "rgb(255, 255, 255)"
        assert browser.errors == []
