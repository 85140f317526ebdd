"""Trigonometric and hyperbolic functions and their inverses, element by element.

Integers are computed as float32.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.operation import checks, vectorized
from singa.operation.numerics import over, polynomial
from singa.operation.pointwise import RealFunction
from singa.operation.vectorized import turns
from singa.tape import Operation

__all__ = [
    "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "Cos", "Cosh", "Hypot", "Sin",
    "Sinc", "Sinh", "Tan", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos",
    "cosh", "hypot", "sin", "sinc", "sinh", "tan",
]  # fmt: skip


# Roots of the factors, not of their product, which would lose digits near 1, and overflow.
def _asin_slope(x: CTensor) -> CTensor:
    return 1 / (jnp.sqrt(1 - x) * jnp.sqrt(1 + x))


def _acosh_slope(x: CTensor) -> CTensor:
    return 1 / (jnp.sqrt(x - 1) * jnp.sqrt(x + 1))


class Cos(RealFunction, formula=vectorized.cos, slope=lambda x: -vectorized.sin(x)):
    """y = cos x."""

    complex_numbers = "derived"


class Cosh(RealFunction, formula=jnp.cosh, slope=jnp.sinh):
    """y = cosh x."""

    complex_numbers = "derived"


class Acos(RealFunction, formula=vectorized.acos, slope=lambda x: -_asin_slope(x)):
    """y = arccos x."""


class Acosh(RealFunction, formula=jnp.acosh, slope=_acosh_slope):
    """y = arcosh x."""


class Sin(RealFunction, formula=vectorized.sin, slope=vectorized.cos):
    """y = sin x."""

    complex_numbers = "derived"


class Sinh(RealFunction, formula=jnp.sinh, slope=jnp.cosh):
    """y = sinh x."""

    complex_numbers = "derived"


class Asin(RealFunction, formula=vectorized.asin, slope=_asin_slope):
    """y = arcsin x."""


class Asinh(RealFunction, formula=jnp.asinh, slope=lambda x: 1 / jnp.hypot(x, jnp.ones_like(x))):
    """y = arsinh x."""


class Tan(RealFunction, formula=vectorized.tan, slope=lambda x: 1 + vectorized.tan(x) ** 2):
    """y = tan x."""

    complex_numbers = "derived"


class Atan(RealFunction, formula=vectorized.atan, slope=lambda x: 1 / (1 + x * x)):
    """y = arctan x."""


class Atanh(RealFunction, formula=jnp.atanh, slope=lambda x: 1 / ((1 - x) * (1 + x))):
    """y = artanh x."""


def _sinc(x: CTensor) -> CTensor:
    used = jnp.where((x == 0) | jnp.isinf(x), 1, x)
    return jnp.where(x == 0, 1, turns(used)[0] / (used * math.pi))


_SINC_SLOPE = [2 * k * (-1) ** k / math.factorial(2 * k + 1) for k in range(7, 0, -1)]


def _sinc_slope(x: CTensor) -> CTensor:
    """By a series near 0, where two equal numbers would be subtracted."""
    is_near = jnp.abs(x) < 0.15
    near, far = jnp.where(is_near, x, 0) * math.pi, jnp.where(is_near | jnp.isinf(x), 1, x)
    of_near = math.pi * near * polynomial(_SINC_SLOPE, near * near)
    sine, cosine = turns(far)
    return jnp.where(is_near, of_near, (cosine - sine / (far * math.pi)) / far)


class Sinc(RealFunction, formula=_sinc, slope=_sinc_slope):
    """y = sin(pi x) / (pi x), and 1 at 0."""

    arithmetic = "wide"


class _RightTriangle(Operation):
    """A function of the legs of a right triangle; at the origin the gradients are 0."""

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        a, b = (checks.as_float(self, "its input", x) for x in (a, b))
        self.a, self.b, self.hypotenuse = a, b, jnp.hypot(a, b)
        return self.of(a, b)

    def of(self, a: CTensor, b: CTensor) -> CTensor:
        """The function of the legs."""
        raise NotImplementedError

    def over_hypotenuse(self, x: CTensor) -> CTensor:
        """``x`` over the hypotenuse, and 0 at the origin."""
        return over(x, self.hypotenuse)


class Atan2(_RightTriangle):
    """y = the angle of the point (b, a), in (-pi, pi]; the gradient at the origin is 0."""

    def of(self, a: CTensor, b: CTensor) -> CTensor:
        return vectorized.atan2(a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        # Divided twice: the square of the hypotenuse could overflow, or become 0.
        dy = self.over_hypotenuse(dy)
        return dy * self.over_hypotenuse(self.b), -dy * self.over_hypotenuse(self.a)


class Hypot(_RightTriangle):
    """y = sqrt(a a + b b), without overflow; the gradient at the origin is 0."""

    def of(self, a: CTensor, b: CTensor) -> CTensor:
        return self.hypotenuse

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy * self.over_hypotenuse(self.a), dy * self.over_hypotenuse(self.b)


def cos(x: Tensor) -> Tensor:
    """The cosine of an angle in radians, element by element.

    Example:
        >>> autograd.cos(Tensor(data=[0.0, np.pi]))
        Tensor([ 1., -1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Cos()(x)[0]


def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine, element by element.

    Example:
        >>> autograd.cosh(Tensor(data=[0.0, 1.0]))
        Tensor([1.    , 1.5431], shape=(2,), dtype=float32, device=cpu)
    """
    return Cosh()(x)[0]


def acos(x: Tensor) -> Tensor:
    """The angle in [0, pi] with this cosine, element by element; NaN outside of [-1, 1].

    Example:
        >>> autograd.acos(Tensor(data=[1.0, -1.0]))
        Tensor([0.    , 3.1416], shape=(2,), dtype=float32, device=cpu)
    """
    return Acos()(x)[0]


def acosh(x: Tensor) -> Tensor:
    """The inverse of cosh, not negative, element by element; NaN below 1.

    Example:
        >>> autograd.acosh(Tensor(data=[1.0, 2.0]))
        Tensor([0.   , 1.317], shape=(2,), dtype=float32, device=cpu)
    """
    return Acosh()(x)[0]


def sin(x: Tensor) -> Tensor:
    """The sine of an angle in radians, element by element.

    Example:
        >>> autograd.sin(Tensor(data=[0.0, np.pi / 2]))
        Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Sin()(x)[0]


def sinc(x: Tensor) -> Tensor:
    """``sin(pi * x) / (pi * x)``, element by element: 1 at 0, and 0 at all other whole numbers.

    Example:
        >>> autograd.sinc(Tensor(data=[0.0, 0.5, 2.0]))
        Tensor([1.    , 0.6366, 0.    ], shape=(3,), dtype=float32, device=cpu)
    """
    return Sinc()(x)[0]


def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine, element by element.

    Example:
        >>> autograd.sinh(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 1.1752], shape=(2,), dtype=float32, device=cpu)
    """
    return Sinh()(x)[0]


def asin(x: Tensor) -> Tensor:
    """The angle in [-pi/2, pi/2] with this sine, element by element; NaN outside of [-1, 1].

    Example:
        >>> autograd.asin(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 1.5708], shape=(2,), dtype=float32, device=cpu)
    """
    return Asin()(x)[0]


def asinh(x: Tensor) -> Tensor:
    """The inverse of sinh, element by element.

    Example:
        >>> autograd.asinh(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.8814], shape=(2,), dtype=float32, device=cpu)
    """
    return Asinh()(x)[0]


def tan(x: Tensor) -> Tensor:
    """The tangent of an angle in radians, element by element.

    Example:
        >>> autograd.tan(Tensor(data=[0.0, np.pi / 4]))
        Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Tan()(x)[0]


def atan(x: Tensor) -> Tensor:
    """The angle in [-pi/2, pi/2] with this tangent, element by element.

    Example:
        >>> autograd.atan(Tensor(data=[0.0, 1.0]))
        Tensor([0.    , 0.7854], shape=(2,), dtype=float32, device=cpu)
    """
    return Atan()(x)[0]


def atanh(x: Tensor) -> Tensor:
    """The inverse of tanh, element by element; NaN outside of [-1, 1].

    Example:
        >>> autograd.atanh(Tensor(data=[0.0, 0.5]))
        Tensor([0.    , 0.5493], shape=(2,), dtype=float32, device=cpu)
    """
    return Atanh()(x)[0]


def atan2(a: Tensor, b: TensorLike) -> Tensor:
    """The angle in (-pi, pi] of the point with height ``a`` and width ``b``, with broadcasting.

    It is that of ``a / b`` in the right quadrant. Its gradient at the origin is 0.

    Example:
        >>> autograd.atan2(Tensor(data=[1.0, -1.0]), Tensor(data=[0.0, -1.0]))
        Tensor([ 1.5708, -2.3562], shape=(2,), dtype=float32, device=cpu)
    """
    return Atan2()(a, as_tensor(b, a))[0]


def hypot(a: Tensor, b: TensorLike) -> Tensor:
    """``sqrt(a * a + b * b)``, element by element, with broadcasting, without overflow.

    Its gradient where both are 0 is 0.

    Example:
        >>> autograd.hypot(Tensor(data=[3.0, 0.0]), Tensor(data=[4.0, 2.0]))
        Tensor([5., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Hypot()(a, as_tensor(b, a))[0]
