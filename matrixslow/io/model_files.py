"""Model files: a graph's structure as JSON and its arrays, in one archive."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Constant, Input, Variable
from matrixslow.core.node import Node
from matrixslow.core.spec import DTypeLike
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, FormatError
from matrixslow.io.archive import Arrays, read_archive, write_archive
from matrixslow.io.onnx.reader import read_onnx
from matrixslow.io.onnx.writer import write_onnx
from matrixslow.io.scoped import in_scopes

KIND = "matrixslow model"
VERSION = 1


def save(
    graph: Graph, path: str | os.PathLike[str], *, outputs: Sequence[Node] | None = None
) -> Path:
    """Write a graph to a file, atomically: structure, arrays and a checksum.

    A path that ends in `.onnx` gets what inference computes, in the format of ONNX, which other
    frameworks read (extra `onnx`). Operators that ONNX lacks are refused.

    Args:
        graph: The graph. Nodes that gradients and optimizers added are left out, unless the model
            is made of them; a trainer's checkpoint keeps the state of a run.
        path: Where to; `.npz` is added where there is no `.npz`, `.safetensors` or `.onnx`.
        outputs: Only what these are made of; by default the whole model, or in an ONNX file the
            nodes with a batch axis that nothing reads.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: `graph.notes` holds what JSON cannot, or the outputs of an ONNX file cannot
            be told.
        FormatError: ONNX cannot say what an operator does.
        MissingExtra: The path asks for a package that is not installed.

    >>> with ms.Graph() as graph:
    ...     y = ms.layers.dense(ms.Input((None, 2), name="x"), 1, name="fc1")
    >>> ms.io.save(graph, "model").name
    'model.npz'
    >>> sorted(ms.io.load("model").state_dict())
    ['fc1/W', 'fc1/b']
    """
    target = _with_suffix(path)
    if target.suffix == ".onnx":
        write_onnx(graph, target, outputs)
        return target
    chosen = [node for node in graph.nodes if not node.derived] if outputs is None else outputs
    arrays: Arrays = {}
    structure = []
    for node in ancestors(chosen):
        attributes = node.attributes
        if isinstance(node, Constant | Variable):
            arrays[node.name] = attributes.pop("value" if isinstance(node, Constant) else "initial")
        structure.append(
            {
                "name": node.name,
                "operator": type(node).__name__,
                "inputs": [x.name for x in node.inputs],
                "attributes": {name: _plain(x) for name, x in attributes.items()},
            }
        )
    header = {"seed": graph.seed, "notes": _noted(graph), "nodes": structure}
    write_archive(target, header, arrays, kind=KIND, version=VERSION)
    return target


def load(
    path: str | os.PathLike[str], *, device: str = "cpu", dtype: DTypeLike | None = None
) -> Graph:
    """The graph that `save` wrote. Its nodes are found by name: `graph["loss"]`.

    An ONNX file may come from elsewhere: its nodes have the names of its values, its initial values
    of floating-point numbers become variables.

    Args:
        path: The file; `.npz` is added where there is no `.npz`, `.safetensors` or `.onnx`.
        device: Where its arrays shall live.
        dtype: What all floating-point numbers of the graph become; by default what they were.

    Raises:
        FormatError: The file is damaged, of another version, or uses an operator that is unknown.
        FileNotFoundError: There is no such file.
    """
    target = _with_suffix(path)
    if target.suffix == ".onnx":
        return read_onnx(target, device=device, dtype=dtype)
    header, arrays = read_archive(target, kind=KIND, version=VERSION)
    graph = Graph(seed=header["seed"], device=device)
    graph.notes = header.get("notes", {})
    for entry in header["nodes"]:
        if entry["operator"] not in Node.operators:
            raise FormatError(
                f"{target}: {entry['name']!r} is a {entry['operator']}, and no such operator is "
                "known",
                hint="import the module that defines it before loading",
            )
        if dtype is not None:
            _convert(entry["attributes"], np.dtype(dtype))
        try:
            _build(graph, entry, arrays)
        except Exception as error:
            raise FormatError(
                f"{target}: {entry['operator']} {entry['name']!r} cannot be built: {error}",
                hint="its operator has changed since the file was written",
            ) from error
    return graph


def _build(graph: Graph, entry: dict[str, Any], arrays: Arrays) -> None:
    """Add a node to the graph, in the scopes that it was built in."""
    kind, attributes = Node.operators[entry["operator"]], entry["attributes"]
    with in_scopes(graph, entry["name"]) as name:
        if issubclass(kind, Input):
            kind(attributes.pop("shape"), **attributes, name=name)
        elif issubclass(kind, Constant | Variable):
            kind(arrays[entry["name"]], **attributes, name=name)
        else:
            kind(*(graph[x] for x in entry["inputs"]), **attributes, name=name)


def _convert(attributes: dict[str, Any], dtype: np.dtype[Any]) -> None:
    """Give an operator another dtype, where its own is one of floating-point numbers."""
    if "dtype" in attributes and np.dtype(attributes["dtype"]).kind == "f":
        attributes["dtype"] = dtype.name


def _noted(graph: Graph) -> dict[str, Any]:
    """The graph's notes, when a file can hold them."""
    try:
        json.dumps(graph.notes)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"save: the notes of the graph cannot be written: {error}",
            hint="keep text, numbers, lists and dictionaries in graph.notes, no arrays",
        ) from None
    return graph.notes


def _plain(x: Any) -> Any:
    """An attribute as JSON can hold it; constructors take names for dtypes and lists for tuples."""
    return x.name if isinstance(x, np.dtype) else x


def _with_suffix(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    known = target.suffix in (".npz", ".safetensors", ".onnx")
    return target if known else target.with_name(target.name + ".npz")
