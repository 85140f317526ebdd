"""Indexing: ``x[...]`` with all that NumPy takes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor, bool_, int32
from singa.errors import ArgumentError, BoundsError, DTypeError
from singa.tape import Operation
from singa.tensor import ArrayLike, Tensor, as_tensor, number

__all__ = ["GetItem", "getitem"]

_ARRAY = "array"  # stands in the pattern for an index that is an input


class GetItem(Operation):
    """y = x[index].

    ``pattern`` has an entry for each part of the index: a ``(start, stop, step)`` for a slice,
    None, Ellipsis, or ``"array"`` for integers that come in as a further input. Single integers
    do too, so that a loop over ``x[i]`` runs one kernel.
    """

    def __init__(self, pattern: tuple[Any, ...]) -> None:
        super().__init__()
        self.pattern = pattern

    def forward(self, x: CTensor, *arrays: CTensor) -> CTensor:
        self.from_shape, self.arrays = x.shape, arrays
        return x.at[self.index()].get(mode="clip")

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        place = jnp.zeros(self.from_shape, dy.dtype).at[self.index()]
        # Only arrays of integers can name an element twice; without them it is a plain copy.
        unique = all(array.ndim == 0 for array in self.arrays)
        dx = place.set(dy) if unique else place.add(dy, mode="clip")
        return dx, *[None] * len(self.arrays)

    def index(self) -> tuple[Any, ...]:
        """The index that NumPy would take."""
        arrays = iter(self.arrays)
        return tuple(
            slice(*part) if isinstance(part, tuple) else next(arrays) if part == _ARRAY else part
            for part in self.pattern
        )


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` as in NumPy: ints, slices, None, ``...``, integer arrays and bool masks.

    Integer arrays may be Tensors. Their values are not looked at; those out of bounds are clamped.
    A mask's result has a shape that depends on its values, so that it works eagerly only.

    Raises:
        BoundsError: integers beyond the end of an axis, a mask of another shape than the axes it
            stands for, or more indices than axes.
        ArgumentError: a slice with a step of 0.
        DTypeError: something that cannot be an index.
    """
    parts = [_as_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    used = sum(_axes_of(part) for part in parts)
    if used > x.ndim():
        raise BoundsError(f"GetItem: {used} indices for a Tensor of shape {x.shape}")
    if sum(part is Ellipsis for part in parts) > 1:
        raise BoundsError("GetItem: an index can have one ellipsis only")
    pattern: list[Any] = []
    arrays: list[Tensor] = []
    axis = 0
    for part in parts:
        if isinstance(part, (int, Tensor, np.ndarray)):
            found = _integers(x, part, axis)
            arrays += found
            pattern += [_ARRAY] * len(found)
        else:
            pattern.append(part)
        axis += x.ndim() - used if part is Ellipsis else _axes_of(part)
    return GetItem(tuple(pattern))(x, *arrays)[0]


def _as_part(part: Any) -> Any:
    """A part of an index as an int, None, Ellipsis, a tuple for a slice, an array or a Tensor."""
    if isinstance(part, slice):
        if part.step == 0:
            raise ArgumentError("GetItem: a slice cannot have a step of 0")
        return tuple(map(_as_int, (part.start, part.stop, part.step)))
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return int(part)
    array = part if isinstance(part, Tensor) else np.asarray(part)
    if isinstance(array, np.ndarray) and not array.size and array.dtype != bool_:
        return array.astype(np.int32)  # an empty list is of a float type to NumPy
    if array.dtype.kind not in "biu":
        raise DTypeError(f"GetItem: arrays of integers or bools can index, not {array.dtype}")
    if array.dtype == bool_ and not array.shape:
        raise DTypeError("GetItem: a single bool is no index")
    return array


def _axes_of(part: Any) -> int:
    """How many of the indexed Tensor's axes a part stands for."""
    if part is None or part is Ellipsis:
        return 0
    is_mask = isinstance(part, (Tensor, np.ndarray)) and part.dtype == bool_
    return len(part.shape) if is_mask else 1


def _integers(x: Tensor, part: Any, axis: int) -> list[Tensor]:
    """An index that is an int, integers or a mask, as integers: one Tensor for each axis."""
    size = x.shape[axis]
    if isinstance(part, int):
        _check_bounds("GetItem", part, axis, size)
        return [number(part % size, int32, x.device)]
    if part.dtype == bool_:
        wanted = x.shape[axis : axis + len(part.shape)]
        if part.shape != wanted:
            raise BoundsError(f"GetItem: a mask of shape {part.shape} for axes of {wanted}")
        mask = part.to_numpy() if isinstance(part, Tensor) else part
        return [as_tensor(place.astype(np.int32), x) for place in np.nonzero(mask)]
    return [as_indices("GetItem", x, part, axis)]


def as_indices(name: str, x: Tensor, values: Tensor | ArrayLike, axis: int) -> Tensor:
    """Integers that index an axis of ``x``; those that are not in a Tensor must be within it.

    Raises:
        BoundsError: one is beyond the end of the axis.
    """
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if array.size:
        for index in (array.min(), array.max()):
            _check_bounds(name, int(index), axis, x.shape[axis])
    # An empty list is of a float type to NumPy.
    return as_tensor(array if array.size else array.astype(np.int32), x)


def _check_bounds(name: str, index: int, axis: int, size: int) -> None:
    if not -size <= index < size:
        raise BoundsError(f"{name}: index {index} is out of bounds for axis {axis} of size {size}")


def _as_int(bound: Any) -> int | None:
    if bound is None:
        return None
    if isinstance(bound, Tensor):
        return int(bound)
    try:
        return int(bound.__index__())
    except AttributeError:
        raise DTypeError(f"GetItem: slices are made of integers, got {bound!r}") from None
