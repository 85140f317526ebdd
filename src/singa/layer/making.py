"""What layers make, parameters and states, and what they check of their arguments and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import DType, float32, is_float, real_type
from singa.errors import ArgumentError, DTypeError, ShapeError

Initializer: TypeAlias = Callable[[Tensor], Any]
"""A function of :mod:`singa.initializer`, or another function that fills a Tensor in place."""


def param_dtype(x: Tensor) -> DType:
    """The type for the parameters of a layer with input ``x``: the input's if it is a float type.

    If the input is complex, the type of its parts.

    In mixed precision it is always float32, even if the input is of a short type.
    """
    dtype = real_type(x.dtype)
    return dtype if is_float(dtype) and local.precision is None else float32


def parameter(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A new parameter of zeros, on the device and of the float type of ``like``."""
    return Tensor(shape, like.device, param_dtype(like), stores_grad=True)


def weight(
    shape: tuple[int, ...], like: Tensor, std: float, initializer: Initializer | None
) -> Tensor:
    """A new parameter, filled by the initializer; if None, normal with this standard deviation."""
    param = parameter(shape, like)
    if initializer is None:
        return param.gaussian(0.0, std)
    initializer(param)
    return param


def state(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A new Tensor of zeros that is not a parameter, for :meth:`Layer.register_states`."""
    return Tensor(shape, like.device, param_dtype(like), requires_grad=False)


def positive(name: str, what: str, value: Any) -> int:
    """``value`` as an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise DTypeError(f"{name}: {what} must be an integer, got {value!r}")
    if value < 1:
        raise ArgumentError(f"{name}: {what} must be at least 1, got {value}")
    return int(value)


def expect_features(name: str, what: str, x: Tensor, got: int, wanted: int | None) -> None:
    """Raise unless the input has the number of features or channels of the layer."""
    if wanted is not None and got != wanted:
        raise ShapeError(f"{name}: {wanted} {what} expected, got {got} in an input of {x.shape}")
