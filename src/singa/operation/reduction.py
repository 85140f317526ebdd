"""Reductions over axes: sums, products, extremes, norms.

Those with ONNX's names (``reduce_...``) keep the reduced axes with size 1 by default, those with
NumPy's names remove them by default.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.recorded import Axes
from singa.core.tensor import Tensor
from singa.device import CTensor, DType, float32, has_gradients, is_float
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.numerics import other_products, p_norm, whole_product
from singa.tape import Operation, wide

__all__ = [
    "LogSumExp", "Norm", "ReduceAll", "ReduceAny", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "logsumexp", "norm", "reduce_all", "reduce_any", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum",
]  # fmt: skip


def sum_type(x: CTensor) -> DType:
    """The type of a sum or product: for integers at least 32 bits, for all others their own."""
    return x.dtype if has_gradients(x.dtype) else wide(x.dtype)


class Reduction(Operation):
    """The base of reductions: the axes, all of them if None, and whether they stay with size 1."""

    arithmetic = "wide"

    def __init__(self, axes: Axes = None, keepdims: bool = True) -> None:
        super().__init__()
        # An empty list of axes is ambiguous: in some libraries it means all axes, in others none.
        self.axes = None if axes is None else checks.integers(f"{self.name}: axes", axes, 1)
        self.keepdims = bool(keepdims)

    def reduces(self, x: CTensor) -> tuple[int, ...]:
        """The axes to reduce of ``x``."""
        self.reduced, self.from_shape = checks.axes(self, self.axes, x.ndim), x.shape
        return self.reduced

    def count(self) -> int:
        """The number of elements that are reduced to one."""
        return math.prod(self.from_shape[axis] for axis in self.reduced)

    def expand(self, dy: CTensor) -> CTensor:
        """A gradient of the output, repeated over the axes that were reduced."""
        if not self.keepdims:
            dy = jnp.expand_dims(dy, self.reduced)
        return jnp.broadcast_to(dy, self.from_shape)

    def order(self) -> tuple[int, ...]:
        """The axes, with those to reduce at the end."""
        kept = (axis for axis in range(len(self.from_shape)) if axis not in self.reduced)
        return *kept, *self.reduced

    def as_rows(self, x: CTensor) -> CTensor:
        """The axes to reduce as one axis, at the end."""
        kept = len(self.from_shape) - len(self.reduced)
        x = x.transpose(self.order())
        return x.reshape(*x.shape[:kept], self.count())

    def of_rows(self, rows: CTensor) -> CTensor:
        """The inverse of :meth:`as_rows`."""
        order = self.order()
        sizes = [self.from_shape[axis] for axis in order]
        return rows.reshape(sizes).transpose(np.argsort(order))


class ReduceSum(Reduction):
    """y = the sum over some axes (ONNX ReduceSum)."""

    complex_numbers = "own"

    def forward(self, x: CTensor) -> CTensor:
        return x.sum(self.reduces(x), keepdims=self.keepdims, dtype=sum_type(x))

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy)


class ReduceMean(Reduction):
    """y = the mean over some axes (ONNX ReduceMean). Integers give float32."""

    complex_numbers = "own"

    def forward(self, x: CTensor) -> CTensor:
        dtype = x.dtype if has_gradients(x.dtype) else float32
        return x.mean(self.reduces(x), keepdims=self.keepdims, dtype=dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy / self.count())


class ReduceProd(Reduction):
    """y = the product over some axes (ONNX ReduceProd).

    The product and its gradient are right even if partial products would overflow or underflow;
    but not those of complex numbers.
    """

    complex_numbers = "derived"

    def forward(self, x: CTensor) -> CTensor:
        self.x, axes = x, self.reduces(x)
        if not is_float(x.dtype):  # complex numbers, too: partial products of theirs may overflow
            return x.prod(axes, keepdims=self.keepdims, dtype=sum_type(x))
        y = whole_product(self.as_rows(x))
        return jnp.expand_dims(y, axes) if self.keepdims else y

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy) * self.of_rows(other_products(self.as_rows(self.x)))


class _Extreme(Reduction):
    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        """The extreme of ``x``, with the axes kept."""
        raise NotImplementedError

    def forward(self, x: CTensor) -> CTensor:
        axes = self.reduces(x)
        if not self.count():
            raise ShapeError(f"{self.name}: there is nothing along axes {axes} of {x.shape}")
        self.x, self.y = x, self.chosen(x, axes)
        return self.y if self.keepdims else self.y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        hits = (self.x == self.y).astype(dy.dtype)
        return self.expand(dy) * hits / hits.sum(self.reduced, keepdims=True)


class ReduceMax(_Extreme):
    """y = the largest over some axes (ONNX ReduceMax). Ties share the gradient equally."""

    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        return x.max(axes, keepdims=True)


class ReduceMin(_Extreme):
    """y = the smallest over some axes (ONNX ReduceMin). Ties share the gradient equally."""

    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        return x.min(axes, keepdims=True)


class ReduceAll(Reduction):
    """y = whether all elements over some axes are true (not 0), as bool."""

    def forward(self, x: CTensor) -> CTensor:
        return x.astype(bool).all(self.reduces(x), keepdims=self.keepdims)

    def backward(self, dy: CTensor) -> None:
        return None


class ReduceAny(Reduction):
    """y = whether some element over some axes is true (not 0), as bool."""

    def forward(self, x: CTensor) -> CTensor:
        return x.astype(bool).any(self.reduces(x), keepdims=self.keepdims)

    def backward(self, dy: CTensor) -> None:
        return None


class Norm(Reduction):
    """y = the p-norm of the vectors along some axes, (sum(abs(x) ** p)) ** (1 / p).

    The gradient at the zero vector is 0, and so is that of an element 0 for p up to 1. With
    p = infinity, which is the largest absolute value, and -infinity, the smallest, ties share it
    equally; otherwise infinite elements do. p = 0 counts the elements that are not 0, and has no
    gradient. Powers do not overflow or underflow.
    """

    def __init__(self, p: float = 2, axes: Axes = None, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)
        self.p = checks.number(f"{self.name}: p", p)
        if math.isnan(self.p):
            raise ArgumentError(f"{self.name}: p must be a number, got {p!r}")

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x, axes = x, self.reduces(x)
        _, y = p_norm(x, self.p, axes)
        return y if self.keepdims else y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy) * p_norm(self.x, self.p, self.reduced)[0]


class LogSumExp(Reduction):
    """y = ln(sum(e ** x)) over some axes (ONNX ReduceLogSumExp), shifted to avoid an overflow.

    The gradient is the softmax. Elements of plus infinity share it equally; if all elements are
    minus infinity it is 0.
    """

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        axes = self.reduces(x)
        if not self.count():
            raise ShapeError(f"{self.name}: there is nothing along axes {axes} of {x.shape}")
        self.x, self.y = x, jax.nn.logsumexp(x, axes, keepdims=True)
        return self.y if self.keepdims else self.y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        infinite = jnp.isposinf(self.x).astype(wide(self.x.dtype))
        share = infinite / jnp.maximum(infinite.sum(self.reduced, keepdims=True), 1)
        softmax = jnp.exp(jnp.where(jnp.isinf(self.y), -jnp.inf, self.x - self.y))
        return self.expand(dy) * (softmax + share.astype(softmax.dtype))


def reduce_sum(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """The sum over some axes, or all; with ``keepdims`` they stay in the shape, with size 1.

    Integers of less than 32 bits are summed as int32, and so are bools.

    Example:
        >>> autograd.reduce_sum(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 0, keepdims=False)
        Tensor([4., 6.], shape=(2,), dtype=float32, device=cpu)
    """
    return ReduceSum(axes, keepdims)(x)[0]


def reduce_mean(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """The mean over some axes, or all; with ``keepdims`` they stay in the shape, with size 1.

    Integers give float32.

    Example:
        >>> autograd.reduce_mean(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 1, keepdims=False)
        Tensor([1.5, 3.5], shape=(2,), dtype=float32, device=cpu)
    """
    return ReduceMean(axes, keepdims)(x)[0]


def reduce_prod(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """The product over some axes, or all; with ``keepdims`` they stay in the shape, with size 1.

    Integers of less than 32 bits are multiplied as int32, and so are bools. The product is right
    even if partial products would overflow or underflow.

    Example:
        >>> autograd.reduce_prod(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 1, keepdims=False)
        Tensor([ 2., 12.], shape=(2,), dtype=float32, device=cpu)
    """
    return ReduceProd(axes, keepdims)(x)[0]


def reduce_max(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """The largest over some axes, or all; with ``keepdims`` they stay in the shape, with size 1.

    Equal ones share the gradient equally.

    Raises:
        ShapeError: there are no elements along the axes.

    Example:
        >>> autograd.reduce_max(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 1, keepdims=False)
        Tensor([2., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return ReduceMax(axes, keepdims)(x)[0]


def reduce_min(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """The smallest over some axes, or all; with ``keepdims`` they stay in the shape, with size 1.

    Equal ones share the gradient equally.

    Raises:
        ShapeError: there are no elements along the axes.

    Example:
        >>> autograd.reduce_min(Tensor(data=[[1.0, 2.0], [3.0, 4.0]]), 1, keepdims=False)
        Tensor([1., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return ReduceMin(axes, keepdims)(x)[0]


def reduce_all(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """Whether all elements along some axes, or all axes, are true (not 0), as bool.

    The axes are kept in the shape, with size 1, if ``keepdims``.

    Example:
        >>> x = Tensor(data=[[True, False], [True, True]])
        >>> autograd.reduce_all(x, 1, keepdims=False)
        Tensor([False,  True], shape=(2,), dtype=bool, device=cpu)
    """
    return ReduceAll(axes, keepdims)(x)[0]


def reduce_any(x: Tensor, axes: Axes = None, keepdims: bool = True) -> Tensor:
    """Whether some element along some axes, or all axes, is true (not 0), as bool.

    The axes are kept in the shape, with size 1, if ``keepdims``.

    Example:
        >>> x = Tensor(data=[[True, False], [False, False]])
        >>> autograd.reduce_any(x, 1, keepdims=False)
        Tensor([ True, False], shape=(2,), dtype=bool, device=cpu)
    """
    return ReduceAny(axes, keepdims)(x)[0]


def norm(x: Tensor, p: float = 2, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The ``p``-norm over ``axis`` (all if None, as one vector), for any number ``p``.

    It is ``sum(abs(x) ** p) ** (1 / p)``; for infinity the largest absolute value, for minus
    infinity the smallest, for 0 the number of elements that are not 0. The axis is removed from
    the shape, unless ``keepdims``. The gradient is 0 where the norm is 0; powers do not overflow
    or underflow.

    Example:
        >>> autograd.norm(Tensor(data=[[3.0, 4.0], [0.0, 2.0]]), axis=1)
        Tensor([5., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Norm(p, axis, keepdims)(x)[0]


def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """``ln(sum(e ** x))`` over ``axis`` (all if None), without overflow (ONNX ReduceLogSumExp).

    The axis is removed from the shape, unless ``keepdims``. The gradient is the softmax; elements
    of plus infinity share it equally.

    Example:
        >>> autograd.logsumexp(Tensor(data=[[0.0, 0.0], [1000.0, 1000.0]]), 1)
        Tensor([   0.6931, 1000.6932], shape=(2,), dtype=float32, device=cpu)
    """
    return LogSumExp(axis, keepdims)(x)[0]
