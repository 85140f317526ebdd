"""Rounding to whole numbers. The results are of the inputs' float type, the gradients 0."""

from __future__ import annotations

import jax.numpy as jnp
from jax.lax import RoundingMethod
from jax.lax import round as round_to

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.operation.pointwise import Pointwise

__all__ = ["Ceil", "Floor", "Round", "Rounde", "ceil", "floor", "round", "rounde"]


class Ceil(Pointwise, formula=jnp.ceil, slope=jnp.zeros_like):
    """y = the smallest whole number that is not below x."""


class Floor(Pointwise, formula=jnp.floor, slope=jnp.zeros_like):
    """y = the largest whole number that is not above x."""


def _half_away_from_zero(x: CTensor) -> CTensor:
    return round_to(x, RoundingMethod.AWAY_FROM_ZERO)


def _half_to_even(x: CTensor) -> CTensor:
    return round_to(x, RoundingMethod.TO_NEAREST_EVEN)


class Round(Pointwise, formula=_half_away_from_zero, slope=jnp.zeros_like):
    """y = the nearest whole number; halves are rounded away from zero."""


class Rounde(Pointwise, formula=_half_to_even, slope=jnp.zeros_like):
    """y = the nearest whole number; halves are rounded to even numbers (ONNX Round)."""


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


def round(x: Tensor) -> Tensor:
    """The nearest whole number, element by element; halves are rounded away from zero.

    Example:
        >>> autograd.round(Tensor(data=[0.5, 1.5, -2.5]))
        Tensor([ 1.,  2., -3.], shape=(3,), dtype=float32, device=cpu)
    """
    return Round()(x)[0]


def rounde(x: Tensor) -> Tensor:
    """The nearest whole number, element by element; halves to even numbers (ONNX Round).

    Example:
        >>> autograd.rounde(Tensor(data=[0.5, 1.5, -2.5]))
        Tensor([ 0.,  2., -2.], shape=(3,), dtype=float32, device=cpu)
    """
    return Rounde()(x)[0]
