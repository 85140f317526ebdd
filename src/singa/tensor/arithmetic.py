"""The public API of Tensors: the class, the data types, functions that make Tensors, SINGA's names.

``from singa import tensor``. The functions of one or more Tensors are recorded operations, the
same as in :mod:`singa.autograd`; here they have SINGA's names and arguments. If ``out`` or ``ret``
is given, that Tensor becomes the result and is returned, instead of a new one.

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
from singa.core.arrays import as_shape, fits
from singa.core.recorded import Axes
from singa.core.tensor import ArrayLike as ArrayLike
from singa.core.tensor import CTensor as CTensor
from singa.core.tensor import Tensor as Tensor
from singa.core.tensor import TensorLike as TensorLike
from singa.core.tensor import as_tensor as as_tensor
from singa.core.tensor import random_key as random_key
from singa.device import Device, as_dtype
from singa.device import bfloat16 as bfloat16
from singa.device import bool_ as bool_
from singa.device import complex64 as complex64
from singa.device import complex128 as complex128
from singa.device import float16 as float16
from singa.device import float32 as float32
from singa.device import float64 as float64
from singa.device import int8 as int8
from singa.device import int16 as int16
from singa.device import int32 as int32
from singa.device import int64 as int64
from singa.device import uint8 as uint8
from singa.errors import ArgumentError, BoundsError, DTypeError, ShapeError
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
from singa.operation.pointwise import as_tensors

PlaceHolder = Tensor

# -- making Tensors -----------------------------------------------------------------------------


def from_numpy(np_array: np.ndarray[Any, Any], dev: Device | None = None) -> Tensor:
    """A Tensor with a copy of the array's values, of the same shape and data type.

    Example:
        >>> tensor.from_numpy(np.array([1.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    return Tensor(data=np.asarray(np_array), device=dev)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor on another library's array, of its shape; not copied if both libraries allow it.

    Example:
        >>> tensor.from_dlpack(np.array([1, 2], np.int32))
        Tensor([1, 2], shape=(2,), dtype=int32, device=cpu)
    """
    data = jax.dlpack.from_dlpack(array)
    return from_raw_tensor(data)


def from_raw_tensor(t: CTensor) -> Tensor:
    """A Tensor on this CTensor, of its shape; nothing is copied.

    Example:
        >>> tensor.from_raw_tensor(jnp.ones(2, "float32"))
        Tensor([1., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Tensor(data=t)


def from_raw_tensors(tt: Iterable[CTensor]) -> list[Tensor]:
    """A Tensor on each of these CTensors, of its shape.

    Example:
        >>> [t.shape for t in tensor.from_raw_tensors([jnp.ones(2), jnp.ones((3, 4))])]
        [(2,), (3, 4)]
    """
    return [from_raw_tensor(t) for t in tt]


def to_numpy(t: Tensor) -> np.ndarray[Any, Any]:
    """An array of t's shape, which the caller may change; (1,) if ``t`` is a scalar.

    SINGA's scalars have an axis, so that its programs read a loss by ``to_numpy(loss)[0]``. The
    method ``t.to_numpy()`` adds no axis, and ``t.item()`` returns a number.

    Example:
        >>> loss = autograd.mse_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[0.0, 0.0]))
        >>> tensor.to_numpy(loss)[0], loss.to_numpy().shape
        (np.float32(2.5), ())
    """
    return np.atleast_1d(t.to_numpy())


def to_host(t: Tensor) -> Tensor:
    """A copy of ``t`` on the CPU, of its shape.

    Example:
        >>> tensor.to_host(Tensor(data=[1.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return t.clone().to_host()


def zeros(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of zeros, of this shape; float32 if no type is given.

    Example:
        >>> tensor.zeros((2, 2))
        Tensor([[0., 0.],
                [0., 0.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Tensor(shape, device, dtype)


def ones(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of ones, of this shape; float32 if no type is given.

    Example:
        >>> tensor.ones(2, dtype=tensor.int32)
        Tensor([1, 1], shape=(2,), dtype=int32, device=cpu)
    """
    return Tensor(shape, device, dtype).set_value(1)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros of ``t``'s shape and data type, on its device.

    Example:
        >>> tensor.zeros_like(Tensor(data=[1, 2]))
        Tensor([0, 0], shape=(2,), dtype=int32, device=cpu)
    """
    return Tensor(t.shape, t.device, t.dtype)


def ones_like(t: Tensor) -> Tensor:
    """Ones of ``t``'s shape and data type, on its device.

    Example:
        >>> tensor.ones_like(Tensor(data=[1, 2]))
        Tensor([1, 1], shape=(2,), dtype=int32, device=cpu)
    """
    return zeros_like(t).set_value(1)


def full(
    shape: Sequence[int] | int, value: complex, device: Device | None = None, dtype: Any = None
) -> Tensor:
    """A Tensor of this shape, whose elements are all ``value``.

    If no type is given: float32, and complex64 for a complex number.

    Example:
        >>> tensor.full((2,), 0.5)
        Tensor([0.5, 0.5], shape=(2,), dtype=float32, device=cpu)
    """
    if dtype is None and isinstance(value, complex):
        dtype = complex64
    return Tensor(shape, device, dtype).set_value(value)


def arange(
    start: float, stop: float | None = None, step: float = 1, device: Device | None = None
) -> Tensor:
    """The numbers from ``start`` to before ``stop``, of shape (number of them,), int32 or float32.

    int64, if one of them does not fit into 32 bits. If only one number is given, it is ``stop``,
    and ``start`` is 0.

    Example:
        >>> tensor.arange(3)
        Tensor([0, 1, 2], shape=(3,), dtype=int32, device=cpu)
        >>> tensor.arange(0.0, 1.0, 0.25)
        Tensor([0.  , 0.25, 0.5 , 0.75], shape=(4,), dtype=float32, device=cpu)
    """
    numbers = np.arange(start, stop, step) if stop is not None else np.arange(start, step=step)
    dtype = float32 if numbers.dtype.kind != "i" else int32 if fits(numbers, int32) else int64
    return Tensor(data=numbers, device=device, dtype=dtype)


def random(shape: Sequence[int] | int, device: Device | None = None) -> Tensor:
    """Uniform numbers in [0, 1), of this shape, float32, from the device's random stream.

    Example:
        >>> t = tensor.random((100, 100))
        >>> 0.0 <= t.min().item() < t.max().item() < 1.0
        True
    """
    return Tensor(shape, device).uniform(0.0, 1.0)


def gaussian(mean: float, std: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with numbers from the normal distribution, and return it.

    Example:
        >>> t = tensor.gaussian(5.0, 0.1, Tensor((100, 100)))
        >>> round(t.mean().item(), 1), round(t.std().item(), 1)
        (5.0, 0.1)
    """
    return t.gaussian(mean, std)


def uniform(low: float, high: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with uniform numbers in [low, high), and return it.

    Example:
        >>> t = tensor.uniform(-1.0, 1.0, Tensor((100, 100)))
        >>> -1.0 <= t.min().item() < t.max().item() < 1.0
        True
    """
    return t.uniform(low, high)


def bernoulli(p: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with ones, each with probability ``p``, and zeros, and return it.

    Example:
        >>> round(tensor.bernoulli(0.3, Tensor((100, 100))).mean().item(), 1)
        0.3
    """
    return t.bernoulli(p)


# -- about shapes -------------------------------------------------------------------------------


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


# -- arithmetic ---------------------------------------------------------------------------------


def _into(out: Tensor | None, result: Tensor) -> Tensor:
    return result if out is None else become(out, result)


def add(lhs: TensorLike, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """``lhs + rhs``, element by element, with broadcasting.

    Example:
        >>> tensor.add(Tensor(data=[1.0, 2.0]), 10.0)
        Tensor([11., 12.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(ret, operation.add(*as_tensors(lhs, rhs)))


def sub(lhs: TensorLike, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """``lhs - rhs``, element by element, with broadcasting.

    Example:
        >>> tensor.sub(Tensor(data=[1.0, 2.0]), 10.0)
        Tensor([-9., -8.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(ret, operation.sub(*as_tensors(lhs, rhs)))


def eltwise_mult(lhs: TensorLike, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """``lhs * rhs``, element by element, with broadcasting.

    Example:
        >>> tensor.eltwise_mult(Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 4.0]))
        Tensor([3., 8.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(ret, operation.mul(*as_tensors(lhs, rhs)))


def div(lhs: TensorLike, rhs: TensorLike, ret: Tensor | None = None) -> Tensor:
    """``lhs / rhs``, element by element, with broadcasting; integers are divided as float32.

    Example:
        >>> tensor.div(Tensor(data=[1, 2]), 2)
        Tensor([0.5, 1. ], shape=(2,), dtype=float32, device=cpu)
        >>> tensor.div(2.0, Tensor(data=[1.0, 2.0]))
        Tensor([2., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(ret, operation.div(*as_tensors(lhs, rhs)))


def pow(t: TensorLike, x: TensorLike, out: Tensor | None = None) -> Tensor:
    """``t ** x``, element by element, with broadcasting.

    Example:
        >>> tensor.pow(Tensor(data=[1.0, 2.0]), 3)
        Tensor([1., 8.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(out, operation.pow(*as_tensors(t, x)))


def softmax(t: Tensor, out: Tensor | None = None) -> Tensor:
    """``e ** t / sum(e ** t)`` along the last axis; of t's shape.

    Example:
        >>> tensor.softmax(Tensor(data=[0.0, np.log(3.0)]))
        Tensor([0.25, 0.75], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(out, operation.softmax(t, axis=-1))


def lt(t: TensorLike, x: TensorLike) -> Tensor:
    """Whether t < x, element by element, with broadcasting, as bool.

    Example:
        >>> tensor.lt(Tensor(data=[1, 2, 3]), 2)
        Tensor([ True, False, False], shape=(3,), dtype=bool, device=cpu)
    """
    return operation.less(*as_tensors(t, x))


def le(t: TensorLike, x: TensorLike) -> Tensor:
    """Whether t <= x, element by element, with broadcasting, as bool.

    Example:
        >>> tensor.le(Tensor(data=[1, 2, 3]), 2)
        Tensor([ True,  True, False], shape=(3,), dtype=bool, device=cpu)
    """
    return operation.less_equal(*as_tensors(t, x))


def gt(t: TensorLike, x: TensorLike) -> Tensor:
    """Whether t > x, element by element, with broadcasting, as bool.

    Example:
        >>> tensor.gt(Tensor(data=[1, 2, 3]), 2)
        Tensor([False, False,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return operation.greater(*as_tensors(t, x))


def ge(t: TensorLike, x: TensorLike) -> Tensor:
    """Whether t >= x, element by element, with broadcasting, as bool.

    Example:
        >>> tensor.ge(Tensor(data=[1, 2, 3]), 2)
        Tensor([False,  True,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return operation.greater_equal(*as_tensors(t, x))


def eq(t: TensorLike, x: TensorLike) -> Tensor:
    """Whether t == x, element by element, with broadcasting, as bool.

    Example:
        >>> tensor.eq(Tensor(data=[1, 2, 3]), 2)
        Tensor([False,  True, False], shape=(3,), dtype=bool, device=cpu)
    """
    return operation.equal(*as_tensors(t, x))


def sum(t: Tensor, axis: Axes = None, out: Tensor | None = None) -> Tensor:
    """The sum over ``axis``, which is removed; over all axes if it is None: shape ().

    Example:
        >>> tensor.sum(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 0)
        Tensor([4., 6.], shape=(2,), dtype=float32, device=cpu)
    """
    return _into(out, t.sum(axis))


def average(t: Tensor, axis: Axes = None) -> Tensor:
    """The mean over ``axis``, which is removed; over all axes if it is None: shape ().

    Example:
        >>> tensor.average(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 0)
        Tensor([2., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return t.mean(axis)


def sum_columns(M: Tensor) -> Tensor:
    """The sum of a matrix's columns: (rows, columns) to (rows,).

    Example:
        >>> tensor.sum_columns(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]))
        Tensor([3., 7.], shape=(2,), dtype=float32, device=cpu)
    """
    return _matrix("sum_columns", M).sum(1)


def sum_rows(M: Tensor) -> Tensor:
    """The sum of a matrix's rows: (rows, columns) to (columns,).

    Example:
        >>> tensor.sum_rows(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]))
        Tensor([4., 6.], shape=(2,), dtype=float32, device=cpu)
    """
    return _matrix("sum_rows", M).sum(0)


def _matrix(name: str, M: Tensor) -> Tensor:
    if M.ndim() != 2:
        raise ShapeError(f"{name}: a matrix is needed, got shape {M.shape}")
    return M


def axpy(alpha: float, x: Tensor, y: Tensor) -> Tensor:
    """``y += alpha * x``, in place; returns y.

    Example:
        >>> tensor.axpy(2.0, Tensor(data=[1.0, 2.0]), Tensor(data=[10.0, 10.0]))
        Tensor([12., 14.], shape=(2,), dtype=float32, device=cpu)
    """
    return become(y, y + x * alpha)


def add_column(alpha: float, v: Tensor, beta: float, M: Tensor) -> Tensor:
    """``M = alpha * v + beta * M`` for each column of a matrix, in place; returns M.

    Args:
        alpha: the factor of ``v``.
        v: (rows,).
        beta: the factor of ``M``.
        M: (rows, columns).

    Raises:
        ShapeError: ``M`` is not a matrix, or ``v`` does not have the shape of its columns.

    Example:
        >>> tensor.add_column(1.0, Tensor(data=[1.0, 2.0]), 10.0, tensor.ones((2, 2)))
        Tensor([[11., 11.],
                [12., 12.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(M, v.reshape((-1, 1)) * alpha + _matrix("add_column", M) * beta)


def add_row(alpha: float, v: Tensor, beta: float, M: Tensor) -> Tensor:
    """``M = alpha * v + beta * M`` for each row of a matrix, in place; returns M.

    Args:
        alpha: the factor of ``v``.
        v: (columns,).
        beta: the factor of ``M``.
        M: (rows, columns).

    Raises:
        ShapeError: ``M`` is not a matrix, or ``v`` does not have the shape of its rows.

    Example:
        >>> tensor.add_row(1.0, Tensor(data=[1.0, 2.0]), 10.0, tensor.ones((2, 2)))
        Tensor([[11., 12.],
                [11., 12.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(M, v * alpha + _matrix("add_row", M) * beta)


# -- products -----------------------------------------------------------------------------------


def mult(
    A: Tensor, B: Tensor, C: Tensor | None = None, alpha: float = 1.0, beta: float = 0.0
) -> Tensor:
    """``alpha * A B``, for matrices (M, K) and (K, N) whose leading axes broadcast.

    If ``C`` (M, N) is given, ``beta * C`` is added, and ``C`` becomes the result.

    Example:
        >>> tensor.mult(Tensor(data=[[1.0, 2.0]]), Tensor(data=[[3.0], [4.0]]), alpha=0.5)
        Tensor([[5.5]], shape=(1, 1), dtype=float32, device=cpu)
    """
    product = operation.matmul(A, B)
    if alpha != 1.0:
        product = product * alpha
    if C is None:
        return product
    return become(C, product + C * beta if beta else product)


def einsum(ops: str, *args: Tensor) -> Tensor:
    """Einstein's sum of products, with axes named by letters: ``"ij,jk->ik"`` is (I, J) by (J, K).

    Example:
        >>> tensor.einsum("i,i->", Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 4.0]))
        Tensor(11., shape=(), dtype=float32, device=cpu)
    """
    return operation.einsum(ops, *args)


def tensordot(A: Tensor, B: Tensor, axes: int | Sequence[Any] = 2) -> Tensor:
    """Sum of products over pairs of axes, like NumPy's.

    Args:
        axes: the number of A's last axes that are paired with B's first axes; or the axes of A and
            those of B.

    Raises:
        ArgumentError: the numbers of axes of A and B differ, an axis does not exist, or is given
            twice.
        ShapeError: paired axes are of different sizes.

    Example:
        >>> tensor.tensordot(Tensor((2, 3, 4)), Tensor((3, 4, 5))).shape
        (2, 5)
        >>> tensor.tensordot(Tensor((2, 3)), Tensor((2, 5)), axes=([0], [0])).shape
        (3, 5)
    """
    if isinstance(axes, int):
        ours, theirs = list(range(-axes, 0)), list(range(axes))
    else:
        ours, theirs = (np.atleast_1d(part).tolist() for part in axes)
    if len(ours) != len(theirs):
        raise ArgumentError(f"tensordot: {len(ours)} axes of A for {len(theirs)} of B")
    for name, t, meeting in (("A", A, ours), ("B", B, theirs)):
        there = {axis % t.ndim() for axis in meeting if -t.ndim() <= axis < t.ndim()}
        if len(there) != len(meeting):
            raise ArgumentError(f"tensordot: axes {meeting} of {name}, of shape {t.shape}")
    left = list(string.ascii_letters[: A.ndim()])
    right = list(string.ascii_letters[A.ndim() : A.ndim() + B.ndim()])
    for a, b in zip(ours, theirs, strict=True):
        right[b] = left[a]
    kept = [letter for letter in left + right if (letter in left) != (letter in right)]
    return operation.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", A, B)
