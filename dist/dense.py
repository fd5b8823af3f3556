"""DenseBlocks: variables on a server, and the optimizer that changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.backend import to_host
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Input, Variable
from matrixslow.dist.recipe import Recipe, build
from matrixslow.dist.sharding import Block
from matrixslow.function import function
from matrixslow.ops import Cast

Array = NDArray[Any]


class DenseBlocks:
    """Blocks of variables in a graph of their own, with an optimizer as on a single machine.

    Args:
        blocks: What this server holds; blocks without elements are left out.
        recipe: The optimizer.

    Attributes:
        blocks: What this server holds.
        variables: The weights, in the order of the blocks.
        state: Every variable that a step changes, weights included, in the order of the
            optimizer's update pairs, which is the same in the worker's graph.
    """

    def __init__(self, blocks: Sequence[Block], recipe: Recipe) -> None:
        self.blocks = [block for block in blocks if block.stop > block.start]
        with Graph():
            self.variables = [
                Variable(np.zeros(block.shape), dtype=block.dtype, name=block.name)
                for block in self.blocks
            ]
            slopes = [
                Input(block.shape, dtype=block.dtype, name=f"slopes/{block.name}")
                for block in self.blocks
            ]
        pairs = list(zip(self.variables, slopes, strict=True))
        updates = build(recipe, self.variables).updates(pairs) if pairs else []
        moved = {x for x, _ in updates if isinstance(x, Variable)}
        still = [x for x in self.variables if x not in moved]
        self.state = [*(x for x, _ in updates if isinstance(x, Variable)), *still]
        self._step = function(slopes, [], updates=updates, training=True) if updates else None
        self._slopes = slopes
        self._totals: list[Variable] = []

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(x.value.nbytes for x in self.variables)

    def step(self, slopes: Mapping[str, Array]) -> None:
        """Take a step of the optimizer, given the slope of every block."""
        if self._step is not None:
            self._step(*(slopes[block.name] for block in self.blocks))

    def mean(self, parts: Sequence[tuple[int, Mapping[str, Array]]]) -> dict[str, Array]:
        """The mean of slopes, weighed by samples and added in this order.

        It is the very sum that one machine makes when it accumulates the same batches: by the same
        operators, so that a compiler that joins a product and a sum does so here too.

        Args:
            parts: How many samples slopes are the mean over, and the slope of every block.
        """
        if not self._totals:
            self._make_sums()
        for total in self._totals:
            total.value = np.zeros_like(total.value)
        for samples, slopes in parts:
            self._add(*(slopes[block.name] for block in self.blocks), samples)
        samples = sum(samples for samples, _ in parts)
        return {
            block.name: to_host(total.value) / total.dtype.type(samples)
            for block, total in zip(self.blocks, self._totals, strict=True)
        }

    def _make_sums(self) -> None:
        """Build the program that adds; where there is one worker, nobody needs it."""
        with self.variables[0].graph:
            size = Input((), dtype="int64", name="samples")
            self._totals = [
                Variable(np.zeros_like(x.value), trainable=False, name=f"total/{x.name}")
                for x in self.variables
            ]
            sums = [
                total + slope * Cast(size, dtype=slope.dtype)
                for total, slope in zip(self._totals, self._slopes, strict=True)
            ]
        updates = list(zip(self._totals, sums, strict=True))
        self._add = function([*self._slopes, size], [], updates=updates, training=True)

    def weights(self) -> dict[str, Array]:
        """A copy of the weights, by name."""
        return {x.name: to_host(x.value).copy() for x in self.variables}

    def state_arrays(self) -> dict[str, Array]:
        """A copy of the weights and of the optimizer's state, by name."""
        return {x.name: to_host(x.value).copy() for x in self.state}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take the values of variables, by name; others stay. One number may come without axes."""
        for variable in self.state:
            if variable.name in arrays:
                value = arrays[variable.name]
                one = value.ndim == 0 and variable.value.size == 1
                variable.value = value.reshape(variable.value.shape) if one else value
