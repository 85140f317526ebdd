"""The compiled kernels behind random numbers, on raw keys: uint32 (2,)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


_SIZES = (2**16, 2**18, 2**20)  # of shared kernels
_ENOUGH = 2**24  # numbers that were drawn for one shape by a shared kernel, before it gets its own


def drawn(
    distribution: Any, key: CTensor, *parameters: Any, shape: tuple[int, ...], dtype: DType
) -> CTensor | np.ndarray[Any, Any]:
    """``distribution(key, *parameters, shape=shape, dtype=dtype)``, which may be on the host.

    To compile a kernel takes longer than to draw a million numbers, and a network has weights of
    many shapes. So up to a million numbers are the first ones that a kernel for more of them draws:
    each number depends only on the key and on its place. A shape that is drawn often gets a kernel
    of its own.
    """
    count = math.prod(shape)
    size = next((size for size in _SIZES if size >= count), 0)
    numbers = _by_shared_kernels(distribution, shape, dtype)
    shares = size and count > 1 and numbers[0] < _ENOUGH and distribution is not orthogonal
    if not shares or isinstance(key, jax.core.Tracer):
        return distribution(key, *parameters, shape=shape, dtype=dtype)
    numbers[0] += size
    more = distribution(key, *parameters, shape=(size,), dtype=dtype)
    # A copy: jax may use NumPy's memory, and a part would keep that of all numbers.
    return np.asarray(more)[:count].reshape(shape).copy()


@lru_cache(maxsize=1024)
def _by_shared_kernels(distribution: Any, shape: tuple[int, ...], dtype: DType) -> list[int]:
    """How many numbers shared kernels have drawn for a shape; the list's element is changed."""
    return [0]


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


def _standard(name: str, draw: Callable[..., CTensor]) -> Callable[..., CTensor]:
    """A kernel for a distribution without parameters, of any float type.

    It draws in at least 32 bits: short types have few different uniform numbers, so that the
    tails of what is computed from them would be missing.
    """

    def kernel(key: CTensor, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
        return draw(key, shape, jnp.promote_types(dtype, jnp.float32)).astype(dtype)

    kernel.__name__ = kernel.__qualname__ = name
    return _kernel(kernel)


standard_normal = _standard("standard_normal", jax.random.normal)
standard_uniform = _standard("standard_uniform", jax.random.uniform)
standard_exponential = _standard("standard_exponential", jax.random.exponential)
standard_gumbel = _standard("standard_gumbel", jax.random.gumbel)
standard_laplace = _standard("standard_laplace", jax.random.laplace)


@_kernel
def trials(key: CTensor, p: CTensor, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    """1 with the probability ``p``, else 0; NaN if ``p`` is not between 0 and 1."""
    hits = jax.random.bernoulli(key, p.astype(jnp.float32), shape)
    return jnp.where((p >= 0) & (p <= 1), hits, jnp.nan).astype(dtype)


@_kernel
def poisson(key: CTensor, rate: CTensor, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    """Counts of events, as floats, for the number that is expected; NaN if that is negative.

    jax draws with 32 bits, which are too few for the test that it makes of large numbers. These
    are drawn by quantiles of the normal distribution, corrected for skewness (Cornish and Fisher).
    """
    few_key, many_key = jax.random.split(key)
    rate = rate.astype(jnp.promote_types(dtype, jnp.float32))
    is_large = rate > 1e5
    few = jax.random.poisson(few_key, jnp.where((rate >= 0) & ~is_large, rate, 0), shape, jnp.int32)
    z = jax.random.normal(many_key, shape, rate.dtype)
    many = jnp.floor(rate + jnp.sqrt(jnp.abs(rate)) * z + (z * z - 1) / 6 + 0.5)
    counts = jnp.where(is_large, many, few.astype(rate.dtype))
    return jnp.where(rate >= 0, counts, jnp.nan).astype(dtype)


@_kernel
def randint(key: CTensor, low: int, high: int, *, shape: tuple[int, ...], dtype: DType) -> CTensor:
    """Integers from ``low`` to below ``high``, all with the same probability."""
    return jax.random.randint(key, shape, low, high, dtype)


@partial(jax.jit, static_argnames=("count",))
def permutation(key: CTensor, *, count: int) -> CTensor:
    """The integers from 0 to below ``count`` in a random order."""
    return jax.random.permutation(key, count).astype(jnp.int32)


@partial(jax.jit, static_argnames=("prefix", "axis", "replace"))
def categorical(
    key: CTensor, logits: CTensor, *, prefix: tuple[int, ...], axis: int, replace: bool
) -> CTensor:
    """Indices along an axis, by the greatest of logits with noise (Kool et al., 2019)."""
    logits = jnp.moveaxis(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), axis, -1)
    if replace:
        noise = jax.random.gumbel(key, (*prefix, *logits.shape), logits.dtype)
        return jnp.argmax(logits + noise, -1).astype(jnp.int32)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    _, places = jax.lax.top_k(logits + noise, math.prod(prefix))
    return jnp.moveaxis(places, -1, 0).reshape(*prefix, *logits.shape[:-1])
