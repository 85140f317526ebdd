"""Attention (Vaswani et al., 2017)."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, next_key, wrap
from singa.device import CTensor, bool_, is_float
from singa.engine.native.attention import Hidden, Kind
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.operation import attention_formulas as formulas
from singa.operation import checks
from singa.operation.products import product
from singa.operation.random import share_kept
from singa.operation.shaping import reshape
from singa.tape import Operation, mode

__all__ = ["ScaledDotProductAttention", "scaled_dot_product_attention"]


class ScaledDotProductAttention(Operation):
    """y = dropout(softmax(scale q k^T + mask)) v, with the softmax over the keys.

    Scores and their softmax are at least float32. If a native kernel takes the inputs, or there are
    many weights, these are never all there at the same time: forward keeps a number for each query,
    and backward computes them again. Otherwise backward needs only the weights.

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
        self.q, self.k, self.v = q, k, v
        self.mask = more[0] if self.masked else None
        self.key = more[-1] if len(more) > self.masked else None
        self.check(q, k, v, self.mask)
        self.y: Any = None
        self.lse: Any = None
        self.weights: Any = None
        self.kept: CTensor | None = None
        if not self.need_weights and formulas.takes(q, k, v, self.hidden()):
            y, self.lse = formulas.attend(self.kind(), self.hidden(), q, k, v)
            self.y = y.astype(jnp.result_type(q, v))
            return self.y
        scores = formulas.scores_of(self.kind(), q, k, self.hidden().mask)
        exp = jnp.exp(scores - formulas.base_of(scores.max(-1, keepdims=True, initial=-jnp.inf)))
        total = exp.sum(-1, keepdims=True)
        # The weights of a query that attends to no key are 0, not NaN.
        self.weights = (exp / jnp.where(total == 0, 1, total)).astype(q.dtype)
        if self.key is not None:
            keep = jnp.float32(1 - self.dropout)
            self.kept = jax.random.bernoulli(self.key, keep, self.weights.shape)
        used = self.dropped(self.weights)
        return (product(used, v), used) if self.need_weights else product(used, v)

    def backward(self, dy: CTensor, *dused: CTensor) -> tuple[CTensor | None, ...]:
        if self.weights is None:
            dq, dk, dv, dscores = self.gradients_without_weights(dy)
        else:
            dq, dk, dv, dscores = self.gradients(dy, *dused)
        has_bias = self.mask is not None and self.mask.dtype != bool_
        mask = () if self.mask is None else (dscores if has_bias else None,)
        return dq, dk, dv, *mask, *(() if self.key is None else (None,))

    def gradients(self, dy: CTensor, *dused: CTensor) -> tuple[CTensor, ...]:
        """Those of q, k, v and the scores, from the weights that forward has kept."""
        weights = self.weights
        dv = product(self.dropped(weights), dy, transpose_a=True)
        wide = jnp.promote_types(dy.dtype, jnp.float32)
        dweights = product(dy, self.v, transpose_b=True, dtype=wide)
        for each in dused:
            dweights += each
        weighted = weights * self.dropped(dweights)
        dscores = (weighted - weights * weighted.sum(-1, keepdims=True)).astype(dy.dtype)
        factor = self.kind().factor
        dq = product(dscores, self.k) * factor
        dk = product(dscores, self.q, transpose_a=True) * factor
        return dq, dk, dv, dscores

    def gradients_without_weights(self, dy: CTensor) -> tuple[CTensor, ...]:
        """The same, from the sums of the scores' exponentials."""
        given = self.kind(), self.hidden(), (self.y, self.lse, dy), self.q, self.k, self.v
        # The scores' gradients are as many as the weights: XLA removes them if there is no bias.
        return *formulas.gradients(*given), formulas.scores_gradient(*given)

    def dropped(self, weights: CTensor) -> CTensor:
        if self.kept is None:
            return weights
        return jnp.where(self.kept, weights / share_kept(self.dropout), 0)

    def kind(self) -> Kind:
        size = max(self.q.shape[-1], 1)
        return Kind(1 / math.sqrt(size) if self.scale is None else self.scale, self.causal)

    def hidden(self) -> Hidden:
        mask, key, kept = self.mask, self.key, jnp.zeros(0, jnp.float32)
        if key is not None:
            kept = jnp.stack([1 - self.dropout, share_kept(self.dropout)]).astype(jnp.float32)
        return Hidden(
            jnp.zeros(0, jnp.float32) if mask is None else mask,
            jnp.zeros(0, jnp.uint32) if key is None else key,
            kept,
        )

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
        ArgumentError: ``dropout`` is not between 0 and 1.

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
