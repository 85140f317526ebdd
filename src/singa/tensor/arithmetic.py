"""SINGA's arithmetic: recorded operations, whose result can be given as ``out`` or ``ret``."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from singa import operation
from singa.core.recorded import Axes
from singa.core.tensor import Tensor, TensorLike
from singa.errors import ArgumentError, ShapeError
from singa.operation.methods import become
from singa.operation.pointwise import as_tensors


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
