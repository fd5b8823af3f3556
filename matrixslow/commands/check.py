"""check: the gradients of a saved model, held against differences."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np

from matrixslow import io
from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, data_option, model_option
from matrixslow.core import Graph, Input, Node, Variable
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError
from matrixslow.testing import check_gradients

STEP = 1e-7
"""Of the differences: small, so that few kinks of Relu and pooling lie within it."""

TOLERANCE = 1e-4
"""How far a gradient may be off, relative to its size, with so small a step."""


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    data_option(parser)
    parser.add_argument("--target", metavar="NODE", help="of which (default: loss)")
    parser.add_argument("--samples", type=count, default=4, help="how many to take (default: 4)")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Compare the gradient with respect to all trainable variables, in float64."""
    model = SavedModel(options.model)
    graph = io.load(model.file, dtype="float64")
    name = options.target or "loss"
    if name not in graph and options.target is None:
        name = model.prediction().name
    target = graph[name]
    reached = ancestors([target])
    variables = [x for x in reached if isinstance(x, Variable) and x.trainable]
    if not variables:
        raise ArgumentError(
            f"{model.file}: {target!r} depends on no trainable variable",
            hint="name another node: --target NAME",
        )
    inputs = [x for x in reached if isinstance(x, Input)]
    feeds = _feeds(model, graph, inputs, options)
    count = sum(x.value.size for x in variables)
    page.text(f"{name}: {count:,} numbers in {len(variables)} variables, {options.samples} samples")
    fault = ""
    try:
        check_gradients(
            target,
            variables,
            feeds,
            order=1,
            step=STEP,
            tolerance=TOLERANCE,
            seed=options.seed,
        )
    except AssertionError as error:
        fault = str(error)
        page.status = 1
    page.text(fault or "the gradients agree with differences")
    return {"file": str(model.file), "target": name, "numbers": count, "fault": fault}


def _feeds(
    model: SavedModel, graph: Graph, inputs: list[Input], options: Namespace
) -> dict[Node, Any]:
    """Samples of the data, or random ones where none is known."""
    if options.data is None and not model.kept:
        rng = np.random.default_rng(options.seed)
        return {node: _random(rng, node, options.samples) for node in inputs}
    samples = model.samples(options.data).first(options.samples)
    arrays = {**samples.features, "label": samples.target, "target": samples.target}
    return {node: arrays[node.name] for node in inputs}


def _random(rng: np.random.Generator, node: Input, count: int) -> Any:
    """Made-up values: normal ones, or integers that any reader of classes or rows allows."""
    shape = tuple(count if size is None else size for size in node.shape)
    if node.spec.floating:
        return rng.standard_normal(shape)
    return rng.integers(0, 2, shape).astype(node.dtype)


CHECK = Command(
    "check", "hold a saved model's gradients against differences", "check run", options, run
)
