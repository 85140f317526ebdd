"""The error function's relatives, and the normal distribution: its share below a number.

Element by element. Integers are computed as float32. The error function is in
:mod:`singa.operation.exponential`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from singa.core.tensor import Tensor
from singa.device import CTensor, float32
from singa.operation import checks, vectorized
from singa.operation.numerics import polynomial
from singa.operation.pointwise import RealFunction
from singa.tape import Operation, widened

__all__ = [
    "ErfInv", "Erfc", "Erfcx", "LogNdtr", "Ndtr", "Ndtri", "erfc", "erfcx", "erfinv", "log_ndtr",
    "ndtr", "ndtri",
]  # fmt: skip

# Rational functions for e ** (x²) erfc(x), up to 8 and beyond; from S. Moshier's Cephes library.
_P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687,
    4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
    9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)  # fmt: skip
_Q = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
    1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip
_R = (
    2.97886665372100240670, 7.40974269950448939160, 6.16021097993053585195,
    5.01905042251180477414, 1.27536670759978104416, 5.64189583547755073984e-1,
)  # fmt: skip
_S = (
    3.36907645100081516050, 9.60896809063285878198, 1.70814450747565897222e1,
    1.20489539808096656605e1, 9.39603524938001434673, 2.26052863220117276590, 1.0,
)  # fmt: skip


def _scaled_tail(x: CTensor) -> CTensor:
    """The product of e ** (x²) and erfc(x) for x of 1 and more; one overflows, one underflows."""
    # Each branch gets numbers that it can bear. (A minimum would halve the gradient of a tie.)
    near, over = jnp.where(x < 8, x, 8), 1 / jnp.where(x < 8, 8, x)
    of_near = polynomial(_P, near) / polynomial(_Q, near)
    return jnp.where(x < 8, of_near, over * polynomial(_R, over) / polynomial(_S, over))


def _erfcx(x: CTensor) -> CTensor:
    if x.dtype == float32:
        return vectorized.erfcx(x)
    low = jnp.where(x > 1, 1, x)
    of_low = jnp.exp(low * low) * lax.erfc(low)
    return jnp.where(x > 1, _scaled_tail(jnp.where(x > 1, x, 1)), of_low)


def _erfcx_slope(x: CTensor) -> CTensor:
    if x.dtype == float32:
        return vectorized.erfcx_slope(x)
    slope: CTensor = jax.jvp(_erfcx, (x,), (jnp.ones_like(x),))[1]
    return slope


def _ndtr(x: CTensor) -> CTensor:
    return 0.5 * lax.erfc(x * -math.sqrt(0.5))


def _density(x: CTensor) -> CTensor:
    """That of the standard normal distribution."""
    return jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _scaled_ndtr(x: CTensor) -> CTensor:
    """The share below x, divided by e ** -(x² / 2), for x of -2 and less."""
    return 0.5 * _scaled_tail(x * -math.sqrt(0.5))


def _log_ndtr(x: CTensor) -> CTensor:
    low, high = jnp.where(x < -2, x, -2), jnp.where(x < -2, -2, x)
    # The smaller one of the shares below and above; for NaN, NaN.
    share = _ndtr(jnp.where(high < 0, high, -high))
    of_high = jnp.where(high < 0, jnp.log(share), jnp.log1p(-share))
    return jnp.where(x < -2, jnp.log(_scaled_ndtr(low)) - 0.5 * low * low, of_high)


def _log_ndtr_slope(x: CTensor) -> CTensor:
    """The density over the share: far below 0 both are too small to be divided."""
    low, high = jnp.where(x < -2, x, -2), jnp.where(x < -2, -2, x)
    of_low = (1 / math.sqrt(2 * math.pi)) / _scaled_ndtr(low)
    return jnp.where(x < -2, of_low, _density(high) / _ndtr(high))


class Erfc(
    RealFunction, formula=lax.erfc, slope=lambda x: (-2 / math.sqrt(math.pi)) * jnp.exp(-x * x)
):
    """y = 1 - the error function of x, precise where that is near 1."""

    arithmetic = "wide"


class Erfcx(RealFunction, formula=_erfcx, slope=_erfcx_slope):
    """y = e ** (x²) erfc(x), where erfc(x) alone would be 0."""

    arithmetic = "wide"


class Ndtr(RealFunction, formula=_ndtr, slope=_density):
    """y = the share of the standard normal distribution below x."""

    arithmetic = "wide"


class LogNdtr(RealFunction, formula=_log_ndtr, slope=_log_ndtr_slope):
    """y = the logarithm of the share of the standard normal distribution below x."""

    arithmetic = "wide"


class _Inverse(Operation):
    """A function whose slope follows from its value."""

    arithmetic = "wide"

    def forward(self, x: CTensor) -> CTensor:
        self.y = self.inverse(checks.as_float(self, "its input", x))
        return self.y

    def inverse(self, x: CTensor) -> CTensor:
        raise NotImplementedError


class ErfInv(_Inverse):
    """y with the error function x: infinite, as the gradient, at -1 and 1."""

    def inverse(self, x: CTensor) -> CTensor:
        return lax.erf_inv(x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * (0.5 * math.sqrt(math.pi)) * jnp.exp(self.y * self.y)


class Ndtri(_Inverse):
    """y below which the share x of the standard normal distribution is."""

    def inverse(self, x: CTensor) -> CTensor:
        return jax.scipy.special.ndtri(widened(x)).astype(x.dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * math.sqrt(2 * math.pi) * jnp.exp(0.5 * self.y * self.y)


def erfc(x: Tensor) -> Tensor:
    """``1 - erf(x)``, element by element, precise for large x too.

    Example:
        >>> autograd.erfc(Tensor(data=[0.0, 1.0]))
        Tensor([1.    , 0.1573], shape=(2,), dtype=float32, device=cpu)
    """
    return Erfc()(x)[0]


def erfcx(x: Tensor) -> Tensor:
    """``exp(x * x) * erfc(x)``, element by element: about ``1 / (x * sqrt(pi))`` for large x.

    Example:
        >>> autograd.erfcx(Tensor(data=[0.0, 1.0, 1000.0]))
        Tensor([1.    , 0.4276, 0.0006], shape=(3,), dtype=float32, device=cpu)
    """
    return Erfcx()(x)[0]


def erfinv(x: Tensor) -> Tensor:
    """The inverse of the error function, element by element; infinite at -1 and 1.

    Example:
        >>> autograd.erfinv(Tensor(data=[0.0, 0.5, 1.0]))
        Tensor([0.    , 0.4769,    inf], shape=(3,), dtype=float32, device=cpu)
    """
    return ErfInv()(x)[0]


def ndtr(x: Tensor) -> Tensor:
    """The probability that a number of the standard normal distribution is below x.

    Element by element.

    Example:
        >>> autograd.ndtr(Tensor(data=[0.0, 1.0]))
        Tensor([0.5   , 0.8413], shape=(2,), dtype=float32, device=cpu)
    """
    return Ndtr()(x)[0]


def log_ndtr(x: Tensor) -> Tensor:
    """The logarithm of :func:`ndtr`, element by element, also where that is 0 in floats.

    Example:
        >>> autograd.log_ndtr(Tensor(data=[0.0, -20.0]))
        Tensor([  -0.6931, -203.9172], shape=(2,), dtype=float32, device=cpu)
    """
    return LogNdtr()(x)[0]


def ndtri(p: Tensor) -> Tensor:
    """The inverse of :func:`ndtr`, element by element: quantiles of the normal distribution.

    Example:
        >>> autograd.ndtri(Tensor(data=[0.5, 0.975]))
        Tensor([0.  , 1.96], shape=(2,), dtype=float32, device=cpu)
    """
    return Ndtri()(p)[0]
