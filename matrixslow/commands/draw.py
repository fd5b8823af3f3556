"""draw: the picture of a saved model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, model_option
from matrixslow.core import Variable, gradients
from matrixslow.errors import ArgumentError


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("model.svg"), metavar="FILE", help="(default: model.svg)"
    )
    parser.add_argument(
        "--fold", type=count, metavar="BOXES", help="fold scopes where there would be more boxes"
    )
    parser.add_argument("--gradients", action="store_true", help="add the gradients of the loss")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Draw the graph to a file."""
    model = SavedModel(options.model)
    if options.gradients:
        if "loss" not in model.graph:
            raise ArgumentError(
                f"{model.file}: no node is named 'loss'", hint="draw it without --gradients"
            )
        variables = [x for x in model.graph.nodes if isinstance(x, Variable) and x.trainable]
        gradients(model.graph["loss"], variables)
    model.graph.draw(options.out, fold=options.fold, gradients=options.gradients)
    page.text(f"wrote {options.out}")
    return {"file": str(model.file), "picture": str(options.out)}


DRAW = Command("draw", "draw a saved model", "draw run --out model.svg", options, run)
