"""Powers, exponentials and logarithms, element by element.

Integers are computed as float32, except for powers and squares, which stay integers.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, has_gradients
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.pointwise import RealFunction
from singa.operation.vectorized import logaddexp as logaddexp_of
from singa.tape import Operation

__all__ = [
    "Erf",
    "Exp",
    "Exp2",
    "Expm1",
    "Log",
    "Log1p",
    "Log2",
    "Log10",
    "LogAddExp",
    "Pow",
    "Reciprocal",
    "Rsqrt",
    "Sqrt",
    "Square",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "pow",
    "reciprocal",
    "rsqrt",
    "sqrt",
    "square",
]  # fmt: skip


def _no_fraction(a: Tensor, b: Any) -> None:
    """Integers have no powers below 0 among them."""
    if isinstance(b, int) and b < 0 and not has_gradients(a.dtype):
        raise ArgumentError(
            f"Pow: integers ({a.dtype}) to the power of {b} are no integers; convert them first, "
            "with as_type(tensor.float32)"
        )


class Pow(Operation):
    """y = a ** b. The gradient of b is 0 where a <= 0, because there is no logarithm there.

    For integers, a ** -b is 1 / a ** b without its fraction: 0, unless a is 1 or -1.
    """

    complex_numbers = "derived"
    arithmetic = "wide"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = a, b
        if checks.are_integers(a, b):
            return jnp.where((b < 0) & (jnp.abs(a) != 1), 0, a ** jnp.abs(b))
        self.y = a**b
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        a, b = self.a, self.b
        # If the exponent is 0, 0 ** -1 must not be a factor.
        slope = jnp.where(b == 0, 0, b * a ** jnp.where(b == 0, 1, b - 1))
        log_a = jnp.log(jnp.where(a > 0, a, 1))
        return dy * slope, dy * jnp.where(a > 0, self.y * log_a, 0)


class Exp(Operation):
    """y = e ** x."""

    complex_numbers = "derived"
    arithmetic = "wide"

    def forward(self, x: CTensor) -> CTensor:
        self.y = jnp.exp(checks.as_float(self, "its input", x))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * self.y


class Log(RealFunction, formula=jnp.log, slope=lambda x: 1 / x):
    """y = ln x."""

    complex_numbers = "derived"
    arithmetic = "wide"


class Exp2(
    RealFunction, formula=jnp.exp2, slope=lambda x: jnp.exp2(x) * jnp.asarray(math.log(2), x.dtype)
):
    """y = 2 ** x."""

    arithmetic = "wide"


class Log2(RealFunction, formula=jnp.log2, slope=lambda x: (1 / math.log(2)) / x):
    """y = the logarithm of x to base 2."""

    arithmetic = "wide"


class Log10(RealFunction, formula=jnp.log10, slope=lambda x: (1 / math.log(10)) / x):
    """y = the logarithm of x to base 10."""

    arithmetic = "wide"


class Log1p(RealFunction, formula=jnp.log1p, slope=lambda x: 1 / (1 + x)):
    """y = ln (1 + x), precise near 0."""

    arithmetic = "wide"


class Expm1(RealFunction, formula=jnp.expm1, slope=jnp.exp):
    """y = e ** x - 1, precise near 0."""

    arithmetic = "wide"


class Reciprocal(RealFunction, formula=lambda x: 1 / x, slope=lambda x: -1 / (x * x)):
    """y = 1 / x."""

    complex_numbers = "derived"
    arithmetic = "wide"


def _erf_slope(x: CTensor) -> CTensor:
    return (2 / math.sqrt(math.pi)) * jnp.exp(-x * x)


class Erf(RealFunction, formula=jax.lax.erf, slope=_erf_slope):
    """y = the error function, 2 / sqrt(pi) times the integral of e ** -(t ** 2) from 0 to x."""


class Sqrt(Operation):
    """y = the square root of x."""

    complex_numbers = "derived"

    def forward(self, x: CTensor) -> CTensor:
        self.y = jnp.sqrt(checks.as_float(self, "its input", x))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy / (2 * self.y)


class Rsqrt(RealFunction, formula=jax.lax.rsqrt, slope=lambda x: -0.5 * jax.lax.rsqrt(x) / x):
    """y = 1 / the square root of x."""

    arithmetic = "wide"


class LogAddExp(Operation):
    """y = ln(e ** a + e ** b), shifted to avoid an overflow.

    Two equal infinities share the gradient if they are positive, and have none if negative.
    """

    arithmetic = "wide"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = (checks.as_float(self, "its input", x) for x in (a, b))
        return logaddexp_of(self.a, self.b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = jnp.where(jnp.isneginf(self.a) & jnp.isneginf(self.b), 0, dy)
        gap = jnp.where(self.a == self.b, 0, self.a - self.b)  # of infinities, too
        return dy * jax.nn.sigmoid(gap), dy * jax.nn.sigmoid(-gap)


class Square(Operation):
    """y = x x."""

    complex_numbers = "derived"

    def forward(self, x: CTensor) -> CTensor:
        self.x = x
        return x * x

    def backward(self, dy: CTensor) -> CTensor:
        return 2 * dy * self.x


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


def exp(x: Tensor) -> Tensor:
    """``e ** x``, element by element.

    Example:
        >>> autograd.exp(Tensor(data=[0.0, 1.0]))
        Tensor([1.    , 2.7183], shape=(2,), dtype=float32, device=cpu)
    """
    return Exp()(x)[0]


def expm1(x: Tensor) -> Tensor:
    """``e ** x - 1``, element by element, precise near 0.

    Example:
        >>> autograd.expm1(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 1.7183], shape=(2,), dtype=float32, device=cpu)
    """
    return Expm1()(x)[0]


def exp2(x: Tensor) -> Tensor:
    """``2 ** x``, element by element.

    Example:
        >>> autograd.exp2(Tensor(data=[0.0, 3.0]))
        Tensor([1., 8.], shape=(2,), dtype=float32, device=cpu)
    """
    return Exp2()(x)[0]


def log(x: Tensor) -> Tensor:
    """The natural logarithm, element by element.

    Example:
        >>> autograd.log(Tensor(data=[1.0, np.e]))
        Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Log()(x)[0]


def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2, element by element.

    Example:
        >>> autograd.log2(Tensor(data=[1.0, 8.0]))
        Tensor([0., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return Log2()(x)[0]


def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10, element by element.

    Example:
        >>> autograd.log10(Tensor(data=[1.0, 100.0]))
        Tensor([0., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Log10()(x)[0]


def logaddexp(a: Tensor, b: TensorLike) -> Tensor:
    """``ln(e ** a + e ** b)``, element by element, with broadcasting, without overflow.

    Example:
        >>> autograd.logaddexp(Tensor(data=[0.0, 1000.0]), Tensor(data=[0.0, 1000.0]))
        Tensor([   0.6931, 1000.6932], shape=(2,), dtype=float32, device=cpu)
    """
    return LogAddExp()(a, as_tensor(b, a))[0]


def log1p(x: Tensor) -> Tensor:
    """The natural logarithm of 1 + x, element by element, precise near 0.

    Example:
        >>> autograd.log1p(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.6931], shape=(2,), dtype=float32, device=cpu)
    """
    return Log1p()(x)[0]


def sqrt(x: Tensor) -> Tensor:
    """The square root, element by element.

    Example:
        >>> autograd.sqrt(Tensor(data=[4.0, 9.0]))
        Tensor([2., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return Sqrt()(x)[0]


def rsqrt(x: Tensor) -> Tensor:
    """``1 / sqrt(x)``, element by element.

    Example:
        >>> autograd.rsqrt(Tensor(data=[4.0, 16.0]))
        Tensor([0.5 , 0.25], shape=(2,), dtype=float32, device=cpu)
    """
    return Rsqrt()(x)[0]


def square(x: Tensor) -> Tensor:
    """``x * x``, element by element, precise for integers too.

    Example:
        >>> autograd.square(Tensor(data=[2, -3]))
        Tensor([4, 9], shape=(2,), dtype=int32, device=cpu)
    """
    return Square()(x)[0]


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
