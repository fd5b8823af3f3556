"""The contract that every operator keeps, checked on one sample."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from matrixslow.backend import array_module, to_device, to_host
from matrixslow.core.gradient import gradients
from matrixslow.core.graph import Graph
from matrixslow.core.leaf import Input, Leaf
from matrixslow.core.node import Node
from matrixslow.errors import ArgumentError, FeedError, RunError, ShapeError
from matrixslow.function import function
from matrixslow.testing.differences import HostArray, check_gradients, weighted_sum
from matrixslow.testing.sample import Sample

TOLERANCES = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-10}
"""How far two results of a dtype may lie apart, relative to the largest entry."""


def check_operator(sample: Sample, *, device: str = "cpu") -> None:
    """Hold an operator to the whole contract, on one sample.

    - It leaves its inputs as they are, and gives the same result for the same inputs.
    - What it infers is what it computes, also for a first axis of size 0 and 1.
    - Its value is the expected one, in float64, in float32, and as `ms.function` runs it.
    - Gradients agree with differences up to `sample.order`; those of a node that is used twice
      add up.
    - Nothing becomes float64 in a float32 graph, gradients included.
    - Declaring the first axis as None makes no difference.
    - An inference program keeps shape and dtype.
    - `type(node)(*node.inputs, **node.attributes)` is the same operator, so that files can hold it.
    - It can be shown, and its errors name what came.

    Shapes that `infer` refuses while the graph is built break no promise.

    Args:
        sample: The operator applied to example arrays.
        device: Where it runs: "cpu" or "cuda".

    Raises:
        AssertionError: A promise is broken; the text names the sample, the promise, the numbers.

    >>> sample = ms.testing.Sample(
    ...     "Mul, two vectors",
    ...     build=lambda a, b: ms.ops.Mul(a, b),
    ...     arrays=(np.array([1.0, 2.0]), np.array([3.0, 4.0])),
    ...     expected=np.array([3.0, 8.0]),
    ... )
    >>> ms.testing.check_operator(sample)
    """
    for promise in PROMISES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                promise(_Case(sample, device=device))
        except Exception as error:
            raise AssertionError(
                f"{sample.name}\n  broken  {promise.__doc__}\n  {error}"
            ) from error


class _Case:
    """A sample, built in a graph of its own.

    Args:
        sample: The operator applied to example arrays.
        arrays: Other arrays for it.
        dtype: What floating-point arrays become.
        unknown: The places of the inputs whose first axis is declared None.
        twice: Two places that one input takes, the first's.
        device: Where it runs.
    """

    def __init__(
        self,
        sample: Sample,
        *,
        arrays: tuple[HostArray, ...] | None = None,
        dtype: str = "float64",
        unknown: Collection[int] = (),
        twice: tuple[int, int] | None = None,
        device: str = "cpu",
    ) -> None:
        given = sample.arrays if arrays is None else arrays
        self.sample = sample
        self.arrays = tuple(x.astype(dtype) if x.dtype.kind == "f" else x.copy() for x in given)
        with Graph(seed=0, device=device) as self.graph:
            self.inputs = [
                Input((None, *x.shape[1:]) if i in unknown else x.shape, dtype=x.dtype)
                for i, x in enumerate(self.arrays)
            ]
            operands = list(self.inputs)
            if twice is not None:
                operands[twice[1]] = operands[twice[0]]
            self.node = sample.build(*operands)
        self.floating = [x for x in self.inputs if x.spec.floating]
        self.feeds: dict[Node, HostArray] = dict(zip(self.inputs, self.arrays, strict=True))

    def variant(self, **options: Any) -> _Case | None:
        """The sample built in another way; None where the operator refuses to be."""
        try:
            return _Case(self.sample, device=self.graph.device, **options)
        except (ShapeError, ArgumentError):
            return None

    def value(self) -> HostArray:
        return to_host(self.graph.forward(self.node, self.feeds))

    def expected(self) -> HostArray:
        expected = self.sample.expected
        return np.asarray(expected(*self.sample.arrays) if callable(expected) else expected)

    def tolerance(self) -> float:
        return max(TOLERANCES.get(self.node.dtype.name, 0.0), self.sample.tolerance)

    def operands(self) -> list[HostArray]:
        """The arrays that the operator itself is given."""
        return [to_host(x) for x in self.graph.forward(list(self.node.inputs), self.feeds)]

    def compute(self, node: Node, operands: Sequence[HostArray]) -> HostArray:
        """What an operator makes of arrays."""
        device = self.graph.device
        arrays = [to_device(x, device) for x in operands]
        with np.errstate(all="ignore"):
            return to_host(node.compute(array_module(device), *arrays))

    def slope_nodes(self) -> list[Node]:
        """The gradients of a weighted sum of the value, for each floating-point input."""
        if not (self.sample.order and self.node.spec.floating and self.floating):
            return []
        weights = np.asarray(np.random.default_rng(0).standard_normal(self.value().shape))
        with self.graph:
            total = weighted_sum([self.node], [weights])
        return gradients(total, self.floating, unused="zeros")

    def slopes(self) -> list[HostArray]:
        """Their values."""
        return [to_host(x) for x in self.graph.forward(self.slope_nodes(), self.feeds)]

    def together(self) -> list[int]:
        """The places of the arrays whose first axis has the size of the first one's."""
        axes = {i: x.shape[0] for i, x in enumerate(self.arrays) if x.ndim}
        return [i for i, size in axes.items() if size == next(iter(axes.values()))]


# ---- the promises: each has its words as docstring, and raises AssertionError with the numbers ---


def _inputs_stay(case: _Case) -> None:
    """An operator never writes to its inputs."""
    operands = [x.copy() for x in case.operands()]
    for x in operands:
        x.flags.writeable = False
    case.compute(case.node, operands)


def _same_again(case: _Case) -> None:
    """The same inputs give the same result."""
    operands = case.operands()
    first, second = case.compute(case.node, operands), case.compute(case.node, operands)
    if first.tobytes() != second.tobytes():
        raise AssertionError(f"{first}\n  and then\n  {second}")


def _value(case: _Case) -> None:
    """What is inferred is computed, and the value is the expected one."""
    _agree(case.value(), case.expected(), case.tolerance())


def _gradients(case: _Case) -> None:
    """Gradients agree with differences."""
    if case.node.spec.floating and case.floating:
        check_gradients(case.node, case.floating, case.feeds, order=case.sample.order)


def _used_twice(case: _Case) -> None:
    """Where one node is two operands, the value stays and the gradients add up."""
    for i, j in combinations(range(len(case.arrays)), 2):
        one, other = case.arrays[i], case.arrays[j]
        if one.shape != other.shape or one.dtype != other.dtype or one.dtype.kind != "f":
            continue
        arrays = (*case.arrays[:j], one, *case.arrays[j + 1 :])
        apart, joined = case.variant(arrays=arrays), case.variant(arrays=arrays, twice=(i, j))
        if apart is None or joined is None:
            continue
        _agree(joined.value(), apart.value(), 0.0)
        slopes, sums = apart.slopes(), joined.slopes()
        if slopes:
            place = [k for k, x in enumerate(case.arrays) if x.dtype.kind == "f"].index
            _agree(sums[place(i)], slopes[place(i)] + slopes[place(j)], TOLERANCES["float64"])


def _float32(case: _Case) -> None:
    """A float32 graph stays float32, gradients included, and gives nearly the same."""
    small = _Case(case.sample, dtype="float32", device=case.graph.device)
    _agree(small.value(), case.expected(), small.tolerance())
    _check_width(small.graph)
    for narrow, wide in zip(small.slopes(), case.slopes(), strict=True):
        _agree(narrow, wide, 10 * TOLERANCES["float32"])
    _check_width(small.graph)


def _unknown_size(case: _Case) -> None:
    """A first axis that is declared None makes no difference."""
    places = case.together()
    fed = case.variant(unknown=places) or case.variant(unknown=places[:1])
    if fed is None or not places:
        return
    value = case.value()
    if len(fed.node.shape) != value.ndim or any(
        size not in (None, known) for size, known in zip(fed.node.shape, value.shape, strict=True)
    ):
        raise AssertionError(f"shape {fed.node.shape} is inferred, {value.shape} is computed")
    _agree(fed.value(), value, 0.0)
    for found, known in zip(fed.slopes(), case.slopes(), strict=True):
        _agree(found, known, TOLERANCES["float64"])


def _small_axes(case: _Case) -> None:
    """A first axis of size 0 or 1 works, or is refused while the graph is built."""
    places = case.together()
    for size in (0, 1):
        arrays = tuple(x[:size] if i in places else x for i, x in enumerate(case.arrays))
        small = case.variant(arrays=arrays)
        if small is None:
            continue
        try:
            small.value()
            small.slopes()
        except FeedError:
            continue  # an integer that was an index into the axis
        except RunError as error:
            if not isinstance(error.__cause__, IndexError):
                raise


def _function(case: _Case) -> None:
    """`ms.function` gives what `graph.forward` gives, gradients included."""
    for dtype in ("float64", "float32"):
        one, other = case.variant(dtype=dtype), case.variant(dtype=dtype)
        assert one is not None
        assert other is not None
        # Native code takes long to make: that of the gradients is looked at once.
        nodes, others = (
            [x.node, *(x.slope_nodes() if dtype == "float32" else ())] for x in (one, other)
        )
        values = one.graph.forward(nodes, one.feeds)
        found = function(other.inputs, others, training=True)(*other.arrays)
        for came, expected in zip(found, values, strict=True):
            _agree(to_host(came), to_host(expected), TOLERANCES.get(came.dtype.name, 0.0))


def _inference(case: _Case) -> None:
    """An inference program keeps shape and dtype."""
    value = function(case.inputs, case.node, training=False, compile=False)(*case.arrays)
    if (value.shape, value.dtype) != (case.node.shape, case.node.dtype):
        raise AssertionError(f"{case.node.spec} is inferred, {value.shape} {value.dtype} came")


def _rebuilt(case: _Case) -> None:
    """Its inputs and attributes build it again, and a file can hold the attributes."""
    node = case.node
    for option, value in node.attributes.items():
        if not _is_plain(value):
            raise AssertionError(
                f"attribute {option} = {value!r} ({type(value).__name__}): store numbers, text, "
                "dtypes, None and tuples of these"
            )
    with case.graph:
        again = type(node)(*node.inputs, **node.attributes, name="again")
    if (again.spec, again.attributes) != (node.spec, node.attributes):
        raise AssertionError(f"{again!r} {again.attributes} was built from {node.attributes}")
    operands = case.operands()
    _agree(case.compute(again, operands), case.compute(node, operands), 0.0)


def _shown(case: _Case) -> None:
    """Its text names it, and an error names its inputs and the line that built it."""
    node = case.node
    error = str(node.explain(ShapeError("a rule", hint="a remedy")))
    for part in (type(node).__name__, node.name):
        if part not in repr(node):
            raise AssertionError(f"{part!r} is missing in {node!r}")
    for part in (
        repr(node.name),
        str(node.site),
        "a rule",
        "a remedy",
        *(x.name for x in node.inputs),
    ):
        if part not in error:
            raise AssertionError(f"{part!r} is missing in\n{error}")


PROMISES = (
    *(_inputs_stay, _same_again, _value, _gradients, _used_twice, _float32, _unknown_size),
    *(_small_axes, _function, _inference, _rebuilt, _shown),
)


def _agree(found: HostArray, expected: HostArray, tolerance: float) -> None:
    """Hold two arrays together, within a tolerance relative to the largest entry.

    Raises:
        AssertionError: They differ; the text names the worst entry.
    """
    if found.shape != expected.shape:
        raise AssertionError(f"shape {found.shape} came, {expected.shape} is expected")
    with np.errstate(all="ignore"):
        error = np.abs(found.astype("float64") - expected)
        largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)) or 1.0
    same = (found == expected) | ((found != found) & (expected != expected))
    error = np.where(same, 0.0, np.nan_to_num(error, nan=np.inf) / largest)
    if error.max(initial=0.0) > tolerance:
        index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
        raise AssertionError(
            f"at {index} {found[index]} came, {expected[index]} is expected: "
            f"{error.max():.2g} of the largest entry, {tolerance:.2g} is allowed"
        )


def _check_width(graph: Graph) -> None:
    for node in graph.nodes:
        asked = () if isinstance(node, Leaf) else map(str, node.attributes.values())
        if node.dtype == np.float64 and "float64" not in asked:
            inputs = ", ".join(map(repr, node.inputs)) or "nothing"
            raise AssertionError(f"{node!r} is made of {inputs}")


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str, type(None)) or isinstance(value, np.dtype)
