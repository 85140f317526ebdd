"""Native CPU kernels, if their distribution ``singa-xla-kernels`` is installed.

They are XLA custom calls: convolution and products of matrices by oneDNN, pooling, the sums of
batch normalization, recurrences, and attention.
Nothing depends on them. Every operation also has a formula in ``jax.numpy``, and passes it to
:func:`run` together with the kernel that may replace it on a CPU.

``SINGA_NATIVE=0`` in the environment turns them off.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_INTERFACE = 5  # the version of singa_kernels' interface that this package calls


def _load() -> tuple[ctypes.CDLL | None, str]:
    """The library, and in a few words which version is in use, or why none is."""
    if os.environ.get("SINGA_NATIVE", "1") == "0":
        return None, "off (SINGA_NATIVE=0)"
    try:
        kernels = import_module("singa_kernels")
    except ImportError:
        return None, "off (not installed; in a checkout, pip install ./kernels builds them)"
    if kernels.INTERFACE != _INTERFACE:
        return None, (
            f"off (singa-xla-kernels {kernels.__version__} has interface {kernels.INTERFACE}; "
            f"{_INTERFACE} is needed)"
        )
    try:
        handle: ctypes.CDLL = kernels.load()
        for name, handler in kernels.handlers(handle).items():
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
    except (OSError, AttributeError) as error:
        return None, f"off ({error})"
    return handle, (
        f"on (singa-xla-kernels {kernels.__version__}, oneDNN {kernels.onednn_version()})"
    )


handle, status = _load()
available = handle is not None

CHANNELS_LAST = (0, 2, 3, 1)
"""The memory layout of the kernels' images (N, C, H, W). XLA converts to it, and computes the
element-wise operations between two kernels in this layout too."""


def supports(*xs: Array | jax.ShapeDtypeStruct) -> bool:
    """Whether the kernels take arrays of these types and shapes: float32, and not empty."""
    return available and all(x.dtype == jnp.float32 and x.size for x in xs)


def run(kernel: Callable[..., Any], formula: Callable[..., Any], *xs: Array) -> Any:
    """``kernel(*xs)`` on a CPU, ``formula(*xs)`` elsewhere; the derivatives are the formula's."""
    return jax.lax.platform_dependent(*xs, cpu=differentiated(kernel, formula), default=formula)


def differentiated(function: Callable[..., Any], formula: Callable[..., Any]) -> Any:
    """The function, with the derivatives of a formula for the same values."""
    differentiable = jax.custom_jvp(function)

    @differentiable.defjvp
    def tangents(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> Any:
        return differentiable(*primals), jax.jvp(formula, primals, tangents)[1]

    return differentiable
