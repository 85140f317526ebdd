"""Rounding to whole numbers. The results are of the inputs' type, the gradients 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import RoundingMethod
from jax.lax import round as round_to

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.operation import checks
from singa.operation.pointwise import Formula, Pointwise
from singa.tape import wide

__all__ = [
    "Ceil", "Floor", "Round", "Rounde", "Trunc", "ceil", "floor", "round", "rounde", "trunc",
]  # fmt: skip


class _Rounding(Pointwise):
    """A rounding, which leaves integers as they are."""

    def __init_subclass__(cls, formula: Formula, **kwargs: Any) -> None:
        super().__init_subclass__(formula, jnp.zeros_like, **kwargs)

    def forward(self, x: CTensor) -> CTensor:
        return x if checks.are_integers(x) else super().forward(x)


class Ceil(_Rounding, formula=jnp.ceil):
    """y = the smallest whole number that is not below x."""


class Floor(_Rounding, formula=jnp.floor):
    """y = the largest whole number that is not above x."""


def _half_away_from_zero(x: CTensor) -> CTensor:
    return round_to(x, RoundingMethod.AWAY_FROM_ZERO)


def _half_to_even(x: CTensor) -> CTensor:
    return round_to(x, RoundingMethod.TO_NEAREST_EVEN)


class _ToDecimals(_Rounding, formula=_half_to_even):
    """A rounding to so many digits after the decimal point, or before it if negative."""

    def __init__(self, decimals: int = 0) -> None:
        super().__init__()
        self.decimals = checks.integer(f"{self.name}: decimals", decimals)

    def forward(self, x: CTensor) -> CTensor:
        if not self.decimals:
            return super().forward(x)
        if checks.are_integers(x) and self.decimals > 0:
            return x
        checks.float_input(self, "its input, for decimals below 0,", x)
        self.x = x
        # Behind the barrier XLA does not know the number: it divides, and does not multiply by a
        # rounded reciprocal.
        large = wide(x.dtype)
        power = jax.lax.optimization_barrier(jnp.asarray(10.0 ** abs(self.decimals), large))
        scaled = x.astype(large) * power if self.decimals > 0 else x.astype(large) / power
        y = type(self).formula(scaled)
        y = y / power if self.decimals > 0 else y * power
        return jnp.where(
            jnp.isfinite(scaled), y.astype(x.dtype), x
        )  # what overflows has no such digits


class Round(_ToDecimals, formula=_half_away_from_zero):
    """y = the nearest whole number; halves are rounded away from zero.

    With ``decimals`` the nearest number with so many digits after the decimal point.
    """


class Rounde(_ToDecimals, formula=_half_to_even):
    """y = the nearest whole number; halves are rounded to even numbers (ONNX Round).

    With ``decimals`` the nearest number with so many digits after the decimal point.
    """


class Trunc(_Rounding, formula=jnp.trunc):
    """y = x without its fraction."""


def ceil(x: Tensor) -> Tensor:
    """The smallest whole number that is not below x, element by element.

    Example:
        >>> autograd.ceil(Tensor(data=[1.2, -1.2]))
        Tensor([ 2., -1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Ceil()(x)[0]


def floor(x: Tensor) -> Tensor:
    """The largest whole number that is not above x, element by element.

    Example:
        >>> autograd.floor(Tensor(data=[1.2, -1.2]))
        Tensor([ 1., -2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Floor()(x)[0]


def round(x: Tensor, decimals: int = 0) -> Tensor:
    """The nearest whole number, element by element; halves are rounded away from zero.

    Args:
        x: any shape.
        decimals: the number of digits after the decimal point that are kept. If it is negative,
            so many before it are 0 too; ``x`` is of a float type then.

    Example:
        >>> autograd.round(Tensor(data=[0.5, 1.5, -2.5]))
        Tensor([ 1.,  2., -3.], shape=(3,), dtype=float32, device=cpu)
        >>> autograd.round(Tensor(data=[1.26, -0.04]), decimals=1)
        Tensor([ 1.3, -0. ], shape=(2,), dtype=float32, device=cpu)
    """
    return Round(decimals)(x)[0]


def rounde(x: Tensor, decimals: int = 0) -> Tensor:
    """The nearest whole number, element by element; halves to even numbers (ONNX Round).

    Args:
        x: any shape.
        decimals: the number of digits after the decimal point that are kept, as in :func:`round`.

    Example:
        >>> autograd.rounde(Tensor(data=[0.5, 1.5, -2.5]))
        Tensor([ 0.,  2., -2.], shape=(3,), dtype=float32, device=cpu)
    """
    return Rounde(decimals)(x)[0]


def trunc(x: Tensor) -> Tensor:
    """X without its fraction, element by element.

    Example:
        >>> autograd.trunc(Tensor(data=[1.7, -1.7]))
        Tensor([ 1., -1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Trunc()(x)[0]
