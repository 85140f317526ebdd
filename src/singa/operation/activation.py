"""Activation functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from singa.device import CTensor
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = ["ReLU", "Sigmoid", "SoftMax", "Tanh", "relu", "sigmoid", "softmax", "tanh"]


class ReLU(Operation):
    """y = max(x, 0); the gradient at 0 is 0."""

    def forward(self, x: CTensor) -> CTensor:
        self.y = jnp.maximum(x, 0)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(self.y > 0, dy, 0)


class Sigmoid(Operation):
    """y = 1 / (1 + e ** -x)."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jax.nn.sigmoid(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * self.y * (1 - self.y)


class Tanh(Operation):
    """y = tanh(x)."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.tanh(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * (1 - self.y * self.y)


class SoftMax(Operation):
    """y = e ** x / sum(e ** x) along an axis, shifted by the largest x so as not to overflow."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jax.nn.softmax(x, checks.axis(self, self.axis, x.ndim))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return self.y * (dy - (dy * self.y).sum(self.axis, keepdims=True))


def relu(x: Tensor) -> Tensor:
    """max(x, 0), element by element."""
    return ReLU()(x)[0]


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e ** -x), element by element."""
    return Sigmoid()(x)[0]


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, element by element."""
    return Tanh()(x)[0]


def softmax(x: Tensor, axis: int = 1) -> Tensor:
    """E ** x / sum(e ** x) along ``axis``; sums to 1 there."""
    return SoftMax(axis)(x)[0]
