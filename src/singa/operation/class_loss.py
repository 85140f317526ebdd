"""Losses of classes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine.fusion import again
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.inputs import given
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
        self.label_smoothing = float(label_smoothing) or None
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
        self.t, self.weight, self.classes, self.dtype = t, weight, x.shape[-1], x.dtype
        if self.is_one_class:
            return self.terms(self.factors(), self.log_probability(x, self.ids()))
        self.log_p = self.log_probabilities(x)
        terms = self.terms(self.labels(), self.log_p)
        return terms.sum(-1) if self.reduction == "none" else terms

    @property
    def is_one_class(self) -> bool:
        """Whether each target is one class alone: then one logarithm of a row is enough."""
        return self.by_id and self.label_smoothing is None

    def terms(self, labels: CTensor, log_p: CTensor) -> CTensor:
        # A class with target 0 may have probability 0: 0 times -inf is 0 here.
        return -jnp.where(labels == 0, 0, labels * log_p)

    def reduced(self, values: CTensor, count: Any = None) -> CTensor:
        return super().reduced(values, self.rows())

    def spread(self, dy: CTensor) -> CTensor:
        if self.reduction != "mean":
            return dy[..., None]
        is_of_nothing = self.count == 0
        return jnp.where(is_of_nothing, 0, dy / jnp.where(is_of_nothing, 1, self.count))

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        return *self.gradients(dy), *[None for _ in self.weight]

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor | None]:
        """The gradients of x and of the targets."""
        dy = -self.spread(dy)
        if self.is_one_class:
            return self.slopes(*self.at_classes(dy)), None
        dlog_p = dy * self.labels()
        dx = self.slopes(dlog_p, dlog_p.sum(-1, keepdims=True))
        if self.by_id:
            return dx, None
        hardness = 1 if self.label_smoothing is None else 1 - self.label_smoothing
        return dx, self.weighted(dy * hardness * self.log_p)

    def log_probabilities(self, x: CTensor) -> CTensor:
        """The logarithm of each class' probability: of x's shape."""
        return x

    def log_probability(self, x: CTensor, ids: CTensor) -> CTensor:
        """The logarithms of the probabilities of one class in each row: of ids' shape."""
        return self.log_probabilities(at(x, ids))

    def slopes(self, dlog_p: CTensor, total: CTensor) -> CTensor:
        """The gradient of x, for that of the logarithms and its sum over the classes."""
        return dlog_p

    def ids(self) -> CTensor:
        return jnp.clip(self.t, 0, self.classes - 1).astype(jnp.int32)

    def factors(self) -> CTensor:
        """The factor of the logarithm of each row's class: its weight, NaN if it is no class."""
        is_class = (self.t >= 0) & (self.t < self.classes)
        factors = jnp.where(is_class, 1, jnp.asarray(jnp.nan, self.dtype))
        if self.weight:
            factors = factors * self.weight[0].astype(self.dtype)[self.ids()]
        if self.ignore_index is not None:
            factors = jnp.where(checks.equal(self.t, self.ignore_index), 0, factors)
        return factors

    def at_classes(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        """The gradient of all logarithms, and its sum over the classes.

        If the target is no class, it is NaN for all of the row.
        """
        total = (dy[..., 0] if dy.ndim else dy) * self.factors()
        total = total[..., None]
        is_class = jnp.arange(self.classes, dtype=jnp.int32) == self.ids()[..., None]
        return jnp.where(is_class | jnp.isnan(total), total, 0), total

    def labels(self) -> CTensor:
        """The factor of each class' logarithm: the target, smoothed and weighted."""
        if self.by_id:
            is_class = (self.t >= 0) & (self.t < self.classes)
            one_hot = jax.nn.one_hot(self.t, self.classes, dtype=self.dtype)
            labels = jnp.where(is_class[..., None], one_hot, jnp.asarray(jnp.nan, self.dtype))
        else:
            labels = self.t.astype(self.dtype)
        if self.label_smoothing is not None:
            labels = labels * (1 - self.label_smoothing) + self.label_smoothing / self.classes
        if self.ignore_index is not None:
            labels = jnp.where(checks.equal(self.t, self.ignore_index)[..., None], 0, labels)
        return self.weighted(labels)

    def weighted(self, labels: CTensor) -> CTensor:
        return labels * self.weight[0].astype(labels.dtype) if self.weight else labels

    def rows(self) -> CTensor | int:
        """The number of rows; for class ids the sum of the weights of rows that are not ignored."""
        if not self.by_id or (self.ignore_index is None and not self.weight):
            return math.prod(self.t.shape if self.by_id else self.t.shape[:-1])
        weights = jnp.ones_like(self.t)
        if self.weight:
            weights = self.weight[0].at[self.t].get(mode="clip")
        if self.ignore_index is not None:
            weights = jnp.where(checks.equal(self.t, self.ignore_index), 0, weights)
        return weights.sum(dtype=self.dtype)


class SoftMaxCrossEntropy(NegativeLogLikelihood):
    """y = -mean over the batch of sum(t log softmax(x)), with NegativeLogLikelihood's targets."""

    def log_probabilities(self, x: CTensor) -> CTensor:
        self.normalize(x)
        return x - self.most - self.log_sum

    def log_probability(self, x: CTensor, ids: CTensor) -> CTensor:
        self.normalize(x)
        return at(x, ids) - self.most[..., 0] - self.log_sum[..., 0]

    def normalize(self, x: CTensor) -> None:
        self.x = x
        self.most = jax.lax.stop_gradient(x.max(-1, keepdims=True))
        self.log_sum = jnp.log(jnp.exp(x - self.most).sum(-1, keepdims=True))

    def slopes(self, dlog_p: CTensor, total: CTensor) -> CTensor:
        # Soft labels need not sum to 1. If both passes subtracted the same array, XLA would
        # write it out in x's shape.
        x, most = again(self.x), again(self.most)
        return dlog_p - jnp.exp(x - most - self.log_sum) * total


class CrossEntropy(NegativeLogLikelihood):
    """y = -mean over the batch of sum(t log x), for probabilities x.

    The targets are NegativeLogLikelihood's. The logarithm is limited to at least -100, so that the
    loss is finite for x = 0.
    """

    def values(self, x: CTensor, t: CTensor, *weight: CTensor) -> CTensor:
        self.x = x
        return super().values(x, t, *weight)

    def log_probabilities(self, x: CTensor) -> CTensor:
        return jnp.maximum(jnp.log(x), LEAST_LOG)

    def slopes(self, dlog_p: CTensor, total: CTensor) -> CTensor:
        return dlog_p / jnp.maximum(self.x, least(self.x))


def at(x: CTensor, ids: CTensor) -> CTensor:
    """The element of each row of ``x`` that has the number ``ids``."""
    return jnp.take_along_axis(x, ids[..., None], -1, mode="clip")[..., 0]


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
    operation = SoftMaxCrossEntropy(ignore_index, label_smoothing, reduction)
    return operation(x, t, *given(weight))[0]


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
    operation = CrossEntropy(ignore_index, label_smoothing, reduction)
    return operation(x, t, *given(weight))[0]


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
    operation = NegativeLogLikelihood(ignore_index, label_smoothing, reduction)
    return operation(x, t, *given(weight))[0]


def check_class_ids(operation: Loss, *xs: Tensor, ignored: int | None = None) -> None:
    """Check ids t of x's classes, see :func:`singa.operation.checks.ids`; else the loss is NaN."""
    try:
        x, t = xs
        shape, targets = x._data.shape, t._data
    except (AttributeError, ValueError):
        return  # which the operation refuses
    if shape and targets.dtype.kind in "iu" and targets.shape != shape:
        checks.ids(operation, "class ids", t, shape[-1], "x", shape, ignored)
