"""Modified Bessel functions of the first kind, of the orders 0 and 1, element by element.

Integers are computed as float32.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.operation.numerics import polynomial
from singa.operation.pointwise import Formula, RealFunction

__all__ = ["I0", "I1", "I0e", "I1e", "i0", "i0e", "i1", "i1e"]


def _grown(scaled: Formula, x: CTensor) -> CTensor:
    """``scaled`` times e ** |x|, in two steps: that factor overflows earlier than the product."""
    x = jnp.clip(x, -1e4, 1e4)  # the product is infinite long before, and at infinity 0 * inf
    root = jnp.exp(0.5 * jnp.abs(x))
    return scaled(x) * root * root


def _i0(x: CTensor) -> CTensor:
    return _grown(lax.bessel_i0e, x)


def _i1(x: CTensor) -> CTensor:
    return _grown(lax.bessel_i1e, x)


def _i1_slope(x: CTensor) -> CTensor:
    return _grown(lambda x: lax.bessel_i0e(x) - _i1e_over(x), x)


def _i1e_over(x: CTensor) -> CTensor:
    """i1e(x) / x, and its limit at 0."""
    is_zero = x == 0
    return jnp.where(is_zero, 0.5, lax.bessel_i1e(x) / jnp.where(is_zero, 1, x))


def _terms(order: int, count: int) -> list[float]:
    """Factors of 1 / x ** k, k = 0, 1, ..., in the expansion for large x: Hankel's."""
    terms = [1.0]
    for k in range(1, count):
        terms.append(-terms[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k))
    return terms


_LESS = [b - a for a, b in zip(_terms(0, 20), _terms(1, 20), strict=True)][:0:-1]


def _difference(x: CTensor) -> CTensor:
    """i1e(x) - i0e(x) for x of 0 and more; where they are nearly equal, by an expansion."""
    over = 1 / jnp.maximum(x, 20)
    by_terms = jnp.sqrt(over * (0.5 / math.pi)) * over * polynomial(_LESS, over)
    return jnp.where(x > 20, by_terms, lax.bessel_i1e(x) - lax.bessel_i0e(x))


def _i0e_slope(x: CTensor) -> CTensor:
    return jnp.sign(x) * _difference(jnp.abs(x))


def _i1e_slope(x: CTensor) -> CTensor:
    return -_difference(jnp.abs(x)) - _i1e_over(x)


class I0(RealFunction, formula=_i0, slope=_i1):
    """y = the modified Bessel function of order 0."""

    arithmetic = "wide"


class I0e(RealFunction, formula=lax.bessel_i0e, slope=_i0e_slope):
    """y = e ** -|x| times the modified Bessel function of order 0."""

    arithmetic = "wide"


class I1(RealFunction, formula=_i1, slope=_i1_slope):
    """y = the modified Bessel function of order 1."""

    arithmetic = "wide"


class I1e(RealFunction, formula=lax.bessel_i1e, slope=_i1e_slope):
    """y = e ** -|x| times the modified Bessel function of order 1."""

    arithmetic = "wide"


def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of order 0, element by element.

    Example:
        >>> autograd.i0(Tensor(data=[0.0, 1.0]))
        Tensor([1.    , 1.2661], shape=(2,), dtype=float32, device=cpu)
    """
    return I0()(x)[0]


def i0e(x: Tensor) -> Tensor:
    """``exp(-abs(x)) * i0(x)``, element by element, for x of any size.

    Example:
        >>> autograd.i0e(Tensor(data=[0.0, 1000.0]))
        Tensor([1.    , 0.0126], shape=(2,), dtype=float32, device=cpu)
    """
    return I0e()(x)[0]


def i1(x: Tensor) -> Tensor:
    """The modified Bessel function of order 1, element by element: the derivative of :func:`i0`.

    Example:
        >>> autograd.i1(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.5652], shape=(2,), dtype=float32, device=cpu)
    """
    return I1()(x)[0]


def i1e(x: Tensor) -> Tensor:
    """``exp(-abs(x)) * i1(x)``, element by element, for x of any size.

    Example:
        >>> autograd.i1e(Tensor(data=[0.0, 1000.0]))
        Tensor([0.    , 0.0126], shape=(2,), dtype=float32, device=cpu)
    """
    return I1e()(x)[0]
