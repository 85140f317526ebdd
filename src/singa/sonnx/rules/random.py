"""Random numbers, of the device's stream; with the attribute ``seed`` always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor, next_key, wrap
from singa.device import CTensor, Device
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.types import dtype_of


def _drawn(call: Call, device: Device, function: Any, *xs: Tensor, **options: Any) -> Tensor:
    """``function(key, *xs, **options)``; the key is the seed's, or the stream's next one."""
    seed = call("seed")
    if seed is None:
        return formula(function, wrap(next_key(device), device), *xs, **options)
    bits = np.float32(seed).view(np.uint32)
    key = held(np.array([0, bits], np.uint32), device)
    return formula(function, key, *xs, **options)


def _normal(
    key: CTensor, *, shape: tuple[int, ...], dtype: Any, mean: float, scale: float
) -> CTensor:
    return (mean + scale * jax.random.normal(key, shape, jnp.float32)).astype(dtype)


def _uniform(
    key: CTensor, *, shape: tuple[int, ...], dtype: Any, low: float, high: float
) -> CTensor:
    return jax.random.uniform(key, shape, dtype, minval=low, maxval=high)


def _bernoulli(key: CTensor, p: CTensor, *, dtype: Any) -> CTensor:
    wide = p.astype(jnp.promote_types(p.dtype, jnp.float32))
    return jax.random.bernoulli(key, wide).astype(dtype)


def _multinomial(key: CTensor, x: CTensor, *, count: int, dtype: Any) -> CTensor:
    return jax.random.categorical(key, x[:, None], shape=(len(x), count)).astype(dtype)


@rule("RandomNormal", follows=False)
def _random_normal(call: Call) -> Tensor:
    return _normal_of(call, call("shape"), dtype_of(call("dtype", 1)))


@rule("RandomNormalLike", follows=False)
def _random_normal_like(call: Call, x: Tensor) -> Tensor:
    return _normal_of(call, x.shape, _dtype(call, x))


@rule("RandomUniform", follows=False)
def _random_uniform(call: Call) -> Tensor:
    return _uniform_of(call, call("shape"), dtype_of(call("dtype", 1)))


@rule("RandomUniformLike", follows=False)
def _random_uniform_like(call: Call, x: Tensor) -> Tensor:
    return _uniform_of(call, x.shape, _dtype(call, x))


@rule("Bernoulli", follows=False)
def _random_bits(call: Call, p: Tensor) -> Tensor:
    return _drawn(call, p.device, _bernoulli, p, dtype=_dtype(call, p))


@rule("Multinomial", follows=False)
def _classes(call: Call, x: Tensor) -> Tensor:
    """Classes by their logarithms of probabilities, (batch, samples)."""
    kind = dtype_of(call("dtype", 6))
    return _drawn(call, x.device, _multinomial, x, count=call("sample_size", 1), dtype=kind)


def _dtype(call: Call, x: Tensor) -> np.dtype[Any]:
    """The type that the node says, or x's."""
    kind = call("dtype")
    return np.dtype(x.dtype) if kind is None else dtype_of(kind)


def _normal_of(call: Call, shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
    mean, scale = call("mean", 0.0), call("scale", 1.0)
    return _drawn(
        call, call.device, _normal, shape=tuple(shape), dtype=dtype, mean=mean, scale=scale
    )


def _uniform_of(call: Call, shape: Sequence[int], dtype: np.dtype[Any]) -> Tensor:
    low, high = call("low", 0.0), call("high", 1.0)
    return _drawn(call, call.device, _uniform, shape=tuple(shape), dtype=dtype, low=low, high=high)
