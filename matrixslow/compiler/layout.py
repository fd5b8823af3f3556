"""Layout: which images lie pixel by pixel, so that kernels take their channels as vectors."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from matrixslow.compiler.llvm import lanes_of
from matrixslow.compiler.lowering.elementwise import is_elementwise
from matrixslow.compiler.lowering.table import sizes
from matrixslow.core.leaf import Leaf
from matrixslow.core.node import Node

DATA = {"Conv": (0,), "ConvInput": (0,), "ConvKernel": (0, 1)}
"""Which inputs of a convolution are images."""

POINTWISE = {
    "MaxPool",
    "MaxPoolGradient",
    "AveragePool",
    "AveragePoolGradient",
    "Expand",
    "BroadcastLike",
    "Identity",
    "StopGradient",
}
"""Operators, besides the elementwise ones, which give images as they take them."""


def by_pixels(nodes: Sequence[Node], needed: Collection[Node]) -> set[Node]:
    """The nodes whose channels lie together: images of convolutions, and what is made of them.

    Args:
        nodes: In topological order.
        needed: Nodes that lie as their shape says, row by row.
    """
    found: set[Node] = set()
    for node in nodes:
        name = type(node).__name__
        if name in DATA and node.attributes["group"] == 1:
            found.update(node.inputs[number] for number in DATA[name])
            if name != "ConvKernel":
                found.add(node)
    before = -1
    while before < len(found):  # forwards and backwards, until nothing changes
        before = len(found)
        for node in (*nodes, *reversed(nodes)):
            if type(node).__name__ in POINTWISE or is_elementwise(node):
                family = [x for x in (node, *node.inputs) if x.ndim == 4]
                if any(x in found for x in family):
                    found.update(family)
    return {node for node in found if node not in needed and _fits(node)}


def _fits(node: Node) -> bool:
    if isinstance(node, Leaf) or node.ndim != 4 or not node.spec.floating:
        return False
    name = type(node).__name__
    if name == "ConvKernel" or (name in DATA and node.attributes["group"] != 1):
        return False
    return sizes(node)[1] % lanes_of(node.dtype) == 0


def pixel_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of images (N, C, height, width) whose channels lie together."""
    _, channels, height, width = shape
    return (height * width * channels, 1, width * channels, channels)
