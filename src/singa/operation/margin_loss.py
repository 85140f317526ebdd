"""Losses that want outputs to be on the right side of a margin."""

from __future__ import annotations

import jax.numpy as jnp
from jax.nn import sigmoid as logistic

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.class_loss import check_class_ids
from singa.operation.inputs import given
from singa.operation.loss import Loss, check
from singa.operation.vectorized import softplus

__all__ = [
    "Hinge", "HingeEmbedding", "MarginRanking", "MultiMargin", "SoftMargin",
    "hinge_embedding_loss", "hinge_loss", "margin_ranking_loss", "multi_margin_loss",
    "soft_margin_loss",
]  # fmt: skip


class Hinge(Loss):
    """y = mean(max(0, 1 - t x)) over all elements, for t of 1 and -1."""

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        self.x, self.t = x, t
        return jnp.maximum(1 - t * x, 0)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = jnp.where(self.t * self.x < 1, -self.spread(dy), 0)
        return dy * self.t, dy * self.x


class SoftMargin(Loss):
    """y = mean(log(1 + exp(-t x))) over all elements, for t of 1 and -1."""

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        self.x, self.t = x, t.astype(x.dtype)
        return softplus(-self.t * x)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = self.spread(dy) * -logistic(-self.t * self.x)
        return dy * self.t, dy * self.x


class HingeEmbedding(Loss):
    """y = the mean of x where t is 1, and of max(0, margin - x) where t is -1."""

    numbers = ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = checks.number(f"{self.name}: margin", margin)

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        self.is_like, short = t > 0, self.margin - x
        self.is_short = short > 0
        return jnp.where(self.is_like, x, jnp.maximum(short, 0))

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        dy = self.spread(dy)
        return jnp.where(self.is_like, dy, jnp.where(self.is_short, -dy, 0)), None


class MarginRanking(Loss):
    """y = mean(max(0, margin - t (a - b))): a above b where t is 1, b above a where it is -1."""

    numbers = ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = checks.number(f"{self.name}: margin", margin)

    def values(self, a: CTensor, b: CTensor, t: CTensor) -> CTensor:
        check(self, a, t)
        if a.shape != b.shape:
            raise ShapeError(f"{self.name}: a is of shape {a.shape}, b of {b.shape}")
        self.t = t.astype(a.dtype)
        short = self.margin - self.t * (a - b)
        self.wrong = short > 0
        return jnp.maximum(short, 0)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, None]:
        db = jnp.where(self.wrong, self.spread(dy) * self.t, 0)
        return -db, db, None


class MultiMargin(Loss):
    """y = mean over the batch of sum(max(0, margin - x[t] + x[i]) ** p) / classes.

    The sum is over all classes i but t. The targets are class ids. A third input is a weight for
    each class, a factor of its rows.
    """

    numbers = ("margin",)

    def __init__(self, p: int = 1, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.p = checks.integer(f"{self.name}: p", p)
        if self.p not in (1, 2):
            raise ArgumentError(f"{self.name}: p must be 1 or 2, got {p!r}")
        self.margin = checks.number(f"{self.name}: margin", margin)

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        check_class_ids(self, *xs[:2])
        return super().__call__(*xs)

    def values(self, x: CTensor, t: CTensor, *weight: CTensor) -> CTensor:
        checks.rank(self, "x", x, 2, "(N, classes)")
        checks.float_input(self, "x", x)
        classes = x.shape[1]
        if t.shape != x.shape[:1] or any(w.shape != (classes,) for w in weight):
            raise ShapeError(
                f"{self.name}: for x of shape {x.shape} the class ids must be {x.shape[:1]}, and "
                f"the weights ({classes},); got {t.shape} and {[w.shape for w in weight]}"
            )
        t = checks.integer_input(self, "class ids", t)[:, None]
        is_class = (t >= 0) & (t < classes)
        is_right = t == jnp.arange(classes, dtype=t.dtype)
        right = jnp.where(is_class, jnp.where(is_right, x, 0).sum(1, keepdims=True), jnp.nan)
        short = jnp.where(is_right, 0, jnp.maximum(self.margin - right + x, 0))
        losses = (short * short if self.p == 2 else short).sum(1) / classes
        if not weight:
            return losses
        return losses * weight[0].astype(x.dtype).at[t[:, 0]].get(mode="clip")


def hinge_loss(x: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
    """The mean of ``max(0, 1 - t * x)`` over all elements, for targets of 1 and -1.

    A scalar; ``t`` is of x's shape. With ``reduction="sum"`` the sum, with ``"none"`` one loss
    for each element.

    Example:
        >>> autograd.hinge_loss(Tensor(data=[0.5, 0.5]), Tensor(data=[1.0, -1.0]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return Hinge(reduction)(x, t)[0]


def soft_margin_loss(x: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
    """The mean of ``log(1 + exp(-t * x))`` over all elements, for targets of 1 and -1.

    A scalar; ``t`` is of x's shape. With ``reduction="sum"`` the sum, with ``"none"`` one loss
    for each element.

    Example:
        >>> autograd.soft_margin_loss(Tensor(data=[0.0, 100.0]), Tensor(data=[1.0, 1.0]))
        Tensor(0.3466, shape=(), dtype=float32, device=cpu)
    """
    return SoftMargin(reduction)(x, t)[0]


def hinge_embedding_loss(
    x: Tensor, t: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """The mean of distances of similar pairs, and of ``max(0, margin - x)`` for others: a scalar.

    Args:
        x: distances, of any shape.
        t: of x's shape: 1 for a pair that should be similar, -1 for one that should not.
        margin: the distance beyond which dissimilar pairs have no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each element.

    Example:
        >>> autograd.hinge_embedding_loss(Tensor(data=[0.5, 0.25]), Tensor(data=[1, -1]))
        Tensor(0.625, shape=(), dtype=float32, device=cpu)
    """
    return HingeEmbedding(margin, reduction)(x, t)[0]


def margin_ranking_loss(
    a: Tensor, b: Tensor, t: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """The mean of ``max(0, margin - t * (a - b))`` over all elements: a scalar.

    Args:
        a: scores, of any shape.
        b: the same.
        t: the same: 1 where ``a`` should be larger, -1 where ``b`` should be.
        margin: by how much.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each element.

    Example:
        >>> a, b = Tensor(data=[1.0, 2.0]), Tensor(data=[0.0, 0.0])
        >>> autograd.margin_ranking_loss(a, b, Tensor(data=[1, -1]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return MarginRanking(margin, reduction)(a, b, t)[0]


def multi_margin_loss(
    x: Tensor,
    t: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The score of the right class should be above all others by a margin: a scalar.

    The mean over the batch of the sum of ``max(0, margin - x[t] + x[i]) ** p`` over all wrong
    classes i, divided by the number of classes.

    Args:
        x: (N, classes) scores.
        t: class ids (N,) of an integer type.
        p: 1 or 2.
        margin: see above.
        weight: (classes,), the weight of each class; the mean is not weighted.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row, (N,).

    Raises:
        BoundsError: a class id that is none, as in :func:`softmax_cross_entropy`.

    Example:
        >>> autograd.multi_margin_loss(Tensor(data=[[1.0, 0.5]]), Tensor(data=[0]))
        Tensor(0.25, shape=(), dtype=float32, device=cpu)
    """
    return MultiMargin(p, margin, reduction)(x, t, *given(weight))[0]
