"""Optimizers and learning-rate schedules."""

from matrixslow.optimizers.groups import ParameterGroups
from matrixslow.optimizers.optimizer import Optimizer
from matrixslow.optimizers.rules import (
    SGD,
    Adadelta,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    Nadam,
    Nesterov,
    RMSProp,
)
from matrixslow.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    Schedule,
    StepDecay,
    WarmUp,
)
from matrixslow.optimizers.slot import Slot

__all__ = [
    "SGD",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "CosineDecay",
    "ExponentialDecay",
    "Lion",
    "Momentum",
    "Nadam",
    "Nesterov",
    "Optimizer",
    "ParameterGroups",
    "PiecewiseConstant",
    "RMSProp",
    "Schedule",
    "Slot",
    "StepDecay",
    "WarmUp",
]
