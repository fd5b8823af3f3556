"""Random operators: numbers drawn by counting, so that every device and every rerun agrees.

A number is a function of three things: a key (the graph's seed and the name of a stream), the
graph's counter of runs, and the number's place in the array. Nothing is kept between runs but the
counter, an ordinary variable, so that a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.context import current_graph
from matrixslow.core.leaf import Variable
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import (
    FLOAT,
    DTypeLike,
    Spec,
    floating_dtype,
    normalize_axis,
)
from matrixslow.errors import ArgumentError, DTypeError
from matrixslow.ops.elementwise import Add
from matrixslow.ops.philox import WORD, bits, normal, uniform, unit


class Random(Node):
    """Base of the random operators, whose last input is the graph's counter of runs.

    They add one to it at the end of a run.

    Args:
        inputs: What else the operator takes.
        counter: The counter of runs; the graph's own where none is given, as it should be in
            programs. A constant in its place gives the same numbers at every run.
        stream: The name of the numbers drawn; by default the node's own. Nodes with one stream
            draw the same numbers, as a gradient does that needs them once more.
        name: Unique in the graph.
    """

    stream: str

    def __init__(
        self, *inputs: Operand, counter: Node | None, stream: str | None, name: str | None
    ) -> None:
        if counter is None:
            graphs = (x.graph for x in inputs if isinstance(x, Node))
            counter = (next(graphs, None) or current_graph()).counter
        if not isinstance(counter, Node) or counter.ndim or counter.dtype.kind not in "iu":
            raise ArgumentError(
                f"{type(self).__name__}: {counter!r} is no counter of runs",
                hint="options are given by name; the graph's own counter is taken by itself",
            )
        super().__init__(*inputs, counter, name=name)
        self.stream = self.name if stream is None else stream

    @property
    def key(self) -> int:
        """The key of the stream."""
        return self.graph.key(self.stream)

    def updates(self) -> Sequence[tuple[Node, Node]]:
        """The counter and its successor: one node for all random operators of a graph."""
        counter = self.inputs[-1]
        if not isinstance(counter, Variable):
            return ()
        scope = f"updates/{counter.name}"
        successor = f"{scope}/next"
        if successor not in self.graph:
            with self.graph, self.graph.scope(scope, absolute=True):
                Add(counter, 1, name="next")
        return ((counter, self.graph[successor]),)


class RandomUniform(Random):
    """y evenly distributed over low <= y < high.

    Args:
        shape: The sizes of the axes.
        low: The least value.
        high: What values stay below.
        dtype: A floating-point type.
        counter, stream: See `Random`.

    Shapes: y (shape).
    Raises: ArgumentError unless low < high; DTypeError unless dtype is floating-point.

    >>> with ms.Graph(seed=0) as graph:
    ...     noise = ms.ops.RandomUniform(shape=(2, 3), low=-1.0, high=1.0)
    >>> bool(abs(graph.forward(noise)).max() <= 1)
    True
    """

    gradient = None

    def __init__(
        self,
        counter: Node | None = None,
        *,
        shape: Sequence[int],
        low: float = 0.0,
        high: float = 1.0,
        dtype: DTypeLike = FLOAT,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self._given = _known_spec(self, shape, dtype)
        self.low, self.high = _bounds(self, low, high)
        super().__init__(counter=counter, stream=stream, name=name)

    def infer(self, counter: Spec) -> Spec:
        return _floating(self._given)

    def compute(self, xp: ModuleType, counter: Array) -> Array:
        return uniform(xp, self.key, counter, self._given, self.low, self.high)


class RandomUniformLike(Random):
    """y in the shape of x, evenly distributed over low <= y < high.

    Args:
        x: What lends its shape, never its values.
        low: The least value.
        high: What values stay below.
        dtype: A floating-point type; by default that of x.
        counter, stream: See `Random`.

    Shapes: x (any), y as x.
    Raises: ArgumentError unless low < high; DTypeError unless the dtype is floating-point.

    >>> with ms.Graph(seed=0) as graph:
    ...     x = ms.Input((None, 2), name="x")
    ...     jitter = x + ms.ops.RandomUniformLike(x, low=-0.1, high=0.1)
    >>> bool(abs(graph.forward(jitter, {x: [[0.0, 0.0]]})).max() <= 0.1)
    True
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        counter: Node | None = None,
        *,
        low: float = 0.0,
        high: float = 1.0,
        dtype: DTypeLike | None = None,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self.low, self.high = _bounds(self, low, high)
        self._wanted = dtype
        super().__init__(x, counter=counter, stream=stream, name=name)

    def infer(self, x: Spec, counter: Spec) -> Spec:
        return _floating(Spec(x.shape, x.dtype if self._wanted is None else self._wanted))

    def compute(self, xp: ModuleType, x: Array, counter: Array) -> Array:
        return uniform(xp, self.key, counter, Spec(x.shape, self.dtype), self.low, self.high)


class RandomNormal(Random):
    """y normally distributed.

    Args:
        shape: The sizes of the axes.
        mean: The mean.
        scale: The standard deviation.
        dtype: A floating-point type.
        counter, stream: See `Random`.

    Shapes: y (shape).
    Raises: ArgumentError unless scale >= 0; DTypeError unless dtype is floating-point.

    >>> with ms.Graph(seed=0) as graph:
    ...     noise = ms.ops.RandomNormal(shape=(2, 3), scale=0.1)
    >>> graph.forward(noise).shape
    (2, 3)
    """

    gradient = None

    def __init__(
        self,
        counter: Node | None = None,
        *,
        shape: Sequence[int],
        mean: float = 0.0,
        scale: float = 1.0,
        dtype: DTypeLike = FLOAT,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self._given = _known_spec(self, shape, dtype)
        self.mean, self.scale = float(mean), _scale(self, scale)
        super().__init__(counter=counter, stream=stream, name=name)

    def infer(self, counter: Spec) -> Spec:
        return _floating(self._given)

    def compute(self, xp: ModuleType, counter: Array) -> Array:
        return normal(xp, self.key, counter, self._given, self.mean, self.scale)


class RandomNormalLike(Random):
    """y in the shape of x, normally distributed.

    Args:
        x: What lends its shape, never its values.
        mean: The mean.
        scale: The standard deviation.
        dtype: A floating-point type; by default that of x.
        counter, stream: See `Random`.

    Shapes: x (any), y as x.
    Raises: ArgumentError unless scale >= 0; DTypeError unless the dtype is floating-point.

    >>> with ms.Graph(seed=0) as graph:
    ...     mean = ms.Input((None, 2), name="mean")
    ...     sample = mean + 0.1 * ms.ops.RandomNormalLike(mean)
    >>> graph.forward(sample, {mean: [[0.0, 1.0]]}).shape
    (1, 2)
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        counter: Node | None = None,
        *,
        mean: float = 0.0,
        scale: float = 1.0,
        dtype: DTypeLike | None = None,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self.mean, self.scale = float(mean), _scale(self, scale)
        self._wanted = dtype
        super().__init__(x, counter=counter, stream=stream, name=name)

    def infer(self, x: Spec, counter: Spec) -> Spec:
        return _floating(Spec(x.shape, x.dtype if self._wanted is None else self._wanted))

    def compute(self, xp: ModuleType, x: Array, counter: Array) -> Array:
        return normal(xp, self.key, counter, Spec(x.shape, self.dtype), self.mean, self.scale)


class Bernoulli(Random):
    """y = 1 with probability x, else 0.

    Args:
        x: Probabilities, from 0 to 1.
        dtype: The type of y; by default that of x.
        counter, stream: See `Random`.

    Shapes: x (any), y as x.
    Raises: DTypeError unless x is floating-point.

    >>> with ms.Graph(seed=0) as graph:
    ...     coins = ms.ops.Bernoulli(ms.Constant([0.0, 1.0]), dtype="bool")
    >>> graph.forward(coins)
    array([False,  True])
    """

    gradient = None

    def __init__(
        self,
        x: Operand,
        counter: Node | None = None,
        *,
        dtype: DTypeLike | None = None,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self._wanted = dtype
        super().__init__(x, counter=counter, stream=stream, name=name)

    def infer(self, x: Spec, counter: Spec) -> Spec:
        dtype = floating_dtype(x)
        return Spec(x.shape, dtype if self._wanted is None else self._wanted)

    def compute(self, xp: ModuleType, x: Array, counter: Array) -> Array:
        u = unit(xp, self.key, counter, x.size, x.dtype).reshape(x.shape)
        return (u < x).astype(self.dtype)


class Dropout(Random):
    """y = x / (1 - ratio) where a coin says keep, 0 where it says drop, with probability `ratio`.

    The coin of an element falls anew at every run, for the gradient as it fell for the value. At
    inference y = x.

    Args:
        x: Activations.
        ratio: The probability of being dropped, 0 <= ratio < 1.
        counter, stream: See `Random`.

    Shapes: x (any), y as x.
    Raises: ArgumentError for a ratio outside 0 <= ratio < 1; DTypeError unless x is floating-point.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting"
        (2014), section 10, where training is scaled instead of inference.

    >>> with ms.Graph(seed=0) as graph:
    ...     y = ms.ops.Dropout(ms.Constant(np.ones(8)), ratio=0.5)
    >>> sorted(set(graph.forward(y).tolist())), graph.forward(y, training=False).max()
    ([0.0, 2.0], np.float32(1.0))
    """

    def __init__(
        self,
        x: Operand,
        counter: Node | None = None,
        *,
        ratio: float = 0.5,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        if not 0 <= ratio < 1:
            raise ArgumentError(
                f"Dropout: ratio={ratio!r}",
                hint="give the share that is dropped, 0 <= ratio < 1",
            )
        self.ratio = float(ratio)
        super().__init__(x, counter=counter, stream=stream, name=name)

    def infer(self, x: Spec, counter: Spec) -> Spec:
        return Spec(x.shape, floating_dtype(x))

    def compute(self, xp: ModuleType, x: Array, counter: Array) -> Array:
        words = bits(xp, self.key, counter, x.size).reshape(x.shape)
        kept = words >= min(round(self.ratio * 2**32), WORD)
        return xp.where(kept, x * (1.0 / (1.0 - self.ratio)), xp.zeros((), x.dtype))

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        _, counter = self.inputs
        return Dropout(upstream, counter, ratio=self.ratio, stream=self.stream), None

    def inference(self) -> Node:
        return self.inputs[0]


class Shuffle(Random):
    """y = x with its entries along one axis in a random order, a new one at every run.

    Two nodes with one `stream` are shuffled in the same order: samples and their labels.

    Args:
        x: What is shuffled.
        axis: The axis whose entries change places.
        inverse: Whether to put back what a shuffle of the same stream did.
        counter, stream: See `Random`.

    Shapes: x (any with that axis), y as x.
    Raises: ShapeError where there is no such axis.

    >>> with ms.Graph(seed=0) as graph:
    ...     y = ms.ops.Shuffle(ms.Constant([[1, 2], [3, 4], [5, 6]]))
    >>> sorted(graph.forward(y).tolist())
    [[1, 2], [3, 4], [5, 6]]
    """

    def __init__(
        self,
        x: Operand,
        counter: Node | None = None,
        *,
        axis: int = 0,
        inverse: bool = False,
        stream: str | None = None,
        name: str | None = None,
    ) -> None:
        self.axis, self.inverse = axis, inverse
        super().__init__(x, counter=counter, stream=stream, name=name)

    def infer(self, x: Spec, counter: Spec) -> Spec:
        normalize_axis(self.axis, x.ndim)
        return x

    def compute(self, xp: ModuleType, x: Array, counter: Array) -> Array:
        size = x.shape[self.axis]
        words = bits(xp, self.key, counter, 2 * size).astype(xp.uint64)
        order = xp.argsort((words[0::2] << 32) | words[1::2])
        if self.inverse:
            order = xp.argsort(order)
        return xp.take(x, order, axis=self.axis)

    def gradient(self, upstream: Node) -> tuple[Node, None]:
        _, counter = self.inputs
        back = not self.inverse
        return Shuffle(upstream, counter, axis=self.axis, inverse=back, stream=self.stream), None


def _known_spec(node: Node, shape: Sequence[int], dtype: DTypeLike) -> Spec:
    spec = Spec(shape, dtype)
    if spec.size is None:
        raise ArgumentError(
            f"{type(node).__name__}: shape {spec.shape} has an axis of unknown size",
            hint=f"give every size, or ms.ops.{type(node).__name__}Like(x) to take the shape of x",
        )
    return spec


def _floating(spec: Spec) -> Spec:
    if not spec.floating:
        raise DTypeError(
            f"random numbers are floating-point, {spec.dtype} was asked for",
            hint='give dtype="float32"',
        )
    return spec


def _bounds(node: Node, low: float, high: float) -> tuple[float, float]:
    if not low < high:
        raise ArgumentError(
            f"{type(node).__name__}: low={low!r} is not below high={high!r}", hint="give low < high"
        )
    return float(low), float(high)


def _scale(node: Node, scale: float) -> float:
    if not scale >= 0:
        raise ArgumentError(
            f"{type(node).__name__}: scale={scale!r}",
            hint="scale is the standard deviation: give a number from 0 up",
        )
    return float(scale)
