"""Functions of any number of Tensors, element by element, with broadcasting.

They have the names of Python's own ``sum``, ``min`` and ``max``; this file uses none of those.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import ClassVar

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, float32, has_gradients
from singa.operation import checks
from singa.tape import Operation, wide, widened

__all__ = [
    "Max", "Mean", "Min", "Sum", "add_all", "max", "maximum", "mean", "min", "minimum", "sum",
]  # fmt: skip


class Sum(Operation):
    """y = x0 + x1 + ... (ONNX Sum)."""

    complex_numbers = "own"

    def forward(self, *xs: CTensor) -> CTensor:
        return self.total(*xs).astype(jnp.result_type(*xs))

    def total(self, *xs: CTensor) -> CTensor:
        """The sum, in at least 32 bits."""
        checks.broadcastable(self, *xs)
        self.count = len(xs)
        return reduce(jnp.add, [widened(x) for x in xs])

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        return (dy,) * self.count


class Mean(Sum):
    """y = (x0 + x1 + ...) / their number (ONNX Mean). Integers give float32."""

    def forward(self, *xs: CTensor) -> CTensor:
        dtype = jnp.result_type(*xs)
        dtype = dtype if has_gradients(dtype) else float32
        return (self.total(*xs).astype(wide(dtype)) / self.count).astype(dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        return super().backward(dy / self.count)


class _Extreme(Operation):
    choose: ClassVar[Callable[..., CTensor]]

    def forward(self, *xs: CTensor) -> CTensor:
        checks.broadcastable(self, *xs)
        self.xs = xs
        self.y = reduce(type(self).choose, xs)
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        hits = [(x == self.y).astype(dy.dtype) for x in self.xs]
        share = dy / reduce(jnp.add, hits)
        return tuple(share * hit for hit in hits)


class Max(_Extreme):
    """y = the largest of x0, x1, ... (ONNX Max). Equal ones share the gradient equally."""

    choose = staticmethod(jnp.maximum)


class Min(_Extreme):
    """y = the smallest of x0, x1, ... (ONNX Min). Equal ones share the gradient equally."""

    choose = staticmethod(jnp.minimum)


def sum(*xs: Tensor) -> Tensor:
    """The sum of several Tensors, element by element; :func:`reduce_sum` is along axes.

    Example:
        >>> autograd.sum(Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 5.0]))
        Tensor([4., 7.], shape=(2,), dtype=float32, device=cpu)
    """
    return Sum()(*xs)[0]


def add_all(*xs: Tensor) -> Tensor:
    """The sum of several Tensors, element by element: :func:`sum` under its other name.

    Example:
        >>> autograd.add_all(Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 5.0]))
        Tensor([4., 7.], shape=(2,), dtype=float32, device=cpu)
    """
    return Sum()(*xs)[0]


def mean(*xs: Tensor) -> Tensor:
    """The mean of several Tensors, element by element; :func:`reduce_mean` is along axes.

    Example:
        >>> autograd.mean(Tensor(data=[1.0, 2.0]), Tensor(data=[3.0, 5.0]))
        Tensor([2. , 3.5], shape=(2,), dtype=float32, device=cpu)
    """
    return Mean()(*xs)[0]


def max(*xs: Tensor) -> Tensor:
    """The largest of several Tensors, element by element; ties share the gradient equally.

    Example:
        >>> autograd.max(Tensor(data=[1.0, 5.0]), Tensor(data=[3.0, 2.0]))
        Tensor([3., 5.], shape=(2,), dtype=float32, device=cpu)
    """
    return Max()(*xs)[0]


def min(*xs: Tensor) -> Tensor:
    """The smallest of several Tensors, element by element; ties share the gradient equally.

    Example:
        >>> autograd.min(Tensor(data=[1.0, 5.0]), Tensor(data=[3.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Min()(*xs)[0]


def maximum(a: Tensor, b: TensorLike) -> Tensor:
    """The larger of two, element by element; ``b`` may be a number.

    Example:
        >>> autograd.maximum(Tensor(data=[1.0, 5.0]), 3.0)
        Tensor([3., 5.], shape=(2,), dtype=float32, device=cpu)
    """
    return Max()(a, as_tensor(b, a))[0]


def minimum(a: Tensor, b: TensorLike) -> Tensor:
    """The smaller of two, element by element; ``b`` may be a number.

    Example:
        >>> autograd.minimum(Tensor(data=[1.0, 5.0]), 3.0)
        Tensor([1., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return Min()(a, as_tensor(b, a))[0]
