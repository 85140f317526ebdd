"""The calls that write rows to given places.

An array is (..., size, width): parts, each with rows of a width. Places are (..., count), integers:
rows of the same part, of which there are fewer than 2^31. What is for none of them is ignored.
"""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native

How = Literal["set", "add", "max", "min"]

_HOW: tuple[How, ...] = "set", "add", "max", "min"


def supported(how: How, *xs: Array) -> bool:
    """Whether the kernels take elements of this type: to combine them, or to copy them."""
    if how == "set":
        return native.takes((xs[0].dtype,), *xs)
    return native.takes(native.NUMBERS, *xs)


def scatter(x: Array, places: Array, updates: Array, how: How) -> Array:
    """``x`` with rows set at these places, added to what is there, or combined by max or min.

    They are written in their order: of several for one place the last one stays.
    """
    y: Array = jax.ffi.ffi_call(
        "singa_scatter",
        jax.ShapeDtypeStruct(x.shape, x.dtype),
        vmap_method="broadcast_all",
        input_output_aliases={0: 0},
    )(x, _short(places, x.shape[-2]), updates, how=_HOW.index(how))
    return y


def scatter_along(x: Array, places: Array, updates: Array, axis: int, how: How) -> Array:
    """``x`` with ``updates`` at ``places`` along the axis, which are of one shape."""
    parts, at = _along(x.shape, places, axis)
    x3, updates3 = (each.reshape(parts, -1, 1) for each in (x, updates))
    return scatter(x3, at, updates3, how).reshape(x.shape)


def last_written_along(places: Array, axis: int, size: int) -> Array:
    """Whether each of ``places`` along an axis of this size is the last one that is the same."""
    shape = (*places.shape[:axis], size, *places.shape[axis + 1 :])
    _, at = _along(shape, places, axis)
    last: Array = jax.ffi.ffi_call(
        "singa_last_written",
        jax.ShapeDtypeStruct(at.shape, jnp.bool_),
        vmap_method="broadcast_all",
    )(at, size=math.prod(shape[axis:]))
    return last.reshape(places.shape)


def _along(shape: tuple[int, ...], places: Array, axis: int) -> tuple[int, Array]:
    """How many parts there are, and each element's place in its part. Out of bounds stays out."""
    outer, size, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    at = _short(places.reshape(outer, -1, inner), size)
    if inner > 1:
        column = jax.lax.broadcasted_iota(jnp.int32, at.shape, 2)
        at = jnp.where((at < 0) | (at >= size), -1, at * inner + column)
    return outer, at.reshape(outer, -1)


def _short(places: Array, size: int) -> Array:
    """Places as int32. What an int32 cannot hold is out of bounds, and stays so."""
    if jnp.can_cast(places.dtype, jnp.int32):
        return places.astype(jnp.int32)
    return jnp.where((places < 0) | (places >= size), -1, places).astype(jnp.int32)
