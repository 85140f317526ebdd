"""Metrics by their names; and which epoch of a training is best, by a metric or by the loss."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from singa.metric.base import MAX, MIN, Metric
from singa.metric.classification import F1, Accuracy, Precision, Recall, TopKAccuracy
from singa.metric.mean import MeanAbsoluteError, MeanSquaredError, Perplexity


def name_of(kind: type[Metric]) -> str:
    """The name of a metric's class: ``top_k_accuracy`` for ``TopKAccuracy``."""
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
"""The classes of metrics that can be given by name."""


def best_of(column: str, metrics: Mapping[str, Metric] = MappingProxyType({})) -> str:
    """Whether the least or the greatest value of a history's column is best: "min" or "max".

    For a metric, of the training or the validation, ``Metric.best`` decides; the metric is one of
    ``metrics``, or the library's metric of that name. All other columns are a model's loss, or
    other scalars that it returns; their least value is best.

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
    """The number of the best epoch; if several are equally good, the first of them.

    Args:
        values: one for each epoch.
        mode: ``"min"`` or ``"max"``.
        min_delta: an epoch is better only if it improves on the best one before by more than this.

    Returns:
        A number from 1; 0 if none of the values is finite.
    """
    better = improvements(values, mode, min_delta)
    return better[-1] if better else 0


def improvements(values: Sequence[float], mode: str, min_delta: float = 0.0) -> list[int]:
    """The numbers of the epochs that were better than all before; see :func:`best_epoch`."""
    found: list[int] = []
    best = math.inf
    for epoch, value in enumerate(values, 1):
        cost = -value if mode == MAX else value
        if math.isfinite(cost) and cost < best - (min_delta if found else 0):
            found.append(epoch)
            best = cost
    return found


_NO_MEASURE = re.compile("epoch|step|seconds|samples_per_second|lr(_.*)?")


def is_measure(column: str) -> bool:
    """Whether a column of a history measures how good an epoch was."""
    return not _NO_MEASURE.fullmatch(column)
