"""The few operators whose ONNX form is not simply that of their name and options.

All others need no entry: ONNX's own schema says which option is an attribute and which an input.
"""

from __future__ import annotations

from typing import Any

from matrixslow.errors import MissingExtra

OPSET = 21
"""The version of ONNX's operators that is written, and to which older files are brought."""

IR_VERSION = 10
"""The version of the file format that belongs to it."""

RENAMED = {"Embedding": "Gather", "ScalarMultiply": "Mul", "StopGradient": "Identity"}
"""Operators that ONNX has under another name."""

UNSAID: dict[str, dict[str, Any]] = {
    "AveragePool": {"divisor_override": None},
    "Embedding": {"sparse": False},
}
"""Options that ONNX lacks, each with the only value that it means."""

RECURRENT = {"RNN": 6, "GRU": 6, "LSTM": 7}
"""The recurrent operators, and how many inputs each may have."""

OPTIONAL_INPUTS = ("b", "sequence_lens", "initial_h", "initial_c")
"""The inputs of a recurrent operator, in ONNX's order, that it may lack."""

PASSED_OVER = {
    "BatchNormalization": {"momentum"},
    "Conv": {"kernel_shape"},
    "ConvTranspose": {"kernel_shape"},
    "RNN": {"hidden_size"},
    "GRU": {"hidden_size"},
    "LSTM": {"hidden_size"},
    "Dropout": {"seed"},
}
"""Attributes that say nothing about inference, or nothing that shapes do not say."""


def import_onnx() -> Any:
    """The package onnx.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra(
            "files that end in .onnx need the package onnx, which is not installed",
            hint="pip install 'matrixslow[onnx]', or save as .npz",
        ) from error
    return onnx
