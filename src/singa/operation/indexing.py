"""Indexing: ``x[...]`` and ``x[...] = value`` with all that NumPy takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import ArrayLike, Tensor, TensorLike, as_tensor, number
from singa.device import CTensor, bool_, int32
from singa.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from singa.operation import checks
from singa.tape import Operation, wide

__all__ = ["AddItem", "GetItem", "SetItem", "getitem", "index_put", "setitem"]

_WHERE = "Tensor[...]"  # where errors happened
_ARRAY = "array"  # stands in the pattern for an index that is an input


class _Indexed(Operation):
    """Base of operations with a ``pattern``, which has an entry for each part of the index.

    An entry is ``(start, stop, step)`` for a slice, None, Ellipsis, or ``"array"`` for integers
    that are a further input. Single integers are inputs too, so that a loop over ``x[i]`` uses one
    kernel.
    """

    def __init__(self, pattern: tuple[Any, ...]) -> None:
        super().__init__()
        self.pattern = pattern

    def index(self, shape: tuple[int, ...], arrays: Sequence[CTensor]) -> tuple[Any, ...]:
        """The index that NumPy would take, for an array of this shape."""
        left, axis = iter(arrays), 0
        index: list[Any] = []
        rest = len(shape) - sum(part is not None and part is not Ellipsis for part in self.pattern)
        for part in self.pattern:
            if isinstance(part, tuple):
                index.append(slice(*part))
            elif part == _ARRAY:
                index.append(checks.indices(self, "the indices", next(left), shape[axis]))
            else:
                index.append(part)
            axis += 0 if part is None else rest if part is Ellipsis else 1
        return tuple(index)


class GetItem(_Indexed):
    """y = x[index]."""

    complex_numbers = "own"

    def forward(self, x: CTensor, *arrays: CTensor) -> CTensor:
        self.from_shape, self.arrays = x.shape, arrays
        return x.at[self.index(x.shape, arrays)].get(mode="clip")

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        if not self.arrays:
            return (unsliced(self.from_shape, self.slices(), dy),)
        index = self.index(self.from_shape, self.arrays)
        # Only arrays of integers can select an element twice; without them this is a plain copy.
        if any(array.ndim for array in self.arrays):
            dx = added(self.from_shape, index, dy)
        else:
            dx = jnp.zeros(self.from_shape, dy.dtype).at[index].set(dy, mode="clip")
        return dx, *[None] * len(self.arrays)

    def slices(self) -> list[slice]:
        """The pattern, if it has no arrays, as a slice for each axis."""
        parts = [part for part in self.pattern if part is not None]
        if Ellipsis not in parts:
            parts.append(Ellipsis)
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [(None, None, None)] * (len(self.from_shape) - len(parts) + 1)
        return [slice(*part) for part in parts]


class _Writing(_Indexed):
    """An operation that writes a value to x[index]."""

    def place(self, x: CTensor, value: CTensor, arrays: tuple[CTensor, ...]) -> Any:
        """``x.at[index]``; raises unless the value broadcasts to its shape and fits its type."""
        checks.fits_into(self, "the value", value.dtype, x.dtype)
        place = x.at[self.index(x.shape, arrays)]
        elements = jax.eval_shape(lambda: place.get(mode="clip"))
        checks.broadcasts_to(self, "the elements'", value, elements.shape)
        self.arrays = arrays
        return place


class SetItem(_Writing):
    """y = x, but y[index] = value."""

    complex_numbers = "own"

    def forward(self, x: CTensor, value: CTensor, *arrays: CTensor) -> CTensor:
        return self.place(x, value, arrays).set(value.astype(x.dtype), mode="drop")

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        index = self.index(dy.shape, self.arrays)
        if any(array.ndim for array in self.arrays):
            dvalue = of_written(dy, index, "drop")
        else:
            dvalue = dy.at[index].get(mode="fill", fill_value=0)
        return dy.at[index].set(0, mode="drop"), dvalue, *[None] * len(self.arrays)


class AddItem(_Writing):
    """y = x, with value added to y[index], as often as the index has an element."""

    complex_numbers = "own"

    def forward(self, x: CTensor, value: CTensor, *arrays: CTensor) -> CTensor:
        dtype = wide(x.dtype)  # as there may be many values for one element
        y = self.place(x.astype(dtype), value, arrays).add(value.astype(dtype), mode="drop")
        return y.astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        dvalue = dy.at[self.index(dy.shape, self.arrays)].get(mode="fill", fill_value=0)
        return dy, dvalue, *[None] * len(self.arrays)


def unsliced(shape: tuple[int, ...], slices: Sequence[slice], dy: CTensor) -> CTensor:
    """Zeros of this shape, with ``dy`` where such slices, one for each axis, were taken.

    As padding, with zeros in between for steps: XLA copies, and scatters nothing.
    """
    ends, backwards, counts = [], [], []
    for axis, (size, part) in enumerate(zip(shape, slices, strict=True)):
        places = range(size)[part]
        if not places:
            return jnp.zeros(shape, dy.dtype)
        if places.step < 0:
            backwards.append(axis)
            places = places[::-1]
        ends.append((places[0], size - 1 - places[-1], places.step - 1))
        counts.append(len(places))
    dy = jax.lax.rev(dy.reshape(counts), backwards)
    return jax.lax.pad(dy, jnp.zeros((), dy.dtype), ends)


def added(
    shape: tuple[int, ...], index: tuple[Any, ...], dy: CTensor, mode: str = "clip"
) -> CTensor:
    """The sum of all values for each element; in at least float32, as there may be many values."""
    dtype = wide(dy.dtype)
    return jnp.zeros(shape, dtype).at[index].add(dy.astype(dtype), mode=mode)


def of_written(dy: CTensor, index: tuple[Any, ...], mode: str) -> CTensor:
    """The gradient of values that were written to elements, some of them perhaps twice.

    Only the value that an element has now gets its gradient. ``mode`` says what happened to indices
    out of bounds: ``drop`` or ``clip``.
    """
    dvalue = dy.at[index].get(mode="fill" if mode == "drop" else mode, fill_value=0)
    number = jnp.arange(dvalue.size, dtype=np.int32).reshape(dvalue.shape)
    winner = jnp.zeros(dy.shape, np.int32).at[index].set(number, mode=mode)
    return jnp.where(winner.at[index].get(mode="clip") == number, dvalue, 0)


def _alike(arrays: Sequence[Tensor]) -> None:
    """Several arrays of integers name elements together: they broadcast."""
    try:
        np.broadcast_shapes(*[array.shape for array in arrays])
    except ValueError:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise ShapeError(
            f"{_WHERE}: arrays of indices name elements together and have to broadcast, got shapes "
            f"{shapes}; x[rows][:, columns] takes all pairs"
        ) from None


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` as in NumPy: ints, slices, None, ``...``, integer arrays and bool masks.

    Integer arrays may be Tensors. Their values are not checked; those out of bounds are clamped.
    With a mask the shape of the result depends on the mask's values, so it works eagerly only.

    Raises:
        BoundsError: integers beyond the end of an axis, a mask whose shape is not that of its
            axes, or more indices than axes.
        ShapeError: arrays of indices that do not broadcast together.
        ArgumentError: a slice with a step of 0.
        DTypeError: a value that cannot be an index.

    Example:
        >>> x = Tensor(data=[[1, 2, 3], [4, 5, 6]])
        >>> x[1, ::2]
        Tensor([4, 6], shape=(2,), dtype=int32, device=cpu)
        >>> x[x > 4]
        Tensor([5, 6], shape=(2,), dtype=int32, device=cpu)
    """
    pattern, arrays = _parse(x, index)
    _alike(arrays)
    return GetItem(pattern)(x, *arrays)[0]


def setitem(x: Tensor, index: Any, value: TensorLike) -> Tensor:
    """A copy of ``x`` in which ``x[index]`` is ``value``, broadcast and in ``x``'s type.

    ``x[index] = value`` makes ``x`` this result. The index is as in :func:`getitem`; for a mask in
    a compiled step use :func:`where`. Integers in a Tensor that are out of bounds are ignored. Of
    several values for one element only one is used.

    Raises:
        ShapeError: the value does not broadcast to the elements' shape, or arrays of indices not
            to each other.
        BoundsError, ArgumentError, DTypeError: as for :func:`getitem`.

    Example:
        >>> x = Tensor(data=[1, 2, 3])
        >>> autograd.setitem(x, [0, 2], 0)
        Tensor([0, 2, 0], shape=(3,), dtype=int32, device=cpu)
    """
    pattern, arrays = _parse(x, index)
    _alike(arrays)
    return SetItem(pattern)(x, as_tensor(value, x), *arrays)[0]


def index_put(
    x: Tensor, indices: Sequence[Any], values: TensorLike, accumulate: bool = False
) -> Tensor:
    """A copy of ``x`` with ``values`` written to ``x[indices]``, or added there to what it has.

    Args:
        x: any shape.
        indices: a tuple with what is between the brackets, as in :func:`getitem`: usually an array
            of integers for each of the first axes.
        values: of a shape that broadcasts to that of ``x[indices]``.
        accumulate: add the values. If an element is named several times all of its values are
            added; otherwise only one of them is used.

    Example:
        >>> x = Tensor(data=[1.0, 2.0, 3.0])
        >>> autograd.index_put(x, ([0, 2, 0],), 10.0, accumulate=True)
        Tensor([21.,  2., 13.], shape=(3,), dtype=float32, device=cpu)
    """
    if not isinstance(indices, (tuple, list)):
        raise DTypeError(
            f"index_put: a tuple of indices is expected, got {type(indices).__name__}; (ids,) "
            "names rows"
        )
    if not accumulate:
        return setitem(x, tuple(indices), values)
    pattern, arrays = _parse(x, tuple(indices))
    _alike(arrays)
    return AddItem(pattern)(x, as_tensor(values, x), *arrays)[0]


def _parse(x: Tensor, index: Any) -> tuple[tuple[Any, ...], list[Tensor]]:
    """The pattern of an index, and its integers as inputs."""
    parts = [_as_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    used = sum(_axes_of(part) for part in parts)
    if used > x.ndim():
        raise BoundsError(f"{_WHERE}: {used} indices for a Tensor of shape {x.shape}")
    if sum(part is Ellipsis for part in parts) > 1:
        raise BoundsError(f"{_WHERE}: an index can have one ellipsis only")
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
    return tuple(pattern), arrays


def _as_part(part: Any) -> Any:
    """A part of an index: an int, None, Ellipsis, a tuple for a slice, an array or a Tensor."""
    if isinstance(part, slice):
        if part.step == 0:
            raise ArgumentError(f"{_WHERE}: a slice cannot have a step of 0")
        return tuple(map(_as_int, (part.start, part.stop, part.step)))
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return int(part)
    try:
        array = part if isinstance(part, Tensor) else np.asarray(part)
    except ValueError:  # NumPy: an inhomogeneous shape
        raise ShapeError(f"{_WHERE}: lists of an index are of unequal lengths: {part}") from None
    if isinstance(array, np.ndarray) and not array.size and array.dtype != bool_:
        return array.astype(np.int32)  # NumPy gives an empty list a float type
    if array.dtype.kind not in "biu":
        raise DTypeError(f"{_WHERE}: arrays of integers or bools can index, not {array.dtype}")
    if array.dtype == bool_ and not array.shape:
        raise DTypeError(f"{_WHERE}: a single bool is not an index")
    return array


def _axes_of(part: Any) -> int:
    """The number of the indexed Tensor's axes that a part of the index uses."""
    if part is None or part is Ellipsis:
        return 0
    is_mask = isinstance(part, (Tensor, np.ndarray)) and part.dtype == bool_
    return len(part.shape) if is_mask else 1


def _integers(x: Tensor, part: Any, axis: int) -> list[Tensor]:
    """An index that is an int, integers or a mask, as integers: one Tensor for each axis."""
    size = x.shape[axis]
    if isinstance(part, int):
        _check_bounds(_WHERE, part, axis, size)
        return [number(part % size, int32, x.device)]
    if part.dtype == bool_:
        wanted = x.shape[axis : axis + len(part.shape)]
        if part.shape != wanted:
            raise BoundsError(f"{_WHERE}: a mask of shape {part.shape} for axes of {wanted}")
        mask = part.to_numpy() if isinstance(part, Tensor) else part
        return [as_tensor(place.astype(np.int32), x) for place in np.nonzero(mask)]
    return [as_indices(_WHERE, x, part, axis)]


def as_indices(name: str, x: Tensor, values: Tensor | ArrayLike, axis: int) -> Tensor:
    """Integers that index an axis of ``x``; unless they are a Tensor, their bounds are checked.

    Raises:
        BoundsError: one is beyond the end of the axis.
    """
    if isinstance(values, Tensor):
        return values
    array = checks.index_array(name, values)
    if array.size:
        for index in (array.min(), array.max()):
            _check_bounds(name, int(index), axis, x.shape[axis])
    # NumPy gives an empty list a float type.
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
        raise DTypeError(f"{_WHERE}: slices are made of integers, got {bound!r}") from None
