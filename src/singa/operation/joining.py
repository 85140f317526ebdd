"""Tensors joined, split, repeated and padded along axes.

All of these only move elements. If there is no ``backward``, jax's derivative is the operation
that moves them back, and nothing is stored for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.shaping import expand, reshape
from singa.tape import Operation

__all__ = [
    "Concat", "Pad", "Repeat", "Split", "Stack", "Tile", "Unstack", "cat", "hstack", "meshgrid",
    "pad", "repeat", "split", "stack", "tile", "unstack", "vstack",
]  # fmt: skip


class Concat(Operation):
    """The inputs one after the other along an axis."""

    complex_numbers = "own"

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

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
                    f"{self.name}: shapes {shapes} must be equal except for axis {self.axis}"
                )
        self.ends = tuple(int(end) for end in np.cumsum([x.shape[axis] for x in xs])[:-1])
        return jnp.concatenate(xs, axis)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        return tuple(jnp.split(dy, self.ends, self.axis))


class Stack(Operation):
    """The inputs, all of one shape, one after the other along a new axis."""

    complex_numbers = "own"

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, *xs: CTensor) -> CTensor:
        if len({x.shape for x in xs}) != 1:
            raise ShapeError(
                f"{self.name}: shapes {', '.join(str(x.shape) for x in xs)} must be equal"
            )
        return jnp.stack(xs, checks.axis(self, self.axis, xs[0].ndim + 1))

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        return tuple(jnp.moveaxis(dy, self.axis, 0))


class Unstack(Operation):
    """An output for each index along an axis, without that axis."""

    complex_numbers = "own"

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> tuple[CTensor, ...]:
        axis = checks.axis(self, self.axis, x.ndim)
        if not x.shape[axis]:
            raise ShapeError(f"{self.name}: there is nothing along axis {axis} of {x.shape}")
        return tuple(jnp.moveaxis(x, axis, 0))

    def backward(self, *dys: CTensor) -> CTensor:
        return jnp.stack(dys, self.axis)


class Split(Operation):
    """Pieces of an axis: of the sizes in ``parts``, or ``num_output`` equal ones (ONNX Split)."""

    complex_numbers = "own"

    def __init__(
        self, axis: int, parts: Sequence[int] | None, num_output: int | None = None
    ) -> None:
        super().__init__()
        if (parts is None) == (num_output is None):
            raise ArgumentError(f"{self.name}: either parts or num_output has to be given")
        self.axis = checks.integer(f"{self.name}: axis", axis)
        self.parts = None if parts is None else checks.integers(f"{self.name}: parts", parts, 1)
        self.count = 1 if num_output is None else num_output
        if not isinstance(self.count, (int, np.integer)) or self.count < 1:
            raise ArgumentError(f"{self.name}: num_output must be 1 or more, got {num_output!r}")

    def forward(self, x: CTensor) -> tuple[CTensor, ...]:
        axis = checks.axis(self, self.axis, x.ndim)
        size = x.shape[axis]
        parts = self.parts or (size // self.count,) * int(self.count)
        if sum(parts) != size or min(parts) < 0:
            wanted = self.parts or f"{self.count} equal parts"
            raise ShapeError(
                f"{self.name}: axis {self.axis} of shape {x.shape} cannot be split into {wanted}"
            )
        return tuple(jnp.split(x, np.cumsum(parts)[:-1].tolist(), axis))

    def backward(self, *dys: CTensor) -> CTensor:
        return jnp.concatenate(dys, self.axis)


class Tile(Operation):
    """The whole input repeated, along each axis as often as ``repeats`` says (NumPy's tile)."""

    complex_numbers = "own"

    complex_numbers = "derived"

    def __init__(self, repeats: int | Sequence[int]) -> None:
        super().__init__()
        self.repeats = _counts(self, repeats, 1)

    def forward(self, x: CTensor) -> CTensor:
        return jnp.tile(x, self.repeats)


class Repeat(Operation):
    """Each element of an axis repeated: ``repeats`` is one number for all, or one for each."""

    complex_numbers = "own"

    complex_numbers = "derived"

    def __init__(self, repeats: int | Sequence[int], axis: int | None = None) -> None:
        super().__init__()
        self.repeats = _counts(self, repeats)
        self.axis = None if axis is None else checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        x, axis = (x.reshape(-1), 0) if self.axis is None else (x, self.axis)
        axis = checks.axis(self, axis, x.ndim)
        if len(self.repeats) == 1:
            return jnp.repeat(x, self.repeats[0], axis)
        if len(self.repeats) != x.shape[axis]:
            raise ShapeError(
                f"{self.name}: {len(self.repeats)} repeats for an axis of size {x.shape[axis]}"
            )
        places = np.arange(x.shape[axis], dtype=np.int32).repeat(self.repeats)
        return jnp.take(x, places, axis, mode="clip")


_PAD_MODES = {"replicate": "edge", "circular": "wrap"}
"""PyTorch's words for modes of padding."""


class Pad(Operation):
    """Elements added around the input; or removed, where ``pads`` are negative (ONNX Pad).

    ``mode`` chooses their values: ``constant``; ``reflect``: mirrored at the border element, which
    is not repeated; ``edge``: the border element; ``wrap``: those from the other end.
    """

    complex_numbers = "own"

    complex_numbers = "derived"
    numbers = ("constant",)

    def __init__(self, mode: str, pads: Sequence[int], constant: float = 0.0) -> None:
        super().__init__()
        if mode not in ("constant", "reflect", "edge", "wrap", *_PAD_MODES):
            raise ArgumentError(
                f"{self.name}: mode must be 'constant', 'reflect', 'edge' or 'wrap', got {mode!r}"
            )
        self.mode = _PAD_MODES.get(mode, mode)
        self.pads = checks.integers(f"{self.name}: pads", pads)
        checks.number(f"{self.name}: constant", constant)
        self.constant = constant

    def forward(self, x: CTensor) -> CTensor:
        if len(self.pads) != 2 * x.ndim:
            raise ShapeError(
                f"{self.name}: {len(self.pads)} pads for shape {x.shape}; one before and one after "
                f"each axis are needed, {2 * x.ndim} in all: first those before, then those after"
            )
        pads = list(zip(self.pads[: x.ndim], self.pads[x.ndim :], strict=True))
        for axis, (before, after) in enumerate(pads):
            left = x.shape[axis] + min(before, 0) + min(after, 0)
            if left < (1 if self.mode != "constant" and max(before, after) > 0 else 0):
                raise ShapeError(f"{self.name}: pads {self.pads} leave nothing of shape {x.shape}")
        zero = jnp.zeros((), x.dtype)
        x = jax.lax.pad(x, zero, [(min(before, 0), min(after, 0), 0) for before, after in pads])
        added = [(max(before, 0), max(after, 0)) for before, after in pads]
        if self.mode == "constant":
            return jnp.pad(x, added, constant_values=jnp.asarray(self.constant, x.dtype))
        return jnp.pad(x, added, self.mode)


def cat(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The Tensors of ``xs`` one after the other along ``axis``.

    Their shapes are equal except for that axis, whose sizes are added up.

    Example:
        >>> autograd.cat([Tensor((2, 3)), Tensor((4, 3))]).shape
        (6, 3)
    """
    return Concat(axis)(*_several("cat", xs))[0]


def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The Tensors of ``xs``, which are of one shape, along a new axis of the result.

    Example:
        >>> autograd.stack([Tensor(data=[1, 2]), Tensor(data=[3, 4])], axis=1)
        Tensor([[1, 3],
                [2, 4]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Stack(axis)(*_several("stack", xs))[0]


def hstack(xs: Sequence[Tensor]) -> Tensor:
    """The Tensors of ``xs`` beside each other: along axis 1, or vectors along their only axis.

    Their shapes are equal except for that axis, whose sizes are added up.

    Example:
        >>> autograd.hstack([Tensor((2, 3)), Tensor((2, 4))]).shape
        (2, 7)
    """
    xs = [_of_rank(x, 1) for x in _several("hstack", xs)]
    return cat(xs, 0 if xs[0].ndim() == 1 else 1)


def vstack(xs: Sequence[Tensor]) -> Tensor:
    """The Tensors of ``xs`` one above the other: along axis 0, where vectors are rows.

    Their shapes are equal except for that axis, whose sizes are added up.

    Example:
        >>> autograd.vstack([Tensor((3,)), Tensor((2, 3))]).shape
        (3, 3)
    """
    return cat([_of_rank(x, 2) for x in _several("vstack", xs)], 0)


def _of_rank(x: Tensor, rank: int) -> Tensor:
    """``x`` with so many axes at least; new ones are in front."""
    missing = max(rank - x.ndim(), 0)
    return reshape(x, (1,) * missing + x.shape) if missing else x


def meshgrid(*xs: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For each vector a Tensor of the shape (size of the first, size of the second, ...).

    It has the vector along its own axis, and repeats it along all others.

    Args:
        xs: vectors; a single number counts as one.
        indexing: ``"ij"``, or ``"xy"`` with the first two axes swapped, as for images.

    Raises:
        ShapeError: one has more axes.

    Example:
        >>> rows, columns = autograd.meshgrid(Tensor(data=[1, 2]), Tensor(data=[3, 4, 5]))
        >>> rows
        Tensor([[1, 1, 1],
                [2, 2, 2]], shape=(2, 3), dtype=int32, device=cpu)
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    for x in _several("meshgrid", xs):
        if x.ndim() > 1:
            raise ShapeError(f"meshgrid: vectors are expected, got shape {x.shape}")
    axes = list(range(len(xs)))
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]
    shape = [0] * len(xs)
    for axis, x in zip(axes, xs, strict=True):
        shape[axis] = x.size()
    return tuple(
        expand(reshape(x, [-1 if i == axis else 1 for i in range(len(xs))]), shape)
        for axis, x in zip(axes, xs, strict=True)
    )


def unstack(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """A Tensor for each index along an axis, without that axis: the inverse of :func:`stack`.

    Raises:
        ShapeError: the axis is of size 0.

    Example:
        >>> a, b = autograd.unstack(Tensor(data=[[1, 3], [2, 4]]), axis=1)
        >>> b
        Tensor([3, 4], shape=(2,), dtype=int32, device=cpu)
    """
    return Unstack(axis)(x)


def split(
    x: Tensor, axis: int, parts: Sequence[int] | None = None, num_output: int | None = None
) -> tuple[Tensor, ...]:
    """Pieces of an axis, of the sizes in ``parts``; or ``num_output`` pieces of equal size.

    Raises:
        ShapeError: the sizes do not add up to the axis, or it cannot be divided by the number.
        ArgumentError: both or none of ``parts`` and ``num_output`` are given.

    Example:
        >>> a, b = autograd.split(Tensor((2, 5)), 1, (2, 3))
        >>> a.shape, b.shape
        ((2, 2), (2, 3))
    """
    return Split(axis, parts, num_output)(x)


def tile(x: Tensor, repeats: int | Sequence[int]) -> Tensor:
    """The whole of ``x`` repeated, along each axis as often as ``repeats`` says (NumPy's tile).

    Args:
        x: any shape.
        repeats: one number for each axis; fewer are for the last axes, more add axes in front.

    Example:
        >>> autograd.tile(Tensor(data=[1, 2]), 2)
        Tensor([1, 2, 1, 2], shape=(4,), dtype=int32, device=cpu)
    """
    return Tile(repeats)(x)[0]


def repeat(x: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element several times along ``axis`` (NumPy's repeat).

    Args:
        x: any shape.
        repeats: how often: one number for all, or one for each index along the axis.
        axis: the axis; if None, ``x`` is flattened first, so that the result has one axis.

    Example:
        >>> autograd.repeat(Tensor(data=[1, 2]), 2)
        Tensor([1, 1, 2, 2], shape=(4,), dtype=int32, device=cpu)
    """
    return Repeat(repeats, axis)(x)[0]


def pad(x: Tensor, mode: str, pads: Sequence[int], constant: float = 0.0) -> Tensor:
    """Add elements around ``x`` (ONNX Pad).

    Args:
        x: any shape.
        mode: ``constant``; ``reflect``, mirrored at the border; ``edge`` or ``replicate``, the
            border element; ``wrap`` or ``circular``, the elements from the other end.
        pads: how many before each axis, and then how many after each axis, as in ONNX:
            (top, left, bottom, right) for a matrix. Negative numbers remove elements.
        constant: the value of the added elements in mode ``constant``.

    Example:
        >>> autograd.pad(Tensor(data=[1, 2]), "constant", (1, 2))
        Tensor([0, 1, 2, 0, 0], shape=(5,), dtype=int32, device=cpu)
    """
    return Pad(mode, pads, constant)(x)[0]


def _several(name: str, xs: Sequence[Tensor]) -> Sequence[Tensor]:
    if isinstance(xs, Tensor) or not len(xs):
        raise ArgumentError(f"{name}: a sequence of at least one Tensor is expected")
    return xs


def _counts(operation: Operation, repeats: int | Sequence[int], least: int = 0) -> tuple[int, ...]:
    counts = checks.integers(f"{operation.name}: repeats", repeats, least)
    if any(count < 0 for count in counts):
        raise ArgumentError(f"{operation.name}: repeats cannot be negative, got {repeats!r}")
    return counts
