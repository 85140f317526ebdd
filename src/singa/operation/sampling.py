"""Images sampled at given points."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine.fusion import unfused
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.tape import Operation

__all__ = ["GridSample", "grid_sample"]


class GridSample(Operation):
    """y = x at the points of a grid, between pixels (Jaderberg et al., 2015).

    At the centres of pixels, where a gradient of the grid has two values, it is that to the right.
    """

    arithmetic = "wide"

    def __init__(
        self, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
    ) -> None:
        super().__init__()
        if mode not in ("bilinear", "nearest"):
            raise ArgumentError(f"{self.name}: mode must be 'bilinear' or 'nearest', got {mode!r}")
        if padding_mode not in ("zeros", "border", "reflection"):
            raise ArgumentError(
                f"{self.name}: padding_mode must be 'zeros', 'border' or 'reflection', got "
                f"{padding_mode!r}"
            )
        self.mode, self.padding_mode = mode, padding_mode
        self.align_corners = bool(align_corners)

    def forward(self, x: CTensor, grid: CTensor) -> CTensor:
        checks.rank(self, "the input", x, 4, "(N, C, H, W)")
        for each in (x, grid):
            checks.float_input(self, "the input", each)
        if grid.ndim != 4 or grid.shape[0] != x.shape[0] or grid.shape[-1] != 2:
            raise ShapeError(
                f"{self.name}: the grid must be (N, rows, columns, 2) for an input (N, C, H, W), "
                f"got shapes {grid.shape} and {x.shape}"
            )
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self.name}: there are no pixels in shape {x.shape}")
        # What the backward needs of it is computed again: four arrays as large as the result.
        y: CTensor = jax.checkpoint(self.values)(x, grid)
        return y

    def values(self, x: CTensor, grid: CTensor) -> CTensor:
        """The images at the points of the grid."""
        height, width = x.shape[2:]
        column = self.place(grid[..., 0], width)
        row = self.place(grid[..., 1], height)
        # Copied into this order before and after; otherwise XLA gathers in the order of the result.
        pixels = unfused(lambda x: jnp.moveaxis(x, 1, -1), x)
        return jnp.moveaxis(unfused(self.sampled, pixels, row, column), -1, 1)

    def sampled(self, pixels: CTensor, row: CTensor, column: CTensor) -> CTensor:
        """The values at these places, of images (N, H, W, C)."""
        if self.mode == "nearest":
            y = self.pixel(pixels, jnp.rint(row), jnp.rint(column))
            if self.padding_mode != "zeros":  # no point is outside, but one may be NaN
                y = jnp.where(jnp.isnan(row + column)[..., None], jnp.nan, y)
        else:
            top, left = jnp.floor(row), jnp.floor(column)
            down, right = (row - top)[..., None], (column - left)[..., None]
            y = (
                self.pixel(pixels, top, left) * (1 - down) * (1 - right)
                + self.pixel(pixels, top, left + 1) * (1 - down) * right
                + self.pixel(pixels, top + 1, left) * down * (1 - right)
                + self.pixel(pixels, top + 1, left + 1) * down * right
            )
        return y

    def place(self, point: CTensor, size: int) -> CTensor:
        """The place of a point from -1 to 1 along an axis; the centre of pixel i is at i."""
        place = (point + 1) / 2 * (size - 1) if self.align_corners else ((point + 1) * size - 1) / 2
        if self.padding_mode == "reflection":
            low, span = (0.0, size - 1) if self.align_corners else (-0.5, size)
            if not span:
                return jnp.where(jnp.isnan(place), place, 0)
            along = jnp.mod(place - low, 2 * span)
            place = jnp.where(along > span, 2 * span - along, along) + low
        if self.padding_mode != "zeros":
            place = jnp.where(place < 0, 0, jnp.where(place > size - 1, size - 1, place))
        return place

    def pixel(self, pixels: CTensor, row: CTensor, column: CTensor) -> CTensor:
        """The pixels of (N, H, W, C) at these whole numbers; 0 outside."""
        number, height, width, channels = pixels.shape

        def index(row: CTensor, column: CTensor) -> tuple[CTensor, CTensor]:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            rows, columns = (
                jnp.clip(jnp.nan_to_num(each), 0, size - 1).astype(np.int32)
                for each, size in ((row, height), (column, width))
            )
            batch = jnp.arange(number, dtype=np.int32)[:, None, None]
            return inside.astype(pixels.dtype), (batch * height + rows) * width + columns

        # Once for each point: within the loop over the result it would be once for each channel.
        inside, places = unfused(index, row, column)
        found = pixels.reshape(-1, channels).at[places].get(mode="promise_in_bounds")
        return jnp.where(inside[..., None] > 0, found, 0)


def grid_sample(
    x: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """The values of images at the points of a grid; gradients flow to the images and the points.

    Args:
        x: (N, C, H, W).
        grid: (N, rows, columns, 2): for each point of the result its x (along the width) and its y
            (along the height) in the image, from -1 to 1.
        mode: ``"bilinear"``, between four pixels, or ``"nearest"``.
        padding_mode: what is outside of the image: ``"zeros"``; ``"border"``, the nearest pixel of
            the border; or ``"reflection"``, the image mirrored at its border.
        align_corners: whether -1 and 1 are the centres of the first and the last pixel, instead of
            their outer edges.

    Returns:
        (N, C, rows, columns).

    Source: Jaderberg et al., Spatial Transformer Networks, 2015.

    Example:
        >>> x = Tensor(data=[[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> autograd.grid_sample(x, Tensor(data=[[[[0.0, 0.0], [0.5, -0.5]]]]))
        Tensor([[[[2.5, 2. ]]]], shape=(1, 1, 1, 2), dtype=float32, device=cpu)
    """
    return GridSample(mode, padding_mode, align_corners)(x, grid)[0]
