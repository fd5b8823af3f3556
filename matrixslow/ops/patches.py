"""ExtractPatches lays the windows of images side by side, CombinePatches puts them back."""

from __future__ import annotations

from math import prod
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.node import Node
from matrixslow.core.spec import Shape, Spec
from matrixslow.errors import ShapeError
from matrixslow.ops.options import may_equal
from matrixslow.ops.windows import FixedWindows


class ExtractPatches(FixedWindows):
    """The elements under each window as a column: im2col.

    A convolution is a product of matrices after this, and any pooling a reduction.

    Args:
        x: Images.
        kernel_shape: The size of a window.
        strides: How far a window moves.
        pads: How many zeros stand before and behind the image: a number for each axis, or all
            those before, then all those behind.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.

    Shapes: x (N, C, *sizes), y (N, C * elements of a window, number of windows).

    >>> with ms.Graph() as graph:
    ...     y = ms.ops.ExtractPatches([[[1.0, 2.0, 3.0]]], kernel_shape=2)
    >>> graph.forward(y)
    array([[[1., 2.],
            [2., 3.]]], dtype=float32)
    """

    def infer(self, x: Spec) -> Spec:
        return Spec(_columns(self, x), x.dtype)

    def compute(self, xp: ModuleType, x: Array) -> Array:
        windows = self.windows_over(x)
        columns = (len(x), x.shape[1] * prod(windows.kernel), prod(windows.counts))
        return windows.view(xp, windows.pad(xp, x)).reshape(columns)

    def gradient(self, upstream: Node) -> tuple[Node]:
        (x,) = self.inputs
        return (CombinePatches(upstream, x, **self.attributes),)


class CombinePatches(FixedWindows):
    """Columns put back as windows of images; where windows overlap, their elements add up: col2im.

    It undoes ExtractPatches where windows do not overlap, and is its gradient always.

    Args:
        x: Columns, as ExtractPatches(like) gives them with the same options.
        like: Images, which lend their shape.
        kernel_shape: The size of a window; this and the other options as for ExtractPatches.
        strides: How far a window moves.
        pads: How much of the windows lies outside the image and is dropped.
        dilations: How far apart the elements of a window are.
        auto_pad: In place of `pads`: "SAME_UPPER", "SAME_LOWER" or "VALID".
        ceil_mode: Whether a last window may reach beyond the padding, if it starts before it.

    Shapes: x (N, C * elements of a window, number of windows), like and y (N, C, *sizes).

    >>> with ms.Graph() as graph:
    ...     columns = [[[1.0, 2.0], [10.0, 20.0]]]
    ...     y = ms.ops.CombinePatches(columns, [[[0.0, 0.0, 0.0]]], kernel_shape=2)
    >>> graph.forward(y)
    array([[[ 1., 12., 20.]]], dtype=float32)
    """

    def infer(self, x: Spec, like: Spec) -> Spec:
        columns = _columns(self, like)
        if not may_equal(x.shape, columns):
            raise ShapeError(
                f"columns of shape {x.shape} came, images {like.shape} give {columns}",
                hint="give the options and the images that the columns were extracted with",
            )
        return Spec(like.shape, x.dtype)

    def compute(self, xp: ModuleType, x: Array, like: Array) -> Array:
        windows = self.windows_over(like)
        return windows.combine(xp, x.reshape(*like.shape[:2], *windows.kernel, *windows.counts))

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        return ExtractPatches(upstream, **self.attributes), None


def _columns(windows: FixedWindows, x: Spec) -> Shape:
    """The shape of the columns that images of a shape give."""
    counts = windows.counts_over(x)
    samples, channels = x.shape[:2]
    return (
        samples,
        None if channels is None else channels * prod(windows.kernel_shape),
        None if None in counts else prod(count for count in counts if count),
    )
