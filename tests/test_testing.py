"""The checks that users test their own operators with: what is broken must be seen and named."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import matrixslow as ms
from matrixslow.backend import Array
from matrixslow.core import Node, Operand, Spec
from matrixslow.errors import ArgumentError, DTypeError, FeedError, ShapeError
from matrixslow.ops.elementwise import FloatingElementwise
from matrixslow.testing import (
    REFERENCE_MODELS,
    Sample,
    check_gradients,
    check_operator,
    contract,
)

X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])


# ---- operators, of which all but the first break one promise -------------------------------------


class Squared(FloatingElementwise):
    """y = x**2, as it should be."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return (2.0 * upstream * self.inputs[0],)


class SquaredInPlace(Squared):
    """Writes its result into its input."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        x *= x
        return x


class SquaredAtRandom(Squared):
    """Gives another result each time."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x + np.random.default_rng().normal()


class SquaredOff(Squared):
    """Is slightly wrong."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x - 1e-6


class SquaredOtherShape(Squared):
    """Infers a shape that it does not compute."""

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape[::-1], x.dtype)


class SquaredHalfSlope(Squared):
    """Forgets the factor 2."""

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return (upstream * self.inputs[0],)


class Signum(FloatingElementwise):
    """y = -1, 0 or 1."""

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return xp.sign(x)


class SquaredPositiveSlope(Squared):
    """Has a slope that is wrong for negative numbers."""

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        (x,) = self.inputs
        return (2.0 * upstream * x * Signum(x),)


class DoubledConstant(FloatingElementwise):
    """y = 2 * x, said to have no slope."""

    gradient = None

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return 2.0 * x


class SquaredConstantSlope(Squared):
    """Has the right slope, which cannot be differentiated again."""

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return (upstream * DoubledConstant(self.inputs[0]),)


class SquaredNoRule(FloatingElementwise):
    """Has no rule at all."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x


class SquaredWide(Squared):
    """Computes in float64 whatever comes."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x * np.float64(1.0)


class SquaredDeclaredWide(Squared):
    """Computes in float64 whatever comes, and says so."""

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape, "float64")

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return (x * x).astype("float64")


class SquaredKnownSize(Squared):
    """Reckons with sizes that may be None."""

    def infer(self, x: Spec) -> Spec:
        return Spec((2 * x.shape[0] // 2, x.shape[1]), x.dtype)


class SquaredWrongSize(Squared):
    """Takes a size that is fed for 2."""

    def infer(self, x: Spec) -> Spec:
        return Spec((x.shape[0] or 3, x.shape[1]), x.dtype)


class SquaredFirstSample(Squared):
    """Looks at the first sample, which need not be there."""

    def compute(self, xp: ModuleType, x: Array) -> Array:
        return x * x + 0.0 * x.max()


class SquaredSmallInference(Squared):
    """Has another shape in inference programs."""

    def inference(self) -> Node:
        return self.graph["one"]


class SquaredForgetful(Squared):
    """Does not store its option as it was given."""

    def __init__(self, x: Operand, *, scale: float = 1.0, name: str | None = None) -> None:
        self.scale = scale + 1.0
        super().__init__(x, name=name)


class SquaredUnstorable(Squared):
    """Stores an option that no file holds."""

    def __init__(self, x: Operand, *, scale: Any = 1.0, name: str | None = None) -> None:
        self.scale = np.float32(scale)
        super().__init__(x, name=name)


class SquaredNameless(Squared):
    """Hides its name."""

    def __repr__(self) -> str:
        return "a node"


class Minus(FloatingElementwise):
    """y = a - b, with a rule that asks which input it is looking at, as MatrixSlow's do."""

    def compute(self, xp: ModuleType, a: Array, b: Array) -> Array:
        return a - b

    def gradient(self, upstream: Node) -> tuple[Node, ...]:
        return tuple(upstream if x is self.inputs[0] else -upstream for x in self.inputs)


def sample(operator: type[Node]) -> Sample:
    return Sample(f"{operator.__name__} of a matrix", operator, (X,), X * X)


def small_at_inference(x: Node) -> Node:
    ms.Constant(1.0, dtype=x.dtype, name="one")
    return SquaredSmallInference(x)


BROKEN = [
    (
        sample(SquaredInPlace),
        "An operator never writes to its inputs.",
        "output array is read-only",
    ),
    (sample(SquaredAtRandom), "The same inputs give the same result.", "and then"),
    (
        sample(SquaredOff),
        "What is inferred is computed, and the value is the expected one.",
        "at (0, 1) 2.249999 came, 2.25 is expected: 2.5e-07 of the largest entry, 1e-10 is allowed",
    ),
    (
        sample(SquaredOtherShape),
        "What is inferred is computed, and the value is the expected one.",
        "infer promised (3, 2) float64, compute returned (2, 3) float64",
    ),
    (
        sample(SquaredHalfSlope),
        "Gradients agree with differences.",
        "the rule gives -0.692212, differences give -1.38442 (step 1e-05)",
    ),
    (
        sample(SquaredConstantSlope),
        "Gradients agree with differences.",
        "the gradient of order 2 of SquaredConstantSlope 'squaredconstantslope'",
    ),
    (
        sample(SquaredNoRule),
        "Gradients agree with differences.",
        "has no gradient rule",
    ),
    (
        Sample("Minus of two vectors", Minus, (X[0], X[1]), X[0] - X[1]),
        "Where one node is two operands, the value stays and the gradients add up.",
        "0.0 is expected",
    ),
    (
        sample(SquaredWide),
        "A float32 graph stays float32, gradients included, and gives nearly the same.",
        "infer promised (2, 3) float32, compute returned (2, 3) float64",
    ),
    (
        sample(SquaredDeclaredWide),
        "A float32 graph stays float32, gradients included, and gives nearly the same.",
        "SquaredDeclaredWide 'squareddeclaredwide' (2, 3) float64 is made of "
        "Input 'input' (2, 3) float32",
    ),
    (
        sample(SquaredKnownSize),
        "A first axis that is declared None makes no difference.",
        "unsupported operand type(s) for *: 'int' and 'NoneType'",
    ),
    (
        sample(SquaredWrongSize),
        "A first axis that is declared None makes no difference.",
        "shape (3, 3) is inferred, (2, 3) is computed",
    ),
    (
        sample(SquaredFirstSample),
        "A first axis of size 0 or 1 works, or is refused while the graph is built.",
        "zero-size array to reduction operation maximum which has no identity",
    ),
    (
        Sample("SquaredSmallInference of a matrix", small_at_inference, (X,), X * X),
        "An inference program keeps shape and dtype.",
        "(2, 3) float64 is inferred, () float64 came",
    ),
    (
        sample(SquaredForgetful),
        "Its inputs and attributes build it again, and a file can hold the attributes.",
        "{'scale': 3.0} was built from {'scale': 2.0}",
    ),
    (
        sample(SquaredUnstorable),
        "Its inputs and attributes build it again, and a file can hold the attributes.",
        "attribute scale = np.float32(1.0) (float32): store numbers, text, dtypes, None and tuples "
        "of these",
    ),
    (
        sample(SquaredNameless),
        "Its text names it, and an error names its inputs and the line that built it.",
        "'SquaredNameless' is missing in a node",
    ),
]


def test_a_sound_operator_passes(device: str) -> None:
    check_operator(sample(Squared), device=device)


@pytest.mark.parametrize(
    ("broken", "promise", "numbers"), BROKEN, ids=lambda x: getattr(x, "name", "")
)
def test_a_broken_promise_is_named(broken: Sample, promise: str, numbers: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_operator(broken)
    assert str(caught.value).startswith(f"{broken.name}\n  broken  {promise}\n  ")
    assert numbers in str(caught.value)


def test_every_promise_is_broken_once() -> None:
    named = {promise for _, promise, _ in BROKEN} | {
        "`ms.function` gives what `graph.forward` gives, gradients included."
    }
    assert named == {promise.__doc__ for promise in contract.PROMISES}


def test_a_function_that_computes_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "function", lambda *_, **__: lambda x: [1.01 * x * x])
    with pytest.raises(AssertionError) as caught:
        check_operator(sample(Squared))
    assert str(caught.value) == (
        "Squared of a matrix\n"
        "  broken  `ms.function` gives what `graph.forward` gives, gradients included.\n"
        "  at (0, 2) 4.04 came, 4.0 is expected: 0.01 of the largest entry, 1e-10 is allowed"
    )


def test_warnings_of_numpy_are_failures() -> None:
    class MeanOfAll(FloatingElementwise):
        gradient = None

        def infer(self, x: Spec) -> Spec:
            return Spec((), x.dtype)

        def compute(self, xp: ModuleType, x: Array) -> Array:
            return xp.mean(x)

    with pytest.raises(AssertionError, match="Mean of empty slice"):
        check_operator(Sample("mean", MeanOfAll, (X,), X.mean(), order=0))


def test_shapes_that_infer_refuses_break_no_promise() -> None:
    class SquaredTwoByThree(Squared):
        def infer(self, x: Spec) -> Spec:
            if x.shape != (2, 3):
                raise ShapeError("two rows of three are needed")
            return x

    check_operator(sample(SquaredTwoByThree))


# ---- check_gradients ----------------------------------------------------------------------------


def test_an_entry_that_is_wrong_is_named(graph: ms.Graph) -> None:
    x = ms.Variable([[0.5, 2.0], [-1.5, 1.0]], dtype="float64", name="x")
    y = SquaredPositiveSlope(x, name="y")
    with pytest.raises(AssertionError) as caught:
        check_gradients(y, [x])
    assert str(caught.value) == (
        "the gradient of order 1 of SquaredPositiveSlope 'y' (2, 2) float64 is wrong\n"
        "  for example 'x' at (1, 0): the rule gives 1.92127, differences give -1.92127\n"
        "  along a random direction: the rule gives 2.44561, differences give -2.56506 "
        "(step 1e-05)"
    )


def test_one_wrong_entry_among_many_is_found(graph: ms.Graph) -> None:
    values = np.linspace(0.5, 1.5, 3000).reshape(50, 60)
    values[31, 7] *= -1
    w, x = ms.Variable(np.ones(9), dtype="float64"), ms.Variable(values, dtype="float64", name="x")
    with pytest.raises(AssertionError, match=r"for example 'x' at \(31, 7\): the rule gives"):
        check_gradients(
            ms.ops.Concat(Squared(w), ms.ops.Flatten(SquaredPositiveSlope(x), axis=0)[0], axis=0),
            [w, x],
        )


def test_the_graph_is_left_as_it_was_found(graph: ms.Graph) -> None:
    x = ms.Input((None, 3), dtype="float64", name="x")
    w = ms.Variable(np.ones(3), dtype="float64", name="w")
    y = Squared(x * w)
    nodes, held = graph.nodes, w.value
    check_gradients(y, [x, w], {x: X})
    with pytest.raises(AssertionError):
        check_gradients(SquaredHalfSlope(w, name="z"), [w])
    assert graph.nodes == (*nodes, graph["z"])
    np.testing.assert_array_equal(w.value, held)


def test_small_gradients_are_compared_as_strictly_as_large_ones(graph: ms.Graph) -> None:
    for size in (1e-9, 1e9):
        x = ms.Variable(size * X, dtype="float64")
        check_gradients(Squared(x), [x], step=1e-5 * size)
        with pytest.raises(AssertionError, match="the gradient of order 1 of SquaredHalfSlope"):
            check_gradients(SquaredHalfSlope(x), [x], step=1e-5 * size)


def test_random_numbers_stand_still_while_they_are_checked(graph: ms.Graph) -> None:
    x = ms.Variable(np.arange(1.0, 41.0), dtype="float64")
    y = ms.ops.Dropout(x * x, ratio=0.5)
    (counter,) = (variable for variable in graph.variables if variable is not x)
    check_gradients(y, [x])
    assert counter.value == 0


def test_no_slope_is_compared_with_differences_too(graph: ms.Graph) -> None:
    x = ms.Variable(X, dtype="float64", name="x")
    check_gradients(Signum(x), [x])
    with pytest.raises(AssertionError, match="the rule gives 0, differences give"):
        check_gradients(DoubledConstant(x), [x])


def test_third_order(graph: ms.Graph) -> None:
    x = ms.Variable(X, dtype="float64", name="x")
    check_gradients(Squared(x) * x * x, [x], order=4)


def test_a_gradient_that_is_nan_is_wrong(graph: ms.Graph) -> None:
    x = ms.Variable([0.0], dtype="float64", name="x")
    with pytest.raises(AssertionError, match="the rule gives nan, differences give 0"):
        check_gradients(x * x / x, [x])


def test_only_leaves_can_be_moved(graph: ms.Graph) -> None:
    x = ms.Variable(X, dtype="float64", name="x")
    y = Squared(x, name="y")
    with pytest.raises(ArgumentError) as caught:
        check_gradients(y, [y])
    assert str(caught.value) == (
        "check_gradients: Squared 'y' (2, 3) float64 is neither a variable nor an input\n"
        "  hint   give the variables and inputs that differences are to move"
    )


def test_float32_has_too_few_digits(graph: ms.Graph) -> None:
    x = ms.Variable(X, name="x")
    with pytest.raises(DTypeError) as caught:
        check_gradients(Squared(x), [x])
    assert str(caught.value) == (
        "check_gradients: Variable 'x' (2, 3) float32 is not float64, and differences need its "
        'digits\n  hint   build the graph with dtype="float64"'
    )


def test_a_missing_feed_is_named(graph: ms.Graph) -> None:
    x = ms.Input((2,), dtype="float64", name="x")
    with pytest.raises(FeedError, match="1 of 1 inputs are not fed"):
        check_gradients(Squared(x), [x])


# ---- reference models ---------------------------------------------------------------------------

MODELS = pytest.mark.parametrize("build", REFERENCE_MODELS.values(), ids=REFERENCE_MODELS)


@MODELS
def test_reference_models_have_the_gradients_of_differences(build: Any) -> None:
    model = build(dtype="float64")
    weights = [variable for variable in model.graph.variables if variable.trainable]
    smooth = build.__name__ not in ("cnn", "resnet")
    check_gradients(model.loss, weights, model.feeds(3), order=2 if smooth else 1, step=1e-7)


@MODELS
def test_reference_models_compute_the_same_compiled(build: Any) -> None:
    model, again = build(), build()
    feeds = model.feeds(3)
    found = ms.function(again.inputs, [again.output, again.loss], training=True)(*feeds.values())
    expected = model.graph.forward([model.output, model.loss], feeds)
    assert [x.shape for x in found] == [x.shape for x in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@MODELS
def test_reference_models_learn(build: Any) -> None:
    model = build()
    updates = ms.optimizers.Adam(0.01).minimize(model.loss)
    step = ms.function(model.inputs, model.loss, updates=updates)
    arrays = model.feeds(8, seed=1).values()
    losses = [float(step(*arrays)) for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]
    model_dtypes = {node.dtype.name for node in model.graph.nodes if not node.derived}
    assert model_dtypes <= {"float32", "int64", "bool"}


def test_reference_models_are_the_same_for_the_same_seed() -> None:
    states = [ms.testing.mlp(seed=seed).graph.state_dict() for seed in (1, 1, 2)]
    first, again, other = (state["dense/W"] for state in states)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    data = [ms.testing.mlp().feeds(2, seed=seed).values() for seed in (3, 3, 4)]
    first, again, other = (next(iter(arrays)) for arrays in data)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# ---- the page on operators of one's own ---------------------------------------------------------

DOCS = Path(__file__).resolve().parents[1] / "docs"


def python_of(page: str) -> tuple[str, str]:
    """The Python blocks of a page, at the lines where they stand; and their text alone."""
    text = (DOCS / page).read_text("utf-8")
    code, alone = "", ""
    for block in re.finditer(r"^```python\n(.*?)^```$", text, flags=re.M | re.S):
        code += "\n" * (text.count("\n", 0, block.start(1)) - code.count("\n")) + block[1]
        alone += block[1]
    return code, alone


def test_the_page_on_own_operators_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    code, alone = python_of("own_operator.md")
    exec(compile(code, str(DOCS / "own_operator.md"), "exec"), {"__name__": "__main__"})
    assert "hint   give series at least one element there" in capsys.readouterr().out
    assert python_of("own_operator.zh-CN.md")[1] == alone
    example = (DOCS.parent / "examples" / "own_operator.py").read_text("utf-8")
    start = alone.index("class LogCosh")
    assert alone[start : alone.index("with ms.Graph")].strip() in example
