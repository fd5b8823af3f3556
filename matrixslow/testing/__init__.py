"""For tests of operators and models.

Gradients against differences, the contract of operators, and models to try things on.
"""

from matrixslow.testing.contract import check_operator
from matrixslow.testing.differences import check_gradients
from matrixslow.testing.reference_models import (
    REFERENCE_MODELS,
    ReferenceModel,
    cnn,
    deepfm,
    gpt,
    lstm,
    mlp,
    resnet,
    rnn,
)
from matrixslow.testing.sample import Sample

__all__ = [
    "REFERENCE_MODELS",
    "ReferenceModel",
    "Sample",
    "check_gradients",
    "check_operator",
    "cnn",
    "deepfm",
    "gpt",
    "lstm",
    "mlp",
    "resnet",
    "rnn",
]
