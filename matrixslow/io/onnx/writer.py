"""Writer: a graph's inference form as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow.backend import to_host
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Constant, Input, Leaf, Variable
from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors, at_inference
from matrixslow.errors import ArgumentError, FormatError
from matrixslow.files import replacing
from matrixslow.io.onnx.table import (
    IR_VERSION,
    OPSET,
    OPTIONAL_INPUTS,
    RECURRENT,
    RENAMED,
    UNSAID,
    import_onnx,
)

NOTES = "matrixslow.notes"
"""The entry of the file's metadata that keeps the notes of the graph."""


def write_onnx(graph: Graph, path: Path, outputs: Sequence[Node] | None) -> None:
    """Write what outputs are made of, as inference computes it.

    Args:
        graph: The graph.
        path: Where to.
        outputs: The model's outputs; by default the nodes with a batch axis that nothing reads.

    Raises:
        ArgumentError: No outputs are given, and none can be told.
        FormatError: ONNX has no such operator, or lacks one of its options.
        MissingExtra: The package onnx is not installed.
    """
    onnx = import_onnx()
    wanted = _results(graph) if outputs is None else list(outputs)
    form = _Form(onnx)
    for node in ancestors(wanted, stand_in=at_inference):
        form.add(node)
    ends = [form.end(node) for node in wanted]
    helper = onnx.helper
    body = helper.make_graph(form.nodes, "matrixslow", form.inputs, ends, form.arrays)
    model = helper.make_model(
        body,
        producer_name="matrixslow",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    if graph.notes:
        helper.set_model_props(model, {NOTES: json.dumps(graph.notes)})
    onnx.checker.check_model(model)
    with replacing(path) as file:
        file.write(model.SerializeToString())


def _results(graph: Graph) -> list[Node]:
    """The nodes of the model that nothing reads and that have a batch axis."""
    model = [node for node in graph.nodes if not node.derived]
    read = {x for node in model for x in node.inputs}
    found = [node for node in model if node not in read and node.shape[:1] == (None,)]
    found = [node for node in found if not isinstance(node, Leaf)]
    if not found:
        raise ArgumentError(
            "save: which nodes are the outputs of the model?",
            hint="name them: ms.io.save(graph, path, outputs=[probabilities])",
        )
    return found


class _Form:
    """The parts of an ONNX graph, as they are added."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.arrays: list[Any] = []

    def add(self, node: Node) -> None:
        """Write a node, whose inputs are written."""
        kind = type(node).__name__
        for x in node.inputs:
            if type(x).__name__ == "LSTM":
                self._check_states(node)
        if isinstance(node, Input):
            self.inputs.append(self._value(node.name, node))
        elif isinstance(node, Variable):
            self.array(node.name, to_host(node.value))
        elif isinstance(node, Constant):
            value = self.onnx.numpy_helper.from_array(np.asarray(to_host(node.value)))
            self.emit("Constant", [], node.name, value=value)
        elif kind in RECURRENT:
            self._recurrent(node, kind)
        elif (write := getattr(self, f"_write_{kind.lower()}", None)) is not None:
            write(node, *(_name(x) for x in node.inputs))
        else:
            self._plain(node, RENAMED.get(kind, kind))

    def end(self, node: Node) -> Any:
        """An output of the model; a leaf is copied, since an output must be computed."""
        written = at_inference(node)
        name = written.name
        if type(written).__name__ == "LSTM":
            self._check_states(written)
        if isinstance(written, Leaf):
            name = self.emit("Identity", [name], f"{name}/output")
        return self._value(name, written)

    def emit(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Write an operator of ONNX; the name of its result."""
        made = self.onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self.nodes.append(made)
        return name

    def array(self, name: str, value: Any) -> str:
        """Write an array; its name."""
        self.arrays.append(self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _value(self, name: str, node: Node) -> Any:
        sizes = [
            size if size is not None else "batch" if axis == 0 else f"{node.name}_{axis}"
            for axis, size in enumerate(node.shape)
        ]
        return self.onnx.helper.make_tensor_value_info(name, self._type(node.dtype), sizes)

    def _type(self, dtype: Any) -> int:
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _plain(self, node: Node, kind: str) -> None:
        """An operator that ONNX has: its schema says where each option goes."""
        schema = self._schema(node, kind)
        slots = [slot.name for slot in schema.inputs]
        inputs = [_name(x) for x in node.inputs]
        attributes = {}
        unsaid = UNSAID.get(type(node).__name__, {})
        for option, value in node.attributes.items():
            if option in unsaid and value == unsaid[option]:
                continue
            if option == "axes" and value == () and kind.startswith("Reduce"):
                raise _refusal(node, f"no axes mean all axes to ONNX's {kind}")
            if option in schema.attributes:
                attributes[option] = _plain(value)
            elif option in slots:
                place = slots.index(option)
                inputs += [""] * (place + 1 - len(inputs))
                inputs[place] = self._option(node, option, value)
            else:
                raise _refusal(node, f"ONNX's {kind} has no {option}")
        if attributes.get("auto_pad", "NOTSET") != "NOTSET":
            attributes.pop("pads", None)
        while inputs and not inputs[-1]:
            inputs.pop()
        self.emit(kind, inputs, node.name, **_said(attributes))

    def _schema(self, node: Node, kind: str) -> Any:
        try:
            return self.onnx.defs.get_schema(kind, OPSET)
        except self.onnx.defs.SchemaError:
            raise _refusal(node, f"ONNX has no operator {kind}") from None

    def _option(self, node: Node, option: str, value: Any) -> str:
        """An option that ONNX takes as an input: integers, or numbers of the node's dtype."""
        if value is None:
            return ""
        dtype = node.dtype if option in ("min", "max", "constant_value") else np.int64
        return self.array(f"{node.name}/{option}", np.array(value, dtype))

    # ---- operators that ONNX says in another way -----------------------------------------------

    def _recurrent(self, node: Node, kind: str) -> None:
        given = dict(zip(node.attributes["given"], map(_name, node.inputs[3:]), strict=True))
        if "sequence_lens" in given:
            given["sequence_lens"] = self.emit(
                *("Cast", [given["sequence_lens"]], f"{node.name}/sequence_lens"),
                to=self._type("int32"),
            )
        inputs = [_name(x) for x in node.inputs[:3]]
        inputs += [given.get(label, "") for label in OPTIONAL_INPUTS[: RECURRENT[kind] - 3]]
        direction = node.attributes["direction"]
        attributes: dict[str, Any] = {"direction": direction, "hidden_size": node.shape[-1]}
        if kind == "GRU":
            attributes["linear_before_reset"] = int(node.attributes["linear_before_reset"])
        if kind == "RNN":
            directions = 2 if direction == "bidirectional" else 1
            attributes["activations"] = [node.attributes["activation"].title()] * directions
        if kind != "LSTM":
            self.emit(kind, inputs, node.name, **attributes)
            return
        # Of all steps ONNX gives the states, not the cells: the first entry of ours.
        states = self.emit(kind, inputs, f"{node.name}/states", **attributes)
        first = self.array(f"{node.name}/first", np.array([0], np.int64))
        self.emit("Unsqueeze", [states, first], node.name)

    def _check_states(self, node: Node) -> None:
        """Refuse what reads more of an LSTM than its states."""
        options = node.attributes
        read = [options.get(name) for name in ("axes", "starts", "ends")]
        if read != [(0,), (0,), (1,)]:
            raise _refusal(node, "ONNX's LSTM does not give the cells of its steps")

    def _write_broadcastlike(self, node: Node, x: str, like: str) -> None:
        self.emit("Expand", [x, self.emit("Shape", [like], f"{node.name}/sizes")], node.name)

    def _write_reshapelike(self, node: Node, x: str, like: str) -> None:
        self.emit("Reshape", [x, self.emit("Shape", [like], f"{node.name}/sizes")], node.name)

    def _write_cast(self, node: Node, x: str) -> None:
        self.emit("Cast", [x], node.name, to=self._type(node.dtype))

    def _write_onehot(self, node: Node, indices: str) -> None:
        depth = self.array(f"{node.name}/depth", np.array(node.attributes["depth"], np.int64))
        values = self.array(f"{node.name}/values", np.array([0, 1], node.dtype))
        self.emit("OneHot", [indices, depth, values], node.name, axis=node.attributes["axis"])

    def _write_silu(self, node: Node, x: str) -> None:
        gate = self.emit("Sigmoid", [x], f"{node.name}/gate")
        self.emit("Mul", [x, gate], node.name)

    def _write_causalmask(self, node: Node, like: str) -> None:
        sizes = self.emit("Shape", [like], f"{node.name}/sizes", start=-2)
        one = self.onnx.helper.make_tensor("one", self._type("int64"), [1], [1])
        ones = self.emit("ConstantOfShape", [sizes], f"{node.name}/ones", value=one)
        lower = self.emit("Trilu", [ones], f"{node.name}/lower", upper=0)
        self.emit("Cast", [lower], node.name, to=self._type("bool"))


def _name(node: Node) -> str:
    """The name under which a node is written."""
    return at_inference(node).name


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _said(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that have a value; ONNX leaves the others out."""
    return {name: value for name, value in attributes.items() if value is not None}


def _refusal(node: Node, rule: str) -> FormatError:
    return FormatError(
        f"{type(node).__name__} {node.name!r}: {rule}",
        rows=(f"built  {node.site}",),
        hint="save outputs that do not need it, or save as .npz",
    )
