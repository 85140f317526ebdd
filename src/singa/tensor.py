"""The public face of Tensors: the class, the data types, what makes Tensors, SINGA's functions.

``from singa import tensor``. The functions of one or more Tensors are recorded operations, the
same as in :mod:`singa.autograd`; here they have SINGA's names and arguments. Where there is an
``out`` or ``ret``, that Tensor becomes the result and is returned, instead of a new one.

Methods and operators of Tensors are in ``operation/methods.py``.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation
from singa._arrays import as_shape
from singa._tensor import ArrayLike as ArrayLike
from singa._tensor import CTensor as CTensor
from singa._tensor import Tensor as Tensor
from singa._tensor import TensorLike as TensorLike
from singa._tensor import as_tensor as as_tensor
from singa._tensor import random_key as random_key
from singa.device import Device, as_dtype
from singa.device import bfloat16 as bfloat16
from singa.device import bool_ as bool_
from singa.device import float16 as float16
from singa.device import float32 as float32
from singa.device import float64 as float64
from singa.device import int8 as int8
from singa.device import int16 as int16
from singa.device import int32 as int32
from singa.device import int64 as int64
from singa.device import uint8 as uint8
from singa.errors import ArgumentError, BoundsError, ShapeError
from singa.operation import abs as abs
from singa.operation import ceil as ceil
from singa.operation import exp as exp
from singa.operation import log as log
from singa.operation import repeat as repeat
from singa.operation import sigmoid as sigmoid
from singa.operation import sign as sign
from singa.operation import sqrt as sqrt
from singa.operation import square as square
from singa.operation import tanh as tanh
from singa.operation.methods import become
from singa.operation.reduction import Axes

PlaceHolder = Tensor

# -- making Tensors -----------------------------------------------------------------------------


def from_numpy(np_array: np.ndarray[Any, Any], dev: Device | None = None) -> Tensor:
    """A Tensor with a copy of the array's values, of the same data type."""
    return Tensor(data=np.asarray(np_array), device=dev)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor on another library's array, not copied where both sides allow it."""
    data = jax.dlpack.from_dlpack(array)
    return from_raw_tensor(data)


def from_raw_tensor(t: CTensor) -> Tensor:
    """A Tensor on this very CTensor."""
    return Tensor(data=t)


def from_raw_tensors(tt: Iterable[CTensor]) -> list[Tensor]:
    """A Tensor on each of these CTensors."""
    return [from_raw_tensor(t) for t in tt]


def to_numpy(t: Tensor) -> np.ndarray[Any, Any]:
    """``t.to_numpy()``."""
    return t.to_numpy()


def to_host(t: Tensor) -> Tensor:
    """A copy of ``t`` on the CPU."""
    return t.clone().to_host()


def zeros(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of zeros."""
    return Tensor(shape, device, dtype)


def ones(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of ones."""
    return Tensor(shape, device, dtype).set_value(1)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros of ``t``'s shape and data type, on its device."""
    return Tensor(t.shape, t.device, t.dtype)


def ones_like(t: Tensor) -> Tensor:
    """Ones of ``t``'s shape and data type, on its device."""
    return zeros_like(t).set_value(1)


def full(
    shape: Sequence[int] | int, value: float, device: Device | None = None, dtype: Any = None
) -> Tensor:
    """A Tensor whose elements are all ``value``."""
    return Tensor(shape, device, dtype).set_value(value)


def arange(
    start: float, stop: float | None = None, step: float = 1, device: Device | None = None
) -> Tensor:
    """The numbers from ``start`` (0 if only one is given) to before ``stop``: int32 or float32."""
    numbers = np.arange(start, stop, step) if stop is not None else np.arange(start, step=step)
    dtype = int32 if numbers.dtype.kind == "i" else float32
    return Tensor(data=numbers, device=device, dtype=dtype)


def random(shape: Sequence[int] | int, device: Device | None = None) -> Tensor:
    """Numbers that are uniform in [0, 1), float32, from the device's random stream."""
    return Tensor(shape, device).uniform(0.0, 1.0)


def gaussian(mean: float, std: float, t: Tensor) -> Tensor:
    """Fill ``t`` with numbers from the normal distribution, and return it."""
    return t.gaussian(mean, std)


def uniform(low: float, high: float, t: Tensor) -> Tensor:
    """Fill ``t`` with numbers that are uniform in [low, high), and return it."""
    return t.uniform(low, high)


def bernoulli(p: float, t: Tensor) -> Tensor:
    """Fill ``t`` with ones, each with probability ``p``, and zeros, and return it."""
    return t.bernoulli(p)


# -- about shapes -------------------------------------------------------------------------------


def product(shape: Sequence[int]) -> int:
    """The number of elements of a shape."""
    return math.prod(as_shape(shape))


def sizeof(dtype: Any) -> int:
    """The number of bytes of an element."""
    return as_dtype(dtype).itemsize


def contiguous(tensor: Tensor) -> Tensor:
    """``tensor`` itself: every Tensor's elements are in order."""
    return tensor


def reshape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; -1 stands for what is left."""
    return operation.reshape(tensor, shape)


def transpose(t: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """With the axes in another order; reversed if none is given."""
    return operation.transpose(t, axes)


def concatenate(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """The Tensors one after the other along ``axis``."""
    return operation.cat(tensors, axis)


def copy_data_to_from(
    dst: Tensor, src: Tensor, size: int, dst_offset: int = 0, src_offset: int = 0
) -> None:
    """Copy ``size`` elements, counted in a row, from ``src`` into ``dst``, in place.

    Raises:
        BoundsError: they are more than there are from the offset on.
    """
    for name, t, offset in (("dst", dst, dst_offset), ("src", src, src_offset)):
        if min(size, offset) < 0 or offset + size > t.size():
            raise BoundsError(
                f"copy_data_to_from: {size} elements from {offset} on; {name} has {t.size()}"
            )
    part = jnp.ravel(src.data)[src_offset : src_offset + size].astype(dst.dtype)
    flat = jnp.ravel(dst.data).at[dst_offset : dst_offset + size].set(part)
    dst.data = flat.reshape(dst.shape)


# -- arithmetic ---------------------------------------------------------------------------------


def _into(out: Tensor | None, result: Tensor) -> Tensor:
    return result if out is None else become(out, result)


def add(lhs: Tensor, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """Lhs + rhs, with broadcasting."""
    return _into(ret, operation.add(lhs, rhs))


def sub(lhs: Tensor, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """Lhs - rhs, with broadcasting."""
    return _into(ret, operation.sub(lhs, rhs))


def eltwise_mult(lhs: Tensor, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """Lhs times rhs, element by element, with broadcasting."""
    return _into(ret, operation.mul(lhs, rhs))


def div(lhs: Tensor, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """Lhs / rhs, with broadcasting; integers are divided as float32."""
    return _into(ret, operation.div(lhs, rhs))


def pow(t: Tensor, x: TensorLike, out: Tensor | None = None) -> Tensor:
    """``t ** x``, with broadcasting."""
    return _into(out, operation.pow(t, x))


def softmax(t: Tensor, out: Tensor | None = None) -> Tensor:
    """``e ** t / sum(e ** t)`` along the last axis."""
    return _into(out, operation.softmax(t, axis=-1))


def lt(t: Tensor, x: TensorLike) -> Tensor:
    """Whether t < x, as bool."""
    return operation.less(t, x)


def le(t: Tensor, x: TensorLike) -> Tensor:
    """Whether t <= x, as bool."""
    return operation.less_equal(t, x)


def gt(t: Tensor, x: TensorLike) -> Tensor:
    """Whether t > x, as bool."""
    return operation.greater(t, x)


def ge(t: Tensor, x: TensorLike) -> Tensor:
    """Whether t >= x, as bool."""
    return operation.greater_equal(t, x)


def eq(t: Tensor, x: TensorLike) -> Tensor:
    """Whether t == x, as bool."""
    return operation.equal(t, x)


def sum(t: Tensor, axis: Axes = None, out: Tensor | None = None) -> Tensor:
    """The sum over ``axis``, which is dropped; over all axes if there is none: shape ()."""
    return _into(out, t.sum(axis))


def average(t: Tensor, axis: Axes = None) -> Tensor:
    """The mean over ``axis``, which is dropped; over all axes if there is none: shape ()."""
    return t.mean(axis)


def sum_columns(M: Tensor) -> Tensor:
    """The sum of a matrix's columns: (rows, columns) to (rows,)."""
    return _matrix("sum_columns", M).sum(1)


def sum_rows(M: Tensor) -> Tensor:
    """The sum of a matrix's rows: (rows, columns) to (columns,)."""
    return _matrix("sum_rows", M).sum(0)


def _matrix(name: str, M: Tensor) -> Tensor:
    if M.ndim() != 2:
        raise ShapeError(f"{name}: a matrix is needed, got shape {M.shape}")
    return M


def axpy(alpha: float, x: Tensor, y: Tensor) -> Tensor:
    """``y += alpha x``, in place; returns y."""
    return become(y, y + x * alpha)


def add_column(alpha: float, v: Tensor, beta: float, M: Tensor) -> Tensor:
    """``M = alpha v + beta M`` for each column of a matrix, in place; returns M."""
    return become(M, v.reshape((-1, 1)) * alpha + _matrix("add_column", M) * beta)


def add_row(alpha: float, v: Tensor, beta: float, M: Tensor) -> Tensor:
    """``M = alpha v + beta M`` for each row of a matrix, in place; returns M."""
    return become(M, v * alpha + _matrix("add_row", M) * beta)


# -- products -----------------------------------------------------------------------------------


def mult(
    A: Tensor, B: Tensor, C: Tensor | None = None, alpha: float = 1.0, beta: float = 0.0
) -> Tensor:
    """``alpha A B`` as matrices, of leading axes that broadcast.

    With ``C``, which becomes the result, plus ``beta C``.
    """
    product = operation.matmul(A, B)
    if alpha != 1.0:
        product = product * alpha
    if C is None:
        return product
    return become(C, product + C * beta if beta else product)


def einsum(ops: str, *args: Tensor) -> Tensor:
    """Einstein's sum of products, such as ``einsum("ij,jk->ik", A, B)``."""
    return operation.einsum(ops, *args)


def tensordot(A: Tensor, B: Tensor, axes: int | Sequence[Any] = 2) -> Tensor:
    """Sum of products over pairs of axes, as NumPy's.

    Args:
        axes: how many of A's last axes meet as many of B's first; or the axes of A and those of B.

    Raises:
        ArgumentError: not as many axes of A as of B.
        ShapeError: axes that meet are of different sizes.
    """
    if isinstance(axes, int):
        ours, theirs = list(range(A.ndim() - axes, A.ndim())), list(range(axes))
    else:
        ours, theirs = (np.atleast_1d(part).tolist() for part in axes)
    if len(ours) != len(theirs):
        raise ArgumentError(f"tensordot: {len(ours)} axes of A for {len(theirs)} of B")
    left = list(string.ascii_letters[: A.ndim()])
    right = list(string.ascii_letters[A.ndim() : A.ndim() + B.ndim()])
    for a, b in zip(ours, theirs, strict=True):
        right[b] = left[a]
    kept = [letter for letter in left + right if (letter in left) != (letter in right)]
    return operation.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", A, B)
