"""Losses of classes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.loss import LEAST_LOG, Loss, least

__all__ = [
    "CrossEntropy", "NegativeLogLikelihood", "SoftMaxCrossEntropy", "cross_entropy", "nll_loss",
    "softmax_cross_entropy",
]  # fmt: skip


class NegativeLogLikelihood(Loss):
    """y = -mean over the batch of sum(t log_p).

    The targets are class ids (integers of log_p's shape without its last axis), one-hot rows or
    soft labels (of log_p's shape, of any type). If an id is not a class, the loss is NaN. A third
    input is a weight for each class: for class ids the mean is then weighted by the ids' weights.
    If all ids are ignored, the loss is NaN, and its gradient is 0.

    Args:
        ignore_index: the id of rows that are ignored; any integer.
        label_smoothing: the part of each target that is spread equally over all classes.
        reduction: ``"none"`` for the loss of each row.
    """

    numbers = ("label_smoothing",)

    def __init__(
        self,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not 0 <= checks.number(f"{self.name}: label_smoothing", label_smoothing) <= 1:
            raise ArgumentError(
                f"{self.name}: label_smoothing must be from 0 to 1, got {label_smoothing!r}"
            )
        self.label_smoothing = float(label_smoothing) or None  # None is known while it is traced
        self.ignore_index = None
        if ignore_index is not None:
            self.ignore_index = checks.integer(f"{self.name}: ignore_index", ignore_index)

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        check_class_ids(self, *xs[:2], ignored=self.ignore_index)
        return super().__call__(*xs)

    def values(self, x: CTensor, t: CTensor, *weight: CTensor) -> CTensor:
        checks.float_input(self, "x", x)
        if x.ndim < 2 or not x.size:
            raise ShapeError(f"{self.name}: x must be (N, classes), and not empty; got {x.shape}")
        self.by_id = t.shape in (x.shape[:-1], (*x.shape[:-1], 1)) and t.shape != x.shape
        if not self.by_id and t.shape != x.shape:
            raise ShapeError(
                f"{self.name}: for x of shape {x.shape} the targets are class ids of shape "
                f"{x.shape[:-1]}, or one-hot or soft labels of shape {x.shape}; got {t.shape}"
            )
        if self.by_id:
            t = checks.integer_input(self, "class ids", t).reshape(x.shape[:-1])
        if self.ignore_index is not None and not self.by_id:
            raise ArgumentError(f"{self.name}: ignore_index is for class ids; t is {t.shape}")
        if weight and weight[0].shape != x.shape[-1:]:
            raise ShapeError(
                f"{self.name}: weight must be ({x.shape[-1]},), one for each class, got "
                f"{weight[0].shape}"
            )
        self.t, self.weight = t, weight
        self.log_p = self.log_probabilities(x)
        if self.by_id and self.label_smoothing is None:
            return self.of_targets()
        labels = self.labels()
        # A class with target 0 may have probability 0: 0 times -inf is 0 here.
        terms = -jnp.where(labels == 0, 0, labels * self.log_p)
        return terms.sum(-1) if self.reduction == "none" else terms

    def of_targets(self) -> CTensor:
        """The loss of each row, for class ids: only the logarithms of these classes are read."""
        classes = self.log_p.shape[-1]
        found = jnp.take_along_axis(self.log_p, self.t[..., None], -1, mode="clip")[..., 0]
        if self.weight:
            weight = self.weight[0].astype(found.dtype).at[self.t].get(mode="clip")
            found = jnp.where(weight == 0, 0, weight * found)
        found = jnp.where((self.t >= 0) & (self.t < classes), found, jnp.nan)
        if self.ignore_index is not None:
            found = jnp.where(checks.equal(self.t, self.ignore_index), 0, found)
        return -found

    def reduced(self, values: CTensor, count: Any = None) -> CTensor:
        return super().reduced(values, self.rows())

    def spread(self, dy: CTensor) -> CTensor:
        if self.reduction != "mean":
            return dy[..., None]
        is_of_nothing = self.count == 0
        return jnp.where(is_of_nothing, 0, dy / jnp.where(is_of_nothing, 1, self.count))

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        return *self.gradients(dy), *[None for _ in self.weight]

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        """The gradients of the logarithms and of the targets."""
        dy = -self.spread(dy)
        share = 1 if self.label_smoothing is None else 1 - self.label_smoothing
        return dy * self.labels(), self.weighted(dy * share * self.log_p)

    def log_probabilities(self, x: CTensor) -> CTensor:
        return x

    def labels(self) -> CTensor:
        """The factor of each class' logarithm: the target, smoothed and weighted."""
        classes, dtype = self.log_p.shape[-1], self.log_p.dtype
        if self.by_id:
            is_class = (self.t >= 0) & (self.t < classes)
            one_hot = jax.nn.one_hot(self.t, classes, dtype=dtype)
            labels = jnp.where(is_class[..., None], one_hot, jnp.asarray(jnp.nan, dtype))
        else:
            labels = self.t.astype(dtype)
        if self.label_smoothing is not None:
            labels = labels * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.ignore_index is not None:
            labels = jnp.where(checks.equal(self.t, self.ignore_index)[..., None], 0, labels)
        return self.weighted(labels)

    def weighted(self, labels: CTensor) -> CTensor:
        return labels * self.weight[0].astype(labels.dtype) if self.weight else labels

    def rows(self) -> CTensor | int:
        """The number of rows; for class ids the sum of the weights of rows that are not ignored."""
        rows = self.log_p.size // self.log_p.shape[-1]
        if not self.by_id or (self.ignore_index is None and not self.weight):
            return rows
        weights = jnp.ones_like(self.t)
        if self.weight:
            weights = self.weight[0].at[self.t].get(mode="clip")
        if self.ignore_index is not None:
            weights = jnp.where(checks.equal(self.t, self.ignore_index), 0, weights)
        return weights.sum(dtype=self.log_p.dtype)


class SoftMaxCrossEntropy(NegativeLogLikelihood):
    """y = -mean over the batch of sum(t log softmax(x)), with NegativeLogLikelihood's targets."""

    def log_probabilities(self, x: CTensor) -> CTensor:
        return jax.nn.log_softmax(x, -1)

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dlog_p, dt = super().gradients(dy)
        # Soft labels need not sum to 1.
        return dlog_p - jnp.exp(self.log_p) * dlog_p.sum(-1, keepdims=True), dt


class CrossEntropy(NegativeLogLikelihood):
    """y = -mean over the batch of sum(t log x), for probabilities x.

    The targets are NegativeLogLikelihood's. The logarithm is limited to at least -100, so that the
    loss is finite for x = 0.
    """

    def log_probabilities(self, x: CTensor) -> CTensor:
        self.x = x
        return jnp.maximum(jnp.log(x), LEAST_LOG)

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dlog_p, dt = super().gradients(dy)
        return dlog_p / jnp.maximum(self.x, least(self.x)), dt


def softmax_cross_entropy(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the batch of ``-sum(t * log(softmax(x)))``: a scalar.

    Args:
        x: (N, classes) logits; further leading axes are part of the batch.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight: (classes,), the weight of each class; for class ids the mean is weighted too.
        ignore_index: the class id of rows that are ignored; any integer. If all rows are ignored,
            the loss is NaN, and the gradients are 0.
        label_smoothing: the part of each target that is spread equally over all classes, 0 to 1.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row, (N,).

    Raises:
        BoundsError: a class id that is none, eagerly and in a block of ``detect_anomaly``. In other
            compiled steps the loss is NaN.

    Example:
        >>> logits = Tensor(data=[[0.0, np.log(3.0)]])
        >>> autograd.softmax_cross_entropy(logits, Tensor(data=[1]))
        Tensor(0.2877, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(SoftMaxCrossEntropy(ignore_index, label_smoothing, reduction), x, t, weight)


def cross_entropy(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the batch of ``-sum(t * log(x))``: a scalar.

    Args:
        x: (N, classes) probabilities; further leading axes are part of the batch.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight, ignore_index, label_smoothing, reduction: as in :func:`softmax_cross_entropy`.

    Example:
        >>> x = Tensor(data=[[0.5, 0.5], [0.25, 0.75]])
        >>> autograd.cross_entropy(x, Tensor(data=[0, 0]))
        Tensor(1.0397, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(CrossEntropy(ignore_index, label_smoothing, reduction), x, t, weight)


def nll_loss(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the batch of ``-sum(t * x)``: a scalar.

    Args:
        x: (N, classes) log-probabilities, such as :func:`log_softmax` gives.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight, ignore_index, label_smoothing, reduction: as in :func:`softmax_cross_entropy`.

    Example:
        >>> log_p = Tensor(data=[[-1.0, -0.5], [-0.25, -1.5]])
        >>> autograd.nll_loss(log_p, Tensor(data=[0, 0]))
        Tensor(0.625, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(
        NegativeLogLikelihood(ignore_index, label_smoothing, reduction), x, t, weight
    )


def _of_classes(
    operation: NegativeLogLikelihood, x: Tensor, t: Tensor, weight: Tensor | None
) -> Tensor:
    return operation(x, t)[0] if weight is None else operation(x, t, weight)[0]


def check_class_ids(operation: Loss, *xs: Tensor, ignored: int | None = None) -> None:
    """Check ids t of x's classes, see :func:`singa.operation.checks.ids`; else the loss is NaN."""
    try:
        x, t = xs
        shape, targets = x._data.shape, t._data
    except (AttributeError, ValueError):
        return  # which the operation refuses
    if shape and targets.dtype.kind in "iu" and targets.shape != shape:
        checks.ids(operation, "class ids", t, shape[-1], "x", shape, ignored)
