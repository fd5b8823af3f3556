"""Layers: functions that wire operators and the variables they learn.

A layer takes a node and gives a node. It works in a scope of its own, which has its name: the
weights of `dense(x, 10, name="fc1")` are the variables "fc1/W" and "fc1/b".
"""

from matrixslow.layers.attention import attention, transformer_block
from matrixslow.layers.convolution import (
    average_pool,
    conv,
    conv_transpose,
    global_average_pool,
    global_max_pool,
    max_pool,
)
from matrixslow.layers.dense import dense, dropout, flatten
from matrixslow.layers.embedding import embedding, factorization_machine, pairwise_interactions
from matrixslow.layers.layer import ACTIVATIONS
from matrixslow.layers.normalization import batch_norm, group_norm, instance_norm, layer_norm
from matrixslow.layers.recurrent import gru, lstm, rnn
from matrixslow.layers.residual import residual_block

__all__ = [
    "ACTIVATIONS",
    "attention",
    "average_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "dense",
    "dropout",
    "embedding",
    "factorization_machine",
    "flatten",
    "global_average_pool",
    "global_max_pool",
    "group_norm",
    "gru",
    "instance_norm",
    "layer_norm",
    "lstm",
    "max_pool",
    "pairwise_interactions",
    "residual_block",
    "rnn",
    "transformer_block",
]
