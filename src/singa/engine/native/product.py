"""The call of oneDNN's product of matrices: (..., M, K) times (..., K, N), and a bias (N,)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native

_WORTHWHILE = 2**20  # multiply-adds: below, XLA's own product is as fast, and it can be fused
_LARGE = 2**22  # numbers of a result: a pass over more than the caches hold takes its time


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
    bias: Array | None = None,
) -> Array:
    """(..., M, N), for each matrix of a batch; the leading axes of both are the same.

    Args:
        a: (..., M, K), or (..., K, M) with ``transpose_a``.
        b: (..., K, N), or (..., N, K) with ``transpose_b``.
        wide: whether the result is float32, that of short types too.
        bias: (..., N), of as many batches or of none: it is added to each row. XLA can do that in
            the loop that reads the result, for nothing. But if a reduction reads it, as a loss
            reads logits, XLA writes the sum to an array of its own: for large results oneDNN adds
            the bias.
    """
    rows = a.shape[-1 if transpose_a else -2]
    columns = b.shape[-2 if transpose_b else -1]
    dtype = jnp.float32 if wide else a.dtype
    a, b = native.taken(a, b, multiplied=True)
    shape = (*a.shape[:-2], rows, columns)
    joins = a.dtype == jnp.float32 and math.prod(shape) >= _LARGE
    added = () if bias is None or not joins else native.widened(bias)
    y: Array = jax.ffi.ffi_call(
        "singa_product",
        jax.ShapeDtypeStruct(shape, jnp.float32 if wide else a.dtype),
        vmap_method="broadcast_all",
    )(a, b, *added, transpose_a=transpose_a, transpose_b=transpose_b)
    y = y.astype(dtype)
    return y if added or bias is None else y + bias[..., None, :]
