"""Layers without parameters for the channels and the windows of images."""

from __future__ import annotations

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function
from singa.layer.making import positive


class _ChannelDropout(Layer):
    def __init__(self, ratio: float = 0.5) -> None:
        operation.ChannelDropout(ratio)  # raises immediately if it is not a probability
        self.ratio = ratio


class Dropout1d(_ChannelDropout):
    """In training, each channel of (N, C, W) is 0 with probability ``ratio``.

    Args:
        ratio: the probability, from 0 to 1. The other channels are divided by 1 - ``ratio``.

    Shapes:
        x, y: (N, C, W).

    Example:
        >>> x = tensor.ones((2, 3, 1))
        >>> autograd.training = True
        >>> set(layer.Dropout1d(0.5)(x).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        return operation.dropout1d(x, self.ratio)


class Dropout2d(_ChannelDropout):
    """In training, each channel of (N, C, H, W) is 0 with probability ``ratio``.

    Args:
        ratio: the probability, from 0 to 1. The other channels are divided by 1 - ``ratio``.

    Shapes:
        x, y: (N, C, H, W).

    Example:
        >>> x = tensor.ones((2, 3, 1, 1))
        >>> autograd.training = True
        >>> set(layer.Dropout2d(0.5)(x).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        return operation.dropout2d(x, self.ratio)


class Dropout3d(_ChannelDropout):
    """In training, each channel of (N, C, D, H, W) is 0 with probability ``ratio``.

    Args:
        ratio: the probability, from 0 to 1. The other channels are divided by 1 - ``ratio``.

    Shapes:
        x, y: (N, C, D, H, W).

    Example:
        >>> x = tensor.ones((2, 3, 1, 1, 1))
        >>> autograd.training = True
        >>> set(layer.Dropout3d(0.5)(x).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        return operation.dropout3d(x, self.ratio)


class LocalResponseNorm(Function, operation=operation.LocalResponseNormalization):
    """Each channel divided by the size of its neighbours.

    The arguments are those of :func:`singa.autograd.local_response_norm`.

    Shapes:
        x, y: (N, C, ...).

    Example:
        >>> layer.LocalResponseNorm(2, alpha=2.0, beta=1.0)(tensor.ones((1, 2))).to_numpy()
        array([[0.5   , 0.3333]], dtype=float32)
    """


class PixelShuffle(Layer):
    """Channels become blocks of pixels; see :func:`singa.autograd.pixel_shuffle`.

    Shapes:
        x: (N, C r^2, H, W), where r is the ``upscale_factor``.
        y: (N, C, H r, W r).

    Example:
        >>> layer.PixelShuffle(2)(Tensor((1, 8, 2, 3))).shape
        (1, 2, 4, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = positive("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, x: Tensor) -> Tensor:
        return operation.pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Layer):
    """Blocks of pixels become channels; see :func:`singa.autograd.pixel_unshuffle`.

    Shapes:
        x: (N, C, H r, W r), where r is the ``downscale_factor``.
        y: (N, C r^2, H, W).

    Example:
        >>> layer.PixelUnshuffle(2)(Tensor((1, 2, 4, 6))).shape
        (1, 8, 2, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = positive("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, x: Tensor) -> Tensor:
        return operation.pixel_unshuffle(x, self.downscale_factor)


class Unfold(Function, operation=operation.Unfold):
    """The elements of each sliding window as a column; see :func:`singa.autograd.unfold`.

    Shapes:
        x: (N, C, *space).
        y: (N, C * elements of a window, number of windows).

    Example:
        >>> layer.Unfold(2)(Tensor((1, 3, 4, 5))).shape
        (1, 12, 12)
    """


class Fold(Function, operation=operation.Fold):
    """Windows added up to images; see :func:`singa.autograd.fold`.

    Shapes:
        x: (N, C * elements of a window, number of windows).
        y: (N, C, *output_size).

    Example:
        >>> layer.Fold((4, 5), 2)(Tensor((1, 12, 12))).shape
        (1, 3, 4, 5)
    """
