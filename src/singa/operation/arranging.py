"""The same elements in another order, or in a triangle.

These are linear: if there is no ``backward``, jax's derivative is the operation that moves the
elements back, and nothing is stored for it.
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
from singa.operation.reduction import reduce_sum
from singa.tape import Operation

__all__ = [
    "DepthToSpace", "Diag", "Diagonal", "Flip", "Roll", "SpaceToDepth", "Tril", "Triu",
    "depth_to_space", "diag", "diagonal", "flip", "pixel_shuffle", "pixel_unshuffle", "roll",
    "space_to_depth", "trace", "tril", "triu",
]  # fmt: skip


class Flip(Operation):
    """The elements of some axes in reverse order; of all of them if None."""

    complex_numbers = "own"

    complex_numbers = "derived"

    def __init__(self, axis: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self.axes = None if axis is None else checks.integers(f"{self.name}: axis", axis, 1)

    def forward(self, x: CTensor) -> CTensor:
        return jnp.flip(x, checks.axes(self, self.axes, x.ndim))


class Roll(Operation):
    """The elements of some axes shifted; those shifted out at one end return at the other."""

    complex_numbers = "own"

    def __init__(self, shift: int | Sequence[int], axis: int | Sequence[int]) -> None:
        super().__init__()
        self.axes = checks.integers(f"{self.name}: axis", axis, 1)
        self.shift = checks.integers(f"{self.name}: shift", shift)
        if len(self.shift) != len(self.axes):
            raise ArgumentError(
                f"{self.name}: {len(self.shift)} shift(s) for {len(self.axes)} axis (axes)"
            )

    def forward(self, x: CTensor) -> CTensor:
        return self.rolled(x, 1)

    def backward(self, dy: CTensor) -> CTensor:
        return self.rolled(dy, -1)

    def rolled(self, x: CTensor, sign: int) -> CTensor:
        for axis, shift in zip(checks.axes(self, self.axes, x.ndim), self.shift, strict=True):
            size = x.shape[axis]
            count = sign * shift % size if size else 0
            if not count:
                continue
            # A shift, and a copy of the shorter piece: joining both is a choice for each element.
            back = count > size // 2
            moved = count - size if back else count
            ends = [(moved, -moved, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]
            piece = (0, size - count) if back else (size - count, size)
            rest = jax.lax.slice_in_dim(x, *piece, axis=axis)
            x = jax.lax.pad(x, jnp.zeros((), x.dtype), ends)
            x = jax.lax.dynamic_update_slice_in_dim(x, rest, count if back else 0, axis)
        return x


class _Blocks(Operation):
    """Conversion between channels and blocks of pixels: (N, C B B, H, W) and (N, C, H B, W B).

    In mode ``DCR`` a channel's number is (row, column, C), in mode ``CRD`` (C, row, column).
    """

    complex_numbers = "own"

    def __init__(self, blocksize: int, mode: str = "DCR") -> None:
        super().__init__()
        if not isinstance(blocksize, (int, np.integer)) or blocksize < 1:
            raise ArgumentError(f"{self.name}: blocksize must be 1 or more, got {blocksize!r}")
        if mode not in ("DCR", "CRD"):
            raise ArgumentError(f"{self.name}: mode must be 'DCR' or 'CRD', got {mode!r}")
        self.blocksize = int(blocksize)
        self.mode = mode

    def to_space(self, x: CTensor) -> CTensor:
        b = self.blocksize
        n, channels, height, width = x.shape
        if channels % (b * b):
            raise ShapeError(f"{self.name}: {channels} channels are not a multiple of {b} x {b}")
        rest = channels // (b * b)
        if self.mode == "DCR":
            x = x.reshape(n, b, b, rest, height, width).transpose(0, 3, 4, 1, 5, 2)
        else:
            x = x.reshape(n, rest, b, b, height, width).transpose(0, 1, 4, 2, 5, 3)
        return x.reshape(n, rest, height * b, width * b)

    def to_depth(self, x: CTensor) -> CTensor:
        b = self.blocksize
        n, channels, height, width = x.shape
        if height % b or width % b:
            raise ShapeError(
                f"{self.name}: {height} x {width} pixels are not a multiple of {b} x {b}"
            )
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        x = x.reshape(n, channels, height // b, b, width // b, b).transpose(order)
        return x.reshape(n, channels * b * b, height // b, width // b)


class DepthToSpace(_Blocks):
    """(N, C, H, W) to (N, C / (B B), H B, W B): channels become blocks of pixels (ONNX)."""

    def forward(self, x: CTensor) -> CTensor:
        checks.rank(self, "the input", x, 4, "(N, C, H, W)")
        return self.to_space(x)

    def backward(self, dy: CTensor) -> CTensor:
        return self.to_depth(dy)


class SpaceToDepth(_Blocks):
    """(N, C, H, W) to (N, C B B, H / B, W / B): the inverse of :class:`DepthToSpace`."""

    def forward(self, x: CTensor) -> CTensor:
        checks.rank(self, "the input", x, 4, "(N, C, H, W)")
        return self.to_depth(x)

    def backward(self, dy: CTensor) -> CTensor:
        return self.to_space(dy)


class _Triangle(Operation):
    complex_numbers = "own"

    def __init__(self, k: int = 0) -> None:
        super().__init__()
        self.k = checks.integer(f"{self.name}: k", k)

    def diagonal(self, x: CTensor) -> CTensor:
        """The number of the diagonal that each element of a matrix is on: (M, N)."""
        if x.ndim < 2:
            raise ShapeError(f"{self.name}: the input must be (..., M, N), got shape {x.shape}")
        row, column = (jax.lax.broadcasted_iota(jnp.int32, x.shape[-2:], axis) for axis in (0, 1))
        return column - row


class Tril(_Triangle):
    """The lower triangle of each matrix, up to the k-th diagonal; 0 above it."""

    def forward(self, x: CTensor) -> CTensor:
        return jnp.where(self.diagonal(x) <= self.k, x, jnp.zeros((), x.dtype))

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(self.diagonal(dy) <= self.k, dy, jnp.zeros((), dy.dtype))


class Triu(_Triangle):
    """The upper triangle of each matrix, from the k-th diagonal on; 0 below it."""

    def forward(self, x: CTensor) -> CTensor:
        return jnp.where(self.diagonal(x) >= self.k, x, jnp.zeros((), x.dtype))

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(self.diagonal(dy) >= self.k, dy, jnp.zeros((), dy.dtype))


def _on_diagonal(shape: tuple[int, ...], offset: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns of a diagonal of a matrix of this shape."""
    first = max(-offset, 0), max(offset, 0)
    length = max(min(size - start for size, start in zip(shape, first, strict=True)), 0)
    place = np.arange(length, dtype=np.int32)
    return place + np.int32(first[0]), place + np.int32(first[1])


class Diagonal(Operation):
    """y = a diagonal of each matrix along two axes, which it replaces as the last axis."""

    complex_numbers = "own"

    def __init__(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> None:
        super().__init__()
        self.offset = checks.integer(f"{self.name}: offset", offset)
        self.axis1 = checks.integer(f"{self.name}: axis1", axis1)
        self.axis2 = checks.integer(f"{self.name}: axis2", axis2)

    def forward(self, x: CTensor) -> CTensor:
        self.axes = checks.axes(self, (self.axis1, self.axis2), x.ndim)
        x = jnp.moveaxis(x, self.axes, (-2, -1))
        self.moved_shape = x.shape
        return x[(..., *_on_diagonal(x.shape[-2:], self.offset))]

    def backward(self, dy: CTensor) -> CTensor:
        index = (..., *_on_diagonal(self.moved_shape[-2:], self.offset))
        dx = jnp.zeros(self.moved_shape, dy.dtype).at[index].set(dy, unique_indices=True)
        return jnp.moveaxis(dx, (-2, -1), self.axes)


class Diag(Operation):
    """y = a square matrix with a vector on its k-th diagonal, and zeros elsewhere."""

    complex_numbers = "own"

    def __init__(self, k: int = 0) -> None:
        super().__init__()
        self.k = checks.integer(f"{self.name}: k", k)

    def forward(self, x: CTensor) -> CTensor:
        checks.rank(self, "the input", x, 1, "(N,)")
        size = len(x) + abs(self.k)
        matrix = jnp.zeros((size, size), x.dtype)
        return matrix.at[_on_diagonal(matrix.shape, self.k)].set(x, unique_indices=True)

    def backward(self, dy: CTensor) -> CTensor:
        return dy[_on_diagonal(dy.shape, self.k)]


def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal of each matrix along two axes: (M, N, ...) to (..., the diagonal).

    Args:
        x: two or more axes.
        offset: the number of the diagonal; above the main one if positive.
        axis1, axis2: the axes of rows and of columns.

    Example:
        >>> autograd.diagonal(Tensor(data=[[1, 2], [3, 4]]))
        Tensor([1, 4], shape=(2,), dtype=int32, device=cpu)
    """
    return Diagonal(offset, axis1, axis2)(x)[0]


def diag(x: Tensor, k: int = 0) -> Tensor:
    """The matrix with this vector on its k-th diagonal: (N,) to (N + abs(k), N + abs(k)).

    Of a matrix the k-th diagonal, as a vector.

    Example:
        >>> autograd.diag(Tensor(data=[1, 2]))
        Tensor([[1, 0],
                [0, 2]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return diagonal(x, k) if x.ndim() == 2 else Diag(k)(x)[0]


def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal of each matrix along two axes, which are removed from the shape.

    The arguments are those of :func:`diagonal`.

    Example:
        >>> autograd.trace(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]))
        Tensor(5., shape=(), dtype=float32, device=cpu)
    """
    return reduce_sum(diagonal(x, offset, axis1, axis2), -1, keepdims=False)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """(N, C r^2, H, W) to (N, C, H r, W r): channels become blocks of pixels (Shi et al., 2016).

    It is :func:`depth_to_space` in mode CRD; r is the ``upscale_factor``.

    Example:
        >>> autograd.pixel_shuffle(Tensor((1, 8, 2, 3)), 2).shape
        (1, 2, 4, 6)
    """
    return depth_to_space(x, upscale_factor, "CRD")


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """(N, C, H r, W r) to (N, C r^2, H, W): the inverse of :func:`pixel_shuffle`.

    It is :func:`space_to_depth` in mode CRD; r is the ``downscale_factor``.

    Example:
        >>> autograd.pixel_unshuffle(Tensor((1, 2, 4, 6)), 2).shape
        (1, 8, 2, 3)
    """
    return space_to_depth(x, downscale_factor, "CRD")


def flip(x: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """Some axes, or all, in reverse order; of x's shape (NumPy's flip).

    Example:
        >>> autograd.flip(Tensor(data=[[1, 2], [3, 4]]), 1)
        Tensor([[2, 1],
                [4, 3]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Flip(axis)(x)[0]


def roll(x: Tensor, shift: int | Sequence[int], axis: int | Sequence[int]) -> Tensor:
    """Some axes shifted cyclically, each by its number; of x's shape (NumPy's roll).

    Example:
        >>> autograd.roll(Tensor(data=[1, 2, 3]), 1, 0)
        Tensor([3, 1, 2], shape=(3,), dtype=int32, device=cpu)
    """
    return Roll(shift, axis)(x)[0]


def depth_to_space(x: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """(N, C, H, W) to (N, C / blocksize^2, H blocksize, W blocksize) (ONNX DepthToSpace).

    Example:
        >>> autograd.depth_to_space(Tensor(data=[[[[1]], [[2]], [[3]], [[4]]]]), 2)
        Tensor([[[[1, 2],
                  [3, 4]]]], shape=(1, 1, 2, 2), dtype=int32, device=cpu)
    """
    return DepthToSpace(blocksize, mode)(x)[0]


def space_to_depth(x: Tensor, blocksize: int, mode: str = "DCR") -> Tensor:
    """(N, C, H, W) to (N, C blocksize^2, H / blocksize, W / blocksize).

    The inverse of :func:`depth_to_space` in the same mode (in DCR ONNX SpaceToDepth).

    Example:
        >>> autograd.space_to_depth(Tensor((1, 1, 4, 6)), 2).shape
        (1, 4, 2, 3)
    """
    return SpaceToDepth(blocksize, mode)(x)[0]


def tril(x: Tensor, k: int = 0) -> Tensor:
    """(..., M, N) with zeros above the k-th diagonal (NumPy's tril).

    Example:
        >>> autograd.tril(Tensor(data=[[1, 2], [3, 4]]))
        Tensor([[1, 0],
                [3, 4]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Tril(k)(x)[0]


def triu(x: Tensor, k: int = 0) -> Tensor:
    """(..., M, N) with zeros below the k-th diagonal (NumPy's triu).

    Example:
        >>> autograd.triu(Tensor(data=[[1, 2], [3, 4]]))
        Tensor([[1, 2],
                [0, 4]], shape=(2, 2), dtype=int32, device=cpu)
    """
    return Triu(k)(x)[0]
