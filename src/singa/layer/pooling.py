from __future__ import annotations

from collections.abc import Sequence

from singa.layer.base import Layer
from singa.operation import avg_pool_2d, max_pool_2d
from singa.tensor import Tensor


class Pooling2d(Layer):
    """The largest element, or the mean, of each window of an image.

    Args:
        kernel_size: the window's size: one number, or (height, width).
        stride: how far the windows are apart; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.
            It is never the largest element, and does not count in the mean.
        is_max: the largest element, or the mean.

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
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.is_max = bool(is_max)

    def forward(self, x: Tensor) -> Tensor:
        pool = max_pool_2d if self.is_max else avg_pool_2d
        return pool(x, self.kernel_size, self.stride, self.padding)


class MaxPool2d(Pooling2d):
    """The largest element of each window. See :class:`Pooling2d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None:
        super().__init__(kernel_size, stride, padding, is_max=True)


class AvgPool2d(Pooling2d):
    """The mean of each window. See :class:`Pooling2d`."""

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None:
        super().__init__(kernel_size, stride, padding, is_max=False)
