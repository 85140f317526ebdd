"""The gamma function and what belongs to it: its derivatives, beta functions, and their integrals.

Element by element, with broadcasting. Integers are computed as float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from singa.core.tensor import Tensor, TensorLike
from singa.device import CTensor, float32, float64
from singa.errors import ArgumentError, GradientError
from singa.operation import checks, large_gamma
from singa.operation.numerics import polynomial, without_formula, x_log_y
from singa.operation.pointwise import RealFunction, as_tensors
from singa.tape import Operation, mode

__all__ = [
    "BetaInc", "BetaLn", "Digamma", "GammaInc", "GammaIncC", "LGamma", "LogGammaDensity",
    "Polygamma", "Zeta", "betainc", "betaln", "digamma", "gammainc", "gammaincc", "lgamma",
    "polygamma", "zeta",
]  # fmt: skip


def _digamma(x: CTensor) -> CTensor:
    pole = jnp.where(jnp.signbit(x), jnp.inf, -jnp.inf).astype(x.dtype)
    return jnp.where(x == 0, pole, lax.digamma(x))


def _polygamma(order: int, x: CTensor) -> CTensor:
    """The derivative of this order of the digamma function; XLA has NaN for the limit at inf."""
    if order == 0:
        return _digamma(x)

    def anywhere(x: CTensor) -> CTensor:
        ends = jnp.isposinf(x)
        orders = jnp.full(x.shape, order, x.dtype)
        return jnp.where(ends, 0, lax.polygamma(orders, jnp.where(ends, 1, x)))

    if order > 10:  # the factorial and the sum would leave the range of float32
        return anywhere(x)
    y: CTensor = lax.cond((x > 0).all(), partial(_polygamma_above_0, order), anywhere, x)
    return y


_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138, -236364091 / 2730,
)  # fmt: skip


def _polygamma_above_0(order: int, x: CTensor) -> CTensor:
    """Of positive numbers: a sum over (x + k) ** -(order + 1), and the rest by Euler and Maclaurin.

    Powers are products, as the order is known, where XLA's formula takes them by logarithms.
    """
    s, first = order + 1, 10
    rest = 1 / (x + first)
    factors, factor = [], float(s)
    for j, bernoulli in enumerate(_BERNOULLI, start=1):
        factors.append(bernoulli * factor / math.factorial(2 * j))
        factor *= (s + 2 * j - 1) * (s + 2 * j)
    used = factors if x.dtype == float64 else factors[:6]
    end = rest * polynomial(used[::-1], rest * rest) + 0.5
    total = rest**s * end + rest**order / order
    for k in reversed(range(first)):
        total += (1 / (x + k)) ** s
    return (-1) ** s * math.factorial(order) * total


def _zeta_minus_1(k: int) -> float:
    """The sum of n ** -k over n = 2, 3, ...: 49 terms, and the others by Euler and Maclaurin."""
    terms, power = [n**-k for n in range(2, 51)], 51.0**-k
    terms += [51 * power / (k - 1), power / 2, k * power / (12 * 51)]
    product = k * (k + 1) * (k + 2) * power / 51**3
    return math.fsum([*terms, -product / 720, product * (k + 3) * (k + 4) / (30240 * 51**2)])


# Of z, z ** 2, ... in ln gamma(2 + z), the highest power first.
_NEAR_2 = [(-1) ** k * _zeta_minus_1(k) / k for k in range(27, 1, -1)] + [1 - 0.5772156649015329]


def _lgamma(x: CTensor) -> CTensor:
    """With all digits near the roots 1 and 2, where XLA's has the rounding errors of its terms."""
    z = jnp.where(x < 1.5, x - 1, x - 2)
    is_near = jnp.abs(z) <= 0.5
    z = jnp.where(is_near, z, 0)
    near = z * polynomial(_NEAR_2, z) - jnp.where(x < 1.5, jnp.log1p(z), 0)
    return jnp.where(is_near, near, lax.lgamma(x))


class LGamma(RealFunction, formula=_lgamma, slope=_digamma):
    """y = ln |gamma(x)|."""

    arithmetic = "wide"


class Digamma(RealFunction, formula=_digamma, slope=lambda x: _polygamma(1, x)):
    """y = the derivative of ln gamma(x)."""

    arithmetic = "wide"


class Polygamma(Operation):
    """y = the derivative of this order of the digamma function."""

    arithmetic = "wide"

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = checks.integer(f"{self.name}: order", order)
        if order < 0:
            raise ArgumentError(f"{self.name}: order must be 0 or more, got {order}")

    def forward(self, x: CTensor) -> CTensor:
        self.x = checks.as_float(self, "its input", x)
        return _polygamma(self.order, self.x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * _polygamma(self.order + 1, self.x)


# -- several inputs -----------------------------------------------------------------------------


class _OfSeveral(Operation):
    """A function of several inputs, which get one float type and one shape."""

    arithmetic = "wide"

    def forward(self, *xs: CTensor) -> CTensor:
        checks.broadcastable(self, *xs)
        floats = [checks.as_float(self, "its input", x) for x in xs]
        self.xs = jnp.broadcast_arrays(*[x.astype(jnp.result_type(*floats)) for x in floats])
        return self.value(*self.xs)

    def value(self, *xs: Any) -> CTensor:
        raise NotImplementedError


# The series of Stirling: of 1 / x² in brackets, for x of 8 and more exact to 64 bits.
_STIRLING = (
    1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12,
)  # fmt: skip


def _rest(x: CTensor) -> CTensor:
    """Ln gamma(x) - ((x - 1/2) ln x - x + ln(2 pi) / 2), for x of 8 and more."""
    return polynomial(_STIRLING, 1 / (x * x)) / x


class BetaLn(_OfSeveral):
    """y = ln |gamma(a) gamma(b) / gamma(a + b)|.

    Large logarithms of gamma functions are not subtracted: their difference would have few digits.
    """

    def value(self, a: CTensor, b: CTensor) -> CTensor:
        small, large = jnp.minimum(a, b), jnp.maximum(a, b)
        far = jnp.maximum(large, 8)  # the branch for small numbers is computed too, and not used
        total = small + far
        rests = _rest(far) - _rest(jnp.maximum(total, 8))
        # Of gamma(large) / gamma(small + large).
        log_ratio = rests + small - small * jnp.log(total) - (far - 0.5) * jnp.log1p(small / far)
        both = jnp.maximum(small, 8)
        of_both = rests + _rest(both) + 0.5 * math.log(2 * math.pi)
        of_both += both * jnp.log(both / (both + far)) - 0.5 * jnp.log(both)
        of_both -= (far - 0.5) * jnp.log1p(both / far)
        of_few = _lgamma(small) + (_lgamma(large) - _lgamma(small + large))
        of_one = _lgamma(small) + log_ratio
        return jnp.select([large < 8, small < 0, small < 8], [of_few, of_few, of_one], of_both)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, b = self.xs
        of_sum = _digamma(a + b)
        return dy * (_digamma(a) - of_sum), dy * (_digamma(b) - of_sum)


def _where(condition: CTensor, *xs: CTensor) -> list[CTensor]:
    """The numbers, and 300 where the condition does not hold, which no branch finds hard."""
    return [jnp.where(condition, x, 300) for x in xs]


def _density(a: CTensor, x: CTensor) -> CTensor:
    """That of the gamma distribution: the derivative of its share below x."""
    log_density = x_log_y(a - 1, x) - x - _lgamma(a)
    return jnp.exp(jnp.where(jnp.isposinf(x), -jnp.inf, log_density))


@jax.custom_vjp
def _slope_in_a(a: CTensor, x: CTensor) -> CTensor:
    """The derivative of gammainc(a, x) by a; there is no formula for its own one by a."""
    return jnp.where(jnp.isposinf(x), 0, lax.igamma_grad_a(a, x))


def _slope_in_a_backward(xs: tuple[CTensor, CTensor], dy: CTensor) -> tuple[CTensor, CTensor]:
    a, x = xs
    return without_formula(dy), dy * _density(a, x) * (jnp.log(x) - _digamma(a))


_slope_in_a.defvjp(lambda a, x: (_slope_in_a(a, x), (a, x)), _slope_in_a_backward)


class GammaInc(_OfSeveral):
    """y = the integral of t ** (a - 1) e ** -t from 0 to x, divided by gamma(a)."""

    sign = 1

    def value(self, a: CTensor, x: CTensor) -> CTensor:
        is_large = large_gamma.is_large(a, x)
        few = (lax.igamma if self.sign == 1 else lax.igammac)(*_where(~is_large, a, x))
        return jnp.where(is_large, large_gamma.share(*_where(is_large, a, x), sign=self.sign), few)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, x = self.xs
        is_large = large_gamma.is_large(a, x)
        (a, x), (far_a, far_x) = _where(~is_large, a, x), _where(is_large, a, x)
        density = jnp.where(is_large, large_gamma.density(far_a, far_x), _density(a, x))
        _, slope = jax.jvp(
            lambda a: large_gamma.share(a, far_x, sign=1), (far_a,), (jnp.ones_like(far_a),)
        )
        slope = jnp.where(is_large, slope, _slope_in_a(a, x))
        return self.sign * dy * slope, self.sign * dy * density


class GammaIncC(GammaInc):
    """y = the integral of t ** (a - 1) e ** -t from x to infinity, divided by gamma(a)."""

    sign = -1


class LogGammaDensity(_OfSeveral):
    """y = (a - 1) ln x - x - ln gamma(a): of gamma distributions' and Poisson's logarithms.

    Of large numbers the terms are much larger than their sum, so they are not computed (Loader,
    Fast and accurate computation of binomial probabilities, 2000).

    Shapes:
        a, x: any that broadcast. y: the broadcast shape.

    Example:
        >>> autograd.LogGammaDensity()(Tensor(data=[1.0, 1e6]), Tensor(data=[2.0, 1e6]))[0]
        Tensor([-2.    , -7.8267], shape=(2,), dtype=float32, device=cpu)
    """

    def value(self, a: CTensor, x: CTensor) -> CTensor:
        self.is_large = (a >= 8) & (a.dtype == float32)
        far = jnp.where(self.is_large, a, 8)
        factor = 0.5 * jnp.log(far / (2 * math.pi)) - _rest(far)
        of_large = factor - jnp.log(x) - large_gamma.deviance(far, x)
        few = jnp.where(self.is_large, 1, a)
        of_few = x_log_y(few - 1, x) - x - _lgamma(few)
        return jnp.where(self.is_large, jnp.where(x == 0, -jnp.inf, of_large), of_few)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, x = self.xs
        # As those of xlogy: where a - 1 is 0, it is 0 for all x.
        is_one = (a == 1) & (x >= 0)
        far, few = jnp.where(self.is_large, a, 8), jnp.where(self.is_large, 1, a)
        of_few = jnp.log(jnp.where(is_one & (x == 0), 1, x)) - _digamma(few)
        of_large = jnp.log1p((x - far) / far) + polynomial(_FAR_SLOPE, 1 / far)
        of_x = jnp.where(is_one, -1, (a - 1 - x) / jnp.where(is_one, 1, x))
        return dy * jnp.where(self.is_large, of_large, of_few), dy * of_x


_FAR_SLOPE = (-1 / 252, 0.0, 1 / 120, 0.0, 1 / 12, 0.5, 0.0)
"""That of ln a - digamma(a) by powers of 1 / a; for a of 8 and more exact to 32 bits."""


class BetaInc(_OfSeveral):
    """y = the integral of t ** (a - 1) (1 - t) ** (b - 1) from 0 to x, divided by beta(a, b).

    There is no formula for the derivatives in a and b: these gradients are NaN. It is computed with
    64 bits: of the factor before its continued fraction, 32 would leave few digits, or none.
    """

    def value(self, a: CTensor, b: CTensor, x: CTensor) -> CTensor:
        a, b, wide = (each.astype(float64) for each in (a, b, x))
        return lax.betainc(lax.stop_gradient(a), lax.stop_gradient(b), wide).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        a, b, x = (each.astype(float64) for each in self.xs)
        log_beta = BetaLn().value(a, b)
        density = jnp.exp(x_log_y(a - 1, x) + x_log_y(b - 1, 1 - x) - log_beta)
        return without_formula(dy), without_formula(dy), dy * density.astype(dy.dtype)


@jax.custom_vjp
def _zeta(s: CTensor, q: CTensor) -> CTensor:
    return lax.zeta(s, q)


def _zeta_backward(xs: Sequence[CTensor], dy: CTensor) -> tuple[CTensor, CTensor]:
    s, q = xs
    return without_formula(dy), dy * -s * _zeta(s + 1, q)


_zeta.defvjp(lambda s, q: (_zeta(s, q), (s, q)), _zeta_backward)


class Zeta(_OfSeveral):
    """y = the sum of (q + k) ** -s over k = 0, 1, ... The gradient in s is NaN: no formula."""

    def value(self, s: CTensor, q: CTensor) -> CTensor:
        return _zeta(s, q)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return _zeta_backward(self.xs, dy)


def _without_derivative(function: str, **parameters: Tensor) -> None:
    """Raise if a gradient is wanted in one of these."""
    for name, x in parameters.items():
        if mode.recording and x.requires_grad and (x.creator is not None or x.stores_grad):
            raise GradientError(
                f"{function}: no derivative in {name} is known here; {name}.detach() is the same "
                "Tensor as a constant"
            )


# -- functions ----------------------------------------------------------------------------------


def lgamma(x: Tensor) -> Tensor:
    """The logarithm of the absolute value of the gamma function, element by element.

    Infinite at 0, -1, -2, ...

    Example:
        >>> autograd.lgamma(Tensor(data=[0.5, 4.0]))
        Tensor([0.5724, 1.7918], shape=(2,), dtype=float32, device=cpu)
    """
    return LGamma()(x)[0]


def digamma(x: Tensor) -> Tensor:
    """The derivative of :func:`lgamma`, element by element; NaN at -1, -2, ...

    Example:
        >>> autograd.digamma(Tensor(data=[1.0, 2.0]))
        Tensor([-0.5772,  0.4228], shape=(2,), dtype=float32, device=cpu)
    """
    return Digamma()(x)[0]


def polygamma(order: int, x: Tensor) -> Tensor:
    """The derivative of this order of :func:`digamma`, which is that of order 0.

    Element by element.

    Raises:
        ArgumentError: the order is below 0.

    Example:
        >>> autograd.polygamma(1, Tensor(data=[1.0, 2.0]))
        Tensor([1.6449, 0.6449], shape=(2,), dtype=float32, device=cpu)
    """
    return Polygamma(order)(x)[0]


def betaln(a: TensorLike, b: TensorLike) -> Tensor:
    """The logarithm of the beta function, ``lgamma(a) + lgamma(b) - lgamma(a + b)``, precisely.

    Element by element, with broadcasting.

    Example:
        >>> autograd.betaln(Tensor(data=[1.0, 2.0]), 3.0)
        Tensor([-1.0986, -2.4849], shape=(2,), dtype=float32, device=cpu)
    """
    return BetaLn()(*as_tensors(a, b))[0]


def gammainc(a: TensorLike, x: TensorLike) -> Tensor:
    """The regularized lower incomplete gamma function, element by element, with broadcasting.

    This is the probability that a number of the gamma distribution of shape ``a`` is below ``x``.
    Both have gradients; second derivatives in ``a`` alone are NaN, as there is no formula.

    Args:
        a: above 0.
        x: 0 or more.

    Example:
        >>> autograd.gammainc(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 1.0]))
        Tensor([0.6321, 0.2642], shape=(2,), dtype=float32, device=cpu)
    """
    return GammaInc()(*as_tensors(a, x))[0]


def gammaincc(a: TensorLike, x: TensorLike) -> Tensor:
    """``1 - gammainc(a, x)``, precise where that is near 0; see :func:`gammainc`.

    Example:
        >>> autograd.gammaincc(Tensor(data=[1.0, 2.0]), Tensor(data=[1.0, 1.0]))
        Tensor([0.3679, 0.7358], shape=(2,), dtype=float32, device=cpu)
    """
    return GammaIncC()(*as_tensors(a, x))[0]


def betainc(a: TensorLike, b: TensorLike, x: TensorLike) -> Tensor:
    """The regularized incomplete beta function, element by element, with broadcasting.

    This is the probability that a number of the beta distribution of ``a`` and ``b`` is below
    ``x``.

    Args:
        a, b: above 0. No derivative in them is known here.
        x: from 0 to 1.

    Raises:
        GradientError: a gradient in ``a`` or ``b`` is wanted.

    Example:
        >>> autograd.betainc(Tensor(data=[1.0, 2.0]), 1.0, 0.5)
        Tensor([0.5 , 0.25], shape=(2,), dtype=float32, device=cpu)
    """
    a, b, x = as_tensors(a, b, x)
    _without_derivative("betainc", a=a, b=b)
    return BetaInc()(a, b, x)[0]


def zeta(s: TensorLike, q: TensorLike = 1.0) -> Tensor:
    """Hurwitz's zeta function, the sum of ``(q + k) ** -s`` over k = 0, 1, 2, ...

    Riemann's for ``q = 1``. Element by element, with broadcasting.

    Args:
        s: above 1. No derivative in it is known here.
        q: above 0.

    Raises:
        GradientError: a gradient in ``s`` is wanted.

    Example:
        >>> autograd.zeta(Tensor(data=[2.0, 4.0]))
        Tensor([1.6449, 1.0823], shape=(2,), dtype=float32, device=cpu)
    """
    s, q = as_tensors(s, q)
    _without_derivative("zeta", s=s)
    return Zeta()(s, q)[0]
