"""Arithmetic, element by element, with NumPy's broadcasting and type promotion.

Gradients are returned in the broadcast shape: the tape sums them down to the inputs'.
"""

from __future__ import annotations

import jax.numpy as jnp

from singa.device import CTensor, float32, is_float
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor, TensorLike, as_tensor

__all__ = [
    "Abs", "Add", "Div", "Exp", "Log", "Mul", "Negative", "Pow", "Sqrt", "Sub", "abs", "add",
    "div", "exp", "log", "mul", "negative", "pow", "sqrt", "sub",
]  # fmt: skip


class Add(Operation):
    """y = a + b."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        return a + b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, dy


class Sub(Operation):
    """y = a - b."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        return a - b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, -dy


class Mul(Operation):
    """y = a b."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        return a * b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy * self.b, dy * self.a


class Div(Operation):
    """y = a / b. Integers are divided as float32."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        if not is_float(a.dtype) and not is_float(b.dtype):
            a, b = a.astype(float32), b.astype(float32)
        self.b = b
        self.y = a / b
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        da = dy / self.b
        return da, -da * self.y


class Pow(Operation):
    """y = a ** b. The gradient of b is 0 where a <= 0, where the logarithm does not exist."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        self.y = a**b
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, b = self.a, self.b
        # 0 ** -1 must not reach the product where the exponent is 0.
        slope = jnp.where(b == 0, 0, b * a ** jnp.where(b == 0, 1, b - 1))
        log_a = jnp.log(jnp.where(a > 0, a, 1))
        return dy * slope, dy * jnp.where(a > 0, self.y * log_a, 0)


class Negative(Operation):
    """y = -x."""

    def forward(self, x: CTensor) -> CTensor:
        return -x

    def backward(self, dy: CTensor) -> CTensor:
        return -dy


class Abs(Operation):
    """y = abs(x); the gradient at 0 is 0."""

    def forward(self, x: CTensor) -> CTensor:
        self.x = x
        return jnp.abs(x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * jnp.sign(self.x)


class Exp(Operation):
    """y = e ** x."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.exp(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * self.y


class Log(Operation):
    """y = ln x."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return jnp.log(x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy / self.x


class Sqrt(Operation):
    """y = the square root of x."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.sqrt(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy / (2 * self.y)


def add(a: Tensor, b: TensorLike) -> Tensor:
    """A + b, with broadcasting."""
    return Add()(a, as_tensor(b, a))[0]


def sub(a: Tensor, b: TensorLike) -> Tensor:
    """A - b, with broadcasting."""
    return Sub()(a, as_tensor(b, a))[0]


def mul(a: Tensor, b: TensorLike) -> Tensor:
    """A b, element by element, with broadcasting."""
    return Mul()(a, as_tensor(b, a))[0]


def div(a: Tensor, b: TensorLike) -> Tensor:
    """A / b, with broadcasting; integers are divided as float32."""
    return Div()(a, as_tensor(b, a))[0]


def pow(a: Tensor, b: TensorLike) -> Tensor:
    """A ** b, with broadcasting. The gradient of b is 0 where a <= 0."""
    return Pow()(a, as_tensor(b, a))[0]


def negative(x: Tensor) -> Tensor:
    """-x."""
    return Negative()(x)[0]


def abs(x: Tensor) -> Tensor:
    """The absolute value; its gradient at 0 is 0."""
    return Abs()(x)[0]


def exp(x: Tensor) -> Tensor:
    """E ** x."""
    return Exp()(x)[0]


def log(x: Tensor) -> Tensor:
    """The natural logarithm."""
    return Log()(x)[0]


def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return Sqrt()(x)[0]
