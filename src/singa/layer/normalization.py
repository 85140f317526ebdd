from __future__ import annotations

from typing import Any

from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.layer.base import Layer, expect_features, parameter, positive, state
from singa.operation import batchnorm_2d
from singa.tensor import Tensor


class BatchNorm2d(Layer):
    """Batch normalization of each channel (Ioffe and Szegedy, 2015; ONNX BatchNormalization).

    ``BatchNorm2d()`` takes the number of channels from its first input; ``BatchNorm2d(channels)``
    and ``BatchNorm2d(channels, momentum)`` are SINGA's older form.

    Args:
        momentum: the weight of the old running value: running = momentum * running +
            (1 - momentum) * batch, as in ONNX. (SINGA has it the other way round.)
        eps: added to the variance.

    Shapes:
        x, y: (N, C, H, W) or (N, C).

    Parameters:
        scale: (C,), at first 1.
        bias: (C,), at first 0.

    States:
        running_mean: (C,), at first 0.
        running_var: (C,), at first 1; of the biased variance.
    """

    def __init__(self, *args: Any, momentum: float = 0.9, eps: float = 1e-5) -> None:
        self.channels = positive("BatchNorm2d", "channels", args[0]) if args else None
        if len(args) > 1:
            momentum = args[1]
        if len(args) > 2:
            raise DTypeError(
                f"BatchNorm2d: (channels, momentum) at most, got {len(args)} arguments"
            )
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNorm2d: momentum must be from 0 to 1, got {momentum!r}")
        self.momentum = float(momentum)
        self.eps = float(eps)
        self.scale: Tensor
        self.bias: Tensor
        self.running_mean: Tensor
        self.running_var: Tensor

    def initialize(self, x: Tensor) -> None:
        if x.ndim() not in (2, 4):
            raise ShapeError(
                f"BatchNorm2d: the input must be (N, C) or (N, C, H, W), got shape {x.shape}"
            )
        channels = x.shape[1]
        expect_features("BatchNorm2d", "channels", x, channels, self.channels)
        self.channels = channels
        self.scale = parameter((channels,), x).set_value(1.0)
        self.bias = parameter((channels,), x)
        self.register_states(
            running_mean=state((channels,), x),
            running_var=state((channels,), x).set_value(1.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return batchnorm_2d(
            x, self.scale, self.bias, self.running_mean, self.running_var, self.momentum, self.eps
        )
