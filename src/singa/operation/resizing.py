"""Resizing of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.windows import LETTERS
from singa.tape import Operation

__all__ = ["Resize", "UpSample", "resize", "upsample"]


_Numbers: TypeAlias = "np.ndarray[Any, Any]"


class Resize(Operation):
    """Each spatial axis at other sample points (ONNX Resize, half pixel, without antialiasing).

    The i-th of m sample points over n pixels is at (i + 1/2) n / m - 1/2, where integers are the
    centres of pixels. ``nearest`` takes the pixel that contains the point; ``linear`` interpolates
    between the two nearest centres; beyond the outermost centres it takes the outermost pixel.
    """

    def __init__(self, size: tuple[int, ...], mode: str = "nearest") -> None:
        super().__init__()
        if mode not in ("nearest", "linear"):
            raise ArgumentError(f"{self.name}: mode must be 'nearest' or 'linear', got {mode!r}")
        self.size = size
        self.mode = mode

    def forward(self, x: CTensor) -> CTensor:
        rank = len(self.size)
        checks.rank(self, "the input", x, 2 + rank, f"(N, C, {LETTERS[rank]})")
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self.name}: there are no pixels in shape {x.shape}")
        if self.mode == "linear":
            checks.float_input(self, "the input", x)
        self.from_shape = x.shape
        for axis, low, high, weight in self.samples():
            lower = jnp.take(x, low, axis, mode="clip")
            if self.mode == "nearest":
                x = lower
                continue
            shares = jnp.asarray(weight, x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))
            x = lower * (1 - shares) + jnp.take(x, high, axis, mode="clip") * shares
        return x

    def backward(self, dy: CTensor) -> CTensor:
        # A product with a small matrix is faster than a sum for each pixel.
        for axis, low, high, weight in self.samples():
            matrix = np.zeros((len(low), self.from_shape[axis]))
            np.add.at(matrix, (np.arange(len(low)), low), 1 - weight)
            np.add.at(matrix, (np.arange(len(low)), high), weight)
            dy = jnp.moveaxis(jnp.moveaxis(dy, axis, -1) @ jnp.asarray(matrix, dy.dtype), -1, axis)
        return dy

    def samples(self) -> list[tuple[int, _Numbers, _Numbers, _Numbers]]:
        """For each spatial axis: its number, the pixels on both sides, the weight of the second."""
        found = []
        for axis, count in enumerate(self.size, 2):
            size = self.from_shape[axis]
            if self.mode == "nearest":
                low = high = self.nearest(size, count)
                weight = np.zeros(count)
            else:
                centre = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
                low = np.floor(centre).astype(np.int32)
                high = np.minimum(low + 1, size - 1)
                weight = centre - low
            found.append((axis, low, high, weight))
        return found

    def nearest(self, size: int, count: int) -> _Numbers:
        """The pixels that contain the sample points: floor((i + 1/2) size / count)."""
        return ((2 * np.arange(count) + 1) * size // (2 * count)).astype(np.int32)


class UpSample(Operation):
    """Each element repeated along each axis, as often as ``scales`` says (ONNX Upsample, nearest).

    The scales are whole numbers, one for each axis.
    """

    def __init__(self, mode: str, scales: Sequence[float]) -> None:
        super().__init__()
        if mode != "nearest":
            raise ArgumentError(f"{self.name}: mode must be 'nearest', got {mode!r}; see resize")
        given = scales if isinstance(scales, Iterable) else (scales,)
        numbers = [checks.number(f"{self.name}: scales", scale) for scale in given]
        if not all(number >= 1 and number.is_integer() for number in numbers):
            raise ArgumentError(
                f"{self.name}: scales must be whole numbers of at least 1, got {scales!r}"
            )
        self.scales = tuple(map(int, numbers))

    def forward(self, x: CTensor) -> CTensor:
        if len(self.scales) != x.ndim:
            raise ShapeError(
                f"{self.name}: one scale for each axis of shape {x.shape} is needed, "
                f"got {self.scales}"
            )
        for axis, scale in enumerate(self.scales):
            x = jnp.repeat(x, scale, axis)
        return x

    def backward(self, dy: CTensor) -> CTensor:
        blocks = [
            part
            for size, scale in zip(dy.shape, self.scales, strict=True)
            for part in (size // scale, scale)
        ]
        return dy.reshape(blocks).sum(tuple(range(1, 2 * dy.ndim, 2)))


def resize(x: Tensor, size: int | Sequence[int], mode: str = "nearest") -> Tensor:
    """Sample images at other points (ONNX Resize, half pixel).

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        size: of the result: one number, or one for each spatial axis.
        mode: ``nearest``, or ``linear``, which for images is bilinear.

    Returns:
        Of the shape ``(N, C, *size)``.

    Example:
        >>> autograd.resize(Tensor(data=[[[0.0, 4.0]]]), 4, "linear")
        Tensor([[[0., 1., 3., 4.]]], shape=(1, 1, 4), dtype=float32, device=cpu)
    """
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(f"Resize: the input must be (N, C, ...) with 3 to 5 axes, got {x.shape}")
    return Resize(checks.each("resize: size", size, rank, 1), mode)(x)[0]


def upsample(x: Tensor, mode: str, scales: Sequence[float]) -> Tensor:
    """Each element repeated: ``upsample(images, "nearest", (1, 1, 2, 2))`` doubles the size.

    Args:
        x: any shape.
        mode: ``nearest``.
        scales: a whole number for each axis.

    Example:
        >>> autograd.upsample(Tensor(data=[[1, 2]]), "nearest", (2, 2))
        Tensor([[1, 1, 2, 2],
                [1, 1, 2, 2]], shape=(2, 4), dtype=int32, device=cpu)
    """
    return UpSample(mode, scales)(x)[0]
