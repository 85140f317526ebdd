"""Products of matrices in the operations: by the native kernel if it supports them."""

from __future__ import annotations

import math
from functools import partial

import jax.numpy as jnp

from singa.device import CTensor, DType
from singa.engine import native
from singa.engine.native import product as kernels
from singa.tape import wide


def product(
    a: CTensor,
    b: CTensor,
    transpose_a: bool = False,
    transpose_b: bool = False,
    dtype: DType | None = None,
) -> CTensor:
    """A b by NumPy's rules: (..., M, K) times (..., K, N), whose leading axes broadcast.

    The arguments ``transpose_a`` and ``transpose_b`` are faster than a transposition before the
    call, because nothing is copied.

    Args:
        a: (..., M, K), or (..., K, M) with ``transpose_a``; or (K,).
        b: (..., K, N), or (..., N, K) with ``transpose_b``; or (K,).
        dtype: of the result and of the sums; that of a and b if None, but int32 for shorter
            integers.
    """
    dtype = dtype or of_integers(a, b)
    formula = partial(_formula, transpose_a=transpose_a, transpose_b=transpose_b, dtype=dtype)
    is_wide = dtype is not None and dtype != a.dtype
    if (
        min(a.ndim, b.ndim) < 2
        or (is_wide and dtype != jnp.float32)
        or not kernels.supports(a, b, transpose_b)
    ):
        return formula(a, b)
    kernel = partial(
        kernels.product, transpose_a=transpose_a, transpose_b=transpose_b, wide=is_wide
    )
    if a.shape[:-2] == b.shape[:-2]:
        y: CTensor = native.run(kernel, formula, a, b)
        return y
    if b.ndim == 2 and not transpose_a:  # one matrix for all batches: they are rows of one
        y = native.run(kernel, formula, as_rows(a), b)
        return y.reshape(*a.shape[:-1], y.shape[-1])
    return formula(a, b)


def of_integers(*xs: CTensor) -> DType | None:
    """The type for the sum of these integers' products; None for floats and bools."""
    dtype = jnp.result_type(*xs)
    return wide(dtype) if jnp.issubdtype(dtype, jnp.integer) else None


def as_rows(x: CTensor) -> CTensor:
    """All axes but the last one as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _formula(
    a: CTensor, b: CTensor, transpose_a: bool, transpose_b: bool, dtype: DType | None
) -> CTensor:
    return jnp.matmul(
        a.mT if transpose_a else a, b.mT if transpose_b else b, preferred_element_type=dtype
    )
