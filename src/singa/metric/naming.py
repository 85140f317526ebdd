"""Metrics by their names, and what of a training's history is best: by them or by the loss."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from singa.metric.base import MAX, MIN, Metric
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


def best_epoch(values: Sequence[float], mode: str, min_delta: float = 0.0) -> int:
    """The number of the best epoch; the first of several that are as good.

    Args:
        values: one for each epoch.
        mode: ``"min"`` or ``"max"``.
        min_delta: by how much an epoch has to be better than the best one before.

    Returns:
        From 1 on; 0 if none of the values is finite.
    """
    best, best_cost = 0, math.inf
    for epoch, value in enumerate(values, 1):
        cost = -value if mode == MAX else value
        if math.isfinite(cost) and cost < best_cost - (min_delta if best else 0):
            best, best_cost = epoch, cost
    return best


_NO_MEASURE = re.compile("epoch|step|seconds|samples_per_second|lr(_.*)?")


def is_measure(column: str) -> bool:
    """Whether a column of a history says how good an epoch was."""
    return not _NO_MEASURE.fullmatch(column)
