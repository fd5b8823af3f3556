"""summary: what a saved model is made of, as text."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

from matrixslow.commands.command import Command
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, model_option


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    parser.add_argument("--nodes", action="store_true", help="a line for every node, not layer")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Print the table of layers, or of all nodes."""
    model = SavedModel(options.model)
    graph = model.graph
    page.text(graph.dump() if options.nodes else graph.summary())
    nodes = [
        {
            "name": node.name,
            "operator": type(node).__name__,
            "shape": node.shape,
            "dtype": node.dtype.name,
            "inputs": [x.name for x in node.inputs],
        }
        for node in graph.nodes
    ]
    return {
        "file": str(model.file),
        "parameters": sum(prod(x.value.shape) for x in graph.variables if x.trainable),
        "inputs": [node.name for node in model.inputs],
        "operators": dict(Counter(type(node).__name__ for node in graph.nodes)),
        "nodes": nodes,
        "notes": graph.notes,
    }


SUMMARY = Command("summary", "list the layers of a saved model", "summary run", options, run)
