"""The calls of oneDNN's convolution and its gradients. Images (N, C, H, W), weights (O, I, KH, KW).

Each image of a batch, or each part of a batch, is convolved by one thread of XLA's pool. Windows of
3x3 are computed by Winograd's algorithm where that is faster.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from singa.engine import native

Pair = tuple[int, int]
Shape = tuple[int, ...]
_Like = Array | jax.ShapeDtypeStruct

_LAST = native.CHANNELS_LAST


class Window(NamedTuple):
    """How the filters move over an image."""

    stride: Pair
    padding: tuple[Pair, Pair]  # (top, bottom), (left, right)
    dilation: Pair
    groups: int

    def numbers(self) -> np.ndarray[Shape, np.dtype[np.int64]]:
        (top, bottom), (left, right) = self.padding
        return np.array(
            [*self.stride, top, left, bottom, right, *self.dilation, self.groups], np.int64
        )

    def outputs(self, x: Shape, w: Shape) -> Shape:
        """The shape of the convolution of images and filters of these shapes."""
        size = [
            (x[2 + i] + sum(self.padding[i]) - self.dilation[i] * (w[2 + i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        ]
        return (x[0], w[0], *size)


class Winograd(IntEnum):
    """When a convolution is computed by Winograd's algorithm; other windows than 3x3 never are."""

    NEVER = 0
    WHERE_FASTER = 1
    WHERE_POSSIBLE = 2


def wanted() -> int:
    """What :class:`Winograd` has for the block that runs."""
    return int(Winograd.NEVER if native.here.exact else Winograd.WHERE_FASTER)


class _Kind(IntEnum):
    FORWARD = 0
    INPUT_GRADIENT = 1
    WEIGHT_GRADIENT = 2


def supports(x: _Like, w: _Like, window: Window) -> bool:
    """Whether oneDNN has optimized code for this convolution and both its gradients."""
    if not native.supports(x, w, short=True):
        return False
    is_short = x.dtype == jnp.bfloat16 and native.multiplies_bfloat16
    return all(
        "ref" not in implementation(kind, x.shape, w.shape, window, is_short) for kind in _Kind
    )


@cache
def implementation(kind: int, x: Shape, w: Shape, window: Window, is_short: bool = False) -> str:
    """The name that oneDNN gives its code for a convolution; "ref" and the reason if none.

    Of float32, or of bfloat16 if it ``is_short``.
    """
    assert native.handle is not None
    y = window.outputs(x, w)
    # One image is enough: the choice does not depend on the batch's size.
    sizes = [kind, 1, *x[1:], w[0], *w[2:], *y[2:]]
    numbers = np.array([*sizes, *window.numbers(), is_short], np.int64)
    name = ctypes.create_string_buffer(200)
    found = native.handle.singa_convolution_implementation(
        numbers.ctypes.data_as(ctypes.c_void_p), name, ctypes.c_int64(len(name))
    )
    return name.value.decode() if found else f"ref: {name.value.decode()}"


def convolution(x: Array, w: Array, b: Array | None, window: Window) -> Array:
    """(N, O, H', W'), with the bias (O,) added if there is one."""
    dtype = x.dtype
    x, w, b = native.taken(x, w, jnp.zeros(0, dtype) if b is None else b, multiplied=True)
    y: Array = jax.ffi.ffi_call(
        "singa_convolution",
        jax.ShapeDtypeStruct(window.outputs(x.shape, w.shape), x.dtype),
        input_layouts=[_LAST, None, None],
        output_layouts=_LAST,
        vmap_method="sequential",
    )(x, w, b, window=window.numbers(), relu=False, winograd=wanted())
    return y.astype(dtype)


def input_gradient(dy: Array, w: Array, x: Shape, window: Window) -> Array:
    """The gradient of the images, which are of shape ``x``."""
    dtype = dy.dtype
    dy, w = native.taken(dy, w, multiplied=True)
    dx: Array = jax.ffi.ffi_call(
        "singa_convolution_input_gradient",
        jax.ShapeDtypeStruct(x, dy.dtype),
        input_layouts=[_LAST, None],
        output_layouts=_LAST,
        vmap_method="sequential",
    )(dy, w, window=window.numbers(), winograd=wanted())
    return dx.astype(dtype)


def weight_gradient(
    x: Array, dy: Array, w: Shape, bias: bool, window: Window
) -> tuple[Array, Array]:
    """The gradients of the filters, which are of shape ``w``, and of the bias; (0,) if none.

    They are float32: those of short types too, as nothing is gained by rounding them.
    """
    x, dy = native.taken(x, dy, multiplied=True)
    dw, db = jax.ffi.ffi_call(
        "singa_convolution_weight_gradient",
        (
            jax.ShapeDtypeStruct(w, jnp.float32),
            jax.ShapeDtypeStruct((w[0] if bias else 0,), jnp.float32),
        ),
        input_layouts=[_LAST, _LAST],
        vmap_method="sequential",
    )(x, dy, window=window.numbers(), winograd=wanted())
    return dw, db
