"""The incomplete gamma functions of large shapes, in float32: by Temme's expansion.

XLA multiplies by ``e ** (a ln x - x - lgamma(a))``. Its terms are much larger than their sum: of
a = 1e5 all digits are lost. Here they are subtracted before they are computed.

Source: Temme, The asymptotic expansion of the incomplete gamma functions, 1979.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from singa.device import CTensor, float32
from singa.operation.numerics import polynomial

# Of (μ - ln(1 + μ)) * 2 / μ², and of the first two terms of the expansion by powers of 1 / a.
_ETA = [2 * (-1) ** k / (k + 2) for k in range(14, -1, -1)]
_FIRST = [-571 / 261273600, 1 / 25515, -139 / 777600, 1 / 2835, 1 / 864, -2 / 135, 1 / 12, -1 / 3]
_SECOND = [-77 / 77760, 1 / 378, -1 / 288, -1 / 540]


def is_large(a: CTensor, x: CTensor) -> CTensor:
    """Where the expansion is exact to 32 bits, and XLA's functions are not."""
    return (a > 200) & (x > 0) & jnp.isfinite(a) & jnp.isfinite(x) & (a.dtype == float32)


def deviance(a: CTensor, x: CTensor) -> CTensor:
    """The product of a and x / a - 1 - ln(x / a): 0 where x is a."""
    eta = _eta(a, x)
    return 0.5 * a * eta * eta


def _eta(a: CTensor, x: CTensor) -> CTensor:
    """η, of the sign of x - a, with η² / 2 = x / a - 1 - ln(x / a)."""
    mu = (x - a) / a
    is_near = jnp.abs(mu) < 0.25
    near, far = jnp.where(is_near, mu, 0), jnp.where(is_near, 1, mu)
    of_far = jnp.sign(far) * jnp.sqrt(2 * (far - jnp.log1p(far)))
    return jnp.where(is_near, near * jnp.sqrt(polynomial(_ETA, near)), of_far)


def _scaled_gauss(a: CTensor, eta: CTensor) -> CTensor:
    return jnp.exp(-0.5 * a * eta * eta) / jnp.sqrt(2 * math.pi * a)


def share(a: CTensor, x: CTensor, *, sign: int) -> CTensor:
    """gammainc(a, x) for the sign 1, gammaincc(a, x) for the sign -1."""
    eta, mu = _eta(a, x), (x - a) / a
    is_near = jnp.abs(eta) < 0.7
    near, far = jnp.where(is_near, eta, 0.7), jnp.where(is_near, 1, eta)
    of_far = 1 / jnp.where(is_near, 1, mu) - 1 / far
    terms = jnp.where(is_near, polynomial(_FIRST, near), of_far) + polynomial(_SECOND, near) / a
    tail = 0.5 * lax.erfc(-sign * eta * jnp.sqrt(0.5 * a))
    return tail - sign * _scaled_gauss(a, eta) * terms


def density(a: CTensor, x: CTensor) -> CTensor:
    """The derivative of gammainc(a, x) by x."""
    return _scaled_gauss(a, _eta(a, x)) * (a / x) * jnp.exp(-1 / (12 * a))
