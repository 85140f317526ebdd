"""Losses of an output and its target. Each is a scalar, of shape ().

Losses of classes and probabilities are summed over each row and averaged over the batch; losses of
numbers are averaged over all elements.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.arrays import on_host
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor
from singa.errors import ArgumentError, BoundsError, ShapeError
from singa.operation import checks
from singa.operation.elementwise import div
from singa.tape import Operation

__all__ = [
    "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "CrossEntropy", "Hinge", "Huber",
    "KLDivergence", "MeanAbsoluteError", "MeanSquareError", "NegativeLogLikelihood",
    "SoftMaxCrossEntropy", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "cross_entropy", "hinge_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "nll_loss",
    "smooth_l1_loss", "softmax_cross_entropy",
]  # fmt: skip

_LEAST_LOG = -100  # where logarithms of probabilities are cut off, so that losses stay finite


class NegativeLogLikelihood(Operation):
    """y = -mean over the batch of sum(t log_p).

    The targets are class ids (integers of log_p's shape without its last axis), one-hot rows or
    soft labels (of log_p's shape, of any type). If an id is not a class, the loss is NaN. A third
    input is a weight for each class: for class ids the mean is then weighted by the ids' weights.
    If all ids are ignored, the loss is NaN, and its gradient is 0.

    Args:
        ignore_index: the id of rows that are ignored; any integer.
        label_smoothing: the part of each target that is spread equally over all classes.
    """

    arithmetic = "wide"
    numbers = ("label_smoothing",)

    def __init__(self, ignore_index: int | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= checks.number(f"{self.name}: label_smoothing", label_smoothing) <= 1:
            raise ArgumentError(
                f"{self.name}: label_smoothing must be from 0 to 1, got {label_smoothing!r}"
            )
        self.label_smoothing = float(label_smoothing)
        self.ignore_index = None
        if ignore_index is not None:
            self.ignore_index = checks.integer(f"{self.name}: ignore_index", ignore_index)

    def forward(self, x: CTensor, t: CTensor, *weight: CTensor) -> CTensor:
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
        labels = self.labels()
        self.total = self.count()
        # A class with target 0 may have probability 0: 0 times -inf is 0 here.
        return -jnp.where(labels == 0, 0, labels * self.log_p).sum() / self.total

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        return *self.gradients(dy), *[None for _ in self.weight]

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        """The gradients of the logarithms and of the targets."""
        is_of_nothing = self.total == 0
        dy = jnp.where(is_of_nothing, 0, -dy / jnp.where(is_of_nothing, 1, self.total))
        return dy * self.labels(), self.weighted(dy * (1 - self.label_smoothing) * self.log_p)

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
        labels = labels * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.ignore_index is not None:
            labels = jnp.where(checks.equal(self.t, self.ignore_index)[..., None], 0, labels)
        return self.weighted(labels)

    def weighted(self, labels: CTensor) -> CTensor:
        return labels * self.weight[0].astype(labels.dtype) if self.weight else labels

    def count(self) -> CTensor | int:
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

    def mean_over(self) -> CTensor | int:
        return self.total


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
        return jnp.maximum(jnp.log(x), _LEAST_LOG)

    def gradients(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dlog_p, dt = super().gradients(dy)
        return dlog_p / jnp.maximum(self.x, _least(self.x)), dt


class MeanSquareError(Operation):
    """y = mean((x - t) ** 2) over all elements."""

    arithmetic = "wide"

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        _check(self, x, t)
        self.error = x - t
        return self.value(self.error).mean()

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dx = dy / max(self.error.size, 1) * self.slope(self.error)
        return dx, -dx

    def mean_over(self) -> int:
        return self.error.size

    def value(self, error: CTensor) -> CTensor:
        return error * error

    def slope(self, error: CTensor) -> CTensor:
        return 2 * error


class MeanAbsoluteError(MeanSquareError):
    """y = mean(abs(x - t)) over all elements; the gradient at 0 is 0."""

    def value(self, error: CTensor) -> CTensor:
        return jnp.abs(error)

    def slope(self, error: CTensor) -> CTensor:
        return jnp.sign(error)


class Huber(MeanSquareError):
    """y = the mean of e ** 2 / 2 up to delta, and of delta (abs(e) - delta / 2) beyond, e = x - t.

    (Huber, 1964.)
    """

    numbers = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        if not checks.number(f"{self.name}: delta", delta) > 0:
            raise ArgumentError(f"{self.name}: delta must be above 0, got {delta!r}")
        self.delta = float(delta)

    def value(self, error: CTensor) -> CTensor:
        near = jnp.clip(error, -self.delta, self.delta)
        return near * (error - near / 2)

    def slope(self, error: CTensor) -> CTensor:
        return jnp.clip(error, -self.delta, self.delta)


class BinaryCrossEntropy(Operation):
    """y = -mean over the batch of sum(t log x + (1 - t) log(1 - x)), for probabilities x.

    The logarithms are limited to at least -100, so that the loss is finite for x = 0 and x = 1.
    """

    arithmetic = "wide"

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        _check(self, x, t)
        self.x, self.t = x, t
        log_x = jnp.maximum(jnp.log(x), _LEAST_LOG)
        log_rest = jnp.maximum(jnp.log1p(-x), _LEAST_LOG)
        return -(t * log_x + (1 - t) * log_rest).sum() / _rows(x)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        x, t = self.x, self.t
        dy = dy / _rows(x)
        # Finite at 0 and 1 too, and with the right sign.
        dx = dy * (x - t) / jnp.maximum(x * (1 - x), _least(x))
        log_ratio = jnp.maximum(jnp.log1p(-x), _LEAST_LOG) - jnp.maximum(jnp.log(x), _LEAST_LOG)
        return dx, dy * log_ratio

    def mean_over(self) -> int:
        return _rows(self.x)


class BinaryCrossEntropyWithLogits(Operation):
    """y = the binary cross-entropy of sigmoid(x), exact for logits x of any size."""

    arithmetic = "wide"

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        _check(self, x, t)
        self.x, self.t = x, t
        return (jax.nn.softplus(x) - t * x).sum() / _rows(x)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = dy / _rows(self.x)
        return dy * (jax.nn.sigmoid(self.x) - self.t), -dy * self.x

    def mean_over(self) -> int:
        return _rows(self.x)


class KLDivergence(Operation):
    """y = the mean over the batch of sum(t (log t - x)), for log-probabilities x.

    Where t is 0, its term of the sum is 0.
    """

    arithmetic = "wide"

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        _check(self, x, t)
        self.t, self.log_ratio = t, jnp.where(t == 0, 0, jnp.log(t) - x)
        return (t * self.log_ratio).sum() / _rows(x)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = dy / _rows(self.t)
        return -dy * self.t, dy * (self.log_ratio + 1)

    def mean_over(self) -> int:
        return _rows(self.t)


class Hinge(Operation):
    """y = mean(max(0, 1 - t x)) over all elements, for t of 1 and -1."""

    arithmetic = "wide"

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        _check(self, x, t)
        self.x, self.t = x, t
        return jnp.maximum(1 - t * x, 0).mean()

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = jnp.where(self.t * self.x < 1, -dy / max(self.x.size, 1), 0)
        return dy * self.t, dy * self.x

    def mean_over(self) -> int:
        return self.x.size


def _check(operation: Operation, x: CTensor, t: CTensor) -> None:
    checks.float_input(operation, "x", x)
    if x.shape != t.shape:
        raise ShapeError(
            f"{operation.name}: x is of shape {x.shape}, the targets of {t.shape}; "
            "they must be equal"
        )


def _rows(x: CTensor) -> int:
    """The size of the batch; 1 for a single number."""
    return x.shape[0] if x.ndim else 1


def _least(x: CTensor) -> float:
    """The least divisor of probabilities."""
    return max(1e-12, float(jnp.finfo(x.dtype).tiny))


def softmax_cross_entropy(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The mean over the batch of ``-sum(t * log(softmax(x)))``: a scalar.

    Args:
        x: (N, classes) logits; further leading axes are part of the batch.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight: (classes,), the weight of each class; for class ids the mean is weighted too.
        ignore_index: the class id of rows that are ignored; any integer. If all rows are ignored,
            the loss is NaN, and the gradients are 0.
        label_smoothing: the part of each target that is spread equally over all classes, 0 to 1.

    Raises:
        BoundsError: a class id that is none, eagerly and in a block of ``detect_anomaly``. In other
            compiled steps the loss is NaN.

    Example:
        >>> logits = Tensor(data=[[0.0, np.log(3.0)]])
        >>> autograd.softmax_cross_entropy(logits, Tensor(data=[1]))
        Tensor(0.2877, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(SoftMaxCrossEntropy(ignore_index, label_smoothing), x, t, weight)


def _check_class_ids(operation: NegativeLogLikelihood, x: Tensor, t: Tensor) -> None:
    """Class ids are those of classes that there are: eagerly, and under ``detect_anomaly``.

    In other compiled steps nobody looks at their values, and the loss is NaN.
    """
    if local.capture is not None and not local.anomaly:
        return
    if not isinstance(x, Tensor) or not isinstance(t, Tensor) or not x._data.ndim:
        return  # which the operation refuses
    if t._data.dtype.kind not in "iu" or t._data.shape == x._data.shape:
        return
    classes = x._data.shape[-1]
    about = "{}: class ids are from 0 to {}, for x of shape {}".format
    if local.capture is not None:
        local.capture.check(
            _are_ids(t.data, classes, operation.ignore_index),
            partial(BoundsError, about(operation.name, classes - 1, x.shape)),
        )
        return
    ids = on_host(t._data)
    # This is a part of each eager step: negative ids are large ones if the sign is not looked at.
    if ids.size and ids.view(_UNSIGNED[ids.itemsize]).max() >= classes:
        wrong = ids[(ids < 0) | (ids >= classes)]
        wrong = wrong[wrong != operation.ignore_index]
        if wrong.size:
            raise BoundsError(
                f"{about(operation.name, classes - 1, x.shape)}; got {wrong[0]}. "
                "ignore_index leaves out ids that are none"
            )


_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def _are_ids(ids: CTensor, classes: int, ignored: int | None) -> CTensor:
    holds = (ids >= 0) & (ids < classes)
    if ignored is not None:
        holds |= checks.equal(ids, ignored)
    return holds.all()


def _of_classes(
    operation: NegativeLogLikelihood, x: Tensor, t: Tensor, weight: Tensor | None
) -> Tensor:
    _check_class_ids(operation, x, t)
    return operation(x, t)[0] if weight is None else operation(x, t, weight)[0]


def mse_loss(x: Tensor, t: Tensor) -> Tensor:
    """The mean of ``(x - t) ** 2`` over all elements: a scalar; ``t`` is of x's shape.

    Example:
        >>> autograd.mse_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(2., shape=(), dtype=float32, device=cpu)
    """
    return MeanSquareError()(x, t)[0]


def binary_cross_entropy(x: Tensor, t: Tensor) -> Tensor:
    """The mean over the batch of ``-sum(t * log(x) + (1 - t) * log(1 - x))``: a scalar.

    Args:
        x: (N, ...) probabilities, or a single one, ().
        t: targets of ``x``'s shape, in [0, 1].

    Example:
        >>> x, t = Tensor(data=[[0.5], [0.25]]), Tensor(data=[[1.0], [0.0]])
        >>> autograd.binary_cross_entropy(x, t)
        Tensor(0.4904, shape=(), dtype=float32, device=cpu)
    """
    return BinaryCrossEntropy()(x, t)[0]


def cross_entropy(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The mean over the batch of ``-sum(t * log(x))``: a scalar.

    Args:
        x: (N, classes) probabilities; further leading axes are part of the batch.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight, ignore_index, label_smoothing: as in :func:`softmax_cross_entropy`.

    Example:
        >>> x = Tensor(data=[[0.5, 0.5], [0.25, 0.75]])
        >>> autograd.cross_entropy(x, Tensor(data=[0, 0]))
        Tensor(1.0397, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(CrossEntropy(ignore_index, label_smoothing), x, t, weight)


def nll_loss(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The mean over the batch of ``-sum(t * x)``: a scalar.

    Args:
        x: (N, classes) log-probabilities, such as :func:`log_softmax` gives.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
        weight, ignore_index, label_smoothing: as in :func:`softmax_cross_entropy`.

    Example:
        >>> log_p = Tensor(data=[[-1.0, -0.5], [-0.25, -1.5]])
        >>> autograd.nll_loss(log_p, Tensor(data=[0, 0]))
        Tensor(0.625, shape=(), dtype=float32, device=cpu)
    """
    return _of_classes(NegativeLogLikelihood(ignore_index, label_smoothing), x, t, weight)


def binary_cross_entropy_with_logits(x: Tensor, t: Tensor) -> Tensor:
    """:func:`binary_cross_entropy` of sigmoid(x), exact for ``x`` of any size: a scalar.

    Args:
        x: (N, ...) logits, or a single one, ().
        t: targets of ``x``'s shape, in [0, 1].

    Example:
        >>> x, t = Tensor(data=[0.0, 1000.0]), Tensor(data=[1.0, 1.0])
        >>> autograd.binary_cross_entropy_with_logits(x, t)
        Tensor(0.3466, shape=(), dtype=float32, device=cpu)
    """
    return BinaryCrossEntropyWithLogits()(x, t)[0]


def kl_div(x: Tensor, t: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of ``t`` from ``x``, averaged over the batch: a scalar.

    Args:
        x: (N, ...) log-probabilities, or a single one, ().
        t: probabilities of ``x``'s shape.

    Example:
        >>> autograd.kl_div(Tensor(data=[[0.5, 0.5]]).log(), Tensor(data=[[1.0, 0.0]]))
        Tensor(0.6931, shape=(), dtype=float32, device=cpu)
    """
    return KLDivergence()(x, t)[0]


def l1_loss(x: Tensor, t: Tensor) -> Tensor:
    """The mean of ``abs(x - t)`` over all elements: a scalar; ``t`` is of x's shape.

    Example:
        >>> autograd.l1_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return MeanAbsoluteError()(x, t)[0]


def huber_loss(x: Tensor, t: Tensor, delta: float = 1.0) -> Tensor:
    """The mean of ``(x - t) ** 2 / 2``, linear where ``abs(x - t)`` is above ``delta``.

    A scalar; ``t`` is of x's shape (Huber, 1964).

    Example:
        >>> autograd.huber_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(0.75, shape=(), dtype=float32, device=cpu)
    """
    return Huber(delta)(x, t)[0]


def smooth_l1_loss(x: Tensor, t: Tensor, beta: float = 1.0) -> Tensor:
    """The mean of ``abs(x - t)``, quadratic below ``beta``: :func:`huber_loss` / ``beta``.

    A scalar; ``t`` is of x's shape.

    Example:
        >>> x, t = Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0])
        >>> autograd.smooth_l1_loss(x, t, beta=0.5)
        Tensor(0.875, shape=(), dtype=float32, device=cpu)
    """
    return div(Huber(beta)(x, t)[0], beta)


def hinge_loss(x: Tensor, t: Tensor) -> Tensor:
    """The mean of ``max(0, 1 - t * x)`` over all elements, for targets of 1 and -1.

    A scalar; ``t`` is of x's shape.

    Example:
        >>> autograd.hinge_loss(Tensor(data=[0.5, 0.5]), Tensor(data=[1.0, -1.0]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return Hinge()(x, t)[0]
