"""Arithmetic, element by element, with NumPy's broadcasting and type promotion.

Gradients are returned in the broadcast shape: the tape sums them to the inputs' shapes.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, float32, is_float
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.pointwise import Pointwise
from singa.tape import Operation

__all__ = [
    "Abs", "Add", "Clip", "Div", "Erf", "Exp", "Expm1", "FloorDivide", "Identity", "Log", "Log1p",
    "Mul", "Negative", "Pow", "Reciprocal", "Remainder", "Sign", "Sqrt", "Square", "Sub", "Where",
    "abs", "add", "clip", "div", "erf", "exp", "expm1", "floor_divide", "identity", "log", "log1p",
    "masked_fill", "mul", "negative", "pow", "reciprocal", "remainder", "sign", "sqrt", "square",
    "sub", "where",
]  # fmt: skip


def _are_integers(*xs: CTensor) -> bool:
    return all(jnp.issubdtype(x.dtype, jnp.integer) for x in xs)


def _no_zero(name: str, a: Tensor, b: Any) -> None:
    """Integers are not divided by the number 0, which has no infinity among them."""
    if isinstance(b, int) and b == 0 and not is_float(a.dtype):
        raise ArgumentError(f"{name}: integers ({a.dtype}) cannot be divided by 0")


def _no_fraction(a: Tensor, b: Any) -> None:
    """Integers have no powers below 0 among them."""
    if isinstance(b, int) and b < 0 and not is_float(a.dtype):
        raise ArgumentError(
            f"Pow: integers ({a.dtype}) to the power of {b} are no integers; convert them first, "
            "with as_type(tensor.float32)"
        )


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
        checks.no_bools(self, "a ^ b tells where they differ", a, b)
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


class FloorDivide(Operation):
    """y = the largest integer not above a / b; its gradient is 0. Of integers, a // 0 is 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        return jnp.where(b == 0, 0, a // b) if _are_integers(a, b) else a // b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return jnp.zeros_like(dy), jnp.zeros_like(dy)


class Remainder(Operation):
    """y = a - b floor(a / b). Of integers, a % 0 is 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        return jnp.where(b == 0, 0, a % b) if _are_integers(a, b) else a % b

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, -dy * (self.a // self.b)


class Pow(Operation):
    """y = a ** b. The gradient of b is 0 where a <= 0, because there is no logarithm there.

    For integers, a ** -b is 1 / a ** b without its fraction: 0, unless a is 1 or -1.
    """

    arithmetic = "wide"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        if _are_integers(a, b):
            return jnp.where((b < 0) & (jnp.abs(a) != 1), 0, a ** jnp.abs(b))
        self.y = a**b
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, b = self.a, self.b
        # If the exponent is 0, 0 ** -1 must not be a factor.
        slope = jnp.where(b == 0, 0, b * a ** jnp.where(b == 0, 1, b - 1))
        log_a = jnp.log(jnp.where(a > 0, a, 1))
        return dy * slope, dy * jnp.where(a > 0, self.y * log_a, 0)


class Negative(Operation):
    """y = -x."""

    def forward(self, x: CTensor) -> CTensor:
        checks.no_bools(self, "~x is the opposite", x)
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

    arithmetic = "wide"

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.exp(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * self.y


class Log(Pointwise, formula=jnp.log, slope=lambda x: 1 / x):
    """y = ln x."""

    arithmetic = "wide"


class Log1p(Pointwise, formula=jnp.log1p, slope=lambda x: 1 / (1 + x)):
    """y = ln (1 + x), precise near 0."""

    arithmetic = "wide"


class Expm1(Pointwise, formula=jnp.expm1, slope=jnp.exp):
    """y = e ** x - 1, precise near 0."""

    arithmetic = "wide"


class Reciprocal(Pointwise, formula=lambda x: 1 / x, slope=lambda x: -1 / (x * x)):
    """y = 1 / x."""

    arithmetic = "wide"


def _erf_slope(x: CTensor) -> CTensor:
    return (2 / math.sqrt(math.pi)) * jnp.exp(-x * x)


class Erf(Pointwise, formula=jax.lax.erf, slope=_erf_slope):
    """y = the error function, 2 / sqrt(pi) times the integral of e ** -(t ** 2) from 0 to x."""


class Sqrt(Operation):
    """y = the square root of x."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.sqrt(x)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy / (2 * self.y)


class Square(Operation):
    """y = x x."""

    def forward(self, x: CTensor) -> CTensor:
        self.x = x
        return x * x

    def backward(self, dy: CTensor) -> CTensor:
        return 2 * dy * self.x


class Sign(Operation):
    """y = -1, 0 or 1; the gradient is 0."""

    def forward(self, x: CTensor) -> CTensor:
        checks.no_bools(self, "they have no sign", x)
        return jnp.sign(x)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.zeros_like(dy)


class Identity(Operation):
    """y = x."""

    def forward(self, x: CTensor) -> CTensor:
        return x

    def backward(self, dy: CTensor) -> CTensor:
        return dy


class Clip(Operation):
    """y = min(max(x, low), high); the gradient at the bounds is that of x."""

    numbers = ("low", "high")

    def __init__(self, min: float | None = None, max: float | None = None) -> None:
        super().__init__()
        self.low = -math.inf if min is None else checks.number(f"{self.name}: min", min)
        self.high = math.inf if max is None else checks.number(f"{self.name}: max", max)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return jnp.minimum(jnp.maximum(x, self.low), self.high)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where((self.low <= self.x) & (self.x <= self.high), dy, 0)


class Where(Operation):
    """y = a where the condition holds (is not 0), else b."""

    def forward(self, a: CTensor, b: CTensor, condition: CTensor) -> CTensor:
        checks.broadcastable(self, a, b, condition)
        self.condition = condition != 0
        return jnp.where(self.condition, a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, None]:
        return jnp.where(self.condition, dy, 0), jnp.where(self.condition, 0, dy), None


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


def pow(a: Tensor, b: TensorLike) -> Tensor:
    """``a ** b``, element by element, with broadcasting. The gradient of b is 0 where a <= 0.

    Raises:
        ArgumentError: integers with a number below 0 as their exponent: the results are none.

    Example:
        >>> autograd.pow(Tensor(data=[1.0, 2.0]), 3)
        Tensor([1., 8.], shape=(2,), dtype=float32, device=cpu)
    """
    _no_fraction(a, b)
    return Pow()(a, as_tensor(b, a))[0]


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


def exp(x: Tensor) -> Tensor:
    """``e ** x``, element by element.

    Example:
        >>> autograd.exp(Tensor(data=[0.0, 1.0]))
        Tensor([1.    , 2.7183], shape=(2,), dtype=float32, device=cpu)
    """
    return Exp()(x)[0]


def log(x: Tensor) -> Tensor:
    """The natural logarithm, element by element.

    Example:
        >>> autograd.log(Tensor(data=[1.0, np.e]))
        Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Log()(x)[0]


def sqrt(x: Tensor) -> Tensor:
    """The square root, element by element.

    Example:
        >>> autograd.sqrt(Tensor(data=[4.0, 9.0]))
        Tensor([2., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return Sqrt()(x)[0]


def log1p(x: Tensor) -> Tensor:
    """The natural logarithm of 1 + x, element by element, precise near 0.

    Example:
        >>> autograd.log1p(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.6931], shape=(2,), dtype=float32, device=cpu)
    """
    return Log1p()(x)[0]


def expm1(x: Tensor) -> Tensor:
    """``e ** x - 1``, element by element, precise near 0.

    Example:
        >>> autograd.expm1(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 1.7183], shape=(2,), dtype=float32, device=cpu)
    """
    return Expm1()(x)[0]


def reciprocal(x: Tensor) -> Tensor:
    """``1 / x``, element by element.

    Example:
        >>> autograd.reciprocal(Tensor(data=[2.0, -4.0]))
        Tensor([ 0.5 , -0.25], shape=(2,), dtype=float32, device=cpu)
    """
    return Reciprocal()(x)[0]


def erf(x: Tensor) -> Tensor:
    """The error function, element by element.

    Example:
        >>> autograd.erf(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.8427], shape=(2,), dtype=float32, device=cpu)
    """
    return Erf()(x)[0]


def square(x: Tensor) -> Tensor:
    """``x * x``, element by element, precise for integers too.

    Example:
        >>> autograd.square(Tensor(data=[2, -3]))
        Tensor([4, 9], shape=(2,), dtype=int32, device=cpu)
    """
    return Square()(x)[0]


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


def clip(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """``x``, element by element, but at least ``min`` and at most ``max``; None for no bound.

    If ``min`` is above ``max``, everything becomes ``max``, as in NumPy.

    Example:
        >>> autograd.clip(Tensor(data=[-2.0, 0.5, 3.0]), 0.0, 1.0)
        Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float32, device=cpu)
    """
    return Clip(min, max)(x)[0]


def where(x: Tensor, y: TensorLike, condition: TensorLike) -> Tensor:
    """The elements of ``x`` where ``condition`` holds, else those of ``y``; with broadcasting.

    The order of the arguments is SINGA's, not NumPy's.

    Example:
        >>> x = Tensor(data=[3.0, -2.0])
        >>> autograd.where(x, 0.1 * x, x > 0)
        Tensor([ 3. , -0.2], shape=(2,), dtype=float32, device=cpu)
    """
    return Where()(x, as_tensor(y, x), as_tensor(condition, x))[0]


def masked_fill(x: Tensor, mask: TensorLike, value: TensorLike) -> Tensor:
    """``x`` with ``value`` in place of the elements where ``mask`` holds; with broadcasting.

    Example:
        >>> x = Tensor(data=[3.0, -2.0])
        >>> autograd.masked_fill(x, x < 0, 0.0)
        Tensor([3., 0.], shape=(2,), dtype=float32, device=cpu)
    """
    return Where()(as_tensor(value, x), x, as_tensor(mask, x))[0]
