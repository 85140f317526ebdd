"""Metrics by their names, and whether a column of a history is best at its least or greatest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from singa.metric.base import MIN, Metric
from singa.metric.classification import F1, Accuracy, Precision, Recall, TopKAccuracy
from singa.metric.mean import MeanAbsoluteError, MeanSquaredError, Perplexity


def name_of(kind: type[Metric]) -> str:
    """The name of a metric: ``top_k_accuracy`` for ``TopKAccuracy``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


KINDS: Mapping[str, type[Metric]] = MappingProxyType(
    {
        name_of(kind): kind
        for kind in (
            Accuracy, F1, MeanAbsoluteError, MeanSquaredError, Perplexity, Precision, Recall,
            TopKAccuracy,
        )
    }
)  # fmt: skip
"""The metrics that have names."""


def best_of(column: str, metrics: Mapping[str, Metric] = MappingProxyType({})) -> str:
    """Whether a column of a history is best at its least or its greatest: "min" or "max".

    For a metric, of the training or the validation, ``Metric.best`` decides; the metric is one of
    ``metrics``, or the one with that name. All other columns are a model's loss, or other scalars
    that it returns, and their least value is best.

    Example:
        >>> metric.best_of("val_accuracy"), metric.best_of("val_loss"), metric.best_of("penalty")
        ('max', 'min', 'min')
        >>> metric.best_of("val_hits", {"hits": metric.Accuracy()})
        'max'
    """
    name = column.removeprefix("val_")
    known = metrics.get(name) or KINDS.get(name)
    return MIN if known is None else known.best
