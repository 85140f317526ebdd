"""Indexing: ``x[...]`` with all that NumPy takes."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor
from singa.errors import BoundsError, DTypeError
from singa.tape import Operation
from singa.tensor import Tensor, as_tensor

_ARRAY = "array"  # stands in the pattern for an index that is an input


class GetItem(Operation):
    """y = x[index].

    ``pattern`` has an entry for each part of the index: an int, a ``(start, stop, step)`` for a
    slice, None, Ellipsis, or ``"array"`` for integers that come in as a further input.
    """

    def __init__(self, pattern: tuple[Any, ...]) -> None:
        super().__init__()
        self.pattern = pattern

    def forward(self, x: CTensor, *arrays: CTensor) -> CTensor:
        self._check(x)
        self.from_shape, self.arrays = x.shape, arrays
        return x[self.index()]

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        place = jnp.zeros(self.from_shape, dy.dtype).at[self.index()]
        # Only integer arrays can name an element twice; without them it is a plain copy.
        dx = place.add(dy) if self.arrays else place.set(dy)
        return dx, *[None] * len(self.arrays)

    def index(self) -> tuple[Any, ...]:
        """The index that NumPy would take."""
        arrays = iter(self.arrays)
        return tuple(
            slice(*part) if isinstance(part, tuple) else next(arrays) if part == _ARRAY else part
            for part in self.pattern
        )

    def _check(self, x: CTensor) -> None:
        used = sum(part is not None and part is not Ellipsis for part in self.pattern)
        if used > x.ndim:
            raise BoundsError(f"{self.name}: {used} indices for a Tensor of shape {x.shape}")
        axis = 0
        for part in self.pattern:
            if part is Ellipsis:
                axis = x.ndim - (used - axis)
            elif part is not None:
                size = x.shape[axis]
                if isinstance(part, int) and not -size <= part < size:
                    raise BoundsError(
                        f"{self.name}: index {part} is out of bounds for axis {axis} of size {size}"
                    )
                axis += 1


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` as in NumPy: ints, slices, None, ``...``, integer arrays and bool masks.

    Integer arrays may be Tensors. Their values are not checked; those out of bounds are clamped.
    A mask's result has a shape that depends on its values, so that it works eagerly only.
    """
    pattern: list[Any] = []
    arrays: list[Tensor] = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, slice):
            pattern.append(tuple(map(_as_int, (part.start, part.stop, part.step))))
        elif part is None or part is Ellipsis:
            pattern.append(part)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            pattern.append(int(part))
        else:
            found = _as_arrays(x, part)
            arrays += found
            pattern += [_ARRAY] * len(found)
    return GetItem(tuple(pattern))(x, *arrays)[0]


def _as_int(bound: Any) -> int | None:
    if bound is None:
        return None
    if isinstance(bound, Tensor):
        return int(bound)
    try:
        return int(bound.__index__())
    except AttributeError:
        raise DTypeError(f"GetItem: slices are made of integers, got {bound!r}") from None


def _as_arrays(x: Tensor, part: Any) -> list[Tensor]:
    array = as_tensor(part if isinstance(part, Tensor) else np.asarray(part), x)
    kind = array.dtype.kind
    if kind == "b":  # as NumPy does it: the places where the mask is true, one array per axis
        places = np.nonzero(array.to_numpy())
        return [as_tensor(place.astype(np.int32), x) for place in places]
    if kind not in "iu" and array.size():
        raise DTypeError(f"GetItem: arrays of integers or bools can index, not {array.dtype}")
    return [array]
