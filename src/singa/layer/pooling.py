from __future__ import annotations

from collections.abc import Sequence

from singa._tensor import Tensor
from singa.layer.base import Layer
from singa.layer.padding import checked_pad_mode, same_padding
from singa.operation import avg_pool_2d, max_pool_2d


class Pooling2d(Layer):
    """The largest element, or the mean, of each window of an image.

    Args:
        kernel_size: the window's size: one number, or (height, width).
        stride: how far the windows are apart; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.
            It is never the largest element, and does not count in the mean.
        is_max: the largest element, or the mean.
        pad_mode: ``"SAME_UPPER"`` or ``"SAME_LOWER"`` pads by itself, in place of ``padding``, so
            that H' = H / stride, rounded up; what is odd goes below and right, or above and left.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W') with H' = (H + pads - KH) // stride + 1.
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        is_max: bool = True,
        pad_mode: str = "NOTSET",
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.is_max = bool(is_max)
        self.pad_mode = checked_pad_mode(type(self).__name__, pad_mode)

    def forward(self, x: Tensor) -> Tensor:
        stride = self.kernel_size if self.stride is None else self.stride
        padding = self.padding
        if self.pad_mode != "NOTSET":
            padding = same_padding(self.pad_mode, x.shape, self.kernel_size, stride)
        pool = max_pool_2d if self.is_max else avg_pool_2d
        return pool(x, self.kernel_size, stride, padding)


class MaxPool2d(Pooling2d):
    """The largest element of each window. See :class:`Pooling2d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        pad_mode: str = "NOTSET",
    ) -> None:
        super().__init__(kernel_size, stride, padding, True, pad_mode)


class AvgPool2d(Pooling2d):
    """The mean of each window. See :class:`Pooling2d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        pad_mode: str = "NOTSET",
    ) -> None:
        super().__init__(kernel_size, stride, padding, False, pad_mode)


class MaxPool1d(Pooling2d):
    """The largest element of each window along the last axis, of (N, C, H, W) as in SINGA.

    Args:
        kernel_size, stride, padding: numbers, for windows of (1, kernel_size).
        pad_mode: see :class:`Pooling2d`.
    """

    is_largest = True

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        pad_mode: str = "NOTSET",
    ) -> None:
        steps = None if stride is None else (1, stride)
        super().__init__((1, kernel_size), steps, (0, padding), self.is_largest, pad_mode)


class AvgPool1d(MaxPool1d):
    """The mean of each window along the last axis. See :class:`MaxPool1d`."""

    is_largest = False
