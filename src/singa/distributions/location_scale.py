"""Distributions with a location and a scale."""

from __future__ import annotations

import math

from singa import random
from singa.core.tensor import Tensor, TensorLike
from singa.distributions.base import Distribution, parameters
from singa.operation import abs, checks, exp, lgamma, log

_EULER = 0.5772156649015329  # the mean of Gumbel's distribution


class Normal(Distribution):
    """The normal distribution.

    Args:
        loc: its mean.
        scale: its standard deviation, above 0. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: ``scale`` is not above 0.

    Example:
        >>> normal = distributions.Normal(0.0, [1.0, 2.0])
        >>> normal.log_prob(0.0)
        Tensor([-0.9189, -1.6121], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        checks.positive("Normal", scale=scale)
        self.loc, self.scale = parameters("Normal", loc, scale)
        self.batch_shape = self.loc.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.normal(self.loc, self.scale, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        z = (self.value(x, self.loc) - self.loc) / self.scale
        return -0.5 * z * z - log(self.scale) - 0.5 * math.log(2 * math.pi)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    def entropy(self) -> Tensor:
        return log(self.scale) + 0.5 * math.log(2 * math.pi * math.e)

    def divergence(self, other: Normal) -> Tensor:
        ratio, shift = self.scale / other.scale, (self.loc - other.loc) / other.scale
        return 0.5 * (ratio * ratio + shift * shift - 1) - log(ratio)


class Uniform(Distribution):
    """All numbers from ``low`` to ``high`` are equally likely.

    Args:
        low: the least number.
        high: the greatest one. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: ``high`` is not above ``low``.

    Example:
        >>> distributions.Uniform(0.0, 4.0).log_prob([1.0, 5.0])
        Tensor([-1.3863,    -inf], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, low: TensorLike = 0.0, high: TensorLike = 1.0) -> None:
        checks.values("Uniform", "high must be above low", lambda a, b: a < b, low, high)
        self.low, self.high = parameters("Uniform", low, high)
        self.batch_shape = self.low.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.uniform(self.low, self.high, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        x = self.value(x, self.low)
        outside = (x < self.low) | (x > self.high)
        return (0 * x - self.entropy()).masked_fill(outside, -math.inf)

    @property
    def mean(self) -> Tensor:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> Tensor:
        width = self.high - self.low
        return width * width / 12

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    def divergence(self, other: Uniform) -> Tensor:
        outside = (self.low < other.low) | (self.high > other.high)
        return (other.entropy() - self.entropy()).masked_fill(outside, math.inf)


class Laplace(Distribution):
    """Laplace's distribution: the distance from ``loc`` is of the exponential distribution.

    Args:
        loc: its mean.
        scale: the mean distance, above 0. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: ``scale`` is not above 0.

    Example:
        >>> distributions.Laplace(0.0, 1.0).log_prob([0.0, -2.0])
        Tensor([-0.6931, -2.6931], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        checks.positive("Laplace", scale=scale)
        self.loc, self.scale = parameters("Laplace", loc, scale)
        self.batch_shape = self.loc.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.laplace(self.loc, self.scale, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        return -abs(self.value(x, self.loc) - self.loc) / self.scale - log(2 * self.scale)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale * self.scale

    def entropy(self) -> Tensor:
        return log(2 * self.scale) + 1

    def divergence(self, other: Laplace) -> Tensor:
        ratio, shift = self.scale / other.scale, abs(self.loc - other.loc)
        return ratio * exp(-shift / self.scale) + shift / other.scale - log(ratio) - 1


class Gumbel(Distribution):
    """Gumbel's distribution: of the greatest one of many numbers.

    Args:
        loc: where the density is greatest.
        scale: above 0. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: ``scale`` is not above 0.

    Example:
        >>> distributions.Gumbel(0.0, 1.0).log_prob([0.0, 2.0])
        Tensor([-1.    , -2.1353], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, loc: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        checks.positive("Gumbel", scale=scale)
        self.loc, self.scale = parameters("Gumbel", loc, scale)
        self.batch_shape = self.loc.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.gumbel(self.loc, self.scale, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        z = (self.value(x, self.loc) - self.loc) / self.scale
        return -z - exp(-z) - log(self.scale)

    @property
    def mean(self) -> Tensor:
        return self.loc + _EULER * self.scale

    @property
    def variance(self) -> Tensor:
        return (math.pi**2 / 6) * self.scale * self.scale

    def entropy(self) -> Tensor:
        return log(self.scale) + (1 + _EULER)

    def divergence(self, other: Gumbel) -> Tensor:
        ratio, shift = self.scale / other.scale, (self.loc - other.loc) / other.scale
        far = exp(lgamma(1 + ratio) - shift)
        return shift + far - log(ratio) + _EULER * ratio - (1 + _EULER)
