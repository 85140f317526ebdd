"""Checks that operations share.

They run while a kernel is traced, and cost nothing later; but :func:`ids` runs in each eager call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.arrays import check_real, on_host
from singa.core.tensor import Tensor, TensorLike
from singa.core.watching import local
from singa.device import CTensor, DType, float32, has_gradients, is_float
from singa.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from singa.tape import Operation, widened

Sizes: TypeAlias = "int | Sequence[int]"
"""For several axes: one number for all of them, or one for each."""


def broadcastable(operation: Operation, *xs: CTensor) -> None:
    """Raise unless the inputs broadcast together, by NumPy's rules."""
    try:
        np.broadcast_shapes(*[x.shape for x in xs])
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in xs)
        raise ShapeError(
            f"{operation.name}: shapes {shapes} do not broadcast together: counted from the last "
            "axis, sizes must be equal or 1"
        ) from None


def broadcasts_to(operation: Operation, what: str, x: CTensor, shape: tuple[int, ...]) -> None:
    """Raise unless ``x`` broadcasts to this shape; ``what`` is its name in the message."""
    lead = x.ndim - len(shape)
    if lead > 0 or any(a not in (1, b) for a, b in zip(x.shape, shape[-lead:], strict=True)):
        raise ShapeError(f"{operation.name}: shape {x.shape} does not broadcast to {what} {shape}")


def rank(operation: Operation, what: str, x: CTensor, ndim: int, axes: str) -> None:
    """Raise unless ``x`` has this many axes; ``axes`` names them, such as ``(N, C, H, W)``."""
    if x.ndim != ndim:
        raise ShapeError(f"{operation.name}: {what} must be {axes}, got shape {x.shape}")


def float_input(operation: Operation, what: str, x: CTensor) -> None:
    """Raise unless ``x`` is of a float type; or complex, which the tape refuses if it has to."""
    if not has_gradients(x.dtype):
        raise DTypeError(f"{operation.name}: {what} must be of a float type, got {x.dtype}")


def as_float(operation: Operation, what: str, x: CTensor) -> CTensor:
    """``x``, as float32 if it is of an integer type; raises if it is a bool."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(float32)
    float_input(operation, what, x)
    return x


def real_input(operation: Operation, what: str, x: CTensor) -> CTensor:
    """``x`` in at least float32, and so are integers; raises if it is no real number."""
    x = as_float(operation, what, x)
    if not is_float(x.dtype):
        raise DTypeError(f"{operation.name}: {what} must be real, got {x.dtype}")
    return widened(x)


def fits_into(operation: Operation, what: str, given: DType, wanted: DType) -> None:
    """Raise if complex numbers would become real: they would lose their imaginary parts."""
    check_real(given, wanted, f"{operation.name}: {what}")


def no_bools(operation: Operation, instead: str, *xs: CTensor) -> None:
    """Not all of ``xs`` are bools."""
    if all(x.dtype == bool for x in xs):
        raise DTypeError(f"{operation.name}: bools are no numbers to compute with; {instead}")


def are_integers(*xs: CTensor) -> bool:
    """Whether all of ``xs`` are of integer types."""
    return all(jnp.issubdtype(x.dtype, jnp.integer) for x in xs)


def integer_input(operation: Operation, what: str, x: CTensor) -> CTensor:
    """``x`` in at least 32 bits; raises unless it is of an integer type.

    A shorter type may be unable to represent the axis sizes with which indices are compared.
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise DTypeError(f"{operation.name}: {what} must be of an integer type, got {x.dtype}")
    return widened(x)


def indices(operation: Operation, what: str, x: CTensor, size: int) -> CTensor:
    """Integers ``x`` that index an axis of this size, as int32.

    Indices out of bounds are clamped to just outside of the bounds, so that they fit into int32.
    """
    x = integer_input(operation, what, x)
    if x.size and not size:
        raise ShapeError(f"{operation.name}: {what} are for an axis of size 0: nothing is there")
    return jnp.clip(x, -size - 1, size).astype(jnp.int32)


def index_array(name: str, values: Any) -> np.ndarray[Any, Any]:
    """Indices that are not a Tensor as an array of numbers; which type it has is not looked at."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of unequal lengths
        raise ShapeError(
            f"{name}: indices must be in lists of equal lengths, got {values!r}"
        ) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: indices must be integers, got {values!r}")
    return array


def ids(
    operation: Operation,
    what: str,
    x: Tensor,
    count: int,
    of: str,
    shape: Sequence[int],
    ignored: int | None = None,
) -> None:
    """Integers ``x`` are ids from 0 to ``count - 1``: eagerly, and under ``detect_anomaly``.

    In other compiled steps nobody looks at their values; what is computed of a wrong id is NaN.

    Args:
        operation: whose input they are.
        what: their name in the message.
        x: of an integer type.
        count: how many ids there are.
        of, shape: what has so many, and its shape, for the message.
        ignored: an id that is left out.

    Raises:
        BoundsError: one is none of them.
    """
    if local.capture is not None:
        if local.anomaly:
            holds = (x.data >= 0) & (x.data < count)
            holds |= False if ignored is None else equal(x.data, ignored)
            about = f"{operation.name}: {what} are from 0 to {count - 1}, for {of} of shape {shape}"
            local.capture.check(holds.all(), partial(BoundsError, about))
        return
    found = on_host(x._data)
    # This is a part of each eager step: negative ids are large ones if the sign is not looked at.
    if _largest(found.view(_UNSIGNED[found.itemsize]), None, initial=0) >= count:
        wrong = found[(found < 0) | (found >= count)]
        wrong = wrong[wrong != ignored]
        if wrong.size:
            raise BoundsError(
                f"{operation.name}: {what} are from 0 to {count - 1}, for {of} of shape {shape}; "
                f"got {wrong[0]}"
            )


def values(name: str, words: str, holds: Callable[..., Any], *xs: TensorLike) -> None:
    """Raise unless values are as they should be: eagerly, and under ``detect_anomaly``.

    In other compiled steps nobody looks at the values of Tensors.

    Args:
        name: of the function, for the message.
        words: what should be so.
        holds: from the values, as arrays of NumPy or jax that broadcast, to where it is so.
        xs: the values.

    Raises:
        ArgumentError: it is not so somewhere.
        DTypeError: one is no number.
    """
    about = f"{name}: {words}"
    if local.capture is not None and any(isinstance(x, Tensor) for x in xs):
        if local.anomaly:
            arrays = [x.data if isinstance(x, Tensor) else x for x in xs]
            local.capture.check(holds(*arrays).all(), partial(ArgumentError, about))
        return
    found = [on_host(x._data) if isinstance(x, Tensor) else np.asarray(x) for x in xs]
    for x, array in zip(xs, found, strict=True):
        if array.dtype.kind in "OSU":
            raise DTypeError(f"{about}, and a number, got {x!r}")
    good = np.asarray(holds(*found))
    if not good.all():
        wrong = [x[~good][0] for x in np.broadcast_arrays(*found) if x.shape == good.shape]
        raise ArgumentError(f"{about}{', got ' if wrong else ''}{' and '.join(map(str, wrong))}")


def positive(name: str, **given: TensorLike) -> None:
    """Raise unless the values of these parameters are above 0: see :func:`values`."""
    for what, x in given.items():
        values(name, f"{what} must be above 0", lambda x: x > 0, x)


_largest = np.maximum.reduce
_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def equal(x: CTensor, number: int) -> CTensor:
    """Which integers are equal to this one; their type may be unable to represent it."""
    info = jnp.iinfo(x.dtype)
    return x == number if info.min <= number <= info.max else jnp.zeros(x.shape, bool)


def axis(operation: Operation, number: int, ndim: int) -> int:
    """``number`` as an axis of ``ndim``, counted from the start."""
    if not -ndim <= number < ndim:
        raise ShapeError(f"{operation.name}: axis {number} of a Tensor with {ndim} axes")
    return number % ndim


def axes(operation: Operation, numbers: Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """``numbers`` as axes of ``ndim``, counted from the start; all of them for None."""
    if numbers is None:
        return tuple(range(ndim))
    found = tuple(axis(operation, number, ndim) for number in numbers)
    if len(set(found)) != len(found):
        raise ShapeError(f"{operation.name}: an axis is named twice in {tuple(numbers)}")
    return found


def integer(name: str, value: int) -> int:
    """``value``; raises unless it is an integer of Python or NumPy."""
    if not isinstance(value, (int, np.integer)):
        raise ArgumentError(f"{name}: an integer is expected, got {value!r}")
    return int(value)


def integers(name: str, value: Sizes, least: int = 0) -> tuple[int, ...]:
    """One integer, or at least ``least`` integers, as a tuple."""
    values = tuple(value) if isinstance(value, Iterable) else (value,)
    if len(values) < least or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ArgumentError(f"{name}: one or more integers are expected, got {value!r}")
    return tuple(int(v) for v in values)


def number(name: str, value: Any) -> float:
    """``value``; raises unless it is a number of Python or NumPy, or an array of one."""
    if not isinstance(value, str):
        with suppress(TypeError, ValueError):
            return float(value)
    raise ArgumentError(f"{name}: a number is expected, got {value!r}")


def each(name: str, value: Sizes, count: int, least: int) -> tuple[int, ...]:
    """``value`` for each of ``count`` axes: one number for all of them, or one for each."""
    values = tuple(value) if isinstance(value, Iterable) else (value,) * count
    if len(values) != count or not all(
        isinstance(v, (int, np.integer)) and v >= least for v in values
    ):
        many = f" or {('two', 'three')[count - 2]} integers" if count > 1 else " integer"
        raise ArgumentError(f"{name}: one{many} of at least {least}, got {value!r}")
    return tuple(int(v) for v in values)


def pair(name: str, value: Sizes, least: int) -> tuple[int, int]:
    """``value`` for height and width: one number for both, or two."""
    height, width = each(name, value, 2, least)
    return height, width
