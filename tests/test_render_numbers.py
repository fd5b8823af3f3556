"""Figures of arrays, profiles as heat, and both in pictures."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from test_render_svg import contrast

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.render import draw
from matrixslow.render.heat import SHARES, WARMTHS, Heat, duration, percent, read_profile
from matrixslow.render.numbers import measure

SVG = "{http://www.w3.org/2000/svg}"


def texts(path: Path) -> set[str]:
    return {text.text for text in ElementTree.parse(path).getroot().iter(f"{SVG}text")}


def classes(path: Path) -> dict[str, str]:
    """The class of each box, by the first line of its tooltip."""
    root = ElementTree.parse(path).getroot()
    boxes = [group for group in root.iter(f"{SVG}g") if group.get("id")]
    return {box.find(f"{SVG}title").text.split("\n")[0]: box.get("class") for box in boxes}


@pytest.fixture
def model() -> ms.Graph:
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
        with graph.scope("dense"):
            w = ms.Variable([1.0, 2.0], name="w")
            h = ms.ops.Tanh(x * w)
        loss = ms.ops.ReduceSum(h, keepdims=False, name="loss")
        ms.gradients(loss, [w])
    return graph


# ---- arrays -----------------------------------------------------------------------------------


def test_figures_are_numpys() -> None:
    array = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    array[0] = 0
    found = measure(array)
    assert found is not None
    exact = array.astype("float64")
    assert (found.shape, found.zeros, found.broken, found.whole) == ((30, 4), 4, 0, False)
    assert [found.least, found.mean, found.deviation, found.most, found.norm] == pytest.approx(
        [exact.min(), exact.mean(), exact.std(), exact.max(), np.linalg.norm(exact)]
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (2.5, "2.5"),
        ([[3]], "3"),
        ([1.0, 3.0], "2 ± 1"),
        ([3, 0, 9], "0 … 9"),
        ([True, False], "0 … 1"),
        ([1.0, np.nan, np.inf], "2 not finite"),
        ([np.nan], "1 not finite"),
    ],
)
def test_figures_in_a_line(values: object, text: str) -> None:
    assert str(measure(np.asarray(values))) == text


def test_nothing_has_no_figures() -> None:
    assert measure(None) is None
    assert measure(np.zeros((0, 3))) is None


def test_boxes_show_what_a_run_left(model: ms.Graph, tmp_path: Path) -> None:
    draw(model, tmp_path / "before.svg", values=True)
    assert "1.5 ± 0.5" in texts(tmp_path / "before.svg")
    feeds = {model["x"]: [[0.5, -0.25]]}
    model.forward(model["loss"], feeds)
    model.backward(model["loss"])
    draw(model, tmp_path / "after.svg", values=True)
    slope = float(np.linalg.norm(model["dense/w"].gradient))
    found = texts(tmp_path / "after.svg")
    assert f"1.5 ± 0.5 · ∇ {slope:.3g}" in found
    assert f"{float(model['loss'].value):.3g} · ∇ 1" in {text or "" for text in found}
    draw(model, tmp_path / "folded.svg", values=True, fold=0)
    assert f"∇ {slope:.3g}" in texts(tmp_path / "folded.svg")
    draw(model, tmp_path / "plain.svg")
    assert not any("∇" in (text or "") for text in texts(tmp_path / "plain.svg"))


# ---- profiles -----------------------------------------------------------------------------------


def test_nodes_that_run_as_one_share_the_time() -> None:
    profile = [("a+b", 2.0), ("a", 1.0), ("made by the compiler", 4.0), ("c/d+e", 1.0)]
    heat = read_profile(profile, ["a", "b", "c/d+e"])
    assert heat is not None
    assert dict(heat.seconds) == {"a": 2.0, "b": 1.0, "c/d+e": 1.0}
    assert heat.total == 8.0


def test_degrees_follow_the_share_of_the_whole() -> None:
    heat = Heat({}, 2.0)
    assert [heat.degree(2.0 * share) for share in (0, 0.009, *SHARES, 1)] == [0, 0, 1, 2, 3, 4, 4]
    assert len(WARMTHS) == len(SHARES) + 1
    assert heat.text(0.0246) == "24.6 ms · 1.2 %"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2, "2 s"), (0.0123, "12.3 ms"), (4.25e-6, "4.25 µs"), (0, "0 µs")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_percentages() -> None:
    assert [percent(x) for x in (1, 0.34, 0.0999, 0.0042, 0.0)] == [
        "100 %",
        "34 %",
        "10 %",
        "0.4 %",
        "< 0.1 %",
    ]


def test_boxes_are_as_warm_as_their_time(model: ms.Graph, tmp_path: Path) -> None:
    path = tmp_path / "heat.svg"
    tanh, loss = model["dense/tanh"], model["loss"]
    draw(model, path, profile={tanh: 0.006, loss: 0.0001, model.nodes[-1]: 0.0039})
    found = classes(path)
    assert found["dense/tanh"] == "operator h4"
    assert found["loss"] == "loss h1"
    assert found["dense/mul"] == "operator"
    assert {
        "6 ms · 60 %",
        "below 1 % of 10 ms",
        "from 25 %",
        "not drawn: 39 % of the 10 ms, in gradients and updates (gradients=True draws them)",
    } <= texts(path)
    draw(model, path, profile={"dense/tanh": 0.006, "dense/mul": 0.004}, fold=["dense"])
    assert classes(path)["dense"] == "operator h4"
    assert "10 ms · 100 %" in texts(path)
    assert any(
        text.endswith("for training only (gradients=True draws them)") for text in texts(path)
    )


def test_the_profile_of_a_program_has_names_of_the_graph(tmp_path: Path) -> None:
    model = ms.testing.cnn()
    updates = ms.optimizers.Momentum(0.1).minimize(model.loss)
    step = ms.function(model.inputs, model.loss, updates=updates)
    profile = step.program.profile(list(model.feeds(2).values()), runs=1)
    heat = read_profile(profile, [node.name for node in model.graph.nodes])
    assert heat is not None
    assert sum(heat.seconds.values()) == pytest.approx(heat.total)
    assert heat.seconds["conv_1/conv"] > 0
    model.graph.draw(tmp_path / "heat.svg", profile=profile)
    assert " h" in classes(tmp_path / "heat.svg")["conv_1/conv"]


def test_a_profile_without_time_colours_nothing(model: ms.Graph, tmp_path: Path) -> None:
    draw(model, tmp_path / "cold.svg", profile=[])
    assert not any(" h" in kind for kind in classes(tmp_path / "cold.svg").values())


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"nobody": 1.0}, "draw: none of the 1 names in the profile is that of a node in the "
                          "graph\n"
                          "  hint   give the profile of a function made from this graph"),
        ({"loss": -1.0}, "draw: profile={'loss': -1.0} is no profile\n"
                         "  hint   give seconds by node, as program.profile(feeds) does"),
        (3, "draw: profile=3 is no profile\n"
            "  hint   give seconds by node, as program.profile(feeds) does"),
    ],
)  # fmt: skip
def test_refusals_of_profiles(model: ms.Graph, profile: object, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        draw(model, "never.svg", profile=profile)
    assert str(caught.value) == message
    assert not Path("never.svg").exists()


@pytest.mark.parametrize("warmth", WARMTHS)
def test_text_stands_out_at_every_degree(warmth: object) -> None:
    assert contrast(warmth.text, warmth.fill) > 4.5
    assert contrast(warmth.dark_text, warmth.dark_fill) > 4.5


def test_degrees_are_in_order_without_colour() -> None:
    light = [contrast("#000000", warmth.fill) for warmth in WARMTHS]
    dark = [contrast("#000000", warmth.dark_fill) for warmth in WARMTHS]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)
