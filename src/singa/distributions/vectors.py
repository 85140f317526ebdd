"""Distributions of vectors, which are along the last axis."""

from __future__ import annotations

import math

import jax.numpy as jnp

from singa import random
from singa.core.tensor import Tensor, TensorLike
from singa.distributions.base import Distribution, parameters, within
from singa.errors import ShapeError
from singa.operation import (
    abs,
    checks,
    diagonal,
    digamma,
    lgamma,
    log,
    solve_triangular,
    tril,
    xlogy,
)


class Dirichlet(Distribution):
    """Dirichlet's distribution: of the probabilities of n classes.

    Args:
        concentration: (..., n), above 0.

    Raises:
        ArgumentError: ``concentration`` is not above 0.

    Example:
        >>> dirichlet = distributions.Dirichlet([1.0, 1.0, 2.0])
        >>> dirichlet.mean
        Tensor([0.25, 0.25, 0.5 ], shape=(3,), dtype=float32, device=cpu)
        >>> dirichlet.log_prob([0.25, 0.25, 0.5])
        Tensor(1.0986, shape=(), dtype=float32, device=cpu)
    """

    def __init__(self, concentration: TensorLike) -> None:
        checks.positive("Dirichlet", concentration=concentration)
        (self.concentration,) = parameters("Dirichlet", concentration, last=(1,))
        shape = self.concentration.shape
        self.batch_shape, self.event_shape = shape[:-1], shape[-1:]

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.dirichlet(self.concentration, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        a, x = self.concentration, self.value(x, self.concentration)
        rounding = math.sqrt(jnp.finfo(x.dtype).eps)
        outside = (x < 0).any(-1, keepdims=True) | (abs(x.sum(-1, keepdims=True) - 1) > rounding)
        found = within(x, outside, 0.5, lambda x: xlogy(a - 1, x))
        return found.sum(-1) - self._log_beta()

    def _log_beta(self) -> Tensor:
        return lgamma(self.concentration).sum(-1) - lgamma(self.concentration.sum(-1))

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdims=True)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (self.concentration.sum(-1, keepdims=True) + 1)

    def entropy(self) -> Tensor:
        a = self.concentration
        total, n = a.sum(-1), a.shape[-1]
        return self._log_beta() + (total - n) * digamma(total) - ((a - 1) * digamma(a)).sum(-1)

    def divergence(self, other: Dirichlet) -> Tensor:
        a, b = self.concentration, other.concentration
        mean_log = digamma(a) - digamma(a.sum(-1, keepdims=True))
        return other._log_beta() - self._log_beta() + ((a - b) * mean_log).sum(-1)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: the mean, (..., n).
        scale_tril: (..., n, n), the lower triangular factor of the covariance, with a diagonal
            above 0: ``linalg.cholesky(covariance)``. What is above the diagonal is not used.

    Raises:
        ArgumentError: an element of the diagonal is not above 0.
        ShapeError: the sizes are different.

    Example:
        >>> factor = linalg.cholesky(Tensor(data=[[1.0, 0.5], [0.5, 1.0]]))
        >>> normal = distributions.MultivariateNormal([0.0, 5.0], factor)
        >>> normal.sample((3,)).shape, normal.event_shape
        ((3, 2), (2,))
        >>> normal.log_prob([0.0, 5.0])
        Tensor(-1.694, shape=(), dtype=float32, device=cpu)
    """

    def __init__(self, loc: TensorLike, scale_tril: TensorLike) -> None:
        self.loc, factor = parameters("MultivariateNormal", loc, scale_tril, last=(1, 2))
        n = self.loc.shape[-1]
        if factor.shape[-2:] != (n, n):
            raise ShapeError(
                f"MultivariateNormal: for loc {self.loc.shape}, scale_tril is (..., {n}, {n}), "
                f"got shape {factor.shape}"
            )
        self.scale_tril = tril(factor)
        self._diagonal = diagonal(factor, 0, -2, -1)
        checks.values(
            "MultivariateNormal", "the diagonal of scale_tril must be above 0", lambda x: x > 0,
            self._diagonal,
        )  # fmt: skip
        self.batch_shape, self.event_shape = self.loc.shape[:-1], (n,)

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.multivariate_normal(self.loc, None, shape, scale_tril=self.scale_tril)

    def log_prob(self, x: TensorLike) -> Tensor:
        distance = self._squares(self.value(x, self.loc) - self.loc)
        return -0.5 * (distance + self.event_shape[0] * math.log(2 * math.pi)) - self._log_size()

    def _squares(self, x: Tensor) -> Tensor:
        """The squared length of the vectors for which x is ``scale_tril`` times them."""
        if self.batch_shape:
            z = solve_triangular(self.scale_tril, x.unsqueeze(-1), upper=False)
            return (z * z).sum((-2, -1))
        # One matrix for all of them.
        z = solve_triangular(self.scale_tril, x.reshape(-1, *self.event_shape).T(), upper=False)
        return (z * z).sum(0).reshape(x.shape[:-1])

    def _log_size(self) -> Tensor:
        return log(self._diagonal).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.scale_tril * self.scale_tril).sum(-1)

    def entropy(self) -> Tensor:
        return self._log_size() + 0.5 * self.event_shape[0] * math.log(2 * math.pi * math.e)

    def divergence(self, other: MultivariateNormal) -> Tensor:
        ratio = solve_triangular(other.scale_tril, self.scale_tril, upper=False)
        shift = (self.loc - other.loc).unsqueeze(-1)
        shift = solve_triangular(other.scale_tril, shift, upper=False)
        squares = (ratio * ratio).sum((-2, -1)) + (shift * shift).sum((-2, -1))
        return 0.5 * (squares - self.event_shape[0]) + other._log_size() - self._log_size()
