"""Functions of float32 as polynomials, with errors of a few units in the last place.

On CPUs XLA computes polynomials for several elements at once; for a sine or an angle it calls the C
library for each element, which takes ten to forty times as long. Other types are computed by XLA.
The coefficients are fitted to have the smallest relative error in the range that is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp

from singa.device import CTensor, float32, float64
from singa.engine import native
from singa.operation.numerics import polynomial

# Each is a function of z, which is the square of the argument.
_ATANH = (0.2686754846, 0.2823395609, 0.4000767085, 0.6666663967)  # 2 (atanh(s) / s - 1) / z
_ATAN = (
    0.002834064299, -0.0160050305, 0.04258760746, -0.07495445443, 0.106367541, -0.1420257051,
    0.1999248358, -0.3333306678, 0.9999999842,
)  # fmt: skip
_LOGIT = (
    0.3567464166, 0.09997257994, 0.2373351744, 0.2843258258, 0.4000597966, 0.6666657097,
    2.000000002,
)  # fmt: skip
"""Of 2 atanh(s) / s, up to s = 1 / 2."""
_SIN = (0.0776576603, -0.5982912856, 2.550077523, -5.167710084, 3.14159264)  # sin(pi r) / r
_COS = (0.02416749637, -0.2287452836, 1.277990828, -3.739208102, 3.999999997)
"""That of cos(pi r) / (1 / 4 - z), which has no zero."""

# Of (x - 2) / (x + 2), for x of 0 and more: erfcx(x) (1 + 2 x), and its slope times (1 + 2 x)².
_ERFCX = (
    6.336945838e-5, 0.0001608035817, -0.0003579204478, -0.001395706946, 0.001217410592,
    0.008689159658, -0.008018963079, -0.05421195849, 0.1640494541, -0.1660310957, -0.09276376277,
    1.276978391,
)  # fmt: skip
_ERFCX_SLOPE = (
    0.0003239227018, -0.0005205632613, -0.002844192174, 0.00218724849, 0.01431346331,
    -0.002108867415, -0.06081422334, -0.002669756517, 0.2642315276, -0.2023986962, -0.5962336442,
    1.182853375, -0.1831664362, -2.669911517,
)  # fmt: skip

# Functions of r², for r up to pi / 4.
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)  # (sin(r) / r - 1) / r²
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
"""That of (cos(r) - 1 + r² / 2) / r⁴. Both are from S. Moshier's Cephes library."""

_HIGH = 13493037704 / 2**33
_LOW = 6.077100506506192e-11
"""Their sum is pi / 2. Products of the first, of 34 bits, and whole numbers below 2¹⁹ are exact."""


def _on_cpus(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of float32: other types, devices and derivatives are the formula's."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def chosen(*xs: CTensor) -> Any:
            if any(x.dtype != float32 for x in xs):
                return formula(*xs)
            return native.run(function, formula, *xs)

        return chosen

    return decorate


def log1p_of_share(x: CTensor) -> CTensor:
    """ln(1 + x) for x from 0 to 1.

    Source: FreeBSD's ``log1p``, with one more coefficient, as x may be larger.
    """
    if x.dtype != float32:
        return jnp.log1p(x)
    share, half = x / (2 + x), 0.5 * x * x
    square = share * share
    return x - (half - share * (half + square * polynomial(_ATANH, square)))


def softplus(x: CTensor) -> CTensor:
    """ln(1 + e ** x), without overflow."""
    return jnp.maximum(x, 0) + log1p_of_share(jnp.exp(-jnp.abs(x)))


def logaddexp(a: CTensor, b: CTensor) -> CTensor:
    """ln(e ** a + e ** b), without overflow."""
    gap = jnp.where(a == b, 0, a - b)  # of infinities, too
    return jnp.maximum(a, b) + log1p_of_share(jnp.exp(-jnp.abs(gap)))


def logit(x: CTensor) -> CTensor:
    """ln(x / (1 - x)), precise near 1 / 2, too, where it is 0."""
    gap = 2 * x - 1  # exact near 1 / 2
    is_near = jnp.abs(gap) < 0.5
    near, far = jnp.where(is_near, gap, 0), jnp.where(is_near, 0.25, x)
    of_far = jnp.log(far / (1 - far))
    if x.dtype != float32:
        return jnp.where(is_near, jnp.log1p(2 * near / (1 - near)), of_far)
    return jnp.where(is_near, near * polynomial(_LOGIT, near * near), of_far)


def atan(x: CTensor) -> CTensor:
    """The angle with the tangent x."""
    if x.dtype != float32:
        return jnp.atan(x)
    is_steep = jnp.abs(x) > 1
    angle = _small_angle(jnp.where(is_steep, 1 / x, x))
    return jnp.where(is_steep, jnp.sign(x) * (math.pi / 2) - angle, angle)


def atan2(a: CTensor, b: CTensor) -> CTensor:
    """The angle of the point (b, a), in [-pi, pi], with IEEE's signs of zeros and infinities."""
    if a.dtype != float32 or b.dtype != float32:
        return jnp.arctan2(a, b)
    height, width = jnp.abs(a), jnp.abs(b)
    large, small = jnp.maximum(height, width), jnp.minimum(height, width)
    ratio = jnp.where(small == large, 1, small / large)  # of two infinite ones, too
    angle = _small_angle(jnp.where(large == 0, 0, ratio))
    angle = jnp.where(height > width, math.pi / 2 - angle, angle)
    angle = jnp.where(_is_negative(b), math.pi - angle, angle)
    angle = jnp.where(jnp.isnan(large), large, angle)
    return jnp.where(_is_negative(a), -angle, angle)


def asin(x: CTensor) -> CTensor:
    """The angle with the sine x."""
    return jnp.asin(x) if x.dtype != float32 else atan2(x, jnp.sqrt((1 - x) * (1 + x)))


def acos(x: CTensor) -> CTensor:
    """The angle with the cosine x."""
    return jnp.acos(x) if x.dtype != float32 else atan2(jnp.sqrt((1 - x) * (1 + x)), x)


def _is_negative(x: CTensor) -> CTensor:
    """Of -0, too. It does not look at the bit of the sign, for which ONNX has no operator."""
    return (x < 0) | (1 / x < 0)


def _small_angle(tangent: CTensor) -> CTensor:
    """That with a tangent from -1 to 1."""
    return tangent * polynomial(_ATAN, tangent * tangent)


def erfcx(x: CTensor) -> CTensor:
    """The product of e ** (x²) and erfc(x), for float32.

    Source: Shepherd and Laframboise, "Chebyshev approximation of (1 + 2 x) exp(x²) erfc x", 1981.
    """
    place, share = _tail(x)
    y = share * polynomial(_ERFCX, place)
    return jnp.where(x < 0, 2 * _exp_of_square(x) - y, y)


def erfcx_slope(x: CTensor) -> CTensor:
    """The derivative of :func:`erfcx`, without the difference of two numbers that it is by name."""
    place, share = _tail(x)
    y = share * polynomial(_ERFCX_SLOPE, place) * share
    return jnp.where(x < 0, 4 * x * _exp_of_square(x) + y, y)


def _tail(x: CTensor) -> tuple[CTensor, CTensor]:
    """Of the size of x: the variable of the polynomials, and their factor."""
    size = jnp.abs(x)
    is_far = jnp.isinf(size)
    place = jnp.where(is_far, 1, (size - 2) / (jnp.where(is_far, 1, size) + 2))
    return place, 1 / (1 + 2 * size)


def _exp_of_square(x: CTensor) -> CTensor:
    """The exponential of x² for x below 0. Split, as the square's rounding error is multiplied."""
    x = jnp.clip(x, -10, 0)  # it is infinite from there on
    first = jnp.round(x * 256) / 256  # 12 bits: its square is exact
    rest = (x - first) * (x + first)
    return jnp.exp(first * first) * polynomial((1 / 24, 1 / 6, 0.5, 1, 1), rest)


def turns(x: CTensor) -> tuple[CTensor, CTensor]:
    """sin(pi x) and cos(pi x). Those that are 0, 1 or -1 are exact in float32."""
    whole = jnp.round(x)
    sign, rest = 1 - 2 * _modulo(whole, 2), x - whole
    if x.dtype != float32:
        return sign * jnp.sin(rest * math.pi), sign * jnp.cos(rest * math.pi)
    square = rest * rest
    cosine = (0.5 - rest) * (0.5 + rest) * polynomial(_COS, square)
    return sign * rest * polynomial(_SIN, square), sign * cosine


def _modulo(whole: CTensor, size: int) -> CTensor:
    """The remainder of whole numbers; its formula in general is far slower."""
    return whole - size * jnp.floor(whole * (1 / size))


def _sine_or_cosine(x: CTensor, shift: int) -> CTensor:
    """The sine of x + shift pi / 2."""
    whole, rest = _quarters(x)
    square = rest * rest
    sine = rest * (1 + square * polynomial(_SINE, square))
    cosine = 1 - square * (0.5 - square * polynomial(_COSINE, square))
    place = _modulo(whole + shift, 4)
    y = jnp.where((place == 1) | (place == 3), cosine, sine)
    return jnp.where(place > 1, -y, y)


def _quarters(x: CTensor) -> tuple[CTensor, CTensor]:
    """The nearest whole number of quarter turns, and the rest of the angle."""
    whole = jnp.round(x * (2 / math.pi))
    whole = jnp.where(whole == 0, 0, whole)  # no -0, with which a rest of -0 would be 0
    wide = whole.astype(float64)
    rest = (x.astype(float64) - wide * _HIGH) - wide * _LOW
    return whole, rest.astype(float32)


def _if_near(
    limit: float, quick: Callable[..., CTensor], formula: Callable[..., CTensor]
) -> Callable[..., CTensor]:
    """The quick function, unless there are numbers beyond the limit."""
    return _on_cpus(formula)(lambda x: jax.lax.cond((jnp.abs(x) < limit).all(), quick, formula, x))


def _tangent(x: CTensor) -> CTensor:
    whole, rest = _quarters(x)
    square = rest * rest
    sine = rest * (1 + square * polynomial(_SINE, square))
    cosine = 1 - square * (0.5 - square * polynomial(_COSINE, square))
    is_odd = _modulo(whole, 2) == 1
    return jnp.where(is_odd, -cosine, sine) / jnp.where(is_odd, sine, cosine)


sin = _if_near(2**19, lambda x: _sine_or_cosine(x, 0), jnp.sin)
"""The sine of x."""

cos = _if_near(2**19, lambda x: _sine_or_cosine(x, 1), jnp.cos)
"""The cosine of x."""

tan = _if_near(2**19, _tangent, jnp.tan)
"""The tangent of x."""


@_on_cpus(jnp.fmod)
def fmod(a: CTensor, b: CTensor) -> CTensor:
    """The rest of a / b rounded towards 0, of a's sign. It is exact."""
    a, b = jnp.broadcast_arrays(a, b)
    wide, divisor = a.astype(float64), b.astype(float64)
    quotient = wide / divisor
    is_far = (jnp.abs(quotient) >= 2**29) & jnp.isfinite(quotient)
    return jax.lax.cond(is_far.any(), jnp.fmod, _near_fmod, a, b)


def _near_fmod(a: CTensor, b: CTensor) -> CTensor:
    """In float64 products of a float32 and a whole number of 29 bits are exact."""
    wide, divisor = jnp.abs(a).astype(float64), jnp.abs(b).astype(float64)
    rest = wide - jnp.floor(wide / divisor) * divisor
    rest = jnp.where(rest < 0, rest + divisor, rest)  # the quotient was rounded up
    rest = jnp.where(jnp.isinf(divisor), wide + 0 * wide, rest)
    return jnp.copysign(rest.astype(float32), a)


def remainder(a: CTensor, b: CTensor) -> CTensor:
    """The rest of a / b rounded down, of b's sign."""
    if a.dtype != float32 or b.dtype != float32:
        return jnp.remainder(a, b)
    rest = fmod(a, b)
    return jnp.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def floor_divide(a: CTensor, b: CTensor) -> CTensor:
    """The largest whole number not above a / b."""
    if a.dtype != float32 or b.dtype != float32:
        return a // b
    rest = fmod(a, b)
    quotient = jnp.where(b == 0, a, a - rest) / b
    is_below = (rest != 0) & ((rest < 0) != (b < 0))
    return jax.lax.round(jnp.where(is_below, quotient - 1, quotient))


def _normal(x: CTensor) -> tuple[CTensor, CTensor]:
    density = jnp.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return jax.lax.erfc(x * -math.sqrt(0.5)) / 2, density


@_on_cpus(_normal)
def normal(x: CTensor) -> tuple[CTensor, CTensor]:
    """The share below x in the standard normal distribution, and the distribution's density."""
    size = jnp.abs(x) * math.sqrt(0.5)
    size = jnp.minimum(size, 20)  # beyond, the share is 0
    place, share = size + 2, 1 + 2 * size
    both = 1 / (place * share)  # one division instead of two
    bell = jnp.exp(-size * size)
    tail = 0.5 * bell * (place * both) * polynomial(_ERFCX, (size - 2) * (share * both))
    return jnp.where(x < 0, tail, 1 - tail), bell * (1 / math.sqrt(2 * math.pi))
