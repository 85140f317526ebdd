from __future__ import annotations

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function
from singa.operation import (
    avg_pool_2d,
    avg_pool_3d,
    checks,
    max_pool_2d,
    max_pool_3d,
    squeeze,
    unsqueeze,
)
from singa.operation.checks import Sizes
from singa.operation.windows import as_padding, checked_pad_mode, same_padding

_LARGEST = {2: max_pool_2d, 3: max_pool_3d}
_MEAN = {2: avg_pool_2d, 3: avg_pool_3d}


class _Pooling(Layer):
    """Base of the poolings, over ``rank`` spatial axes."""

    rank = 2

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        is_max: bool = True,
        pad_mode: str = "NOTSET",
    ) -> None:
        name = type(self).__name__
        # Check them now, but store them as they were given.
        checks.each(f"{name}: kernel_size", kernel_size, self.rank, 1)
        if stride is not None:
            checks.each(f"{name}: stride", stride, self.rank, 1)
        as_padding(name, padding, self.rank)
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
        pool = (_LARGEST if self.is_max else _MEAN)[self.rank]
        return pool(x, self.kernel_size, stride, padding)


class Pooling2d(_Pooling):
    """The largest element, or the mean, of each window of an image.

    Args:
        kernel_size: the window's size: one number, or (height, width).
        stride: the distance between windows; the window's size if None.
        padding: one number, (height, width), or (top, bottom, left, right); less than the window.
            It is never the largest element, and is not included in the mean.
        is_max: the largest element, or the mean.
        pad_mode: ``"SAME_UPPER"`` or ``"SAME_LOWER"`` chooses the padding, instead of ``padding``,
            so that H' = H / stride, rounded up; an odd pixel is added below and right, or above and
            left.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W') with H' = (H + pads - KH) // stride + 1.

    Example:
        >>> x = Tensor(data=np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4))
        >>> layer.Pooling2d(2)(x).to_numpy()[0, 0]
        array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
        >>> layer.Pooling2d(3, 1, padding=1)(x).shape
        (1, 1, 4, 4)
        >>> layer.Pooling2d(3, 2, pad_mode="SAME_UPPER", is_max=False)(Tensor((2, 3, 7, 7))).shape
        (2, 3, 4, 4)
    """


class _OneKind(_Pooling):
    """A pooling whose class decides between largest elements and means."""

    is_largest = True

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        pad_mode: str = "NOTSET",
    ) -> None:
        super().__init__(kernel_size, stride, padding, self.is_largest, pad_mode)


class MaxPool2d(_OneKind, Pooling2d):
    """The largest element of each window. See :class:`Pooling2d`.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W').

    Example:
        >>> layer.MaxPool2d(2)(Tensor((2, 3, 8, 8))).shape
        (2, 3, 4, 4)
        >>> layer.MaxPool2d(3, stride=1, padding=1)(Tensor((2, 3, 8, 8))).shape
        (2, 3, 8, 8)
    """


class AvgPool2d(_OneKind, Pooling2d):
    """The mean of each window. See :class:`Pooling2d`.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W').

    Example:
        >>> layer.AvgPool2d(2)(Tensor(data=[[[[1.0, 2.0], [3.0, 6.0]]]])).to_numpy()
        array([[[[3.]]]], dtype=float32)
    """

    is_largest = False


class MaxPool3d(_OneKind):
    """The largest element of each window of (N, C, D, H, W). See :class:`Pooling2d`.

    Example:
        >>> layer.MaxPool3d(2)(Tensor((2, 3, 4, 8, 8))).shape
        (2, 3, 2, 4, 4)
    """

    rank = 3


class AvgPool3d(_OneKind):
    """The mean of each window of (N, C, D, H, W). See :class:`Pooling2d`.

    Example:
        >>> layer.AvgPool3d((1, 2, 2))(Tensor((2, 3, 4, 8, 8))).shape
        (2, 3, 4, 4, 4)
    """

    rank = 3
    is_largest = False


class MaxPool1d(_OneKind, Pooling2d):
    """The largest element of each window along the last axis.

    Args:
        kernel_size, stride, padding: numbers; the windows are (1, kernel_size).
        pad_mode: see :class:`Pooling2d`.

    Shapes:
        x: (N, C, W), or (N, C, H, W) as in SINGA.
        y: the same with W' = (W + 2 padding - kernel_size) // stride + 1 in place of W.

    Example:
        >>> layer.MaxPool1d(2)(Tensor(data=[[[1.0, 5.0, 2.0, 3.0]]])).to_numpy()
        array([[[5., 3.]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        pad_mode: str = "NOTSET",
    ) -> None:
        steps = None if stride is None else (1, stride)
        super().__init__((1, kernel_size), steps, (0, padding), pad_mode)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim() != 3:
            return super().forward(x)
        return squeeze(super().forward(unsqueeze(x, 2)), 2)


class AvgPool1d(MaxPool1d):
    """The mean of each window along the last axis. See :class:`MaxPool1d`.

    Shapes:
        x: (N, C, W), or (N, C, H, W) as in SINGA.
        y: the same with W' in place of W.

    Example:
        >>> layer.AvgPool1d(2)(Tensor(data=[[[1.0, 5.0, 2.0, 4.0]]])).to_numpy()
        array([[[3., 3.]]], dtype=float32)
    """

    is_largest = False


class GlobalAvgPool(Function, operation=operation.GlobalAveragePool):
    """The mean over all spatial axes, which are kept with size 1 (ONNX GlobalAveragePool).

    Args:
        data_format: ``"channels_first"`` for (N, C, ...), or ``"channels_last"``.

    Shapes:
        x: (N, C, ...), or (N, ..., C).
        y: (N, C, 1, ...), or (N, 1, ..., C).

    Example:
        >>> layer.GlobalAvgPool()(Tensor((2, 3, 8, 8))).shape
        (2, 3, 1, 1)
        >>> layer.GlobalAvgPool(data_format="channels_last")(Tensor((2, 8, 8, 3))).shape
        (2, 1, 1, 3)
    """


class AdaptiveAvgPool(Layer):
    """The means of windows whose size is chosen so that the result has ``size``.

    See :func:`singa.autograd.adaptive_avg_pool`.

    Args:
        size: of the result: one number, or one for each spatial axis.

    Shapes:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        y: (N, C) and ``size``.

    Example:
        >>> layer.AdaptiveAvgPool(2)(Tensor(data=[[[1.0, 2.0, 3.0, 4.0]]])).to_numpy()
        array([[[1.5, 3.5]]], dtype=float32)
        >>> layer.AdaptiveAvgPool((3, 5))(Tensor((2, 6, 8, 8))).shape
        (2, 6, 3, 5)
    """

    pool = staticmethod(operation.adaptive_avg_pool)

    def __init__(self, size: Sizes) -> None:
        checks.integers(f"{type(self).__name__}: size", size, 1)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x, self.size)


class AdaptiveMaxPool(AdaptiveAvgPool):
    """The largest elements of such windows. See :class:`AdaptiveAvgPool`.

    Shapes:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        y: (N, C) and ``size``.

    Example:
        >>> layer.AdaptiveMaxPool(2)(Tensor(data=[[[1.0, 2.0, 3.0, 4.0]]])).to_numpy()
        array([[[2., 4.]]], dtype=float32)
    """

    pool = staticmethod(operation.adaptive_max_pool)
