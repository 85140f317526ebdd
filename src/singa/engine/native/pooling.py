"""The calls of pooling and its gradients. Images (N, C, H, W)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from singa.engine import native

Pair = tuple[int, int]
Shape = tuple[int, ...]

_LAST = native.CHANNELS_LAST


class Window(NamedTuple):
    """The windows over an image."""

    size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # (top, bottom), (left, right)

    def numbers(self) -> np.ndarray[Shape, np.dtype[np.int64]]:
        (top, bottom), (left, right) = self.padding
        return np.array([*self.size, *self.stride, top, left, bottom, right], np.int64)

    def outputs(self, x: Shape) -> Shape:
        """The shape of the outputs for images of shape ``x``."""
        size = [
            (x[2 + i] + sum(self.padding[i]) - self.size[i]) // self.stride[i] + 1 for i in (0, 1)
        ]
        return (*x[:2], *size)


def maximum(x: Array, window: Window) -> tuple[Array, Array]:
    """The largest element of each window, and its place in the window, row by row: uint8."""
    shape, dtype = window.outputs(x.shape), x.dtype
    (x,) = native.taken(x)
    y, arg = jax.ffi.ffi_call(
        "singa_max_pooling",
        (jax.ShapeDtypeStruct(shape, x.dtype), jax.ShapeDtypeStruct(shape, jnp.uint8)),
        input_layouts=[_LAST],
        output_layouts=[_LAST, _LAST],
        vmap_method="sequential",
    )(x, window=window.numbers())
    return y.astype(dtype), arg


def maximum_gradient(dy: Array, arg: Array, x: Shape, window: Window) -> Array:
    """The gradient of the images, which are of shape ``x``."""
    dtype = dy.dtype
    (dy,) = native.taken(dy)
    dx: Array = jax.ffi.ffi_call(
        "singa_max_pooling_gradient",
        jax.ShapeDtypeStruct(x, dy.dtype),
        input_layouts=[_LAST, _LAST],
        output_layouts=_LAST,
        vmap_method="sequential",
    )(dy, arg, window=window.numbers())
    return dx.astype(dtype)


def average(x: Array, window: Window) -> Array:
    """The mean of each window, without the padding."""
    dtype = x.dtype
    (x,) = native.taken(x)
    y: Array = jax.ffi.ffi_call(
        "singa_average_pooling",
        jax.ShapeDtypeStruct(window.outputs(x.shape), x.dtype),
        input_layouts=[_LAST],
        output_layouts=_LAST,
        vmap_method="sequential",
    )(x, window=window.numbers())
    return y.astype(dtype)


def average_gradient(dy: Array, x: Shape, window: Window) -> Array:
    """The gradient of the images, which are of shape ``x``."""
    dtype = dy.dtype
    (dy,) = native.taken(dy)
    dx: Array = jax.ffi.ffi_call(
        "singa_average_pooling_gradient",
        jax.ShapeDtypeStruct(x, dy.dtype),
        input_layouts=[_LAST],
        output_layouts=_LAST,
        vmap_method="sequential",
    )(dy, window=window.numbers())
    return dx.astype(dtype)
