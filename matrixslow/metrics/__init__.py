"""Metrics: numbers about a model, gathered batch by batch and mergeable over workers."""

from matrixslow.metrics.accuracy import Accuracy, TopKAccuracy
from matrixslow.metrics.average import Average, Mean
from matrixslow.metrics.confusion import F1, ConfusionMatrix, Precision, Recall
from matrixslow.metrics.metric import Metric
from matrixslow.metrics.ranking import AUC, PrecisionRecallAUC, RocCurve
from matrixslow.metrics.regression import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)

__all__ = [
    "AUC",
    "F1",
    "R2",
    "Accuracy",
    "Average",
    "ConfusionMatrix",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "PrecisionRecallAUC",
    "Recall",
    "RocCurve",
    "RootMeanSquaredError",
    "TopKAccuracy",
]
