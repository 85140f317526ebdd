"""Functions with bends: bounded, or with another slope on either side."""

from __future__ import annotations

import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.activation import softmax
from singa.operation.choosing import Clip
from singa.operation.elementwise import negative
from singa.tape import Operation

__all__ = ["Celu", "HardTanh", "celu", "hardtanh", "softmin"]


class HardTanh(Clip):
    """y = min(max(x, min_val), max_val); the gradient at both ends is 0."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__(
            checks.number("HardTanh: min_val", min_val), checks.number("HardTanh: max_val", max_val)
        )
        if not self.low <= self.high:
            raise ArgumentError(f"{self.name}: min_val {min_val} is above max_val {max_val}")

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where((self.low < self.x) & (self.x < self.high), dy, 0)


class Celu(Operation):
    """y = x where positive, else alpha (e ** (x / alpha) - 1) (Barron, 2017)."""

    arithmetic = "wide"
    numbers = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = checks.number(f"{self.name}: alpha", alpha)
        if self.alpha == 0:
            raise ArgumentError(f"{self.name}: alpha cannot be 0")

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return jnp.where(x > 0, x, self.alpha * jnp.expm1(self.below(x)))

    def backward(self, dy: CTensor) -> CTensor:
        return dy * jnp.where(self.x > 0, 1, jnp.exp(self.below(self.x)))

    def below(self, x: CTensor) -> CTensor:
        """The power of e, without what is not used and could overflow."""
        return jnp.minimum(x, 0) / self.alpha


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """``x``, element by element, but at least ``min_val`` and at most ``max_val``.

    The gradient at both ends is 0.

    Example:
        >>> autograd.hardtanh(Tensor(data=[-3.0, 0.5, 2.0]))
        Tensor([-1. ,  0.5,  1. ], shape=(3,), dtype=float32, device=cpu)
    """
    return HardTanh(min_val, max_val)(x)[0]


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``x`` where positive, else ``alpha * (e ** (x / alpha) - 1)``, element by element.

    Source: Barron, Continuously Differentiable Exponential Linear Units, 2017.

    Example:
        >>> autograd.celu(Tensor(data=[-2.0, 3.0]), alpha=2.0)
        Tensor([-1.2642,  3.    ], shape=(2,), dtype=float32, device=cpu)
    """
    return Celu(alpha)(x)[0]


def softmin(x: Tensor, axis: int = 1) -> Tensor:
    """``e ** -x / sum(e ** -x)`` along ``axis``; of x's shape.

    Example:
        >>> autograd.softmin(Tensor(data=[[0.0, -np.log(3.0)]]))
        Tensor([[0.25, 0.75]], shape=(1, 2), dtype=float32, device=cpu)
    """
    return softmax(negative(x), axis)
