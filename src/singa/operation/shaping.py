"""Shapes and types: the same elements, arranged otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor, DType, as_dtype
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = [
    "Cast", "Concat", "Flatten", "Reshape", "Transpose", "cast", "cat", "flatten", "reshape",
    "transpose",
]  # fmt: skip


class Reshape(Operation):
    """The same elements in another shape; -1 stands for what is left, 0 for "as it was" (ONNX)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(int(size) for size in shape)

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

    def backward(self, dy: CTensor) -> CTensor:
        return dy.reshape(self.from_shape)


class Flatten(Operation):
    """All axes before ``axis`` become one, and all from it on become another (ONNX Flatten)."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: CTensor) -> CTensor:
        if not -x.ndim <= self.axis <= x.ndim:
            raise ShapeError(f"{self.name}: axis {self.axis} of a Tensor with {x.ndim} axes")
        self.from_shape = x.shape
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        return x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))

    def backward(self, dy: CTensor) -> CTensor:
        return dy.reshape(self.from_shape)


class Transpose(Operation):
    """The axes in another order; reversed if none is given."""

    def __init__(self, axes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.axes = None if axes is None else tuple(int(axis) for axis in axes)

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


class Concat(Operation):
    """The inputs one after the other along an axis."""

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *xs: CTensor) -> CTensor:
        axis = checks.axis(self, self.axis, xs[0].ndim)
        for x in xs:
            if x.ndim != xs[0].ndim or any(
                a != b
                for i, (a, b) in enumerate(zip(x.shape, xs[0].shape, strict=True))
                if i != axis
            ):
                shapes = ", ".join(str(x.shape) for x in xs)
                raise ShapeError(
                    f"{self.name}: shapes {shapes} must be equal but for axis {self.axis}"
                )
        self.ends = tuple(int(end) for end in np.cumsum([x.shape[axis] for x in xs])[:-1])
        return jnp.concatenate(xs, axis)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        return tuple(jnp.split(dy, self.ends, self.axis))


class Cast(Operation):
    """The same values in another data type."""

    def __init__(self, to: DType) -> None:
        super().__init__()
        self.to = to

    def forward(self, x: CTensor) -> CTensor:
        return x.astype(self.to)

    def backward(self, dy: CTensor) -> CTensor:
        return dy  # the tape converts it to the input's type


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; one -1 stands for what is left, 0 for "as it was"."""
    return Reshape(shape)(x)[0]


def flatten(x: Tensor, axis: int = 1) -> Tensor:
    """(N, ...) to (N, everything else); ``axis`` is where the second part begins."""
    return Flatten(axis)(x)[0]


def transpose(x: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """The axes in the order of ``shape`` (a permutation, so named in SINGA), or reversed."""
    return Transpose(shape)(x)[0]


def cat(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The Tensors of ``xs`` one after the other along ``axis``."""
    if isinstance(xs, Tensor) or not len(xs):
        raise ArgumentError("cat: a sequence of at least one Tensor is expected")
    return Concat(axis)(*xs)[0]


def cast(x: Tensor, to: Any) -> Tensor:
    """The same values in another data type. Gradients flow between float types."""
    return Cast(as_dtype(to))(x)[0]
