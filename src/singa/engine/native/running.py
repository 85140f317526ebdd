"""The calls of running sums, products and extremes, and of linear recurrences, along an axis.

Sums and products of float32 are kept as float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native


def supported(*xs: Array) -> bool:
    """Whether the kernels take numbers of this type."""
    return native.takes(native.NUMBERS, *xs)


def total(
    x: Array, axis: int, product: bool = False, reverse: bool = False, exclusive: bool = False
) -> Array:
    """The sums, or products, of all up to each one; ``exclusive`` leaves out the element itself."""
    options = {"product": product, "reverse": reverse, "exclusive": exclusive}
    (y,) = _called("singa_running", (x,), axis, (x.dtype,), **options)
    return y


def extreme(x: Array, axis: int, largest: bool) -> tuple[Array, Array]:
    """The largest, or smallest, up to each one, and its place: int32. Of equal ones the last."""
    types = x.dtype, jnp.dtype(jnp.int32)
    y, places = _called("singa_running_extreme", (x,), axis, types, largest=largest)
    return y, places


def recurrence(factor: Array, x: Array, axis: int, reverse: bool = False) -> Array:
    """Y = factor * (y before) + x along the axis; the first y is the first x."""
    options = {"reverse": reverse}
    (y,) = _called("singa_linear_recurrence", (factor, x), axis, (x.dtype,), **options)
    return y


def _called(
    name: str, xs: tuple[Array, ...], axis: int, types: Sequence[Any], **options: bool
) -> list[Array]:
    """The results, of the shape of each of ``xs`` and of these types."""
    shape = xs[0].shape
    lines = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    call = jax.ffi.ffi_call(
        name,
        tuple(jax.ShapeDtypeStruct(lines, dtype) for dtype in types),
        vmap_method="broadcast_all",
    )
    return [y.reshape(shape) for y in call(*(x.reshape(lines) for x in xs), **options)]
