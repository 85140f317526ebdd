"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor, float32, is_float
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = ["ReduceMean", "ReduceSum", "reduce_mean", "reduce_sum"]


class _Reduction(Operation):
    def __init__(self, axes: Sequence[int] | int | None = None, keepdims: bool = True) -> None:
        super().__init__()
        if isinstance(axes, (int, np.integer)):
            axes = (int(axes),)
        self.axes = None if axes is None else tuple(int(axis) for axis in axes)
        self.keepdims = bool(keepdims)

    def expand(self, dy: CTensor) -> CTensor:
        """A gradient of the output, repeated over the axes that were reduced."""
        if not self.keepdims:
            dy = jnp.expand_dims(dy, self.reduced)
        return jnp.broadcast_to(dy, self.from_shape)


class ReduceSum(_Reduction):
    """y = the sum over some axes (ONNX ReduceSum)."""

    def forward(self, x: CTensor) -> CTensor:
        self.reduced, self.from_shape = checks.axes(self, self.axes, x.ndim), x.shape
        # Integers keep their type; jax would widen them.
        dtype = x.dtype if x.dtype != np.bool_ else np.int32
        return x.sum(self.reduced, keepdims=self.keepdims, dtype=dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return self.expand(dy)


class ReduceMean(_Reduction):
    """y = the mean over some axes (ONNX ReduceMean). Integers give float32."""

    def forward(self, x: CTensor) -> CTensor:
        self.reduced, self.from_shape = checks.axes(self, self.axes, x.ndim), x.shape
        dtype = x.dtype if is_float(x.dtype) else float32
        return x.mean(self.reduced, keepdims=self.keepdims, dtype=dtype)

    def backward(self, dy: CTensor) -> CTensor:
        count = int(np.prod([self.from_shape[axis] for axis in self.reduced]))
        return self.expand(dy / count)


def reduce_sum(x: Tensor, axes: Sequence[int] | int | None = None, keepdims: bool = True) -> Tensor:
    """The sum over ``axes`` (all if None), which stay with size 1 unless ``keepdims`` is false."""
    return ReduceSum(axes, keepdims)(x)[0]


def reduce_mean(
    x: Tensor, axes: Sequence[int] | int | None = None, keepdims: bool = True
) -> Tensor:
    """The mean over ``axes`` (all if None), which stay with size 1 unless ``keepdims`` is false."""
    return ReduceMean(axes, keepdims)(x)[0]
