"""What operations write at given places along an axis, or by segments."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from singa.device import CTensor
from singa.engine import native
from singa.engine.native import scattering as kernels
from singa.engine.native.scattering import How

__all__: list[str] = []

MOST = 2**31 - 1
"""The most elements from an axis on: the kernels number them by int32."""


def written_along(
    x: CTensor, places: CTensor, updates: CTensor, axis: int, how: How, is_unique: bool = False
) -> CTensor:
    """``x`` with ``updates`` written to it, or combined with it, at ``places`` along ``axis``.

    Args:
        x: any shape.
        places: integers from 0; what is for others is ignored. No axis but ``axis`` is longer than
            in ``x``.
        updates: of the shape of ``places``, and x's type.
        axis: from 0.
        how: ``"set"``, ``"add"``, ``"max"`` or ``"min"``.
        is_unique: whether no place is there twice.
    """

    def formula(x: CTensor, places: CTensor, updates: CTensor) -> CTensor:
        grid = [jax.lax.broadcasted_iota(np.int32, places.shape, i) for i in range(x.ndim)]
        grid[axis] = jnp.where(places < 0, x.shape[axis], places)
        at = x.at[tuple(grid)]
        y: CTensor = getattr(at, how)(updates, mode="drop", unique_indices=is_unique)
        return y

    whole = math.prod(x.shape[axis:]) <= MOST and all(
        one == other
        for i, (one, other) in enumerate(zip(x.shape, places.shape, strict=True))
        if i != axis
    )
    if whole and kernels.supported(how, x, updates) and places.size:
        kernel = partial(kernels.scatter_along, axis=axis, how=how)
        y: CTensor = native.run(kernel, formula, x, places, updates)
        return y
    return formula(x, places, updates)


def last_written_along(places: CTensor, axis: int, size: int) -> CTensor:
    """Whether each update is the one that :func:`written_along` leaves at its place by ``"set"``.

    Those that are out of bounds are not. Axes other than ``axis`` have to be as long as x's.
    """

    def formula(places: CTensor) -> CTensor:
        shape = (*places.shape[:axis], size, *places.shape[axis + 1 :])
        number = jax.lax.broadcasted_iota(np.int32, places.shape, axis)
        writer = written_along(jnp.full(shape, -1, np.int32), places, number, axis, "set")
        bounded = jnp.clip(places, 0, size - 1)
        is_there = jnp.take_along_axis(writer, bounded, axis, mode="promise_in_bounds") == number
        return is_there & (places == bounded)

    if math.prod(places.shape[axis + 1 :]) * size <= MOST and native.takes((places.dtype,), places):
        kernel = partial(kernels.last_written_along, axis=axis, size=size)
        is_last: CTensor = native.run(kernel, formula, places)
        return is_last
    return formula(places)


def written_rows(x: CTensor, rows: CTensor, updates: CTensor, how: How) -> CTensor:
    """``x`` (size, ...) with ``updates`` (N, ...) combined at ``rows`` (N,), from 0, as above."""

    def formula(x: CTensor, rows: CTensor, updates: CTensor) -> CTensor:
        at = x.at[jnp.where(rows < 0, len(x), rows)]
        y: CTensor = getattr(at, how)(updates, mode="drop")
        return y

    def kernel(x: CTensor, rows: CTensor, updates: CTensor) -> CTensor:
        flat = [each.reshape(len(each), -1) for each in (x, updates)]
        return kernels.scatter(flat[0], rows, flat[1], how).reshape(x.shape)

    if kernels.supported(how, x, updates):
        y: CTensor = native.run(kernel, formula, x, rows, updates)
        return y
    return formula(x, rows, updates)
