"""Activation functions that multiply their input with a gate from 0 to 1."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.nn import sigmoid as logistic

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine.fusion import again
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks, vectorized
from singa.operation.pointwise import Pointwise
from singa.tape import Operation

__all__ = [
    "GLU", "Gelu", "HardSwish", "Mish", "SiLU", "gelu", "glu", "hardswish", "mish", "silu", "swish",
]  # fmt: skip


class HardSwish(
    Pointwise,
    formula=lambda x: jnp.where(x > -3, x * jnp.minimum(x / 6 + 0.5, 1), 0),
    slope=lambda x: jnp.where(x >= 3, 1, jnp.where(x > -3, x / 3 + 0.5, 0)),
):
    """y = x min(max(x / 6 + 1/2, 0), 1) (Howard et al., 2019).

    The derivative is 0 at -3 and 1 at 3, as outside of this interval.
    """


def _silu_slope(x: CTensor) -> CTensor:
    gate = logistic(x)
    return gate + x * gate * (1 - gate)


class SiLU(Pointwise, formula=lambda x: x * logistic(x), slope=_silu_slope):
    """y = x sigmoid(x), also known as swish."""


def _mish_gate(x: CTensor) -> CTensor:
    return jnp.tanh(jax.nn.softplus(x))


def _mish_slope(x: CTensor) -> CTensor:
    gate = _mish_gate(x)
    return gate + x * (1 - gate * gate) * logistic(x)


class Mish(Pointwise, formula=lambda x: x * _mish_gate(x), slope=_mish_slope):
    """y = x tanh(softplus(x)) (Misra, 2019)."""


class Gelu(Operation):
    """y = x P(z < x) for a normally distributed z (Hendrycks and Gimpel, 2016; ONNX Gelu).

    With ``approximate="tanh"`` the probability is approximated by
    (1 + tanh(sqrt(2 / pi) (x + 0.044715 x ** 3))) / 2.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(
                f"{self.name}: approximate must be 'none' or 'tanh', got {approximate!r}"
            )
        self.approximate = approximate

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return x * self.gate(x)[0]

    def backward(self, dy: CTensor) -> CTensor:
        x = again(self.x)
        gate, slope = self.gate(x)
        return dy * (gate + x * slope)

    def gate(self, x: CTensor) -> tuple[CTensor, CTensor]:
        """The probability and its derivative."""
        if self.approximate == "none":
            share, density = vectorized.normal(x)
            return share, density
        # Beyond 30 it is 0 or 1 in all types, and the powers would overflow.
        x = jnp.clip(x, -30, 30)
        scale = 2 * math.sqrt(2 / math.pi)
        gate = logistic(scale * (x + 0.044715 * x * x * x))
        return gate, gate * (1 - gate) * scale * (1 + 3 * 0.044715 * x * x)


class GLU(Operation):
    """y = a sigmoid(b), for the halves a and b of x along an axis (Dauphin et al., 2016)."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        axis = checks.axis(self, self.axis, x.ndim)
        if x.shape[axis] % 2:
            raise ShapeError(f"{self.name}: axis {axis} of {x.shape} does not have two halves")
        self.a, b = jnp.split(x, 2, axis)
        self.gate = logistic(b)
        return self.a * self.gate

    def backward(self, dy: CTensor) -> CTensor:
        da = dy * self.gate
        return jnp.concatenate((da, da * self.a * (1 - self.gate)), self.axis)


def hardswish(x: Tensor) -> Tensor:
    """``x * min(max(x / 6 + 1 / 2, 0), 1)``, element by element.

    Example:
        >>> autograd.hardswish(Tensor(data=[-4.0, 1.5, 4.0]))
        Tensor([0.   , 1.125, 4.   ], shape=(3,), dtype=float32, device=cpu)
    """
    return HardSwish()(x)[0]


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """``x * P(z < x)`` for a normally distributed z, element by element.

    ``approximate="tanh"`` uses the approximate formula of GPT-2 and BERT.

    Example:
        >>> autograd.gelu(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([-0.1587,  0.    ,  0.8413], shape=(3,), dtype=float32, device=cpu)
    """
    return Gelu(approximate)(x)[0]


def silu(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``, element by element.

    Example:
        >>> autograd.silu(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([-0.2689,  0.    ,  0.7311], shape=(3,), dtype=float32, device=cpu)
    """
    return SiLU()(x)[0]


def swish(x: Tensor) -> Tensor:
    """``x * sigmoid(x)``, element by element: :func:`silu` under its other name.

    Example:
        >>> autograd.swish(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([-0.2689,  0.    ,  0.7311], shape=(3,), dtype=float32, device=cpu)
    """
    return SiLU()(x)[0]


def mish(x: Tensor) -> Tensor:
    """``x * tanh(softplus(x))``, element by element.

    Example:
        >>> autograd.mish(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([-0.3034,  0.    ,  0.8651], shape=(3,), dtype=float32, device=cpu)
    """
    return Mish()(x)[0]


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """``a * sigmoid(b)``, for the halves a and b of ``x`` along ``axis``.

    Args:
        x: any shape.
        axis: an axis of even size; the result has half of it.

    Raises:
        ShapeError: its size is odd.

    Example:
        >>> autograd.glu(Tensor(data=[[1.0, 2.0, 0.0, 100.0]]))
        Tensor([[0.5, 2. ]], shape=(1, 2), dtype=float32, device=cpu)
    """
    return GLU(axis)(x)[0]
