"""Batch normalization (Ioffe and Szegedy, 2015; ONNX BatchNormalization)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from singa import native
from singa.device import CTensor
from singa.errors import ShapeError
from singa.native import statistics
from singa.operation import checks
from singa.tape import Operation, mode
from singa.tensor import Tensor

__all__ = ["BatchNormalization2d", "FrozenBatchNormalization2d", "batchnorm_2d"]


class _PerChannel(Operation):
    """What both forms share: x is (N, C, H, W) or (N, C), everything else (C,)."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = float(eps)

    def check(self, x: CTensor, **vectors: CTensor) -> None:
        checks.float_input(self, "the input", x)
        if x.ndim not in (2, 4):
            raise ShapeError(
                f"{self.name}: the input must be (N, C) or (N, C, H, W), got {x.shape}"
            )
        for what, vector in vectors.items():
            if vector.shape != x.shape[1:2]:
                raise ShapeError(
                    f"{self.name}: {what} must be {x.shape[1:2]} for an input of shape {x.shape}, "
                    f"got {vector.shape}"
                )

    def along(self, vector: CTensor) -> CTensor:
        """(C,) in a shape that broadcasts with x."""
        return vector if self.x.ndim == 2 else vector[:, None, None]

    def summed(self, values: CTensor) -> CTensor:
        """The sum over all axes but the channels': (C,)."""
        return values.sum(tuple(axis for axis in range(values.ndim) if axis != 1))

    def moments(self, x: CTensor) -> tuple[CTensor, CTensor]:
        """The mean and the biased variance of each channel."""
        count = x.size // x.shape[1]
        mean = self.summed(x) / count
        centered = x - self.along(mean)
        return mean, self.summed(centered * centered) / count

    def products(self, dy: CTensor, x: CTensor, mean: CTensor) -> tuple[CTensor, CTensor]:
        """The sums of dy and of dy (x - mean) over each channel."""
        return self.summed(dy), self.summed(dy * (x - self.along(mean)))

    def either(self, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor) -> Any:
        """A native kernel for images, or the formula."""
        if xs[0].ndim == 4 and native.supports(*xs):
            return native.run(kernel, formula, *xs)
        return formula(*xs)

    @property
    def normalized(self) -> CTensor:
        return (self.x.astype(self.rstd.dtype) - self.along(self.mean)) * self.along(self.rstd)


class BatchNormalization2d(_PerChannel):
    """y = scale (x - mean) / sqrt(var + eps) + bias, with the batch's own mean and variance.

    Also returns these two, (C,) each; no gradient flows through them.
    """

    def forward(
        self, x: CTensor, scale: CTensor, bias: CTensor
    ) -> tuple[CTensor, CTensor, CTensor]:
        self.check(x, scale=scale, bias=bias)
        count = x.size // max(x.shape[1], 1)
        if not count:
            raise ShapeError(f"{self.name}: an empty batch has no mean, got shape {x.shape}")
        # Statistics of half-precision activations are taken in float32.
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        self.x, self.scale = x, scale
        self.mean, var = self.either(statistics.moments, self.moments, wide)
        self.rstd = jax.lax.rsqrt(var + self.eps)
        y = (wide - self.along(self.mean)) * self.along(self.rstd * scale) + self.along(bias)
        return y.astype(x.dtype), self.mean, var

    def backward(
        self, dy: CTensor, dmean: CTensor, dvar: CTensor
    ) -> tuple[CTensor, CTensor, CTensor]:
        dy = dy.astype(self.rstd.dtype)
        wide = self.x.astype(self.rstd.dtype)
        dbias, product = self.either(statistics.products, self.products, dy, wide, self.mean)
        dscale = product * self.rstd
        count = self.x.size // self.x.shape[1]
        # Changing one x also moves the mean and the variance that all the others see.
        inner = dy - self.along(dbias / count) - self.normalized * self.along(dscale / count)
        return self.along(self.scale * self.rstd) * inner, dscale, dbias


class FrozenBatchNormalization2d(_PerChannel):
    """y = scale (x - mean) / sqrt(var + eps) + bias, with a mean and variance that are given."""

    def forward(
        self, x: CTensor, scale: CTensor, bias: CTensor, mean: CTensor, var: CTensor
    ) -> CTensor:
        self.check(x, scale=scale, bias=bias, mean=mean, var=var)
        self.x, self.scale, self.mean = x, scale, mean
        self.rstd = jax.lax.rsqrt(var + self.eps)
        return (self.normalized * self.along(scale) + self.along(bias)).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        dx = dy * self.along(self.scale * self.rstd)
        dbias, product = self.either(statistics.products, self.products, dy, self.x, self.mean)
        return dx, product * self.rstd, dbias, None, None


def batchnorm_2d(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float = 0.9,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel, then scale and shift it (ONNX BatchNormalization).

    In training with the batch's mean and (biased) variance, which also enter the running ones:
    running = momentum * running + (1 - momentum) * batch. Outside of it with the running ones.

    Args:
        x: (N, C, H, W) or (N, C).
        scale, bias, running_mean, running_var: (C,).
        momentum: the weight of the old running value.
        eps: added to the variance.
    """
    if not mode.training:
        return FrozenBatchNormalization2d(eps)(x, scale, bias, running_mean, running_var)[0]
    y, mean, var = BatchNormalization2d(eps)(x, scale, bias)
    for running, batch in ((running_mean, mean), (running_var, var)):
        if running.shape != batch.shape:
            raise ShapeError(
                f"BatchNormalization2d: the running mean and variance must be {batch.shape}, "
                f"got {running.shape}"
            )
        running.data = _blend(running.data, batch.data, float(momentum))
    return y


@partial(jax.jit, static_argnums=2)
def _blend(old: CTensor, new: CTensor, momentum: float) -> CTensor:
    return (momentum * old + (1 - momentum) * new).astype(old.dtype)
