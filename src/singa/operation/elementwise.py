"""Arithmetic, element by element, with NumPy's broadcasting and type promotion.

Gradients are returned in the broadcast shape: the tape sums them to the inputs' shapes.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, float32, has_gradients
from singa.errors import ArgumentError
from singa.operation import checks, vectorized
from singa.tape import Operation

__all__ = [
    "Abs", "Add", "AddCDiv", "AddCMul", "Div", "FloorDivide", "Fmod", "Identity", "Lerp", "Mul",
    "Negative", "Remainder", "Sign", "Sub", "abs", "add", "addcdiv", "addcmul", "div",
    "floor_divide", "fmod", "identity", "lerp", "mul", "negative", "remainder", "sign", "sub",
]  # fmt: skip


def _no_zero(name: str, a: Tensor, b: Any) -> None:
    """Integers are not divided by the number 0, which has no infinity among them."""
    if isinstance(b, int) and b == 0 and not has_gradients(a.dtype):
        raise ArgumentError(f"{name}: integers ({a.dtype}) cannot be divided by 0")


class Add(Operation):
    """y = a + b."""

    complex_numbers = "own"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        return a + b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, dy


class Sub(Operation):
    """y = a - b."""

    complex_numbers = "own"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        checks.no_bools(self, "a ^ b tells where they differ", a, b)
        return a - b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, -dy


class Mul(Operation):
    """y = a b."""

    complex_numbers = "derived"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        return a * b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy * self.b, dy * self.a


class Div(Operation):
    """y = a / b. Integers are divided as float32."""

    complex_numbers = "derived"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        if not has_gradients(a.dtype) and not has_gradients(b.dtype):
            a, b = a.astype(float32), b.astype(float32)
        self.b = b
        self.y = a / b
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        da = dy / self.b
        return da, -da * self.y


class FloorDivide(Operation):
    """y = the largest integer not above a / b; its gradient is 0. Of integers, a // 0 is 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        if checks.are_integers(a, b):
            return jnp.where(b == 0, 0, a // b)
        return vectorized.floor_divide(a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return jnp.zeros_like(dy), jnp.zeros_like(dy)


class Remainder(Operation):
    """y = a - b floor(a / b). Of integers, a % 0 is 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        if checks.are_integers(a, b):
            return jnp.where(b == 0, 0, a % b)
        return vectorized.remainder(a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, -dy * vectorized.floor_divide(self.a, self.b)


class Fmod(Operation):
    """y = a - b trunc(a / b). Of integers, the remainder by 0 is 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        checks.no_bools(self, "convert them first", a, b)
        self.a, self.b = a, b
        if checks.are_integers(a, b):
            return jnp.where(b == 0, 0, jnp.fmod(a, jnp.where(b == 0, 1, b)))
        return vectorized.fmod(a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, -dy * jnp.trunc(self.a / self.b)


class Negative(Operation):
    """y = -x."""

    complex_numbers = "own"

    def forward(self, x: CTensor) -> CTensor:
        checks.no_bools(self, "~x is the opposite", x)
        return -x

    def backward(self, dy: CTensor) -> CTensor:
        return -dy


class Abs(Operation):
    """y = abs(x); the gradient at 0 is 0."""

    complex_numbers = "derived"

    def forward(self, x: CTensor) -> CTensor:
        self.x = x
        return jnp.abs(x)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * jnp.sign(self.x)


class Sign(Operation):
    """y = -1, 0 or 1; the gradient is 0."""

    def forward(self, x: CTensor) -> CTensor:
        checks.no_bools(self, "they have no sign", x)
        return jnp.sign(x)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.zeros_like(dy)


class Identity(Operation):
    """y = x."""

    complex_numbers = "own"

    def forward(self, x: CTensor) -> CTensor:
        return x

    def backward(self, dy: CTensor) -> CTensor:
        return dy


class Lerp(Operation):
    """y = a + weight (b - a), which is exactly a for weight 0 and b for weight 1."""

    def forward(self, a: CTensor, b: CTensor, weight: CTensor) -> CTensor:
        checks.broadcastable(self, a, b, weight)
        for x in (a, b):
            checks.float_input(self, "its input", x)
        self.a, self.b, self.weight = a, b, weight
        difference = b - a
        near = a + weight * difference
        return jnp.where(weight < 0.5, near, b - difference * (1 - weight))

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        return dy * (1 - self.weight), dy * self.weight, dy * (self.b - self.a)


class AddCMul(Operation):
    """y = x + value a b."""

    complex_numbers = "derived"
    numbers = ("value",)

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = checks.number(f"{self.name}: value", value)

    def forward(self, x: CTensor, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, x, a, b)
        checks.float_input(self, "its input", x)
        self.a, self.b = a, b
        return x + self.value * (a * b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        scaled = dy * self.value
        return dy, scaled * self.b, scaled * self.a


class AddCDiv(AddCMul):
    """y = x + value a / b."""

    def forward(self, x: CTensor, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, x, a, b)
        checks.float_input(self, "its input", x)
        self.a, self.b = a, b
        return x + self.value * (a / b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        da = dy * self.value / self.b
        return dy, da, -da * (self.a / self.b)


def add(a: Tensor, b: TensorLike) -> Tensor:
    """``a + b``, element by element, with broadcasting.

    Example:
        >>> autograd.add(Tensor(data=[[1.0], [2.0]]), Tensor(data=[10.0, 20.0]))
        Tensor([[11., 21.],
                [12., 22.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Add()(a, as_tensor(b, a))[0]


def sub(a: Tensor, b: TensorLike) -> Tensor:
    """``a - b``, element by element, with broadcasting.

    Example:
        >>> autograd.sub(Tensor(data=[1.0, 2.0]), 0.5)
        Tensor([0.5, 1.5], shape=(2,), dtype=float32, device=cpu)
    """
    return Sub()(a, as_tensor(b, a))[0]


def mul(a: Tensor, b: TensorLike) -> Tensor:
    """``a * b``, element by element, with broadcasting.

    Example:
        >>> autograd.mul(Tensor(data=[[1.0], [2.0]]), Tensor(data=[3.0, 4.0]))
        Tensor([[3., 4.],
                [6., 8.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Mul()(a, as_tensor(b, a))[0]


def div(a: Tensor, b: TensorLike) -> Tensor:
    """``a / b``, element by element, with broadcasting; integers are divided as float32.

    Example:
        >>> autograd.div(Tensor(data=[1, 2]), 2)
        Tensor([0.5, 1. ], shape=(2,), dtype=float32, device=cpu)
    """
    return Div()(a, as_tensor(b, a))[0]


def floor_divide(a: Tensor, b: TensorLike) -> Tensor:
    """The largest integer not above a / b, with broadcasting; its gradient is 0.

    Integers divided by a Tensor's 0 give 0, as in NumPy.

    Raises:
        ArgumentError: integers divided by the number 0.

    Example:
        >>> autograd.floor_divide(Tensor(data=[-3, 3]), 2)
        Tensor([-2,  1], shape=(2,), dtype=int32, device=cpu)
    """
    _no_zero("FloorDivide", a, b)
    return FloorDivide()(a, as_tensor(b, a))[0]


def remainder(a: Tensor, b: TensorLike) -> Tensor:
    """``a - b * floor(a / b)``, which has the sign of b, with broadcasting.

    Integers divided by a Tensor's 0 leave 0, as in NumPy.

    Raises:
        ArgumentError: integers divided by the number 0.

    Example:
        >>> autograd.remainder(Tensor(data=[-3, 3]), 2)
        Tensor([1, 1], shape=(2,), dtype=int32, device=cpu)
    """
    _no_zero("Remainder", a, b)
    return Remainder()(a, as_tensor(b, a))[0]


def fmod(a: Tensor, b: TensorLike) -> Tensor:
    """``a - b * trunc(a / b)``, which has the sign of a, with broadcasting.

    Integers divided by a Tensor's 0 leave 0, as in NumPy.

    Raises:
        ArgumentError: integers divided by the number 0.

    Example:
        >>> autograd.fmod(Tensor(data=[-3, 3]), 2)
        Tensor([-1,  1], shape=(2,), dtype=int32, device=cpu)
    """
    _no_zero("Fmod", a, b)
    return Fmod()(a, as_tensor(b, a))[0]


def negative(x: Tensor) -> Tensor:
    """``-x``, element by element.

    Example:
        >>> autograd.negative(Tensor(data=[1.0, -2.0]))
        Tensor([-1.,  2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Negative()(x)[0]


def abs(x: Tensor) -> Tensor:
    """The absolute value, element by element; its gradient at 0 is 0.

    Example:
        >>> autograd.abs(Tensor(data=[1.0, -2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Abs()(x)[0]


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1, element by element, of x's type; its gradient is 0.

    Example:
        >>> autograd.sign(Tensor(data=[0.5, 0.0, -2.0]))
        Tensor([ 1.,  0., -1.], shape=(3,), dtype=float32, device=cpu)
    """
    return Sign()(x)[0]


def identity(x: Tensor) -> Tensor:
    """``x`` itself, as the output of an operation.

    Example:
        >>> autograd.identity(Tensor(data=[1.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Identity()(x)[0]


def lerp(a: Tensor, b: TensorLike, weight: TensorLike) -> Tensor:
    """``a + weight * (b - a)``, element by element, with broadcasting: from ``a`` to ``b``.

    Example:
        >>> autograd.lerp(Tensor(data=[0.0, 10.0]), Tensor(data=[1.0, 20.0]), 0.25)
        Tensor([ 0.25, 12.5 ], shape=(2,), dtype=float32, device=cpu)
    """
    return Lerp()(a, as_tensor(b, a), as_tensor(weight, a))[0]


def addcmul(x: Tensor, a: TensorLike, b: TensorLike, value: float = 1.0) -> Tensor:
    """``x + value * a * b``, element by element, with broadcasting.

    Integers give integers, if ``value`` is a whole number.

    Example:
        >>> autograd.addcmul(Tensor(data=[1.0, 1.0]), Tensor(data=[2.0, 3.0]), 10.0, value=0.5)
        Tensor([11., 16.], shape=(2,), dtype=float32, device=cpu)
    """
    if x.dtype.kind in "iu":
        factor = checks.number("AddCMul: value", value)
        whole: TensorLike = int(factor) if factor.is_integer() else factor
        return add(x, mul(mul(as_tensor(a, x), as_tensor(b, x)), whole))
    return AddCMul(value)(x, as_tensor(a, x), as_tensor(b, x))[0]


def addcdiv(x: Tensor, a: TensorLike, b: TensorLike, value: float = 1.0) -> Tensor:
    """``x + value * a / b``, element by element, with broadcasting.

    Example:
        >>> autograd.addcdiv(Tensor(data=[1.0, 1.0]), Tensor(data=[2.0, 3.0]), 0.5, value=2.0)
        Tensor([ 9., 13.], shape=(2,), dtype=float32, device=cpu)
    """
    return AddCDiv(value)(x, as_tensor(a, x), as_tensor(b, x))[0]
