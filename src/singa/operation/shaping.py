"""Shapes and types: the same elements in another shape, in other types, or repeated to fill one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor, DType, as_dtype, float32
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.tape import Operation

__all__ = [
    "Cast", "ConstantOfShape", "Expand", "Flatten", "Reshape", "Shape", "Squeeze", "Transpose",
    "Unsqueeze", "cast", "constant_of_shape", "expand", "flatten", "moveaxis", "reshape", "shape",
    "squeeze", "swapaxes", "transpose", "unsqueeze",
]  # fmt: skip


class _Reshaping(Operation):
    """The same elements in the same order; backward restores ``from_shape``."""

    complex_numbers = "own"

    def backward(self, dy: CTensor) -> CTensor:
        return dy.reshape(self.from_shape)


class Reshape(_Reshaping):
    """The same elements in another shape; -1 for the remaining size, 0 for the old size (ONNX)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = checks.integers(f"{self.name}: shape", shape)

    def forward(self, x: CTensor) -> CTensor:
        self.from_shape = x.shape
        shape = list(self.shape)
        for axis, size in enumerate(shape):
            if size == 0 and axis < x.ndim:
                shape[axis] = x.shape[axis]
        rest = int(np.prod([size for size in shape if size != -1]))
        if shape.count(-1) == 1 and rest:
            shape[shape.index(-1)] = x.size // rest
        if any(size < 0 for size in shape) or int(np.prod(shape)) != x.size:
            raise ShapeError(
                f"{self.name}: {x.size} elements of shape {x.shape} do not fit into {self.shape}"
            )
        return x.reshape(shape)


class Flatten(_Reshaping):
    """All axes before ``axis`` become one, and all from it on become another (ONNX Flatten)."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        if not -x.ndim <= self.axis <= x.ndim:
            raise ShapeError(f"{self.name}: axis {self.axis} of a Tensor with {x.ndim} axes")
        self.from_shape = x.shape
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        return x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


class Squeeze(_Reshaping):
    """Axes of size 1 are removed (ONNX Squeeze); all of them if none is given."""

    def __init__(self, axis: int | Sequence[int] = ()) -> None:
        super().__init__()
        self.axes = checks.integers(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        self.from_shape = x.shape
        axes = checks.axes(self, self.axes, x.ndim)
        for axis in axes:
            if x.shape[axis] != 1:
                raise ShapeError(f"{self.name}: axis {axis} of shape {x.shape} is not of size 1")
        return jnp.squeeze(x, axes if self.axes else None)


class Unsqueeze(_Reshaping):
    """New axes of size 1; their numbers are those in the result (ONNX Unsqueeze)."""

    def __init__(self, axis: int | Sequence[int] = -1) -> None:
        super().__init__()
        self.axes = checks.integers(f"{self.name}: axis", axis, 1)

    def forward(self, x: CTensor) -> CTensor:
        self.from_shape = x.shape
        return jnp.expand_dims(x, checks.axes(self, self.axes, x.ndim + len(self.axes)))


class Transpose(Operation):
    """The axes in another order; reversed if none is given."""

    complex_numbers = "own"

    def __init__(self, axes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.axes = None if axes is None else checks.integers(f"{self.name}: axes", axes)

    def forward(self, x: CTensor) -> CTensor:
        axes = tuple(reversed(range(x.ndim)))
        if self.axes is not None:
            axes = checks.axes(self, self.axes, x.ndim)
        if len(axes) != x.ndim:
            raise ShapeError(f"{self.name}: {self.axes} does not name all axes of {x.shape}")
        self.inverse = tuple(axes.index(axis) for axis in range(x.ndim))
        return x.transpose(axes)

    def backward(self, dy: CTensor) -> CTensor:
        return dy.transpose(self.inverse)


class Expand(Operation):
    """The input and a shape broadcast together, each to the other (ONNX Expand).

    A -1 in the shape stands for any size.
    """

    complex_numbers = "own"

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = checks.integers(f"{self.name}: shape", shape)

    def forward(self, x: CTensor) -> CTensor:
        new = len(self.shape) - x.ndim  # axes of the shape that x does not have
        shape = [1 if size == -1 and axis >= new else size for axis, size in enumerate(self.shape)]
        try:
            return jnp.broadcast_to(x, np.broadcast_shapes(x.shape, shape))
        except ValueError:
            raise ShapeError(
                f"{self.name}: shapes {x.shape} and {self.shape} do not broadcast together"
            ) from None

    def backward(self, dy: CTensor) -> CTensor:
        return dy  # the tape sums it over the axes that were stretched


class Cast(Operation):
    """The same values in another data type."""

    complex_numbers = "own"

    def __init__(self, to: DType) -> None:
        super().__init__()
        self.to = to

    def forward(self, x: CTensor) -> CTensor:
        checks.fits_into(self, "its input", x.dtype, self.to)
        return x.astype(self.to)

    def backward(self, dy: CTensor) -> CTensor:
        return dy  # the tape converts it to the input's type


class Shape(Operation):
    """The sizes of the input's axes, as a vector of int32 (ONNX Shape)."""

    def forward(self, x: CTensor) -> CTensor:
        return jnp.asarray(x.shape, jnp.int32)


class ConstantOfShape(Operation):
    """A Tensor of one value, in the shape given by the input's integers (ONNX ConstantOfShape).

    The shape depends on values here, so this works eagerly only.
    """

    traceable = False

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__()
        self.value = np.asarray(value, None if hasattr(value, "dtype") else float32)
        if self.value.size != 1:
            raise ArgumentError(f"{self.name}: value must be one element, got {value!r}")

    def forward(self, x: CTensor) -> CTensor:
        checks.integer_input(self, "the shape", x)
        checks.rank(self, "the shape", x, 1, "a vector of sizes")
        sizes = tuple(int(size) for size in np.asarray(x))
        if any(size < 0 for size in sizes):
            raise ShapeError(f"{self.name}: sizes cannot be negative, got {sizes}")
        return jnp.full(sizes, self.value.reshape(()), device=x.device)


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; one -1 is the remaining size, 0 the old size.

    The method also takes the sizes as separate arguments: ``x.reshape(2, -1)``.

    Raises:
        ShapeError: the shape has another number of elements.

    Example:
        >>> autograd.reshape(Tensor(data=[1, 2, 3, 4]), (2, -1))
        Tensor([[1, 2],
                [3, 4]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Reshape(shape)(x)[0]


def flatten(x: Tensor, axis: int = 1) -> Tensor:
    """(N, ...) to (N, all other axes as one); the second part begins at ``axis``.

    Example:
        >>> autograd.flatten(Tensor((2, 3, 4, 5))).shape
        (2, 60)
    """
    return Flatten(axis)(x)[0]


def squeeze(x: Tensor, axis: int | Sequence[int] = ()) -> Tensor:
    """Without these axes of size 1; without all axes of size 1 if none is given.

    Raises:
        ShapeError: an axis is of another size.

    Example:
        >>> autograd.squeeze(Tensor((1, 3, 1)), 0).shape
        (3, 1)
    """
    return Squeeze(axis)(x)[0]


def unsqueeze(x: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """With one or more new axes of size 1 in the shape; ``axis`` is their number in the result.

    Example:
        >>> autograd.unsqueeze(Tensor((3, 4)), (0, -1)).shape
        (1, 3, 4, 1)
    """
    return Unsqueeze(axis)(x)[0]


def transpose(x: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """The axes in the order of ``shape`` (a permutation; the name is SINGA's), or reversed.

    Example:
        >>> autograd.transpose(Tensor((2, 3, 4, 5)), (0, 2, 3, 1)).shape
        (2, 4, 5, 3)
    """
    return Transpose(shape)(x)[0]


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """One or more axes of the shape in other places; all others keep their order.

    Args:
        x: any shape.
        source: the axes to move.
        destination: where each of them is in the result.

    Example:
        >>> autograd.moveaxis(Tensor((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    source = checks.integers("moveaxis: source", source, 1)
    destination = checks.integers("moveaxis: destination", destination, 1)
    if len(source) != len(destination):
        raise ArgumentError(f"moveaxis: {len(source)} axes to {len(destination)} places")
    operation = Transpose()
    origins = checks.axes(operation, source, x.ndim())
    targets = checks.axes(operation, destination, x.ndim())
    order = [axis for axis in range(x.ndim()) if axis not in origins]
    for target, origin in sorted(zip(targets, origins, strict=True)):
        order.insert(target, origin)
    return transpose(x, order)


def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two axes of the shape in each other's place.

    Example:
        >>> autograd.swapaxes(Tensor((2, 3, 4)), 0, -1).shape
        (4, 3, 2)
    """
    axes = [checks.integer(f"swapaxes: axis{i}", axis) for i, axis in enumerate((axis0, axis1))]
    first, second = (checks.axis(Transpose(), axis, x.ndim()) for axis in axes)
    order = list(range(x.ndim()))
    order[first], order[second] = second, first
    return transpose(x, order)


def expand(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeat axes of size 1, and add axes in front, to broadcast with ``shape`` (ONNX Expand).

    Where ``shape`` has a 1 or a -1, or fewer axes than ``x``, the sizes of ``x`` are kept.

    Example:
        >>> autograd.expand(Tensor(data=[[1], [2]]), (2, 3))
        Tensor([[1, 1, 1],
                [2, 2, 2]], shape=(2, 3), dtype=int32, device=cpu)
    """
    return Expand(shape)(x)[0]


def cast(x: Tensor, to: Any) -> Tensor:
    """The same values in another data type, in the same shape. Gradients flow between float types.

    Example:
        >>> autograd.cast(Tensor(data=[1.7, -1.7]), tensor.int32)
        Tensor([ 1, -1], shape=(2,), dtype=int32, device=cpu)
    """
    return Cast(as_dtype(to))(x)[0]


def shape(x: Tensor) -> Tensor:
    """The shape as a Tensor: (number of axes,), int32. ``x.shape`` is the same as a tuple.

    Example:
        >>> autograd.shape(Tensor((2, 3)))
        Tensor([2, 3], shape=(2,), dtype=int32, device=cpu)
    """
    return Shape()(x)[0]


def constant_of_shape(x: Tensor, value: Any = 0.0) -> Tensor:
    """A Tensor of the shape given by ``x``, filled with ``value``. Eagerly only.

    Args:
        x: (number of axes,), integers.
        value: a number gives float32; an array of one element gives its own data type.

    Raises:
        CaptureError: in a compiled step, which cannot know the values of ``x``.

    Example:
        >>> autograd.constant_of_shape(Tensor(data=[2, 3]), 7)
        Tensor([[7., 7., 7.],
                [7., 7., 7.]], shape=(2, 3), dtype=float32, device=cpu)
    """
    return ConstantOfShape(value)(x)[0]
