"""Native CPU kernels, if their distribution ``singa-xla-kernels`` is installed.

They are XLA custom calls: convolution and products of matrices by oneDNN, pooling, the sums of
batch normalization, recurrences, attention, sorts, running sums, and scattering.
Nothing depends on them. Every operation also has a formula in ``jax.numpy``, and passes it to
:func:`run` together with the kernel that may replace it on a CPU.

``SINGA_NATIVE=0`` in the environment turns them off, ``SINGA_WINOGRAD=0`` Winograd's algorithm, by
which some convolutions are computed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

_INTERFACE = 10  # the version of singa_kernels' interface that this package calls


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
multiplies_bfloat16 = handle is not None and bool(handle.singa_multiplies_bfloat16())
"""Whether the processor has instructions for products of bfloat16 with sums of float32."""

_is_exact = os.environ.get("SINGA_WINOGRAD", "1") == "0"


def winograd_status() -> str:
    """Whether convolutions that are faster by Winograd's algorithm are computed by it."""
    if not available:
        return "off (no native kernels)"
    return "off (SINGA_WINOGRAD=0)" if _is_exact else "on"


CHANNELS_LAST = (0, 2, 3, 1)
"""The memory layout of the kernels' images (N, C, H, W). XLA converts to it, and computes the
element-wise operations between two kernels in this layout too."""


class Spread(NamedTuple):
    """How the arrays of what is traced are spread over several devices.

    Attributes:
        mesh: the devices.
        is_mapped: whether this is inside a function that is mapped over arrays.
    """

    mesh: Mesh
    is_mapped: bool = False


class _Here(threading.local):
    spread: Spread | None = None
    exact: bool = _is_exact


here = _Here()
"""``spread`` is None if the arrays of what is traced now are on one device. XLA can split its own
operations over several, but no custom calls: then formulas are used, on CPUs too. ``exact``: no
convolution is computed by Winograd's algorithm."""


@contextmanager
def spread(how: Spread | None) -> Iterator[None]:
    """A block in which arrays are spread in this way."""
    before, here.spread = here.spread, how
    try:
        yield
    finally:
        here.spread = before


@contextmanager
def exact(is_exact: bool) -> Iterator[None]:
    """A block in which convolutions are exact, or not."""
    before, here.exact = here.exact, is_exact
    try:
        yield
    finally:
        here.exact = before


SHORT = (jnp.bfloat16, jnp.float16)


NUMBERS = tuple(jnp.dtype(name) for name in ("float32", "float64", "int32", "int64"))
"""The types of the kernels that compute element by element along an axis."""


def takes(types: Collection[Any], *xs: Array | jax.ShapeDtypeStruct) -> bool:
    """Whether kernels may be called for arrays of one of these types: not empty, on one device."""
    if not available or here.spread is not None or not all(x.size for x in xs):
        return False
    return xs[0].dtype in types and all(x.dtype == xs[0].dtype for x in xs)


def supports(*xs: Array | jax.ShapeDtypeStruct, short: bool = False) -> bool:
    """Whether the kernels take arrays of these types and shapes: float32, and not empty.

    With ``short`` also arrays of one short type, after :func:`taken`.
    """
    return takes((jnp.float32, *SHORT) if short else (jnp.float32,), *xs)


def taken(*xs: Array, multiplied: bool = False) -> tuple[Array, ...]:
    """The arrays in a type that the kernels of bfloat16 and float32 compute with.

    Other short types are converted to float32, where each of their numbers is the same; and
    bfloat16 too, if it is ``multiplied`` and the processor has no instructions for that: without
    them products of float32 are faster.
    """
    if xs[0].dtype == jnp.bfloat16 and (multiplies_bfloat16 or not multiplied):
        return xs
    return widened(*xs)


def widened(*xs: Array) -> tuple[Array, ...]:
    """The arrays, those of short types as float32."""
    return tuple(x.astype(jnp.float32) if x.dtype in SHORT else x for x in xs)


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
