"""eval: how good a saved model is on samples whose answers are known."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from matrixslow import metrics
from matrixslow.commands.command import Command
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, data_option, model_option
from matrixslow.errors import ArgumentError
from matrixslow.metrics import Metric

SHOWN = 12
"""How many classes a confusion matrix has at most that is printed."""


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    data_option(parser)


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Print the loss, the metrics, and how each class fares."""
    model = SavedModel(options.model)
    samples = model.samples(options.data)
    target = model.target
    if target is None or samples.target is None or "loss" not in model.graph:
        raise ArgumentError(
            f"{model.file}: the answers are needed, to judge what the model says",
            rows=("the model needs nodes named 'loss' and 'label' or 'target'",),
            hint="give data with the answers; `predict` needs none",
        )
    prediction, loss = model.prediction(), model.graph["loss"]
    measured: list[Metric]
    if target.name == "label":
        measured = [
            metrics.Accuracy(prediction, target),
            metrics.ConfusionMatrix(prediction, target, name="confusion"),
        ]
    else:
        measured = [
            metrics.RootMeanSquaredError(prediction, target),
            metrics.R2(prediction, target),
        ]
    total = 0.0
    for value, predicted, true in model.run([loss, prediction, target], samples):
        total += float(value.reshape(())) * len(true)
        for metric in measured:
            metric.update(predicted, true)
    results = {"loss": total / len(samples), **{x.name: x.result() for x in measured}}
    confusion = results.pop("confusion", None)
    page.text(f"{model.file} on {len(samples)} samples\n")
    page.table(("on these samples", ""), list(results.items()))
    if confusion is not None:
        results["classes"] = _show_classes(confusion, model.classes, page)
        results["confusion"] = confusion
    return {"file": str(model.file), "samples": len(samples), **results}


def _show_classes(confusion: Any, names: tuple[str, ...], page: Page) -> dict[str, Any]:
    """How each class fares, and which one is taken for which."""
    names = names or tuple(map(str, range(len(confusion))))
    found = {}
    for place, name in enumerate(names):
        right, predicted, true = (
            float(x)
            for x in (confusion[place, place], confusion[:, place].sum(), confusion[place].sum())
        )
        found[name] = {
            "precision": right / predicted if predicted else 0.0,
            "recall": right / true if true else 0.0,
            "samples": int(true),
        }
    page.text()
    page.table(
        ("class", "precision", "recall", "samples"),
        [(name, *scores.values()) for name, scores in found.items()],
    )
    if len(names) <= SHOWN:
        page.text("\nrows: what it is; columns: what it was taken for\n")
        page.table(
            ("", *names), [(n, *map(int, row)) for n, row in zip(names, confusion, strict=True)]
        )
    return found


EVALUATE = Command(
    "eval", "judge a saved model on samples it has not seen", "eval run", options, run
)
