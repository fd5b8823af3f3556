"""train: a ready model learns a data set, or the rows of a table."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrixslow import io, metrics, optimizers
from matrixslow.commands.command import Command, count, positive
from matrixslow.commands.page import Page
from matrixslow.commands.ready_models import MODELS, ReadyModel, best_for, build
from matrixslow.commands.saved_model import MODEL_FILE, NOTE, existing
from matrixslow.commands.task import DATA_SETS, Samples, Task, read_task
from matrixslow.core import Node
from matrixslow.metrics import Metric
from matrixslow.trainer import Checkpoint, Trainer

OPTIMIZERS = {
    kind.__name__.lower(): kind
    for kind in (
        *(optimizers.SGD, optimizers.Momentum, optimizers.Nesterov, optimizers.AdaGrad),
        *(optimizers.RMSProp, optimizers.Adam, optimizers.AdamW, optimizers.Adadelta),
        *(optimizers.Nadam, optimizers.Lion),
    )
}

MANY = 10_000
"""Data of so many samples is taken in larger batches."""


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("data", help=f"{', '.join(DATA_SETS)}, or a .csv or .arff file")
    parser.add_argument("--target", metavar="COLUMN", help="to predict (default: the last)")
    parser.add_argument(
        "--ignore", metavar="COLUMN", action="append", default=[], help="to leave out; repeatable"
    )
    parser.add_argument("--model", choices=MODELS, help="(default: what suits the data)")
    parser.add_argument("--epochs", type=count, help="(default: by the size of the data)")
    parser.add_argument("--batch-size", type=count, help="(default: by the size of the data)")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="(default: adam)")
    parser.add_argument("--rate", type=positive, default=3e-3, help="of learning, at first (3e-3)")
    parser.add_argument("--samples", type=count, help="how many to train on (default: all)")
    parser.add_argument(
        "--test", type=positive, default=0.2, help="share to test on, of data that leaves it open"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("run"), help="for what is written (default: run)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Train, judge, and write the model, its picture and its history."""
    task = read_task(
        options.data,
        target=options.target,
        ignore=options.ignore,
        share=options.test,
        seed=options.seed,
    )
    train = task.train.first(options.samples or len(task.train))
    describe(task, train, page)
    name = options.model or best_for(task)
    model = build(task, name, seed=options.seed)
    page.text(model.graph.summary())
    page.text()

    epochs = options.epochs or min(60, max(4, 30_000 // len(train)))
    batch_size = options.batch_size or (64 if len(train) >= MANY else 32)
    steps = epochs * -(-len(train) // batch_size)
    trainer = Trainer(
        model.loss,
        OPTIMIZERS[options.optimizer](optimizers.CosineDecay(options.rate, total=steps)),
        metrics=measures(model),
        hooks=[Checkpoint(options.folder)],
    )
    if options.resume:
        trainer.resume(existing(options.folder / "last.npz", "train once without --resume"))
    try:
        history = trainer.fit(
            feeds(model, train),
            epochs=epochs,
            batch_size=batch_size,
            validation=feeds(model, task.test),
            progress=not page.as_json,
        )
    except KeyboardInterrupt:
        page.text("\nthe same command with --resume goes on after the last whole epoch")
        raise
    results = trainer.evaluate(feeds(model, task.test))
    page.text()
    page.table(("on the test samples", ""), list(results.items()))

    graph = model.graph
    graph.notes[NOTE] = {**task.to_dict(), "model": name}
    file = io.save(graph, options.folder / MODEL_FILE)
    graph.draw(options.folder / "model.svg")
    history.plot(options.folder / "loss.svg")
    history.to_csv(options.folder / "history.csv")
    page.text(f"\nwrote {file}, with model.svg, loss.svg and history.csv beside it")
    page.text(f"eval, predict, summary, draw and check go on from here, as: eval {options.folder}")
    return {
        "file": str(file),
        "model": name,
        "epochs": history.epochs,
        "test": results,
        "history": history.to_dict(),
    }


def measures(model: ReadyModel) -> list[Metric]:
    """What is measured beside the loss."""
    if model.target.name == "label":
        return [metrics.Accuracy(model.prediction, model.target)]
    return [
        metrics.RootMeanSquaredError(model.prediction, model.target),
        metrics.R2(model.prediction, model.target),
    ]


def feeds(model: ReadyModel, samples: Samples) -> dict[Node, Any]:
    """The arrays of samples by the inputs of the model."""
    fed: dict[Node, Any] = {model.inputs[name]: x for name, x in samples.features.items()}
    return {**fed, model.target: samples.target}


def describe(task: Task, train: Samples, page: Page) -> None:
    """Say what the data is."""
    shapes = ", ".join(f"{name} {x.shape[1:]}" for name, x in train.features.items())
    page.text(f"{task.data}: {len(train)} samples to train on, {len(task.test)} to test on")
    page.text(f"features: {shapes}")
    if task.classes:
        shown = ", ".join(task.classes[:10])
        page.text(f"classes:  {len(task.classes)}: {shown}{', ...' * (len(task.classes) > 10)}")
    if task.columns is not None:
        page.text(f"target:   {task.columns.target}")
        for name, why in task.columns.left_out.items():
            page.text(f"left out: {name} ({why})")
    page.text()


TRAIN = Command("train", "train a ready model and save it", "train digits", options, run)
