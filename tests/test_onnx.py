"""ONNX files: others compute what we do, and what others wrote is computed here."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import matrixslow as ms
import tests.operators
from matrixslow.__main__ import main
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, FormatError, MissingExtra
from matrixslow.testing import REFERENCE_MODELS, Sample

SAID_OTHERWISE = {
    *("Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    "LSTM",
}
"""Operators that ONNX has too, but not as they are here: of LSTM, its cells at every step."""

OF_ANOTHER_MIND = (
    "ConvTranspose, kernel smaller than the stride",  # onnxruntime's size is not ONNX's formula
    "LRN",  # onnxruntime takes odd sizes only, and onnx's evaluator has another window
    "Reshape, no samples",  # onnxruntime refuses 0 and -1 together
)


def samples() -> Iterator[Sample]:
    for module in pkgutil.iter_modules(tests.operators.__path__):
        yield from importlib.import_module(f"tests.operators.{module.name}").SAMPLES


def elsewhere(path: Path, feeds: dict[str, Any]) -> Any:
    """What onnxruntime computes, or onnx itself where that has no kernel."""
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)[0]
    except Exception:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ReferenceEvaluator(str(path)).run(None, feeds)[0]


@pytest.fixture(autouse=True)
def quiet() -> None:
    onnxruntime.set_default_logger_severity(4)


@pytest.mark.parametrize("name", REFERENCE_MODELS)
def test_a_model_is_the_same_elsewhere(name: str, tmp_path: Path) -> None:
    model = REFERENCE_MODELS[name](seed=1)
    path = ms.io.save(model.graph, tmp_path / "model.onnx", outputs=[model.output])
    needed = {node.name for node in ancestors([model.output]) if isinstance(node, ms.Input)}
    feeds = {node: x for node, x in model.feeds(3).items() if node.name in needed}
    expected = model.graph.forward(model.output, feeds, training=False)
    named = {node.name: x for node, x in feeds.items()}
    np.testing.assert_allclose(elsewhere(path, named), expected, rtol=1e-4, atol=1e-5)
    loaded = ms.io.load(path)
    back = loaded.forward(
        loaded[model.output.name], {loaded[name]: x for name, x in named.items()}, training=False
    )
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-6)
    mine, its = (
        {x.name for x in graph.variables if x.trainable} for graph in (model.graph, loaded)
    )
    assert its <= mine


def test_every_operator_is_the_same_elsewhere_or_refused(tmp_path: Path) -> None:
    path, refused, wrong = tmp_path / "operator.onnx", set(), []
    for sample in samples():
        if sample.name.startswith(OF_ANOTHER_MIND):
            continue
        arrays = [x.astype("float32") if x.dtype.kind == "f" else x for x in sample.arrays]
        with ms.Graph(seed=0) as graph:
            inputs = [ms.Input(x.shape, dtype=x.dtype, name=f"x{i}") for i, x in enumerate(arrays)]
            node = sample.build(*inputs)
        try:
            ms.io.save(graph, path, outputs=[node])
        except FormatError as error:
            if not re.search("no axes mean all|divisor_override", error.rule):
                refused.add(error.rule.split()[0])
            continue
        expected = graph.forward(node, dict(zip(inputs, arrays, strict=True)), training=False)
        loaded = ms.io.load(path)
        needed = {x.name for x in onnx.load(path).graph.input}
        feeds = {x.name: a for x, a in zip(inputs, arrays, strict=True) if x.name in needed}
        name = onnx.load(path).graph.output[0].name
        back = loaded.forward(
            loaded[name], {loaded[x]: a for x, a in feeds.items()}, training=False
        )
        for found in (elsewhere(path, feeds), back):
            found = np.asarray(found)
            if (found.shape, found.dtype) != (expected.shape, expected.dtype) or not np.allclose(
                found, expected, rtol=1e-4, atol=1e-5, equal_nan=True
            ):
                wrong.append(sample.name)
    assert wrong == []
    assert {name for name in refused if onnx.defs.has(name)} == SAID_OTHERWISE


# ---- writing -------------------------------------------------------------------------------------


def test_training_is_left_out(tmp_path: Path) -> None:
    with ms.Graph(seed=0) as graph:
        x = ms.Input((None, 3, 4, 4), name="x")
        label = ms.Input((None,), dtype="int64", name="label")
        h = ms.layers.dropout(ms.layers.batch_norm(x, name="norm"), 0.5)
        scores = ms.layers.dense(ms.layers.flatten(h), 2, name="fc")
        ms.ops.Softmax(scores, name="probabilities")
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    ms.optimizers.Adam(0.1).minimize(loss)
    graph.notes["classes"] = ["cat", "dog"]
    graph.save(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [x.name for x in model.graph.input] == ["x"]
    assert [x.name for x in model.graph.output] == ["probabilities"]
    operators = [x.op_type for x in model.graph.node]
    assert operators == ["BatchNormalization", "Flatten", "MatMul", "Add", "Softmax"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    loaded = ms.io.load(tmp_path / "model.onnx", dtype="float64")
    assert loaded.notes == {"classes": ["cat", "dog"]}
    assert loaded["probabilities"].dtype == np.float64
    assert not loaded["norm/mean"].trainable
    assert loaded["fc/W"].trainable


def test_the_command_line_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ms.Graph() as graph:
        ms.layers.dense(ms.Input((None, 2), name="x"), 1, name="fc")
    graph.save(tmp_path / "model.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((2, 2), "f4"))
    assert main(["predict", str(tmp_path / "model.onnx"), str(tmp_path / "x.npz")]) == 0
    assert "fc/add" in capsys.readouterr().out


def test_an_output_may_be_an_input(tmp_path: Path) -> None:
    with ms.Graph() as graph:
        x = ms.Input((None, 2), name="x")
    path = ms.io.save(graph, tmp_path / "model.onnx", outputs=[x])
    np.testing.assert_array_equal(elsewhere(path, {"x": np.ones((1, 2), "f4")}), [[1, 1]])


def refusal(error: type[Exception], act: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        act()
    return re.sub(r"test_onnx\.py:\d+", "test_onnx.py:*", str(caught.value))


def test_what_cannot_be_written(graph: ms.Graph, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    x = ms.Input((3, 3), name="x")
    root = ms.ops.Cholesky(x, name="root")
    assert refusal(ArgumentError, lambda: graph.save(path)) == (
        "save: which nodes are the outputs of the model?\n"
        "  hint   name them: ms.io.save(graph, path, outputs=[probabilities])"
    )
    assert refusal(FormatError, lambda: ms.io.save(graph, path, outputs=[root])) == (
        "Cholesky 'root': ONNX has no operator Cholesky\n"
        "  built  test_onnx.py:*\n"
        "  hint   save outputs that do not need it, or save as .npz"
    )
    series = ms.Input((None, 5, 3), name="series")
    steps = ms.ops.Transpose(series, perm=(1, 0, 2))
    w, r = ms.Constant(np.ones((1, 8, 3))), ms.Constant(np.ones((1, 8, 2)))
    cells = ms.ops.LSTM(steps, w, r, name="lstm")[1]
    assert "ONNX's LSTM does not give the cells" in refusal(
        FormatError, lambda: ms.io.save(graph, path, outputs=[cells])
    )
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(
    graph: ms.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    ms.Input((None, 2), name="x") * 2.0
    expected = (
        "files that end in .onnx need the package onnx, which is not installed\n"
        "  hint   pip install 'matrixslow[onnx]', or save as .npz"
    )
    (tmp_path / "model.onnx").touch()
    assert refusal(MissingExtra, lambda: graph.save(tmp_path / "model.onnx")) == expected
    assert refusal(MissingExtra, lambda: ms.io.load(tmp_path / "model.onnx")) == expected


# ---- reading -------------------------------------------------------------------------------------


def written(path: Path, *nodes: Any, opset: int = 21, **arrays: Any) -> Path:
    """A file with an input x (None, 3), an output y, and these nodes."""
    shape = ["batch", 3]
    body = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", "n"])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    domains = {node.domain for node in nodes} - {""}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(x, 1) for x in domains)]
    onnx.save(helper.make_model(body, opset_imports=imports, ir_version=8), path)
    return path


def run(path: Path, x: Any) -> Any:
    graph = ms.io.load(path)
    return graph.forward(graph["y"], {graph["x"]: x}, training=False)


X = np.float32([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])


def test_an_older_version_is_brought_up(tmp_path: Path) -> None:
    node = helper.make_node("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0)
    np.testing.assert_allclose(run(written(tmp_path / "a.onnx", node, opset=11), X), X.sum(axis=1))


def test_what_is_known_is_computed_now(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.onnx",
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Mul", ["w", "two"], ["doubled"]),
        helper.make_node("Shape", ["x"], ["last"], start=1),
        helper.make_node("Concat", ["minus", "last"], ["sizes"], axis=0),
        helper.make_node("MatMul", ["x", "doubled"], ["product"]),
        helper.make_node("Reshape", ["product", "sizes"], ["y"]),
        w=np.eye(3, dtype="f4"),
        minus=np.array([-1]),
    )
    np.testing.assert_allclose(run(path, X), 2 * X)
    assert {type(node).__name__ for node in ms.io.load(path).nodes} == {
        *("Input", "Variable", "MatMul", "Reshape")
    }


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        (
            helper.make_node("Foo", ["x"], ["y"], domain="mine", name="foo"),
            "Foo 'foo': operators of 'mine' are not known",
        ),
        (
            helper.make_node("Bernoulli", ["x"], ["y"], seed=1.0),
            "Bernoulli 'y': seed=1.0 is not known here",
        ),
        (helper.make_node("NonZero", ["x"], ["y"]), "NonZero 'y': there is no such operator here"),
        (
            helper.make_node("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1),
            "ReduceSum 'y': noop_with_empty_axes=1 is not known here",
        ),
        (
            helper.make_node("Shape", ["x"], ["y"]),
            "Shape 'y': (None, 3) has a size that is fed",
        ),
        (
            helper.make_node("Tile", ["x", "x"], ["y"]),
            "Tile 'y': 'x' must be a constant here",
        ),
        (
            helper.make_node("Transpose", ["x"], ["y"], perm=[0], name="turn"),
            "Transpose 'turn': cannot be built: Transpose 'y': ",
        ),
    ],
    ids=lambda case: getattr(case, "op_type", ""),
)
def test_what_cannot_be_read(node: Any, rule: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", node)
    message = refusal(FormatError, lambda: ms.io.load(path))
    assert message.startswith(f"{path}: {rule}")


def test_a_damaged_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", helper.make_node("Relu", ["x"], ["y"]))
    whole = path.read_bytes()
    for data in (b"", b"PK nothing", whole[:-9], whole[:20]):
        path.write_bytes(data)
        message = refusal(FormatError, lambda: ms.io.load(path))
        assert message.startswith(f"{path}: no ONNX file, or damaged: ")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["convolutional", "recurrent", "attention"])
def test_a_model_of_torch(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)

    class Last(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[0][:, -1]

    model, x = {
        "convolutional": lambda: (
            nn.Sequential(
                *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Dropout(), nn.Linear(64, 5), nn.Softmax(dim=1)),
            ),
            torch.randn(3, 1, 8, 8),
        ),
        "recurrent": lambda: (
            nn.Sequential(
                nn.LSTM(3, 6, batch_first=True, bidirectional=True), Last(), nn.Linear(12, 2)
            ),
            torch.randn(3, 5, 3),
        ),
        "attention": lambda: (
            nn.Sequential(
                nn.Embedding(11, 8),
                nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
                nn.LayerNorm(8),
            ),
            torch.randint(0, 11, (3, 5)),
        ),
    }[kind]()
    model.eval()
    path = tmp_path / "torch.onnx"
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(model, x, path, dynamo=False, opset_version=17, **names)
    expected = model(x).detach().numpy()
    np.testing.assert_allclose(run(path, x.numpy()), expected, rtol=1e-4, atol=1e-5)
