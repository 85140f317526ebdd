"""Filters that move over images: a convolution, and its adjoints in the images and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.device import CTensor
from singa.engine import native
from singa.engine.native import convolution as kernels
from singa.errors import ShapeError
from singa.operation import checks, unfolding
from singa.operation.windows import LETTERS, Padding
from singa.tape import Operation, wide


class Filters(Operation):
    """Filters that move over images: a convolution, and its adjoints in the images and filters.

    After an operation has set ``w``, the filters ``(O, C / groups, *kernel)``, and ``image``, the
    images' shape ``(N, C, *space)``, it can use all three, for any number of spatial axes. For two
    there may be native kernels; a sequence is an image of one row for them.
    """

    arithmetic = "low"
    whole_from = 2

    def __init__(
        self,
        stride: tuple[int, ...],
        padding: Padding,
        dilation: tuple[int, ...],
        groups: int,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def convolve(self, x: CTensor, w: CTensor, b: CTensor | None) -> CTensor:
        """The convolution of x, plus a bias (O,): ``(N, O, *space)``."""

        # Not a bias of None by default: jax would pass it on to the formula.
        def kernel(x: CTensor, w: CTensor, *biases: CTensor) -> CTensor:
            b = biases[0] if biases else None
            y = kernels.convolution(_image(x), _image(w), b, self._window)
            return y if x.ndim == 4 else y[:, :, 0]

        if b is None:
            return self._either(kernel, self._convolve, x, w)
        return self._either(kernel, lambda x, w, b: self._convolve(x, w) + self.along(b), x, w, b)

    def spread(self, y: CTensor, w: CTensor) -> CTensor:
        """The adjoint in the image: each element of y, spread over its window by the filters."""

        def kernel(y: CTensor, w: CTensor) -> CTensor:
            dx = kernels.input_gradient(_image(y), _image(w), _rows(self.image), self._window)
            return dx.reshape(self.image)

        return self._either(kernel, self._spread, y, w)

    def correlate(self, x: CTensor, y: CTensor, bias: bool) -> tuple[CTensor, CTensor]:
        """The adjoints in w and in the bias, for images x; (0,) if there is no bias.

        Both are one native kernel, and in at least float32.
        """

        def kernel(x: CTensor, y: CTensor) -> tuple[CTensor, CTensor]:
            shape = _rows(self.w.shape)
            dw, db = kernels.weight_gradient(_image(x), _image(y), shape, bias, self._window)
            return dw.reshape(self.w.shape), db

        def formula(x: CTensor, y: CTensor) -> tuple[CTensor, CTensor]:
            dw, db = self._correlate(x, y), self.summed(y) if bias else jnp.zeros(0, y.dtype)
            return dw.astype(wide(y.dtype)), db.astype(wide(y.dtype))

        dw, db = self._either(kernel, formula, x, y)
        return dw, db

    def along(self, b: CTensor) -> CTensor:
        """(O,) in a shape that broadcasts with images."""
        return b.reshape(-1, *[1] * len(self.stride))

    def summed(self, y: CTensor) -> CTensor:
        """The sum of each channel: (O,)."""
        return y.sum((0, *range(2, y.ndim)))

    @property
    def _window(self) -> kernels.Window:
        sh, sw = (1, *self.stride)[-2:]
        dh, dw = (1, *self.dilation)[-2:]
        rows, columns = ((0, 0), *self.padding)[-2:]
        return kernels.Window((sh, sw), (rows, columns), (dh, dw), self.groups)

    def _either(self, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor) -> Any:
        if len(self.stride) <= 2:
            dtype = self.w.dtype
            image, w = (jax.ShapeDtypeStruct(_rows(x), dtype) for x in (self.image, self.w.shape))
            if kernels.supports(image, w, self._window):
                return native.run(kernel, formula, *xs)
        return formula(*xs)

    def _convolve(self, x: CTensor, w: CTensor) -> CTensor:
        if self._unfolds(x):
            return unfolding.convolution(
                x, w, self.stride, self.padding, self.dilation, self.groups
            )
        return jax.lax.conv_general_dilated(
            x,
            w,
            self.stride,
            self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=self._layout("NC", "OI"),
            feature_group_count=self.groups,
        )

    def _spread(self, y: CTensor, w: CTensor) -> CTensor:
        if self._unfolds(y):
            return unfolding.adjoint(lambda x: self._convolve(x, w), self.image, y)
        # Each output is spread over the inputs of its window: a convolution of y, with ``stride``
        # between its elements, and with W mirrored and its input and output channels exchanged
        # within each group.
        out, in_per_group, *kernel = w.shape
        w = w.reshape(self.groups, out // self.groups, in_per_group, *kernel)
        w = w.swapaxes(1, 2).reshape(self.image[1], out // self.groups, *kernel)
        padding = []
        for size, span, reach, (before, _) in self._spans(y):
            padding.append((reach - before, size + before - span))
        return jax.lax.conv_general_dilated(
            y,
            jnp.flip(w, range(2, w.ndim)),
            [1] * len(kernel),
            padding,
            lhs_dilation=self.stride,
            rhs_dilation=self.dilation,
            dimension_numbers=self._layout("NC", "OI"),
            feature_group_count=self.groups,
        )

    def _correlate(self, x: CTensor, y: CTensor) -> CTensor:
        if self._unfolds(y):
            return unfolding.adjoint(lambda w: self._convolve(x, w), self.w.shape, y)
        # A convolution of x with y in which batch and channels are exchanged, and stride and
        # dilation too. Negative padding removes the elements that no window has reached.
        padding = []
        for size, span, reach, (before, _) in self._spans(y):
            padding.append((before, span + reach - size - before))
        return jax.lax.conv_general_dilated(
            x,
            y,
            self.dilation,
            padding,
            rhs_dilation=self.stride,
            dimension_numbers=self._layout("CN", "IO"),
            batch_group_count=self.groups,
        )

    def _unfolds(self, x: CTensor) -> bool:
        """Whether the convolutions are products of unfolded images, and not those of XLA.

        Those are slow for float64. And XLA 0.10 cannot split convolutions in groups over devices:
        the filters' gradients were wrong for some shapes, and for others the process was aborted.
        A convolution in a mapped function becomes one in groups.
        """
        spread = native.here.spread
        in_groups = spread is not None and (self.groups > 1 or spread.is_mapped)
        return x.dtype == np.float64 or in_groups

    def _layout(self, image: str, filters: str) -> tuple[str, str, str]:
        space = "DHW"[-len(self.stride) :]
        return image + space, filters + space, image + space

    def _spans(self, y: CTensor) -> list[tuple[int, int, int, tuple[int, int]]]:
        """For each axis: the image's size, the extents of outputs and filter, the padding."""
        return [
            (
                self.image[2 + i],
                (y.shape[2 + i] - 1) * self.stride[i] + 1,
                self.dilation[i] * (self.w.shape[2 + i] - 1),
                pads,
            )
            for i, pads in enumerate(self.padding)
        ]

    def check(self, x: CTensor, w: CTensor, outputs: str) -> None:
        rank = len(self.stride)
        checks.rank(self, "the input", x, 2 + rank, f"(N, C, {LETTERS[rank]})")
        kernel = LETTERS[rank].replace(" ", " K")
        checks.rank(self, "the weight", w, 2 + rank, f"({outputs}, K{kernel})")
        if 0 in w.shape[2:]:
            raise ShapeError(f"{self.name}: there are no elements in filters of shape {w.shape}")
        checks.float_input(self, "the input", x)

    def check_bias(self, b: CTensor | None, outputs: int) -> None:
        if b is not None and b.shape != (outputs,):
            raise ShapeError(f"{self.name}: the bias must be {(outputs,)}, got {b.shape}")


def _rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """That of images, for sequences too, which are images of one row."""
    return shape if len(shape) == 4 else (*shape[:2], 1, *shape[2:])


def _image(x: CTensor) -> CTensor:
    return x.reshape(_rows(x.shape))
