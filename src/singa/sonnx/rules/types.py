"""Casts, also to and from the types that only ONNX has: floats of 8 and 4 bits, small integers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import onnx

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import DTYPES, CTensor, is_float
from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, formula, rule

Known = np.ndarray[Any, Any]

OF_SIX_BITS = ("float6_e2m3fn", "float6_e3m2fn")
POWERS_OF_TWO = np.dtype(ml_dtypes.float8_e8m0fnu)
"""The type of exponents only: of block scales."""


@rule("Cast")
def _cast(call: Call, x: Any) -> Any:
    return cast(x, dtype_of(call("to")), bool(call("saturate", 1)), call("round_mode", "up"))


@rule("CastLike")
def _cast_like(call: Call, x: Any, like: Any) -> Any:
    return cast(x, like.dtype, bool(call("saturate", 1)), call("round_mode", "up"))


@rule("BitCast")
def _bit_cast(call: Call, x: Tensor) -> Tensor:
    return formula(_same_bits, x, to=str(dtype_of(call("to"))))


def _same_bits(x: CTensor, to: str) -> CTensor:
    """Booleans are bytes of 0 or 1."""
    x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
    found = jax.lax.bitcast_convert_type(x, jnp.uint8 if to == "bool" else jnp.dtype(to))
    return found.astype(jnp.bool_) if to == "bool" else found


def dtype_of(kind: int) -> np.dtype[Any]:
    """NumPy's data type for ONNX's number of it; strings are objects."""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))


def cast(x: Any, to: np.dtype[Any], saturate: bool = True, rounding: str = "up") -> Any:
    """Values as another type.

    Args:
        x: a Tensor, or an array of strings.
        saturate: floats of 8 bits: too large values become the largest one; otherwise infinity, or
            NaN where there is none.
        rounding: of powers of two: up, down, nearest.
    """
    if to.kind in "OSUT":
        return x if not isinstance(x, Tensor) else _strings(x.to_numpy())
    if not isinstance(x, Tensor):
        return _numbers(x, to)
    is_cut = is_float(x.dtype) and to.kind in "iu"
    if str(x.dtype) in DTYPES and str(to) in DTYPES and not is_cut:
        return op.cast(x, to)
    return formula(cast_array, x, to=str(to), saturate=saturate, rounding=rounding)


def cast_array(x: CTensor, to: str, saturate: bool = True, rounding: str = "up") -> CTensor:
    """:func:`cast` of an array."""
    if to in OF_SIX_BITS:
        return _of_six_bits(x, np.dtype(to))
    dtype = jnp.dtype(to)
    if dtype == POWERS_OF_TWO:
        return _power_of_two(x, saturate, rounding)
    if jnp.issubdtype(dtype, jnp.floating):
        if jnp.finfo(dtype).bits <= 8 and jnp.issubdtype(x.dtype, jnp.floating):
            return _short_float(x, dtype, saturate)
        return x.astype(dtype)
    if jnp.issubdtype(x.dtype, jnp.floating) and dtype != jnp.bool_:
        return truncated(x, to)
    return x.astype(dtype)


def truncated(x: CTensor, to: str) -> CTensor:
    """Floats without their fractions, cut to the lower bits: what processors do.

    What is in no integer of 32 bits, or of 64 for the long types, becomes the least one.
    """
    x = jnp.trunc(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    wide = jnp.dtype("int64" if to in ("int64", "uint32", "uint64") else "int32")
    limit = 2.0 ** (8 * wide.itemsize - 1)
    fits = (x >= -limit) & (x < limit)
    whole = jnp.where(fits, jnp.where(fits, x, 0).astype(wide), jnp.iinfo(wide).min).astype(to)
    if to != "uint64":
        return whole
    return jnp.where((x >= limit) & (x < 2 * limit), x.astype(to), whole)


def _short_float(x: CTensor, dtype: Any, saturate: bool) -> CTensor:
    """Floats of 8 and 4 bits. Too large values do not reach XLA's own cast, which may lose them."""
    ends = jnp.finfo(dtype)
    most = float(ends.max)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = jnp.clip(x, -most, most).astype(dtype)
    if saturate or ends.bits < 8:
        return y
    half = 2.0 ** (math.floor(math.log2(most)) - ends.nmant - 1)
    is_odd = most / (2 * half) % 2 == 1  # then a tie goes to the next number, which is not there
    beyond = jnp.abs(x) >= most + half if is_odd else jnp.abs(x) > most + half
    outside = jnp.inf * jnp.sign(x) if dtype == jnp.float8_e5m2 else jnp.full_like(x, jnp.nan)
    return jnp.where(beyond, outside.astype(dtype), y)


def _of_six_bits(x: CTensor, dtype: Any) -> CTensor:
    """The nearest numbers that a type of 6 bits has, in float32: XLA does not have the type."""
    numbers = np.arange(32, dtype=np.uint8).view(dtype).astype(np.float32)  # from 0 upwards
    halves = (numbers[1:] + numbers[:-1]) / 2
    wide = x.astype(jnp.float32)
    below, above = (jnp.searchsorted(halves, jnp.abs(wide), side=s) for s in ("left", "right"))
    places = jnp.where(below % 2 == 0, below, above)  # between two, the even one
    return jnp.copysign(jnp.asarray(numbers)[places], wide)


def _power_of_two(x: CTensor, saturate: bool, rounding: str) -> CTensor:
    """The exponents of positive numbers, whose bits begin with them."""
    bits = jax.lax.bitcast_convert_type(jnp.abs(x.astype(jnp.float32)), jnp.uint32)
    exponent, rest = bits >> 23, bits & 0x7FFFFF
    if rounding == "up":
        more = rest > 0
    elif rounding == "nearest":
        more = (rest > 0x400000) | ((rest == 0x400000) & (exponent % 2 == 1))
    else:
        more = jnp.zeros_like(rest, bool)
    more &= (exponent < 254) if saturate else (exponent < 255)
    found = jnp.where(jnp.isnan(x), 255, exponent + more)
    if saturate:
        found = jnp.where(jnp.isinf(x), 254, found)
    return jax.lax.bitcast_convert_type(found.astype(jnp.uint8), jnp.dtype(POWERS_OF_TWO))


def _strings(x: Known) -> Known:
    """Numbers as strings."""
    if x.dtype.kind == "b":
        words = ["True" if each else "False" for each in x.reshape(-1)]
    elif x.dtype.kind in "iu":
        words = [str(int(each)) for each in x.reshape(-1)]
    else:
        words = [_word(each) for each in x.reshape(-1)]
    return np.array(words, np.object_).reshape(x.shape)


def _word(number: Any) -> str:
    """A float in as many digits as tell it from its neighbours."""
    if not np.isfinite(number):
        return "NaN" if np.isnan(number) else "INF" if number > 0 else "-INF"
    kept = number if isinstance(number, np.floating) else np.float32(number)
    word = str(kept)
    return word.removesuffix(".0")


def _numbers(x: Known, to: np.dtype[Any]) -> Known:
    """Strings as numbers."""
    words = [each.decode() if isinstance(each, bytes) else str(each) for each in x.reshape(-1)]
    try:
        if to.kind in "iu":
            return np.array([int(each) for each in words], to).reshape(x.shape)
        return np.array([float(each) for each in words]).astype(to).reshape(x.shape)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"Cast: a string is no number of type {to}: {error}") from None
