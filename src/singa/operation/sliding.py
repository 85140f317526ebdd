"""Sliding windows: taken out of images as columns, and added up to images again."""

from __future__ import annotations

import math
from functools import partial

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.checks import Sizes
from singa.operation.unfolding import adjoint
from singa.operation.unfolding import unfold as windows_of
from singa.operation.windows import counts
from singa.tape import Operation, widened

__all__ = ["Fold", "Unfold", "fold", "unfold"]


class _Windows(Operation):
    """The base: the windows' sizes, distances and padding."""

    whole_from = 2

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        given = {
            "kernel_size": (kernel_size, 1),
            "dilation": (dilation, 1),
            "padding": (padding, 0),
            "stride": (stride, 1),
        }
        for name, (value, least) in given.items():
            sizes = checks.integers(f"{self.name}: {name}", value, 1)
            if min(sizes) < least:
                raise ArgumentError(f"{self.name}: {name} must be at least {least}, got {value!r}")
            setattr(self, name, sizes)

    def taken(self, space: tuple[int, ...]) -> tuple[partial[CTensor], tuple[int, ...], int]:
        """The function that takes the windows of such an image, their numbers, and their size."""
        kernel, dilation, padding, stride = (
            checks.each(
                f"{self.name}: {name}", value if len(value) > 1 else value[0], len(space), 0
            )
            for name, value in (
                ("kernel_size", self.kernel_size),
                ("dilation", self.dilation),
                ("padding", self.padding),
                ("stride", self.stride),
            )
        )
        pads = tuple((pad, pad) for pad in padding)
        reach = [gap * (size - 1) + 1 for size, gap in zip(kernel, dilation, strict=True)]
        take = partial(windows_of, kernel=kernel, stride=stride, padding=pads, dilation=dilation)
        return take, counts(self, space, reach, stride, pads), math.prod(kernel)

    def checked_rank(self, rank: int) -> None:
        """Raise unless there are one to three spatial axes."""
        if not 1 <= rank <= 3:
            raise ShapeError(f"{self.name}: one to three spatial axes are needed, got {rank}")


class Unfold(_Windows):
    """y = the elements of each window as a column: (N, C, *space) to (N, C kernel, windows)."""

    def forward(self, x: CTensor) -> CTensor:
        self.from_shape = x.shape
        self.checked_rank(x.ndim - 2)
        take, many, size = self.taken(x.shape[2:])
        return take(x).reshape(x.shape[0], x.shape[1] * size, math.prod(many))

    def backward(self, dy: CTensor) -> CTensor:
        batch, channels, *space = self.from_shape
        take, many, _ = self.taken(tuple(space))
        kernel = self.kernel_size if len(self.kernel_size) > 1 else self.kernel_size * len(space)
        dy = widened(dy).reshape(batch, channels, *kernel, *many)
        return adjoint(take, self.from_shape, dy)


class Fold(Unfold):
    """y = the sum of all windows in their places: (N, C kernel, windows) to (N, C, *space)."""

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = checks.integers(f"{self.name}: output_size", output_size, 1)

    def forward(self, x: CTensor) -> CTensor:
        checks.rank(self, "the input", x, 3, "(N, C kernel, windows)")
        size, kernel = self.output_size, self.kernel_size
        # One number is for height and width, as elsewhere.
        rank = max(len(size), len(kernel), 2 if len(size) == 1 == len(kernel) else 1)
        self.checked_rank(rank)
        space = size if len(size) > 1 or rank == 1 else size * rank
        _, many, elements = self.taken(space)
        if x.shape[1] % elements or x.shape[2] != math.prod(many):
            raise ShapeError(
                f"{self.name}: an image of {space} has {math.prod(many)} windows of {elements} "
                f"elements: the input must be (N, C {elements}, {math.prod(many)}), got shape "
                f"{x.shape}"
            )
        self.from_shape = (x.shape[0], x.shape[1] // elements, *space)
        return super().backward(x).astype(x.dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return super().forward(dy)


def unfold(
    x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """The elements of each sliding window as a column (im2col).

    Args:
        x: (N, C, *space), with one to three spatial axes.
        kernel_size: the windows' size; here and below one number, or one for each spatial axis.
        dilation: the distance of a window's elements.
        padding: zeros before and after each axis.
        stride: the distance of the windows.

    Returns:
        (N, C * elements of a window, number of windows).

    Example:
        >>> autograd.unfold(Tensor(data=[[[1.0, 2.0, 3.0]]]), 2)
        Tensor([[[1., 2.],
                 [2., 3.]]], shape=(1, 2, 2), dtype=float32, device=cpu)
    """
    return Unfold(kernel_size, dilation, padding, stride)(x)[0]


def fold(
    x: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """The images in which windows are added up, each in its place (col2im).

    It is the adjoint of :func:`unfold`: where windows overlap, their elements are summed.

    Args:
        x: (N, C * elements of a window, number of windows).
        output_size: the spatial sizes of the images; one number is for height and width.
        kernel_size, dilation, padding, stride: as for :func:`unfold`.

    Returns:
        (N, C, *output_size).

    Raises:
        ShapeError: so many windows of this size are not in such images.

    Example:
        >>> autograd.fold(tensor.ones((1, 4, 2)), (2, 3), 2)
        Tensor([[[[1., 2., 1.],
                  [1., 2., 1.]]]], shape=(1, 1, 2, 3), dtype=float32, device=cpu)
    """
    return Fold(output_size, kernel_size, dilation, padding, stride)(x)[0]
