"""Reader: an ONNX file as a graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow import ops
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Constant, Input, Variable
from matrixslow.core.node import Node
from matrixslow.core.spec import DTypeLike
from matrixslow.errors import FormatError, MatrixSlowError
from matrixslow.io.onnx.table import OPSET, OPTIONAL_INPUTS, PASSED_OVER, RECURRENT, import_onnx
from matrixslow.io.onnx.writer import NOTES
from matrixslow.io.scoped import in_scopes

Attributes = dict[str, Any]

MEASURED = ("input_mean", "input_var")
"""Inputs of ONNX's BatchNormalization that are measured, not trained."""


def read_onnx(path: Path, *, device: str, dtype: DTypeLike | None) -> Graph:
    """The graph of an ONNX file: floating-point arrays become variables.

    Args:
        path: The file.
        device: Where its arrays shall live.
        dtype: What all floating-point numbers become; by default what they were.

    Raises:
        FormatError: The file is damaged, or has an operator or option that there is not here.
        MissingExtra: The package onnx is not installed.
    """
    onnx = import_onnx()
    data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and onnx have many of their own
        raise FormatError(
            f"{path}: no ONNX file, or damaged: {str(error).splitlines()[0]}",
            hint="take another copy; nothing was loaded",
        ) from None
    versions = {each.domain: each.version for each in model.opset_import}
    if versions.get("", OPSET) < OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            raise FormatError(
                f"{path}: its operators are of version {versions['']} and cannot be brought to "
                f"{OPSET}: {str(error).splitlines()[0]}",
                hint="export the model again, with a newer opset",
            ) from None
    graph = Graph(device=device)
    graph.notes = next((json.loads(x.value) for x in model.metadata_props if x.key == NOTES), {})
    _Reading(onnx, path, graph, None if dtype is None else np.dtype(dtype)).build(model.graph)
    return graph


class _Reading:
    """A graph as it is built, and the values by the names that the file gives them."""

    def __init__(self, onnx: Any, path: Path, graph: Graph, dtype: np.dtype[Any] | None) -> None:
        self.onnx = onnx
        self.path = path
        self.graph = graph
        self.dtype = dtype
        self.nodes: dict[str, Node] = {}
        self.arrays: dict[str, Any] = {}
        self.fixed: set[str] = set()

    def build(self, body: Any) -> None:
        """Add all nodes, and drop what no output needs."""
        for tensor in body.initializer:
            self.arrays[tensor.name] = self._converted(self.onnx.numpy_helper.to_array(tensor))
        for value in body.input:
            if value.name not in self.arrays:
                self.nodes[value.name] = self._input(value)
        mark = self.graph.mark()
        for proto in body.node:
            try:
                self._add(proto)
            except FormatError:
                raise
            except MatrixSlowError as error:
                raise self._refusal(proto, f"cannot be built: {error}") from error
        self.graph.prune(mark, [self._operand(x.name) for x in body.output])

    def _add(self, proto: Any) -> None:
        """Add a node; what is made of known arrays alone is computed now."""
        named = [name for name in proto.input if name]
        known = all(name in self.arrays for name in named) and bool(named)
        place = _Reading(self.onnx, self.path, Graph(), self.dtype) if known else self
        place.arrays, place.fixed = self.arrays, self.fixed
        results = place._results(proto)
        if results is None:
            return
        if any(proto.output[len(results) :]):
            raise self._refusal(proto, f"it has {len(results)} results here")
        for name, node in zip(proto.output, results, strict=False):
            if name and known:
                self.arrays[name] = np.asarray(place.graph.forward(node, training=False))
                if self.fixed.issuperset(named):
                    self.fixed.add(name)
            elif name:
                self.nodes[name] = node

    def _input(self, value: Any) -> Node:
        kind = value.type.tensor_type
        shape = [x.dim_value if x.HasField("dim_value") else None for x in kind.shape.dim]
        dtype = self._as(self.onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        return self._named(value.name, lambda name: Input(shape, dtype=dtype, name=name))

    def _results(self, proto: Any) -> Sequence[Node] | None:
        """The results of an operator; None where they are arrays, known now."""
        kind = proto.op_type
        given = {x.name: self.onnx.helper.get_attribute_value(x) for x in proto.attribute}
        attributes = {name: _plain(x) for name, x in given.items()}
        if proto.domain not in ("", "ai.onnx"):
            raise self._refusal(proto, f"operators of {proto.domain!r} are not known")
        special = getattr(self, f"_read_{kind.lower()}", None)
        if kind in RECURRENT:
            return self._recurrent(proto, attributes)
        if special is not None:
            return special(proto, attributes)  # type: ignore[no-any-return]
        if kind not in Node.operators:
            raise self._refusal(proto, "there is no such operator here")
        return [self._plain(proto, Node.operators[kind], attributes)]

    def _plain(self, proto: Any, kind: type[Node], attributes: Attributes) -> Node:
        """An operator of the same name: the schema says which input is an option of ours."""
        schema = self.onnx.defs.get_schema(proto.op_type, OPSET)
        operands, options = [], dict[str, Any]()
        slots = [slot.name for slot in schema.inputs]
        for place, name in enumerate(proto.input):
            slot = slots[min(place, len(slots) - 1)]
            if slot in kind.options:
                value = self._constant(proto, name).tolist() if name else None
                if value is not None and (value != [] or slot != "axes"):  # no axes mean all
                    options[slot] = value
            elif name:
                operands.append(self._operand(name, trainable=slot not in MEASURED))
        for name, found in schema.attributes.items():
            default = _default(self.onnx, found)
            value = attributes.get(name, default)
            if name in kind.options:
                if value is not None:
                    options[name] = value
            elif value != default and name not in PASSED_OVER.get(proto.op_type, ()):
                raise self._refusal(proto, f"{name}={value!r} is not known here")
        if options.get("auto_pad", "NOTSET") != "NOTSET":
            options.pop("pads", None)
        return self._named(proto.output[0], lambda name: kind(*operands, **options, name=name))

    def _operand(self, name: str, *, trainable: bool = True) -> Node:
        """The node of a value; an array becomes one when it is first read."""
        if name not in self.nodes:
            array = self.arrays[name]

            def make(own: str) -> Node:
                if array.dtype.kind != "f" or name in self.fixed:
                    return Constant(array, dtype=array.dtype, name=own)
                return Variable(array, dtype=array.dtype, trainable=trainable, name=own)

            self.nodes[name] = self._named(name, make)
        return self.nodes[name]

    def _constant(self, proto: Any, name: str) -> Any:
        if name not in self.arrays:
            raise self._refusal(proto, f"{name!r} must be a constant here")
        return self.arrays[name]

    def _named(self, name: str, make: Callable[[str], Node]) -> Node:
        """A node under the file's name for it, with the scopes that it tells."""
        parts = [
            part for part in (x.strip() for x in name.split("/")) if part.isprintable() and part
        ]
        full, number = "/".join(parts) or "value", 0
        while full in self.graph:
            number += 1
            full = "/".join([*parts[:-1], f"{parts[-1] if parts else 'value'}_{number}"])
        with in_scopes(self.graph, full) as own:
            return make(own)

    def _as(self, dtype: Any) -> np.dtype[Any]:
        kept = np.dtype(dtype)
        return self.dtype if self.dtype is not None and kept.kind == "f" else kept

    def _converted(self, array: Any) -> Any:
        return array.astype(self._as(array.dtype), copy=False)

    def _refusal(
        self, proto: Any, rule: str, hint: str = "export the model without it"
    ) -> FormatError:
        name = proto.name or next(iter(proto.output), "")
        return FormatError(f"{self.path}: {proto.op_type} {name!r}: {rule}", hint=hint)

    # ---- operators that are said in another way here ---------------------------------------------

    def _recurrent(self, proto: Any, attributes: Attributes) -> Sequence[Node]:
        """RNN, GRU or LSTM: its inputs may be absent, and it has several results."""
        kind = proto.op_type
        usual = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
        options: Attributes = {"direction": attributes.pop("direction", "forward")}
        directions = 2 if options["direction"] == "bidirectional" else 1
        activations = attributes.pop("activations", usual[kind] * directions)
        if kind == "RNN":
            options["activation"] = activations[0].lower()
        elif list(activations) != usual[kind] * directions:
            raise self._refusal(proto, f"activations={activations!r} are not known here")
        if kind == "GRU":
            options["linear_before_reset"] = bool(attributes.pop("linear_before_reset", 0))
        for name, value in attributes.items():
            if name not in PASSED_OVER[kind] and value:
                raise self._refusal(proto, f"{name}={value!r} is not known here")
        if any(proto.input[RECURRENT[kind] :]):
            raise self._refusal(proto, "peepholes are not known here")
        x, w, r = (self._operand(name) for name in proto.input[:3])
        optional = {
            label: self._operand(name)
            for label, name in zip(OPTIONAL_INPUTS, proto.input[3:], strict=False)
            if name
        }
        make = Node.operators[kind]
        node = self._named(
            next(filter(None, proto.output)),
            lambda name: make(x, w, r, **optional, **options, name=name),
        )
        assert isinstance(node, ops.RNN | ops.GRU | ops.LSTM)
        return node.outputs()

    def _read_constant(self, proto: Any, attributes: Attributes) -> None:
        ((name, value),) = attributes.items()
        array = self.onnx.numpy_helper.to_array(value) if name == "value" else np.array(value)
        kept = array.astype(np.float32) if name.startswith("value_float") else array
        self.arrays[proto.output[0]] = self._converted(kept)
        self.fixed.add(proto.output[0])

    def _read_constantofshape(self, proto: Any, attributes: Attributes) -> None:
        shape = self._constant(proto, proto.input[0])
        filled = np.zeros(1, np.float32)
        if "value" in attributes:
            filled = self.onnx.numpy_helper.to_array(attributes["value"])
        self.arrays[proto.output[0]] = self._converted(np.full(shape, filled[0], filled.dtype))
        self.fixed.add(proto.output[0])

    def _read_shape(self, proto: Any, attributes: Attributes) -> None:
        shape = self._operand(proto.input[0]).shape
        sizes = shape[attributes.get("start", 0) : attributes.get("end")]
        if None in sizes:
            raise self._refusal(
                proto, f"{shape} has a size that is fed", "export it with a fixed batch size"
            )
        self.arrays[proto.output[0]] = np.array(sizes, np.int64)

    def _read_cast(self, proto: Any, attributes: Attributes) -> list[Node]:
        x = self._operand(proto.input[0])
        dtype = self._as(self.onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]))
        return [self._named(proto.output[0], lambda name: ops.Cast(x, dtype=dtype, name=name))]

    def _read_dropout(self, proto: Any, _: Attributes) -> list[Node]:
        return [self._operand(proto.input[0])]

    def _read_onehot(self, proto: Any, attributes: Attributes) -> list[Node]:
        depth, values = (self._constant(proto, name) for name in proto.input[1:])
        if values.tolist() != [0, 1]:
            raise self._refusal(proto, f"values {values.tolist()} are not 0 and 1")
        x, axis = self._operand(proto.input[0]), attributes.get("axis", -1)
        return [
            self._named(
                proto.output[0],
                lambda name: ops.OneHot(
                    x, depth=int(depth.item()), axis=axis, dtype=values.dtype, name=name
                ),
            )
        ]

    def _read_sum(self, proto: Any, _: Attributes) -> list[Node]:
        first, *others = (self._operand(name) for name in proto.input)
        for node in others:
            first = ops.Add(first, node)
        return [first]


def _plain(value: Any) -> Any:
    """An attribute as Python has it: text instead of bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list) or type(value).__name__.startswith("Repeated"):
        return [_plain(x) for x in value]
    return value


def _default(onnx: Any, found: Any) -> Any:
    """What ONNX takes where an attribute is absent; None where it says nothing."""
    if not found.default_value.type:
        return None
    return _plain(onnx.helper.get_attribute_value(found.default_value))
