"""Reductions over axes, and running sums along one.

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
from singa.device import CTensor, DType, float32, is_float
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.numerics import direction, other_products, whole_product
from singa.tape import Operation, wide

__all__ = [
    "CumSum", "LogSumExp", "Norm", "ReduceAll", "ReduceAny", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "Std", "Var", "cumsum", "logsumexp", "norm",
    "reduce_all", "reduce_any", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod",
    "reduce_sum", "std", "var",
]  # fmt: skip


def _summed(x: CTensor) -> DType:
    """The type of a sum or product: for floats their own, for integers at least 32 bits."""
    return x.dtype if is_float(x.dtype) else wide(x.dtype)


class _Reduction(Operation):
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


class ReduceSum(_Reduction):
    """y = the sum over some axes (ONNX ReduceSum)."""

    def forward(self, x: CTensor) -> CTensor:
        return x.sum(self.reduces(x), keepdims=self.keepdims, dtype=_summed(x))

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy)


class ReduceMean(_Reduction):
    """y = the mean over some axes (ONNX ReduceMean). Integers give float32."""

    def forward(self, x: CTensor) -> CTensor:
        dtype = x.dtype if is_float(x.dtype) else float32
        return x.mean(self.reduces(x), keepdims=self.keepdims, dtype=dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy / self.count())


class ReduceProd(_Reduction):
    """y = the product over some axes (ONNX ReduceProd).

    The product and its gradient are right even if partial products would overflow or underflow.
    """

    def forward(self, x: CTensor) -> CTensor:
        self.x, axes = x, self.reduces(x)
        if not is_float(x.dtype):
            return x.prod(axes, keepdims=self.keepdims, dtype=_summed(x))
        y = whole_product(self.as_rows(x))
        return jnp.expand_dims(y, axes) if self.keepdims else y

    def backward(self, dy: CTensor) -> CTensor:
        others = other_products(self.as_rows(self.x))
        order = self.order()
        sizes = [self.from_shape[axis] for axis in order]
        return self.expand(dy) * others.reshape(sizes).transpose(np.argsort(order))

    def order(self) -> tuple[int, ...]:
        """The axes, with those to reduce at the end."""
        kept = (axis for axis in range(len(self.from_shape)) if axis not in self.reduced)
        return *kept, *self.reduced

    def as_rows(self, x: CTensor) -> CTensor:
        """The axes to reduce as one axis, at the end."""
        kept = len(self.from_shape) - len(self.reduced)
        x = x.transpose(self.order())
        return x.reshape(*x.shape[:kept], self.count())


class _Extreme(_Reduction):
    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        """The extreme of ``x``, with the axes kept."""
        raise NotImplementedError

    def forward(self, x: CTensor) -> CTensor:
        axes = self.reduces(x)
        if not self.count():
            raise ShapeError(f"{self.name}: there is nothing along axes {axes} of {x.shape}")
        y = self.chosen(x, axes)
        self.hits = x == y
        return y if self.keepdims else y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        hits = self.hits.astype(dy.dtype)
        return self.expand(dy) * hits / hits.sum(self.reduced, keepdims=True)


class ReduceMax(_Extreme):
    """y = the largest over some axes (ONNX ReduceMax). Ties share the gradient equally."""

    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        return x.max(axes, keepdims=True)


class ReduceMin(_Extreme):
    """y = the smallest over some axes (ONNX ReduceMin). Ties share the gradient equally."""

    def chosen(self, x: CTensor, axes: tuple[int, ...]) -> CTensor:
        return x.min(axes, keepdims=True)


class ReduceAll(_Reduction):
    """y = whether all elements over some axes are true (not 0), as bool."""

    def forward(self, x: CTensor) -> CTensor:
        return x.astype(bool).all(self.reduces(x), keepdims=self.keepdims)

    def backward(self, dy: CTensor) -> None:
        return None


class ReduceAny(_Reduction):
    """y = whether some element over some axes is true (not 0), as bool."""

    def forward(self, x: CTensor) -> CTensor:
        return x.astype(bool).any(self.reduces(x), keepdims=self.keepdims)

    def backward(self, dy: CTensor) -> None:
        return None


class Var(_Reduction):
    """y = sum((x - mean) ** 2) / (count - ddof) over some axes."""

    def __init__(self, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> None:
        super().__init__(axes, keepdims)
        self.ddof = checks.integer(f"{self.name}: ddof", ddof)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return x.var(self.reduces(x), keepdims=self.keepdims, ddof=self.ddof)

    def backward(self, dy: CTensor) -> CTensor:
        error = self.x - self.x.mean(self.reduced, keepdims=True)
        # As in NumPy there is no variance of too few elements, and so no gradient: NaN.
        degrees = self.count() - self.ddof
        return self.expand(dy) * error * (2 / degrees if degrees > 0 else math.nan)


class Std(Var):
    """y = the square root of the variance over some axes; its gradient is 0 where y is 0."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x, axes = x, self.reduces(x)
        _, length = direction(x - x.mean(axes, keepdims=True), axes)
        y = length * self.factor()
        return y if self.keepdims else y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        error = self.x - self.x.mean(self.reduced, keepdims=True)
        return self.expand(dy) * direction(error, self.reduced)[0] * self.factor()

    def factor(self) -> float:
        """The factor of the norm of all errors."""
        degrees = self.count() - self.ddof
        return 1 / math.sqrt(degrees) if degrees > 0 else math.nan


class Norm(_Reduction):
    """y = the p-norm of the vectors along some axes, for p = 1, 2 or infinity.

    The gradient at the zero vector is 0. With p = infinity, ties share it equally; with p = 2
    infinite elements do. Squares do not overflow or underflow.
    """

    def __init__(self, p: float = 2, axes: Axes = None, keepdims: bool = False) -> None:
        super().__init__(axes, keepdims)
        if checks.number(f"{self.name}: p", p) not in (1, 2, math.inf):
            raise ArgumentError(f"{self.name}: p must be 1, 2 or infinity, got {p!r}")
        self.p = float(p)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        axes = self.reduces(x)
        self.x, size = x, jnp.abs(x)
        if self.p == 1:
            y = size.sum(axes, keepdims=True)
        elif self.p == 2:
            _, y = direction(x, axes)
        else:
            y = size.max(axes, keepdims=True, initial=0)
        self.y = y
        return y if self.keepdims else y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        dy, sign = self.expand(dy), jnp.sign(self.x)
        if self.p == 1:
            return dy * sign
        if self.p == 2:
            return dy * direction(self.x, self.reduced)[0]
        hits = (jnp.abs(self.x) == self.y).astype(dy.dtype)
        return dy * sign * hits / hits.sum(self.reduced, keepdims=True)


class LogSumExp(_Reduction):
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


class CumSum(Operation):
    """y = the cumulative sums along an axis (ONNX CumSum).

    ``exclusive`` leaves out the element itself; ``reverse`` begins at the end.
    """

    arithmetic = "wide"

    def __init__(self, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)
        self.exclusive, self.reverse = bool(exclusive), bool(reverse)

    def forward(self, x: CTensor) -> CTensor:
        return self.summed(x.astype(_summed(x)), self.reverse)

    def backward(self, dy: CTensor) -> CTensor:
        return self.summed(dy, not self.reverse)

    def summed(self, x: CTensor, reverse: bool) -> CTensor:
        axis = checks.axis(self, self.axis, x.ndim)
        if self.exclusive and x.shape[axis]:
            # Shift all sums by one, and put a 0 at the beginning.
            ends = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
            first, last = (1, None) if reverse else (0, -1)
            rest = jax.lax.slice_in_dim(x, first, last, axis=axis)
            x = jnp.concatenate((rest, ends) if reverse else (ends, rest), axis)
        return jax.lax.cumsum(x, axis, reverse)


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


def var(x: Tensor, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over ``axis`` (all if None): squared errors, divided by count - ``ddof``.

    The axis is removed from the shape, unless ``keepdims``.

    Example:
        >>> autograd.var(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), 1)
        Tensor([1., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return Var(axis, keepdims, ddof)(x)[0]


def std(x: Tensor, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over ``axis`` (all if None); its gradient is 0 where it is 0.

    The axis is removed from the shape, unless ``keepdims``. ``ddof`` is that of :func:`var`.

    Example:
        >>> autograd.std(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), 1)
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Std(axis, keepdims, ddof)(x)[0]


def norm(x: Tensor, p: float = 2, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The ``p``-norm (1, 2 or infinity) over ``axis`` (all if None, as one vector).

    The axis is removed from the shape, unless ``keepdims``. The gradient is 0 where the norm is 0;
    squares do not overflow or underflow.

    Raises:
        ArgumentError: another ``p``.

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


def cumsum(x: Tensor, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """The cumulative sums along ``axis``.

    Integers of less than 32 bits are summed as int32, and so are bools.

    Args:
        x: of any shape with at least one axis.
        axis: along which to sum.
        exclusive: leave out the element itself, so that the first sum is 0.
        reverse: begin at the end.

    Example:
        >>> autograd.cumsum(Tensor(data=[1, 2, 3]))
        Tensor([1, 3, 6], shape=(3,), dtype=int32, device=cpu)
    """
    return CumSum(axis, exclusive, reverse)(x)[0]
