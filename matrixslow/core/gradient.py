"""Reverse-mode differentiation: gradients are nodes, built from the operators' own rules."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Literal, overload

from matrixslow.core.node import Node, operator
from matrixslow.core.traversal import ancestors
from matrixslow.errors import ArgumentError, DTypeError, GradientError, GraphError, ShapeError

SCOPE = "gradients"


@overload
def gradients(
    target: Node,
    nodes: Sequence[Node],
    *,
    upstream: Node | None = None,
    unused: Literal["none"] = "none",
) -> list[Node | None]: ...
@overload
def gradients(
    target: Node,
    nodes: Sequence[Node],
    *,
    upstream: Node | None = None,
    unused: Literal["zeros"],
) -> list[Node]: ...
def gradients(
    target: Node,
    nodes: Sequence[Node],
    *,
    upstream: Node | None = None,
    unused: Literal["none", "zeros"] = "none",
) -> Sequence[Node | None]:
    """The gradients of a target with respect to nodes, as new nodes under the scope `gradients/`.

    They are ordinary nodes: draw them, run them, differentiate them again.

    Args:
        target: What is differentiated; a single element, unless `upstream` is given.
        nodes: With respect to what: any nodes, not only leaves.
        upstream: The gradient of something further with respect to the target, of its shape.
        unused: What stands for a node that the target does not depend on: "none" gives None,
            "zeros" a node of zeros.

    Returns:
        For each node its gradient, of the node's shape and dtype, in order.

    Raises:
        GradientError: An operator on the way has no rule, or the target has many elements.
        DTypeError: A node is not floating-point, so that it has no slope.

    >>> with ms.Graph() as graph:
    ...     x = ms.Variable([1.0, 2.0], name="x")
    ...     y = ms.ops.ReduceSum(x * x * x)
    ...     (slope,) = ms.gradients(y, [x])
    >>> graph.forward(slope)
    array([ 3., 12.], dtype=float32)
    """
    _check(target, nodes, upstream, unused)
    graph = target.graph
    mark = graph.mark()
    wanted = dict.fromkeys(nodes)
    leading: dict[Node, bool] = {}  # nodes that wanted ones lead to: whether through their inputs
    for node in ancestors([target]):
        passes = any(x in leading for x in node.inputs)
        if node.spec.floating and (passes or node in wanted):
            leading[node] = passes

    with graph, graph.scope(SCOPE, absolute=True):
        parts = {target: [operator("OnesLike")(target) if upstream is None else upstream]}
        found: dict[Node, Node] = {}
        for node, passes in reversed(leading.items()):
            if node not in parts:
                continue
            with graph.scope(node.name):
                total = _total(parts.pop(node))
                if node in wanted:
                    found[node] = total
                if passes:
                    _spread(node, total, leading, parts)
        if unused == "zeros":
            for node in wanted:
                if node not in found:
                    found[node] = operator("ZerosLike")(node)
    results = [found.get(node) for node in nodes]
    graph.prune(mark, [node for node in results if node is not None])
    return results


def stop_gradient(x: Node, *, name: str | None = None) -> Node:
    """The value of x, as a constant in every gradient.

    >>> with ms.Graph():
    ...     x = ms.Variable([1.0])
    ...     ms.gradients(ms.ops.ReduceSum(ms.stop_gradient(x)), [x])
    [None]
    """
    return operator("StopGradient")(x, name=name)


def jacobian(target: Node, node: Node) -> Node:
    """The matrix of all slopes of a target, shape (*target.shape, *node.shape), as a node.

    It is built row by row, one gradient for each element of the target: for small targets.

    Raises:
        ShapeError: The target's shape is not wholly known.
    """
    if target.size is None or node.size is None:
        raise ShapeError(
            f"jacobian: shapes {target.shape} and {node.shape} must be wholly known",
            hint="declare the inputs without None",
        )
    graph = target.graph
    mark = graph.mark()
    with graph, graph.scope("jacobian", absolute=True):
        rows = []
        for position in range(target.size):
            row = operator("OneHot")(position, depth=target.size, dtype=target.dtype)
            upstream = operator("Reshape")(row, shape=target.shape)
            (slope,) = gradients(target, [node], upstream=upstream, unused="zeros")
            rows.append(operator("Reshape")(slope, shape=(1, node.size)))
        stacked = operator("Concat")(*rows, axis=0)
        result = operator("Reshape")(stacked, shape=(*target.shape, *node.shape))
    graph.prune(mark, [result])
    return result


def hessian(target: Node, node: Node) -> Node:
    """The matrix of second slopes of a single-element target, shape (*node.shape, *node.shape).

    >>> with ms.Graph() as graph:
    ...     x = ms.Variable([1.0, 2.0])
    ...     curvature = ms.hessian(ms.ops.ReduceSum(x * x * x), x)
    >>> graph.forward(curvature)
    array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    (slope,) = gradients(target, [node], unused="zeros")
    return jacobian(slope, node)


def _check(target: Node, nodes: Iterable[Node], upstream: Node | None, unused: str) -> None:
    if unused not in ("none", "zeros"):
        raise ArgumentError(f"gradients: unused={unused!r}", hint='give "none" or "zeros"')
    if upstream is None and target.size != 1:
        raise GradientError(
            f"gradients: the target {target!r} has more than one element",
            hint="reduce it first: ms.ops.ReduceMean(target), or give upstream=",
        )
    if upstream is not None and upstream.spec != target.spec:
        raise ShapeError(
            f"gradients: upstream is {upstream.spec}, the target {target.spec}",
            hint="upstream is the gradient of something with respect to the target: "
            "give it the same shape and dtype",
        )
    for node in (target, *nodes) if upstream is None else (target, *nodes, upstream):
        if not node.spec.floating:
            raise DTypeError(
                f"gradients: {node!r} has no slope, its values are {node.dtype}",
                hint="only floating-point nodes have gradients",
            )
        if node.graph is not target.graph:
            raise GraphError(
                f"gradients: {node!r} and {target!r} belong to two graphs",
                hint="differentiate within one graph",
            )


def _total(parts: list[Node]) -> Node:
    total = parts[0]
    for part in parts[1:]:
        total = operator("Add")(total, part)
    return total


def _spread(
    node: Node, total: Node, leading: Container[Node], parts: dict[Node, list[Node]]
) -> None:
    """Hand a node's gradient on to its inputs, by the operator's rule."""
    kind = type(node)
    if kind.backpropagate is None:
        return
    slopes = kind.backpropagate(node, total)
    if len(slopes) != len(node.inputs):
        raise GradientError(
            f"{kind.__name__} {node.name!r}: its rule gave {len(slopes)} gradients for "
            f"{len(node.inputs)} inputs",
            hint="return one node or None for each input",
        )
    for x, slope in zip(node.inputs, slopes, strict=True):
        if slope is None or x not in leading:
            continue
        if slope.shape != x.shape:
            slope = operator("SumLike")(slope, x)
        if slope.dtype != x.dtype:
            raise GradientError(
                f"{kind.__name__} {node.name!r}: its rule gave a {slope.dtype} gradient for {x!r}",
                hint="a gradient has the dtype of its input",
            )
        parts.setdefault(x, []).append(slope)
