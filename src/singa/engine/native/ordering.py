"""The calls of sorts along the last axis, and of searches in sorted rows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native

_INTEGERS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64"
_SORTED = [jnp.dtype(name) for name in f"{_INTEGERS} float16 bfloat16 float32 float64".split()]


def supported(*xs: Array) -> bool:
    """Whether rows of this type are sorted."""
    return native.takes(_SORTED, *xs)


def sort(x: Array, count: int, descending: bool) -> tuple[Array, Array]:
    """The first ``count`` of each sorted row (..., length), and their places: int32.

    NaN is above all, and equal numbers keep their order.
    """
    shape = (*x.shape[:-1], count)
    y, order = jax.ffi.ffi_call(
        "singa_sort",
        (jax.ShapeDtypeStruct(shape, x.dtype), jax.ShapeDtypeStruct(shape, jnp.int32)),
        vmap_method="broadcast_all",
    )(x, descending=descending)
    return y, order


def search(x: Array, values: Array, right: bool) -> Array:
    """How many of a sorted row are below each value, or not above it: int32.

    Rows (..., length) and as many rows of values (..., count).
    """
    found: Array = jax.ffi.ffi_call(
        "singa_search",
        jax.ShapeDtypeStruct(values.shape, jnp.int32),
        vmap_method="broadcast_all",
    )(x, values, right=right)
    return found
