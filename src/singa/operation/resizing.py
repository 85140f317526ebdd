"""Resizing of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.windows import LETTERS
from singa.tape import Operation, widened

__all__ = ["Interpolate", "Resize", "UpSample", "resize", "upsample"]


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


class Interpolate(Operation):
    """Each spatial axis as a product with a matrix: all of PyTorch's ways to resize images.

    Args:
        size: of the result.
        mode: ``nearest-floor``, ``linear``, ``cubic`` or ``area``.
        steps: the distance of sample points on each axis, in pixels.
        align_corners: the outermost sample points are the outermost pixels' centres.
        antialias: each sample is a mean over as many pixels as the image shrinks by.
    """

    def __init__(
        self,
        size: tuple[int, ...],
        mode: str,
        steps: tuple[float, ...],
        align_corners: bool = False,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.mode, self.steps = size, mode, steps
        self.align_corners, self.antialias = align_corners, antialias

    def forward(self, x: CTensor) -> CTensor:
        rank = len(self.size)
        checks.rank(self, "the input", x, 2 + rank, f"(N, C, {LETTERS[rank]})")
        checks.float_input(self, "the input", x)
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self.name}: there are no pixels in shape {x.shape}")
        self.from_shape = x.shape
        return self.product(x, False)

    def backward(self, dy: CTensor) -> CTensor:
        return self.product(dy, True)

    def product(self, x: CTensor, is_adjoint: bool) -> CTensor:
        """``x`` times the matrix of each axis, or its transpose."""
        y = widened(x)
        for axis, (count, step) in enumerate(zip(self.size, self.steps, strict=True), 2):
            matrix = self.matrix(self.from_shape[axis], count, step)
            factor = jnp.asarray(matrix if is_adjoint else matrix.T, y.dtype)
            rows = jnp.dot(jnp.moveaxis(y, axis, -1), factor, precision=jax.lax.Precision.HIGHEST)
            y = jnp.moveaxis(rows, -1, axis)
        return y.astype(x.dtype)

    def matrix(self, size: int, count: int, step: float) -> _Numbers:
        """The share of each of ``size`` pixels in each of ``count`` samples."""
        i, pixels = np.arange(count), np.arange(size)
        if self.mode == "area":
            inside = (pixels >= i[:, None] * size // count) & (
                pixels < -(-(i[:, None] + 1) * size // count)
            )
            return inside / inside.sum(1, keepdims=True)
        if self.mode == "nearest-floor":
            return np.eye(size)[np.minimum(np.floor(i * step).astype(int), size - 1)]
        if self.align_corners:
            step = (size - 1) / (count - 1) if count > 1 else 0.0
        kernel, reach = (_triangle, 1.0) if self.mode == "linear" else (_cubic, 2.0)
        if self.antialias:
            spread = max(step, 1.0)
            centre = (i + 0.5) * step
            first = np.maximum((centre - reach * spread + 0.5).astype(int), 0)
            last = np.minimum((centre + reach * spread + 0.5).astype(int), size)
            shares = kernel((pixels - centre[:, None] + 0.5) / spread, -0.5)
            shares *= (pixels >= first[:, None]) & (pixels < last[:, None])
            return shares / shares.sum(1, keepdims=True)
        place = i * step if self.align_corners else (i + 0.5) * step - 0.5
        if self.mode == "linear":
            place = np.clip(place, 0, size - 1)
        # Beyond the border the outermost pixel is repeated.
        shares = np.zeros((count, size))
        for tap in range(1 - int(reach), int(reach) + 1):
            at = np.floor(place).astype(int) + tap
            np.add.at(shares, (i, np.clip(at, 0, size - 1)), kernel(place - at, -0.75))
        return shares


def _triangle(x: _Numbers, _: float) -> _Numbers:
    """The weights of linear interpolation, by distance."""
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: _Numbers, a: float) -> _Numbers:
    """The weights of cubic convolution, by distance (Keys, 1981)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


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


def resize(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    mode: str = "nearest",
    scale_factor: float | Sequence[float] | None = None,
    align_corners: bool = False,
    antialias: bool = False,
) -> Tensor:
    """Sample images at other points (ONNX Resize, half pixel).

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        size: of the result: one number, or one for each spatial axis.
        mode: ``nearest``, the pixel that contains the point, which PyTorch calls
            ``nearest-exact``, here too; ``nearest-floor``, which PyTorch calls ``nearest``: the
            i-th sample is the pixel i / scale, rounded down; ``linear``, which for images is
            bilinear; ``cubic``, bicubic (Keys, 1981, with a = -0.75); ``area``, means as of
            :func:`adaptive_avg_pool`.
        scale_factor: in place of ``size``: one number, or one for each spatial axis. The size is
            rounded down, and the sample points are 1 / scale_factor pixels apart.
        align_corners: for ``linear`` and ``cubic``: the first and the last sample point are the
            centres of the first and the last pixel.
        antialias: for ``linear`` and ``cubic``: where an image shrinks, each sample is a weighted
            mean of as many more pixels, as in Pillow.

    Returns:
        Of the shape ``(N, C, *size)``.

    Raises:
        ArgumentError: a mode that is none, or that does not have the option; neither size nor
            scale_factor, or both.

    Example:
        >>> autograd.resize(Tensor(data=[[[0.0, 4.0]]]), 4, "linear")
        Tensor([[[0., 1., 3., 4.]]], shape=(1, 1, 4), dtype=float32, device=cpu)
        >>> autograd.resize(Tensor(data=[[[0.0, 3.0]]]), 4, "linear", align_corners=True)
        Tensor([[[0., 1., 2., 3.]]], shape=(1, 1, 4), dtype=float32, device=cpu)
    """
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(f"Resize: the input must be (N, C, ...) with 3 to 5 axes, got {x.shape}")
    if mode not in _MODES:
        raise ArgumentError(f"Resize: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if (align_corners or antialias) and mode not in ("linear", "cubic"):
        raise ArgumentError(f"Resize: mode {mode!r} has neither align_corners nor antialias")
    space, steps = x.shape[2:], None
    if (size is None) is (scale_factor is None):
        raise ArgumentError("Resize: give either size or scale_factor")
    if scale_factor is None:
        assert size is not None
        sizes = checks.each("resize: size", size, rank, 1)
    else:
        factors = _factors(scale_factor, rank)
        sizes = tuple(int(length * by) for length, by in zip(space, factors, strict=True))
        steps = tuple(1 / by for by in factors)
        if min(sizes) < 1:
            raise ShapeError(f"Resize: {scale_factor!r} times {space} leaves no pixels")
    even = tuple(length / count for length, count in zip(space, sizes, strict=True))
    plain = mode in ("nearest", "nearest-exact", "linear") and not align_corners and not antialias
    if plain and steps in (None, even):
        return Resize(sizes, mode.removesuffix("-exact"))(x)[0]
    if mode in ("nearest", "nearest-exact"):
        raise ArgumentError(
            f"Resize: scale_factor {scale_factor!r} times {space} is not whole; mode {mode!r} "
            "takes a size"
        )
    return Interpolate(sizes, mode, steps or even, bool(align_corners), bool(antialias))(x)[0]


_MODES = "nearest", "nearest-exact", "nearest-floor", "linear", "cubic", "area"


def _factors(value: float | Sequence[float], rank: int) -> tuple[float, ...]:
    given = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    factors = tuple(checks.number("resize: scale_factor", by) for by in given)
    if len(factors) != rank or not all(0 < by < float("inf") for by in factors):
        raise ArgumentError(
            f"resize: scale_factor: one positive number, or {rank} of them, got {value!r}"
        )
    return factors


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
