"""Attention (Vaswani et al., 2017)."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, next_key, wrap
from singa.device import CTensor, bool_, is_float
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.operation import checks
from singa.operation.products import product
from singa.operation.random import share_kept
from singa.operation.shaping import reshape
from singa.tape import Operation, mode

__all__ = ["ScaledDotProductAttention", "scaled_dot_product_attention"]


class ScaledDotProductAttention(Operation):
    """y = dropout(softmax(scale q k^T + mask)) v, with the softmax over the keys.

    Scores and their softmax are at least float32. Backward needs only the softmax of them.

    Args:
        causal: query i attends to the keys up to i only.
        dropout: the probability that a weight becomes 0; the others are scaled up.
        scale: the factor of the scores; 1 / sqrt(E) if None.
        masked: whether the fourth input is a mask. A further last input is a key for random
            numbers; without it there is no dropout.
        need_weights: whether the weights, (..., L, S), are a second output: after the dropout.
    """

    arithmetic = "low"
    numbers = ("dropout",)

    def __init__(
        self,
        causal: bool = False,
        dropout: float = 0.0,
        scale: float | None = None,
        masked: bool = False,
        need_weights: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= checks.number(f"{self.name}: dropout", dropout) <= 1:
            raise ArgumentError(f"{self.name}: dropout is a probability, got {dropout!r}")
        self.causal = bool(causal)
        self.dropout = float(dropout)
        self.scale = None if scale is None else checks.number(f"{self.name}: scale", scale)
        self.masked = bool(masked)
        self.need_weights = bool(need_weights)

    def forward(
        self, q: CTensor, k: CTensor, v: CTensor, *more: CTensor
    ) -> CTensor | tuple[CTensor, CTensor]:
        mask = more[0] if self.masked else None
        self.check(q, k, v, mask)
        self.q, self.k, self.v = q, k, v
        self.factor = 1 / math.sqrt(max(q.shape[-1], 1)) if self.scale is None else self.scale
        wide = jnp.promote_types(q.dtype, jnp.float32)
        scores = product(q, k, transpose_b=True, dtype=wide) * self.factor
        self.bias = None
        if mask is not None and mask.dtype == bool_:
            scores = jnp.where(mask, scores, -jnp.inf)
        elif mask is not None:
            self.bias = mask
            scores += mask
        if self.causal:
            row, column = (
                jax.lax.broadcasted_iota(jnp.int32, scores.shape[-2:], axis) for axis in (0, 1)
            )
            scores = jnp.where(column <= row, scores, -jnp.inf)
        # The weights of a query that attends to no key are 0, not NaN.
        highest = scores.max(-1, keepdims=True, initial=-jnp.inf)
        exp = jnp.exp(scores - jnp.where(highest == -jnp.inf, 0, highest))
        total = exp.sum(-1, keepdims=True)
        self.weights = (exp / jnp.where(total == 0, 1, total)).astype(q.dtype)
        self.kept = None
        if len(more) > self.masked:
            keep = jnp.float32(1 - self.dropout)
            self.kept = jax.random.bernoulli(more[-1], keep, self.weights.shape)
        used = self.dropped(self.weights)
        return (product(used, v), used) if self.need_weights else product(used, v)

    def backward(self, dy: CTensor, *dused: CTensor) -> tuple[CTensor | None, ...]:
        weights = self.weights
        dv = product(self.dropped(weights), dy, transpose_a=True)
        wide = jnp.promote_types(dy.dtype, jnp.float32)
        dweights = product(dy, self.v, transpose_b=True, dtype=wide)
        for each in dused:
            dweights += each
        weighted = weights * self.dropped(dweights)
        dscores = (weighted - weights * weighted.sum(-1, keepdims=True)).astype(dy.dtype)
        dq = product(dscores, self.k) * self.factor
        dk = product(dscores, self.q, transpose_a=True) * self.factor
        mask = () if not self.masked else (None if self.bias is None else dscores,)
        return dq, dk, dv, *mask, *(() if self.kept is None else (None,))

    def dropped(self, weights: CTensor) -> CTensor:
        if self.kept is None:
            return weights
        return jnp.where(self.kept, weights / share_kept(self.dropout), 0)

    def check(self, q: CTensor, k: CTensor, v: CTensor, mask: CTensor | None) -> None:
        for what, x in (("q", q), ("k", k), ("v", v)):
            checks.float_input(self, what, x)
        shapes = f"q {q.shape}, k {k.shape} and v {v.shape}"
        if (
            min(q.ndim, k.ndim, v.ndim) < 2
            or q.shape[-1] != k.shape[-1]
            or k.shape[-2] != v.shape[-2]
        ):
            raise ShapeError(f"{self.name}: (..., L, E), (..., S, E), (..., S, V) wanted, {shapes}")
        try:
            lead = jnp.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        except ValueError:
            raise ShapeError(
                f"{self.name}: the leading axes of {shapes} do not broadcast together"
            ) from None
        if mask is None:
            return
        if mask.dtype != bool_ and not is_float(mask.dtype):
            raise DTypeError(f"{self.name}: a mask is of bools or floats, got {mask.dtype}")
        full = (*lead, q.shape[-2], k.shape[-2])
        fits = mask.ndim <= len(full) and all(
            size in (1, wanted) for size, wanted in zip(mask.shape[::-1], full[::-1], strict=False)
        )
        if not fits:
            raise ShapeError(f"{self.name}: a mask of shape {mask.shape} for weights of {full}")


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    scale: float | None = None,
    *,
    enable_gqa: bool = False,
    need_weights: bool = False,
) -> Any:
    """For each query the mean of the values, weighted by the similarity of query and keys.

    Args:
        q: queries, (..., L, E).
        k: keys, (..., S, E).
        v: values, (..., S, V). The leading axes, batches and heads, broadcast.
        mask: broadcasts with (..., L, S). Bools say which keys a query may attend to; floats are
            added to the scores, and get a gradient. If a query may attend to no key, its result
            is 0.
        causal: query i attends to the keys up to i only.
        dropout: the probability, in training, that a weight becomes 0.
        scale: the factor of the products of queries and keys; 1 / sqrt(E) if None.
        enable_gqa: grouped queries (Ainslie et al., 2023): q is (..., heads, L, E), and k and v
            have fewer heads, each for as many neighbouring heads of q.
        need_weights: whether to return the weights as well, after the dropout.

    Returns:
        (..., L, V); with ``need_weights`` a pair of it and the weights, (..., L, S).

    Raises:
        ShapeError: shapes do not fit together.
        DTypeError: a mask is neither of bools nor of floats.
        ArgumentError: ``dropout`` is no probability.

    Example:
        >>> q, k, v = Tensor((2, 4)), Tensor((2, 4)), Tensor(data=[[1.0], [3.0]])
        >>> autograd.scaled_dot_product_attention(q, k, v, causal=True)
        Tensor([[1.],
                [2.]], shape=(2, 1), dtype=float32, device=cpu)
        >>> q, k, v = Tensor((1, 4, 5, 8)), Tensor((1, 2, 3, 8)), Tensor((1, 2, 3, 8))
        >>> y, weights = autograd.scaled_dot_product_attention(
        ...     q, k, v, enable_gqa=True, need_weights=True)
        >>> y.shape, weights.shape
        ((1, 4, 5, 8), (1, 4, 5, 3))
    """
    operation = ScaledDotProductAttention(causal, dropout, scale, mask is not None, need_weights)
    inputs = [q, k, v] if mask is None else [q, k, v, mask]
    heads = q.shape[-3:-2]
    grouped = enable_gqa and _groups(operation.name, q, k, v) > 1
    if grouped:
        inputs = _grouped(operation.name, *inputs)
    if dropout and mode.training:
        inputs.append(wrap(next_key(q.device), q.device))
    results = operation(*inputs)
    if grouped:  # back to the queries' heads on one axis
        results = tuple(
            reshape(each, (*each.shape[:-4], *heads, *each.shape[-2:])) for each in results
        )
    return results if need_weights else results[0]


def _groups(name: str, q: Tensor, k: Tensor, v: Tensor) -> int:
    """How many heads of the queries share a head of the keys and values."""
    if min(x.ndim() for x in (q, k, v)) < 3:
        raise ShapeError(
            f"{name}: enable_gqa needs heads, (..., heads, places, features), got q {q.shape}, k "
            f"{k.shape} and v {v.shape}"
        )
    heads, shared = q.shape[-3], k.shape[-3]
    if v.shape[-3] != shared or not shared or heads % shared:
        raise ShapeError(
            f"{name}: with enable_gqa the heads of q are a multiple of those of k and v, got "
            f"q {q.shape}, k {k.shape} and v {v.shape}"
        )
    return heads // shared


def _grouped(name: str, q: Tensor, k: Tensor, v: Tensor, *masks: Tensor) -> list[Tensor]:
    """The inputs with two axes in place of the heads: (shared heads, heads of a group)."""
    heads, shared = q.shape[-3], k.shape[-3]

    def split(x: Tensor, *axes: int) -> Tensor:
        return reshape(x, (*x.shape[:-3], *axes, *x.shape[-2:]))

    split_masks = []
    for mask in masks:
        if mask.ndim() > 2 and mask.shape[-3] not in (1, heads):
            raise ShapeError(
                f"{name}: a mask of shape {mask.shape} is not for {heads} heads, those of q"
            )
        if mask.ndim() > 2:
            mask = split(mask, *((shared, heads // shared) if mask.shape[-3] > 1 else (1, 1)))
        split_masks.append(mask)
    keys_and_values = (split(each, shared, 1) for each in (k, v))
    return [split(q, shared, heads // shared), *keys_and_values, *split_masks]
