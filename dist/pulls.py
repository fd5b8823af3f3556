"""Pulls: the weights that can be read, and those who wait for newer ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from matrixslow.dist.place import Place
from matrixslow.errors import ArgumentError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Weights:
    """What a pull gives: the weights of one version, and rows of tables.

    Attributes:
        place: How far the job is in its data, at this version.
        live: The ranks of the workers that are in.
    """

    version: int
    dense: Mapping[str, Array]
    rows: Mapping[str, Array] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    live: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Pull:
    """A question for weights.

    Attributes:
        worker: The rank of who asks.
        incarnation: Its incarnation.
        step: How many steps it has done.
        ids: Rows of tables that are wanted too, by table.
        future: The answer.
    """

    worker: int
    incarnation: int
    step: int
    ids: Mapping[str, Array]
    future: Future[Weights] = field(default_factory=Future)


class Published:
    """Copies of the weights, which can be read while the next step is applied.

    Args:
        keeps: How many versions stay: one before the newest, where another server may still be
            there.
    """

    def __init__(self, keeps: int) -> None:
        self._keeps = keeps
        self._versions: list[Weights] = []

    def put(self, weights: Weights) -> None:
        """Take the newest version, and let go of the oldest."""
        self._versions = [*self._versions, weights][-self._keeps :]

    def clear(self) -> None:
        """Let go of all versions, since none is the newest any more."""
        self._versions = []

    @property
    def newest(self) -> Weights | None:
        """The newest version, if there is one."""
        return self._versions[-1] if self._versions else None

    @property
    def before(self) -> Weights | None:
        """The version before the newest, if it is kept."""
        return self._versions[0] if len(self._versions) > 1 else None

    def of(self, version: int) -> Weights | None:
        """The weights of one version, or None where it is not there yet.

        Raises:
            ArgumentError: It is gone.
        """
        for weights in self._versions:
            if weights.version == version:
                return weights
        if self.newest is not None and version < self.newest.version:
            raise ArgumentError(f"pull: version {version} is gone", hint="join again")
        return None
