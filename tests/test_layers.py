"""Layers: the same numbers as torch's modules with the same weights, names, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import matrixslow as ms
from matrixslow import initializers, layers
from tests.operators.recurrent import torch_module

Array = np.ndarray[Any, Any]


def given(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def fed(array: Array, name: str = "x") -> ms.Input:
    """A float64 input with a batch of unknown size."""
    return ms.Input((None, *array.shape[1:]), dtype=array.dtype, name=name)


def randomize(graph: ms.Graph) -> None:
    """Give every weight, also those that start at 0 or 1, a value of its own."""
    rng = np.random.default_rng(5)
    for variable in graph.variables:
        if variable.trainable:
            variable.value = rng.normal(0, 0.5, variable.shape)


def tensor(graph: ms.Graph, name: str) -> torch.Tensor:
    return torch.from_numpy(np.array(graph[name].value))


def parameter(graph: ms.Graph, name: str, *, transposed: bool = False) -> torch.nn.Parameter:
    value = tensor(graph, name)
    return torch.nn.Parameter(value.T if transposed else value)


def close(ours: Array, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12)


# ---- dense ------------------------------------------------------------------------------------


def test_dense(graph: ms.Graph) -> None:
    x = given(4, 3)
    node = fed(x)
    y = layers.dense(node, 2, activation="tanh", name="fc1")
    randomize(graph)
    assert [variable.name for variable in graph.variables] == ["fc1/W", "fc1/b"]
    assert y.name == "fc1/tanh"
    expected = np.tanh(x @ graph["fc1/W"].value + graph["fc1/b"].value)
    np.testing.assert_allclose(graph.forward(y, {node: x}), expected, atol=1e-12)


def test_dense_without_bias_over_sequences_with_a_function(graph: ms.Graph) -> None:
    x = given(2, 5, 3)
    node = fed(x)
    y = layers.dense(node, 4, bias=False, activation=lambda h: h * h)
    randomize(graph)
    assert [variable.name for variable in graph.variables] == ["dense/W"]
    expected = (x @ graph["dense/W"].value) ** 2
    np.testing.assert_allclose(graph.forward(y, {node: x}), expected, atol=1e-12)


@pytest.mark.parametrize("name", sorted(layers.ACTIVATIONS))
def test_every_activation_can_be_named(graph: ms.Graph, name: str) -> None:
    y = layers.dense(ms.Input((None, 3)), 4, activation=name)
    assert y.shape == (None, 4)
    assert type(y).__name__.lower() == name.replace("_", "")


def test_dropout_and_flatten(graph: ms.Graph) -> None:
    x = ms.Input((None, 2, 3), name="x")
    y = layers.dropout(layers.flatten(x), 0.5)
    values = np.ones((50, 2, 3))
    assert set(np.unique(graph.forward(y, {x: values}))) == {0.0, 2.0}
    np.testing.assert_array_equal(graph.forward(y, {x: values}, training=False), np.ones((50, 6)))


# ---- convolution ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({"kernel": 3}, {}),
        ({"kernel": (3, 2), "padding": 1, "strides": 2}, {"padding": 1, "stride": 2}),
        ({"kernel": 3, "padding": (0, 2), "dilation": 2}, {"padding": (0, 2), "dilation": 2}),
        ({"kernel": 3, "padding": "same"}, {"padding": "same"}),
        ({"kernel": 1, "groups": 2, "bias": False}, {"groups": 2}),
    ],
)
def test_conv(graph: ms.Graph, options: dict[str, Any], theirs: dict[str, Any]) -> None:
    x = given(2, 4, 7, 6)
    node = fed(x)
    y = layers.conv(node, 6, activation="relu", name="c", **options)
    randomize(graph)
    bias = tensor(graph, "c/b") if options.get("bias", True) else None
    expected = torch.conv2d(torch.from_numpy(x), tensor(graph, "c/W"), bias, **theirs).relu()
    assert y.shape == (None, *expected.shape[1:])
    close(graph.forward(y, {node: x}), expected)


@pytest.mark.parametrize("axes", [1, 3])
def test_conv_in_other_dimensions(graph: ms.Graph, axes: int) -> None:
    x = given(2, 3, *(5, 4, 3)[:axes])
    node = fed(x)
    y = layers.conv(node, 2, kernel=2, name="c")
    randomize(graph)
    function = torch.conv1d if axes == 1 else torch.conv3d
    close(
        graph.forward(y, {node: x}),
        function(torch.from_numpy(x), tensor(graph, "c/W"), tensor(graph, "c/b")),
    )


@pytest.mark.parametrize(
    ("options", "theirs"),
    [
        ({"kernel": 3}, {}),
        ({"kernel": 4, "strides": 2, "padding": 1}, {"stride": 2, "padding": 1}),
        (
            {"kernel": 3, "strides": 2, "output_padding": 1, "groups": 2},
            {"stride": 2, "output_padding": 1, "groups": 2},
        ),
        # Here "same" cuts one element off, behind.
        ({"kernel": 3, "strides": 2, "padding": "same"}, {"stride": 2}),
    ],
)
def test_conv_transpose(graph: ms.Graph, options: dict[str, Any], theirs: dict[str, Any]) -> None:
    x = given(2, 4, 3, 5)
    node = fed(x)
    y = layers.conv_transpose(node, 6, name="c", **options)
    randomize(graph)
    w, b = tensor(graph, "c/W"), tensor(graph, "c/b")
    expected = torch.conv_transpose2d(torch.from_numpy(x), w, b, **theirs)
    if options.get("padding") == "same":
        assert y.shape == (None, 6, 6, 10)
        expected = expected[..., :6, :10]
    close(graph.forward(y, {node: x}), expected)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (layers.max_pool, torch.nn.functional.max_pool2d),
        (layers.average_pool, torch.nn.functional.avg_pool2d),
    ],
)
def test_pools(graph: ms.Graph, layer: Callable[..., ms.Node], function: Any) -> None:
    x = given(2, 3, 7, 6)
    node = fed(x)
    options = {"count_include_pad": False} if layer is layers.average_pool else {}
    for ours, theirs in (
        (layer(node, 2), function(torch.from_numpy(x), 2)),
        (
            layer(node, (3, 2), strides=1, padding=1),
            function(torch.from_numpy(x), (3, 2), stride=1, padding=1, **options),
        ),
    ):
        close(graph.forward(ours, {node: x}), theirs)
    assert layer(node, 3, padding="same").shape == (None, 3, 3, 2)


def test_global_pools(graph: ms.Graph) -> None:
    x = given(2, 3, 4, 5)
    node = fed(x)
    pooled = [layers.global_max_pool(node), layers.global_average_pool(node)]
    assert [y.shape for y in pooled] == [(None, 3), (None, 3)]
    largest, mean = graph.forward(pooled, {node: x})
    np.testing.assert_array_equal(largest, x.max(axis=(2, 3)))
    np.testing.assert_allclose(mean, x.mean(axis=(2, 3)), atol=1e-12)


# ---- normalization ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5)])
def test_batch_norm_trains_and_infers_as_torch(graph: ms.Graph, shape: tuple[int, ...]) -> None:
    batches = [given(*shape, seed=i) * (i + 1) + i for i in range(3)]
    node = fed(batches[0])
    y = layers.batch_norm(node, momentum=0.75, epsilon=0.01, name="bn")
    randomize(graph)
    module = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[
        len(shape)
    ](3, momentum=0.25, eps=0.01, dtype=torch.float64)
    module.weight, module.bias = parameter(graph, "bn/scale"), parameter(graph, "bn/bias")
    train = ms.function([node], y, training=True)
    # Torch averages the unbiased variance, we, as ONNX and Keras, that which is used.
    count = batches[0].size // 3
    variance = np.ones(3)
    for x in batches:
        close(train(x), module(torch.from_numpy(x)))
        axes = (0, *range(2, x.ndim))
        variance = 0.75 * variance + 0.25 * x.var(axis=axes)
    close(graph["bn/mean"].value, module.running_mean)
    np.testing.assert_allclose(graph["bn/variance"].value, variance, atol=1e-12)
    unbiased = 0.75**3 + (variance - 0.75**3) * count / (count - 1)
    np.testing.assert_allclose(unbiased, module.running_var.numpy(), atol=1e-12)
    module.eval()
    module.running_var = torch.from_numpy(variance)
    close(ms.function([node], y)(batches[0]), module(torch.from_numpy(batches[0])))


def test_batch_norm_gradients(graph: ms.Graph) -> None:
    x = given(4, 3, 2)
    node = ms.Variable(x, dtype="float64", name="x")
    y = layers.batch_norm(node, name="bn")
    randomize(graph)
    node.value = x
    upstream = given(4, 3, 2, seed=7)
    wanted = [node, graph["bn/scale"], graph["bn/bias"]]
    slopes = ms.gradients(y, wanted, upstream=ms.Constant(upstream, dtype="float64"))
    module = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    module.weight, module.bias = parameter(graph, "bn/scale"), parameter(graph, "bn/bias")
    theirs = torch.from_numpy(x).requires_grad_()
    module(theirs).backward(torch.from_numpy(upstream))
    grads = (theirs.grad, module.weight.grad, module.bias.grad)
    for ours, expected in zip(graph.forward(slopes), grads, strict=True):
        close(ours, expected)


@pytest.mark.parametrize(
    ("build", "module", "shape"),
    [
        (lambda x: layers.layer_norm(x, name="n"), torch.nn.LayerNorm(6), (2, 5, 6)),
        (lambda x: layers.layer_norm(x, axis=1, name="n"), torch.nn.LayerNorm((5, 6)), (2, 5, 6)),
        (lambda x: layers.group_norm(x, 3, name="n"), torch.nn.GroupNorm(3, 6), (2, 6, 4)),
        (
            lambda x: layers.instance_norm(x, name="n"),
            torch.nn.InstanceNorm2d(6, affine=True),
            (2, 6, 4, 3),
        ),
    ],
    ids=["layer", "layer, two axes", "group", "instance"],
)
def test_other_norms(
    graph: ms.Graph,
    build: Callable[[ms.Node], ms.Node],
    module: Any,
    shape: tuple[int, ...],
) -> None:
    x = given(*shape)
    node = fed(x)
    y = build(node)
    randomize(graph)
    module.weight, module.bias = parameter(graph, "n/scale"), parameter(graph, "n/bias")
    close(graph.forward(y, {node: x}), module(torch.from_numpy(x)))


# ---- recurrence -------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_recurrent_layers(graph: ms.Graph, kind: str, bidirectional: bool) -> None:
    x, lengths = given(3, 6, 4), np.array([6, 2, 5])
    node, ends = fed(x), ms.Input((None,), dtype="int64", name="lengths")
    options = {"bidirectional": bidirectional, "lengths": ends, "name": "r"}
    build = getattr(layers, kind)
    last = build(node, 5, **options)
    state = graph.state_dict()
    again = build(node, 5, return_sequences=True, **{**options, "name": "s"})
    randomize(graph)
    for name in state:
        graph[name.replace("r/", "s/")].value = graph[name].value
    directions = 1 + bidirectional
    assert (last.shape, again.shape) == ((None, 5 * directions), (None, 6, 5 * directions))

    module = torch_module(kind.upper(), *(graph[f"r/{name}"].value for name in "WRb"))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(lengths), batch_first=True, enforce_sorted=False
    )
    states, ending = module(packed)
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=6)
    ending = ending[0] if kind == "lstm" else ending
    values = graph.forward([last, again], {node: x, ends: lengths})
    close(values[0], ending.transpose(0, 1).reshape(3, -1))
    close(values[1], states)


def test_recurrent_layers_stack(graph: ms.Graph) -> None:
    x = ms.Input((None, None, 4), name="x")
    h = layers.gru(x, 3, return_sequences=True, bidirectional=True)
    assert h.shape == (None, None, 6)
    assert layers.rnn(h, 2, activation="relu").shape == (None, 2)


# ---- attention --------------------------------------------------------------------------------


def multihead(graph: ms.Graph, scope: str, features: int, heads: int) -> Any:
    """torch's module with the weights of our layer."""
    module = torch.nn.MultiheadAttention(features, heads, batch_first=True, dtype=torch.float64)
    names = ("query", "key", "value")
    w = [tensor(graph, f"{scope}/{name}/W").T for name in names]
    b = [tensor(graph, f"{scope}/{name}/b") for name in names]
    module.in_proj_weight = torch.nn.Parameter(torch.cat(w))
    module.in_proj_bias = torch.nn.Parameter(torch.cat(b))
    module.out_proj.weight = parameter(graph, f"{scope}/output/W", transposed=True)
    module.out_proj.bias = parameter(graph, f"{scope}/output/b")
    return module


def test_attention_of_a_sequence_to_another(graph: ms.Graph) -> None:
    query, key = given(2, 3, 8), given(2, 5, 8, seed=2)
    nodes = fed(query, "query"), fed(key, "key")
    hidden = np.array([[False] * 5, [False, False, True, False, True]])
    y = layers.attention(*nodes, heads=4, mask=~hidden[:, None, None], name="a")
    randomize(graph)
    module = multihead(graph, "a", 8, 4)
    expected, _ = module(
        torch.from_numpy(query),
        torch.from_numpy(key),
        torch.from_numpy(key),
        key_padding_mask=torch.from_numpy(hidden),
    )
    close(graph.forward(y, dict(zip(nodes, (query, key), strict=True))), expected)


def test_attention_to_itself_is_causal_where_asked(graph: ms.Graph) -> None:
    x = given(2, 6, 4)
    node = ms.Input((None, None, 4), dtype="float64", name="x")
    y = layers.attention(node, heads=2, causal=True, name="a")
    assert y.shape == (None, None, 4)
    randomize(graph)
    module = multihead(graph, "a", 4, 2)
    theirs = torch.from_numpy(x)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    expected, _ = module(theirs, theirs, theirs, attn_mask=mask)
    close(graph.forward(y, {node: x}), expected)


def test_transformer_block(graph: ms.Graph) -> None:
    x = given(2, 5, 8)
    node = fed(x)
    y = layers.transformer_block(node, heads=2, hidden=12, dropout_ratio=0.3, name="block")
    randomize(graph)
    module = torch.nn.TransformerEncoderLayer(
        8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    module.self_attn = multihead(graph, "block/attention", 8, 2)
    for i in (1, 2):
        norm, linear = getattr(module, f"norm{i}"), getattr(module, f"linear{i}")
        norm.weight = parameter(graph, f"block/norm{i}/scale")
        norm.bias = parameter(graph, f"block/norm{i}/bias")
        linear.weight = parameter(graph, f"block/fc{i}/W", transposed=True)
        linear.bias = parameter(graph, f"block/fc{i}/b")
    close(graph.forward(y, {node: x}, training=False), module(torch.from_numpy(x)))
    trained = graph.forward(y, {node: x})
    assert (trained != graph.forward(y, {node: x})).any()


# ---- residual ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("filters", "strides"), [(4, 1), (6, 1), (4, 2), (6, 2)])
def test_residual_block(graph: ms.Graph, filters: int, strides: int) -> None:
    x = given(3, 4, 6, 5)
    node = fed(x)
    y = layers.residual_block(node, filters, strides=strides, name="b")
    randomize(graph)

    def normal_conv(h: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        w = tensor(graph, f"b/{name}/W")
        h = torch.conv2d(h, w, stride=stride, padding=w.shape[-1] // 2)
        scale, bias = (tensor(graph, f"b/{name}_norm/{part}") for part in ("scale", "bias"))
        return torch.nn.functional.batch_norm(h, None, None, scale, bias, training=True)

    theirs = torch.from_numpy(x)
    h = normal_conv(normal_conv(theirs, "conv1", strides).relu(), "conv2", 1)
    plain = filters == 4 and strides == 1
    shortcut = theirs if plain else normal_conv(theirs, "shortcut", strides)
    assert ("b/shortcut/W" in graph) is not plain
    close(graph.forward(y, {node: x}), (h + shortcut).relu())
    assert y.shape == (None, filters, -(-6 // strides), -(-5 // strides))


# ---- embeddings -------------------------------------------------------------------------------


def test_embedding(graph: ms.Graph) -> None:
    ids = ms.Input((None, 2), dtype="int32", name="ids")
    y = layers.embedding(ids, 5, 3, dtype="float64", name="words")
    values = np.array([[0, 4], [2, 2]])
    found = graph.forward(y, {ids: values})
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, graph["words/table"].value[values])
    with pytest.raises(ms.errors.FeedError):
        graph.forward(y, {ids: [[0, 5]]})


def pairs(e: Array) -> Array:
    """The inner products of all pairs of fields, pair by pair."""
    fields = range(e.shape[1])
    return np.array([[sum(v[i] @ v[j] for i in fields for j in range(i))] for v in e])


def test_pairwise_interactions(graph: ms.Graph) -> None:
    e = given(4, 5, 3)
    node = fed(e)
    y = layers.pairwise_interactions(node)
    np.testing.assert_allclose(graph.forward(y, {node: e}), pairs(e), atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_factorization_machine(graph: ms.Graph, weighted: bool) -> None:
    ids, counts = np.array([[0, 3, 5], [1, 3, 6]]), given(2, 3)
    node, values = fed(ids, "ids"), fed(counts, "values")
    options = {"values": values} if weighted else {}
    y = layers.factorization_machine(node, 7, 4, dtype="float64", name="fm", **options)
    randomize(graph)
    e, w, b = (graph[f"fm/{name}"].value for name in ("e/table", "w/table", "b"))
    v = counts[..., None] if weighted else 1.0
    expected = b + (w[ids] * v).sum(axis=1) + pairs(e[ids] * v)
    feeds = {node: ids, values: counts} if weighted else {node: ids}
    np.testing.assert_allclose(graph.forward(y, feeds), expected, atol=1e-12)


# ---- all layers -------------------------------------------------------------------------------

IMAGE, SEQUENCE, FIELDS = (None, 4, 6, 6), (None, 5, 8), (None, 3)

ALL: dict[str, tuple[tuple[int | None, ...], Callable[..., ms.Node]]] = {
    "attention": (SEQUENCE, lambda x, **o: layers.attention(x, heads=2, **o)),
    "average_pool": (IMAGE, lambda x, **o: layers.average_pool(x, 2, **o)),
    "batch_norm": (IMAGE, layers.batch_norm),
    "conv": (IMAGE, lambda x, **o: layers.conv(x, 2, kernel=3, **o)),
    "conv_transpose": (IMAGE, lambda x, **o: layers.conv_transpose(x, 2, kernel=3, **o)),
    "dense": (SEQUENCE, lambda x, **o: layers.dense(x, 2, **o)),
    "dropout": (SEQUENCE, lambda x, **o: layers.dropout(x, 0.5, **o)),
    "embedding": (FIELDS, lambda x, **o: layers.embedding(x, 9, 2, **o)),
    "factorization_machine": (FIELDS, lambda x, **o: layers.factorization_machine(x, 9, 2, **o)),
    "flatten": (IMAGE, layers.flatten),
    "global_average_pool": (IMAGE, layers.global_average_pool),
    "global_max_pool": (IMAGE, layers.global_max_pool),
    "group_norm": (IMAGE, lambda x, **o: layers.group_norm(x, 2, **o)),
    "gru": (SEQUENCE, lambda x, **o: layers.gru(x, 2, **o)),
    "instance_norm": (IMAGE, layers.instance_norm),
    "layer_norm": (SEQUENCE, layers.layer_norm),
    "lstm": (SEQUENCE, lambda x, **o: layers.lstm(x, 2, **o)),
    "max_pool": (IMAGE, lambda x, **o: layers.max_pool(x, 2, **o)),
    "pairwise_interactions": (SEQUENCE, layers.pairwise_interactions),
    "residual_block": (IMAGE, lambda x, **o: layers.residual_block(x, 3, **o)),
    "rnn": (SEQUENCE, lambda x, **o: layers.rnn(x, 2, **o)),
    "transformer_block": (SEQUENCE, lambda x, **o: layers.transformer_block(x, heads=2, **o)),
}


def test_all_layers_are_tried() -> None:
    assert sorted([*ALL, "ACTIVATIONS"]) == sorted(layers.__all__)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_layer_has_a_scope_of_its_own(graph: ms.Graph, kind: str) -> None:
    shape, build = ALL[kind]
    x = ms.Input(shape, dtype="int64" if shape == FIELDS else "float32", name="x")
    names = [build(x).name.split("/")[0], build(x).name.split("/")[0]]
    assert names == [kind, f"{kind}_1"]
    before = set(graph.nodes)
    mine = build(x, name="mine")
    assert all(node.name.startswith("mine/") for node in set(graph.nodes) - before)
    # A table of layers shows the last node of a scope as its output.
    assert mine.index == max(node.index for node in graph.nodes)


@pytest.mark.parametrize("kind", sorted(ALL))
@pytest.mark.parametrize("batch", [1, 3])
def test_every_layer_trains_in_float32(graph: ms.Graph, kind: str, batch: int) -> None:
    """All weights get a gradient, nothing becomes float64, and any batch will do."""
    shape, build = ALL[kind]
    if shape == FIELDS:
        x = ms.Input(shape, dtype="int64", name="x")
        value = np.arange(3 * batch).reshape(batch, 3) % 9
    else:
        x = ms.Input(shape, name="x")
        value = given(batch, *shape[1:])
    y = build(x)
    weights = [variable for variable in graph.variables if variable.trainable]
    loss = ms.ops.ReduceMean(y * y)
    slopes = ms.gradients(loss, weights)
    assert None not in slopes
    for node, array in zip([y, *slopes], graph.forward([y, *slopes], {x: value}), strict=True):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert array.shape == (node.shape if node is not y else (batch, *y.shape[1:]))
    assert graph.forward(y, {x: value}, training=False).shape[0] == batch


# ---- first values -----------------------------------------------------------------------------


def test_weights_start_as_keras_has_them(graph: ms.Graph) -> None:
    image, sequence = ms.Input((None, 3, 8, 8)), ms.Input((None, 5, 6))
    layers.dense(sequence, 50, name="dense")
    layers.conv(image, 40, kernel=3, name="conv")
    layers.residual_block(image, 40, name="block")
    layers.lstm(sequence, 20, name="lstm")

    def spread(name: str) -> float:
        return float(np.std(graph[name].value))

    assert spread("dense/W") == pytest.approx((2 / 56) ** 0.5, rel=0.1)
    assert spread("conv/W") == pytest.approx((2 / (27 + 360)) ** 0.5, rel=0.1)
    assert spread("block/conv2/W") == pytest.approx((2 / 360) ** 0.5, rel=0.1)
    assert abs(graph["dense/b"].value).max() == 0
    # Each gate is drawn for itself.
    assert spread("lstm/W") == pytest.approx((2 / 26) ** 0.5, rel=0.1)
    for gate in graph["lstm/R"].value.reshape(4, 20, 20):
        np.testing.assert_allclose(gate @ gate.T, np.eye(20), atol=1e-5)
    np.testing.assert_array_equal(
        graph["lstm/b"].value.reshape(8, 20).mean(axis=1), [0, 0, 1, 0, 0, 0, 0, 0]
    )


def test_initializers_are_taken(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), name="x")
    layers.dense(
        x,
        2,
        kernel_initializer=initializers.Constant(0.5),
        bias_initializer=initializers.Ones(),
        name="d",
    )
    np.testing.assert_array_equal(graph["d/W"].value, np.full((3, 2), 0.5))
    np.testing.assert_array_equal(graph["d/b"].value, np.ones(2))


# ---- refusals ---------------------------------------------------------------------------------

X = "Input 'x' (None, 3) float32"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda x: layers.dense(x, 2, activation="relo"),
            ms.errors.ArgumentError,
            "dense: no activation is named 'relo'\n"
            "  hint   one of celu, elu, gelu, hard_sigmoid, hard_swish, leaky_relu, log_softmax, "
            "mish, relu, selu, sigmoid, silu, softmax, softplus, softsign, tanh, or a function of "
            "a node",
        ),
        (
            lambda x: layers.dense(x, 0),
            ms.errors.ArgumentError,
            "dense: units=0\n  hint   give an integer from 1 up",
        ),
        (
            lambda x: layers.dense(x, 2.5),
            ms.errors.ArgumentError,
            "dense: units=2.5\n  hint   give an integer from 1 up",
        ),
        (
            lambda x: layers.dense(np.ones((2, 3)), 2),
            ms.errors.ArgumentError,
            "dense: a node is needed, ndarray came\n"
            "  hint   make one: ms.Input(shape) for what is fed, ms.Constant(array) for what stays",
        ),
        (
            lambda x: layers.dense(ms.Input((2,), dtype="int64", name="n"), 2),
            ms.errors.DTypeError,
            "dense: floating-point values are needed, Input 'n' (2,) int64 came\n"
            '  hint   convert it: ms.ops.Cast(x, dtype="float32")',
        ),
        (
            lambda x: layers.dense(ms.Input((2, None), name="n"), 2),
            ms.errors.ShapeError,
            "dense: the weights need to know the size of axis -1 of Input 'n' (2, None) float32\n"
            "  hint   declare it in the input's shape; only the sizes of other axes may be None",
        ),
        (
            lambda x: layers.conv(x, 2, kernel=3),
            ms.errors.ShapeError,
            f"conv: images (batch, channels, *sizes) with 1 to 3 sizes are needed, {X} came\n"
            "  hint   give each sample its channels: ms.ops.Unsqueeze(x, axes=1) adds one",
        ),
        (
            lambda x: layers.conv(ms.Input(IMAGE), 2, kernel=(3, 3, 3)),
            ms.errors.ArgumentError,
            "conv: kernel=(3, 3, 3) for images with 2 spatial axes\n"
            "  hint   give one number for all axes, or one for each",
        ),
        (
            lambda x: layers.conv(ms.Input(IMAGE), 2, kernel=3, padding="full"),
            ms.errors.ArgumentError,
            'conv: padding=\'full\' is unknown\n  hint   give "valid", "same" or numbers',
        ),
        (
            lambda x: layers.conv(ms.Input(IMAGE), 3, kernel=3, groups=2),
            ms.errors.ArgumentError,
            "conv: 4 channels and 3 filters do not make 2 equal groups\n"
            "  hint   give a number of groups that divides both",
        ),
        (
            lambda x: layers.lstm(x, 2),
            ms.errors.ShapeError,
            f"lstm: sequences (batch, steps, features) are needed, {X} came\n"
            "  hint   a single feature needs an axis, too: ms.ops.Unsqueeze(x, axes=2)",
        ),
        (
            lambda x: layers.attention(x, heads=3),
            ms.errors.ShapeError,
            f"attention: sequences (batch, steps, features) are needed, {X} came\n"
            "  hint   give each step a vector of features, as ms.layers.embedding does",
        ),
        (
            lambda x: layers.attention(ms.Input(SEQUENCE), heads=3),
            ms.errors.ArgumentError,
            "attention: 8 features do not make 3 equal heads\n"
            "  hint   give a number of heads that divides the features",
        ),
        (
            lambda x: layers.pairwise_interactions(x),
            ms.errors.ShapeError,
            "pairwise_interactions: embeddings (batch, fields, features) are needed, "
            f"{X} came\n"
            "  hint   embed ids of shape (batch, fields): ms.layers.embedding(ids, rows, features)",
        ),
        (
            lambda x: layers.factorization_machine(ms.Input((2,), dtype="int64", name="n"), 9, 2),
            ms.errors.ShapeError,
            "factorization_machine: ids (batch, fields) are needed, Input 'n' (2,) int64 came\n"
            "  hint   give the ids of all fields side by side, each with rows of its own",
        ),
    ],
)
def test_refusals(
    graph: ms.Graph, call: Callable[[ms.Node], ms.Node], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        call(ms.Input((None, 3), name="x"))
    assert str(caught.value) == message


def test_a_name_that_is_taken_is_refused(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), name="x")
    layers.dense(x, 2, name="fc")
    with pytest.raises(ms.errors.GraphError, match="the name 'fc/W' is taken"):
        layers.dense(x, 2, name="fc")
