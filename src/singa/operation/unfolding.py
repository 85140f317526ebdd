"""Convolution as one product of matrices: the windows of the image times the filters.

XLA's runtime for CPUs has crashed the process in some convolutions of float64. So convolutions of
float64 are computed in this way. It takes memory: the images' size times the size of a filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from singa.device import CTensor


def convolution(
    x: CTensor,
    w: CTensor,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> CTensor:
    """The result of :func:`jax.lax.conv_general_dilated`, without the convolutions of XLA.

    It is linear in x and in w, and consists of slices and a product: jax derives its adjoints in
    both.

    Args:
        x: ``(N, C, *space)``.
        w: ``(O, C / groups, *kernel)``.

    Returns:
        ``(N, O, *space)``.
    """
    seen = unfold(x, w.shape[2:], stride, padding, dilation)
    batch, space = x.shape[0], seen.shape[x.ndim :]
    inputs, outputs = math.prod(w.shape[1:]), w.shape[0]
    y = jnp.einsum(
        "gok,ngkp->ngop",
        w.reshape(groups, outputs // groups, inputs),
        seen.reshape(batch, groups, inputs, math.prod(space)),
    )
    return y.reshape(batch, outputs, *space)


def adjoint(function: Callable[[CTensor], CTensor], shape: tuple[int, ...], y: CTensor) -> CTensor:
    """The adjoint of a linear function of arrays of this shape, at y."""
    [x] = jax.linear_transpose(function, jax.ShapeDtypeStruct(shape, y.dtype))(y)
    return x


def unfold(
    x: CTensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> CTensor:
    """The element under each filter element at each position: ``(N, C, *kernel, *space)`` (im2col).

    It is built axis by axis; the number of slices is the sum of the kernel's sizes.
    """
    zero = jnp.zeros((), x.dtype)
    x = jax.lax.pad(x, zero, [(0, 0, 0), (0, 0, 0), *[(*pads, 0) for pads in padding]])
    for i, (size, step, gap) in enumerate(zip(kernel, stride, dilation, strict=True)):
        axis = 2 + 2 * i  # each axis before it has become two
        span = (x.shape[axis] - gap * (size - 1) - 1) // step * step + 1
        views = [
            jax.lax.slice_in_dim(x, tap * gap, tap * gap + span, step, axis) for tap in range(size)
        ]
        x = jnp.stack(views, 2 + i)
    return x
