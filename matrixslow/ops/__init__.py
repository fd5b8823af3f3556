"""Every operator, by its ONNX name where ONNX has it."""

from matrixslow.ops.conv import Conv, ConvInput, ConvKernel, ConvTranspose
from matrixslow.ops.elementwise import Add, Div, Mul, Neg, Sub, Tanh
from matrixslow.ops.gather import (
    Embedding,
    EmbeddingGradient,
    Gather,
    GatherElements,
    GatherGradient,
    ScatterElements,
)
from matrixslow.ops.indexing import OneHot, TopK, TopKIndices
from matrixslow.ops.joining import Concat, ConcatPart, Split
from matrixslow.ops.like import BroadcastLike, OnesLike, ReshapeLike, SumLike, ZerosLike
from matrixslow.ops.padding import Pad, PadGradient
from matrixslow.ops.patches import CombinePatches, ExtractPatches
from matrixslow.ops.random import (
    Bernoulli,
    Dropout,
    RandomNormal,
    RandomNormalLike,
    RandomUniform,
    RandomUniformLike,
    Shuffle,
)
from matrixslow.ops.shaping import (
    Expand,
    Flatten,
    Flip,
    Reshape,
    Squeeze,
    Tile,
    TileGradient,
    Transpose,
    Unsqueeze,
)
from matrixslow.ops.slicing import Slice, SliceGradient

__all__ = [
    "Add",
    "Bernoulli",
    "BroadcastLike",
    "CombinePatches",
    "Concat",
    "ConcatPart",
    "Conv",
    "ConvInput",
    "ConvKernel",
    "ConvTranspose",
    "Div",
    "Dropout",
    "Embedding",
    "EmbeddingGradient",
    "Expand",
    "ExtractPatches",
    "Flatten",
    "Flip",
    "Gather",
    "GatherElements",
    "GatherGradient",
    "Mul",
    "Neg",
    "OneHot",
    "OnesLike",
    "Pad",
    "PadGradient",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Reshape",
    "ReshapeLike",
    "ScatterElements",
    "Shuffle",
    "Slice",
    "SliceGradient",
    "Split",
    "Squeeze",
    "Sub",
    "SumLike",
    "Tanh",
    "Tile",
    "TileGradient",
    "TopK",
    "TopKIndices",
    "Transpose",
    "Unsqueeze",
    "ZerosLike",
]
