from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from singa._tensor import Tensor
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.layer.base import Layer, expect_features, parameter, positive
from singa.layer.padding import checked_pad_mode, same_padding
from singa.operation import checks, conv2d, relu


class Conv2d(Layer):
    """Convolution of images with learned filters (ONNX Conv).

    ``Conv2d(filters, kernel_size)`` takes the number of input channels from its first input;
    ``Conv2d(in, out, kernel_size[, stride[, padding]])`` is SINGA's older form.

    Args:
        nb_kernels: the number of filters, which is the number of output channels.
        kernel_size, stride, dilation: one number, or (height, width).
        padding: one number, (height, width), or (top, bottom, left, right).
        group: the channels are split into so many groups that do not see each other.
        bias: whether to add a bias to each output channel.
        pad_mode: ``"SAME_UPPER"`` or ``"SAME_LOWER"`` pads by itself, in place of ``padding``, so
            that H' = H / stride, rounded up; what is odd goes below and right, or above and left.
        activation: ``"RELU"`` for max(y, 0).

    Shapes:
        x: (N, C, H, W).
        y: (N, O, H', W') with H' = (H + pads - dilation (KH - 1) - 1) // stride + 1.

    Parameters:
        W: (O, C / group, KH, KW), at first normal with variance 2 / (C / group KH KW + O).
        b: (O,), at first 0; absent with ``bias=False``.
    """

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: int | Sequence[int],
        *args: Any,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        group: int = 1,
        bias: bool = True,
        pad_mode: str = "NOTSET",
        activation: str = "NOTSET",
    ) -> None:
        self.in_channels: int | None = None
        if args:
            self.in_channels = positive("Conv2d", "in_channels", nb_kernels)
            nb_kernels, kernel_size = positive("Conv2d", "nb_kernels", kernel_size), args[0]
        if len(args) > 1:
            stride = args[1]
        if len(args) > 2:
            padding = args[2]
        if len(args) > 3:
            raise DTypeError(
                "Conv2d: (in, out, kernel_size, stride, padding) at most by position, "
                f"got {len(args) + 2} arguments"
            )
        self.nb_kernels = positive("Conv2d", "nb_kernels", nb_kernels)
        self.kernel_size = checks.pair("Conv2d: kernel_size", kernel_size, 1)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.group = positive("Conv2d", "group", group)
        if self.nb_kernels % self.group or (self.in_channels or 0) % self.group:
            raise ArgumentError(
                f"Conv2d: {self.in_channels or 'the'} input and {self.nb_kernels} output channels "
                f"must be multiples of group={self.group}"
            )
        self.bias = bool(bias)
        self.pad_mode = checked_pad_mode("Conv2d", pad_mode)
        if activation not in ("NOTSET", "RELU"):
            raise ArgumentError(f"Conv2d: activation must be NOTSET or RELU, got {activation!r}")
        self.activation = activation
        self.W: Tensor
        self.b: Tensor | None = None

    def initialize(self, x: Tensor) -> None:
        if x.ndim() != 4:
            raise ShapeError(f"Conv2d: the input must be (N, C, H, W), got shape {x.shape}")
        channels = x.shape[1]
        expect_features("Conv2d", "channels", x, channels, self.in_channels)
        if channels % self.group:
            raise ShapeError(f"Conv2d: {channels} channels are no multiple of group={self.group}")
        self.in_channels = channels
        self.W = parameter((self.nb_kernels, channels // self.group, *self.kernel_size), x)
        fan_in = channels // self.group * self.kernel_size[0] * self.kernel_size[1]
        self.W.gaussian(0.0, math.sqrt(2.0 / (fan_in + self.nb_kernels)))
        if self.bias:
            self.b = parameter((self.nb_kernels,), x)

    def forward(self, x: Tensor) -> Tensor:
        padding = self.padding
        if self.pad_mode != "NOTSET":
            padding = same_padding(
                self.pad_mode, x.shape, self.kernel_size, self.stride, self.dilation
            )
        y = conv2d(x, self.W, self.b, self.stride, padding, self.dilation, self.group)
        return relu(y) if self.activation == "RELU" else y


class SeparableConv2d(Layer):
    """A convolution of each channel by itself, then one of single pixels over all channels.

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
    """

    def __init__(
        self,
        nb_kernels: int,
        kernel_size: int | Sequence[int],
        *args: Any,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        bias: bool = False,
    ) -> None:
        self.depthwise_conv = _DepthwiseConv2d(
            nb_kernels, kernel_size, *args, stride=stride, padding=padding, bias=bias
        )
        self.point_conv = Conv2d(self.depthwise_conv.nb_kernels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depthwise_conv(x))


class _DepthwiseConv2d(Conv2d):
    """A convolution with one filter for each channel, however many there are."""

    def initialize(self, x: Tensor) -> None:
        if x.ndim() == 4:
            self.nb_kernels = self.group = x.shape[1]
        super().initialize(x)
