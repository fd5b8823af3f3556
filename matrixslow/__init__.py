"""matrixslow: a deep-learning framework on a static computation graph.

Build a graph of nodes once, then run it many times, forward and backward:

    import matrixslow as ms
"""

from importlib import import_module

from matrixslow import (
    dist,
    errors,
    initializers,
    io,
    layers,
    metrics,
    ops,
    optimizers,
    testing,
    trainer,
)
from matrixslow.compiler.threads import get_threads, set_threads
from matrixslow.core import (
    Constant,
    Graph,
    Input,
    Node,
    Variable,
    current_graph,
    gradients,
    hessian,
    jacobian,
    stop_gradient,
)
from matrixslow.function import Function, function
from matrixslow.ops.rows import merged_rows
from matrixslow.version import __version__

__all__ = [
    "Constant",
    "Function",
    "Graph",
    "Input",
    "Node",
    "Variable",
    "__version__",
    "current_graph",
    "dist",
    "errors",
    "function",
    "get_threads",
    "gradients",
    "hessian",
    "initializers",
    "io",
    "jacobian",
    "layers",
    "merged_rows",
    "metrics",
    "ops",
    "optimizers",
    "set_threads",
    "stop_gradient",
    "testing",
    "trainer",
]


def __getattr__(name: str) -> object:
    """The pictures, imported when they are asked for: a program that trains draws none."""
    if name == "render":
        return import_module("matrixslow.render")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
