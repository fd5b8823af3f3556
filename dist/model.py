"""Model: what the workers of a job agree on before they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matrixslow.core.spec import DTYPES
from matrixslow.dist.message import Message
from matrixslow.dist.recipe import Recipe, clips_norm
from matrixslow.dist.rows import TableSpec
from matrixslow.dist.sharding import Block, block
from matrixslow.errors import ArgumentError, ClusterError, FormatError

NAMES = frozenset(DTYPES.values())


@dataclass(frozen=True, slots=True)
class Model:
    """The job's name, its workers, its variables and its optimizer.

    Args:
        job: A name; one server serves one job.
        workers: How many there are to be; the first step waits for all of them.
        variables: Name, shape and dtype of each variable.
        optimizer: Its recipe.
        tables: The variables of which only single rows are sent.
    """

    job: str
    workers: int
    variables: Sequence[tuple[str, tuple[int, ...], str]]
    optimizer: Recipe
    tables: Sequence[TableSpec] = field(default=())

    def blocks(self, shard: int, shards: int) -> list[Block]:
        """What one server holds of each variable.

        Raises:
            ArgumentError: The optimizer needs all slopes in one place, and there are several.
        """
        if shards > 1 and clips_norm(self.optimizer):
            raise ArgumentError(
                f"clip_norm needs the slopes of all variables, and {shards} servers share them",
                hint="use one server, or clip_value",
            )
        return [
            block(name, shape, dtype, shard=shard, shards=shards)
            for name, shape, dtype in self.variables
        ]

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {
            "job": self.job,
            "workers": self.workers,
            "variables": [[name, list(shape), dtype] for name, shape, dtype in self.variables],
            "optimizer": self.optimizer,
            "tables": [table.to_json() for table in self.tables],
        }

    @staticmethod
    def from_json(content: Any) -> Model:
        """What `to_json` gave.

        Raises:
            FormatError: It is something else.
        """
        match content:
            case {
                "job": str(job),
                "workers": int(workers),
                "variables": list(variables),
                "optimizer": dict(optimizer),
                "tables": list(tables),
            } if workers > 0:
                specs = [TableSpec.from_json(table) for table in tables]
                return Model(job, workers, [*map(_variable, variables)], optimizer, specs)
        raise FormatError(f"model: {str(content)[:80]} does not describe one")

    def compare(self, other: Model) -> None:
        """Refuse another model on the same server.

        Raises:
            ClusterError: They differ: all differences are named.
        """
        here, there = self.to_json(), other.to_json()
        rows = [
            f"{key}  {_short(here[key])} here, {_short(there[key])} came"
            for key in here
            if here[key] != there[key] and key not in ("variables", "tables")
        ]
        for key in ("variables", "tables"):
            rows += [f"missing     {x}" for x in here[key] if x not in there[key]]
            rows += [f"unexpected  {x}" for x in there[key] if x not in here[key]]
        if rows:
            raise ClusterError(
                f"this server serves the job {self.job!r}, and what came is another one",
                rows=tuple(rows),
                hint="start a server with another --state-dir for another job",
            )


def model_of(message: Message) -> Model:
    """The model in a message.

    Raises:
        FormatError: There is none.
    """
    return Model.from_json(message.fields.get("model"))


def _variable(entry: Any) -> tuple[str, tuple[int, ...], str]:
    match entry:
        case [str(name), list(shape), str(dtype)] if dtype in NAMES:
            if all(type(size) is int and size >= 0 for size in shape):
                return name, tuple(shape), dtype
    raise FormatError(f"model: {str(entry)[:80]} does not describe a variable")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
