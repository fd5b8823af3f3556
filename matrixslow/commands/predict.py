"""predict: what a saved model says of samples."""

from __future__ import annotations

import csv
import io
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.commands.saved_model import SavedModel, data_option, model_option
from matrixslow.commands.task import Samples
from matrixslow.files import write_text
from matrixslow.io.readers import Array


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    model_option(parser)
    data_option(parser)
    parser.add_argument(
        "--output", metavar="NODE", help="what to compute (default: the prediction)"
    )
    parser.add_argument("--count", type=count, default=10, help="samples to print (default: 10)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all of them to a .csv file")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Print what the model says of the first samples, and write what it says of all."""
    model = SavedModel(options.model)
    samples = model.samples(options.data)
    if options.out is None:
        samples = samples.first(options.count)
    output = model.prediction(options.output)
    values = model.predict(output, samples)
    header, rows = _answers(values, output.name, model.classes, samples)
    page.table(header, rows[: options.count])
    if options.out is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        write_text(options.out, text.getvalue())
        page.text(f"\nwrote {len(rows)} predictions to {options.out}")
    shown = [dict(zip(header, row, strict=True)) for row in rows[: options.count]]
    return {"file": str(model.file), "output": output.name, "predictions": shown}


def _answers(
    values: Array, name: str, classes: tuple[str, ...], samples: Samples
) -> tuple[list[str], list[list[Any]]]:
    """A header and a row for each sample: its number, the answer, and the truth where known."""
    numbers = range(1, len(values) + 1)
    if name == "probabilities":
        chosen = values.argmax(axis=1)
        names = classes or tuple(map(str, range(values.shape[1])))
        header = ["sample", "prediction", "probability"]
        sure = values.max(axis=1).tolist()
        rows = [[n, names[c], p] for n, c, p in zip(numbers, chosen, sure, strict=True)]
        truth = None if samples.target is None else [names[x] for x in samples.target]
    else:
        flat = values.reshape(len(values), -1)
        many = flat.shape[1] > 1
        header = ["sample", *([f"{name}[{i}]" for i in range(flat.shape[1])] if many else [name])]
        rows = [[n, *row] for n, row in zip(numbers, flat.tolist(), strict=True)]
        known = samples.target is not None and samples.target.shape == values.shape
        truth = np.ravel(samples.target).tolist() if known and samples.target is not None else None
    if truth is not None:
        header.append("truth")
        rows = [[*row, answer] for row, answer in zip(rows, truth, strict=True)]
    return header, rows


PREDICT = Command("predict", "say what a saved model predicts", "predict run", options, run)
