"""Losses of probabilities, element by element."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.operation import checks
from singa.operation.loss import LEAST_LOG, Loss, check, check_weight, least
from singa.operation.vectorized import softplus

__all__ = [
    "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "KLDivergence", "SigmoidFocal",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "sigmoid_focal_loss",
]  # fmt: skip


class BinaryCrossEntropy(Loss):
    """y = -mean over the batch of sum(t log x + (1 - t) log(1 - x)), for probabilities x.

    The logarithms are limited to at least -100, so that the loss is finite for x = 0 and x = 1. A
    third input is a weight of each term.
    """

    of_rows = True

    def values(self, x: CTensor, t: CTensor, *weight: CTensor) -> CTensor:
        check(self, x, t)
        self.x, self.t, self.weight = x, t, weight
        losses = self.unweighted(x, t)
        if not weight:
            return losses
        check_weight(self, "weight", weight[0], x)
        return losses * weight[0].astype(losses.dtype)

    def unweighted(self, x: CTensor, t: CTensor) -> CTensor:
        log_x = jnp.maximum(jnp.log(x), LEAST_LOG)
        log_rest = jnp.maximum(jnp.log1p(-x), LEAST_LOG)
        return -(t * log_x + (1 - t) * log_rest)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        x, t, dy = self.x, self.t, self.spread(dy)
        dweight = [dy * self.unweighted(x, t) for _ in self.weight]
        dy = dy * self.weight[0].astype(x.dtype) if self.weight else dy
        # Finite at 0 and 1 too, and with the right sign.
        dx = dy * (x - t) / jnp.maximum(x * (1 - x), least(x))
        log_ratio = jnp.maximum(jnp.log1p(-x), LEAST_LOG) - jnp.maximum(jnp.log(x), LEAST_LOG)
        return dx, dy * log_ratio, *dweight


class BinaryCrossEntropyWithLogits(Loss):
    """y = the binary cross-entropy of sigmoid(x), exact for logits x of any size.

    A third input is a weight of each term, and a fourth one another factor of positive targets.
    """

    of_rows = True

    def values(self, x: CTensor, t: CTensor, *weights: CTensor) -> CTensor:
        check(self, x, t)
        for what, weight in zip(("weight", "pos_weight"), weights, strict=False):
            check_weight(self, what, weight, x)
        self.inputs = x, t, *(weight.astype(x.dtype) for weight in weights)
        return self.formula(*self.inputs)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        (x, t, *weights), dy = self.inputs, self.spread(dy)
        if not weights:
            return dy * (jax.nn.sigmoid(x) - t), -dy * x
        pullback = jax.vjp(self.formula, *self.inputs)[1]
        return tuple(pullback(jnp.broadcast_to(dy, x.shape)))

    @staticmethod
    def formula(x: CTensor, t: CTensor, *weights: CTensor) -> CTensor:
        if len(weights) < 2:
            losses = softplus(x) - t * x
        else:
            losses = weights[1] * t * softplus(-x) + (1 - t) * softplus(x)
        return losses * weights[0] if weights else losses


class SigmoidFocal(Loss):
    """y = the binary cross-entropy of sigmoid(x), less for what is nearly right (Lin et al., 2017).

    Each term is multiplied with q ** gamma, where q is the probability of the wrong answer, and
    with alpha for positive targets, 1 - alpha for negative ones, unless alpha is None.
    """

    of_rows = True
    numbers = ("gamma",)

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha = None if alpha is None else checks.number(f"{self.name}: alpha", alpha)
        self.gamma = checks.number(f"{self.name}: gamma", gamma)

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        wrong = t * jax.nn.sigmoid(-x) + (1 - t) * jax.nn.sigmoid(x)
        # Above 0, where a power below 1 has no slope.
        wrong = jnp.maximum(wrong, float(jnp.finfo(x.dtype).tiny))
        losses = (softplus(x) - t * x) * wrong ** jnp.asarray(self.gamma, x.dtype)
        if self.alpha is None:
            return losses
        return losses * (self.alpha * t + (1 - self.alpha) * (1 - t))


class KLDivergence(Loss):
    """y = the mean over the batch of sum(t (log t - x)), for log-probabilities x.

    Where t is 0, its term of the sum is 0. With ``log_target`` the targets are log t.
    """

    of_rows = True

    def __init__(self, log_target: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_target = bool(log_target)

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        log_t = t if self.log_target else jnp.log(t)
        self.t = jnp.exp(t) if self.log_target else t
        self.log_ratio = jnp.where(self.t == 0, 0, log_t - x)
        return self.t * self.log_ratio

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = self.spread(dy)
        dt = dy * (self.log_ratio + 1)
        return -dy * self.t, dt * self.t if self.log_target else dt


def binary_cross_entropy(
    x: Tensor, t: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over the batch of ``-sum(t * log(x) + (1 - t) * log(1 - x))``: a scalar.

    Args:
        x: (N, ...) probabilities, or a single one, ().
        t: targets of ``x``'s shape, in [0, 1].
        weight: factors of the terms, of a shape that broadcasts to ``x``'s.
        reduction: ``"mean"`` over the batch, ``"sum"``, or ``"none"`` for the loss of each element.

    Example:
        >>> x, t = Tensor(data=[[0.5], [0.25]]), Tensor(data=[[1.0], [0.0]])
        >>> autograd.binary_cross_entropy(x, t)
        Tensor(0.4904, shape=(), dtype=float32, device=cpu)
    """
    weights = [] if weight is None else [weight]
    return BinaryCrossEntropy(reduction)(x, t, *weights)[0]


def binary_cross_entropy_with_logits(
    x: Tensor,
    t: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """:func:`binary_cross_entropy` of sigmoid(x), exact for ``x`` of any size: a scalar.

    Args:
        x: (N, ...) logits, or a single one, ().
        t: targets of ``x``'s shape, in [0, 1].
        weight: factors of the terms, of a shape that broadcasts to ``x``'s.
        pos_weight: further factors of ``t``, for positive targets that are few; the same.
        reduction: ``"mean"`` over the batch, ``"sum"``, or ``"none"`` for the loss of each element.

    Example:
        >>> x, t = Tensor(data=[0.0, 1000.0]), Tensor(data=[1.0, 1.0])
        >>> autograd.binary_cross_entropy_with_logits(x, t)
        Tensor(0.3466, shape=(), dtype=float32, device=cpu)
    """
    if weight is None and pos_weight is not None:
        weight = Tensor(data=1, dtype=pos_weight.dtype, device=pos_weight.device)
    weights = [w for w in (weight, pos_weight) if w is not None]
    return BinaryCrossEntropyWithLogits(reduction)(x, t, *weights)[0]


def sigmoid_focal_loss(
    x: Tensor,
    t: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """:func:`binary_cross_entropy_with_logits`, less for elements that are nearly right.

    Each term is multiplied with ``q ** gamma``, where q is the probability of the wrong answer.

    Args:
        x: (N, ...) logits, or a single one, ().
        t: targets of ``x``'s shape, in [0, 1].
        alpha: the factor of positive targets; that of negative ones is 1 - ``alpha``. None for
            no such factors.
        gamma: how much less; 0 for not at all.
        reduction: ``"mean"`` over the batch, ``"sum"``, or ``"none"`` for the loss of each element.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017.

    Example:
        >>> x, t = Tensor(data=[[0.0], [4.0]]), Tensor(data=[[1.0], [1.0]])
        >>> autograd.sigmoid_focal_loss(x, t, reduction="none")
        Tensor([[0.0433],
                [0.    ]], shape=(2, 1), dtype=float32, device=cpu)
    """
    return SigmoidFocal(alpha, gamma, reduction)(x, t)[0]


def kl_div(x: Tensor, t: Tensor, log_target: bool = False, reduction: str = "mean") -> Tensor:
    """The Kullback-Leibler divergence of ``t`` from ``x``, averaged over the batch: a scalar.

    Args:
        x: (N, ...) log-probabilities, or a single one, ().
        t: probabilities of ``x``'s shape.
        log_target: ``t`` are log-probabilities too.
        reduction: ``"mean"`` over the batch, ``"sum"``, or ``"none"`` for the loss of each element.

    Example:
        >>> autograd.kl_div(Tensor(data=[[0.5, 0.5]]).log(), Tensor(data=[[1.0, 0.0]]))
        Tensor(0.6931, shape=(), dtype=float32, device=cpu)
    """
    return KLDivergence(log_target, reduction)(x, t)[0]
