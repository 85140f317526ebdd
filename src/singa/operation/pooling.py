"""Pooling over windows of one to three spatial axes.

XLA's own gradient of max pooling (select-and-scatter) and its windowed reduction are slow on
CPUs. So the code here goes through a window offset by offset, each a shifted view of the whole
image: the sums and comparisons of all offsets fuse into one loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine import native
from singa.engine.fusion import apart
from singa.engine.native import pooling as kernels
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks, windows
from singa.operation.checks import Sizes
from singa.operation.windows import LETTERS, Padding, as_padding
from singa.tape import Operation, wide

__all__ = [
    "AdaptiveAveragePooling", "AdaptiveMaxPooling", "AveragePooling", "AveragePooling2d",
    "GlobalAveragePool", "MaxPooling", "MaxPooling2d", "adaptive_avg_pool", "adaptive_max_pool",
    "avg_pool_1d", "avg_pool_2d", "avg_pool_3d", "globalaveragepool", "max_pool_1d",
    "max_pool_2d", "max_pool_3d",
]  # fmt: skip


class _Pooling(Operation):
    def __init__(self, window: tuple[int, ...], stride: tuple[int, ...], padding: Padding) -> None:
        super().__init__()
        for size, pads in zip(window, padding, strict=True):
            if max(pads) >= size:
                raise ArgumentError(
                    f"{self.name}: padding {pads} is not smaller than the window {size}: there "
                    "would be windows with nothing in them"
                )
        self.window = window
        self.stride = stride
        self.padding = padding

    @property
    def kind(self) -> kernels.Window:
        """The windows over height and width, for native kernels."""
        (kh, kw), (sh, sw), (rows, columns) = self.window, self.stride, self.padding
        return kernels.Window((kh, kw), (sh, sw), (rows, columns))

    def outputs(self, x: CTensor) -> tuple[int, ...]:
        """The number of windows along each axis. Also stores and checks x's shape."""
        rank = len(self.window)
        checks.rank(self, "the input", x, 2 + rank, f"(N, C, {LETTERS[rank]})")
        checks.float_input(self, "the input", x)
        self.from_shape = x.shape
        return windows.counts(self, x.shape[2:], self.window, self.stride, self.padding)

    def has_kernel(self, x: CTensor) -> bool:
        """Whether a native kernel pools images like these."""
        return len(self.window) == 2 and native.supports(x)

    def pad(self, x: CTensor, axis: int, value: float) -> CTensor:
        pads = [(0, 0)] * x.ndim
        pads[axis] = self.padding[axis - 2]
        return jnp.pad(x, pads, constant_values=jnp.asarray(value, x.dtype))

    def view(self, x: CTensor, axis: int, offset: int, count: int) -> CTensor:
        """The windows' elements at this offset: every stride-th element of a padded axis."""
        stride = self.stride[axis - 2]
        return jax.lax.slice_in_dim(x, offset, offset + (count - 1) * stride + 1, stride, axis)

    def unview(self, dy: CTensor, axis: int, offset: int) -> CTensor:
        """The adjoint of :meth:`view`, without the padding: zeros for elements not in it."""
        stride, (before, _) = self.stride[axis - 2], self.padding[axis - 2]
        span = (dy.shape[axis] - 1) * stride + 1
        config = [(0, 0, 0)] * dy.ndim
        start = offset - before
        config[axis] = (start, self.from_shape[axis] - start - span, stride - 1)
        return jax.lax.pad(dy, jnp.zeros((), dy.dtype), config)


class MaxPooling(_Pooling):
    """y = the largest element of each window; of equal ones the first gets the gradient.

    It is never padding, even if all other elements are minus infinity. Backward needs the index of
    this element in its window, row by row: one byte for each window.
    """

    def forward(self, x: CTensor) -> CTensor:
        self.outputs(x)
        if self.has_kernel(x) and math.prod(self.window) <= 256:
            y, self.place = native.run(partial(kernels.maximum, window=self.kind), self.largest, x)
        else:
            y, self.place = apart(self.largest, x)
        return y

    def backward(self, dy: CTensor) -> CTensor:
        if self.has_kernel(dy) and self.place.dtype == np.uint8:
            kernel = partial(kernels.maximum_gradient, x=self.from_shape, window=self.kind)
            return native.run(kernel, self.spread, dy, self.place)
        return apart(self.spread, dy, self.place)

    def largest(self, x: CTensor) -> tuple[CTensor, CTensor]:
        """The largest of each row of a window, then the largest of those; and their indices."""
        counts = self.outputs(x)
        for axis in range(2, x.ndim):
            x = self.pad(x, axis, -jnp.inf)
        place = jnp.zeros(x.shape, np.min_scalar_type(math.prod(self.window) - 1))
        for axis in reversed(range(2, x.ndim)):
            step = math.prod(self.window[axis - 1 :])  # from one element of the window to the next
            x, place = self.largest_along(axis, counts[axis - 2], step, x, place)
        return x, place

    def largest_along(
        self, axis: int, count: int, step: int, x: CTensor, place: CTensor
    ) -> tuple[CTensor, CTensor]:
        # The index of each window's first element that is not padding, used in a tie with padding.
        start = np.arange(count) * self.stride[axis - 2] - self.padding[axis - 2][0]
        first = np.maximum(-start, 0).reshape(-1, *[1] * (x.ndim - axis - 1))

        def at(offset: int) -> tuple[CTensor, CTensor]:
            steps = jnp.asarray(np.maximum(first, offset) * step, place.dtype)
            return self.view(x, axis, offset, count), self.view(place, axis, offset, count) + steps

        best, best_place = at(0)
        for offset in range(1, self.window[axis - 2]):
            seen, here = at(offset)
            better = (seen > best) | jnp.isnan(seen)
            best, best_place = jnp.where(better, seen, best), jnp.where(better, here, best_place)
        return best, best_place

    def spread(self, dy: CTensor, place: CTensor) -> CTensor:
        """The gradient of each window's largest element, at its position in the image."""
        dx = jnp.zeros(self.from_shape, wide(dy.dtype))
        for number, offsets in enumerate(np.ndindex(self.window)):
            here = jnp.where(place == number, dy, 0)
            for axis in reversed(range(2, dy.ndim)):
                here = self.unview(here, axis, offsets[axis - 2])
            dx += here
        return dx


class MaxPooling2d(MaxPooling):
    """The same over height and width."""


class AveragePooling(_Pooling):
    """y = the mean of each window, without the padding (ONNX count_include_pad = 0)."""

    def forward(self, x: CTensor) -> CTensor:
        self.outputs(x)
        if self.has_kernel(x):
            return native.run(partial(kernels.average, window=self.kind), self.average, x)
        return self.average(x)

    def backward(self, dy: CTensor) -> CTensor:
        if self.has_kernel(dy):
            kernel = partial(kernels.average_gradient, x=self.from_shape, window=self.kind)
            return native.run(kernel, self.share, dy)
        return self.share(dy)

    def average(self, x: CTensor) -> CTensor:
        outputs = self.outputs(x)
        y = x.astype(wide(x.dtype))
        for axis, count in enumerate(outputs, 2):
            y = self.pad(y, axis, 0)
            y = sum(
                (self.view(y, axis, i, count) for i in range(1, self.window[axis - 2])),
                start=self.view(y, axis, 0, count),
            )
        return (y / self.counts(outputs, y.dtype)).astype(x.dtype)

    def share(self, dy: CTensor) -> CTensor:
        """The gradient of each window's mean, shared equally by the window's elements."""
        dy = dy.astype(wide(dy.dtype))
        dx = dy / self.counts(dy.shape[2:], dy.dtype)
        for axis in range(2, dy.ndim):
            dx = sum(
                (self.unview(dx, axis, i) for i in range(1, self.window[axis - 2])),
                start=self.unview(dx, axis, 0),
            )
        return dx

    def counts(self, outputs: Sequence[int], dtype: np.dtype) -> CTensor:
        """The number of elements of each window that are not padding: (H', W')."""
        along = []
        for i, count in enumerate(outputs):
            start = np.arange(count) * self.stride[i] - self.padding[i][0]
            end = np.minimum(start + self.window[i], self.from_shape[2 + i])
            along.append(end - np.maximum(start, 0))
        return jnp.asarray(reduce(np.multiply.outer, along), dtype)


class AveragePooling2d(AveragePooling):
    """The same over height and width."""


class _AdaptivePooling(Operation):
    """Windows whose size is chosen for a given size of the result; neighbours may share an element.

    The i-th of n windows over an axis of size s is from floor(i s / n) up to ceil((i + 1) s / n).
    The spatial axes are pooled one after the other.
    """

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        checks.rank(self, "the input", x, 2 + len(self.size), f"(N, C, {LETTERS[len(self.size)]})")
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self.name}: there is nothing to pool in shape {x.shape}")
        self.stages = [self.stage(x)]
        for axis, count in enumerate(self.size, 2):
            x = apart(partial(self.pooled, axis=axis, count=count), x)
            self.stages.append(self.stage(x))
        return x

    def backward(self, dy: CTensor) -> CTensor:
        dy = dy.astype(wide(dy.dtype))
        for axis in reversed(range(2, 2 + len(self.size))):
            x, y = self.stages[axis - 2 : axis]
            dy = apart(partial(self.pooled_gradient, axis=axis, x=x, y=y), dy)
        return dy

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        raise NotImplementedError

    def stage(self, x: CTensor) -> Any:
        """The values that backward needs of the input, and of each axis' result."""
        raise NotImplementedError

    def pooled_gradient(self, dy: CTensor, axis: int, x: Any, y: Any) -> CTensor:
        raise NotImplementedError


class AdaptiveAveragePooling(_AdaptivePooling):
    """y = the means of windows whose size is chosen for the size of the result."""

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        inside, seen = _windows(x, axis, *_ends(x.shape[axis], count))
        total = jnp.where(inside, seen, 0).sum(axis + 1, dtype=wide(x.dtype))
        return (total / _sizes(total, axis, x.shape[axis], count)).astype(x.dtype)

    def stage(self, x: CTensor) -> tuple[int, ...]:
        return x.shape

    def pooled_gradient(
        self, dy: CTensor, axis: int, x: tuple[int, ...], y: tuple[int, ...]
    ) -> CTensor:
        share = dy / _sizes(dy, axis, x[axis], y[axis])
        inside, of_each = _windows(share, axis, *_ends(y[axis], x[axis]))
        return jnp.where(inside, of_each, 0).sum(axis + 1)


class AdaptiveMaxPooling(_AdaptivePooling):
    """y = the largest elements of such windows. Equal ones share the gradient."""

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        # In a shorter window the last element is repeated.
        return _windows(x, axis, *_ends(x.shape[axis], count))[1].max(axis + 1)

    def stage(self, x: CTensor) -> CTensor:
        return x

    def pooled_gradient(self, dy: CTensor, axis: int, x: CTensor, y: CTensor) -> CTensor:
        inside, seen = _windows(x, axis, *_ends(x.shape[axis], y.shape[axis]))
        largest = inside & (seen == jnp.expand_dims(y, axis + 1))
        share = apart(jnp.divide, dy, largest.sum(axis + 1, dtype=dy.dtype))
        ends = _ends(y.shape[axis], x.shape[axis])
        inside, of_each = _windows(share, axis, *ends)
        largest = inside & (_windows(y, axis, *ends)[1] == jnp.expand_dims(x, axis + 1))
        return jnp.where(largest, of_each, 0).sum(axis + 1)


def _ends(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows' starts and ends. Swapped: the first and last window of each element."""
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


def _sizes(x: CTensor, axis: int, size: int, count: int) -> CTensor:
    """The sizes of an axis' windows, in a shape that broadcasts with x."""
    start, end = _ends(size, count)
    return jnp.asarray(end - start, x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))


def _windows(x: CTensor, axis: int, start: np.ndarray, end: np.ndarray) -> tuple[CTensor, CTensor]:
    """The elements of all windows, on a new axis after the windows', and which are inside.

    In a shorter window the last element is repeated; the repetition is not inside.
    """
    at = start[:, None] + np.arange((end - start).max(initial=1))
    inside = jnp.asarray(at < end[:, None]).reshape(*at.shape, *[1] * (x.ndim - axis - 1))
    at = np.minimum(at, end[:, None] - 1).astype(np.int32)
    return inside, jnp.take(x, jnp.asarray(at), axis, mode="clip")


class GlobalAveragePool(Operation):
    """y = the mean over all spatial axes, which are kept with size 1 (ONNX GlobalAveragePool)."""

    def __init__(self, data_format: str = "channels_first") -> None:
        super().__init__()
        # SINGA's own tests leave out an s.
        if data_format not in ("channels_first", "channels_last", "channel_last"):
            raise ArgumentError(
                f"{self.name}: data_format must be 'channels_first' or 'channels_last', "
                f"got {data_format!r}"
            )
        self.data_format = data_format

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        first = self.data_format == "channels_first"
        axes = tuple(range(2, x.ndim) if first else range(1, x.ndim - 1))
        if not axes:
            shape = "(N, C, ...)" if first else "(N, ..., C)"
            raise ShapeError(f"{self.name}: the input must be {shape}, got shape {x.shape}")
        self.from_shape, self.count = x.shape, math.prod(x.shape[axis] for axis in axes)
        return x.mean(axes, keepdims=True, dtype=wide(x.dtype)).astype(x.dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.broadcast_to(dy / self.count, self.from_shape)


def max_pool_1d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The largest element of each window of (N, C, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.max_pool_1d(Tensor(data=[[[1.0, 3.0, 2.0, 0.0]]]), 2)
        Tensor([[[3., 2.]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    return MaxPooling(*_arguments("max_pool_1d", 1, kernel_size, stride, padding))(x)[0]


def avg_pool_1d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The mean of each window of (N, C, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.avg_pool_1d(Tensor(data=[[[1.0, 3.0, 2.0, 0.0]]]), 2, stride=1)
        Tensor([[[2. , 2.5, 1. ]]], shape=(1, 1, 3), dtype=float32, device=cpu)
    """
    return AveragePooling(*_arguments("avg_pool_1d", 1, kernel_size, stride, padding))(x)[0]


def max_pool_2d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The largest element of each window of (N, C, H, W) (ONNX MaxPool); see :func:`avg_pool_2d`.

    Of equal ones the first gets the gradient.

    Example:
        >>> autograd.max_pool_2d(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
        Tensor([[[[3.]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
    """
    return MaxPooling2d(*_arguments("max_pool_2d", 2, kernel_size, stride, padding))(x)[0]


def avg_pool_2d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The mean of each window, without the padding (ONNX AveragePool).

    Args:
        x: (N, C, H, W).
        kernel_size: the window's size: one number, or (height, width).
        stride: the distance between windows; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.

    Returns:
        (N, C, H', W') with H' = (H + pads - KH) // stride + 1.

    Example:
        >>> autograd.avg_pool_2d(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
        Tensor([[[[1.5]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
        >>> autograd.avg_pool_2d(Tensor((1, 3, 9, 9)), 3, stride=2, padding=1).shape
        (1, 3, 5, 5)
    """
    return AveragePooling2d(*_arguments("avg_pool_2d", 2, kernel_size, stride, padding))(x)[0]


def max_pool_3d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The largest element of each window of (N, C, D, H, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.max_pool_3d(Tensor((1, 1, 4, 4, 4)), 2).shape
        (1, 1, 2, 2, 2)
    """
    return MaxPooling(*_arguments("max_pool_3d", 3, kernel_size, stride, padding))(x)[0]


def avg_pool_3d(
    x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0
) -> Tensor:
    """The mean of each window of (N, C, D, H, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.avg_pool_3d(Tensor((1, 1, 4, 4, 4)), 2).shape
        (1, 1, 2, 2, 2)
    """
    return AveragePooling(*_arguments("avg_pool_3d", 3, kernel_size, stride, padding))(x)[0]


def adaptive_avg_pool(x: Tensor, size: Sizes) -> Tensor:
    """The means of windows whose size is chosen so that the result has ``size``.

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        size: of the result: one number, or one for each spatial axis. The i-th of n windows over
            s elements is from floor(i s / n) up to ceil((i + 1) s / n).

    Returns:
        Of the shape ``(N, C, *size)``.

    Example:
        >>> autograd.adaptive_avg_pool(Tensor(data=[[[1.0, 2.0, 3.0, 5.0]]]), 2)
        Tensor([[[1.5, 4. ]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    return AdaptiveAveragePooling(_size(x, "adaptive_avg_pool", size))(x)[0]


def adaptive_max_pool(x: Tensor, size: Sizes) -> Tensor:
    """The largest elements of such windows; equal ones share the gradient.

    See :func:`adaptive_avg_pool`.

    Example:
        >>> autograd.adaptive_max_pool(Tensor(data=[[[1.0, 2.0, 3.0, 5.0]]]), 2)
        Tensor([[[2., 5.]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    return AdaptiveMaxPooling(_size(x, "adaptive_max_pool", size))(x)[0]


def globalaveragepool(x: Tensor, data_format: str = "channels_first") -> Tensor:
    """The mean over all spatial axes, which are kept with size 1 (ONNX GlobalAveragePool).

    Args:
        x: (N, C, ...), or (N, ..., C).
        data_format: ``channels_first`` or ``channels_last``.

    Example:
        >>> autograd.globalaveragepool(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]))
        Tensor([[[[1.5]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
    """
    return GlobalAveragePool(data_format)(x)[0]


def _arguments(
    name: str, rank: int, kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], Padding]:
    window = checks.each(f"{name}: kernel_size", kernel_size, rank, 1)
    steps = window if stride is None else checks.each(f"{name}: stride", stride, rank, 1)
    return window, steps, as_padding(name, padding, rank)


def _size(x: Tensor, name: str, size: Sizes) -> tuple[int, ...]:
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(f"{name}: the input must be (N, C, ...) with 3 to 5 axes, got {x.shape}")
    return checks.each(f"{name}: size", size, rank, 1)
