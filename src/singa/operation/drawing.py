"""What functions share that draw Tensors of random numbers: shapes, types and parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.arrays import as_shape
from singa.core.tensor import Tensor, TensorLike, next_key, number, wrap
from singa.device import (
    CTensor,
    Device,
    as_device,
    as_dtype,
    float32,
    get_default_device,
    is_float,
)
from singa.errors import DTypeError, ShapeError
from singa.operation.random import DrawLogGamma
from singa.operation.shaping import cast

Shape: TypeAlias = "Sequence[int] | int | None"
Place: TypeAlias = "Device | str | None"


class Draw:
    """What is drawn: its shape, type and device; and the parameters, as Tensors of this type.

    Args:
        name: of the function, for messages.
        parameters: Tensors, numbers, or arrays.
        shape: of the result, without ``last`` axes.
        last: how many last axes of each parameter belong to one thing that is drawn.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[TensorLike],
        shape: Shape,
        dtype: Any = None,
        device: Place = None,
        last: Sequence[int] = (0, 0),
    ) -> None:
        given = [p if isinstance(p, (Tensor, int, float)) else Tensor(data=p) for p in parameters]
        tensors = [p for p in given if isinstance(p, Tensor)]
        types = [p.dtype for p in tensors if is_float(p.dtype)]
        self.dtype = as_dtype(dtype) if dtype is not None else jnp.result_type(*types or [float32])
        if not is_float(self.dtype):
            raise DTypeError(f"{name}: dtype must be a float type, got {self.dtype}")
        if tensors:
            self.device = tensors[0].device
        else:
            self.device = get_default_device() if device is None else as_device(device)
        self.parameters = [self._tensor(p) for p in given]
        shapes = [p.shape[: p.ndim() - n] for p, n in zip(self.parameters, last, strict=False)]
        if any(p.ndim() < n for p, n in zip(self.parameters, last, strict=False)):
            raise ShapeError(f"{name}: vectors are along the last axis, and matrices along two")
        try:
            own = np.broadcast_shapes(*shapes)
            self.shape = own if shape is None else as_shape(shape)
            fits = np.broadcast_shapes(own, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{name}: parameters of {shapes} do not broadcast to shape {shape}")

    def _tensor(self, parameter: Tensor | float) -> Tensor:
        if not isinstance(parameter, Tensor):
            return number(parameter, self.dtype, self.device)
        return parameter if parameter.dtype == self.dtype else cast(parameter, self.dtype)

    def of(
        self, kernel: Callable[..., CTensor], *arguments: Any, last: tuple[int, ...] = ()
    ) -> Tensor:
        """What a kernel of :mod:`singa.core.random` draws, of this shape and ``last`` axes."""
        key, shape = next_key(self.device), (*self.shape, *last)
        return wrap(kernel(key, *arguments, shape=shape, dtype=self.dtype), self.device)

    def log_gamma(self, concentration: Tensor) -> Tensor:
        """The logarithm of numbers of the gamma distribution."""
        key = wrap(next_key(self.device), self.device)
        return DrawLogGamma()(concentration, key)[0]
