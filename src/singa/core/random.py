"""The compiled kernels behind random numbers, on raw keys: uint32 (2,)."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from singa.device import CTensor, DType

_kernel = partial(jax.jit, static_argnames=("shape", "dtype"))


@jax.jit
def split(state: CTensor) -> tuple[CTensor, CTensor]:
    """The stream's next state, and a key to use now."""
    state, key = jax.random.split(state)
    return state, key


@_kernel
def normal(
    key: CTensor, mean: float, std: float, *, shape: tuple[int, ...], dtype: DType
) -> CTensor:
    """Numbers of the normal distribution."""
    return mean + std * jax.random.normal(key, shape, dtype)


@_kernel
def uniform(
    key: CTensor, low: float, high: float, *, shape: tuple[int, ...], dtype: DType
) -> CTensor:
    """Numbers of the uniform distribution, from ``low`` to below ``high``."""
    return jax.random.uniform(key, shape, dtype, minval=low, maxval=high)


@_kernel
def bernoulli(key: CTensor, p: float, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    """1 with the probability ``p``, else 0."""
    return jax.random.bernoulli(key, jnp.asarray(p, jnp.float32), shape).astype(dtype)


_TRUNCATED_STD = 0.8796256610342398  # of the standard normal distribution, truncated at -2 and 2


@_kernel
def truncated_normal(
    key: CTensor, mean: float, std: float, *, shape: tuple[int, ...], dtype: DType
) -> CTensor:
    """Numbers of the normal distribution, truncated at 2 deviations; ``std`` is after that."""
    wider = std * (1 / _TRUNCATED_STD)
    return mean + wider * jax.random.truncated_normal(key, -2, 2, shape, dtype)


@_kernel
def orthogonal(key: CTensor, gain: float, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    """A matrix with orthonormal rows or columns, times ``gain``; the last axes are its columns."""
    rows, columns = shape[0], math.prod(shape[1:])
    wide = jnp.promote_types(dtype, jnp.float32)
    tall = jax.random.normal(key, (max(rows, columns), min(rows, columns)), wide)
    q, r = jnp.linalg.qr(tall)
    # The signs are fixed, so that all orthogonal matrices are equally likely.
    q = q * jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(wide)
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)
