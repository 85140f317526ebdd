"""Running sums, products and extremes along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor, is_float
from singa.engine import native
from singa.engine.native import running as kernels
from singa.operation import checks
from singa.operation.places import written_along
from singa.operation.reduction import sum_type
from singa.tape import Operation, widened

__all__ = [
    "CumMax", "CumMin", "CumProd", "CumSum", "LogCumSumExp", "cummax", "cummin", "cumprod",
    "cumsum", "logcumsumexp",
]  # fmt: skip


_Pair: TypeAlias = tuple[CTensor, CTensor]


class _Running(Operation):
    """An operation along an axis."""

    whole_from = 0

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)


class CumSum(_Running):
    """y = the cumulative sums along an axis (ONNX CumSum).

    ``exclusive`` leaves out the element itself; ``reverse`` begins at the end.
    """

    complex_numbers = "own"
    arithmetic = "wide"

    def __init__(self, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> None:
        super().__init__(axis)
        self.exclusive, self.reverse = bool(exclusive), bool(reverse)

    def forward(self, x: CTensor) -> CTensor:
        return self.summed(x.astype(sum_type(x)), self.reverse)

    def backward(self, dy: CTensor) -> CTensor:
        return self.summed(dy, not self.reverse)

    def summed(self, x: CTensor, reverse: bool) -> CTensor:
        axis = checks.axis(self, self.axis, x.ndim)
        return running(x, axis, "sum", reverse=reverse, exclusive=self.exclusive)


class CumProd(_Running):
    """y = the cumulative products along an axis.

    An element's gradient is the product of those before it, times the sum of the gradients from
    there on, each times the products in between: no division, so that zeros need no case.
    """

    complex_numbers = "derived"
    arithmetic = "wide"

    def forward(self, x: CTensor) -> CTensor:
        self.x = x
        axis = checks.axis(self, self.axis, x.ndim)
        return running(x.astype(sum_type(x)), axis, "product")

    def backward(self, dy: CTensor) -> CTensor:
        axis = self.axis % dy.ndim
        x = self.x.astype(dy.dtype)
        total = recurrence(jnp.roll(x, -1, axis), dy, axis, reverse=True)
        return running(x, axis, "product", exclusive=True) * total


def running(
    x: CTensor, axis: int, what: str, reverse: bool = False, exclusive: bool = False
) -> CTensor:
    """The ``"sum"`` or ``"product"`` of all elements up to each one, or before it."""
    is_product = what == "product"

    def formula(x: CTensor) -> CTensor:
        if exclusive and x.shape[axis]:
            # Shift all by one, and put what changes nothing at the beginning.
            ends = jnp.full_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis), is_product)
            first, last = (1, None) if reverse else (0, -1)
            rest = jax.lax.slice_in_dim(x, first, last, axis=axis)
            x = jnp.concatenate((rest, ends) if reverse else (ends, rest), axis)
        return (jax.lax.cumprod if is_product else jax.lax.cumsum)(x, axis, reverse)

    if kernels.supported(x):
        kernel = partial(
            kernels.total, axis=axis, product=is_product, reverse=reverse, exclusive=exclusive
        )
        y: CTensor = native.run(kernel, formula, x)
        return y
    return formula(x)


def recurrence(factor: CTensor, x: CTensor, axis: int, reverse: bool = False) -> CTensor:
    """Y = factor * (y before) + x along ``axis``, or from its end; the first y is the first x."""

    def combined(before: _Pair, here: _Pair) -> _Pair:
        return here[0] * before[0], here[1] + here[0] * before[1]

    def formula(factor: CTensor, x: CTensor) -> CTensor:
        return jax.lax.associative_scan(combined, (factor, x), reverse=reverse, axis=axis)[1]

    if kernels.supported(factor, x):
        kernel = partial(kernels.recurrence, axis=axis, reverse=reverse)
        y: CTensor = native.run(kernel, formula, factor, x)
        return y
    return formula(factor, x)


class LogCumSumExp(_Running):
    """y = ln of the cumulative sums of e ** x along an axis, without overflow.

    The gradient of each sum is its softmax. Elements of plus infinity share it equally; a sum of
    minus infinity has none.
    """

    arithmetic = "wide"

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        axis = checks.axis(self, self.axis, x.ndim)
        in_blocks, in_rounds = (partial(f, axis=axis) for f in (_in_blocks, jax.lax.cumlogsumexp))
        self.x, self.y = x, jax.lax.platform_dependent(x, cpu=in_blocks, default=in_rounds)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        x, y = (jnp.moveaxis(each, self.axis, -1) for each in (self.x, self.y))
        infinite = jnp.isposinf(x).astype(dy.dtype)
        count = infinite.cumsum(-1)
        share = _exp_of_difference(x, y, infinite / jnp.maximum(count, 1))
        # The weight that all elements so far have in the next sum. None is above 1, so that the
        # gradients of all later sums are added up from the end without overflow.
        fall = _exp_of_difference(
            y[..., :-1], y[..., 1:], count[..., :-1] / jnp.maximum(count[..., 1:], 1)
        )
        fall = jnp.concatenate((fall, jnp.zeros_like(y[..., :1])), -1)

        total = recurrence(fall, jnp.moveaxis(dy, self.axis, -1), x.ndim - 1, reverse=True)
        return jnp.moveaxis(share * total, -1, self.axis)


def _in_blocks(x: CTensor, axis: int) -> CTensor:
    """Logarithms of cumulative sums, one element of each block after the other.

    A block has as many elements as there are blocks, for the fewest steps. On CPUs it takes
    a fiftieth of the time of the rounds over all elements in which jax adds.
    """
    if not x.size:
        return x
    xs = jnp.moveaxis(x, axis, 0)
    length = xs.shape[0]
    size = max(math.isqrt(length), 1)
    xs = jnp.pad(xs, [(0, -length % size), *[(0, 0)] * (x.ndim - 1)], constant_values=-jnp.inf)
    blocks = jnp.moveaxis(xs.reshape(-1, size, *xs.shape[1:]), 1, 0)

    def step(before: CTensor, here: CTensor) -> tuple[CTensor, tuple[CTensor, CTensor]]:
        total = jnp.logaddexp(before, here)
        return total, (before, total)

    _, (_, inside) = jax.lax.scan(step, jnp.full_like(blocks[0], -jnp.inf), blocks)
    _, (before, _) = jax.lax.scan(step, jnp.full_like(xs[0], -jnp.inf), inside[-1])
    whole = jnp.moveaxis(jnp.logaddexp(inside, before), 0, 1).reshape(xs.shape)
    return jnp.moveaxis(whole[:length], 0, axis)


def _exp_of_difference(a: CTensor, b: CTensor, of_infinities: CTensor) -> CTensor:
    """``e ** (a - b)``, 0 if b is minus infinity; if it is infinity, what is given."""
    power = jnp.exp(jnp.where(jnp.isinf(b), 0, a - jnp.where(jnp.isinf(b), 0, b)))
    of_infinities = jnp.where(jnp.isposinf(b), jnp.where(jnp.isposinf(a), of_infinities, 0), 0)
    return jnp.where(jnp.isinf(b), of_infinities, power)


class _CumExtreme(_Running):
    extreme: ClassVar[Callable[..., CTensor]]

    def forward(self, x: CTensor) -> tuple[CTensor, CTensor]:
        checks.no_bools(self, "x.as_type(int32) makes numbers of them", x)
        axis = checks.axis(self, self.axis, x.ndim)
        formula = partial(self.in_rounds, axis=axis)
        wide = widened(x) if x.dtype.itemsize < 4 else x
        if kernels.supported(wide):
            largest = type(self).extreme is jax.lax.cummax
            kernel = partial(kernels.extreme, axis=axis, largest=largest)
            y, self.places = native.run(kernel, formula, wide)
            return y.astype(x.dtype), self.places
        y, self.places = formula(x)
        return y, self.places

    def in_rounds(self, x: CTensor, axis: int) -> tuple[CTensor, CTensor]:
        """The extremes and their indices, each in logarithmically many rounds."""
        y = type(self).extreme(x, axis)
        hit = x == y
        if is_float(x.dtype):
            hit |= jnp.isnan(x)  # from the first NaN on, all is NaN
        places = jnp.where(hit, jax.lax.broadcasted_iota(np.int32, x.shape, axis), 0)
        return y, jax.lax.cummax(places, axis)

    def backward(self, dy: CTensor, _: CTensor) -> CTensor:
        return written_along(jnp.zeros_like(dy), self.places, dy, self.axis % dy.ndim, "add")


class CumMax(_CumExtreme):
    """The largest so far along an axis, and its index; of equal ones the last.

    The element with this index gets the gradient.
    """

    extreme = staticmethod(jax.lax.cummax)


class CumMin(_CumExtreme):
    """The smallest so far along an axis, and its index; of equal ones the last.

    The element with this index gets the gradient.
    """

    extreme = staticmethod(jax.lax.cummin)


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


def cumprod(x: Tensor, axis: int = 0) -> Tensor:
    """The cumulative products along ``axis``; of x's shape.

    Integers of less than 32 bits are multiplied as int32, and so are bools.

    Example:
        >>> autograd.cumprod(Tensor(data=[2, 3, 4]))
        Tensor([ 2,  6, 24], shape=(3,), dtype=int32, device=cpu)
    """
    return CumProd(axis)(x)[0]


def logcumsumexp(x: Tensor, axis: int = 0) -> Tensor:
    """``ln(cumsum(e ** x))`` along ``axis``, without overflow; of x's shape.

    Example:
        >>> autograd.logcumsumexp(Tensor(data=[1000.0, 1000.0]))
        Tensor([1000.    , 1000.6932], shape=(2,), dtype=float32, device=cpu)
    """
    return LogCumSumExp(axis)(x)[0]


def cummax(x: Tensor, axis: int = 0) -> tuple[Tensor, Tensor]:
    """The largest so far along ``axis``, and its index, int32; both of x's shape.

    Of equal ones it is the last, and this one gets the gradient. From NaN on all is NaN.

    Example:
        >>> largest, index = autograd.cummax(Tensor(data=[1.0, 3.0, 2.0]))
        >>> largest.tolist(), index.tolist()
        ([1.0, 3.0, 3.0], [0, 1, 1])
    """
    largest, index = CumMax(axis)(x)
    return largest, index


def cummin(x: Tensor, axis: int = 0) -> tuple[Tensor, Tensor]:
    """The smallest so far along ``axis``, and its index, int32; both of x's shape.

    Of equal ones it is the last, and this one gets the gradient. From NaN on all is NaN.

    Example:
        >>> smallest, index = autograd.cummin(Tensor(data=[3.0, 1.0, 2.0]))
        >>> smallest.tolist(), index.tolist()
        ([3.0, 1.0, 1.0], [0, 1, 1])
    """
    smallest, index = CumMin(axis)(x)
    return smallest, index
