"""RNN, LSTM and GRU over whole sequences, with ONNX's inputs and layouts.

The input's share of all gates is one matrix product for all steps; only the state's share is left
to the loop over steps. The way back finds the gates again from the states, in one product too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from types import ModuleType

from matrixslow.backend import Array
from matrixslow.core.gradient import gradients
from matrixslow.core.leaf import Constant, Input
from matrixslow.core.node import Node, Operand
from matrixslow.core.spec import Shape, Spec, floating_dtype
from matrixslow.errors import DTypeError, GradientError, ShapeError
from matrixslow.ops.cells import Cell, GRUCell, LSTMCell, RNNCell
from matrixslow.ops.comparison import Equal, Where
from matrixslow.ops.elementwise import Identity, Sub
from matrixslow.ops.gather import GatherElements
from matrixslow.ops.joining import Concat, ConcatPart
from matrixslow.ops.like import BroadcastLike, ReshapeLike
from matrixslow.ops.options import as_choice
from matrixslow.ops.reduction import ReduceSum
from matrixslow.ops.scan import DIRECTIONS, back, forth, lay_out, strands
from matrixslow.ops.shaping import Reshape, Squeeze, Unsqueeze

CELLS: Mapping[str, Cell] = {
    "rnn_tanh": RNNCell("tanh"),
    "rnn_relu": RNNCell("relu"),
    "lstm": LSTMCell(),
    "gru": GRUCell(reset_after=False),
    "gru_reset_after": GRUCell(reset_after=True),
}


class Recurrence(Node):
    """Base of RNN, LSTM and GRU.

    A sequence that is shorter than the others is padded: its steps from its length on change no
    state, and their results are 0.

    Gradients are those of backpropagation through time. To be differentiated twice, the recurrence
    is laid out step by step in ordinary nodes: then the number of steps must be known.

    Args:
        x: The sequences, (steps, batch, features).
        w: The weights of the input, (directions, gates * hidden, features).
        r: The weights of the state, (directions, gates * hidden, hidden).
        optional: What else was given, None for what was not:
            b: The biases of w and of r side by side, (directions, 2 * gates * hidden). 0 if absent.
            sequence_lens: The lengths of the sequences, integers (batch). All steps if absent.
            initial_h, initial_c: The first state, (directions, batch, hidden). 0 if absent.
        direction: "forward", "reverse" or "bidirectional", which goes both ways.
        given: The names of the optional inputs that are there, in order, for a node that is built
            again from its inputs.
        name: Unique in the graph.
    """

    cell: str
    """What happens in a step, a key of CELLS."""

    def __init__(
        self,
        x: Operand,
        w: Operand,
        r: Operand,
        optional: Mapping[str, Operand | None],
        direction: str,
        given: Sequence[str] | None,
        name: str | None,
    ) -> None:
        present = {label: y for label, y in optional.items() if y is not None}
        self.direction = as_choice(self, "direction", direction, DIRECTIONS)
        self.given = tuple(present if given is None else given)
        super().__init__(x, w, r, *present.values(), name=name)
        lengths, steps = present.get("sequence_lens"), self.inputs[0].shape[0]
        if isinstance(lengths, Input) and steps is not None:
            lengths.limit(0, steps + 1, self)

    def infer(self, x: Spec, w: Spec, r: Spec, *given: Spec) -> Spec:
        named = dict(zip(self.given, given, strict=True))
        lengths = named.get("sequence_lens")
        dtype = floating_dtype(x, w, r, *(y for y in named.values() if y is not lengths))
        if lengths is not None and lengths.dtype.kind not in "iu":
            raise DTypeError(
                f"sequence_lens are numbers of steps, {lengths.dtype} came",
                hint='give integers: ms.Input((None,), dtype="int64")',
            )
        cell, directions = CELLS[self.cell], 2 if self.direction == "bidirectional" else 1
        _expect("x", x, (None, None, None), "steps, batch, features")
        steps, batch, features = x.shape
        _expect("r", r, (directions, None, None), "directions, gates * hidden, hidden")
        hidden = r.shape[2]
        gates = hidden and cell.gates * hidden
        layout = "directions, gates * hidden, "
        _expect("r", r, (directions, gates, hidden), layout + "hidden")
        _expect("w", w, (directions, gates, features), layout + "features")
        shapes: dict[str, tuple[Shape, str]] = {
            "b": ((directions, gates and 2 * gates), "directions, 2 * gates * hidden"),
            "sequence_lens": ((batch,), "batch"),
            "initial_h": ((directions, batch, hidden), "directions, batch, hidden"),
            "initial_c": ((directions, batch, hidden), "directions, batch, hidden"),
        }
        for label, spec in named.items():
            _expect(label, spec, *shapes[label])
        one = (steps, directions, batch, hidden)
        return Spec(one if cell.states == 1 else (cell.states, *one), dtype)

    def compute(self, xp: ModuleType, x: Array, w: Array, r: Array, *given: Array) -> Array:
        named = dict(zip(self.given, given, strict=True))
        cell, lengths = CELLS[self.cell], named.get("sequence_lens")
        found = [
            forth(xp, cell, strand, x, lengths)
            for strand in strands(cell, self.direction, w, r, named)
        ]
        series = [xp.stack(directions, axis=1) for directions in zip(*found, strict=True)]
        return xp.stack(series) if cell.states > 1 else series[0]

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        packed = RecurrenceGradient(
            *self.inputs,
            self,
            upstream,
            cell=self.cell,
            direction=self.direction,
            given=self.given,
        )
        return unpack(packed, self.inputs)

    def outputs(self) -> tuple[Node, ...]:
        """ONNX's outputs as nodes: Y of all steps, Y_h after the last one, for LSTM also Y_c.

        Y has the shape (steps, directions, batch, hidden), the others (directions, batch, hidden).
        A sequence's last step is the one at its length; what goes in reverse ends at the first.
        """
        with self.graph:
            series = [self] if CELLS[self.cell].states == 1 else [self[0], self[1]]
            return (series[0], *(self._last(states) for states in series))

    def _last(self, states: Node) -> Node:
        """The state (directions, batch, hidden) after the last step."""
        forward = states[:, :1] if self.direction == "bidirectional" else states
        ends = []
        if self.direction != "reverse":
            ends.append(self._end(forward))
        if self.direction != "forward":
            ends.append(states[0, -1:])
        return ends[0] if len(ends) == 1 else Concat(*ends, axis=0)

    def _end(self, states: Node) -> Node:
        """The entry (1, batch, hidden) at each sequence's length."""
        if "sequence_lens" not in self.given:
            return states[-1]
        lengths = self.inputs[3 + self.given.index("sequence_lens")]
        last = Reshape(Sub(lengths, Constant(1, dtype=lengths.dtype)), shape=(1, 1, -1, 1))
        steps = self.inputs[0].shape[0]
        if steps is not None:  # one pass over all states, which are fused with what comes next
            numbers = Constant([[[[step]]] for step in range(steps)], dtype=lengths.dtype)
            ends = Where(Equal(numbers, last), states, Constant(0.0, dtype=states.dtype))
            return ReduceSum(ends, axes=0, keepdims=False)
        return Squeeze(GatherElements(states, BroadcastLike(last, states[:1]), axis=0), axes=0)


class RNN(Recurrence):
    """y[t] = f(x[t] w' + b_w + y[t-1] r' + b_r), f = tanh or relu, for every step t.

    Args:
        x: The sequences.
        w, r, b: The weights of input and state, and the biases of both.
        sequence_lens: The number of steps of each sequence; all of them by default.
        initial_h: The state before the first step; 0 by default.
        direction: "forward", "reverse" or "bidirectional".
        activation: "tanh" or "relu".
        given: See `Recurrence`.

    Shapes: x (steps, batch, features), w (directions, hidden, features),
        r (directions, hidden, hidden), b (directions, 2 * hidden), sequence_lens (batch),
        initial_h (directions, batch, hidden), y (steps, directions, batch, hidden).
    Raises: ShapeError and DTypeError where these do not fit.
    Source: Elman, "Finding structure in time" (1990).

    >>> with ms.Graph() as graph:
    ...     x = ms.Constant(np.ones((5, 2, 3)))
    ...     w, r = ms.Constant(np.ones((1, 4, 3))), ms.Constant(np.zeros((1, 4, 4)))
    ...     y = ms.ops.RNN(x, w, r)
    >>> graph.forward(y).shape
    (5, 1, 2, 4)
    """

    def __init__(
        self,
        x: Operand,
        w: Operand,
        r: Operand,
        b: Operand | None = None,
        sequence_lens: Operand | None = None,
        initial_h: Operand | None = None,
        *,
        direction: str = "forward",
        activation: str = "tanh",
        given: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        self.activation = as_choice(self, "activation", activation, ("tanh", "relu"))
        self.cell = f"rnn_{activation}"
        optional = {"b": b, "sequence_lens": sequence_lens, "initial_h": initial_h}
        super().__init__(x, w, r, optional, direction, given, name)


class LSTM(Recurrence):
    """Long short-term memory: the states y[0] and the cells y[1] of every step t.

    With the shares of the gates in x[t] w' + b_w + h[t-1] r' + b_r, in the order i, o, f, g:
    c[t] = sigmoid(f) c[t-1] + sigmoid(i) tanh(g), and h[t] = sigmoid(o) tanh(c[t]).
    `outputs()` gives Y, Y_h and Y_c as ONNX names them.

    Args:
        x: The sequences.
        w, r, b: The weights of input and state, and the biases of both.
        sequence_lens: The number of steps of each sequence; all of them by default.
        initial_h, initial_c: State and cell before the first step; 0 by default.
        direction: "forward", "reverse" or "bidirectional".
        given: See `Recurrence`.

    Shapes: x (steps, batch, features), w (directions, 4 * hidden, features),
        r (directions, 4 * hidden, hidden), b (directions, 8 * hidden), sequence_lens (batch),
        initial_h, initial_c (directions, batch, hidden), y (2, steps, directions, batch, hidden).
    Raises: ShapeError and DTypeError where these do not fit.
    Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997).

    >>> with ms.Graph() as graph:
    ...     x = ms.Constant(np.ones((5, 2, 3)))
    ...     w, r = ms.Constant(np.ones((1, 16, 3))), ms.Constant(np.zeros((1, 16, 4)))
    ...     states, last_state, last_cell = ms.ops.LSTM(x, w, r).outputs()
    >>> states.shape, last_cell.shape
    ((5, 1, 2, 4), (1, 2, 4))
    """

    cell = "lstm"

    def __init__(
        self,
        x: Operand,
        w: Operand,
        r: Operand,
        b: Operand | None = None,
        sequence_lens: Operand | None = None,
        initial_h: Operand | None = None,
        initial_c: Operand | None = None,
        *,
        direction: str = "forward",
        given: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        optional = {
            "b": b,
            "sequence_lens": sequence_lens,
            "initial_h": initial_h,
            "initial_c": initial_c,
        }
        super().__init__(x, w, r, optional, direction, given, name)


class GRU(Recurrence):
    """Gated recurrent unit: y[t] = (1 - z) n + z y[t-1] for every step t.

    With the shares of the gates in a = x[t] w' + b_w and q = y[t-1] r' + b_r, in the order z, s, n:
    z, s = sigmoid(a + q), and n = tanh(a + s q), or tanh(a + (s y[t-1]) r' + b_r) where
    `linear_before_reset` is False.

    Args:
        x: The sequences.
        w, r, b: The weights of input and state, and the biases of both.
        sequence_lens: The number of steps of each sequence; all of them by default.
        initial_h: The state before the first step; 0 by default.
        direction: "forward", "reverse" or "bidirectional".
        linear_before_reset: Whether the reset gate s acts after the product with r, as in torch.
        given: See `Recurrence`.

    Shapes: x (steps, batch, features), w (directions, 3 * hidden, features),
        r (directions, 3 * hidden, hidden), b (directions, 6 * hidden), sequence_lens (batch),
        initial_h (directions, batch, hidden), y (steps, directions, batch, hidden).
    Raises: ShapeError and DTypeError where these do not fit.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014).

    >>> with ms.Graph() as graph:
    ...     x = ms.Constant(np.ones((5, 2, 3)))
    ...     w, r = ms.Constant(np.ones((1, 12, 3))), ms.Constant(np.zeros((1, 12, 4)))
    ...     y = ms.ops.GRU(x, w, r)
    >>> graph.forward(y).shape
    (5, 1, 2, 4)
    """

    def __init__(
        self,
        x: Operand,
        w: Operand,
        r: Operand,
        b: Operand | None = None,
        sequence_lens: Operand | None = None,
        initial_h: Operand | None = None,
        *,
        direction: str = "forward",
        linear_before_reset: bool = False,
        given: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        self.linear_before_reset = bool(linear_before_reset)
        self.cell = "gru_reset_after" if linear_before_reset else "gru"
        optional = {"b": b, "sequence_lens": sequence_lens, "initial_h": initial_h}
        super().__init__(x, w, r, optional, direction, given, name)


class RecurrenceGradient(Node):
    """The gradients with respect to all inputs of a recurrence, one after the other in a vector.

    It is found by backpropagation through time, with all products of matrices but those of the
    state done for all steps at once.

    Args:
        inputs: Those of the recurrence, then its value, then the gradient with respect to that.
        cell, direction, given: As the recurrence has them.
        name: Unique in the graph.

    Shapes: y (elements of all inputs that are floating-point).
    Source: Werbos, "Backpropagation through time" (1990).
    """

    def __init__(
        self,
        *inputs: Operand,
        cell: str,
        direction: str,
        given: Sequence[str],
        name: str | None = None,
    ) -> None:
        self.cell = as_choice(self, "cell", cell, tuple(CELLS))
        self.direction = as_choice(self, "direction", direction, DIRECTIONS)
        self.given = tuple(given)
        super().__init__(*inputs, name=name)

    def infer(self, x: Spec, w: Spec, r: Spec, *rest: Spec) -> Spec:
        *given, _, _ = rest
        sizes = [spec.size for spec in (x, w, r, *given) if spec.floating]
        known = [size for size in sizes if size is not None]
        return Spec((sum(known) if len(known) == len(sizes) else None,), x.dtype)

    def compute(self, xp: ModuleType, x: Array, w: Array, r: Array, *rest: Array) -> Array:
        *given, states, upstream = rest
        named = dict(zip(self.given, given, strict=True))
        cell = CELLS[self.cell]
        if cell.states == 1:
            states, upstream = states[None], upstream[None]
        found = [
            back(
                xp,
                cell,
                strand,
                x,
                named.get("sequence_lens"),
                [series[:, d] for series in states],
                [series[:, d] for series in upstream],
            )
            for d, strand in enumerate(strands(cell, self.direction, w, r, named))
        ]
        slopes = {label: xp.stack([one[label] for one in found]) for label in found[0]}
        slopes["x"] = slopes["x"].sum(axis=0)
        labels = ("x", "w", "r", *(label for label in self.given if label != "sequence_lens"))
        return xp.concatenate([slopes[label].reshape(-1) for label in labels])

    def gradient(self, upstream: Node) -> tuple[Node | None, ...]:
        *inputs, _, slope = self.inputs
        if inputs[0].shape[0] is None:
            raise self.explain(
                GradientError(
                    "a second gradient needs a known number of steps",
                    hint="declare it where the sequences are fed: ms.Input((28, None, 8))",
                )
            )
        # The inputs may depend on each other: stand-ins keep their slopes apart.
        stand_ins = [Identity(node) for node in (*inputs, slope)]
        floating = [node for node in stand_ins if node.spec.floating]
        *wanted, through = floating
        laid_out = self._laid_out(*stand_ins[:-1])
        firsts = gradients(laid_out, wanted, upstream=through, unused="zeros")
        packed = Concat(*(Reshape(first, shape=(-1,)) for first in firsts), axis=0)
        seconds = gradients(packed, floating, upstream=upstream)
        found = dict(zip(floating, seconds, strict=True))
        *first, last = (found.get(node) for node in stand_ins)
        return (*first, None, last)

    def _laid_out(self, x: Node, w: Node, r: Node, *given: Node) -> Node:
        """The value of the recurrence, step by step in ordinary nodes."""
        named = dict(zip(self.given, given, strict=True))
        cell, lengths = CELLS[self.cell], named.get("sequence_lens")
        found = [
            lay_out(cell, strand, x, lengths)
            for strand in strands(cell, self.direction, w, r, named)
        ]
        series = [
            Concat(*(Unsqueeze(states, axes=1) for states in directions), axis=1)
            for directions in zip(*found, strict=True)
        ]
        if cell.states == 1:
            return series[0]
        return Concat(*(Unsqueeze(states, axes=0) for states in series), axis=0)


def unpack(packed: Node, inputs: Sequence[Node]) -> tuple[Node | None, ...]:
    """For each floating-point input its part of a packed vector, in its shape; None for others."""
    floating = [node for node in inputs if node.spec.floating]
    flat = [Reshape(node, shape=(-1,)) for node in floating]
    place = count()
    return tuple(
        ReshapeLike(ConcatPart(packed, *flat, axis=0, position=next(place)), node)
        if node.spec.floating
        else None
        for node in inputs
    )


def _expect(label: str, spec: Spec, shape: Shape, layout: str) -> None:
    fits = spec.ndim == len(shape) and all(
        None in sizes or sizes[0] == sizes[1] for sizes in zip(spec.shape, shape, strict=False)
    )
    if not fits:
        wanted = ", ".join("?" if size is None else str(size) for size in shape)
        raise ShapeError(
            f"{label} has shape {spec.shape}, ({wanted}) is needed",
            hint=f"the layout of {label} is ({layout})",
        )
