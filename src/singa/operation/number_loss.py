"""Losses of numbers and of their distributions."""

from __future__ import annotations

import math

import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.elementwise import div
from singa.operation.loss import Loss, check

__all__ = [
    "GaussianNegativeLogLikelihood", "Huber", "MeanAbsoluteError", "MeanSquareError",
    "PoissonNegativeLogLikelihood", "gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss",
    "poisson_nll_loss", "smooth_l1_loss",
]  # fmt: skip


class MeanSquareError(Loss):
    """y = mean((x - t) ** 2) over all elements."""

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        self.error = x - t
        return self.value(self.error)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dx = self.spread(dy) * self.slope(self.error)
        return dx, -dx

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

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if not checks.number(f"{self.name}: delta", delta) > 0:
            raise ArgumentError(f"{self.name}: delta must be above 0, got {delta!r}")
        self.delta = float(delta)

    def value(self, error: CTensor) -> CTensor:
        near = jnp.clip(error, -self.delta, self.delta)
        return near * (error - near / 2)

    def slope(self, error: CTensor) -> CTensor:
        return jnp.clip(error, -self.delta, self.delta)


class GaussianNegativeLogLikelihood(Loss):
    """y = the mean of (log v + (x - t) ** 2 / v) / 2 over all elements, for variances v.

    Variances below epsilon count as epsilon; they still have the gradient of one.
    """

    numbers = ("epsilon",)

    def __init__(self, full: bool = False, epsilon: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = bool(full)
        self.epsilon = checks.number(f"{self.name}: epsilon", epsilon)

    def values(self, x: CTensor, t: CTensor, var: CTensor) -> CTensor:
        check(self, x, t)
        checks.broadcasts_to(self, "x of", var, x.shape)
        self.error = x - t
        self.var = jnp.maximum(var.astype(x.dtype), jnp.asarray(self.epsilon, x.dtype))
        losses = (jnp.log(self.var) + self.error * self.error / self.var) / 2
        return losses + math.log(2 * math.pi) / 2 if self.full else losses

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        dy, ratio = self.spread(dy), self.error / self.var
        dx = dy * ratio
        return dx, -dx, dy * (1 / self.var - ratio * ratio) / 2


class PoissonNegativeLogLikelihood(Loss):
    """y = the mean of exp(x) - t x over all elements, for the logarithms x of expected counts.

    Without ``log_input``, x are the counts, and it is x - t log(x + epsilon). ``full`` adds
    Stirling's approximation of log(t!) where t is above 1.
    """

    numbers = ("epsilon",)

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        epsilon: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full = bool(log_input), bool(full)
        self.epsilon = checks.number(f"{self.name}: epsilon", epsilon)

    def values(self, x: CTensor, t: CTensor) -> CTensor:
        check(self, x, t)
        if self.log_input:
            losses = jnp.exp(x) - t * x
        else:
            losses = x - t * jnp.log(x + jnp.asarray(self.epsilon, x.dtype))
        if not self.full:
            return losses
        many = jnp.where(t > 1, t, 1).astype(x.dtype)
        stirling = many * jnp.log(many) - many + jnp.log(2 * math.pi * many) / 2
        return losses + jnp.where(t > 1, stirling, 0)


def mse_loss(x: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
    """The mean of ``(x - t) ** 2`` over all elements: a scalar; ``t`` is of x's shape.

    With ``reduction="sum"`` their sum, with ``"none"`` one loss for each element.

    Example:
        >>> autograd.mse_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(2., shape=(), dtype=float32, device=cpu)
    """
    return MeanSquareError(reduction)(x, t)[0]


def l1_loss(x: Tensor, t: Tensor, reduction: str = "mean") -> Tensor:
    """The mean of ``abs(x - t)`` over all elements: a scalar; ``t`` is of x's shape.

    With ``reduction="sum"`` their sum, with ``"none"`` one loss for each element.

    Example:
        >>> autograd.l1_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return MeanAbsoluteError(reduction)(x, t)[0]


def huber_loss(x: Tensor, t: Tensor, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """The mean of ``(x - t) ** 2 / 2``, linear where ``abs(x - t)`` is above ``delta``.

    A scalar; ``t`` is of x's shape (Huber, 1964). With ``reduction="sum"`` the sum, with
    ``"none"`` one loss for each element.

    Example:
        >>> autograd.huber_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0]))
        Tensor(0.75, shape=(), dtype=float32, device=cpu)
    """
    return Huber(delta, reduction)(x, t)[0]


def smooth_l1_loss(x: Tensor, t: Tensor, beta: float = 1.0, reduction: str = "mean") -> Tensor:
    """The mean of ``abs(x - t)``, quadratic below ``beta``: :func:`huber_loss` / ``beta``.

    A scalar; ``t`` is of x's shape. With ``reduction="sum"`` the sum, with ``"none"`` one loss
    for each element.

    Example:
        >>> x, t = Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 4.0])
        >>> autograd.smooth_l1_loss(x, t, beta=0.5)
        Tensor(0.875, shape=(), dtype=float32, device=cpu)
    """
    return div(Huber(beta, reduction)(x, t)[0], beta)


def gaussian_nll_loss(
    x: Tensor,
    t: Tensor,
    var: Tensor,
    full: bool = False,
    epsilon: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of ``t`` under normal distributions: a scalar.

    The mean of ``(log(var) + (x - t) ** 2 / var) / 2`` over all elements.

    Args:
        x: the expected values, of any shape.
        t: of x's shape.
        var: the variances, of a shape that broadcasts to x's, such as (N, 1).
        full: add the constant ``log(2 * pi) / 2``.
        epsilon: smaller variances count as this.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each element.

    Example:
        >>> x, t, var = (Tensor(data=[v]) for v in (1.0, 3.0, 4.0))
        >>> autograd.gaussian_nll_loss(x, t, var)  # (log(4) + 4 / 4) / 2
        Tensor(1.1931, shape=(), dtype=float32, device=cpu)
    """
    return GaussianNegativeLogLikelihood(full, epsilon, reduction)(x, t, var)[0]


def poisson_nll_loss(
    x: Tensor,
    t: Tensor,
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts ``t`` under Poisson distributions: a scalar.

    The mean of ``exp(x) - t * x`` over all elements.

    Args:
        x: the logarithms of the expected counts, of any shape.
        t: of x's shape.
        log_input: whether x are logarithms. If not, it is ``x - t * log(x + epsilon)``.
        full: add Stirling's approximation of log(t!) where t is above 1.
        epsilon: keeps the logarithm finite.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each element.

    Example:
        >>> autograd.poisson_nll_loss(Tensor(data=[0.0, 0.0]), Tensor(data=[1.0, 3.0]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return PoissonNegativeLogLikelihood(log_input, full, epsilon, reduction)(x, t)[0]
