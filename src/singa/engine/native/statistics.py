"""The calls of the sums that batch normalization takes over each channel of images (N, C, H, W)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native

_LAST = native.CHANNELS_LAST


def moments(x: Array) -> tuple[Array, Array]:
    """The mean and the (biased) variance of each channel: (C,) each, float32."""
    (x,) = native.taken(x)
    vector = jax.ShapeDtypeStruct(x.shape[1:2], jnp.float32)
    mean, var = jax.ffi.ffi_call(
        "singa_channel_moments",
        (vector, vector),
        input_layouts=[_LAST],
        vmap_method="sequential",
    )(x)
    return mean, var


def products(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums of dy and of dy (x - mean) over each channel: (C,) each, float32 as the mean."""
    dy, x = native.taken(dy, x)
    vector = jax.ShapeDtypeStruct(x.shape[1:2], jnp.float32)
    total, product = jax.ffi.ffi_call(
        "singa_channel_products",
        (vector, vector),
        input_layouts=[_LAST, _LAST, None],
        vmap_method="sequential",
    )(dy, x, mean)
    return total, product
