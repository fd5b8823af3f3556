"""Operators that are made of others: the compiler knows these, and fuses what it can.

Each function takes a node and returns an equal one, or None where the node's options are not
covered; its docstring is the identity.
"""

from __future__ import annotations

import numpy as np

from matrixslow.core.leaf import Constant, Input, Leaf
from matrixslow.core.node import Node, operator
from matrixslow.core.spec import normalize_axes


def softmax(node: Node) -> Node | None:
    """Softmax(x) = e / sum(e), e = exp(x - max(x))."""
    if type(node).__name__ != "Softmax":
        return None
    axes = (node.attributes["axis"],)
    e = operator("Exp")(_below_largest(node.inputs[0], axes))
    return e / operator("ReduceSum")(e, axes=axes)


def log_softmax(node: Node) -> Node | None:
    """LogSoftmax(x) = z - log(sum(exp(z))), z = x - max(x)."""
    if type(node).__name__ != "LogSoftmax":
        return None
    return _log_softmax(node.inputs[0], (node.attributes["axis"],))


def log_sum_exp(node: Node) -> Node | None:
    """ReduceLogSumExp(x) = log(sum(exp(x - m))) + m, m = max(x), or 0 where that is infinite."""
    if type(node).__name__ != "ReduceLogSumExp":
        return None
    (x,) = node.inputs
    axes = normalize_axes(node.attributes["axes"], x.ndim)
    if not axes:
        return None
    largest = operator("ReduceMax")(x, axes=axes)
    largest = operator("Where")(operator("IsInf")(largest), operator("ZerosLike")(largest), largest)
    total = operator("ReduceSum")(operator("Exp")(x - largest), axes=axes)
    return _reshaped(operator("Log")(total) + largest, node)


def norm(node: Node) -> Node | None:
    """ReduceL1(x) = sum(|x|), ReduceL2(x) = sqrt(sum(x x))."""
    kind = type(node).__name__
    if kind == "ReduceL1":
        return operator("ReduceSum")(operator("Abs")(node.inputs[0]), **node.attributes)
    if kind == "ReduceL2":
        total = operator("ReduceSumSquare")(node.inputs[0], **node.attributes)
        return operator("Sqrt")(total)
    return None


def total_by_rows(node: Node) -> Node | None:
    """The sum over everything = the sum over rows of the sums within them.

    Threads share the rows, as they do those of what is summed.
    """
    kind = type(node).__name__
    if kind not in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare"):
        return None
    (x,) = node.inputs
    axes = normalize_axes(node.attributes["axes"], x.ndim)
    sizes = [x.shape[axis] or 0 for axis in axes]
    if not axes or axes[0] != 0 or sizes[0] < 2 or max(sizes[1:], default=1) < 2:
        return None
    inner = "ReduceSum" if kind == "ReduceMean" else kind
    outer = "ReduceSum" if kind in ("ReduceMean", "ReduceSumSquare") else kind
    if len(axes) < x.ndim:
        return None  # columns are left, which threads can share
    y = operator(outer)(operator(inner)(x, axes=axes[1:]), axes=axes)
    if kind == "ReduceMean":
        y = y / float(np.prod(sizes, dtype=float))
    return _reshaped(y, node)


def place_of_peak(node: Node) -> Node | None:
    """ArgMax(x) = the first position where x = max(x), or NaN if one is; ArgMin with min(x)."""
    kind = type(node).__name__
    if kind not in ("ArgMax", "ArgMin"):
        return None
    (x,), options = node.inputs, node.attributes
    axis = options["axis"] % x.ndim
    size = x.shape[axis]
    assert size is not None
    peak = operator("ReduceMax" if kind == "ArgMax" else "ReduceMin")(x, axes=axis)
    found = operator("Equal")(x, peak)
    if x.spec.floating:
        found = operator("Or")(found, operator("IsNaN")(x))
    places = np.arange(size).reshape([-1 if n == axis else 1 for n in range(x.ndim)])
    last = options["select_last_index"]
    other = Constant(-1 if last else size, dtype="int64")
    found = operator("Where")(found, Constant(places, dtype="int64"), other)
    place = operator("ReduceMax" if last else "ReduceMin")(found, axes=axis)
    return _reshaped(place, node)


def count(node: Node) -> Node | None:
    """Count(x) is a constant once shapes are known."""
    if type(node).__name__ != "Count":
        return None
    shape = node.inputs[0].shape
    sizes = [shape[axis] or 0 for axis in normalize_axes(node.attributes["axes"], len(shape))]
    return Constant(np.asarray(np.prod(sizes, initial=1.0), node.dtype), dtype=node.dtype)


def general_product(node: Node) -> Node | None:
    """Gemm(a, b, c) = alpha a b + beta c, with a and b as they are or transposed."""
    if type(node).__name__ != "Gemm":
        return None
    options = node.attributes
    a, b, *rest = node.inputs
    a = operator("Transpose")(a) if options["transA"] else a
    b = operator("Transpose")(b) if options["transB"] else b
    y = operator("MatMul")(a, b)
    if options["alpha"] != 1.0:
        y = y * options["alpha"]
    for c in rest:
        y = y + (c if options["beta"] == 1.0 else c * options["beta"])
    return y


def cross_entropy(node: Node) -> Node | None:
    """SoftmaxCrossEntropy = -sum(shares * LogSoftmax(scores)); NegativeLogLikelihood without it."""
    kind = type(node).__name__
    if kind not in ("SoftmaxCrossEntropy", "NegativeLogLikelihood") or not _checked(node):
        return None
    scores = node.inputs[0]
    logarithms = _log_softmax(scores, (1,)) if kind == "SoftmaxCrossEntropy" else scores
    axes = (1,) if node.attributes["reduction"] == "none" else None
    shares = _shares(node)
    # Where a class has no share, its logarithm may be minus infinity.
    terms = operator("Where")(operator("Equal")(shares, 0.0), 0.0, shares * logarithms)
    total = operator("ReduceSum")(terms, axes=axes, keepdims=False)
    return operator("Neg")(total)


def convolution_with_bias(node: Node) -> Node | None:
    """Conv(x, w, b) = Conv(x, w) + b, channel by channel; ConvTranspose likewise."""
    if type(node).__name__ not in ("Conv", "ConvTranspose") or len(node.inputs) < 3:
        return None
    x, kernel, bias = node.inputs
    y = type(node)(x, kernel, **node.attributes)
    return y + _of_channels(bias, node.ndim)


def transposed_convolution(node: Node) -> Node | None:
    """ConvTranspose(x, w) = ConvInput(x, w, something of its shape)."""
    if type(node).__name__ != "ConvTranspose" or len(node.inputs) > 2:
        return None
    options = {name: node.attributes[name] for name in operator_options("ConvInput")}
    zero = Constant(np.zeros((), node.dtype), dtype=node.dtype)
    like = operator("Expand")(zero, shape=node.shape)
    return operator("ConvInput")(*node.inputs, like, **options)


def variance(node: Node) -> Node | None:
    """ReduceVariance(x) = mean((x - mean(x))**2)."""
    if type(node).__name__ != "ReduceVariance":
        return None
    (x,) = node.inputs
    centred = x - operator("ReduceMean")(x, axes=node.attributes["axes"])
    return operator("ReduceMean")(centred * centred, **node.attributes)


def batch_normalization(node: Node) -> Node | None:
    """BatchNormalization = (x - mean) (scale / sqrt(variance + epsilon)) + bias."""
    if type(node).__name__ != "BatchNormalization":
        return None
    x, scale, bias, mean, variance = node.inputs
    factor = scale / operator("Sqrt")(variance + node.attributes["epsilon"])
    y = (x - _of_channels(mean, x.ndim)) * _of_channels(factor, x.ndim)
    return y + _of_channels(bias, x.ndim)


def folded_normalization(node: Node) -> Node | None:
    """BatchNormalization(Conv(x, w, b)) = Conv(x, f w, f (b - mean) + bias), f as there.

    Where mean and variance are known before, as at inference.
    """
    if type(node).__name__ != "BatchNormalization" or type(node.inputs[0]).__name__ != "Conv":
        return None
    convolution, scale, bias, mean, variance = node.inputs
    if not (isinstance(mean, Leaf) and isinstance(variance, Leaf)):
        return None
    x, kernel, *own = convolution.inputs
    factor = scale / operator("Sqrt")(variance + node.attributes["epsilon"])
    filters = operator("Reshape")(factor, shape=(-1, *(1,) * (kernel.ndim - 1)))
    shift = (own[0] - mean if own else -mean) * factor + bias
    return type(convolution)(x, kernel * filters, shift, **convolution.attributes)


def layer_normalization(node: Node) -> Node | None:
    """LayerNormalization = standard(x) scale + bias, over the last axes."""
    if type(node).__name__ != "LayerNormalization":
        return None
    x, scale, *rest = node.inputs
    axes = tuple(range(node.attributes["axis"] % x.ndim, x.ndim))
    y = _standard(x, axes, node.attributes["epsilon"]) * scale
    return y + rest[0] if rest else y


def group_normalization(node: Node) -> Node | None:
    """GroupNormalization = standard(x) scale + bias, over groups of channels of each sample."""
    if type(node).__name__ not in ("GroupNormalization", "InstanceNormalization"):
        return None
    x, scale, bias = node.inputs
    samples, channels = x.shape[:2]
    groups = node.attributes.get("num_groups", channels)
    rows = operator("Reshape")(x, shape=(samples, groups, -1))
    y = operator("Reshape")(_standard(rows, (2,), node.attributes["epsilon"]), shape=x.shape)
    return y * _of_channels(scale, x.ndim) + _of_channels(bias, x.ndim)


def value_in_training(node: Node) -> Node | None:
    """MovingAverage(value, average) = value; at inference the average stands in its place."""
    return node.inputs[0] if type(node).__name__ == "MovingAverage" else None


def global_pooling(node: Node) -> Node | None:
    """GlobalAveragePool and GlobalMaxPool reduce the spatial axes."""
    kind = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}
    name = kind.get(type(node).__name__)
    if name is None:
        return None
    return operator(name)(node.inputs[0], axes=tuple(range(2, node.ndim)))


RULES = (
    variance,
    batch_normalization,
    layer_normalization,
    group_normalization,
    value_in_training,
    global_pooling,
    convolution_with_bias,
    transposed_convolution,
    softmax,
    log_softmax,
    log_sum_exp,
    norm,
    total_by_rows,
    place_of_peak,
    count,
    general_product,
    cross_entropy,
)


def _checked(node: Node) -> bool:
    """Whether class numbers were held to their limits when they were fed, if there are any."""
    target = node.inputs[1]
    return target.spec.floating or isinstance(target, Input | Constant)


def _shares(node: Node) -> Node:
    options = node.attributes
    scores, target, *rest = node.inputs
    dtype, classes = scores.dtype, scores.shape[1]
    assert classes is not None
    along = (1, classes, *(1 for _ in scores.shape[2:]))
    numbered = target.dtype.kind in "iu"
    scale: Node | None = None
    if numbered:
        numbers = Constant(np.arange(classes, dtype=target.dtype).reshape(along))
        own = operator("Equal")(operator("Unsqueeze")(target, axes=(1,)), numbers)
        shares = own = operator("Cast")(own, dtype=dtype)
        if options["ignore_index"] is not None:
            ignored = Constant(np.asarray(options["ignore_index"], target.dtype))
            kept = operator("Not")(operator("Equal")(target, ignored))
            scale = operator("Cast")(kept, dtype=dtype)
    else:
        shares = target
    for weight in rest:
        scale = weight if scale is None else scale * weight
    smoothing = options["label_smoothing"]
    if smoothing:
        shares = shares * (1 - smoothing) + smoothing / classes
    own_scale = scale
    if options["class_weight"] is not None:
        by_class = Constant(np.asarray(options["class_weight"], dtype).reshape(along), dtype=dtype)
        shares = shares * by_class
        if numbered:
            weights = operator("ReduceSum")(own * by_class, axes=(1,), keepdims=False)
            own_scale = weights if scale is None else scale * weights
    if options["reduction"] == "mean":
        samples = scores.size // classes if scores.size else 0
        if own_scale is None:
            divisor: Node = Constant(np.asarray(samples, dtype), dtype=dtype)
        else:
            divisor = operator("ReduceSum")(own_scale, keepdims=False)
        if scale is None:
            return shares / divisor
        scale = scale / divisor
    if scale is None:
        return shares
    return shares * operator("Unsqueeze")(scale, axes=(1,))


def _below_largest(x: Node, axes: tuple[int, ...]) -> Node:
    return x - operator("ReduceMax")(x, axes=axes)


def _log_softmax(x: Node, axes: tuple[int, ...]) -> Node:
    z = _below_largest(x, axes)
    return z - operator("Log")(operator("ReduceSum")(operator("Exp")(z), axes=axes))


def _standard(x: Node, axes: tuple[int, ...], epsilon: float) -> Node:
    """(x - mean) / sqrt(variance + epsilon)."""
    centred = x - operator("ReduceMean")(x, axes=axes)
    return centred / operator("Sqrt")(
        operator("ReduceMean")(centred * centred, axes=axes) + epsilon
    )


def operator_options(name: str) -> tuple[str, ...]:
    """The names of an operator's options."""
    return Node.operators[name].options


def _of_channels(x: Node, ndim: int) -> Node:
    """A number for each channel, in the shape that broadcasts to images."""
    return operator("Reshape")(x, shape=(1, -1, *(1,) * (ndim - 2)))


def _reshaped(x: Node, node: Node) -> Node:
    return x if x.shape == node.shape else operator("Reshape")(x, shape=node.shape)
