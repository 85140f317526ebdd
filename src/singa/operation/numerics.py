"""Norms and products, without overflow or underflow of intermediate values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor

_Scaled: TypeAlias = tuple[CTensor, CTensor]
"""Numbers of absolute value from 1 to 2 (or 0, infinite, NaN), and exponents: each value is the
number times 2 to the power of its exponent."""


_CHUNK = 16
"""The most numbers that are multiplied at once: the product of more than 32 could overflow.

Half of that takes a quarter of the time for the products of all others.
"""


def direction(x: CTensor, axes: int | Sequence[int]) -> tuple[CTensor, CTensor]:
    """Vectors of norm 1, and the norms with the axes kept; both 0 for a zero vector.

    If there are infinite elements, all others of the vector become 0.
    """
    square = (x * x).sum(axes, keepdims=True)
    info = jnp.finfo(x.dtype)
    # Of such sums, squares that became 0 or overflowed are no part: then one pass is enough.
    is_plain = ((square > float(info.tiny) ** 0.5) & (square < jnp.inf)).all()
    return jax.lax.cond(is_plain, _direction, partial(_scaled_direction, axes), x, square)


def _direction(x: CTensor, square: CTensor) -> tuple[CTensor, CTensor]:
    length = jnp.sqrt(square)
    return x / length, length


def _scaled_direction(axes: int | Sequence[int], x: CTensor, _: CTensor) -> tuple[CTensor, CTensor]:
    largest = jax.lax.stop_gradient(jnp.abs(x).max(axes, keepdims=True, initial=0))
    scale = scale_for(largest)
    infinite = jnp.where(jnp.isinf(x), jnp.sign(x), 0)
    x = jnp.where(jnp.isinf(largest), infinite, x / scale)
    length = jnp.sqrt((x * x).sum(axes, keepdims=True))
    return over(x, length), length * jnp.where(jnp.isinf(largest), largest, scale)


def p_norm(x: CTensor, p: float, axes: int | Sequence[int]) -> tuple[CTensor, CTensor]:
    """The derivatives of the p-norm by each element, and the norms with the axes kept.

    The derivative by an element that is 0 is 0, also where it does not exist or is infinite. Ties
    share that of p = infinity, and infinite elements that of a finite p. Powers do not overflow.
    """
    if p == 2:
        return direction(x, axes)
    size, sign = jnp.abs(x), jnp.sign(x)
    if p == 0:
        return jnp.zeros_like(x), (x != 0).astype(x.dtype).sum(axes, keepdims=True)
    if p == 1:
        return sign, size.sum(axes, keepdims=True)
    if p > 0:
        extreme = size.max(axes, keepdims=True, initial=0)
    else:
        extreme = size.min(axes, keepdims=True, initial=math.inf)
    if math.isinf(p):
        hits = (size == extreme).astype(x.dtype)
        return sign * hits / hits.sum(axes, keepdims=True), extreme
    # Powers are taken of ratios to the element that counts most, so that none is above 1.
    extreme = jax.lax.stop_gradient(extreme)
    number = jnp.isfinite(size) & (size != 0) & (extreme != 0)
    counts = jnp.where(jnp.isinf(extreme), jnp.isinf(size), number)
    ratio = jnp.where(counts, size, 1) / jnp.where(counts, extreme, 1)
    ratio = jnp.where(jnp.isinf(extreme), 1, ratio)
    total = jnp.where(counts, ratio**p, 0).sum(axes, keepdims=True)
    length = jnp.where(total == 0, 1, total) ** (1 / p)
    slope = jnp.where(counts, sign * (ratio / length) ** (p - 1), 0)
    return slope, extreme * jnp.where(total == 0, 0, length)


def length(x: CTensor) -> CTensor:
    """The norm of all elements as one vector: ()."""
    return direction(x.ravel(), 0)[1][0]


def scale_for(largest: CTensor) -> CTensor:
    """The divisor for numbers before they are squared; ``largest`` is their largest absolute value.

    With it, neither the squares nor their sum overflow or become 0. The reciprocal of the divisor,
    by which XLA multiplies, does not become 0 either.
    """
    info = jnp.finfo(largest.dtype)
    return jnp.clip(largest, float(info.tiny) ** 0.8, float(info.max) ** 0.8)


def over(x: CTensor, length: CTensor) -> CTensor:
    """``x / length``, and 0 where the length is 0."""
    return jnp.where(length == 0, 0, x / length)


def whole_product(x: CTensor) -> CTensor:
    """The product along the last axis, which is removed."""
    return _value(*_whole(*_scaled(x)))


def other_products(x: CTensor) -> CTensor:
    """For each element, the product of all others along the last axis."""
    return _value(*_others(*_scaled(x)))


def _scaled(x: CTensor) -> _Scaled:
    power = jnp.frexp(jax.lax.stop_gradient(x))[1] - 1
    power = jnp.where(jnp.isfinite(x) & (x != 0), power, 0).astype(jnp.int32)
    return _shifted(x, -power), power


def _whole(number: CTensor, power: CTensor) -> _Scaled:
    """The product along the last axis."""
    while number.shape[-1] != 1:
        number, more = _scaled(_chunks(number, 1).prod(-1))
        power = _chunks(power, 0).sum(-1, dtype=power.dtype) + more
    return number[..., 0], power[..., 0]


def _others(number: CTensor, power: CTensor) -> _Scaled:
    """For each element, the product of the others in its chunk and of the other chunks."""
    size = number.shape[-1]
    if size <= _CHUNK:
        place = jnp.arange(size, dtype=jnp.int32)
        others = jnp.where(place[:, None] == place, 1, number[..., None, :])
        number, more = _scaled(others.prod(-1))
        return number, power.sum(-1, keepdims=True, dtype=power.dtype) - power + more
    chunks = _chunks(number, 1), _chunks(power, 0)
    inside, outside = _others(*chunks), _others(*_whole(*chunks))
    number, power = inside[0] * outside[0][..., None], inside[1] + outside[1][..., None]
    filled = *number.shape[:-2], math.prod(number.shape[-2:])
    return number.reshape(filled)[..., :size], power.reshape(filled)[..., :size]


def _chunks(x: CTensor, neutral: int) -> CTensor:
    """Split the last axis into two: chunks, and elements of a chunk. Pad with neutral elements."""
    count = max(-(-x.shape[-1] // _CHUNK), 1)
    fill = [(0, 0)] * (x.ndim - 1) + [(0, count * _CHUNK - x.shape[-1])]
    x = jnp.pad(x, fill, constant_values=jnp.asarray(neutral, x.dtype))
    return x.reshape(*x.shape[:-1], count, _CHUNK)


def _value(number: CTensor, power: CTensor) -> CTensor:
    # 0, infinity and NaN stay the same, whatever the power.
    return _shifted(number, jnp.where(jnp.isfinite(number) & (number != 0), power, 0))


def _shifted(x: CTensor, power: CTensor) -> CTensor:
    """``x`` times 2 to this power, in two steps, because each factor must fit into the type."""
    half = power // 2
    return x * _power_of_two(half, x.dtype) * _power_of_two(power - half, x.dtype)


def _power_of_two(power: CTensor, dtype: jnp.dtype) -> CTensor:
    """2 to this power, or the nearest one that is a normal number, made exactly from its bits."""
    info = jnp.finfo(dtype)
    bits = jnp.dtype(f"int{info.bits}")
    power = jnp.clip(power, info.minexp, info.maxexp - 1).astype(bits)
    return jax.lax.bitcast_convert_type((power - info.minexp + 1) << info.nmant, dtype)


def polynomial(coefficients: Sequence[float], x: CTensor) -> CTensor:
    """The polynomial with these coefficients, that of the highest power first."""
    y = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = y * x + jnp.asarray(coefficient, x.dtype)
    return y


def x_log_y(x: CTensor, y: CTensor) -> CTensor:
    """X ln y, and 0 where x is 0, unless y is NaN."""
    is_zero = (x == 0) & ~jnp.isnan(y)
    return jnp.where(is_zero, 0, x * jnp.log(jnp.where(is_zero, 1, y)))


def without_formula(dy: CTensor) -> CTensor:
    """The gradient of an input in which no derivative is known: NaN, if there is any gradient."""
    return jnp.where(dy == 0, 0, jnp.nan).astype(dy.dtype)
