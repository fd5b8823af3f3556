"""Passes: rewrites of the graph, in stages, before it is lowered.

A rule takes a node and returns an equal, cheaper one, or None; its docstring is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from matrixslow.compiler import compositions
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Constant, Leaf
from matrixslow.core.node import Node, operator
from matrixslow.core.spec import Spec, normalize_axis
from matrixslow.core.traversal import ancestors

Rule = Callable[[Node], Node | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """Rules that are tried on every node until none applies."""

    name: str
    rules: tuple[Rule, ...]


# ---- the Like operators, once shapes are known ---------------------------------------------------


def like_without_model(node: Node) -> Node | None:
    """XLike(x, like) = X(x, shape of like): the model is not needed any more."""
    kind = type(node).__name__
    if kind in ("SumLike", "BroadcastLike", "ReshapeLike"):
        x = node.inputs[0]
        if x.shape == node.shape:
            return x
        if kind == "ReshapeLike":
            return operator("Reshape")(x, shape=node.shape)
        if kind == "BroadcastLike" and "Expand" in Node.operators:
            return operator("Expand")(x, shape=node.shape)
        if kind == "SumLike" and _scalar(node.inputs[1]) is None:
            return operator("SumLike")(x, _zeros(node))
    return None


def constant_like(node: Node) -> Node | None:
    """OnesLike(x) = 1, stretched; ZerosLike(x) = 0, stretched."""
    kind = type(node).__name__
    if kind not in ("OnesLike", "ZerosLike") or isinstance(node.inputs[0], Constant):
        return None
    value = Constant(np.full((), kind == "OnesLike", node.dtype), dtype=node.dtype)
    return operator("Expand")(value, shape=node.shape) if node.ndim else value


def _zeros(node: Node) -> Node:
    # A view of one zero: no memory for something whose values are never read.
    model = Constant(np.zeros((), node.dtype), dtype=node.dtype)
    return operator("Expand")(model, shape=node.shape) if node.ndim else model


# ---- algebra -------------------------------------------------------------------------------------


def shape_kept(node: Node) -> Node | None:
    """Reshape, Expand, Identity, ... = x where nothing changes."""
    kinds = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Identity", "StopGradient")
    if type(node).__name__ in (*kinds, "Cast"):
        (x,) = node.inputs
        if x.spec == node.spec:
            return x
    return None


def double_transpose(node: Node) -> Node | None:
    """Transpose(Transpose(x)) = Transpose(x), or x."""
    if type(node).__name__ != "Transpose":
        return None
    (x,) = node.inputs
    order = _order(node)
    if order == list(range(node.ndim)):
        return x
    if type(x).__name__ == "Transpose":
        first = _order(x)
        return operator("Transpose")(x.inputs[0], perm=[first[axis] for axis in order])
    return None


def _order(node: Node) -> list[int]:
    perm = node.attributes["perm"]
    axes = range(node.ndim)
    return [*reversed(axes)] if perm is None else [normalize_axis(i, node.ndim) for i in perm]


def kept_axes(node: Node) -> Node | None:
    """ReduceMean(x) with its axes kept = ReduceMean(x), reshaped.

    So the mean that a variance takes is the one beside it.
    """
    if type(node).__name__ != "ReduceMean" or not node.attributes["keepdims"]:
        return None
    mean = operator("ReduceMean")(node.inputs[0], axes=node.attributes["axes"], keepdims=False)
    return operator("Reshape")(mean, shape=node.shape)


def double_negation(node: Node) -> Node | None:
    """-(-x) = x."""
    if type(node).__name__ == "Neg" and type(node.inputs[0]).__name__ == "Neg":
        return node.inputs[0].inputs[0]
    return None


def neutral_element(node: Node) -> Node | None:
    """X + 0 = x, x - 0 = x, x * 1 = x, x / 1 = x."""
    neutral = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}.get(type(node).__name__)
    if neutral is None or not node.spec.floating:
        return None
    a, b = node.inputs
    if _scalar(b) == neutral and a.spec == node.spec:
        return a
    if type(node).__name__ in ("Add", "Mul") and _scalar(a) == neutral and b.spec == node.spec:
        return b
    return None


def _scalar(node: Node) -> Any:
    """The number that every element of a node is; None where they differ or are not known."""
    while type(node).__name__ in ("Expand", "BroadcastLike", "Reshape"):
        node = node.inputs[0]
    if isinstance(node, Constant) and node.size == 1:
        return node.array.reshape(())[()]
    return None


# ---- constants -----------------------------------------------------------------------------------

FOLDED = 4096
"""Values of at most that many elements are computed ahead."""


def constant_folding(node: Node) -> Node | None:
    """f(constants) = a constant."""
    if not node.inputs or not all(isinstance(x, Constant) for x in node.inputs):
        return None
    if (node.size or 0) > FOLDED or node.updates() or type(node).__name__ == "Expand":
        return None
    with np.errstate(all="ignore"):
        value = node.compute(np, *(x.value for x in node.inputs))
    return Constant(value, dtype=node.dtype)


STAGES = (
    Stage("folding", (compositions.folded_normalization,)),
    Stage("compositions", compositions.RULES),
    Stage("shapes", (like_without_model, constant_like)),
    Stage("algebra", (shape_kept, kept_axes, double_transpose, double_negation, neutral_element)),
    Stage("constants", (constant_folding,)),
)


def rewrite(
    nodes: Sequence[Node], wanted: Sequence[Node], *, off: Collection[str] = ()
) -> Mapping[Node, Node]:
    """What stands for each wanted node after all stages.

    Args:
        nodes: In topological order, in a graph of their own.
        wanted: Whose values are needed.
        off: Names of stages that are left out.
    """
    found = {node: node for node in wanted}
    with nodes[0].graph:
        for stage in STAGES:
            if stage.name in off:
                continue
            settled: set[Node] = set()  # to which no rule applies
            while not settled.issuperset(alive := ancestors(found.values())):
                changed = _apply(stage, alive, settled)
                found = {node: changed[now] for node, now in found.items()}
            verify(found)
        merged = {} if "merging" in off else _merge(list(found.values()))
    return {node: merged.get(now, now) for node, now in found.items()}


def verify(found: Mapping[Node, Node]) -> None:
    """Assert that what stands for a node has its shape and dtype."""
    for before, after in found.items():
        assert before.spec == after.spec, f"{before!r} became {after!r}"


def _apply(stage: Stage, nodes: Sequence[Node], settled: set[Node]) -> dict[Node, Node]:
    """What stands for every one of the nodes, which are in topological order."""
    done: dict[Node, Node] = {}
    for node in nodes:
        now = _rebuilt(node, [done[x] for x in node.inputs])
        mark = node.graph.mark()
        while now not in settled and (other := _changed(stage, now)) is not None:
            assert other.spec == now.spec, f"{stage.name}: {now!r} became {other!r}"
            _name_made(other, now, mark)
            now, mark = other, node.graph.mark()
        settled.add(now)
        done[node] = now
    return done


def _name_made(other: Node, node: Node, mark: int) -> None:
    """Give what was made since a mark for another node to be made of, and that node, its name."""
    pending = [other]
    while pending:
        made = pending.pop()
        if made.index >= mark and made.name != node.name:
            made.name, made.site = node.name, node.site
            pending += made.inputs


def _rebuilt(node: Node, inputs: Sequence[Node]) -> Node:
    """The node with other inputs."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return moved(node, inputs, node.graph, node.spec)


def moved(node: Node, inputs: Sequence[Node], graph: Graph, spec: Spec) -> Node:
    """The same operator on other inputs; what it will give is known, and not found out again."""
    other = copy(node)
    other.inputs, other.graph, other.spec = tuple(inputs), graph, spec
    other.index = graph.add(other)
    return other


def _merge(wanted: Sequence[Node]) -> dict[Node, Node]:
    """f(x) and f(x) are one node."""
    done: dict[Node, Node] = {}
    known: dict[Any, Node] = {}
    for node in ancestors(wanted):
        now = _rebuilt(node, [done[x] for x in node.inputs])
        done[node] = known.setdefault(_identity(now), now)
    return done


def _identity(node: Node) -> Any:
    """Equal for two nodes that have equal values."""
    if isinstance(node, Constant):
        return ("Constant", node.spec.shape, node.dtype, node.array.tobytes())
    if isinstance(node, Leaf):
        return node
    options = tuple(sorted((name, repr(value)) for name, value in node.attributes.items()))
    return (type(node).__name__, node.inputs, options)


def _changed(stage: Stage, node: Node) -> Node | None:
    for rule in stage.rules:
        if (other := rule(node)) is not None:
            return other
    return None
