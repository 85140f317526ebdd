"""Pooling of the largest elements, and its opposite."""

from __future__ import annotations

import math
from functools import partial

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine import native
from singa.engine.fusion import unfused
from singa.engine.native import pooling as kernels
from singa.errors import ShapeError
from singa.operation import checks
from singa.operation.checks import Sizes
from singa.operation.places import last_written_along, written_along
from singa.operation.pooling import Pooling, arguments
from singa.operation.windows import LETTERS, Padding
from singa.tape import Operation, wide

__all__ = [
    "MaxPooling", "MaxPooling2d", "MaxUnpooling", "max_pool_1d", "max_pool_2d", "max_pool_3d",
    "max_unpool",
]  # fmt: skip


class MaxPooling(Pooling):
    """y = the largest element of each window; of equal ones the first gets the gradient.

    It is never padding, even if all other elements are minus infinity. Backward needs the index of
    this element in its window, row by row: one byte for each window. With ``return_indices`` the
    second output is its index in the image, row by row: int32.
    """

    def __init__(
        self,
        window: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Padding,
        ceil_mode: bool = False,
        dilation: tuple[int, ...] | None = None,
        return_indices: bool = False,
    ) -> None:
        super().__init__(window, stride, padding, ceil_mode, dilation)
        self.return_indices = bool(return_indices)

    def forward(self, x: CTensor) -> CTensor | tuple[CTensor, CTensor]:
        self.outputs(x)
        if self.has_kernel(x) and math.prod(self.window) <= 256:
            y, self.place = native.run(partial(kernels.maximum, window=self.kind), self.largest, x)
        else:
            y, self.place = unfused(self.largest, x)
        return (y, self.indices()) if self.return_indices else y

    def indices(self) -> CTensor:
        """The index in the image of each window's largest element, from its index in the window."""
        place, size = self.place.astype(jnp.int32), 1
        index = jnp.zeros(place.shape, jnp.int32)
        for axis in reversed(range(2, place.ndim)):
            i = axis - 2
            start = np.arange(place.shape[axis], dtype=np.int32) * self.stride[i] - self.pads[i][0]
            start = start.astype(np.int32).reshape(-1, *[1] * (place.ndim - axis - 1))
            index = index + (start + place % self.window[i] * self.dilation[i]) * size
            place, size = place // self.window[i], size * self.from_shape[axis]
        return index

    def backward(self, dy: CTensor, *_: CTensor) -> CTensor:
        if self.has_kernel(dy) and self.place.dtype == np.uint8:
            kernel = partial(kernels.maximum_gradient, x=self.from_shape, window=self.kind)
            return native.run(kernel, self.spread, dy, self.place)
        return unfused(self.spread, dy, self.place)

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
        start = np.arange(count) * self.stride[axis - 2] - self.pads[axis - 2][0]
        first = -(np.minimum(start, 0) // self.dilation[axis - 2])
        first = first.reshape(-1, *[1] * (x.ndim - axis - 1))

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
        return dx.astype(dy.dtype)


class MaxPooling2d(MaxPooling):
    """The same over height and width."""


class MaxUnpooling(Operation):
    """y = zeros, but for the elements of x at their indices in the image, row by row.

    If several elements have the same index, one of them is there, and has the gradient. If an index
    is outside of the image, all of y is NaN, and there is no gradient.
    """

    whole_from = 2

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: CTensor, indices: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        if x.shape != indices.shape or x.ndim != 2 + len(self.size):
            raise ShapeError(
                f"{self.name}: the input must be (N, C, {LETTERS[len(self.size)]}), and the "
                f"indices of its shape; got {x.shape} and {indices.shape}"
            )
        area, planes = math.prod(self.size), x.shape[:2]
        indices = checks.integer_input(self, "indices", indices).reshape(*planes, -1)
        is_inside = (indices >= 0) & (indices < area)
        self.from_shape, self.all_inside = x.shape, is_inside.all()
        self.places = jnp.where(is_inside, indices, -1).astype(np.int32)
        updates = jnp.where(self.all_inside, x.reshape(indices.shape), jnp.nan)
        empty = jnp.full((*planes, area), jnp.where(self.all_inside, 0, jnp.nan), x.dtype)
        y = written_along(empty, self.places, updates, 2, "set")
        return y.reshape(*planes, *self.size)

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        dy, places = dy.reshape(*dy.shape[:2], -1), jnp.maximum(self.places, 0)
        is_there = last_written_along(self.places, 2, dy.shape[2]) & self.all_inside
        dx = jnp.take_along_axis(dy, places, 2, mode="promise_in_bounds")
        return jnp.where(is_there, dx, 0).reshape(self.from_shape), None


def max_pool_1d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of (N, C, W); see :func:`max_pool_2d`.

    Example:
        >>> autograd.max_pool_1d(Tensor(data=[[[1.0, 3.0, 2.0, 0.0]]]), 2)
        Tensor([[[3., 2.]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    windows = kernel_size, stride, padding, dilation
    return _largest("max_pool_1d", MaxPooling, x, windows, ceil_mode, return_indices)


def max_pool_2d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of (N, C, H, W) (ONNX MaxPool).

    Of equal ones the first gets the gradient.

    Args:
        x, kernel_size, stride, padding, ceil_mode: see :func:`avg_pool_2d`.
        dilation: the distance between the elements of a window: one number, or (height, width).
        return_indices: also return the index of each result in its image, row by row, for
            :func:`max_unpool`: int32, of the result's shape.

    Example:
        >>> autograd.max_pool_2d(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
        Tensor([[[[3.]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
    """
    windows = kernel_size, stride, padding, dilation
    return _largest("max_pool_2d", MaxPooling2d, x, windows, ceil_mode, return_indices)


def max_pool_3d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of (N, C, D, H, W); see :func:`max_pool_2d`.

    Example:
        >>> autograd.max_pool_3d(Tensor((1, 1, 4, 4, 4)), 2).shape
        (1, 1, 2, 2, 2)
    """
    windows = kernel_size, stride, padding, dilation
    return _largest("max_pool_3d", MaxPooling, x, windows, ceil_mode, return_indices)


def max_unpool(
    x: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Tensor:
    """The largest elements back in their places in the image; all other elements are 0.

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W), the result of a pooling.
        indices: of x's shape: what the pooling returned with ``return_indices``.
        kernel_size, stride, padding: those of the pooling.
        output_size: the image's size, one number for each axis. If None it is the smallest that
            the pooling takes: (H' - 1) * stride - pads + KH.

    Returns:
        ``(N, C, *output_size)``; NaN if an index is outside of it.

    Example:
        >>> x = Tensor(data=[[[1.0, 3.0, 2.0, 0.0]]])
        >>> autograd.max_unpool(*autograd.max_pool_1d(x, 2, return_indices=True), 2)
        Tensor([[[0., 3., 2., 0.]]], shape=(1, 1, 4), dtype=float32, device=cpu)
    """
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(f"max_unpool: the input must be (N, C, ...), 3 to 5 axes, got {x.shape}")
    window, steps, pads = arguments("max_unpool", rank, kernel_size, stride, padding)
    if output_size is not None:
        size = checks.each("max_unpool: output_size", output_size, rank, 1)
    else:
        size = tuple(
            (count - 1) * step - sum(pad) + length
            for count, step, pad, length in zip(x.shape[2:], steps, pads, window, strict=True)
        )
    return MaxUnpooling(size)(x, indices)[0]


def _largest(
    name: str,
    kind: type[MaxPooling],
    x: Tensor,
    windows: tuple[Sizes, Sizes | None, Sizes, Sizes],
    ceil_mode: bool,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    kernel_size, stride, padding, dilation = windows
    window, steps, pads = arguments(name, int(name[-2]), kernel_size, stride, padding)
    gaps = checks.each(f"{name}: dilation", dilation, len(window), 1)
    found = kind(window, steps, pads, ceil_mode, gaps, return_indices)(x)
    return (found[0], found[1]) if return_indices else found[0]
