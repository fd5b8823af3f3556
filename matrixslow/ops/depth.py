"""Between channels and places: blocks of pixels as channels, and channels as blocks of pixels."""
# The functions stand beside the operators, under names like theirs.
# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Sequence

from matrixslow.core.leaf import Constant
from matrixslow.core.node import Node, Operand
from matrixslow.errors import ArgumentError, ShapeError
from matrixslow.ops.elementwise import Identity
from matrixslow.ops.shaping import Reshape, Transpose

MODES = ("DCR", "CRD")


def DepthToSpace(x: Operand, *, blocksize: int, mode: str = "DCR", name: str | None = None) -> Node:
    """Channels laid out as blocks of pixels: images larger, with fewer channels.

    Args:
        x: Images.
        blocksize: The height and width b of a block.
        mode: Which channel a pixel of a block comes from: "DCR", the block first, or "CRD", the
            channel first, as in torch's pixel_shuffle.
        name: Of the node, and of the scope of what it is made of.

    Shapes: x (N, C, H, W), y (N, C / b**2, H b, W b).

    Raises:
        ShapeError: x has another layout, or its channels do not fill blocks.
        ArgumentError: There is no such mode, or blocksize < 1.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.DepthToSpace([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]], blocksize=2)
    >>> graph.forward(y)
    array([[[[1., 2.],
             [3., 4.]]]], dtype=float32)
    """
    if mode not in MODES:
        raise ArgumentError(f"DepthToSpace: mode={mode!r}", hint='give "DCR" or "CRD"')
    x, (channels, height, width) = _images("DepthToSpace", x, blocksize)
    if channels % blocksize**2:
        raise ShapeError(
            f"DepthToSpace: {channels} channels do not fill blocks of {blocksize} x {blocksize}",
            rows=(f"x      {x!r}   {x.site}",),
            hint=f"give a multiple of {blocksize**2} channels",
        )
    b, left = blocksize, channels // blocksize**2
    parts = (b, b, left) if mode == "DCR" else (left, b, b)
    perm = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    return _moved(
        "DepthToSpace", x, (*parts, height, width), perm, (left, height * b, width * b), name
    )


def SpaceToDepth(x: Operand, *, blocksize: int, name: str | None = None) -> Node:
    """Blocks of pixels laid out as channels: images smaller, with more channels.

    `DepthToSpace` undoes it.

    Args:
        x: Images.
        blocksize: The height and width b of a block.
        name: Of the node, and of the scope of what it is made of.

    Shapes: x (N, C, H, W), y (N, C b**2, H / b, W / b).

    Raises:
        ShapeError: x has another layout, or blocks do not fill it.
        ArgumentError: blocksize < 1.

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.SpaceToDepth([[[[1.0, 2.0], [3.0, 4.0]]]], blocksize=2)
    >>> graph.forward(y).ravel(), y.shape
    (array([1., 2., 3., 4.], dtype=float32), (1, 4, 1, 1))
    """
    x, (channels, height, width) = _images("SpaceToDepth", x, blocksize)
    if height % blocksize or width % blocksize:
        raise ShapeError(
            f"SpaceToDepth: blocks of {blocksize} x {blocksize} do not fill {height} x {width}",
            rows=(f"x      {x!r}   {x.site}",),
            hint="pad or crop the images",
        )
    b = blocksize
    height, width = height // b, width // b
    return _moved(
        "SpaceToDepth",
        x,
        (channels, height, b, width, b),
        (0, 3, 5, 1, 2, 4),
        (channels * b * b, height, width),
        name,
    )


def _images(kind: str, x: Operand, blocksize: int) -> tuple[Node, tuple[int, int, int]]:
    """Images as a node, and their sizes without the batch."""
    node = x if isinstance(x, Node) else Constant(x)
    if blocksize < 1:
        raise ArgumentError(f"{kind}: blocksize={blocksize}", hint="give 1 or more")
    if node.ndim != 4 or None in node.shape[1:]:
        raise ShapeError(
            f"{kind}: images (N, C, H, W) of known sizes are needed",
            rows=(f"x      {node!r}   {node.site}",),
            hint="declare all sizes but the batch",
        )
    channels, height, width = (size or 0 for size in node.shape[1:])
    return node, (channels, height, width)


def _moved(
    kind: str,
    x: Node,
    parts: Sequence[int],
    perm: Sequence[int],
    shape: Sequence[int],
    name: str | None,
) -> Node:
    """X with its axes but the batch cut into parts, put in another order, and joined."""
    graph = x.graph
    with graph:
        with graph.scope(name or kind.lower(), unique=name is None) as full:
            moved = Transpose(Reshape(x, shape=(0, *parts)), perm=perm)
            joined = Reshape(moved, shape=(0, *shape))
        return Identity(joined, name=name or full.rpartition("/")[2])
