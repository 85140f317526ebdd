"""Checks that operations share. They run while a kernel is traced, and cost nothing later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor, is_float
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tape import Operation, wide

Sizes: TypeAlias = "int | Sequence[int]"
"""For several axes: one number for all of them, or one for each."""


def broadcastable(operation: Operation, *xs: CTensor) -> None:
    """The inputs broadcast together, by NumPy's rules."""
    try:
        np.broadcast_shapes(*[x.shape for x in xs])
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in xs)
        raise ShapeError(
            f"{operation.name}: shapes {shapes} do not broadcast together: counted from the last "
            "axis, sizes must be equal or 1"
        ) from None


def broadcasts_to(operation: Operation, what: str, x: CTensor, shape: tuple[int, ...]) -> None:
    """``x`` broadcasts to this shape, which ``what`` names."""
    lead = x.ndim - len(shape)
    if lead > 0 or any(a not in (1, b) for a, b in zip(x.shape, shape[-lead:], strict=True)):
        raise ShapeError(f"{operation.name}: shape {x.shape} does not broadcast to {what} {shape}")


def rank(operation: Operation, what: str, x: CTensor, ndim: int, axes: str) -> None:
    """``x`` has this many axes; ``axes`` says which, such as ``(N, C, H, W)``."""
    if x.ndim != ndim:
        raise ShapeError(f"{operation.name}: {what} must be {axes}, got shape {x.shape}")


def float_input(operation: Operation, what: str, x: CTensor) -> None:
    """``x`` is of a float type."""
    if not is_float(x.dtype):
        raise DTypeError(f"{operation.name}: {what} must be of a float type, got {x.dtype}")


def no_bools(operation: Operation, instead: str, *xs: CTensor) -> None:
    """Not all of ``xs`` are bools."""
    if all(x.dtype == bool for x in xs):
        raise DTypeError(f"{operation.name}: bools are no numbers to compute with; {instead}")


def integer_input(operation: Operation, what: str, x: CTensor) -> CTensor:
    """``x``, which is of an integer type, in 32 bits at least.

    A shorter type need not have the sizes that indices are compared with, or counted back from.
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise DTypeError(f"{operation.name}: {what} must be of an integer type, got {x.dtype}")
    return x.astype(wide(x.dtype))


def indices(operation: Operation, what: str, x: CTensor, size: int) -> CTensor:
    """``x``, integers that index an axis of this size, as int32.

    One that is out of bounds stays so, by one place, whatever its type could hold.
    """
    x = integer_input(operation, what, x)
    if x.size and not size:
        raise ShapeError(f"{operation.name}: {what} are for an axis of size 0: nothing is there")
    return jnp.clip(x, -size - 1, size).astype(jnp.int32)


def equal(x: CTensor, number: int) -> CTensor:
    """Which integers are this one, which their type need not have."""
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
    """``value``, which is an integer: Python's or NumPy's."""
    if not isinstance(value, (int, np.integer)):
        raise ArgumentError(f"{name}: an integer is expected, got {value!r}")
    return int(value)


def integers(name: str, value: Sizes, least: int = 0) -> tuple[int, ...]:
    """One integer, or at least so many of them, as a tuple."""
    values = tuple(value) if isinstance(value, Iterable) else (value,)
    if len(values) < least or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ArgumentError(f"{name}: one or more integers are expected, got {value!r}")
    return tuple(int(v) for v in values)


def number(name: str, value: Any) -> float:
    """``value``, which is a number: Python's, NumPy's, or an array of one."""
    if not isinstance(value, str):
        with suppress(TypeError, ValueError):
            return float(value)
    raise ArgumentError(f"{name}: a number is expected, got {value!r}")


def each(name: str, value: Sizes, count: int, least: int) -> tuple[int, ...]:
    """``value`` for each of ``count`` axes: one number for all of them, or as many."""
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
