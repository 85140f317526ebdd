from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops


def reflected(place, size):
    """To (-1/2, size - 1/2), and from there to the nearest centre's range."""
    place = jnp.abs(place + 0.5) % (2 * size)
    return jnp.clip(jnp.where(place > size, 2 * size - place, place) - 0.5, 0, size - 1)


def plain(x, grid, mode):
    height, width = x.shape[2:]
    if mode == "zeros":  # around the image, on as many pixels as points can reach
        x, pad = jnp.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4))), 4
    else:
        pad = 0
    aligned = mode == "border"
    column, row = (
        (g + 1) / 2 * (n - 1) if aligned else ((g + 1) * n - 1) / 2
        for g, n in ((grid[..., 0], width), (grid[..., 1], height))
    )
    if mode == "border":
        column, row = jnp.clip(column, 0, width - 1), jnp.clip(row, 0, height - 1)
    if mode == "reflection":
        column, row = reflected(column, width), reflected(row, height)
    column, row = column + pad, row + pad
    images = []
    for n in range(len(x)):
        # A hat around each pixel: bilinear interpolation as a sum over all pixels.
        high = jnp.maximum(1 - abs(row[n][..., None] - jnp.arange(x.shape[2])), 0)
        wide = jnp.maximum(1 - abs(column[n][..., None] - jnp.arange(x.shape[3])), 0)
        images.append(jnp.einsum("chw,ijh,ijw->cij", x[n], high, wide))
    return jnp.stack(images)


SHAPES = [(2, 2, 3, 4), (2, 2, 3, 2)]

ROWS = {
    "grid_sample": Row(ops.GridSample, ops.grid_sample, partial(plain, mode="zeros"), SHAPES),
    "grid_sample at the border": Row(
        ops.GridSample, partial(ops.grid_sample, padding_mode="border", align_corners=True),
        partial(plain, mode="border"), SHAPES,
    ),
    "grid_sample reflected": Row(
        ops.GridSample, partial(ops.grid_sample, padding_mode="reflection"),
        partial(plain, mode="reflection"), SHAPES,
    ),
    "grid_sample, nearest": Row(
        ops.GridSample, lambda x, grid: ops.grid_sample(x, grid * 0.0 + 0.3, "nearest"),
        lambda x, grid: jnp.broadcast_to(x[:, :, 1:2, 2:3], (2, 2, 2, 3)) + 0 * grid[0, 0, 0, 0],
        SHAPES,
    ),
}  # fmt: skip
