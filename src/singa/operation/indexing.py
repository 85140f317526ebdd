"""Indexing: ``x[...]`` with all that NumPy takes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor, bool_, int32
from singa.errors import BoundsError, DTypeError
from singa.tape import Operation
from singa.tensor import Tensor, as_tensor, number

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
        return x[self.index()]

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        place = jnp.zeros(self.from_shape, dy.dtype).at[self.index()]
        # Only arrays of integers can name an element twice; without them it is a plain copy.
        unique = all(array.ndim == 0 for array in self.arrays)
        dx = place.set(dy) if unique else place.add(dy)
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

    Integer arrays may be Tensors. Their values are not checked; those out of bounds are clamped.
    A mask's result has a shape that depends on its values, so that it works eagerly only.

    Raises:
        BoundsError: an int beyond the end of its axis, or more indices than axes.
        DTypeError: something that cannot be an index.
    """
    parts = [_as_part(x, part) for part in (index if isinstance(index, tuple) else (index,))]
    used = sum(_axes_of(part) for part in parts)
    if used > x.ndim():
        raise BoundsError(f"GetItem: {used} indices for a Tensor of shape {x.shape}")
    pattern: list[Any] = []
    arrays: list[Tensor] = []
    axis = 0
    for part in parts:
        if isinstance(part, int):
            size = x.shape[axis]
            if not -size <= part < size:
                raise BoundsError(
                    f"GetItem: index {part} is out of bounds for axis {axis} of size {size}"
                )
            found = [number(part % size, int32, x.device)]
        elif isinstance(part, Tensor):
            found = _places(part) if part.dtype == bool_ else [part]
        else:
            found = []
            pattern.append(part)
        arrays += found
        pattern += [_ARRAY] * len(found)
        axis += x.ndim() - used if part is Ellipsis else _axes_of(part)
    return GetItem(tuple(pattern))(x, *arrays)[0]


def _as_part(x: Tensor, part: Any) -> Any:
    """A part of an index as an int, None, Ellipsis, a tuple for a slice, or a Tensor."""
    if isinstance(part, slice):
        return tuple(map(_as_int, (part.start, part.stop, part.step)))
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return int(part)
    array = as_tensor(part if isinstance(part, Tensor) else np.asarray(part), x)
    if not array.size():  # an empty list is of a float type to NumPy
        return array.as_type(int32) if array.dtype != bool_ else array
    if array.dtype.kind not in "biu":
        raise DTypeError(f"GetItem: arrays of integers or bools can index, not {array.dtype}")
    if array.dtype == bool_ and not array.ndim():
        raise DTypeError("GetItem: a single bool is no index")
    return array


def _axes_of(part: Any) -> int:
    """How many of the indexed Tensor's axes a part stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim() if isinstance(part, Tensor) and part.dtype == bool_ else 1


def _places(mask: Tensor) -> list[Tensor]:
    """Where a mask is true, as NumPy does it: an array of integers for each axis."""
    places = np.nonzero(mask.to_numpy())
    return [as_tensor(place.astype(np.int32), mask) for place in places]


def _as_int(bound: Any) -> int | None:
    if bound is None:
        return None
    if isinstance(bound, Tensor):
        return int(bound)
    try:
        return int(bound.__index__())
    except AttributeError:
        raise DTypeError(f"GetItem: slices are made of integers, got {bound!r}") from None
