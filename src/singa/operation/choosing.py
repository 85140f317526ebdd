"""Choices, element by element: by a condition, between bounds, in place of NaN."""

from __future__ import annotations

import math

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.operation import checks
from singa.operation.variadic import maximum, minimum
from singa.tape import Operation

__all__ = [
    "Clip", "NanToNum", "Where", "clip", "masked_fill", "nan_to_num", "where",
]  # fmt: skip


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

    complex_numbers = "own"

    def forward(self, a: CTensor, b: CTensor, condition: CTensor) -> CTensor:
        checks.broadcastable(self, a, b, condition)
        self.condition = condition.astype(bool)
        return jnp.where(self.condition, a, b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, None]:
        return jnp.where(self.condition, dy, 0), jnp.where(self.condition, 0, dy), None


class NanToNum(Operation):
    """y = x, but numbers in place of NaN and of infinities; the gradient is 0 there.

    None is the largest number of the type for infinity, and the smallest for minus infinity.
    """

    numbers = ("nan", "posinf", "neginf")

    def __init__(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> None:
        super().__init__()
        self.nan = checks.number(f"{self.name}: nan", nan)
        self.posinf = None if posinf is None else checks.number(f"{self.name}: posinf", posinf)
        self.neginf = None if neginf is None else checks.number(f"{self.name}: neginf", neginf)

    def forward(self, x: CTensor) -> CTensor:
        if checks.are_integers(x):
            return x
        checks.float_input(self, "its input", x)
        self.x = x
        limits = jnp.finfo(x.dtype)
        above = limits.max if self.posinf is None else self.posinf
        below = limits.min if self.neginf is None else self.neginf
        infinite = jnp.where(x > 0, jnp.asarray(above, x.dtype), jnp.asarray(below, x.dtype))
        number = jnp.where(jnp.isnan(x), jnp.asarray(self.nan, x.dtype), infinite)
        return jnp.where(jnp.isfinite(x), x, number)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(jnp.isfinite(self.x), dy, 0)


def clip(x: Tensor, min: float | Tensor | None = None, max: float | Tensor | None = None) -> Tensor:
    """``x``, element by element, but at least ``min`` and at most ``max``; None for no bound.

    If ``min`` is above ``max``, everything becomes ``max``, as in NumPy. Integers stay integers,
    unless a bound is a float. Bounds that are Tensors broadcast with ``x``, and get the gradient
    of the elements that they have replaced.

    Example:
        >>> autograd.clip(Tensor(data=[-2.0, 0.5, 3.0]), 0.0, 1.0)
        Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float32, device=cpu)
        >>> autograd.clip(Tensor(data=[-2, 3]), min=0)
        Tensor([0, 3], shape=(2,), dtype=int32, device=cpu)
    """
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            min = as_tensor(min, x)
            x = where(min, x, x < min)
        if max is not None:
            max = as_tensor(max, x)
            x = where(max, x, x > max)
        return x
    operation = Clip(min, max)
    if x.dtype.kind not in "iu":
        return operation(x)[0]
    for bound, choose in ((min, maximum), (max, minimum)):
        if bound is not None:
            x = choose(x, bound)
    return x


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


def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """``x`` with numbers in place of NaN and of infinities, which get no gradient.

    Args:
        x: any shape; integers stay as they are.
        nan: in place of NaN.
        posinf: in place of infinity; the type's largest number if None.
        neginf: in place of minus infinity; the type's smallest number if None.

    Example:
        >>> autograd.nan_to_num(Tensor(data=[1.0, np.nan, -np.inf]), neginf=-5.0)
        Tensor([ 1.,  0., -5.], shape=(3,), dtype=float32, device=cpu)
    """
    return NanToNum(nan, posinf, neginf)(x)[0]
