"""What a weighted mean divides by: how much a batch weighs beside others."""

from __future__ import annotations

from matrixslow.core.node import Node
from matrixslow.core.traversal import ancestors
from matrixslow.ops.cross_entropy import ClassLoss
from matrixslow.ops.elementwise import Div, Mul
from matrixslow.ops.reduction import ReduceSum


def mean_divisor(loss: Node) -> Node | None:
    """The sum of the weights, if there is one weighted mean among what a loss is made of.

    A weighted mean is what `weight=` makes of a loss, and, of class numbers, `class_weight=` and
    `ignore_index=`. Where there are several, no single number weighs the batch: None.

    >>> with ms.Graph() as graph:
    ...     x, w = ms.Input((None,), name="x"), ms.Input((None,), name="w")
    ...     loss = ms.ops.MeanSquaredError(x, np.zeros(2), weight=w) + 1.0
    >>> graph.forward(mean_divisor(loss), {x: [1.0, 2.0], w: [3.0, 4.0]})
    array(7., dtype=float32)
    """
    graph = loss.graph
    with graph, graph.scope("weights", absolute=True):
        found = [each for node in ancestors([loss]) if (each := _divisor(node)) is not None]
    return found[0] if len(found) == 1 else None


def _divisor(node: Node) -> Node | None:
    """What a node divides by, if it is a weighted mean."""
    match node:
        case ClassLoss():
            return node.divisor()
        case ReduceSum(shape=(), inputs=(Mul(inputs=(_, Div(inputs=(_, ReduceSum() as total)))),)):
            return total if total.shape == () else None
    return None
