"""Sharding: which server holds which part of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

VIRTUAL_SHARDS = 1024
"""Rows are hashed to so many virtual shards, which are spread over the servers by a map."""

SPLIT_LEAST = 256
"""Elements from which on a variable is split over the servers."""


@dataclass(frozen=True, slots=True)
class Block:
    """The part of a variable that one server holds: a range of its elements, or all of it.

    Attributes:
        name: The variable's name.
        shape: Of the block: the variable's own where it is whole, else (stop - start,).
        dtype: The variable's.
        start: The first element, counted in the flattened variable.
        stop: One more than the last.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int
    stop: int

    def of(self, array: Array) -> Array:
        """The block of a whole array, as a view where that is possible."""
        return array.reshape(-1)[self.start : self.stop].reshape(self.shape)


def block(name: str, shape: Sequence[int], dtype: str, *, shard: int, shards: int) -> Block:
    """The part of a variable that a server holds: the servers' ranges differ by one at most.

    A small variable is not split: it would be no faster, and a compiler computes a single element
    otherwise than the same one among several, in the last bit. Which server has it depends on its
    size alone, so that the optimizer's state lies beside it.

    >>> from matrixslow.dist.sharding import block
    >>> [block("w", (20, 50), "float32", shard=i, shards=3).stop for i in range(3)]
    [333, 666, 1000]
    >>> [block("b", (50,), "float32", shard=i, shards=3).stop for i in range(3)]
    [0, 0, 50]
    """
    size = prod(shape)
    if shards == 1 or size < SPLIT_LEAST:
        whole = shard == size % shards
        return Block(name, tuple(shape) if whole else (0,), dtype, 0, size if whole else 0)
    start, stop = size * shard // shards, size * (shard + 1) // shards
    return Block(name, (stop - start,), dtype, start, stop)


@dataclass(frozen=True, slots=True)
class RowMap:
    """Which server holds which virtual shard of the rows.

    Attributes:
        version: Counts the changes of the map. A server refuses rows that came by another one.
        servers: The server of each virtual shard, (1024,) int.
    """

    version: int
    servers: Array

    @staticmethod
    def even(shards: int) -> RowMap:
        """The first map: the virtual shards dealt out in turn.

        >>> from matrixslow.dist.sharding import RowMap
        >>> np.bincount(RowMap.even(2).servers_of(np.arange(1000))).tolist()
        [504, 496]
        """
        return RowMap(1, np.arange(VIRTUAL_SHARDS) % shards)

    def servers_of(self, ids: Array) -> Array:
        """The server that holds each row, (n,) int."""
        found: Array = self.servers[virtual_shards(ids)]
        return found


def virtual_shards(ids: Array) -> Array:
    """The virtual shard of each row, (n,) int: a hash, so that neighbours are spread."""
    return (mixed(ids.astype(np.uint64)) % np.uint64(VIRTUAL_SHARDS)).astype(np.int64)


def mixed(numbers: Array) -> Array:
    """A 64-bit hash of each number.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    with np.errstate(over="ignore"):
        x = numbers + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashed: Array = x ^ (x >> np.uint64(31))
    return hashed
