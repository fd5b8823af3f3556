"""Every operator, by its ONNX name where ONNX has it."""

from matrixslow.ops.elementwise import Add, Div, Mul, Neg, Sub, Tanh
from matrixslow.ops.like import BroadcastLike, OnesLike, ReshapeLike, SumLike, ZerosLike

__all__ = [
    "Add",
    "BroadcastLike",
    "Div",
    "Mul",
    "Neg",
    "OnesLike",
    "ReshapeLike",
    "Sub",
    "SumLike",
    "Tanh",
    "ZerosLike",
]
