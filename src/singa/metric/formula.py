"""Formulas that metrics share, for NumPy arrays and CTensors; ``xp`` is the module of either."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.device import is_float
from singa.errors import ArgumentError, ShapeError
from singa.metric.base import Array, Metric
from singa.operation import checks


def classes(metric: Metric, xp: Any, prediction: Array, target: Array) -> tuple[Array, Array]:
    """Predictions and targets as integers of one shape."""
    if prediction.shape == target.shape:
        if not is_float(prediction.dtype):
            return prediction, target
        if prediction.ndim == 1:
            return (prediction >= 0.5).astype(xp.int32), target
        return prediction.argmax(-1), target.argmax(-1)
    if is_float(prediction.dtype) and prediction.shape[:-1] == target.shape:
        return prediction.argmax(-1), target
    raise misfit(
        metric, "scores (N, ..., C) or classes (N, ...), and classes (N, ...),", prediction, target
    )


def score_of_target(
    metric: Metric, xp: Any, scores: Array, target: Array
) -> tuple[Array, Array, Array]:
    """The targets' scores (N, ..., 1), whether they are classes at all, and the classes."""
    if not is_float(scores.dtype) or scores.shape[:-1] != target.shape:
        raise misfit(metric, "scores (N, ..., C) and classes (N, ...)", scores, target)
    wanted = target.astype(xp.int64)
    inside = (wanted >= 0) & (wanted < scores.shape[-1])
    return xp.take_along_axis(scores, (wanted * inside)[..., None], axis=-1), inside, wanted


def kept(xp: Any, wanted: Array, ignore_index: int | None) -> Array:
    """Which targets are not ignored."""
    if ignore_index is None:
        return xp.full(wanted.shape, True)
    # Compare in a type that can represent the index; the targets' type may be too short.
    return wanted.astype(xp.int64) != ignore_index


def right_of_all(
    xp: Any, right: Array, wanted: Array, ignore_index: int | None
) -> tuple[Array, Array]:
    """The number of right predictions, and the number of all."""
    counted = kept(xp, wanted, ignore_index)
    return (right & counted).sum(dtype=xp.int64), counted.sum(dtype=xp.int64)


def confusion(metric: Metric, xp: Any, prediction: Array, target: Array, number: int) -> Array:
    """How often each class (row) was predicted to be each class (column)."""
    predicted, wanted = classes(metric, xp, prediction, target)
    if predicted.ndim < prediction.ndim and prediction.shape[-1] != number:
        raise misfit(metric, f"scores of {number} classes", prediction, target)
    predicted, wanted = predicted.astype(xp.int64).ravel(), wanted.astype(xp.int64).ravel()
    inside = (predicted >= 0) & (predicted < number) & (wanted >= 0) & (wanted < number)
    cells = number * number
    cell = xp.where(inside, wanted * number + predicted, cells)
    # XLA needs the length as an argument, NumPy does not.
    length = {"length": cells + 1} if xp is jnp else {}
    counts = xp.bincount(cell, minlength=cells + 1, **length)
    return counts[:cells].reshape(number, number).astype(xp.int64)


def difference(metric: Metric, xp: Any, prediction: Array, target: Array) -> Array:
    """The errors of predictions, in the type to compute with."""
    if prediction.shape != target.shape:
        raise misfit(metric, "one shape", prediction, target)
    dtype = working_type(xp, prediction)
    return prediction.astype(dtype) - target.astype(dtype)


def working_type(xp: Any, x: Array) -> Any:
    """The type to compute with: half precision is not enough for sums."""
    return xp.float64 if x.dtype == np.float64 else xp.float32


def sum_and_size(xp: Any, x: Array) -> tuple[Array, Array]:
    """The sum of all elements, and their number."""
    return x.sum(dtype=xp.float64), xp.asarray(x.size, xp.int64)


def ratio(xp: Any, part: Array, whole: Array, of_nothing: float = 0.0) -> Array:
    """Part / whole, and ``of_nothing`` if that is 0 / 0."""
    quotient = part.astype(xp.float64) / xp.maximum(whole, 1).astype(xp.float64)
    return xp.where(whole > 0, quotient, of_nothing)


def mean(xp: Any, total: Array, count: Array) -> Array:
    """Total / count; nan if the count is 0."""
    return ratio(xp, total, count, xp.nan)


def check_classes(metric: Metric, number: int) -> None:
    """Raise ArgumentError if this is not a valid number of classes."""
    if checks.integer(f"{type(metric).__name__}: num_classes", number) < 2:
        raise ArgumentError(
            f"{type(metric).__name__}: num_classes is {number}, at least 2 are expected"
        )


def misfit(metric: Metric, wanted: str, prediction: Array, target: Array) -> ShapeError:
    """The error to raise if shapes do not fit."""
    return ShapeError(
        f"{type(metric).__name__}: {wanted} expected, got predictions {prediction.dtype} of "
        f"shape {prediction.shape} and targets {target.dtype} of shape {target.shape}"
    )
