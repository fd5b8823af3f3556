"""draw: the picture of a saved model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, data_option, model_option
from matrixslow.commands.task import Samples
from matrixslow.core import Node, gradients
from matrixslow.errors import ArgumentError

SAMPLES = 32
"""How many samples are run to show values."""


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    data_option(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("model.svg"),
        metavar="FILE",
        help="a picture (.svg, .png, .pdf) or a page to click on (.html) (default: model.svg)",
    )
    parser.add_argument(
        "--fold", type=count, metavar="BOXES", help="fold scopes where there would be more boxes"
    )
    parser.add_argument("--gradients", action="store_true", help="add the gradients of the loss")
    parser.add_argument(
        "--values", action="store_true", help="show what a few samples make of each node"
    )


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Draw the graph to a file."""
    model = SavedModel(options.model)
    graph = model.graph
    if options.gradients:
        gradients(_loss(model), [x for x in graph.variables if x.trainable])
    if options.values:
        _run(model, model.samples(options.data).first(SAMPLES))
    graph.draw(options.out, fold=options.fold, gradients=options.gradients, values=options.values)
    page.text(f"wrote {options.out}")
    return {"file": str(model.file), "picture": str(options.out)}


def _loss(model: SavedModel) -> Node:
    """The node that `train` calls so."""
    if "loss" not in model.graph:
        raise ArgumentError(
            f"{model.file}: no node is named 'loss'", hint="draw it without --gradients"
        )
    return model.graph["loss"]


def _run(model: SavedModel, samples: Samples) -> None:
    """Leave values in the nodes, and gradients where the answers are known."""
    judged = "loss" in model.graph and samples.target is not None
    nodes = [model.prediction(), *([_loss(model)] if judged else [])]
    arrays = model.arrays(nodes, samples)
    model.graph.forward(nodes, {model.graph[name]: array for name, array in arrays.items()})
    if judged:
        model.graph.backward(_loss(model))


DRAW = Command("draw", "draw a saved model", "draw run --out model.svg", options, run)
