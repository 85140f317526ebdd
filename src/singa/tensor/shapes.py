"""SINGA's functions of shapes, and copies of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation
from singa.core.arrays import as_shape
from singa.core.tensor import Tensor
from singa.device import as_dtype
from singa.errors import BoundsError, DTypeError


def product(shape: Sequence[int]) -> int:
    """The number of elements of a shape.

    Example:
        >>> tensor.product((2, 3))
        6
    """
    return math.prod(as_shape(shape))


def sizeof(dtype: Any) -> int:
    """The number of bytes of an element.

    Example:
        >>> tensor.sizeof(tensor.float32)
        4
    """
    return as_dtype(dtype).itemsize


def contiguous(tensor: Tensor) -> Tensor:
    """``tensor`` itself: every Tensor's elements are in order.

    Example:
        >>> t = Tensor((2, 3))
        >>> tensor.contiguous(t) is t
        True
    """
    return tensor


def reshape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; -1 is the remaining size.

    Example:
        >>> tensor.reshape(Tensor((2, 3)), (3, -1)).shape
        (3, 2)
    """
    return operation.reshape(tensor, shape)


def transpose(t: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """With the axes of the shape in another order; reversed if none is given.

    Example:
        >>> tensor.transpose(Tensor((2, 3, 4)), (0, 2, 1)).shape
        (2, 4, 3)
    """
    return operation.transpose(t, axes)


def concatenate(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """The Tensors one after the other along ``axis``; their shapes are equal except for that.

    Example:
        >>> tensor.concatenate([Tensor((2, 3)), Tensor((4, 3))], 0).shape
        (6, 3)
    """
    return operation.cat(tensors, axis)


def copy_from_numpy(data: Tensor, np_array: np.ndarray[Any, Any]) -> None:
    """``data.copy_from_numpy(np_array)``: both of the same shape.

    Raises:
        DTypeError: ``data`` is not a Tensor; or the conversion would lose more than precision.
        ShapeError: the shapes differ.

    Example:
        >>> t = Tensor((2,))
        >>> tensor.copy_from_numpy(t, np.array([1.0, 2.0], np.float32))
        >>> t.to_numpy()
        array([1., 2.], dtype=float32)
    """
    if not isinstance(data, Tensor):
        raise DTypeError(
            f"copy_from_numpy: a Tensor is expected, got {type(data).__name__}; "
            "a CTensor cannot be modified"
        )
    data.copy_from_numpy(np_array)


def copy_data_to_from(
    dst: Tensor, src: Tensor, size: int, dst_offset: int = 0, src_offset: int = 0
) -> None:
    """Copy ``size`` elements of the flattened ``src`` into the flattened ``dst``, in place.

    Args:
        dst, src: any shapes.
        size: the number of elements.
        dst_offset, src_offset: the index of the first one.

    Raises:
        BoundsError: there are fewer elements from the offset on.

    Example:
        >>> t = Tensor((2, 2))
        >>> tensor.copy_data_to_from(t, Tensor(data=[1.0, 2.0, 3.0]), 2, dst_offset=1)
        >>> t
        Tensor([[0., 1.],
                [2., 0.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    for name, t, offset in (("dst", dst, dst_offset), ("src", src, src_offset)):
        if min(size, offset) < 0 or offset + size > t.size():
            raise BoundsError(
                f"copy_data_to_from: {size} elements from {offset} on; {name} has {t.size()}"
            )
    part = jnp.ravel(src.data)[src_offset : src_offset + size].astype(dst.dtype)
    flat = jnp.ravel(dst.data).at[dst_offset : dst_offset + size].set(part)
    dst.data = flat.reshape(dst.shape)
