"""Batch normalization: of each channel over a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.arrays import constant
from singa.core.tensor import Tensor, wrap
from singa.device import CTensor
from singa.engine import native
from singa.engine.native import statistics
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.tape import Operation, mode, widened

__all__ = ["BatchNormalization2d", "FrozenBatchNormalization2d", "batchnorm_2d"]


class _PerChannel(Operation):
    """Base of both forms: x is (N, C) or (N, C, *space), all other inputs are (C,)."""

    parts = 1
    """Into how many equal parts the batch is divided, each with statistics of its own."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = checks.number(f"{self.name}: eps", eps)

    def check(self, x: CTensor, **vectors: CTensor) -> None:
        checks.float_input(self, "the input", x)
        if not 2 <= x.ndim <= 5:
            raise ShapeError(
                f"{self.name}: the input must be (N, C), (N, C, W), (N, C, H, W) or "
                f"(N, C, D, H, W), got {x.shape}"
            )
        for what, vector in vectors.items():
            if vector.shape != x.shape[1:2]:
                raise ShapeError(
                    f"{self.name}: {what} must be {x.shape[1:2]} for an input of shape {x.shape}, "
                    f"got {vector.shape}"
                )

    def along(self, vector: CTensor) -> CTensor:
        """(C,), or (parts, C) with a row for each part, in a shape that broadcasts with x."""
        if vector.ndim == 2:
            each = (self.parts, self.x.shape[0] // self.parts, *vector.shape[1:])
            vector = jnp.broadcast_to(vector[:, None], each).reshape(-1, *vector.shape[1:])
        return vector.reshape(vector.shape + (1,) * (self.x.ndim - 2))

    def summed(self, values: CTensor) -> CTensor:
        """The sum over all axes except the channels': (C,), or (parts, C)."""
        if self.parts == 1:
            return values.sum(tuple(axis for axis in range(values.ndim) if axis != 1))
        values = values.reshape(self.parts, -1, *values.shape[1:])
        return values.sum((1, *range(3, values.ndim)))

    def over_parts(self, sums: CTensor) -> CTensor:
        """The sum over the parts: (C,)."""
        return sums if self.parts == 1 else sums.sum(0)

    def moments(self, x: CTensor) -> tuple[CTensor, CTensor]:
        """The mean and the biased variance of each channel, in at least float32."""
        x = widened(x)
        count = x.size // x.shape[1] // self.parts
        mean = self.summed(x) / count
        centered = x - self.along(mean)
        return mean, self.summed(centered * centered) / count

    def products(self, dy: CTensor, x: CTensor, mean: CTensor) -> tuple[CTensor, CTensor]:
        """The sums of dy and of dy (x - mean) over each channel, in at least float32."""
        dy, x, mean = map(widened, (dy, x, mean))
        return self.summed(dy), self.summed(dy * (x - self.along(mean)))

    def either(self, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor) -> Any:
        """A native kernel for images, or the formula; vectors are in at least float32."""
        images, vectors = [x for x in xs if x.ndim == 4], [x for x in xs if x.ndim == 1]
        if self.parts > 1 or not images or not native.supports(*images, short=True):
            return formula(*xs)
        if all(map(native.supports, vectors)):
            return native.run(kernel, formula, *xs)
        return formula(*xs)

    @property
    def normalized(self) -> CTensor:
        return (self.x.astype(self.rstd.dtype) - self.along(self.mean)) * self.along(self.rstd)


class BatchNormalization2d(_PerChannel):
    """y = scale (x - mean) / sqrt(var + eps) + bias, with the batch's own mean and variance.

    Also returns these two, (C,) each; no gradient flows through them. If the batch is divided into
    parts, each is normalized by its own, and their averages over the parts are returned.
    """

    def __init__(self, eps: float, parts: int = 1) -> None:
        super().__init__(eps)
        self.parts = checks.integer(f"{self.name}: parts", parts)

    def forward(
        self, x: CTensor, scale: CTensor, bias: CTensor
    ) -> tuple[CTensor, CTensor, CTensor]:
        self.check(x, scale=scale, bias=bias)
        count = x.size // max(x.shape[1], 1)
        if not count:
            raise ShapeError(f"{self.name}: an empty batch has no mean, got shape {x.shape}")
        if self.parts < 1 or x.shape[0] % self.parts:
            raise ShapeError(f"{self.name}: a batch of {x.shape[0]} in {self.parts} equal parts")
        # Statistics of half-precision activations are computed in float32.
        wide = widened(x)
        self.x, self.scale = x, scale
        self.mean, var = self.either(statistics.moments, self.moments, x)
        self.rstd = jax.lax.rsqrt(var + self.eps)
        y = (wide - self.along(self.mean)) * self.along(self.rstd * scale) + self.along(bias)
        mean, var = (self.over_parts(each) / self.parts for each in (self.mean, var))
        return y.astype(x.dtype), mean, var

    def backward(
        self, dy: CTensor, dmean: CTensor, dvar: CTensor
    ) -> tuple[CTensor, CTensor, CTensor]:
        given = (dy, self.x) if dy.dtype == self.x.dtype else (widened(dy), widened(self.x))
        dbias, product = self.either(statistics.products, self.products, *given, self.mean)
        dscale = product * self.rstd
        count = self.x.size // self.x.shape[1] // self.parts
        # A change of one x also changes the mean and the variance of all the others of its part.
        inner = (
            widened(dy) - self.along(dbias / count) - self.normalized * self.along(dscale / count)
        )
        dx = self.along(self.scale * self.rstd) * inner
        return dx, self.over_parts(dscale), self.over_parts(dbias)


class FrozenBatchNormalization2d(_PerChannel):
    """y = scale (x - mean) / sqrt(var + eps) + bias, with a given mean and variance."""

    def forward(
        self, x: CTensor, scale: CTensor, bias: CTensor, mean: CTensor, var: CTensor
    ) -> CTensor:
        self.check(x, scale=scale, bias=bias, mean=mean, var=var)
        self.x, self.scale, self.mean = x, scale, mean
        self.rstd = jax.lax.rsqrt(var + self.eps)
        return (self.normalized * self.along(scale) + self.along(bias)).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor | None, ...]:
        dx = dy * self.along(self.scale * self.rstd)
        given = (dy, self.x) if dy.dtype == self.x.dtype else (widened(dy), widened(self.x))
        mean = widened(self.mean)
        dbias, product = self.either(statistics.products, self.products, *given, mean)
        return dx, product * self.rstd, dbias, None, None


def batchnorm_2d(
    x: Tensor,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    momentum: float = 0.9,
    eps: float = 1e-5,
    unbiased: bool = False,
    synchronized: bool = True,
) -> Tensor:
    """Normalize each channel, then scale and shift it (ONNX BatchNormalization).

    In training it uses the batch's mean and (biased) variance, and updates the running ones:
    running = momentum * running + (1 - momentum) * batch. In evaluation it uses the running ones;
    without running ones it uses the batch's.

    Args:
        x: (N, C), (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        scale, bias: (C,); factors of 1 and nothing added if None.
        running_mean, running_var: (C,), both or none.
        momentum: the weight of the old running value.
        eps: added to the variance.
        unbiased: the running variance is of the batch's unbiased variance, as in PyTorch: its sum
            of squares is divided by one less than the number of values.
        synchronized: on a mesh, whether the mean and the variance are those of the whole batch. If
            not, each device uses those of its own part, and the running ones are the averages of
            all parts'. A batch that the mesh does not divide is whole on each device.

    Example:
        >>> scale, bias = tensor.ones(1), tensor.zeros(1)
        >>> mean, var = tensor.zeros(1), tensor.ones(1)
        >>> autograd.training = True
        >>> autograd.batchnorm_2d(Tensor(data=[[1.0], [3.0]]), scale, bias, mean, var)
        Tensor([[-1.],
                [ 1.]], shape=(2, 1), dtype=float32, device=cpu)
        >>> mean
        Tensor([0.2], shape=(1,), dtype=float32, device=cpu)
    """
    momentum = checks.number("BatchNormalization2d: momentum", momentum)
    channels = x.shape[1:2]
    parts = 1 if synchronized else _parts(x)
    scale = filled(channels, x, 1) if scale is None else scale
    bias = filled(channels, x, 0) if bias is None else bias
    if running_mean is None or running_var is None:
        if running_mean is not running_var:
            raise ArgumentError(
                "BatchNormalization2d: running_mean needs running_var, and the other way round"
            )
        return BatchNormalization2d(eps, parts)(x, scale, bias)[0]
    if not mode.training:
        return FrozenBatchNormalization2d(eps)(x, scale, bias, running_mean, running_var)[0]
    y, mean, var = BatchNormalization2d(eps, parts)(x, scale, bias)
    count = math.prod(x.shape) // x.shape[1] // parts
    more = count / max(count - 1, 1) if unbiased else 1.0
    for running, batch, factor in ((running_mean, mean, 1.0), (running_var, var, more)):
        if running.shape != batch.shape:
            raise ShapeError(
                f"BatchNormalization2d: the running mean and variance must be {batch.shape}, "
                f"got {running.shape}"
            )
        running.data = RunningAverage(momentum, factor)(running, batch)[0].data
    return y


def filled(shape: tuple[int, ...], x: Tensor, value: float) -> Tensor:
    """A constant of this shape, of the type and on the device of ``x``."""
    return wrap(constant(shape, value, x.dtype, x.device), x.device)


def _parts(x: Tensor) -> int:
    """Into how many parts a batch is split by the mesh that it is on."""
    count = math.prod(x.device.axes[name] for name in x.device.batch)
    return count if x.shape[0] % count == 0 else 1


class RunningAverage(Operation):
    """momentum * old average + (1 - momentum) * factor * new value; it has no gradient."""

    numbers = ("momentum", "factor")

    def __init__(self, momentum: float, factor: float = 1.0) -> None:
        super().__init__()
        self.momentum = float(momentum)
        self.factor = float(factor)

    def forward(self, old: CTensor, new: CTensor) -> CTensor:
        new = self.factor * new
        return (self.momentum * old + (1 - self.momentum) * new).astype(old.dtype)
