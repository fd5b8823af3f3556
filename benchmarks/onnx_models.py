"""The workloads of inference once more, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

Arrays = list[np.ndarray[Any, Any]]


def step_of(arrays: Arrays, weights: Arrays, threads: int) -> Callable[[], Any]:
    """One inference on the data and with the weights that ours has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = made_of(weights, arrays[0]).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {"x": arrays[0]}
    return lambda: session.run(None, feeds)[0]


def made_of(weights: Arrays, x: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """Layers in the order of their weights: convolutions with ReLU and pooling, dense ones."""
    nodes, given, last, flat = [], [], "x", x.ndim == 2
    pairs = list(zip(weights[::2], weights[1::2], strict=True))

    def then(kind: str, *inputs: str, **options: Any) -> None:
        nonlocal last
        result = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, [last, *inputs], [result], **options))
        last = result

    for number, (w, b) in enumerate(pairs):
        names = (f"w{number}", f"b{number}")
        given += [
            onnx.numpy_helper.from_array(each, at) for each, at in zip((w, b), names, strict=True)
        ]
        if w.ndim == 4:
            then("Conv", *names, pads=[size // 2 for size in (*w.shape[2:], *w.shape[2:])])
            then("Relu")
            then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            continue
        if not flat:
            then("Flatten")
            flat = True
        then("Gemm", *names)
        if number < len(pairs) - 1:
            then("Relu")
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", tensor, x.shape)],
        [helper.make_tensor_value_info(last, tensor, [len(x), weights[-1].size])],
        given,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)
