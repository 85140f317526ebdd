"""Selecting elements: slices, and elements at given indices.

Negative indices count from the end. Indices in a Tensor are not checked, because a check would wait
for the device; those out of bounds are clamped. Indices in lists and NumPy arrays are checked.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import ArrayLike, Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.indexing import added, as_indices, unsliced
from singa.operation.places import last_written_along, written_along
from singa.operation.shaping import expand, reshape
from singa.tape import Operation

__all__ = [
    "Gather", "GatherElements", "NonZero", "OneHot", "ScatterElements", "Slice",
    "gather", "gather_elements", "nonzero", "onehot", "scatter_elements", "slice",
    "take", "take_along_axis",
]  # fmt: skip


class Slice(Operation):
    """y = x[start:end:step] along some axes, with the same meaning as in Python (ONNX Slice)."""

    complex_numbers = "own"

    def __init__(
        self,
        starts: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.starts = checks.integers(f"{self.name}: starts", starts)
        count = len(self.starts)
        self.ends = checks.integers(f"{self.name}: ends", ends)
        self.axes = checks.integers(f"{self.name}: axes", range(count) if axes is None else axes)
        self.steps = checks.integers(
            f"{self.name}: steps", (1,) * count if steps is None else steps
        )
        if {len(self.ends), len(self.axes), len(self.steps)} != {count}:
            raise ArgumentError(
                f"{self.name}: starts, ends, axes and steps must have equal lengths, got "
                f"{count}, {len(self.ends)}, {len(self.axes)} and {len(self.steps)}"
            )
        if 0 in self.steps:
            raise ArgumentError(f"{self.name}: a step cannot be 0")

    def forward(self, x: CTensor) -> CTensor:
        self.from_shape = x.shape
        return x[self.index()]

    def backward(self, dy: CTensor) -> CTensor:
        return unsliced(self.from_shape, self.index(), dy)

    def index(self) -> tuple[builtins.slice, ...]:
        """The equivalent index in NumPy."""
        index = [builtins.slice(None)] * len(self.from_shape)
        axes = checks.axes(self, self.axes, len(self.from_shape))
        for axis, *bounds in zip(axes, self.starts, self.ends, self.steps, strict=True):
            index[axis] = builtins.slice(*bounds)
        return tuple(index)


class Along(Operation):
    """An operation with an axis, along which integers select elements."""

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)


class _Gathering(Along):
    """y = x's elements at given indices."""

    complex_numbers = "own"

    def forward(self, x: CTensor, indices: CTensor) -> CTensor:
        self.from_shape, self.indices = x.shape, indices
        return x.at[self.index()].get(mode="clip")

    def backward(self, dy: CTensor) -> tuple[CTensor | None, CTensor | None]:
        return added(self.from_shape, self.index(), dy), None

    def index(self) -> tuple[Any, ...]:
        """The equivalent index in NumPy, for an array of shape ``from_shape``."""
        raise NotImplementedError


class Gather(_Gathering):
    """y = x's elements at given indices along an axis; the indices' shape replaces the axis."""

    def index(self) -> tuple[Any, ...]:
        axis = checks.axis(self, self.axis, len(self.from_shape))
        places = checks.indices(self, "the indices", self.indices, self.from_shape[axis])
        return *(builtins.slice(None),) * axis, places


def places_along(
    operation: Along, shape: tuple[int, ...], indices: CTensor
) -> tuple[CTensor | np.ndarray, ...]:
    """For each element of ``indices``, its coordinates, with its value as the one along the axis.

    Returns:
        An index array for each axis of the shape; they broadcast to the shape of ``indices``.
    """
    axis = checks.axis(operation, operation.axis, len(shape))
    if indices.ndim != len(shape) or any(
        wanted > size
        for i, (wanted, size) in enumerate(zip(indices.shape, shape, strict=True))
        if i != axis
    ):
        raise ShapeError(
            f"{operation.name}: indices of shape {indices.shape} do not fit into shape {shape}: "
            f"but for axis {operation.axis}, none of as many axes can be longer"
        )
    grid = np.ogrid[tuple(builtins.slice(size) for size in indices.shape)]
    places = [along.astype(np.int32) for along in grid]
    found = checks.indices(operation, "the indices", indices, shape[axis])
    return (*places[:axis], found, *places[axis + 1 :])


def bounded_along(
    operation: Along, shape: tuple[int, ...], indices: CTensor
) -> tuple[CTensor, int]:
    """Indices along the axis from 0, those out of bounds clamped; and the axis from 0."""
    axis = checks.axis(operation, operation.axis, len(shape))
    places, size = checks.indices(operation, "the indices", indices, shape[axis]), shape[axis]
    return jnp.clip(jnp.where(places < 0, places + size, places), 0, max(size - 1, 0)), axis


class GatherElements(_Gathering):
    """y[i][j] = x[indices[i][j]][j] for axis 0, and so on (ONNX GatherElements)."""

    def index(self) -> tuple[Any, ...]:
        return places_along(self, self.from_shape, self.indices)


class ScatterElements(Along):
    """y = x, but y[indices[i][j]][j] = updates[i][j] for axis 0, and so on (ONNX).

    If two updates are for one element, either may be used; this one gets the gradient.
    """

    complex_numbers = "own"

    def forward(self, x: CTensor, indices: CTensor, updates: CTensor) -> CTensor:
        if updates.shape != indices.shape:
            raise ShapeError(
                f"{self.name}: updates of shape {updates.shape} for indices of {indices.shape}"
            )
        checks.fits_into(self, "the updates", updates.dtype, x.dtype)
        self.found = places_along(self, x.shape, indices)
        self.places, axis = bounded_along(self, x.shape, indices)
        return written_along(x, self.places, updates.astype(x.dtype), axis, "set")

    def backward(self, dy: CTensor) -> tuple[CTensor, None, CTensor]:
        axis, places = self.axis % dy.ndim, self.places
        zeros = jnp.zeros(places.shape, dy.dtype)
        rest = written_along(dy, places, zeros, axis, "set")
        is_there = last_written_along(places, axis, dy.shape[axis])
        return rest, None, jnp.where(is_there, dy.at[self.found].get(mode="clip"), 0)


class OneHot(Operation):
    """y = values[1] at the index along the new axis, values[0] elsewhere (ONNX OneHot)."""

    def __init__(self, axis: int, depth: int | np.ndarray[Any, Any]) -> None:
        super().__init__()
        if isinstance(depth, np.ndarray) and depth.size == 1:  # as in ONNX
            depth = depth.astype(np.int64).item()
        if not isinstance(depth, (int, np.integer)) or depth < 1:
            raise ArgumentError(f"{self.name}: depth must be 1 or more, got {depth!r}")
        self.axis = checks.integer(f"{self.name}: axis", axis)
        self.depth = int(depth)

    def forward(self, indices: CTensor, values: CTensor) -> CTensor:
        indices = checks.integer_input(self, "the indices", indices)
        if values.shape != (2,):
            raise ShapeError(f"{self.name}: values must be (off, on), got shape {values.shape}")
        self.new = checks.axis(self, self.axis, indices.ndim + 1)
        count = jnp.arange(self.depth, dtype=indices.dtype)
        count = count.reshape(-1, *(1,) * (indices.ndim - self.new))
        wrapped = jnp.where(indices < 0, indices + self.depth, indices)
        self.hot = jnp.expand_dims(wrapped, self.new) == count
        return jnp.where(self.hot, values[1], values[0])

    def backward(self, dy: CTensor) -> tuple[None, CTensor]:
        return None, jnp.stack([jnp.where(self.hot == on, dy, 0).sum() for on in (False, True)])


def _divided(
    places: np.ndarray[Any, Any], size: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The quotients by an axis' size, and the rests: in half the time of NumPy's ``divmod``."""
    quotient = places // max(size, 1)
    return quotient, places - quotient * size


class NonZero(Operation):
    """The indices of all elements that are not 0: (axes, number of them), int32 (ONNX NonZero).

    Their number depends on the values, so this works eagerly only.
    """

    traceable = False

    def forward(self, x: CTensor) -> CTensor:
        values = np.asarray(x)
        # NumPy is fast for one axis of bools; the others follow from the place in the whole.
        rest = np.flatnonzero(values != 0)
        rest = rest.astype(np.int32 if values.size <= np.iinfo(np.int32).max else np.int64)
        indices = np.empty((values.ndim, rest.size), np.int32)
        for axis in reversed(range(values.ndim)):
            rest, indices[axis] = _divided(rest, values.shape[axis])
        return jnp.asarray(indices, device=x.device)


def slice(
    x: Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Tensor:
    """``x[start:end:step]`` along each of ``axes``; along the first ones if None (ONNX Slice).

    Args:
        x: any shape.
        starts, ends, axes, steps: lists of equal length. Negative numbers count from the end,
            negative steps go backwards, and bounds beyond an end are clamped to it.

    Raises:
        ArgumentError: the lengths differ, or a step is 0.

    Example:
        >>> autograd.slice(Tensor(data=[[1, 2, 3], [4, 5, 6]]), starts=[1], ends=[3], axes=[1])
        Tensor([[2, 3],
                [5, 6]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Slice(starts, ends, axes, steps)(x)[0]


def gather(x: Tensor, axis: int, indices: Tensor | ArrayLike) -> Tensor:
    """The elements at given indices along an axis (ONNX Gather; ``np.take``).

    Args:
        x: (..., size, ...).
        axis: the axis to take from.
        indices: integers of any shape; a Tensor, an array or a list.

    Returns:
        (..., the shape of indices, ...).

    Raises:
        BoundsError: an index is out of bounds. In a Tensor it is clamped instead.

    Example:
        >>> autograd.gather(Tensor(data=[[1, 2, 3], [4, 5, 6]]), 1, [2, 0])
        Tensor([[3, 1],
                [6, 4]], shape=(2, 2), dtype=int32, device=cpu)
    """
    operation = Gather(axis)
    at = checks.axis(operation, axis, x.ndim())
    return operation(x, as_indices(operation.name, x, indices, at))[0]


def take(x: Tensor, indices: Tensor | ArrayLike, axis: int | None = None) -> Tensor:
    """The elements at given indices along ``axis``; of the flattened ``x`` if it is None.

    Without an axis the result is of the shape of ``indices``, otherwise as of :func:`gather`.

    Example:
        >>> autograd.take(Tensor(data=[[1, 2, 3], [4, 5, 6]]), [0, -1])
        Tensor([1, 6], shape=(2,), dtype=int32, device=cpu)
    """
    return gather(reshape(x, (-1,)), 0, indices) if axis is None else gather(x, axis, indices)


def take_along_axis(x: Tensor, indices: Tensor | ArrayLike, axis: int | None) -> Tensor:
    """For each element of ``indices``, the element of ``x`` at this index along ``axis``.

    As :func:`gather_elements`, but the other axes broadcast. ``x.argsort(axis)`` gives such
    indices.

    Args:
        x: any shape.
        indices: integers, with the same number of axes.
        axis: if None, both are flattened.

    Example:
        >>> x = Tensor(data=[[1, 2], [3, 4]])
        >>> autograd.take_along_axis(x, [[1], [0]], axis=1)
        Tensor([[2],
                [3]], shape=(2, 1), dtype=int32, device=cpu)
    """
    operation = GatherElements(0 if axis is None else axis)
    at = checks.axis(operation, 0 if axis is None else axis, max(x.ndim(), 1))
    if axis is None:
        x = reshape(x, (-1,))
    places = as_indices(operation.name, x, indices, at)
    if axis is None:
        places = reshape(places, (-1,))
    if len(places.shape) == x.ndim():
        others = [1 if i == at else size for i, size in enumerate(places.shape)]
        x = expand(x, others)
        places = expand(places, [1 if i == at else size for i, size in enumerate(x.shape)])
    return operation(x, places)[0]


def gather_elements(x: Tensor, indices: Tensor | ArrayLike, axis: int = 0) -> Tensor:
    """For each element of ``indices``, the element of ``x`` at this index along ``axis``.

    Args:
        x: any shape.
        indices: integers, with the same number of axes; only ``axis`` may be longer than in ``x``.

    Returns:
        A Tensor of the shape of ``indices`` (ONNX GatherElements).

    Example:
        >>> autograd.gather_elements(Tensor(data=[[1, 2], [3, 4]]), [[1, 0]])
        Tensor([[3, 2]], shape=(1, 2), dtype=int32, device=cpu)
    """
    operation = GatherElements(axis)
    at = checks.axis(operation, axis, x.ndim())
    return operation(x, as_indices(operation.name, x, indices, at))[0]


def scatter_elements(
    x: Tensor, indices: Tensor | ArrayLike, updates: TensorLike, axis: int = 0
) -> Tensor:
    """``x`` with the elements at ``indices`` along ``axis`` replaced by ``updates``.

    Args:
        x: any shape.
        indices: integers, with the same number of axes; only ``axis`` may be longer than in ``x``.
        updates: of the shape of ``indices``.

    Returns:
        A new Tensor of the shape of ``x`` (ONNX ScatterElements).

    Example:
        >>> autograd.scatter_elements(Tensor(data=[1, 2, 3]), [2, 0], [30, 10])
        Tensor([10,  2, 30], shape=(3,), dtype=int32, device=cpu)
    """
    operation = ScatterElements(axis)
    at = checks.axis(operation, axis, x.ndim())
    places = as_indices(operation.name, x, indices, at)
    return operation(x, places, as_tensor(updates, x))[0]


def onehot(
    axis: int,
    indices: Tensor,
    depth: int | np.ndarray[Any, Any],
    values: TensorLike = (0.0, 1.0),
) -> Tensor:
    """Vectors that are ``on`` at one index and ``off`` at all others (ONNX OneHot).

    Args:
        axis: the position of the new axis, of size ``depth``, in the result.
        indices: integers of any shape. Negative ones count from the end; one that is out of bounds
            gives a vector without ``on``.
        depth: the number of classes.
        values: ``(off, on)``; the result has their type.

    Example:
        >>> autograd.onehot(-1, Tensor(data=[0, 2]), 3)
        Tensor([[1., 0., 0.],
                [0., 0., 1.]], shape=(2, 3), dtype=float32, device=cpu)
    """
    return OneHot(axis, depth)(indices, as_tensor(values, indices))[0]


def nonzero(x: Tensor) -> Tensor:
    """The indices of all elements that are not 0, in order: (axes, count). It works only eagerly.

    A Tensor of shape () has no axes: the result is (0, 1), or (0, 0) if it is 0, as in ONNX.

    Raises:
        CaptureError: it is called in a compiled step, where no shape can depend on values.

    Example:
        >>> autograd.nonzero(Tensor(data=[[7, 0], [0, 9]]))
        Tensor([[0, 1],
                [0, 1]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return NonZero()(x)[0]
