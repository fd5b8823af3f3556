"""Saved models: a model file, what can be asked of it, and samples to ask it about."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matrixslow import io
from matrixslow.backend import to_host
from matrixslow.commands.task import Samples, read_samples
from matrixslow.core import Graph, Input, Node
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, FeedError
from matrixslow.function import function
from matrixslow.io.readers import Array

MODEL_FILE = "model.npz"

NOTE = "task"
"""Under which name the notes of a graph hold what `train` knows of the data."""

AT_ONCE = 256
"""Samples that are run at once."""


def model_option(parser: ArgumentParser) -> None:
    """Declare the model that a command is about."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        default=Path("run"),
        help="a model file, or a folder with model.npz (default: run, where train writes)",
    )


def data_option(parser: ArgumentParser) -> None:
    """Declare the samples that a model is run on."""
    parser.add_argument(
        "data",
        nargs="?",
        help="a data set, a table, or an .npz file with an array for each input "
        "(default: what was kept to test on)",
    )


def existing(file: Path, remedy: str) -> Path:
    """The file, when it is there."""
    if not file.is_file():
        raise ArgumentError(f"{file}: there is no such file", hint=remedy)
    return file


class SavedModel:
    """A model that was read from a file.

    Args:
        path: The file, or a folder with MODEL_FILE in it.

    Attributes:
        file: The file.
        graph: The model.
        kept: What `train` knew of the data; empty for other models.
        classes: The classes' names; empty where they are not known.

    Raises:
        ArgumentError: There is no such file.
        FormatError: The file is damaged or holds no model.
    """

    def __init__(self, path: Path) -> None:
        file = path / MODEL_FILE if path.is_dir() else path
        self.file = existing(file, "train one: `train digits` writes run/model.npz")
        self.graph: Graph = io.load(self.file)
        self.kept: Mapping[str, Any] = self.graph.notes.get(NOTE, {})
        self.classes: tuple[str, ...] = tuple(self.kept.get("classes", ()))

    @property
    def inputs(self) -> list[Input]:
        """What can be fed."""
        return [node for node in self.graph.nodes if isinstance(node, Input)]

    @property
    def target(self) -> Input | None:
        """What is to be predicted, by the names that `train` gives."""
        named = [node for node in self.inputs if node.name in ("label", "target")]
        return named[0] if named else None

    def prediction(self, name: str | None = None) -> Node:
        """The node of that name; by default the one that `train` named, or the only result.

        Raises:
            ArgumentError: There are several results to choose from.
            GraphError: No node has that name.
        """
        if name is not None:
            return self.graph[name]
        for known in ("probabilities", "prediction"):
            if known in self.graph:
                return self.graph[known]
        read = {x for node in self.graph.nodes for x in node.inputs}
        results = [node for node in self.graph.nodes if node not in read and node.shape[:1]]
        if len(results) == 1:
            return results[0]
        raise ArgumentError(
            f"{self.file}: which node is the prediction?",
            rows=tuple(f"{node!r}" for node in results),
            hint="name one: --output NAME; `summary --nodes` lists all",
        )

    def samples(self, data: str | None) -> Samples:
        """The samples that a data set or file holds for this model."""
        return read_samples(data, self.kept)

    def arrays(self, outputs: Sequence[Node], samples: Samples) -> dict[str, Array]:
        """The arrays that nodes need, by the names of the inputs.

        Raises:
            FeedError: An input has no samples.
        """
        found = dict(samples.features)
        if self.target is not None and samples.target is not None:
            found[self.target.name] = samples.target
        needed = [node for node in ancestors(outputs) if isinstance(node, Input)]
        for node in needed:
            if node.name not in found:
                raise FeedError(
                    f"{self.file}: there are no samples for {node!r}",
                    rows=(f"there are  {', '.join(found) or 'none'}",),
                    hint="give an .npz file with an array of this name",
                )
        return {node.name: found[node.name] for node in needed}

    def run(self, outputs: Sequence[Node], samples: Samples) -> list[list[Array]]:
        """The values of nodes, for each batch of the samples.

        Raises:
            FeedError: An input has no samples.
        """
        arrays = self.arrays(outputs, samples)
        inputs = [node for node in self.inputs if node.name in arrays]
        step = function(inputs, outputs, training=False)
        batches = io.Batches(arrays, AT_ONCE, shuffle=False)
        return [
            [to_host(value) for value in step(*(batch[node.name] for node in inputs))]
            for batch in batches.epoch(0)
        ]

    def predict(self, output: Node, samples: Samples) -> Array:
        """The values of a node for all samples."""
        return np.concatenate([values[0] for values in self.run([output], samples)])
