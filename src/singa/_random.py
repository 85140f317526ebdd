"""The compiled kernels behind random numbers, on raw keys: uint32 (2,)."""

from __future__ import annotations

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
    return mean + std * jax.random.normal(key, shape, dtype)


@_kernel
def uniform(
    key: CTensor, low: float, high: float, *, shape: tuple[int, ...], dtype: DType
) -> CTensor:
    return jax.random.uniform(key, shape, dtype, minval=low, maxval=high)


@_kernel
def bernoulli(key: CTensor, p: float, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    return jax.random.bernoulli(key, jnp.asarray(p, jnp.float32), shape).astype(dtype)
