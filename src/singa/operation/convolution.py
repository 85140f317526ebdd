"""Convolution. Users see NCHW; so does XLA, which picks a layout of its own inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import native
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.native import convolution as kernels
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = ["Convolution2d", "conv2d"]

Padding = tuple[tuple[int, int], tuple[int, int]]

_LAYOUT = ("NCHW", "OIHW", "NCHW")


class Convolution2d(Operation):
    """y = x * W + b, a cross-correlation over height and width (ONNX Conv).

    With x (N, C, H, W), W (O, C / groups, KH, KW) and b (O,), y is (N, O, H', W') with
    H' = (H + pads - dilation (KH - 1) - 1) // stride + 1.
    """

    def __init__(
        self,
        stride: tuple[int, int],
        padding: Padding,
        dilation: tuple[int, int],
        groups: int,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: CTensor, w: CTensor, b: CTensor | None = None) -> CTensor:
        self._check(x, w, b)
        # XLA convolves equal types only; all gradients are then of that type too.
        dtype = jnp.result_type(x, w) if b is None else jnp.result_type(x, w, b)
        x, w = x.astype(dtype), w.astype(dtype)
        self.x, self.w, self.has_bias = x, w, b is not None
        if b is None:
            return self._either(
                lambda x, w: kernels.convolution(x, w, None, self._window), self._convolve, x, w
            )
        return self._either(
            lambda x, w, b: kernels.convolution(x, w, b, self._window),
            lambda x, w, b: self._convolve(x, w) + b[:, None, None],
            x, w, b.astype(dtype),
        )  # fmt: skip

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        dx = self._either(
            lambda dy, w: kernels.input_gradient(dy, w, self.x.shape, self._window),
            self._input_gradient,
            dy, self.w,
        )  # fmt: skip
        if not self.has_bias:
            dw = self._either(
                lambda x, dy: self._native_weight_gradient(x, dy)[0],
                self._weight_gradient,
                self.x, dy,
            )  # fmt: skip
            return dx, dw
        dw, db = self._either(
            self._native_weight_gradient,
            lambda x, dy: (self._weight_gradient(x, dy), dy.sum((0, 2, 3))),
            self.x, dy,
        )  # fmt: skip
        return dx, dw, db

    @property
    def _window(self) -> kernels.Window:
        return kernels.Window(self.stride, self.padding, self.dilation, self.groups)

    def _either(self, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor) -> Any:
        if kernels.supports(self.x, self.w, self._window):
            return native.run(kernel, formula, *xs)
        return formula(*xs)

    def _native_weight_gradient(self, x: CTensor, dy: CTensor) -> tuple[CTensor, CTensor]:
        return kernels.weight_gradient(x, dy, self.w.shape, self.has_bias, self._window)

    def _convolve(self, x: CTensor, w: CTensor) -> CTensor:
        return jax.lax.conv_general_dilated(
            x,
            w,
            self.stride,
            self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=_LAYOUT,
            feature_group_count=self.groups,
        )

    def _input_gradient(self, dy: CTensor, w: CTensor) -> CTensor:
        # Each output spreads over the inputs it saw: a convolution of dy, its elements ``stride``
        # apart, with W mirrored and its input and output channels exchanged within each group.
        out, in_per_group, *_ = w.shape
        w = w.reshape(self.groups, out // self.groups, in_per_group, *w.shape[2:])
        w = w.swapaxes(1, 2).reshape(self.x.shape[1], out // self.groups, *self.w.shape[2:])
        padding = []
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.w.shape[2 + axis] - 1)
            spread = (dy.shape[2 + axis] - 1) * self.stride[axis] + 1
            before = reach - self.padding[axis][0]
            padding.append((before, self.x.shape[2 + axis] + reach - spread - before))
        return jax.lax.conv_general_dilated(
            dy,
            w[:, :, ::-1, ::-1],
            (1, 1),
            padding,
            lhs_dilation=self.stride,
            rhs_dilation=self.dilation,
            dimension_numbers=_LAYOUT,
            feature_group_count=self.groups,
        )

    def _weight_gradient(self, x: CTensor, dy: CTensor) -> CTensor:
        # A convolution of x with dy in which batch and channels change places, stride and
        # dilation too. What the forward pass never reached at the far side is padded away.
        padding = []
        for axis in (0, 1):
            before = self.padding[axis][0]
            reach = self.dilation[axis] * (self.w.shape[2 + axis] - 1)
            spread = (dy.shape[2 + axis] - 1) * self.stride[axis] + 1
            padding.append((before, spread + reach - self.x.shape[2 + axis] - before))
        return jax.lax.conv_general_dilated(
            x,
            dy,
            self.dilation,
            padding,
            rhs_dilation=self.stride,
            dimension_numbers=("CNHW", "IOHW", "CNHW"),
            batch_group_count=self.groups,
        )

    def _check(self, x: CTensor, w: CTensor, b: CTensor | None) -> None:
        checks.rank(self, "the input", x, 4, "(N, C, H, W)")
        checks.rank(self, "the weight", w, 4, "(O, C / groups, KH, KW)")
        checks.float_input(self, "the input", x)
        if x.shape[1] != w.shape[1] * self.groups or w.shape[0] % self.groups:
            raise ShapeError(
                f"{self.name}: the input has {x.shape[1]} channels; a weight of shape {w.shape} "
                f"with {self.groups} group(s) needs {w.shape[1] * self.groups}"
                f" and a multiple of {self.groups} outputs"
            )
        if b is not None and b.shape != w.shape[:1]:
            raise ShapeError(f"{self.name}: the bias must be {w.shape[:1]}, got {b.shape}")
        for axis, name in ((0, "height"), (1, "width")):
            size = x.shape[2 + axis] + sum(self.padding[axis])
            window = self.dilation[axis] * (w.shape[2 + axis] - 1) + 1
            if size < window:
                raise ShapeError(
                    f"{self.name}: the window is {window} in {name}, the padded input only {size}"
                )


def as_padding(name: str, value: int | Sequence[int]) -> Padding:
    """Padding of both axes: one number, (height, width), or (top, bottom, left, right)."""
    if isinstance(value, Sequence) and len(value) == 4:
        top, bottom, left, right = value
        if min(value) < 0:
            raise ArgumentError(f"{name}: padding cannot be negative, got {tuple(value)}")
        return (int(top), int(bottom)), (int(left), int(right))
    height, width = checks.pair(f"{name}: padding", value, 0)
    return (height, height), (width, width)


def conv2d(
    x: Tensor,
    W: Tensor,
    b: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images with filters (ONNX Conv).

    Args:
        x: (N, C, H, W).
        W: (O, C / groups, KH, KW).
        b: (O,), or None.
        stride, dilation: one number, or (height, width).
        padding: one number, (height, width), or (top, bottom, left, right).
        groups: the channels are split into so many groups that do not see each other.

    Returns:
        (N, O, H', W').
    """
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"conv2d: groups must be an integer of at least 1, got {groups!r}")
    operation = Convolution2d(
        checks.pair("conv2d: stride", stride, 1),
        as_padding("conv2d", padding),
        checks.pair("conv2d: dilation", dilation, 1),
        int(groups),
    )
    return operation(x, W)[0] if b is None else operation(x, W, b)[0]
