"""Text: the table of layers and the line for each node, to the letter."""

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError
from matrixslow.render import dump, summary
from matrixslow.render.item import read_items
from matrixslow.render.lettering import cell_width, pad, shorten, xml


@pytest.fixture
def model() -> ms.Graph:
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
        with graph.scope("dense"):
            w = ms.Variable([1.0, 2.0], name="w")
            mean = ms.Variable([0.0, 0.0], trainable=False, name="mean")
            h = ms.ops.Tanh(x * w - mean)
        scale = ms.Variable([[2.0] * 2] * 300, name="scale")
        loss = ms.ops.ReduceSum(h * 2.0, keepdims=False, name="loss")
        ms.ops.ReduceSum(scale, keepdims=False, name="norm")
        ms.gradients(loss, [w])
    return graph


def test_summary(model: ms.Graph) -> None:
    assert summary(model, width=100) == (
        "layer  operators       output             parameters\n"
        "────────────────────────────────────────────────────\n"
        "x      Input           (None, 2) float32\n"
        "dense  Mul, Sub, Tanh  (None, 2) float32           4\n"
        "scale  Variable        (300, 2) float32          600\n"
        "mul    Mul             (None, 2) float32\n"
        "loss   ReduceSum       () float32\n"
        "norm   ReduceSum       () float32\n"
        "────────────────────────────────────────────────────\n"
        "trainable      602 parameters  2.4 KiB\n"
        "not trainable  2 parameters    8 B"
    )


def test_summary_counts_what_an_optimizer_keeps(model: ms.Graph) -> None:
    ms.optimizers.Momentum(0.1).minimize(model["loss"])
    # The steps, the learning rate, and a velocity for both numbers of dense/w.
    assert summary(model).splitlines()[-1] == "kept for training  4 numbers       24 B"


def test_summary_is_what_the_graph_says(model: ms.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert model.summary() == summary(model, width=100)
    assert model.dump() == dump(model)


def test_summary_of_a_part(model: ms.Graph) -> None:
    assert summary(model["norm"], width=100).splitlines()[2:] == [
        "scale  Variable   (300, 2) float32         600",
        "norm   ReduceSum  () float32",
        "──────────────────────────────────────────────",
        "trainable      600 parameters  2.3 KiB",
        "not trainable  0 parameters    0 B",
    ]


def test_layers_inside_layers() -> None:
    with ms.Graph() as graph:
        h = ms.Input((None, 4), name="x")
        with graph.scope("tower"):
            h = ms.ops.Relu(ms.layers.dense(h, 3, name="lower"))
            h = ms.layers.dense(h, 2, activation="tanh", name="upper") * 0.5
        ms.ops.Softmax(h, name="softmax")
    below = "trainable      23 parameters  92 B\nnot trainable  0 parameters   0 B"
    assert summary(graph, depth=2, width=100) == (
        "layer    operators          output             parameters\n"
        "─────────────────────────────────────────────────────────\n"
        "x        Input              (None, 4) float32\n"
        "tower    MatMul, …, Mul     (None, 2) float32          23\n"
        "  lower  MatMul, Add        (None, 3) float32          15\n"
        "  relu   Relu               (None, 3) float32\n"
        "  upper  MatMul, Add, Tanh  (None, 2) float32           8\n"
        "  mul    Mul                (None, 2) float32\n"
        "softmax  Softmax            (None, 2) float32\n"
        "─────────────────────────────────────────────────────────\n"
        f"{below}"
    )
    assert graph.summary(depth=5, width=100) == summary(graph, depth=2, width=100)
    assert summary(graph, width=100).splitlines()[3].split() == [
        "tower", "MatMul,", "…,", "Mul", "(None,", "2)", "float32", "23",
    ]  # fmt: skip


@pytest.mark.parametrize("depth", [0, -1, True, 1.5, "all"])
def test_refusal_of_a_depth(model: ms.Graph, depth: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        summary(model, depth=depth)
    assert str(caught.value) == f"summary: depth={depth!r}\n  hint   give depth >= 1"


def test_dump(model: ms.Graph) -> None:
    lines = dump(model["dense/tanh"]).splitlines()
    sites = [str(model[name].site) for name in ("x", "dense/w", "dense/mean", "dense/mul")]
    assert lines == [
        "name        operator  output             inputs                 options  built",
        f"x           Input     (None, 2) float32                                  {sites[0]}",
        f"dense/w     Variable  (2,) float32                                       {sites[1]}",
        f"dense/mean  Variable  (2,) float32                                       {sites[2]}",
        f"dense/mul   Mul       (None, 2) float32  x, dense/w                      {sites[3]}",
        f"dense/sub   Sub       (None, 2) float32  dense/mul, dense/mean           {sites[3]}",
        f"dense/tanh  Tanh      (None, 2) float32  dense/sub                       {sites[3]}",
    ]


def test_options_are_told_where_they_are_not_as_by_default() -> None:
    with ms.Graph() as graph:
        x = ms.Input((None, 3, 8, 8), name="x")
        w = ms.Variable(np.zeros((4, 3, 3, 3)), name="w")
        plain = ms.ops.Conv(x, w)
        strided = ms.ops.Conv(x, w, strides=2, pads=(1, 1, 1, 1))
        total = ms.ops.ReduceSum(strided, axes=(1,), keepdims=False)
        joined = ms.ops.Concat(plain, plain, axis=1)
    options = {item.name: item.options for item in read_items(graph)}
    assert options[plain.name] == options["w"] == options["x"] == ()
    assert options[strided.name] == ("strides=(2, 2)", "pads=(1, 1, 1, 1)")
    assert options[total.name] == ("axes=(1,)", "keepdims=False")
    assert options[joined.name] == ("axis=1",)
    assert "strides=(2, 2), pads=(1, 1, 1, 1)" in dump(graph)


def test_lines_keep_to_the_width(model: ms.Graph) -> None:
    for width in (40, 50, 60):
        lines = summary(model, width=width).splitlines()
        assert max(map(len, lines[:8])) <= width
        assert lines[3].endswith(" 4")
    assert max(map(len, dump(model, width=70).splitlines())) <= 70
    assert "…" in dump(model, width=70)


def test_wide_letters_take_two_columns() -> None:
    with ms.Graph() as graph:
        ms.Input((2,), name="图像")
        ms.Input((2,), name="label")
    lines = summary(graph, width=80).splitlines()
    assert lines[2] == "图像   Input      (2,) float32"
    assert lines[3] == "label  Input      (2,) float32"


def test_an_empty_graph() -> None:
    assert summary(ms.Graph(), width=80).splitlines() == [
        "layer  operators  output  parameters",
        "────────────────────────────────────",
        "────────────────────────────────────",
        "trainable      0 parameters  0 B",
        "not trainable  0 parameters  0 B",
    ]
    assert dump(ms.Graph()) == "name  operator  output  inputs  options  built"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("longer", 5, "lo…er"),
        ("longest", 6, "lon…st"),
        ("卷积神经网络", 7, "卷…络"),
        ("ab", 1, "…"),
    ],
)
def test_shortened(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected
    assert cell_width(shorten(text, limit)) <= limit


def test_columns_and_markup() -> None:
    assert pad("卷", 4) == "卷  "
    assert pad("12", 4, right=True) == "  12"
    assert cell_width("e\u0301") == 1
    assert xml("<&>\x00\ud800\ufffe\U0001f600") == "&lt;&amp;&gt;\ufffd\ufffd\ufffd\U0001f600"
