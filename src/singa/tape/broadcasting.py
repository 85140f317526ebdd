"""The gradient of a broadcast: which axes were repeated, and the sum over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from singa.device import CTensor
from singa.errors import ShapeError


def axis_helper(y_shape: Sequence[int], x_shape: Sequence[int]) -> tuple[int, ...]:
    """The axes of ``y`` along which an ``x`` was repeated when it was broadcast.

    Raises:
        ShapeError: ``x_shape`` does not broadcast to ``y_shape``.

    Example:
        >>> autograd.axis_helper((5, 3, 4), (3, 1))
        (0, 2)
    """
    lead = len(y_shape) - len(x_shape)
    padded = (1,) * lead + tuple(x_shape)
    if lead < 0 or any(x not in (1, y) for x, y in zip(padded, y_shape, strict=True)):
        raise ShapeError(f"shape {tuple(x_shape)} does not broadcast to {tuple(y_shape)}")
    stretched = (i for i, (x, y) in enumerate(zip(padded, y_shape, strict=True)) if x != y)
    return tuple(sorted({*range(lead), *stretched}))


def back_broadcast(y_shape: Sequence[int], x_shape: Sequence[int], x: CTensor) -> CTensor:
    """The gradient of an array that was broadcast, from the gradient of the result.

    The tape does this with every gradient that an operation's backward returns.

    Args:
        y_shape: the shape after the broadcast.
        x_shape: before.
        x: the gradient, of shape ``y_shape``.

    Raises:
        ShapeError: ``x_shape`` does not broadcast to ``y_shape``.

    Example:
        >>> autograd.back_broadcast((2, 3), (3,), jnp.ones((2, 3), jnp.float32))
        Array([2., 2., 2.], dtype=float32)
    """
    if tuple(y_shape) == tuple(x_shape):
        return x
    return x.sum(axis_helper(y_shape, x_shape), keepdims=True).reshape(tuple(x_shape))


def ctensor2numpy(x: CTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """A CTensor's values as a NumPy array of any shape, a copy that can be written to.

    Example:
        >>> autograd.ctensor2numpy(Tensor(data=[1.0, 2.0]).data)
        array([1., 2.], dtype=float32)
    """
    return np.array(x)
