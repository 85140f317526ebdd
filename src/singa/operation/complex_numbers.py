"""Complex numbers: their parts, absolute values and angles, and how they are made of these.

The gradient of a real number by z = x + iy is its derivative by x plus i times that by y.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from singa import device
from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.errors import DTypeError, ShapeError
from singa.operation import checks
from singa.operation.numerics import over
from singa.operation.vectorized import atan2
from singa.tape import Operation

__all__ = [
    "Angle", "Complex", "Conj", "Imag", "Polar", "Real", "ViewAsComplex", "ViewAsReal", "angle",
    "complex", "conj", "imag", "is_complex", "polar", "real", "view_as_complex", "view_as_real",
]  # fmt: skip


class _OfComplex(Operation):
    """A function of complex numbers, whose backward is right for them. Real ones are allowed."""

    complex_numbers = "own"


class Real(_OfComplex):
    """y = the real part of x."""

    def forward(self, x: CTensor) -> CTensor:
        return x.real

    def backward(self, dy: CTensor) -> CTensor:
        return dy


class Imag(_OfComplex):
    """y = the imaginary part of x; 0 if x is real."""

    def forward(self, x: CTensor) -> CTensor:
        return x.imag

    def backward(self, dy: CTensor) -> CTensor:
        # Of a real input the tape takes the real part, which is 0.
        wide = dy.astype(device.real_type(device.complex_type(dy.dtype)))
        return jax.lax.complex(jnp.zeros_like(wide), wide)


class Conj(_OfComplex):
    """y = the conjugate of x."""

    def forward(self, x: CTensor) -> CTensor:
        return x.conj()

    def backward(self, dy: CTensor) -> CTensor:
        return dy.conj()


class Angle(_OfComplex):
    """y = the angle of x, in (-pi, pi]; the gradient at 0 is 0, and that of real numbers too."""

    def forward(self, x: CTensor) -> CTensor:
        self.x = x = checks.as_float(self, "its input", x)
        return atan2(x.imag, x.real)

    def backward(self, dy: CTensor) -> CTensor:
        if not _is_complex(self.x):
            return jnp.zeros_like(dy)
        size = jnp.abs(self.x)
        # Divided twice: the square of the size could overflow, or become 0.
        return dy * 1j * over(over(self.x, size), size)


class Polar(Operation):
    """y = size (cos angle + i sin angle)."""

    def forward(self, size: CTensor, angle: CTensor) -> CTensor:
        checks.broadcastable(self, size, angle)
        size, angle = _parts(self, size, angle)
        self.direction = jax.lax.complex(jnp.cos(angle), jnp.sin(angle))
        self.y = size * self.direction
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return (dy * self.direction.conj()).real, (dy * self.y.conj()).imag


class Complex(Operation):
    """y = real + i imag."""

    def forward(self, real: CTensor, imag: CTensor) -> CTensor:
        checks.broadcastable(self, real, imag)
        return jax.lax.complex(*_parts(self, real, imag))

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy.real, dy.imag


class ViewAsReal(_OfComplex):
    """y = the real and the imaginary part along a new last axis: (...) to (..., 2)."""

    def forward(self, x: CTensor) -> CTensor:
        if not _is_complex(x):
            raise DTypeError(f"{self.name}: complex numbers are needed, got {x.dtype}")
        return jnp.stack((x.real, x.imag), -1)

    def backward(self, dy: CTensor) -> CTensor:
        return jax.lax.complex(dy[..., 0], dy[..., 1])


class ViewAsComplex(Operation):
    """y = complex numbers from their parts along the last axis: (..., 2) to (...)."""

    def forward(self, x: CTensor) -> CTensor:
        if x.shape[-1:] != (2,):
            raise ShapeError(f"{self.name}: the last axis must be of size 2, got shape {x.shape}")
        return jax.lax.complex(*_parts(self, x[..., 0], x[..., 1]))

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.stack((dy.real, dy.imag), -1)


def _is_complex(x: CTensor) -> bool:
    return device.is_complex(x.dtype)


def _parts(operation: Operation, *xs: CTensor) -> list[CTensor]:
    """Real inputs in one type that complex numbers can be made of, broadcast together."""
    xs = tuple(checks.real_input(operation, "its input", x) for x in xs)
    dtype = np.result_type(*[x.dtype for x in xs])
    return jnp.broadcast_arrays(*[x.astype(dtype) for x in xs])


def real(x: Tensor) -> Tensor:
    """The real part, element by element; a real ``x`` is its own.

    Example:
        >>> autograd.real(Tensor(data=[1 + 2j, 3j]))
        Tensor([1., 0.], shape=(2,), dtype=float32, device=cpu)
    """
    return Real()(x)[0]


def imag(x: Tensor) -> Tensor:
    """The imaginary part, element by element; 0 if ``x`` is real.

    Example:
        >>> autograd.imag(Tensor(data=[1 + 2j, 3j]))
        Tensor([2., 3.], shape=(2,), dtype=float32, device=cpu)
    """
    return Imag()(x)[0]


def conj(x: Tensor) -> Tensor:
    """The conjugate, with the opposite imaginary part, element by element.

    Example:
        >>> autograd.conj(Tensor(data=[1 + 2j, 3j]))
        Tensor([1.-2.j, 0.-3.j], shape=(2,), dtype=complex64, device=cpu)
    """
    return Conj()(x)[0]


def angle(x: Tensor) -> Tensor:
    """The angle in (-pi, pi], element by element; its gradient at 0 is 0.

    For real numbers it is 0, or pi if they are negative, and has no gradient.

    Example:
        >>> autograd.angle(Tensor(data=[1j, -2.0]))
        Tensor([1.5708, 3.1416], shape=(2,), dtype=float32, device=cpu)
    """
    return Angle()(x)[0]


def polar(size: Tensor, angle: TensorLike) -> Tensor:
    """``size * (cos(angle) + 1j * sin(angle))``, element by element, with broadcasting.

    Args:
        size: the absolute values, real.
        angle: in radians, real.

    Returns:
        Complex numbers, complex64 for float32 and shorter types.

    Example:
        >>> autograd.polar(Tensor(data=[1.0, 2.0]), Tensor(data=[0.0, np.pi / 2])).abs()
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Polar()(size, as_tensor(angle, size))[0]


def complex(real: Tensor, imag: TensorLike) -> Tensor:
    """``real + 1j * imag``, element by element, with broadcasting; both are real.

    Returns:
        Complex numbers, complex64 for float32 and shorter types.

    Example:
        >>> autograd.complex(Tensor(data=[1.0, 2.0]), 3.0)
        Tensor([1.+3.j, 2.+3.j], shape=(2,), dtype=complex64, device=cpu)
    """
    return Complex()(real, as_tensor(imag, real))[0]


def view_as_real(x: Tensor) -> Tensor:
    """The real and the imaginary part of complex numbers as a new last axis: (...) to (..., 2).

    It is a new Tensor, not a view.

    Example:
        >>> autograd.view_as_real(Tensor(data=[1 + 2j, 3j]))
        Tensor([[1., 2.],
                [0., 3.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return ViewAsReal()(x)[0]


def view_as_complex(x: Tensor) -> Tensor:
    """Complex numbers from their parts along the last axis: (..., 2) to (...).

    It is a new Tensor, not a view.

    Example:
        >>> autograd.view_as_complex(Tensor(data=[[1.0, 2.0], [0.0, 3.0]]))
        Tensor([1.+2.j, 0.+3.j], shape=(2,), dtype=complex64, device=cpu)
    """
    return ViewAsComplex()(x)[0]


def is_complex(x: Tensor) -> bool:
    """Whether ``x``, of any shape, is of a complex type.

    Example:
        >>> autograd.is_complex(Tensor(data=[1j])), autograd.is_complex(Tensor(data=[1.0]))
        (True, False)
    """
    return device.is_complex(x.dtype)
