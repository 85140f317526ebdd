"""Pooling over windows of one to three spatial axes.

XLA's own gradient of max pooling (select-and-scatter) and its windowed reduction are slow on
CPUs. So the code here goes through a window offset by offset, each a shifted view of the whole
image: the sums and comparisons of all offsets fuse into one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine import native
from singa.engine.native import pooling as kernels
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks, windows
from singa.operation.checks import Sizes
from singa.operation.windows import LETTERS, Padding, as_padding
from singa.tape import Operation, wide, widened

__all__ = [
    "AveragePooling", "AveragePooling2d", "avg_pool_1d", "avg_pool_2d", "avg_pool_3d",
]  # fmt: skip


class Pooling(Operation):
    """Windows over the spatial axes of (N, C, ...)."""

    whole_from = 2

    def __init__(
        self,
        window: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Padding,
        ceil_mode: bool = False,
        dilation: tuple[int, ...] | None = None,
    ) -> None:
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
        self.ceil_mode = bool(ceil_mode)
        self.dilation = dilation or (1,) * len(window)

    @property
    def kind(self) -> kernels.Window:
        """The windows over height and width, for native kernels."""
        (kh, kw), (sh, sw), (rows, columns) = self.window, self.stride, self.pads
        return kernels.Window((kh, kw), (sh, sw), (rows, columns))

    def outputs(self, x: CTensor) -> tuple[int, ...]:
        """The number of windows along each axis. Also stores and checks x's shape.

        In ``ceil_mode`` there is more padding at the end, for a last window that begins before it.
        """
        rank = len(self.window)
        checks.rank(self, "the input", x, 2 + rank, f"(N, C, {LETTERS[rank]})")
        checks.float_input(self, "the input", x)
        self.from_shape = x.shape
        reach = [(size - 1) * by + 1 for size, by in zip(self.window, self.dilation, strict=True)]
        pads = []
        for i, (before, after) in enumerate(self.padding):
            size, stride = x.shape[2 + i], self.stride[i]
            more = (reach[i] - size - before - after) % stride if self.ceil_mode else 0
            # The last window must begin in the image, or in the padding before it.
            if more and size + before + after + more - reach[i] >= size + before:
                more = 0
            pads.append((before, after + more))
        self.pads = tuple(pads)
        found = windows.counts(self, x.shape[2:], reach, self.stride, self.pads)
        for i, count in enumerate(found):
            if self.dilation[i] > 1:
                self.expect_elements(i, count, x.shape[2 + i])
        return found

    def expect_elements(self, i: int, count: int, size: int) -> None:
        """Each dilated window along this axis has an element that is not padding."""
        place = np.arange(count)[:, None] * self.stride[i] - self.padding[i][0]
        place = place + np.arange(self.window[i]) * self.dilation[i]
        if not ((place >= 0) & (place < size)).any(1).all():
            raise ShapeError(
                f"{self.name}: with padding {self.padding[i]} and dilation {self.dilation[i]} "
                f"there are windows with nothing in them, for a size of {size}"
            )

    def has_kernel(self, x: CTensor) -> bool:
        """Whether a native kernel pools images like these."""
        return len(self.window) == 2 and max(self.dilation) == 1 and native.supports(x, short=True)

    def pad(self, x: CTensor, axis: int, value: float) -> CTensor:
        pads = [(0, 0)] * x.ndim
        pads[axis] = self.pads[axis - 2]
        return jnp.pad(x, pads, constant_values=jnp.asarray(value, x.dtype))

    def view(self, x: CTensor, axis: int, offset: int, count: int) -> CTensor:
        """The windows' elements at this offset: every stride-th element of a padded axis."""
        stride, offset = self.stride[axis - 2], offset * self.dilation[axis - 2]
        return jax.lax.slice_in_dim(x, offset, offset + (count - 1) * stride + 1, stride, axis)

    def unview(self, dy: CTensor, axis: int, offset: int) -> CTensor:
        """The adjoint of :meth:`view`, without the padding: zeros for elements not in it."""
        stride, (before, _) = self.stride[axis - 2], self.pads[axis - 2]
        span = (dy.shape[axis] - 1) * stride + 1
        config = [(0, 0, 0)] * dy.ndim
        start = offset * self.dilation[axis - 2] - before
        config[axis] = (start, self.from_shape[axis] - start - span, stride - 1)
        return jax.lax.pad(dy, jnp.zeros((), dy.dtype), config)


class AveragePooling(Pooling):
    """y = the mean of each window, without the padding (ONNX count_include_pad = 0).

    With ``count_include_pad`` the padding counts as zeros; not what ``ceil_mode`` has added.
    ``divisor`` is used for all windows in place of the number of elements.
    """

    def __init__(
        self,
        window: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor: int | None = None,
    ) -> None:
        super().__init__(window, stride, padding, ceil_mode)
        self.count_include_pad, self.divisor = bool(count_include_pad), divisor

    def has_kernel(self, x: CTensor) -> bool:
        is_plain = not self.count_include_pad and self.divisor is None
        return is_plain and super().has_kernel(x)

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
        y = widened(x)
        for axis, count in enumerate(outputs, 2):
            y = self.pad(y, axis, 0)
            y = sum(
                (self.view(y, axis, i, count) for i in range(1, self.window[axis - 2])),
                start=self.view(y, axis, 0, count),
            )
        return (y / self.counts(outputs, y.dtype)).astype(x.dtype)

    def share(self, dy: CTensor) -> CTensor:
        """The gradient of each window's mean, shared equally by the window's elements."""
        dtype = dy.dtype
        dy = dy.astype(wide(dtype))
        dx = dy / self.counts(dy.shape[2:], dy.dtype)
        for axis in range(2, dy.ndim):
            dx = sum(
                (self.unview(dx, axis, i) for i in range(1, self.window[axis - 2])),
                start=self.unview(dx, axis, 0),
            )
        return dx.astype(dtype)

    def counts(self, outputs: Sequence[int], dtype: np.dtype) -> CTensor:
        """The number of elements of each window that are counted: (H', W')."""
        if self.divisor is not None:
            return jnp.full((), self.divisor, dtype)
        along = []
        for i, count in enumerate(outputs):
            before, after = self.padding[i] if self.count_include_pad else (0, 0)
            start = np.arange(count) * self.stride[i] - self.padding[i][0]
            end = np.minimum(start + self.window[i], self.from_shape[2 + i] + after)
            along.append(end - np.maximum(start, -before))
        return jnp.asarray(reduce(np.multiply.outer, along), dtype)


class AveragePooling2d(AveragePooling):
    """The same over height and width."""


def avg_pool_1d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.avg_pool_1d(Tensor(data=[[[1.0, 3.0, 2.0, 0.0]]]), 2, stride=1)
        Tensor([[[2. , 2.5, 1. ]]], shape=(1, 1, 3), dtype=float32, device=cpu)
    """
    windows = kernel_size, stride, padding
    return _mean(
        "avg_pool_1d", AveragePooling, x, windows, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool_2d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window, without the padding (ONNX AveragePool).

    Args:
        x: (N, C, H, W).
        kernel_size: the window's size: one number, or (height, width).
        stride: the distance between windows; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.
        ceil_mode: the division for H' is rounded up: there is one more window if the last elements
            are in none. It begins before the end of the image.
        count_include_pad: the padding counts as zeros (which is PyTorch's default).
        divisor_override: divide the sum of each window by this, and not by its elements' number.

    Returns:
        (N, C, H', W') with H' = (H + pads - KH) // stride + 1.

    Example:
        >>> autograd.avg_pool_2d(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
        Tensor([[[[1.5]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
        >>> autograd.avg_pool_2d(Tensor((1, 3, 9, 9)), 3, stride=2, padding=1).shape
        (1, 3, 5, 5)
    """
    windows = kernel_size, stride, padding
    return _mean(
        "avg_pool_2d", AveragePooling2d, x, windows, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool_3d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, D, H, W); see :func:`avg_pool_2d`.

    Example:
        >>> autograd.avg_pool_3d(Tensor((1, 1, 4, 4, 4)), 2).shape
        (1, 1, 2, 2, 2)
    """
    windows = kernel_size, stride, padding
    return _mean(
        "avg_pool_3d", AveragePooling, x, windows, ceil_mode, count_include_pad, divisor_override
    )


def _mean(
    name: str,
    kind: type[AveragePooling],
    x: Tensor,
    sizes: tuple[Sizes, Sizes | None, Sizes],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    window, steps, pads = arguments(name, int(name[-2]), *sizes)
    if divisor is not None:
        (divisor,) = checks.each(f"{name}: divisor_override", divisor, 1, 1)
    return kind(window, steps, pads, ceil_mode, count_include_pad, divisor)(x)[0]


def arguments(
    name: str, rank: int, kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], Padding]:
    """The windows, the distances between them and the padding, checked."""
    window = checks.each(f"{name}: kernel_size", kernel_size, rank, 1)
    steps = window if stride is None else checks.each(f"{name}: stride", stride, rank, 1)
    return window, steps, as_padding(name, padding, rank)
