"""Normalization of each sample separately: over its last axes, or groups of its channels."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from singa.core.recorded import Axes
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.inputs import given
from singa.operation.numerics import direction
from singa.operation.reduction import Norm
from singa.tape import Operation, widened

__all__ = [
    "ClipByNorm", "GroupNormalization", "InstanceNormalization", "LayerNormalization",
    "RMSNormalization", "clip_by_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm",
]  # fmt: skip


class LayerNormalization(Operation):
    """y = scale (x - mean) / sqrt(var + eps) + bias, over the axes that scale and bias have.

    These are the last axes of x (Ba et al., 2016; ONNX LayerNormalization). The mean and the
    variance are at least float32. The bias is optional.
    """

    centered = True

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = checks.number(f"{self.name}: eps", eps)

    def forward(self, x: CTensor, scale: CTensor, *bias: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        for what, vector in zip(("scale", "bias"), (scale, *bias), strict=False):
            if not scale.ndim or not vector.shape == scale.shape == x.shape[-scale.ndim :]:
                raise ShapeError(
                    f"{self.name}: {what} must have the last axes of an input of shape {x.shape}, "
                    f"got {vector.shape}"
                )
        self.x, self.scale, self.inputs = x, scale, 2 + len(bias)
        wide, axes = widened(x), tuple(range(-scale.ndim, 0))
        self.mean = wide.mean(axes, keepdims=True) if self.centered else 0
        wide = wide - self.mean
        self.rstd = jax.lax.rsqrt((wide * wide).mean(axes, keepdims=True) + self.eps)
        return sum(bias, start=wide * self.rstd * scale).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        normalized = (widened(self.x) - self.mean) * self.rstd
        dy = dy.astype(self.rstd.dtype)
        product = dy * normalized
        # A change of one x also changes the mean and the variance of all the others.
        moved = normalized * self.scaled_mean(product)
        if self.centered:
            moved += self.scaled_mean(dy)
        dx = (dy * self.scale - moved) * self.rstd
        return (dx, product, dy)[: self.inputs]  # the tape takes the sums

    def scaled_mean(self, rows: CTensor) -> CTensor:
        """The mean of scale times each row, as a matrix product, which is faster.

        The matrix has two equal columns. For a product with one, XLA compiles a loop of its own
        each time: more than half of what it compiled for a transformer. For others it has a
        library.
        """
        precision = jax.lax.Precision.HIGHEST
        rows = rows.reshape(self.rstd.size, self.scale.size)
        twice = jnp.broadcast_to(self.scale.reshape(-1, 1), (self.scale.size, 2))
        total = jnp.dot(rows, twice, precision=precision)[:, 0]
        return (total / max(self.scale.size, 1)).reshape(self.rstd.shape)


class RMSNormalization(LayerNormalization):
    """y = scale x / sqrt(mean of x^2 + eps) + bias, over the axes that scale and bias have.

    (Zhang and Sennrich, 2019; ONNX RMSNormalization.)
    """

    centered = False


class ClipByNorm(Norm):
    """y = x for vectors along some axes with a norm of at most ``most``, else most x / norm."""

    numbers = ("most",)

    def __init__(self, most: float, axes: Axes = None) -> None:
        super().__init__(2, axes, keepdims=True)
        if not checks.number(f"{self.name}: the largest norm", most) > 0:
            raise ArgumentError(f"{self.name}: the largest norm must be above 0, got {most!r}")
        self.most = float(most)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x, axes = x, self.reduces(x)
        unit, length = direction(x, axes)
        return jnp.where(length <= self.most, x, unit * self.most)

    def backward(self, dy: CTensor) -> CTensor:
        unit, length = direction(self.x, self.reduced)
        across = dy - unit * (dy * unit).sum(self.reduced, keepdims=True)
        factor = self.most / jnp.maximum(length, self.most)
        return jnp.where(length <= self.most, dy, across * factor)


class GroupNormalization(Operation):
    """LayerNormalization over groups of channels and all spatial axes (Wu and He, 2018).

    x is (N, C, ...), scale and bias are (C,) (ONNX GroupNormalization).
    """

    def __init__(self, groups: int, eps: float = 1e-5) -> None:
        super().__init__()
        if checks.integer(f"{self.name}: groups", groups) < 1:
            raise ArgumentError(f"{self.name}: groups must be 1 or more, got {groups!r}")
        self.groups, self.eps = int(groups), checks.number(f"{self.name}: eps", eps)

    def forward(self, x: CTensor, *vectors: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        if x.ndim < 2 or any(vector.shape != x.shape[1:2] for vector in vectors):
            raise ShapeError(
                f"{self.name}: the input must be (N, C, ...), scale and bias (C,), got "
                f"{', '.join(str(each.shape) for each in (x, *vectors))}"
            )
        groups = self.count(x)
        if x.shape[1] % groups:
            raise ShapeError(f"{self.name}: {x.shape[1]} channels in {groups} groups")
        self.grouped = (x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))
        self.x, self.scale, self.inputs = x, vectors[0], 1 + len(vectors)
        rows = self.rows(x)
        self.mean = self.shared(rows.sum(1))
        centered = rows - self.mean
        self.rstd = jax.lax.rsqrt(self.shared((centered * centered).sum(1)) + self.eps)
        scale, *bias = map(self.each, vectors)
        return sum(bias, start=centered * self.rstd * scale).reshape(x.shape).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, ...]:
        dy, scale = self.rows(dy), self.each(self.scale)
        normalized = (self.rows(self.x) - self.mean) * self.rstd
        total, product = dy.sum(1), (dy * normalized).sum(1)
        moved = self.shared(scale[:, 0] * total)
        moved += normalized * self.shared(scale[:, 0] * product)
        dx = (dy * scale - moved) * self.rstd
        dscale, dbias = (d.reshape(self.x.shape[:2]).sum(0) for d in (product, total))
        return (dx.reshape(self.x.shape), dscale, dbias)[: self.inputs]

    def count(self, x: CTensor) -> int:
        """The number of groups."""
        return self.groups

    def rows(self, x: CTensor) -> CTensor:
        """A row for each channel of each sample; axes of size 1 would make XLA's sums slower."""
        samples, groups, channels, space = self.grouped
        return widened(x).reshape(samples * groups * channels, space)

    def each(self, vector: CTensor) -> CTensor:
        """A number for each channel, as a column for the rows."""
        return jnp.tile(vector, self.grouped[0])[:, None]

    def shared(self, sums: CTensor) -> CTensor:
        """From each row's sum, the mean over its group, as a column for the rows."""
        samples, groups, channels, space = self.grouped
        total = sums.reshape(samples, groups, channels).sum(2, keepdims=True)
        mean = total / max(channels * space, 1)
        return jnp.broadcast_to(mean, (samples, groups, channels)).reshape(-1, 1)


class InstanceNormalization(GroupNormalization):
    """The same over all spatial axes, for each channel separately (ONNX InstanceNormalization)."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__(1, eps)

    def count(self, x: CTensor) -> int:
        return max(x.shape[1], 1)


def layer_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """Normalize each sample over its last axes, then scale and shift it (ONNX LayerNormalization).

    Args:
        x: ``(..., *features)``.
        scale, bias: ``features``; x is normalized over as many axes as they have.
            The bias is optional, here and in the other norms.
        epsilon: added to the variance.

    Example:
        >>> autograd.layer_norm(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), tensor.ones(2))
        Tensor([[-1.,  1.],
                [-1.,  1.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return LayerNormalization(epsilon)(x, scale, *given(bias))[0]


def group_norm(
    x: Tensor, groups: int, scale: Tensor, bias: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """Normalize each group of channels of each sample, then scale and shift each channel.

    Args:
        x: (N, C, ...).
        groups: the number of groups; a divisor of C.
        scale, bias: (C,).
        epsilon: added to the variance.

    Example:
        >>> autograd.group_norm(Tensor(data=[[1.0, 3.0, 2.0, 6.0]]), 2, tensor.ones(4))
        Tensor([[-1.,  1., -1.,  1.]], shape=(1, 4), dtype=float32, device=cpu)
    """
    return GroupNormalization(groups, epsilon)(x, scale, *given(bias))[0]


def instance_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    """Normalize each channel of each sample, then scale and shift it.

    Args:
        x: (N, C, ...).
        scale, bias: (C,).
        epsilon: added to the variance.

    Example:
        >>> autograd.instance_norm(Tensor(data=[[[1.0, 3.0], [2.0, 6.0]]]), tensor.ones(2))
        Tensor([[[-1.,  1.],
                 [-1.,  1.]]], shape=(1, 2, 2), dtype=float32, device=cpu)
    """
    return InstanceNormalization(epsilon)(x, scale, *given(bias))[0]


def rms_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None, epsilon: float = 1e-5) -> Tensor:
    """Divide each sample by the root of its mean square over its last axes, then scale it.

    Args:
        x: ``(..., *features)``.
        scale, bias: ``features``.
        epsilon: added to the mean square.

    Example:
        >>> autograd.rms_norm(Tensor(data=[[1.0, 7.0]]), tensor.ones(2))
        Tensor([[0.2, 1.4]], shape=(1, 2), dtype=float32, device=cpu)
    """
    return RMSNormalization(epsilon)(x, scale, *given(bias))[0]


def clip_by_norm(x: Tensor, most: float, axis: Axes = None) -> Tensor:
    """Scale vectors whose norm is above ``most`` down to that norm; of x's shape.

    Args:
        x: of a float type.
        most: the largest 2-norm; above 0.
        axis: the axes of each vector; all if None: x is one vector.

    Raises:
        ArgumentError: ``most`` is not above 0.

    Example:
        >>> autograd.clip_by_norm(Tensor(data=[[3.0, 4.0], [0.6, 0.8]]), 2.0, axis=1)
        Tensor([[1.2, 1.6],
                [0.6, 0.8]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return ClipByNorm(most, axis)(x)[0]
