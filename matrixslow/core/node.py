"""Node: an operator applied to other nodes. Every operator is a subclass with three methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, SupportsIndex

import numpy as np

from matrixslow.backend import Array
from matrixslow.core.context import current_graph
from matrixslow.core.site import Site, user_site
from matrixslow.core.spec import FLOAT, Shape, Spec
from matrixslow.errors import GradientError, GraphError, MatrixSlowError

if TYPE_CHECKING:
    from matrixslow.core.graph import Graph

Operand = Any
"""What an operator takes: a node, or a number or array that becomes a Constant."""

Rule = Callable[..., "tuple[Node | None, ...]"]

UFUNCS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "matmul": "MatMul",
}
"""What NumPy calls the operators of Python, and what we call them."""


class Node:
    """One value in a static graph: what an operator makes of its inputs.

    A subclass is an operator. It has three methods, in this order:

    - `infer(*specs) -> Spec`: the shape and dtype of the result, from those of the inputs alone.
    - `compute(xp, *arrays) -> array`: the result, with the array module `xp` (numpy or cupy). It
      is pure: it changes no input, and returns the inferred shape and dtype.
    - `gradient(upstream) -> tuple`: given the gradient of the target with respect to this node, a
      node for each input: the gradient with respect to it, or None where there is none. Broadcast
      axes are summed by `ms.gradients`. `gradient = None` says that the operator has no slope.

    An operator with options sets them as attributes in its `__init__`, under the names of its
    keyword-only parameters, before it calls `super().__init__(*inputs, name=name)`.

    On an instance, `gradient` is not the rule but the array that `graph.backward` found; the rule
    of a class is kept as `backpropagate`.

    Attributes:
        inputs: The nodes that this one is made of.
        name: Unique in the graph, with the scopes it was built in: "fc1/matmul".
        graph: The graph that owns it.
        derived: Whether gradients, an optimizer or the like made it: not part of the model.
        index: Its place in the order of creation.
        spec: Its shape and dtype.
        site: The user's line that built it.
        trainable: Whether optimizers change it: variables only.
    """

    operators: ClassVar[dict[str, type[Node]]] = {}
    """Every operator class by its name."""

    options: ClassVar[tuple[str, ...]] = ()
    """The names of the operator's options: the keyword-only parameters of its constructor."""

    takes_inputs: ClassVar[tuple[float, float]] = (0, 0)
    """The least and the most inputs that `compute` takes."""

    broadcasts: ClassVar[bool] = False
    """Whether inputs are stretched over each other, as in elementwise operators."""

    gradient: Any
    backpropagate: ClassVar[Rule | None]
    """The rule that a class defines as `gradient`; None where it has no slope."""

    trainable: bool = False

    # Indexing would make a node look like an endless sequence.
    __iter__ = None

    def __init_subclass__(cls) -> None:
        """Register the operator, and keep its rule apart from the value of the same name."""
        own = cls.__module__.startswith(__name__.partition(".")[0] + ".")
        known = Node.operators.get(cls.__name__)
        if known is not None and not own and known.__module__.startswith("matrixslow."):
            raise GraphError(
                f"operator {cls.__name__!r} is defined already, in {known.__module__}",
                hint="give your class another name",
            )
        Node.operators[cls.__name__] = cls
        parameters = inspect.signature(cls.__init__).parameters.values()
        keywords = (p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        cls.options = tuple(keyword for keyword in keywords if keyword != "name")
        if hasattr(cls, "compute"):
            cls.takes_inputs = _count_inputs(cls.compute)
        if "gradient" in cls.__dict__:
            cls.backpropagate = cls.__dict__["gradient"]
            del cls.gradient

    def __init__(self, *inputs: Operand, name: str | None = None) -> None:
        self.site: Site = user_site(self)
        self.graph: Graph = self._owner(inputs)
        self.derived: bool = self.graph.deriving
        self.inputs: tuple[Node, ...] = ()
        self.name: str = name or type(self).__name__.lower()
        mark = self.graph.mark()
        try:
            self._check_count(len(inputs))
            self.inputs = self.operands(inputs)
            self.name = self.graph.propose(name, self.name)
            self.spec: Spec = self.infer(*[node.spec for node in self.inputs])
        except MatrixSlowError as error:
            self.graph.prune(mark, [])
            raise self.explain(error) from None
        self.index: int = self.graph.add(self)

    # ---- what an operator defines --------------------------------------------------------------

    infer: Callable[..., Spec]
    """The shape and dtype of the result."""

    compute: Callable[..., Array]
    """The value of the result."""

    def inference(self) -> Node:
        """The node that stands in this one's place in an inference program: itself, mostly."""
        return self

    def updates(self) -> Sequence[tuple[Node, Node]]:
        """Pairs (variable, new value) that a program with this node applies at its end."""
        return ()

    def operands(self, inputs: Sequence[Operand]) -> tuple[Node, ...]:
        """The inputs as nodes; numbers and arrays become constants.

        A floating-point number or array takes the floating dtype of the other inputs, or float32.
        """
        nodes = [x for x in inputs if isinstance(x, Node)]
        if len(nodes) == len(inputs):
            return tuple(nodes)
        dtype = next((x.dtype for x in nodes if x.spec.floating), FLOAT)
        return tuple(x if isinstance(x, Node) else self._constant(x, dtype) for x in inputs)

    # ---- what a user reads ---------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The sizes of the axes; None where a size is fed."""
        return self.spec.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.spec.ndim

    @property
    def size(self) -> int | None:
        """The number of elements; None where an axis is fed."""
        return self.spec.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.spec.dtype

    @property
    def device(self) -> str:
        """Where its value lives, as all of its graph: "cpu" or "cuda:0"."""
        return self.graph.device

    @property
    def scope(self) -> str:
        """The scopes it was built in: "fc1" for "fc1/matmul"; empty outside any."""
        return self.name.rpartition("/")[0]

    @property
    def value(self) -> Array:
        """The array of the last `graph.forward`; None where it was not computed."""
        return self.graph.kept_values.get(self)

    @property
    def attributes(self) -> dict[str, Any]:
        """The operator's options, as its constructor takes them."""
        return {option: getattr(self, option) for option in self.options}

    def explain(self, error: MatrixSlowError) -> MatrixSlowError:
        """The error with this node's operator, name, inputs and line written into it."""
        labels = _labels(type(self), len(self.inputs))
        rows = [
            (
                label,
                node.name,
                type(node).__name__,
                str(node.shape),
                str(node.dtype),
                str(node.site),
            )
            for label, node in zip(labels, self.inputs, strict=True)
        ]
        widths = [max([5 * (i == 0), *(len(row[i]) for row in rows)]) for i in range(6)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
            for row in (*rows, ("built", f"{self.site}   {self.site.source}"))
        ]
        hint = error.hint
        for label, node in zip(labels, self.inputs, strict=True):
            hint = hint.replace("{" + label + "}", node.name)
        return type(error)(
            f"{type(self).__name__} {self.name!r}: {error.rule}",
            rows=(*lines, *error.rows),
            hint=hint,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.name!r} {self.spec}"

    def _repr_html_(self) -> str:
        """The card of the node, which a notebook shows."""
        from matrixslow.render.notebook import node_html

        return node_html(self)

    # ---- Python operators ----------------------------------------------------------------------

    def __add__(self, other: Operand) -> Node:
        return operator("Add")(self, other)

    def __radd__(self, other: Operand) -> Node:
        return operator("Add")(other, self)

    def __sub__(self, other: Operand) -> Node:
        return operator("Sub")(self, other)

    def __rsub__(self, other: Operand) -> Node:
        return operator("Sub")(other, self)

    def __mul__(self, other: Operand) -> Node:
        return operator("Mul")(self, other)

    def __rmul__(self, other: Operand) -> Node:
        return operator("Mul")(other, self)

    def __truediv__(self, other: Operand) -> Node:
        return operator("Div")(self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return operator("Div")(other, self)

    def __pow__(self, other: Operand) -> Node:
        return operator("Pow")(self, other)

    def __rpow__(self, other: Operand) -> Node:
        return operator("Pow")(other, self)

    def __matmul__(self, other: Operand) -> Node:
        return operator("MatMul")(self, other)

    def __rmatmul__(self, other: Operand) -> Node:
        return operator("MatMul")(other, self)

    def __neg__(self) -> Node:
        return operator("Neg")(self)

    def __abs__(self) -> Node:
        return operator("Abs")(self)

    def __getitem__(self, key: slice | SupportsIndex | tuple[Any, ...] | None) -> Node:
        from matrixslow.ops.indexing import subscript

        return subscript(self, key)

    # ---- what Python and NumPy must not do with a node, which has no value yet ------------------

    def __bool__(self) -> NoReturn:
        raise self._unknown("has no truth value", "ms.ops.Where(condition, x, y)")

    def __float__(self) -> NoReturn:
        raise self._unknown("is no number", "float(graph.forward(node, feeds)) after building")

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise self._unknown("is no array", "the operators in ms.ops instead of NumPy's functions")

    def __lt__(self, other: Operand) -> NoReturn:
        raise self._unknown("cannot be compared by <", "ms.ops.Less(x, y)")

    def __le__(self, other: Operand) -> NoReturn:
        raise self._unknown("cannot be compared by <=", "ms.ops.LessOrEqual(x, y)")

    def __gt__(self, other: Operand) -> NoReturn:
        raise self._unknown("cannot be compared by >", "ms.ops.Greater(x, y)")

    def __ge__(self, other: Operand) -> NoReturn:
        raise self._unknown("cannot be compared by >=", "ms.ops.GreaterOrEqual(x, y)")

    def __eq__(self, other: object) -> bool:
        """Whether it is the same node, as dictionaries need it; its value is not compared."""
        if isinstance(other, (int, float, np.ndarray, np.generic)):
            raise self._unknown("cannot be compared by ==", "ms.ops.Equal(x, y)")
        return self is other

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **_: Any) -> Node:
        """NumPy hands us `array + node`; it may not make an array of nodes."""
        name = UFUNCS.get(ufunc.__name__)
        if name is None or method != "__call__":
            ours = next((x for x in Node.operators if x.lower() == ufunc.__name__), "...")
            raise self._unknown(f"is no array for np.{ufunc.__name__}", f"ms.ops.{ours} instead")
        return operator(name)(*inputs)

    def _unknown(self, problem: str, remedy: str) -> GraphError:
        return GraphError(
            f"{self!r} {problem}: it has no value yet while the graph is built",
            hint=f"use {remedy}",
        )

    # ---- internals -----------------------------------------------------------------------------

    def _check_count(self, count: int) -> None:
        least, most = self.takes_inputs
        if not least <= count <= most:
            needed = f"{least}" if least == most else f"{least} or more"
            raise GraphError(
                f"{needed} inputs are needed, {count} came",
                hint="options are given by name, inputs in order",
            )

    def _owner(self, inputs: Sequence[Operand]) -> Graph:
        nodes = [x for x in inputs if isinstance(x, Node)]
        for node in nodes:
            if node.graph is not nodes[0].graph:
                raise GraphError(
                    f"{type(self).__name__}: its inputs belong to two graphs",
                    rows=tuple(f"{x!r} on {x.device}   {x.site}" for x in (nodes[0], node)),
                    hint="build both inputs in one `with ms.Graph():` block",
                )
        return nodes[0].graph if nodes else current_graph()

    def _constant(self, value: Any, dtype: np.dtype[Any]) -> Node:
        array = np.asarray(value)
        with self.graph:
            return operator("Constant")(array, dtype=dtype if array.dtype.kind == "f" else None)


def _read_gradient(node: Node) -> Array:
    """The array of the last `graph.backward`; None where it was not computed."""
    return node.graph.kept_gradients.get(node)


def _missing_rule(node: Node, upstream: Node) -> NoReturn:
    kind = type(node).__name__
    raise GradientError(
        f"{kind} {node.name!r} ({node.site}) has no gradient rule",
        hint=f"define {kind}.gradient(self, upstream), say `gradient = None` if it has no slope, "
        "or cut it off with ms.stop_gradient",
    )


# Declared as Any in the class, so that subclasses may define the rule under the same name.
Node.gradient = property(_read_gradient)
Node.backpropagate = _missing_rule


def operator(name: str) -> Callable[..., Node]:
    """The operator class of that name.

    Raises:
        GraphError: There is none.
    """
    try:
        return Node.operators[name]
    except KeyError:
        raise GraphError(
            f"no operator is named {name!r}", hint="import the module that defines it first"
        ) from None


def _count_inputs(compute: Callable[..., Array]) -> tuple[float, float]:
    parameters = list(inspect.signature(compute).parameters.values())[2:]
    single = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    least = sum(p.default is p.empty for p in single)
    return least, len(single) if len(single) == len(parameters) else float("inf")


def _labels(cls: type[Node], count: int) -> tuple[str, ...]:
    if not count:
        return ()
    parameters = list(inspect.signature(cls.compute).parameters.values())[2:]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][:count]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "input")
    return (*names, *(f"{rest}[{i}]" for i in range(count - len(names))))
