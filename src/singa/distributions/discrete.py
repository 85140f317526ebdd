"""Distributions of whole numbers: Bernoulli, Categorical, Poisson."""

from __future__ import annotations

import math

from singa import random
from singa.core.tensor import Tensor, TensorLike
from singa.distributions.base import Distribution, parameters, within
from singa.errors import ArgumentError, ShapeError
from singa.operation import (
    LogGammaDensity,
    checks,
    exp,
    floor,
    log,
    log_sigmoid,
    log_softmax,
    logit,
    sigmoid,
    where,
    xlogy,
)
from singa.tensor import arange


def _one(name: str, probs: TensorLike | None, logits: TensorLike | None, last: int) -> Tensor:
    """The one that is given, as a Tensor."""
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{name}: give either probs or logits")
    given = logits if probs is None else probs
    assert given is not None
    (found,) = parameters(name, given, last=(last,))
    return found


def _log(p: Tensor) -> Tensor:
    """The logarithm; where a probability is 0, -infinity without a gradient."""
    return log(p.masked_fill(p == 0, 1.0)).masked_fill(p == 0, -math.inf)


def _mean(p: Tensor, x: Tensor) -> Tensor:
    """The terms of a mean: those of probability 0 do not count, even if infinite."""
    return p * x.masked_fill(p == 0, 0.0)


class Bernoulli(Distribution):
    """1 with a probability, else 0.

    Args:
        probs: the probability of 1, from 0 to 1; of the shape of the batch.
        logits: instead of it, ``log(p / (1 - p))``.

    Raises:
        ArgumentError: ``probs`` is not from 0 to 1; or both or none are given.

    A probability of 0 has the gradient 0 in the logarithm.

    Example:
        >>> distributions.Bernoulli(0.25).log_prob([0, 1])
        Tensor([-0.2877, -1.3863], shape=(2,), dtype=float32, device=cpu)
    """

    reparametrized = False

    def __init__(self, probs: TensorLike | None = None, logits: TensorLike | None = None) -> None:
        given = _one("Bernoulli", probs, logits, 0)
        if probs is not None:
            checks.values(
                "Bernoulli", "probs must be from 0 to 1", lambda x: (x >= 0) & (x <= 1), probs
            )  # fmt: skip
            self.probs, self.logits, others = given, logit(given), 1 - given
            self._hit, self._miss = (given, _log(given)), (others, _log(others))
        else:
            self.probs, self.logits = sigmoid(given), given
            self._hit = self.probs, log_sigmoid(given)
            self._miss = sigmoid(-given), log_sigmoid(-given)
        self.batch_shape = given.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.bernoulli(self.probs, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        x = self.value(x, self.probs)
        found = where(self._hit[1], self._miss[1], x == 1)
        return found.masked_fill((x != 0) & (x != 1), -math.inf)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * self._miss[0]

    def entropy(self) -> Tensor:
        return -_mean(*self._hit) - _mean(*self._miss)

    def divergence(self, other: Bernoulli) -> Tensor:
        (p, log_p), (q, log_q) = self._hit, self._miss
        return _mean(p, log_p - other._hit[1]) + _mean(q, log_q - other._miss[1])


class Categorical(Distribution):
    """One of n classes: their numbers, from 0 to n - 1.

    Args:
        probs: (..., n), 0 or more; their sums become 1.
        logits: (..., n), instead of them: ``softmax(logits, -1)`` are the probabilities.

    Raises:
        ArgumentError: ``probs`` are negative, or all 0; or both or none are given.

    It has no ``mean``, as classes are names. A probability of 0 has the gradient 0 in the
    logarithm. Of a class that does not exist, ``log_prob`` raises ArgumentError; in compiled steps
    it is NaN.

    Example:
        >>> classes = distributions.Categorical([0.5, 0.25, 0.25])
        >>> classes.log_prob([0, 2])
        Tensor([-0.6931, -1.3863], shape=(2,), dtype=float32, device=cpu)
        >>> classes.entropy()
        Tensor(1.0397, shape=(), dtype=float32, device=cpu)
    """

    reparametrized = False

    def __init__(self, probs: TensorLike | None = None, logits: TensorLike | None = None) -> None:
        given = _one("Categorical", probs, logits, 1)
        if not given.shape[-1]:
            raise ShapeError(f"Categorical: there are no classes in shape {given.shape}")
        if probs is not None:
            checks.values(
                "Categorical", "probs must be 0 or more, and not all 0",
                lambda x: (x >= 0).all(-1) & (x > 0).any(-1), probs,
            )  # fmt: skip
            self.probs = given / given.sum(-1, keepdims=True)
            self.logits = _log(self.probs)
        else:
            self.logits = log_softmax(given, -1)
            self.probs = exp(self.logits)
        self.batch_shape = given.shape[:-1]

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.categorical(self.logits, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        x, n = self.value(x, self.logits), self.logits.shape[-1]
        checks.values(
            "Categorical.log_prob", f"classes are whole numbers from 0 to {n - 1}",
            lambda x: (x >= 0) & (x < n) & (x % 1 == 0), x,
        )  # fmt: skip
        is_own = x.unsqueeze(-1) == arange(n, device=x.device)
        found = where(self.logits, 0.0, is_own).sum(-1)
        return where(found, math.nan, is_own.any(-1))

    def entropy(self) -> Tensor:
        return -_mean(self.probs, self.logits).sum(-1)

    def divergence(self, other: Categorical) -> Tensor:
        return _mean(self.probs, self.logits - other.logits).sum(-1)


class Poisson(Distribution):
    """Poisson's distribution: of the number of independent events.

    Args:
        rate: the mean, 0 or more; of the shape of the batch.

    Raises:
        ArgumentError: ``rate`` is below 0.

    There is no formula for its ``entropy``.

    Example:
        >>> distributions.Poisson(2.0).log_prob([0, 1, 0.5])
        Tensor([-2.    , -1.3069,    -inf], shape=(3,), dtype=float32, device=cpu)
    """

    reparametrized = False

    def __init__(self, rate: TensorLike) -> None:
        checks.values("Poisson", "rate must be 0 or more", lambda x: x >= 0, rate)
        (self.rate,) = parameters("Poisson", rate)
        self.batch_shape = self.rate.shape

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.poisson(self.rate, shape)

    def log_prob(self, x: TensorLike) -> Tensor:
        x = self.value(x, self.rate)
        outside = (x < 0) | (x > floor(x))
        return within(x, outside, 1.0, lambda x: LogGammaDensity()(x + 1, self.rate)[0])

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def divergence(self, other: Poisson) -> Tensor:
        p, q = self.rate, other.rate
        return xlogy(p, p) - xlogy(p, q) - p + q
