"""Means of errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.metric import formula
from singa.metric.base import Array, Metric


@dataclass(frozen=True, eq=False)
class _Mean(Metric):
    """Base of means: a sum, and the number of elements."""

    def zeros(self) -> tuple[npt.NDArray[Any], ...]:
        return np.zeros((), np.float64), np.zeros((), np.int64)

    def result(self, xp: Any, *counts: Array) -> Array:
        return formula.mean(xp, *counts)


class MeanSquaredError(_Mean):
    """The mean of (prediction - target)² over all elements.

    Predictions and targets are of one shape, any.

    Example:
        >>> metric.MeanSquaredError().update([1.0, 3.0], [1.0, 1.0]).value
        2.0
    """

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        difference = formula.difference(self, xp, prediction, target)
        return formula.sum_and_size(xp, difference * difference)


class MeanAbsoluteError(_Mean):
    """The mean of abs(prediction - target) over all elements.

    Predictions and targets are of one shape, any.

    Example:
        >>> metric.MeanAbsoluteError().update([1.0, 3.0], [1.0, 1.0]).value
        1.0
    """

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        return formula.sum_and_size(xp, xp.abs(formula.difference(self, xp, prediction, target)))


@dataclass(frozen=True, eq=False)
class Perplexity(_Mean):
    """e to the mean of -log p(target), of logits (N, ..., C) and classes (N, ...).

    It is nan if a target is not one of the classes.

    Args:
        ignore_index: targets of this class, such as padding, are ignored.

    Example:
        >>> logits = np.zeros((2, 5, 4))  # 2 sequences of 5 positions, 4 classes
        >>> metric.Perplexity().update(logits, np.ones((2, 5), np.int32)).value
        4.0
    """

    ignore_index: int | None = None

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        logits = prediction.astype(formula.working_type(xp, prediction))
        own, inside, wanted = formula.score_of_target(self, xp, logits, target)
        greatest = logits.max(-1, keepdims=True)
        log_sum = greatest[..., 0] + xp.log(xp.exp(logits - greatest).sum(-1))
        losses = xp.where(inside, log_sum - own[..., 0], xp.nan)
        counted = formula.kept(xp, wanted, self.ignore_index)
        losses = xp.where(counted, losses, 0)
        return losses.sum(dtype=xp.float64), counted.sum(dtype=xp.int64)

    def result(self, xp: Any, *counts: Array) -> Array:
        return xp.exp(formula.mean(xp, *counts))
