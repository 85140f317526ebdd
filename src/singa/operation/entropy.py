"""Logarithms of probabilities: products that are 0 for 0 ln 0, entropies, logits.

Element by element. Integers are computed as float32.
"""

from __future__ import annotations

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike
from singa.device import CTensor
from singa.operation import checks, vectorized
from singa.operation.numerics import x_log_y
from singa.operation.pointwise import RealFunction, as_tensors
from singa.tape import Operation

__all__ = ["Entr", "Logit", "XLog1py", "XLogY", "entr", "logit", "xlog1py", "xlogy"]


class XLogY(Operation):
    """y = a ln b; where a is 0, y is 0, as the gradient of b, and that of a if b is 0 or less."""

    arithmetic = "wide"
    shift = 0

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        self.a, self.b = (checks.as_float(self, "its input", x) for x in (a, b))
        self.is_zero = (self.a == 0) & ~jnp.isnan(self.b)
        used = jnp.where(self.is_zero, 1 - self.shift, self.b)
        return jnp.where(self.is_zero, 0, self.a * self.logarithm(used))

    def logarithm(self, b: CTensor) -> CTensor:
        return jnp.log(b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        is_nothing = self.is_zero & (self.b <= -self.shift)
        logarithm = self.logarithm(jnp.where(is_nothing, 1 - self.shift, self.b))
        of_a = jnp.where(dy == 0, 0, dy * logarithm)  # the logarithm may be infinite
        beside = jnp.where(self.is_zero, 1, self.b + self.shift)
        return of_a, jnp.where(self.is_zero, 0, dy * self.a / beside)


class XLog1py(XLogY):
    """y = a ln (1 + b), precise near b = 0; where a is 0, as :class:`XLogY`."""

    shift = 1

    def logarithm(self, b: CTensor) -> CTensor:
        return jnp.log1p(b)


def _entr(x: CTensor) -> CTensor:
    inside = jnp.where(x < 0, 1, x)
    return jnp.where(x < 0, -jnp.inf, jnp.where(x == 0, 0, -x_log_y(inside, inside)))


class Entr(RealFunction, formula=_entr, slope=lambda x: -jnp.log(x) - 1):
    """y = -x ln x; 0 at 0, where the gradient is infinite, and -infinity below."""

    arithmetic = "wide"


class Logit(
    RealFunction,
    formula=vectorized.logit,
    slope=lambda x: 1 / (x * (1 - x)),
):
    """y = ln (x / (1 - x))."""

    arithmetic = "wide"


def xlogy(a: TensorLike, b: TensorLike) -> Tensor:
    """``a * log(b)``, element by element, with broadcasting; 0 where ``a`` is 0.

    Where ``a`` is 0, the gradient in ``b`` is 0, because the function is 0 for all ``b``. That in
    ``a`` is ``log(b)``, and 0 if ``b`` is 0 or less.

    Example:
        >>> autograd.xlogy(Tensor(data=[0.0, 2.0]), Tensor(data=[0.0, 3.0]))
        Tensor([0.    , 2.1972], shape=(2,), dtype=float32, device=cpu)
    """
    return XLogY()(*as_tensors(a, b))[0]


def xlog1py(a: TensorLike, b: TensorLike) -> Tensor:
    """``a * log1p(b)``, element by element, with broadcasting; 0 where ``a`` is 0.

    Gradients where ``a`` is 0 are as those of :func:`xlogy`.

    Example:
        >>> autograd.xlog1py(Tensor(data=[0.0, 2.0]), Tensor(data=[-1.0, 2.0]))
        Tensor([0.    , 2.1972], shape=(2,), dtype=float32, device=cpu)
    """
    return XLog1py()(*as_tensors(a, b))[0]


def entr(x: Tensor) -> Tensor:
    """``-x * log(x)``, element by element: 0 at 0, and -infinity below.

    The sum over the probabilities of all classes is the entropy.

    Example:
        >>> autograd.entr(Tensor(data=[0.25, 0.5]))
        Tensor([0.3466, 0.3466], shape=(2,), dtype=float32, device=cpu)
    """
    return Entr()(x)[0]


def logit(x: Tensor) -> Tensor:
    """``log(x / (1 - x))``, element by element: the inverse of the sigmoid.

    Example:
        >>> autograd.logit(Tensor(data=[0.5, 0.75]))
        Tensor([0.    , 1.0986], shape=(2,), dtype=float32, device=cpu)
    """
    return Logit()(x)[0]
