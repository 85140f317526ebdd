from __future__ import annotations

import math
from typing import Any

from singa.core.tensor import Tensor
from singa.errors import ArgumentError, ShapeError
from singa.layer.base import Layer
from singa.layer.making import Initializer, expect_features, parameter, positive, weight
from singa.layer.older_forms import by_position
from singa.operation import checks, conv1d, conv2d, conv3d, conv_transpose, relu
from singa.operation.checks import Sizes
from singa.operation.convolution import checked_padding_mode
from singa.operation.windows import LETTERS, as_padding, named_padding, same_padding

_NEWER = ("nb_kernels", "kernel_size")
_OLDER = ("in_channels", "nb_kernels", "kernel_size", "stride", "padding")

_CONVOLVE = {1: conv1d, 2: conv2d, 3: conv3d}


class Filters(Layer):
    """Base of convolutions and transposed convolutions, over ``rank`` spatial axes."""

    rank: int

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: Sizes,
        *args: Any,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        group: int = 1,
        bias: bool = True,
        initializer: Initializer | None = None,
    ) -> None:
        name = type(self).__name__
        given = by_position(
            name, (nb_kernels, kernel_size, *args), _NEWER, _OLDER, stride=stride, padding=padding
        )
        stride, padding = given["stride"], given["padding"]
        self.in_channels: int | None = None
        if "in_channels" in given:
            self.in_channels = positive(name, "in_channels", given["in_channels"])
        self.nb_kernels = positive(name, "nb_kernels", given["nb_kernels"])
        self.kernel_size = checks.each(f"{name}: kernel_size", given["kernel_size"], self.rank, 1)
        # Said at once, if they are none; kept as they were given.
        checks.each(f"{name}: stride", stride, self.rank, 1)
        checks.each(f"{name}: dilation", dilation, self.rank, 1)
        as_padding(name, padding, self.rank)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.group = positive(name, "group", group)
        if self.nb_kernels % self.group or (self.in_channels or 0) % self.group:
            raise ArgumentError(
                f"{name}: {self.in_channels or 'the'} input and {self.nb_kernels} output channels "
                f"must be multiples of group={self.group}"
            )
        self.bias = bool(bias)
        self.initializer = initializer
        self.W: Tensor
        self.b: Tensor | None = None

    def initialize(self, x: Tensor) -> None:
        name = type(self).__name__
        if x.ndim() != 2 + self.rank:
            raise ShapeError(
                f"{name}: the input must be (N, C, {LETTERS[self.rank]}), got shape {x.shape}"
            )
        channels = x.shape[1]
        expect_features(name, "channels", x, channels, self.in_channels)
        if channels % self.group:
            raise ShapeError(
                f"{name}: {channels} channels are not a multiple of group={self.group}"
            )
        self.in_channels = channels
        fan_in = channels // self.group * math.prod(self.kernel_size)
        std = math.sqrt(2.0 / (fan_in + self.nb_kernels))
        shape = (*self.ends(channels), *self.kernel_size)
        self.W = weight(shape, x, std, self.initializer)
        if self.bias:
            self.b = parameter((self.nb_kernels,), x)

    def ends(self, channels: int) -> tuple[int, int]:
        """The first two axes of W."""
        return self.nb_kernels, channels // self.group


class _Convolution(Filters):
    """Base of the convolutions."""

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: Sizes,
        *args: Any,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        group: int = 1,
        bias: bool = True,
        pad_mode: str = "NOTSET",
        activation: str = "NOTSET",
        initializer: Initializer | None = None,
        padding_mode: str = "zeros",
    ) -> None:
        name = type(self).__name__
        self.padding_mode = checked_padding_mode(name, padding_mode)
        if len(args) == 3:  # the older form, with padding as its last argument
            padding, args = args[-1], args[:-1]
        pads, self.pad_mode = named_padding(name, padding, pad_mode)
        super().__init__(
            nb_kernels, kernel_size, *args,
            stride=stride, padding=pads, dilation=dilation, group=group, bias=bias,
            initializer=initializer,
        )  # fmt: skip
        if activation not in ("NOTSET", "RELU"):
            raise ArgumentError(f"{name}: activation must be NOTSET or RELU, got {activation!r}")
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        padding = self.padding
        if self.pad_mode != "NOTSET":
            padding = same_padding(
                self.pad_mode, x.shape, self.kernel_size, self.stride, self.dilation
            )
        convolve = _CONVOLVE[self.rank]
        y = convolve(
            x, self.W, self.b, self.stride, padding, self.dilation, self.group, self.padding_mode
        )
        return relu(y) if self.activation == "RELU" else y


class Conv2d(_Convolution):
    """Convolution of images with learned filters (ONNX Conv).

    ``Conv2d(filters, kernel_size)`` takes the number of input channels from its first input;
    ``Conv2d(in, out, kernel_size[, stride[, padding]])`` is SINGA's older form.

    Args:
        nb_kernels: the number of filters, which is the number of output channels.
        kernel_size, stride, dilation: one number, or (height, width).
        padding: one number, (height, width), or (top, bottom, left, right); ``"same"`` is
            ``pad_mode="SAME_UPPER"``, and ``"valid"`` is 0.
        group: the number of independent groups into which the channels are split.
        bias: whether to add a bias to each output channel.
        pad_mode: ``"SAME_UPPER"`` or ``"SAME_LOWER"`` chooses the padding, instead of ``padding``,
            so that H' = H / stride, rounded up; an odd pixel is added below and right, or above and
            left.
        activation: ``"RELU"`` for max(y, 0).
        initializer: fills W, such as ``initializer.he_normal``.
        padding_mode: the padding's values: ``"zeros"``, ``"reflect"``, ``"replicate"`` or
            ``"circular"``; see :func:`singa.autograd.conv2d`.

    Shapes:
        x: (N, C, H, W).
        y: (N, O, H', W') with H' = (H + pads - dilation (KH - 1) - 1) // stride + 1.

    Parameters:
        W: (O, C / group, KH, KW), initially normal with variance 2 / (C / group KH KW + O) unless
            an initializer is given.
        b: (O,), initially 0; absent with ``bias=False``.

    Example:
        >>> layer.Conv2d(6, 3)(Tensor((2, 3, 8, 8))).shape
        (2, 6, 6, 6)
        >>> layer.Conv2d(6, 3, padding=1, bias=False)(Tensor((2, 3, 8, 8))).shape
        (2, 6, 8, 8)
        >>> layer.Conv2d(6, 3, stride=2, padding=(1, 0, 1, 0))(Tensor((2, 3, 8, 8))).shape
        (2, 6, 4, 4)
        >>> layer.Conv2d(6, 3, stride=2, pad_mode="SAME_UPPER")(Tensor((2, 3, 7, 7))).shape
        (2, 6, 4, 4)
    """

    rank = 2


class Conv1d(_Convolution):
    """Convolution of sequences (N, C, W). See :class:`Conv2d`; padding may be (before, after).

    Shapes:
        x: (N, C, W).
        y: (N, O, W').

    Example:
        >>> layer.Conv1d(6, 3, padding=(2, 0))(Tensor((2, 4, 10))).shape
        (2, 6, 10)
    """

    rank = 1


class Conv3d(_Convolution):
    """Convolution of volumes (N, C, D, H, W). See :class:`Conv2d`.

    Shapes:
        x: (N, C, D, H, W).
        y: (N, O, D', H', W').

    Example:
        >>> layer.Conv3d(6, 3, padding=1)(Tensor((2, 1, 4, 8, 8))).shape
        (2, 6, 4, 8, 8)
    """

    rank = 3


class _ConvolutionTranspose(Filters):
    """Base of the transposed convolutions."""

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: Sizes,
        *args: Any,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        group: int = 1,
        bias: bool = True,
        initializer: Initializer | None = None,
    ) -> None:
        super().__init__(
            nb_kernels, kernel_size, *args,
            stride=stride, padding=padding, dilation=dilation, group=group, bias=bias,
            initializer=initializer,
        )  # fmt: skip
        name = f"{type(self).__name__}: output_padding"
        checks.each(name, output_padding, self.rank, 0)
        self.output_padding = output_padding

    def ends(self, channels: int) -> tuple[int, int]:
        return channels, self.nb_kernels // self.group

    def forward(self, x: Tensor) -> Tensor:
        return conv_transpose(
            x, self.W, self.b,
            self.stride, self.padding, self.output_padding, self.group, self.dilation,
        )  # fmt: skip


class ConvTranspose2d(_ConvolutionTranspose):
    """Applies to images what the backward of :class:`Conv2d` applies to gradients: enlarges them.

    Its forms and arguments are those of Conv2d, without ``pad_mode`` and ``activation``.

    Args:
        padding: how much is removed from each side of the result.
        output_padding: how much is added again at the end of each axis; less than the stride.

    Shapes:
        x: (N, C, H, W).
        y: (N, O, H', W') with
            H' = (H - 1) stride - pads + dilation (KH - 1) + 1 + output_padding.

    Parameters:
        W: (C, O / group, KH, KW), initially normal with variance 2 / (C / group KH KW + O) unless
            an initializer is given; initializers need ``data_format="transposed"`` for these axes.
        b: (O,), initially 0; absent with ``bias=False``.

    Example:
        >>> up = layer.ConvTranspose2d(3, 3, stride=2, padding=1, output_padding=1)
        >>> up(Tensor((2, 6, 8, 8))).shape
        (2, 3, 16, 16)
    """

    rank = 2


class ConvTranspose1d(_ConvolutionTranspose):
    """The same for sequences (N, C, W). See :class:`ConvTranspose2d`.

    Shapes:
        x: (N, C, W).
        y: (N, O, W').

    Example:
        >>> layer.ConvTranspose1d(3, 4, stride=2, padding=1)(Tensor((2, 6, 8))).shape
        (2, 3, 16)
    """

    rank = 1


class ConvTranspose3d(_ConvolutionTranspose):
    """The same for volumes (N, C, D, H, W). See :class:`ConvTranspose2d`.

    Shapes:
        x: (N, C, D, H, W).
        y: (N, O, D', H', W').

    Example:
        >>> layer.ConvTranspose3d(3, 2, stride=2)(Tensor((2, 6, 4, 8, 8))).shape
        (2, 3, 8, 16, 16)
    """

    rank = 3


class SeparableConv2d(Layer):
    """A convolution of each channel separately, then one of single pixels over all channels.

    ``SeparableConv2d(filters, kernel_size)`` takes the number of input channels from its first
    input; ``SeparableConv2d(in, out, kernel_size[, stride[, padding]])`` is SINGA's older form.

    Args:
        nb_kernels: the number of output channels.
        kernel_size, stride, padding: of the first convolution; see :class:`Conv2d`.
        bias: whether both add a bias.

    Shapes:
        x: (N, C, H, W).
        y: (N, nb_kernels, H', W').

    Layers:
        depthwise_conv: a Conv2d of C channels in C groups.
        point_conv: a Conv2d with windows of one pixel.

    Example:
        >>> separable = layer.SeparableConv2d(6, 3, padding=1)
        >>> separable(Tensor((2, 3, 8, 8))).shape
        (2, 6, 8, 8)
        >>> {name: p.shape for name, p in separable.get_params().items()}
        {'depthwise_conv.W': (3, 1, 3, 3), 'point_conv.W': (6, 3, 1, 1)}
    """

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: Sizes,
        *args: Any,
        stride: Sizes = 1,
        padding: Sizes = 0,
        bias: bool = False,
    ) -> None:
        self.depthwise_conv = DepthwiseConv2d(
            nb_kernels, kernel_size, *args, stride=stride, padding=padding, bias=bias
        )
        self.point_conv = Conv2d(self.depthwise_conv.nb_kernels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depthwise_conv(x))


class DepthwiseConv2d(Conv2d):
    """A convolution with one filter for each channel, for any number of channels."""

    def initialize(self, x: Tensor) -> None:
        if x.ndim() == 4:
            self.nb_kernels = self.group = x.shape[1]
        super().initialize(x)
