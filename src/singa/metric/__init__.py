"""Metrics: how good predictions are, batch by batch.

::

    accuracy = metric.Accuracy()
    for x, y in batches:
        accuracy.update(model(x), y)
    print(accuracy.value)

The counts are kept in Tensors, like all state, on the device of the predictions. Nothing waits
for the device until ``value`` is read, and an update may be a part of a compiled step. Counts are
integers, without rounding; sums are float64. For NumPy arrays the same formulas run in NumPy.

**Classes.** Predictions are scores or probabilities (N, ..., C), whose greatest is the class; the
probability of class 1 out of two (N,), which is class 1 from 0.5 on; or classes, integers (N, ...).
Targets are classes; or, for scores (N, ..., C), one-hot or probabilities of the same shape.
"""

from singa.metric.base import Metric
from singa.metric.classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopKAccuracy,
    accuracy,
    top_k_accuracy,
)
from singa.metric.mean import MeanAbsoluteError, MeanSquaredError, Perplexity
from singa.metric.naming import best_of

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionMatrix",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "TopKAccuracy",
    "accuracy",
    "best_of",
    "top_k_accuracy",
]
