"""Convolution. Images are NCHW, for users and for XLA; XLA chooses the memory layout itself."""

from __future__ import annotations

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks, windows
from singa.operation.checks import Sizes
from singa.operation.filters import Filters
from singa.operation.joining import pad
from singa.operation.windows import LETTERS, Padding, as_padding, named_padding, same_padding
from singa.tape import Operation

__all__ = [
    "Convolution", "Convolution2d", "ConvolutionTranspose", "conv1d", "conv2d", "conv3d",
    "conv_transpose",
]  # fmt: skip


_Arguments: TypeAlias = tuple[tuple[int, ...], Padding, tuple[int, ...], int]
"""Stride, padding, dilation and groups."""


class Convolution(Filters):
    """y = x * W + b, a cross-correlation over one to three spatial axes (ONNX Conv).

    With x (N, C, H, W), W (O, C / groups, KH, KW) and b (O,), y is (N, O, H', W') with
    H' = (H + pads - dilation (KH - 1) - 1) // stride + 1.
    """

    def forward(self, x: CTensor, w: CTensor, b: CTensor | None = None) -> CTensor:
        self._check_sizes(x, w, b)
        x, w, *biases = _of_one_type(x, w, b)
        self.x, self.w, self.image, self.has_bias = x, w, x.shape, bool(biases)
        return self.convolve(x, w, biases[0] if biases else None)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        dx = self.spread(dy, self.w)
        dw, db = self.correlate(self.x, dy, self.has_bias)
        return (dx, dw, db) if self.has_bias else (dx, dw)

    def _check_sizes(self, x: CTensor, w: CTensor, b: CTensor | None) -> None:
        self.check(x, w, "O, C / groups")
        if x.shape[1] != w.shape[1] * self.groups or w.shape[0] % self.groups:
            raise ShapeError(
                f"{self.name}: the input has {x.shape[1]} channels; a weight of shape {w.shape} "
                f"with {self.groups} group(s) needs {w.shape[1] * self.groups}"
                f" and a multiple of {self.groups} outputs"
            )
        self.check_bias(b, w.shape[0])
        reach = [gap * (size - 1) + 1 for gap, size in zip(self.dilation, w.shape[2:], strict=True)]
        windows.counts(self, x.shape[2:], reach, self.stride, self.padding)


class Convolution2d(Convolution):
    """The same over height and width."""


class ConvolutionTranspose(Filters):
    """y = the adjoint of a convolution, plus b: it enlarges images (ONNX ConvTranspose).

    With x (N, C, H, W), W (C, O / groups, KH, KW) and b (O,), y is (N, O, H', W') with
    H' = (H - 1) stride - pads + dilation (KH - 1) + 1 + output_padding.
    """

    def __init__(
        self,
        stride: tuple[int, ...],
        padding: Padding,
        dilation: tuple[int, ...],
        groups: int,
        output_padding: tuple[int, ...],
    ) -> None:
        super().__init__(stride, padding, dilation, groups)
        if any(more >= step for more, step in zip(output_padding, stride, strict=True)):
            raise ArgumentError(
                f"{self.name}: output_padding {output_padding} must be less than stride {stride}"
            )
        self.output_padding = output_padding

    def forward(self, x: CTensor, w: CTensor, b: CTensor | None = None) -> CTensor:
        self.check(x, w, "C, O / groups")
        if x.shape[1] != w.shape[0] or w.shape[0] % self.groups:
            raise ShapeError(
                f"{self.name}: the input has {x.shape[1]} channels; a weight of shape {w.shape} "
                f"needs {w.shape[0]}, a multiple of {self.groups} group(s)"
            )
        self.check_bias(b, w.shape[1] * self.groups)
        x, w, *biases = _of_one_type(x, w, b)
        self.x, self.w, self.has_bias = x, w, bool(biases)
        space = [
            (size - 1) * stride - sum(pads) + dilation * (kernel - 1) + 1 + more
            for size, stride, pads, dilation, kernel, more in zip(
                x.shape[2:], self.stride, self.padding, self.dilation, w.shape[2:],
                self.output_padding, strict=True,
            )
        ]  # fmt: skip
        if min(space) < 1:
            raise ShapeError(f"{self.name}: an input of {x.shape} would become one of {space}")
        self.image = (x.shape[0], w.shape[1] * self.groups, *space)
        y = self.spread(x, w)
        return y + self.along(biases[0]) if biases else y

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        dx = self.convolve(dy, self.w, None)
        dw, _ = self.correlate(dy, self.x, False)
        return (dx, dw, self.summed(dy)) if self.has_bias else (dx, dw)


def _of_one_type(*arrays: CTensor | None) -> list[CTensor]:
    """All arrays in one type: XLA convolves equal types only; gradients have that type too."""
    found = [array for array in arrays if array is not None]
    dtype = jnp.result_type(*found)
    return [array.astype(dtype) for array in found]


def conv1d(
    x: Tensor, W: Tensor, b: Tensor | None = None,
    stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:  # fmt: skip
    """Convolve sequences (N, C, W) with filters (O, C / groups, KW); see :func:`conv2d`.

    Example:
        >>> autograd.conv1d(Tensor(data=[[[1.0, 2.0, 5.0]]]), Tensor(data=[[[-1.0, 1.0]]]))
        Tensor([[[1., 3.]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    padding = _pads("conv1d", x, W, stride, padding, dilation)
    arguments = _arguments("conv1d", 1, stride, padding, dilation, groups)
    if padding_mode != "zeros":
        x, arguments = _padded("conv1d", x, arguments, padding_mode)
    return _call(Convolution(*arguments), x, W, b)


def conv2d(
    x: Tensor, W: Tensor, b: Tensor | None = None,
    stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:  # fmt: skip
    """Convolve images with filters: a cross-correlation (ONNX Conv).

    Args:
        x: (N, C, H, W).
        W: (O, C / groups, KH, KW).
        b: (O,), or None.
        stride, dilation: one number, or (height, width).
        padding: one number, (height, width), or (top, bottom, left, right); ``"same"`` for
            H' = H / stride, rounded up, or ``"valid"`` for none.
        groups: the number of independent groups into which the channels are split.
        padding_mode: the padding's values: ``"zeros"``, ``"reflect"`` for the image mirrored at
            its border elements, ``"replicate"`` for these, ``"circular"`` for the other end.

    Returns:
        (N, O, H', W') with H' = (H + pads - dilation (KH - 1) - 1) // stride + 1.

    Example:
        >>> x, W = Tensor((1, 3, 8, 8)), Tensor((16, 3, 3, 3))
        >>> autograd.conv2d(x, W, stride=2, padding=1).shape
        (1, 16, 4, 4)
    """
    padding = _pads("conv2d", x, W, stride, padding, dilation)
    arguments = _arguments("conv2d", 2, stride, padding, dilation, groups)
    if padding_mode != "zeros":
        x, arguments = _padded("conv2d", x, arguments, padding_mode)
    return _call(Convolution2d(*arguments), x, W, b)


def conv3d(
    x: Tensor, W: Tensor, b: Tensor | None = None,
    stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:  # fmt: skip
    """Convolve volumes (N, C, D, H, W) with filters (O, C / groups, KD, KH, KW).

    See :func:`conv2d`.

    Example:
        >>> autograd.conv3d(Tensor((1, 1, 4, 4, 4)), Tensor((2, 1, 3, 3, 3))).shape
        (1, 2, 2, 2, 2)
    """
    padding = _pads("conv3d", x, W, stride, padding, dilation)
    arguments = _arguments("conv3d", 3, stride, padding, dilation, groups)
    if padding_mode != "zeros":
        x, arguments = _padded("conv3d", x, arguments, padding_mode)
    return _call(Convolution(*arguments), x, W, b)


def conv_transpose(
    x: Tensor, W: Tensor, b: Tensor | None = None,
    stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
    groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Spread each element with filters: the adjoint of a convolution (ONNX ConvTranspose).

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        W: ``(C, O / groups, *kernel)``.
        b: (O,), or None.
        stride: the distance of the filters in the result: one number, or one for each axis.
        padding: how much is removed from the result: one number, one for each axis, or two for
            each.
        output_padding: how much is added again at the end of each axis; less than the stride.
        groups: the number of independent groups into which the channels are split.
        dilation: the distance between a filter's elements.

    Returns:
        (N, O, W'), (N, O, H', W') or (N, O, D', H', W') with
        H' = (H - 1) stride - pads + dilation (KH - 1) + 1 + output_padding.

    Example:
        >>> x, W = Tensor(data=[[[1.0, 2.0]]]), Tensor(data=[[[1.0, 10.0]]])
        >>> autograd.conv_transpose(x, W, stride=2)
        Tensor([[[ 1., 10.,  2., 20.]]], shape=(1, 1, 4), dtype=float32, device=cpu)
    """
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(
            f"ConvolutionTranspose: the input must be (N, C, W), (N, C, H, W) or (N, C, D, H, W), "
            f"got shape {x.shape}"
        )
    arguments = _arguments("conv_transpose", rank, stride, padding, dilation, groups)
    more = checks.each("conv_transpose: output_padding", output_padding, rank, 0)
    return _call(ConvolutionTranspose(*arguments, more), x, W, b)


def _pads(
    name: str, x: Tensor, W: Tensor, stride: Sizes, padding: Sizes | str, dilation: Sizes
) -> Sizes:
    """The padding as numbers, which ``"same"`` computes from the shapes."""
    if not isinstance(padding, str):
        return padding
    pads, mode = named_padding(name, padding)
    if mode == "NOTSET":
        return pads
    return same_padding(mode, x.shape, W.shape[2:], stride, dilation)


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def checked_padding_mode(name: str, mode: str) -> str:
    """``mode``, which is checked to be one that convolutions have."""
    if mode not in ("zeros", *_MODES):
        raise ArgumentError(
            f"{name}: padding_mode must be one of 'zeros', {', '.join(map(repr, _MODES))}, "
            f"got {mode!r}"
        )
    return mode


def _padded(name: str, x: Tensor, arguments: _Arguments, mode: str) -> tuple[Tensor, _Arguments]:
    """The input with its padding, and arguments without padding."""
    stride, padding, *others = arguments
    wanted = _MODES[checked_padding_mode(name, mode)]
    # An input with other axes is refused by the convolution.
    if x.ndim() != len(stride) + 2 or not any(map(sum, padding)):
        return x, arguments
    ends = [(0, 0), (0, 0), *padding]
    pads = [before for before, _ in ends] + [after for _, after in ends]
    return pad(x, wanted, pads), (stride, ((0, 0),) * len(stride), *others)  # type: ignore[return-value]


def _arguments(
    name: str, rank: int, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> _Arguments:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"{name}: groups must be an integer of at least 1, got {groups!r}")
    return (
        checks.each(f"{name}: stride", stride, rank, 1),
        as_padding(name, padding, rank),
        checks.each(f"{name}: dilation", dilation, rank, 1),
        int(groups),
    )


def _call(operation: Operation, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
    return operation(x, W)[0] if b is None else operation(x, W, b)[0]
