"""Checks that operations share. They run while a kernel is traced, and cost nothing later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from singa.device import CTensor, is_float
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tape import Operation


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


def rank(operation: Operation, what: str, x: CTensor, ndim: int, axes: str) -> None:
    """``x`` has this many axes; ``axes`` says which, such as ``(N, C, H, W)``."""
    if x.ndim != ndim:
        raise ShapeError(f"{operation.name}: {what} must be {axes}, got shape {x.shape}")


def float_input(operation: Operation, what: str, x: CTensor) -> None:
    """``x`` is of a float type."""
    if not is_float(x.dtype):
        raise DTypeError(f"{operation.name}: {what} must be of a float type, got {x.dtype}")


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


def pair(name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    """``value`` for height and width: one number for both, or two."""
    values = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in values):
        raise ArgumentError(f"{name}: one or two integers of at least {least}, got {value!r}")
    return int(values[0]), int(values[1])
