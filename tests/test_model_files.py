"""Model files: a graph that was saved and loaded is the same graph."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
import tests.operators
from matrixslow import layers
from matrixslow.errors import FormatError, GraphError
from matrixslow.io import read_archive, write_archive
from matrixslow.io.model_files import KIND, VERSION
from matrixslow.optimizers import Adam
from matrixslow.testing import Sample

SUFFIXES = ("npz", "safetensors")


def assert_same_graph(loaded: ms.Graph, graph: ms.Graph) -> None:
    """The same nodes, in the same order, with the same arrays."""
    assert loaded.seed == graph.seed
    model = [node for node in graph.nodes if node.name in loaded]
    assert [node.name for node in loaded.nodes] == [node.name for node in model]
    for mine, its in zip(loaded.nodes, model, strict=True):
        assert type(mine) is type(its)
        assert mine.spec == its.spec
        assert mine.trainable == its.trainable
        assert [x.name for x in mine.inputs] == [x.name for x in its.inputs]
        if isinstance(its, ms.Variable | ms.Constant):
            np.testing.assert_array_equal(mine.value, its.value, err_msg=mine.name)


def values(graph: ms.Graph, names: list[str], data: dict[str, Any], *, training: bool) -> list[Any]:
    feeds = {graph[name]: x for name, x in data.items()}
    return graph.forward([graph[name] for name in names], feeds, training=training)


# ---- every operator -----------------------------------------------------------------------------


def samples() -> Iterator[Sample]:
    for module in pkgutil.iter_modules(tests.operators.__path__):
        yield from importlib.import_module(f"tests.operators.{module.name}").SAMPLES


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_operator_with_its_options(tmp_path: Path, suffix: str) -> None:
    data: dict[str, np.ndarray] = {}
    with ms.Graph(seed=3) as graph:
        for number, sample in enumerate(samples()):
            with graph.scope(f"sample{number}"):
                inputs = []
                for place, x in enumerate(sample.arrays):
                    inputs.append(ms.Input(x.shape, dtype=x.dtype, name=f"x{place}"))
                    data[inputs[-1].name] = x
                sample.build(*inputs)
    loaded = ms.io.load(ms.io.save(graph, tmp_path / f"all.{suffix}"))
    assert_same_graph(loaded, graph)
    for mine, its in zip(loaded.nodes, graph.nodes, strict=True):
        assert str(mine.attributes) == str(its.attributes), mine.name
    names = [node.name for node in graph.nodes if node.inputs]
    found = values(loaded, names, data, training=True)
    wanted = values(graph, names, data, training=True)
    for name, x, y in zip(names, found, wanted, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=f"{name}, a {type(graph[name]).__name__}")


# ---- every layer --------------------------------------------------------------------------------

LAYERS: dict[str, tuple[tuple[int, ...], Callable[[ms.Node], ms.Node]]] = {
    "dense": ((4,), lambda x: layers.dense(x, 3, activation="relu")),
    "dropout": ((4,), lambda x: layers.dropout(x, 0.5)),
    "conv": ((2, 6, 6), lambda x: layers.conv(x, 4, kernel=3, padding="same", groups=2)),
    "conv, strides": ((2, 7), lambda x: layers.conv(x, 4, kernel=3, strides=2, dilation=2)),
    "conv_transpose": ((2, 4, 4), lambda x: layers.conv_transpose(x, 3, kernel=3, strides=2)),
    "max_pool": ((2, 6, 6), lambda x: layers.max_pool(x, 2)),
    "average_pool": ((2, 6, 6), lambda x: layers.average_pool(x, (3, 2), strides=1)),
    "global_max_pool": ((2, 4, 4), layers.global_max_pool),
    "global_average_pool": ((2, 4, 4), layers.global_average_pool),
    "batch_norm": ((3,), layers.batch_norm),
    "layer_norm": ((3,), layers.layer_norm),
    "group_norm": ((4, 3), lambda x: layers.group_norm(x, 2)),
    "instance_norm": ((4, 3), layers.instance_norm),
    "rnn": ((5, 3), lambda x: layers.rnn(x, 4, activation="relu", return_sequences=True)),
    "lstm": ((5, 3), lambda x: layers.lstm(x, 4, bidirectional=True)),
    "gru": ((5, 3), lambda x: layers.gru(x, 4)),
    "attention": ((5, 4), lambda x: layers.attention(x, heads=2, causal=True)),
    "transformer_block": (
        (5, 4),
        lambda x: layers.transformer_block(x, heads=2, dropout_ratio=0.2),
    ),
    "residual_block": ((2, 4, 4), lambda x: layers.residual_block(x, 4, strides=2)),
    "embedding": ((5,), lambda x: layers.embedding(ms.ops.Cast(x, dtype="int64"), 7, 3)),
    "factorization_machine": (
        (5,),
        lambda x: layers.factorization_machine(ms.ops.Cast(x, dtype="int64"), 7, 3),
    ),
}


def test_every_layer_is_among_them() -> None:
    functions = {name for name in layers.__all__ if callable(getattr(layers, name))}
    assert functions - {"flatten", "pairwise_interactions"} == {
        name.partition(",")[0] for name in LAYERS
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_trained_layer(tmp_path: Path, layer: str, suffix: str) -> None:
    shape, build = LAYERS[layer]
    with ms.Graph(seed=5) as graph:
        x = ms.Input((None, *shape), name="x")
        y = ms.ops.Tanh(layers.dense(layers.flatten(build(x)), 1), name="y")
        loss = ms.ops.ReduceMean(y * y, keepdims=False, name="loss")
    step = ms.function([x], loss, updates=Adam(0.05).minimize(loss))
    data = np.random.default_rng(0).uniform(0, 6, size=(6, *shape)).astype(np.float32)
    step(data)
    graph.forward(loss, {x: data})  # so that random numbers are no longer the first
    graph.save(tmp_path / f"model.{suffix}")
    loaded = ms.io.load(tmp_path / f"model.{suffix}")
    assert_same_graph(loaded, graph)
    assert not any("adam" in node.name or "gradients" in node.name for node in loaded.nodes)

    for training in (False, True):
        found = values(loaded, ["y", "loss"], {"x": data}, training=training)
        wanted = values(graph, ["y", "loss"], {"x": data}, training=training)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)

    # It can be trained on, in step with the one that was saved.
    theirs = loaded["loss"]
    ours = ms.function([x], loss, updates=Adam(0.05).minimize(loss))
    other = ms.function([loaded["x"]], theirs, updates=Adam(0.05).minimize(theirs))
    for _ in range(3):
        np.testing.assert_array_equal(ours(data), other(data))


# ---- names, scopes, kinds of nodes --------------------------------------------------------------


@pytest.fixture
def model(graph: ms.Graph) -> ms.Graph:
    """Shared nodes, nested scopes, several types, and things that do not train."""
    x = ms.Input((None, 3), dtype="float64", name="x")
    ids = ms.Input((), dtype="uint8", name="数")
    with graph.scope("encoder"), graph.scope("first"):
        w = ms.Variable(np.eye(3), dtype="float64", name="w")
        h = ms.ops.Tanh(x @ w, name="h")
    frozen = ms.Variable([1.0, 2.0, 3.0], dtype="float64", trainable=False, name="frozen")
    number = ms.Variable(7, dtype="int32", trainable=False, name="number")
    ms.ops.Add(h @ w, h * frozen, name="y")
    ms.ops.Cast(number, dtype="float32", name="as float")
    ms.ops.Equal(ids, ms.Constant(3, dtype="uint8"), name="three")
    ms.ops.Where(ms.Constant([True, False, True]), h, -np.inf, name="masked")
    return graph


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_scopes_and_types(model: ms.Graph, tmp_path: Path, suffix: str) -> None:
    loaded = ms.io.load(ms.io.save(model, tmp_path / f"model.{suffix}"))
    assert_same_graph(loaded, model)
    assert len(loaded) == len(model)
    assert loaded["encoder/first/w"].dtype == np.float64
    assert [x.name for x in loaded.variables if x.trainable] == ["encoder/first/w"]
    assert loaded["y"].inputs[0].inputs[0] is loaded["y"].inputs[1].inputs[0]
    data = {"x": np.arange(6.0).reshape(2, 3), "数": np.uint8(3)}
    names = ["y", "as float", "three", "masked"]
    for a, b in zip(
        values(loaded, names, data, training=False),
        values(model, names, data, training=False),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_saved_copy_of_a_copy_is_the_same_file(model: ms.Graph, tmp_path: Path) -> None:
    with model:
        layers.dropout(model["y"], 0.5)
    first = ms.io.save(model, tmp_path / "first")
    second = ms.io.save(ms.io.load(first), tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()


def test_a_loaded_graph_is_built_on(model: ms.Graph, tmp_path: Path) -> None:
    with model:
        layers.dense(model["y"], 2)
    loaded = ms.io.load(ms.io.save(model, tmp_path / "model"))
    with loaded:
        more = layers.dense(loaded["y"], 2)
        with loaded.scope("encoder", unique=True):
            assert ms.Variable(1.0, name="w").name == "encoder_1/w"
    assert more.scope == "dense_1"
    loss = ms.ops.ReduceSum(more, keepdims=False)
    Adam().minimize(loss)
    assert "adam/dense_1/W/mean" in loaded


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    with ms.Graph(seed=9) as graph:
        noise = ms.ops.RandomNormal(shape=(4,), name="noise")
    for _ in range(3):
        graph.forward(noise)
    loaded = ms.io.load(ms.io.save(graph, tmp_path / "model"))
    for _ in range(3):
        np.testing.assert_array_equal(loaded.forward(loaded["noise"]), graph.forward(noise))


def test_only_what_outputs_are_made_of(model: ms.Graph, tmp_path: Path) -> None:
    path = ms.io.save(model, tmp_path / "model", outputs=[model["encoder/first/h"]])
    assert [node.name for node in ms.io.load(path).nodes] == [
        "x", "encoder/first/w", "encoder/first/matmul", "encoder/first/h",
    ]  # fmt: skip


def test_gradients_that_a_model_is_made_of_are_kept(graph: ms.Graph, tmp_path: Path) -> None:
    w = ms.Variable([1.0, 2.0], name="w")
    (slope,) = ms.gradients(ms.ops.ReduceSum(w * w * w), [w])
    ms.ops.ReduceSum(slope * slope, keepdims=False, name="penalty")
    loaded = ms.io.load(ms.io.save(graph, tmp_path / "model"))
    assert float(loaded.forward(loaded["penalty"])) == 153.0


def test_an_operator_of_ones_own(graph: ms.Graph, tmp_path: Path) -> None:
    class Twice(ms.ops.Identity):
        """y = times x."""

        def __init__(self, x: Any, *, times: float = 2.0, name: str | None = None) -> None:
            self.times = times
            super().__init__(x, name=name)

        def compute(self, xp: Any, x: Any) -> Any:
            return self.times * x

    Twice(ms.Constant([1.0, 2.0]), times=3.0, name="y")
    path = ms.io.save(graph, tmp_path / "model")
    loaded = ms.io.load(path)
    assert loaded.forward(loaded["y"]).tolist() == [3.0, 6.0]
    del ms.Node.operators["Twice"]
    with pytest.raises(FormatError) as caught:
        ms.io.load(path)
    assert str(caught.value) == (
        f"{path}: 'y' is a Twice, and no such operator is known\n"
        "  hint   import the module that defines it before loading"
    )


def test_the_ending_is_added(model: ms.Graph, tmp_path: Path) -> None:
    assert ms.io.save(model, tmp_path / "v1.2") == tmp_path / "v1.2.npz"
    assert len(ms.io.load(tmp_path / "v1.2")) == len(model)
    assert os.listdir(tmp_path) == ["v1.2.npz"]


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_notes_are_kept(model: ms.Graph, tmp_path: Path, suffix: str) -> None:
    model.notes["classes"] = ["cat", "狗"]
    file = ms.io.save(model, tmp_path / f"model.{suffix}")
    assert ms.io.load(file).notes == {"classes": ["cat", "狗"]}
    model.notes["mean"] = np.zeros(2)
    with pytest.raises(ms.errors.ArgumentError) as caught:
        ms.io.save(model, file)
    assert str(caught.value) == (
        "save: the notes of the graph cannot be written: Object of type ndarray is not JSON "
        "serializable\n"
        "  hint   keep text, numbers, lists and dictionaries in graph.notes, no arrays"
    )
    assert ms.io.load(file).notes == {"classes": ["cat", "狗"]}


def test_a_model_is_loaded_with_more_digits(graph: ms.Graph, tmp_path: Path) -> None:
    x, token = ms.Input((None, 3), name="x"), ms.Input((None,), dtype="int64", name="token")
    h = ms.layers.dense(x, 4, activation="tanh") + ms.layers.embedding(token, 5, 4) * 0.1
    ms.ops.Add(ms.ops.Cast(token, dtype="float32")[:, None], h, name="y")
    loaded = ms.io.load(ms.io.save(graph, tmp_path / "model"), dtype="float64")
    assert {node.dtype.name for node in loaded.nodes} == {"float64", "int64"}
    data = {"x": np.ones((2, 3), "float32"), "token": np.array([1, 4])}
    (mine,), (its,) = (values(each, ["y"], data, training=False) for each in (loaded, graph))
    np.testing.assert_allclose(mine, its, rtol=1e-6)


def test_another_version_or_kind(model: ms.Graph, tmp_path: Path) -> None:
    path = ms.io.save(model, tmp_path / "model")
    header, arrays = read_archive(path, kind=KIND, version=VERSION)
    for kind, version in ((KIND, VERSION + 1), ("matrixslow recipe", 1)):
        write_archive(path, header, arrays, kind=kind, version=version)
        with pytest.raises(FormatError) as caught:
            ms.io.load(path)
        assert str(caught.value) == (
            f"{path}: a matrixslow model of version 1 is needed, it is a {kind} of version "
            f"{version}\n"
            "  hint   ms.io.load reads models, Trainer.resume reads checkpoints"
        )


def test_an_operator_that_has_changed(model: ms.Graph, tmp_path: Path) -> None:
    path = ms.io.save(model, tmp_path / "model")
    header, arrays = read_archive(path, kind=KIND, version=VERSION)
    for changes, why in (
        ({"attributes": {"slope": 0.1}}, r".*unexpected keyword argument 'slope'"),
        ({"inputs": ["数"]}, r"Tanh 'encoder/first/h': floating-point values are needed, .*"),
        ({"inputs": ["absent"]}, r"no node is named 'absent'"),
    ):
        nodes = [x | (changes if x["operator"] == "Tanh" else {}) for x in header["nodes"]]
        write_archive(path, {**header, "nodes": nodes}, arrays, kind=KIND, version=VERSION)
        with pytest.raises(FormatError) as caught:
            ms.io.load(path)
        assert re.fullmatch(
            re.escape(f"{path}: Tanh 'encoder/first/h' cannot be built: ")
            + why
            + "\n  hint   its operator has changed since the file was written",
            str(caught.value),
            re.DOTALL,
        )


def test_a_damaged_or_foreign_model(model: ms.Graph, tmp_path: Path) -> None:
    path = ms.io.save(model, tmp_path / "model")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="the file is damaged, its checksum is wrong"):
        ms.io.load(path)
    np.savez(path, w=np.ones(3))
    with pytest.raises(FormatError, match="not a file of matrixslow"):
        ms.io.load(path)


def test_saving_does_not_touch_the_graph(model: ms.Graph, tmp_path: Path) -> None:
    before, count = model.state_dict(), len(model)
    ms.io.save(model, tmp_path / "model")
    assert len(model) == count
    assert all(np.array_equal(before[name], x) for name, x in model.state_dict().items())


# ---- state_dict ---------------------------------------------------------------------------------


def test_a_state_goes_from_one_graph_to_another(model: ms.Graph, tmp_path: Path) -> None:
    loaded = ms.io.load(ms.io.save(model, tmp_path / "model"))
    model["encoder/first/w"].value = np.full((3, 3), 0.5)  # type: ignore[misc]
    model["number"].value = np.int32(9)  # type: ignore[misc]
    loaded.load_state_dict(model.state_dict())
    assert_same_graph(loaded, model)
    state = model.state_dict()
    state["number"][...] = 1  # a copy
    assert model["number"].value == 9
    with pytest.raises(GraphError, match="load_state_dict: "):
        loaded.load_state_dict({"number": 3})
    assert loaded["number"].value == 9
