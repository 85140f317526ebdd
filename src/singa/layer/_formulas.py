"""Formulas that layers need and that are not yet among the operations, each in one place."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from singa._tensor import Tensor, TensorLike, as_tensor, next_key, wrap
from singa.device import CTensor, bool_
from singa.tape import Operation, mode


class _Normalize(Operation):
    """scale (x - mean) / sqrt(var + epsilon) + bias, over groups of channels or the last axes."""

    def __init__(self, epsilon: float, centered: bool, groups: int | None) -> None:
        super().__init__()
        self.epsilon, self.centered, self.groups = epsilon, centered, groups

    def forward(self, x: CTensor, scale: CTensor, *bias: CTensor) -> CTensor:
        # Statistics of half-precision activations are taken in float32.
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        shape, axes = scale.shape, tuple(range(-scale.ndim, 0))
        if self.groups is not None:
            shape, axes = (-1, *[1] * (x.ndim - 2)), (2,)
            wide = wide.reshape(len(x), self.groups, -1)
        if self.centered:
            wide = wide - wide.mean(axes, keepdims=True)
        square = (wide * wide).mean(axes, keepdims=True)
        y = (wide * jax.lax.rsqrt(square + self.epsilon)).reshape(x.shape) * scale.reshape(shape)
        return sum((b.reshape(shape) for b in bias), start=y).astype(x.dtype)


class _GELU(Operation):
    """x times the normal distribution's function at x (Hendrycks and Gimpel, 2016)."""

    def forward(self, x: CTensor) -> CTensor:
        return jax.nn.gelu(x, approximate=False)


class _Heads(Operation):
    """(batch, places, parts * heads * size) to parts of (batch, heads, places, size)."""

    def __init__(self, parts: int, heads: int) -> None:
        super().__init__()
        self.parts, self.heads = parts, heads

    def forward(self, x: CTensor) -> tuple[CTensor, ...]:
        self.from_shape = x.shape
        y = x.reshape(*x.shape[:2], self.parts, self.heads, -1)
        return tuple(jnp.moveaxis(y, (2, 3), (0, 2)))

    def backward(self, *dys: CTensor) -> CTensor:
        return jnp.moveaxis(jnp.stack(dys), (0, 2), (2, 3)).reshape(self.from_shape)


class _Attention(Operation):
    """softmax(q k^T / sqrt(size) + masks) v; the last input is a random key if there is a ratio."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, q: CTensor, k: CTensor, v: CTensor, *rest: CTensor) -> CTensor:
        masks, key = (rest[:-1], rest[-1]) if self.ratio else (rest, None)
        scores = q @ k.mT / q.shape[-1] ** 0.5
        # Finite, so that where all is forbidden there is no infinity minus infinity.
        far = jnp.finfo(scores.dtype).min / 4
        for mask in masks:
            added = jnp.where(mask, 0, far) if mask.dtype == bool_ else mask
            scores = scores + added.astype(scores.dtype)
        weights = jax.nn.softmax(scores)
        if key is not None:
            kept = jax.random.bernoulli(key, jnp.float32(1 - self.ratio), weights.shape)
            weights = jnp.where(kept, weights, 0) / (1 - self.ratio or 1)
        return weights @ v


def normalize(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    epsilon: float,
    centered: bool = True,
    groups: int | None = None,
) -> Tensor:
    """``x`` with mean 0 and variance 1, or with a mean square of 1, times scale plus bias.

    Over the last axes, as many as ``scale`` has, or over each of so many groups of channels.
    """
    inputs = (x, scale) if bias is None else (x, scale, bias)
    return _Normalize(epsilon, centered, groups)(*inputs)[0]


def gelu(x: Tensor) -> Tensor:
    """The Gaussian error linear unit, exactly."""
    return _GELU()(x)[0]


def heads(x: Tensor, parts: int, number: int) -> tuple[Tensor, ...]:
    """(batch, places, parts * number * size) as parts of (batch, number, places, size)."""
    return _Heads(parts, number)(x)


def attention(
    q: Tensor, k: Tensor, v: Tensor, masks: Sequence[TensorLike] = (), ratio: float = 0.0
) -> Tensor:
    """softmax(q k^T / sqrt(size) + masks) v, scaled dot-product attention.

    Args:
        q: (..., queries, size).
        k, v: (..., keys, size).
        masks: each broadcasts to (..., queries, keys): bools, true where a query may look at a
            key, or numbers that are added. Who may look nowhere looks everywhere.
        ratio: the probability with which a weight is 0, in training.
    """
    inputs = [q, k, v, *(as_tensor(mask, q) for mask in masks)]
    if ratio and mode.training:
        return _Attention(ratio)(*inputs, wrap(next_key(q.device), q.device))[0]
    return _Attention(0.0)(*inputs)[0]
