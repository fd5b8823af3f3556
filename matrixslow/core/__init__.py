"""The static graph: spec, node, graph, gradients, and the interpreter that runs it."""

from matrixslow.core.context import current_graph
from matrixslow.core.gradient import gradients, hessian, jacobian, stop_gradient
from matrixslow.core.graph import Graph
from matrixslow.core.interpreter import Interpreter, Update
from matrixslow.core.leaf import Constant, Initializer, Input, Variable
from matrixslow.core.node import Node, Operand, operator
from matrixslow.core.spec import Spec

__all__ = [
    "Constant",
    "Graph",
    "Initializer",
    "Input",
    "Interpreter",
    "Node",
    "Operand",
    "Spec",
    "Update",
    "Variable",
    "current_graph",
    "gradients",
    "hessian",
    "jacobian",
    "operator",
    "stop_gradient",
]
