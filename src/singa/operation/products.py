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
    bias: CTensor | None = None,
) -> CTensor:
    """A b by NumPy's rules: (..., M, K) times (..., K, N), whose leading axes broadcast.

    The arguments ``transpose_a`` and ``transpose_b`` are faster than a transposition before the
    call, because nothing is copied.

    Args:
        a: (..., M, K), or (..., K, M) with ``transpose_a``; or (K,).
        b: (..., K, N), or (..., N, K) with ``transpose_b``; or (K,).
        dtype: of the result and of the sums; that of a and b if None, but int32 for shorter
            integers.
        bias: (N,), added to each row. The native kernel does it without a pass of its own.
    """
    if bias is not None and bias.dtype != a.dtype:
        return product(a, b, transpose_a, transpose_b, dtype) + bias
    dtype = dtype or of_integers(a, b)
    turns = transpose_a, transpose_b
    formula, added = partial(_formula, turns, dtype), () if bias is None else (bias,)
    is_wide = dtype is not None and dtype != a.dtype
    if (
        min(a.ndim, b.ndim) < 2
        or (is_wide and dtype != jnp.float32)
        or not kernels.supports(a, b, transpose_b)
    ):
        return formula(a, b, *added)

    def kernel(a: CTensor, b: CTensor, *added: CTensor) -> CTensor:
        return kernels.product(a, b, *turns, is_wide, *added)

    if a.shape[:-2] == b.shape[:-2]:
        y: CTensor = native.run(kernel, formula, a, b, *added)
        return y
    if b.ndim == 2 and not transpose_a:  # one matrix for all batches: they are rows of one
        y = native.run(kernel, formula, as_rows(a), b, *added)
        return y.reshape(*a.shape[:-1], y.shape[-1])
    return formula(a, b, *added)


def of_integers(*xs: CTensor) -> DType | None:
    """The type for the sum of these integers' products; None for floats and bools."""
    dtype = jnp.result_type(*xs)
    return wide(dtype) if jnp.issubdtype(dtype, jnp.integer) else None


def as_rows(x: CTensor) -> CTensor:
    """All axes but the last one as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _formula(
    turns: tuple[bool, bool], dtype: DType | None, a: CTensor, b: CTensor, *bias: CTensor
) -> CTensor:
    a, b = (x.mT if turned else x for x, turned in zip((a, b), turns, strict=True))
    return sum(bias, start=jnp.matmul(a, b, preferred_element_type=dtype))
