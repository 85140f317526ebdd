from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

_LARGEST: dict[int, Callable[..., Any]] = {2: max_pool_2d, 3: max_pool_3d}
_MEAN: dict[int, Callable[..., Any]] = {2: avg_pool_2d, 3: avg_pool_3d}


class _Pooling(Layer):
    """Base of the poolings, over ``rank`` spatial axes."""

    rank = 2
    dilation: Sizes = 1

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

    def options(self) -> dict[str, Any]:
        """Further arguments of the function."""
        return {}

    def forward(self, x: Tensor) -> Any:
        stride = self.kernel_size if self.stride is None else self.stride
        padding = self.padding
        if self.pad_mode != "NOTSET":
            padding = same_padding(self.pad_mode, x.shape, self.kernel_size, stride, self.dilation)
        pool = (_LARGEST if self.is_max else _MEAN)[self.rank]
        return pool(x, self.kernel_size, stride, padding, **self.options())


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


class _MaxPool(_Pooling):
    """A pooling of the largest elements, with all options."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        pad_mode: str = "NOTSET",
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, True, pad_mode)
        checks.each(f"{type(self).__name__}: dilation", dilation, self.rank, 1)
        self.dilation = dilation
        self.ceil_mode = bool(ceil_mode)
        self.return_indices = bool(return_indices)

    def options(self) -> dict[str, Any]:
        names = "dilation", "ceil_mode", "return_indices"
        return {name: getattr(self, name) for name in names}


class _AvgPool(_Pooling):
    """A pooling of means, with all options."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        pad_mode: str = "NOTSET",
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, False, pad_mode)
        if divisor_override is not None:
            checks.each(f"{type(self).__name__}: divisor_override", divisor_override, 1, 1)
        self.ceil_mode = bool(ceil_mode)
        self.count_include_pad = bool(count_include_pad)
        self.divisor_override = divisor_override

    def options(self) -> dict[str, Any]:
        names = "ceil_mode", "count_include_pad", "divisor_override"
        return {name: getattr(self, name) for name in names}


class MaxPool2d(_MaxPool, Pooling2d):
    """The largest element of each window. See :class:`Pooling2d`.

    Args:
        kernel_size, stride, padding, pad_mode: see :class:`Pooling2d`.
        dilation, ceil_mode, return_indices: see :func:`singa.autograd.max_pool_2d`.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W'); and their indices, with ``return_indices``.

    Example:
        >>> layer.MaxPool2d(2)(Tensor((2, 3, 8, 8))).shape
        (2, 3, 4, 4)
        >>> layer.MaxPool2d(3, stride=1, padding=1)(Tensor((2, 3, 8, 8))).shape
        (2, 3, 8, 8)
    """


class AvgPool2d(_AvgPool, Pooling2d):
    """The mean of each window. See :class:`Pooling2d`.

    Args:
        kernel_size, stride, padding, pad_mode: see :class:`Pooling2d`.
        ceil_mode, count_include_pad, divisor_override: see :func:`singa.autograd.avg_pool_2d`.

    Shapes:
        x: (N, C, H, W).
        y: (N, C, H', W').

    Example:
        >>> layer.AvgPool2d(2)(Tensor(data=[[[[1.0, 2.0], [3.0, 6.0]]]])).to_numpy()
        array([[[[3.]]]], dtype=float32)
    """


class MaxPool3d(_MaxPool):
    """The largest element of each window of (N, C, D, H, W). See :class:`Pooling2d`.

    Example:
        >>> layer.MaxPool3d(2)(Tensor((2, 3, 4, 8, 8))).shape
        (2, 3, 2, 4, 4)
    """

    rank = 3


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W). See :class:`Pooling2d`.

    Example:
        >>> layer.AvgPool3d((1, 2, 2))(Tensor((2, 3, 4, 8, 8))).shape
        (2, 3, 4, 4, 4)
    """

    rank = 3


class _OneAxis(_Pooling):
    """Pooling along the last axis, by windows of height 1."""

    def forward(self, x: Tensor) -> Any:
        if x.ndim() != 3:
            return super().forward(x)
        found = super().forward(unsqueeze(x, 2))
        return (
            tuple(squeeze(y, 2) for y in found) if isinstance(found, tuple) else squeeze(found, 2)
        )


class MaxPool1d(_OneAxis, _MaxPool, Pooling2d):
    """The largest element of each window along the last axis.

    Args:
        kernel_size, stride, padding: numbers; the windows are (1, kernel_size).
        pad_mode: see :class:`Pooling2d`.
        dilation, ceil_mode, return_indices: see :func:`singa.autograd.max_pool_2d`.

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
        dilation: int = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        sizes = _along_the_last_axis(kernel_size, stride, padding)
        super().__init__(*sizes, pad_mode, (1, dilation), ceil_mode, return_indices)


class AvgPool1d(_OneAxis, _AvgPool, Pooling2d):
    """The mean of each window along the last axis. See :class:`MaxPool1d`.

    Shapes:
        x: (N, C, W), or (N, C, H, W) as in SINGA.
        y: the same with W' in place of W.

    Example:
        >>> layer.AvgPool1d(2)(Tensor(data=[[[1.0, 5.0, 2.0, 4.0]]])).to_numpy()
        array([[[3., 3.]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        pad_mode: str = "NOTSET",
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: int | None = None,
    ) -> None:
        sizes = _along_the_last_axis(kernel_size, stride, padding)
        super().__init__(*sizes, pad_mode, ceil_mode, count_include_pad, divisor_override)


def _along_the_last_axis(
    kernel_size: int, stride: int | None, padding: int
) -> tuple[tuple[int, int], tuple[int, int] | None, tuple[int, int]]:
    return (1, kernel_size), None if stride is None else (1, stride), (0, padding)


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
