"""Arrays on devices: how NumPy's and jax's arrays become CTensors on the right device."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from inspect import ismethod
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.watching import concrete
from singa.device import (
    CTensor,
    Device,
    DType,
    as_dtype,
    complex64,
    float32,
    int32,
    is_complex,
)
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.placement import Place, expect_same, gathered, is_on, put

_OFTEN = 8  # uploads of one shape, after which its upload is compiled
_LOOKS = 500  # checks whether an array is ready, before the thread sleeps: about 50 us


def as_shape(shape: Sequence[int] | int) -> tuple[int, ...]:
    """A shape as a tuple; a single number is the size of one axis."""
    if isinstance(shape, (int, np.integer)):
        sizes: tuple[Any, ...] = (shape,)
    else:
        sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(size, (int, np.integer)) and size >= 0 for size in sizes):
        raise ShapeError(f"Tensor: a shape is made of sizes of 0 or more, got {shape!r}")
    return tuple(int(size) for size in sizes)


def as_ctensor(
    data: Any, device: Device, dtype: DType | None, place: Place | None = None
) -> CTensor:
    """``data`` on a device: a CTensor is not copied where possible, everything else is copied.

    ``place`` is where it goes on that device, if it is not there already; its home by default.
    """
    if isinstance(data, jax.Array):
        as_dtype(data.dtype)
        if dtype is not None and data.dtype != dtype:
            check_real(data.dtype, dtype, "Tensor")
            data = data.astype(dtype)
        return move(data, device, place)
    array = np.asarray(data)
    if array.dtype == np.object_:
        what = "a method, which has to be called" if ismethod(data) else type(data).__name__
        raise DTypeError(
            f"Tensor: numbers are expected, as an array or in nested lists, got {what}"
        )
    if dtype is None:
        # Only arrays have a given precision; Python numbers get 32 bits.
        given = array.dtype
        if not isinstance(data, (np.ndarray, np.generic)):
            if given.kind == "f":
                given = float32
            elif given.kind == "c":
                given = complex64
            elif given.kind == "i" and fits(array, int32):
                given = int32
        dtype = as_dtype(given)
    elif array.dtype.kind not in "biufcV":
        raise DTypeError(f"Tensor: data of type {array.dtype} cannot become {dtype}")
    return from_host(array, device, dtype, place)


def fits(array: np.ndarray[Any, Any], dtype: DType) -> bool:
    """Whether all of these values, which may be floats, are in the range of an integer type."""
    ends = np.iinfo(dtype)
    # Compare with ``max + 1``, because floats of any precision represent it exactly.
    return not array.size or bool(array.min() >= ends.min and array.max() < ends.max + 1)


def check_real(given: DType, wanted: DType, what: str) -> None:
    """Refuse to make real numbers of complex ones: they would lose their imaginary parts.

    Raises:
        DTypeError: ``given`` is complex, and ``wanted`` is not.
    """
    if is_complex(given) and not is_complex(wanted):
        raise DTypeError(
            f"{what}: complex numbers ({given}) cannot become {wanted}, which would lose their "
            "imaginary parts; autograd.real, imag, abs and angle give real numbers"
        )


def are_whole(array: np.ndarray[Any, Any], dtype: DType) -> bool:
    """Whether all of these floats are integers in the range of an integer type."""
    return fits(array, dtype) and bool((array == np.floor(array)).all())


def are_merged(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one shape is the other one with neighbouring axes merged; axes of size 1 are ignored.

    The elements' order is the same then: (2, 3, 4) and (6, 4), but not (2, 3) and (3, 2).
    """
    if 0 in shape or math.prod(shape) != math.prod(other):
        return False
    ends, others = (set(accumulate(s, operator.mul)) - {1} for s in (shape, other))
    return ends <= others or others <= ends


def check_fits(array: np.ndarray[Any, Any], dtype: DType, what: str = "Tensor") -> None:
    """Refuse NaN, and integers out of the type's range: they would become other numbers."""
    if dtype.kind in "iu" and array.dtype.kind in "iufVO" and not np.can_cast(array.dtype, dtype):
        wide = array.astype(np.float64) if array.dtype.kind in "fV" else array
        if not fits(wide, dtype):
            ends = np.iinfo(dtype)
            raise ArgumentError(
                f"{what}: {dtype} holds integers from {ends.min} to {ends.max}, and the values go "
                f"from {array.min()} to {array.max()}"
            )


def from_host(
    array: np.ndarray[Any, Any], device: Device, dtype: DType, place: Place | None = None
) -> CTensor:
    """A copy of a NumPy array on a device, at its home or ``place``, converted to ``dtype``.

    Raises:
        ArgumentError: the type cannot hold these integers.
        DTypeError: complex numbers for a real type.
    """
    if array.dtype != dtype:
        check_fits(array, dtype)
        check_real(array.dtype, dtype, "Tensor")
    # Copy here, because jax may otherwise use the caller's memory, which the caller may change.
    own = np.array(array, dtype=dtype, order="C", copy=True)
    with concrete():
        return _upload(own.shape, dtype, device.home if place is None else place)(own)


class _Upload:
    """Puts NumPy arrays of one shape and type on a device.

    ``device_put`` takes 20 us. A compiled identity function takes 5 us, but has to be compiled
    first. That is worth it for shapes that are used often, such as those of batches.
    """

    __slots__ = ("_compiled", "_count", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._count = 0
        self._compiled: Callable[[Any], CTensor] | None = None

    def __call__(self, own: np.ndarray[Any, Any]) -> CTensor:
        if self._compiled is not None:
            return self._compiled(own)
        self._count += 1
        one = self._place if isinstance(self._place, jax.Device) else None
        if self._count == _OFTEN and one is not None and one.platform == "cpu":
            place = jax.sharding.SingleDeviceSharding(one)
            self._compiled = jax.jit(_identity, in_shardings=place, out_shardings=place)
        expect_same(own, self._place)
        return put(own, self._place)


def _identity(array: CTensor) -> CTensor:
    return array


@lru_cache(maxsize=256)
def _upload(shape: tuple[int, ...], dtype: DType, place: Place) -> _Upload:
    return _Upload(place)


@lru_cache(maxsize=256)
def constant(shape: tuple[int, ...], value: float, dtype: DType, device: Device) -> CTensor:
    """An array of this value only. It is made once, and must not be given to a Tensor's state."""
    with jax.ensure_compile_time_eval():
        return jnp.full(shape, value, dtype, device=device.home)


def on_host(data: CTensor) -> np.ndarray[Any, Any]:
    """The values as a NumPy array, read-only; they are not copied if they are on the CPU."""
    # To wake a sleeping thread takes 10 to 20 us, more than a small step. So poll first.
    array: Any = data  # jax's abstract type does not mention this method
    is_ready = array.is_ready
    for _ in range(_LOOKS):
        if is_ready():
            break
    if type(data.sharding) is jax.sharding.SingleDeviceSharding:  # most often, and soon seen
        return np.asarray(data)
    return gathered(data)  # where other processes have a part of it, all have to read it


def move(data: CTensor, device: Device, place: Place | None = None) -> CTensor:
    """The array on this device, at its home or ``place``; the same array if it is on it already."""
    if isinstance(data, jax.core.Tracer) or is_on(data, device.home):
        return data
    with concrete():
        return put(data, device.home if place is None else place)


def converts(given: DType, wanted: DType) -> bool:
    """Whether a type can hold the values of another type, with at most a loss of precision."""
    kind = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}  # bfloat16 is of kind V
    return given.kind in kind and kind[given.kind] <= kind.get(wanted.kind, -1)


def number_array(value: complex, dtype: DType, device: Device) -> CTensor:
    """A number as an array of shape (). Numbers that are used often are made once and cached.

    Raises:
        ArgumentError: the type cannot hold this integer.
    """
    if dtype.kind in "iu" and isinstance(value, int):
        check_fits(np.asarray(value), dtype, "a number")
    exact = repr(value) if isinstance(value, complex) else value or repr(value)
    return _number_array(value, exact, dtype, device)


@lru_cache(maxsize=1024)
def _number_array(value: complex, exact: float | str, dtype: DType, device: Device) -> CTensor:
    # ``exact`` is in the key because 0.0 and -0.0 are equal, but have different bits.
    with jax.ensure_compile_time_eval():
        return jnp.full((), value, dtype, device=device.home)
