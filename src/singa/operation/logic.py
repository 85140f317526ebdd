"""Comparisons, logic and tests of values: bool results, without gradients.

Logic takes numbers too: every number except 0 is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor
from singa.operation import checks
from singa.tape import Operation

__all__ = [
    "And", "Equal", "Greater", "GreaterOrEqual", "IsFinite", "IsInf", "IsNaN", "Less",
    "LessOrEqual", "Not", "NotEqual", "Or", "Xor", "_and", "_not", "_or", "_xor", "equal",
    "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "not_equal",
]  # fmt: skip


class Predicate(Operation):
    """y = whether a condition holds, for each element; with broadcasting."""

    holds: ClassVar[Callable[..., CTensor]]

    def __init_subclass__(cls, holds: Callable[..., CTensor], **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.holds = staticmethod(holds)

    def forward(self, *xs: CTensor) -> CTensor:
        checks.broadcastable(self, *xs)
        self.count = len(xs)
        return type(self).holds(*xs)

    def backward(self, dy: CTensor) -> tuple[None, ...]:
        return (None,) * self.count


class Less(Predicate, holds=jnp.less):
    """y = a < b."""


class LessOrEqual(Predicate, holds=jnp.less_equal):
    """y = a <= b."""


class Greater(Predicate, holds=jnp.greater):
    """y = a > b."""


class GreaterOrEqual(Predicate, holds=jnp.greater_equal):
    """y = a >= b."""


class Equal(Predicate, holds=jnp.equal):
    """y = a == b."""

    complex_numbers = "own"


class NotEqual(Predicate, holds=jnp.not_equal):
    """y = a != b."""

    complex_numbers = "own"


class And(Predicate, holds=jnp.logical_and):
    """y = a and b."""


class Or(Predicate, holds=jnp.logical_or):
    """y = a or b."""


class Xor(Predicate, holds=jnp.logical_xor):
    """y = either a or b."""


class Not(Predicate, holds=jnp.logical_not):
    """y = not x."""


class IsNaN(Predicate, holds=jnp.isnan):
    """y = whether x is not a number."""

    complex_numbers = "own"


class IsInf(Predicate, holds=jnp.isinf):
    """y = whether x is infinite."""

    complex_numbers = "own"


class IsFinite(Predicate, holds=jnp.isfinite):
    """y = whether x is neither infinite nor NaN."""

    complex_numbers = "own"


def less(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a < b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.less(Tensor(data=[1, 2, 3]), 2)
        Tensor([ True, False, False], shape=(3,), dtype=bool, device=cpu)
    """
    return Less()(a, as_tensor(b, a))[0]


def less_equal(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a <= b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.less_equal(Tensor(data=[1, 2, 3]), 2)
        Tensor([ True,  True, False], shape=(3,), dtype=bool, device=cpu)
    """
    return LessOrEqual()(a, as_tensor(b, a))[0]


def greater(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a > b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.greater(Tensor(data=[1, 2, 3]), 2)
        Tensor([False, False,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return Greater()(a, as_tensor(b, a))[0]


def greater_equal(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a >= b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.greater_equal(Tensor(data=[1, 2, 3]), 2)
        Tensor([False,  True,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return GreaterOrEqual()(a, as_tensor(b, a))[0]


def equal(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a == b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.equal(Tensor(data=[1, 2, 3]), 2)
        Tensor([False,  True, False], shape=(3,), dtype=bool, device=cpu)
    """
    return Equal()(a, as_tensor(b, a))[0]


def not_equal(a: Tensor, b: TensorLike) -> Tensor:
    """Whether a != b, element by element, with broadcasting, as bool.

    Example:
        >>> autograd.not_equal(Tensor(data=[1, 2, 3]), 2)
        Tensor([ True, False,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return NotEqual()(a, as_tensor(b, a))[0]


def _and(a: Tensor, b: TensorLike) -> Tensor:
    """Whether both are true (not 0), element by element, with broadcasting, as bool.

    Example:
        >>> autograd._and(Tensor(data=[True, False]), Tensor(data=[True, True]))
        Tensor([ True, False], shape=(2,), dtype=bool, device=cpu)
    """
    return And()(a, as_tensor(b, a))[0]


def _or(a: Tensor, b: TensorLike) -> Tensor:
    """Whether at least one is true (not 0), element by element, with broadcasting, as bool.

    Example:
        >>> autograd._or(Tensor(data=[True, False]), Tensor(data=[True, True]))
        Tensor([ True,  True], shape=(2,), dtype=bool, device=cpu)
    """
    return Or()(a, as_tensor(b, a))[0]


def _xor(a: Tensor, b: TensorLike) -> Tensor:
    """Whether exactly one is true (not 0), element by element, with broadcasting, as bool.

    Example:
        >>> autograd._xor(Tensor(data=[True, False]), Tensor(data=[True, True]))
        Tensor([False,  True], shape=(2,), dtype=bool, device=cpu)
    """
    return Xor()(a, as_tensor(b, a))[0]


def _not(x: Tensor) -> Tensor:
    """Whether x is false (0), element by element, as bool.

    Example:
        >>> autograd._not(Tensor(data=[True, False]))
        Tensor([False,  True], shape=(2,), dtype=bool, device=cpu)
    """
    return Not()(x)[0]


def isnan(x: Tensor) -> Tensor:
    """Whether x is not a number, element by element, as bool.

    Example:
        >>> autograd.isnan(Tensor(data=[1.0, np.nan, -np.inf]))
        Tensor([False,  True, False], shape=(3,), dtype=bool, device=cpu)
    """
    return IsNaN()(x)[0]


def isinf(x: Tensor) -> Tensor:
    """Whether x is infinite, of either sign, element by element, as bool.

    Example:
        >>> autograd.isinf(Tensor(data=[1.0, np.nan, -np.inf]))
        Tensor([False, False,  True], shape=(3,), dtype=bool, device=cpu)
    """
    return IsInf()(x)[0]


def isfinite(x: Tensor) -> Tensor:
    """Whether x is neither infinite nor NaN, element by element, as bool.

    Example:
        >>> autograd.isfinite(Tensor(data=[1.0, np.nan, -np.inf]))
        Tensor([ True, False, False], shape=(3,), dtype=bool, device=cpu)
    """
    return IsFinite()(x)[0]
