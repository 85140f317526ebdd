"""Distributions of numbers from 0 on: Exponential, Gamma, Beta."""

from __future__ import annotations

from singa import random
from singa.core.tensor import Tensor, TensorLike
from singa.distributions.base import Distribution, parameters, within
from singa.operation import LogGammaDensity, betaln, checks, digamma, lgamma, log


class Exponential(Distribution):
    """The exponential distribution: of the time until an event.

    Args:
        rate: events in a unit of time, above 0; of the shape of the batch.

    Raises:
        ArgumentError: ``rate`` is not above 0.

    Example:
        >>> distributions.Exponential(2.0).log_prob([0.0, 1.0, -1.0])
        Tensor([ 0.6931, -1.3069,    -inf], shape=(3,), dtype=float32, device=cpu)
    """

    def __init__(self, rate: TensorLike = 1.0) -> None:
        checks.positive("Exponential", rate=rate)
        (self.rate,) = parameters("Exponential", rate)
        self.batch_shape = self.rate.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.exponential(self.rate, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        x = self.value(x, self.rate)
        return within(x, x < 0, 1.0, lambda x: log(self.rate) - self.rate * x)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / (self.rate * self.rate)

    def entropy(self) -> Tensor:
        return 1 - log(self.rate)

    def divergence(self, other: Exponential) -> Tensor:
        ratio = other.rate / self.rate
        return ratio - log(ratio) - 1


def _log_density(a: Tensor, x: Tensor) -> Tensor:
    """That of the gamma distribution of shape a and rate 1."""
    return LogGammaDensity()(a, x)[0]


class Gamma(Distribution):
    """The gamma distribution: for a whole ``concentration`` the time until so many events.

    Args:
        concentration: its shape, above 0.
        rate: events in a unit of time, above 0. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: a parameter is not above 0.

    Example:
        >>> distributions.Gamma(2.0, 1.0).log_prob([1.0, 2.0])
        Tensor([-1.    , -1.3069], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, concentration: TensorLike, rate: TensorLike = 1.0) -> None:
        checks.positive("Gamma", concentration=concentration, rate=rate)
        self.concentration, self.rate = parameters("Gamma", concentration, rate)
        self.batch_shape = self.rate.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.gamma(self.concentration, self.rate, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        a, x = self.concentration, self.value(x, self.rate)
        return within(x, x < 0, 1.0, lambda x: _log_density(a, self.rate * x) + log(self.rate))

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / (self.rate * self.rate)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1 - a) * digamma(a)

    def divergence(self, other: Gamma) -> Tensor:
        a, b, ratio = self.concentration, other.concentration, other.rate / self.rate
        return (a - b) * digamma(a) - lgamma(a) + lgamma(b) - b * log(ratio) + a * (ratio - 1)


class Beta(Distribution):
    """The beta distribution: of a probability, of which ``a - 1`` hits and ``b - 1`` misses tell.

    Args:
        a: above 0.
        b: above 0. Both broadcast to the shape of the batch.

    Raises:
        ArgumentError: a parameter is not above 0.

    Example:
        >>> distributions.Beta(2.0, 1.0).log_prob([0.5, 1.0])
        Tensor([0.    , 0.6931], shape=(2,), dtype=float32, device=cpu)
    """

    def __init__(self, a: TensorLike, b: TensorLike) -> None:
        checks.positive("Beta", a=a, b=b)
        self.a, self.b = parameters("Beta", a, b)
        self.batch_shape = self.a.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.beta(self.a, self.b, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        a, b, x = self.a, self.b, self.value(x, self.a)
        n, outside = a + b, (x < 0) | (x > 1)
        # By densities that stay small: the terms of the density itself grow with a and b.
        whole = _log_density(n, n) - log(n)
        return within(
            x, outside, 0.5, lambda x: _log_density(a, n * x) + _log_density(b, n * (1 - x)) - whole
        )

    @property
    def mean(self) -> Tensor:
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> Tensor:
        total = self.a + self.b
        return self.a * self.b / (total * total * (total + 1))

    def entropy(self) -> Tensor:
        a, b = self.a, self.b
        both = (a + b - 2) * digamma(a + b)
        return betaln(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + both

    def divergence(self, other: Beta) -> Tensor:
        a, b = self.a - other.a, self.b - other.b
        of_each = a * digamma(self.a) + b * digamma(self.b) - (a + b) * digamma(self.a + self.b)
        return betaln(other.a, other.b) - betaln(self.a, self.b) + of_each
