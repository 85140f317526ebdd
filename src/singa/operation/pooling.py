"""Pooling over windows of height and width.

XLA's own gradient of max pooling (select-and-scatter) and its windowed reduction are slow on
CPUs. Here a window is walked offset by offset instead, each a shifted view of the whole image:
the sums and comparisons of all offsets fuse into one loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from singa import native
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.native import pooling as kernels
from singa.operation import checks
from singa.operation.convolution import Padding, as_padding
from singa.operation.fusion import apart
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = ["AveragePooling2d", "MaxPooling2d", "avg_pool_2d", "max_pool_2d"]

_HEIGHT, _WIDTH = 2, 3  # axes of (N, C, H, W)


class _Pooling(Operation):
    def __init__(self, window: tuple[int, int], stride: tuple[int, int], padding: Padding) -> None:
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
        return kernels.Window(self.window, self.stride, self.padding)

    def outputs(self, x: CTensor) -> tuple[int, int]:
        """How many windows fit, in height and width. Also remembers and checks x's shape."""
        checks.rank(self, "the input", x, 4, "(N, C, H, W)")
        checks.float_input(self, "the input", x)
        counts = []
        for i, name in ((0, "height"), (1, "width")):
            room = x.shape[2 + i] + sum(self.padding[i]) - self.window[i]
            if room < 0:
                raise ShapeError(
                    f"{self.name}: the window is {self.window[i]} in {name}, the padded input "
                    f"only {room + self.window[i]}"
                )
            counts.append(room // self.stride[i] + 1)
        self.from_shape = x.shape
        return counts[0], counts[1]

    def pad(self, x: CTensor, axis: int, value: float) -> CTensor:
        pads = [(0, 0)] * x.ndim
        pads[axis] = self.padding[axis - 2]
        return jnp.pad(x, pads, constant_values=jnp.asarray(value, x.dtype))

    def view(self, x: CTensor, axis: int, offset: int, count: int) -> CTensor:
        """What the windows see at this offset: every stride-th element of a padded axis."""
        stride = self.stride[axis - 2]
        return jax.lax.slice_in_dim(x, offset, offset + (count - 1) * stride + 1, stride, axis)

    def unview(self, dy: CTensor, axis: int, offset: int) -> CTensor:
        """The adjoint of :meth:`view`, with the padding taken off: zeros where nothing was seen."""
        stride, (before, _) = self.stride[axis - 2], self.padding[axis - 2]
        span = (dy.shape[axis] - 1) * stride + 1
        config = [(0, 0, 0)] * dy.ndim
        start = offset - before
        config[axis] = (start, self.from_shape[axis] - start - span, stride - 1)
        return jax.lax.pad(dy, jnp.zeros((), dy.dtype), config)


class MaxPooling2d(_Pooling):
    """y = the largest element of each window; of equal ones the first gets the gradient.

    What backward needs is the place of that element in its window, row by row: a byte each.
    """

    def forward(self, x: CTensor) -> CTensor:
        self.outputs(x)
        if native.supports(x) and math.prod(self.window) <= 256:
            y, self.place = native.run(partial(kernels.maximum, window=self.kind), self.largest, x)
        else:
            y, self.place = apart(self.largest, x)
        return y

    def backward(self, dy: CTensor) -> CTensor:
        if native.supports(dy) and self.place.dtype == np.uint8:
            kernel = partial(kernels.maximum_gradient, x=self.from_shape, window=self.kind)
            return native.run(kernel, self.spread, dy, self.place)
        return apart(self.spread, dy, self.place)

    def largest(self, x: CTensor) -> tuple[CTensor, CTensor]:
        """The largest of each row of a window, then the largest of those; and their places."""
        rows, columns = self.outputs(x)
        x = self.pad(self.pad(x, _WIDTH, -jnp.inf), _HEIGHT, -jnp.inf)
        place = jnp.zeros(x.shape, np.min_scalar_type(math.prod(self.window) - 1))
        x, place = self.largest_along(_WIDTH, columns, 1, x, place)
        return self.largest_along(_HEIGHT, rows, self.window[1], x, place)

    def largest_along(
        self, axis: int, count: int, step: int, x: CTensor, place: CTensor
    ) -> tuple[CTensor, CTensor]:
        best, best_place = self.view(x, axis, 0, count), self.view(place, axis, 0, count)
        for offset in range(1, self.window[axis - 2]):
            seen = self.view(x, axis, offset, count)
            better = (seen > best) | jnp.isnan(seen)
            here = self.view(place, axis, offset, count) + jnp.asarray(offset * step, place.dtype)
            best, best_place = jnp.where(better, seen, best), jnp.where(better, here, best_place)
        return best, best_place

    def spread(self, dy: CTensor, place: CTensor) -> CTensor:
        """The gradient of each window's largest element, at its place."""
        dx = jnp.zeros(self.from_shape, dy.dtype)
        for row, column in np.ndindex(self.window):
            here = jnp.where(place == row * self.window[1] + column, dy, 0)
            dx += self.unview(self.unview(here, _WIDTH, column), _HEIGHT, row)
        return dx


class AveragePooling2d(_Pooling):
    """y = the mean of each window; padding does not count (ONNX count_include_pad = 0)."""

    def forward(self, x: CTensor) -> CTensor:
        self.outputs(x)
        if native.supports(x):
            return native.run(partial(kernels.average, window=self.kind), self.average, x)
        return self.average(x)

    def backward(self, dy: CTensor) -> CTensor:
        if native.supports(dy):
            kernel = partial(kernels.average_gradient, x=self.from_shape, window=self.kind)
            return native.run(kernel, self.share, dy)
        return self.share(dy)

    def average(self, x: CTensor) -> CTensor:
        rows, columns = self.outputs(x)
        y = x
        for axis, count in ((_HEIGHT, rows), (_WIDTH, columns)):
            y = self.pad(y, axis, 0)
            y = sum(
                (self.view(y, axis, i, count) for i in range(1, self.window[axis - 2])),
                start=self.view(y, axis, 0, count),
            )
        return y / self.counts((rows, columns), x.dtype)

    def share(self, dy: CTensor) -> CTensor:
        """The gradient of each window's mean, in equal shares to what it saw."""
        dx = dy / self.counts(dy.shape[2:], dy.dtype)
        for axis in (_HEIGHT, _WIDTH):
            dx = sum(
                (self.unview(dx, axis, i) for i in range(1, self.window[axis - 2])),
                start=self.unview(dx, axis, 0),
            )
        return dx

    def counts(self, outputs: Sequence[int], dtype: np.dtype) -> CTensor:
        """How many elements of each window are not padding: (H', W')."""
        along = []
        for i in (0, 1):
            start = np.arange(outputs[i]) * self.stride[i] - self.padding[i][0]
            end = np.minimum(start + self.window[i], self.from_shape[2 + i])
            along.append(end - np.maximum(start, 0))
        return jnp.asarray(np.outer(*along), dtype)


def max_pool_2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """The largest element of each window (ONNX MaxPool). See :func:`avg_pool_2d`."""
    return MaxPooling2d(*_arguments("max_pool_2d", kernel_size, stride, padding))(x)[0]


def avg_pool_2d(
    x: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """The mean of each window, without the padding (ONNX AveragePool).

    Args:
        x: (N, C, H, W).
        kernel_size: the window's size: one number, or (height, width).
        stride: how far the windows are apart; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.

    Returns:
        (N, C, H', W') with H' = (H + pads - KH) // stride + 1.
    """
    return AveragePooling2d(*_arguments("avg_pool_2d", kernel_size, stride, padding))(x)[0]


def _arguments(
    name: str,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    window = checks.pair(f"{name}: kernel_size", kernel_size, 1)
    steps = window if stride is None else checks.pair(f"{name}: stride", stride, 1)
    return window, steps, as_padding(name, padding)
