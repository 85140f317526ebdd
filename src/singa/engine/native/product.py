"""The call of oneDNN's product of matrices: (..., M, K) times (..., K, N)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native

_WORTHWHILE = 2**20  # multiply-adds: below, XLA's own product is as fast, and it can be fused


def supports(a: Array, b: Array, transpose_b: bool) -> bool:
    """Whether the kernel takes these matrices, and is faster than XLA's own product."""
    columns = b.shape[-2 if transpose_b else -1]
    return native.supports(a, b, short=True) and a.size * columns >= _WORTHWHILE


def product(
    a: Array,
    b: Array,
    transpose_a: bool = False,
    transpose_b: bool = False,
    wide: bool = False,
) -> Array:
    """(..., M, N), for each matrix of a batch; the leading axes of both are the same.

    Args:
        a: (..., M, K), or (..., K, M) with ``transpose_a``.
        b: (..., K, N), or (..., N, K) with ``transpose_b``.
        wide: whether the result is float32, that of short types too.
    """
    rows = a.shape[-1 if transpose_a else -2]
    columns = b.shape[-2 if transpose_b else -1]
    dtype = jnp.float32 if wide else a.dtype
    a, b = native.taken(a, b, multiplied=True)
    y: Array = jax.ffi.ffi_call(
        "singa_product",
        jax.ShapeDtypeStruct((*a.shape[:-2], rows, columns), jnp.float32 if wide else a.dtype),
        vmap_method="broadcast_all",
    )(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    return y.astype(dtype)
