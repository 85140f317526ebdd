"""Attention and its gradients as functions of arrays: by a native kernel or a formula.

All take the same arrays: q (..., L, E), k (..., S, E) and v (..., S, V), whose leading axes
broadcast, and what :class:`Hidden` holds. There are two results, both at least float32: ``y``, the
weighted means of the values, (..., L, V); and ``lse``, (..., L), the logarithm of the sum of the
scores' exponentials, from which the way back computes the weights again. It is infinity for a query
that attends to no key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from singa.device import CTensor, bool_
from singa.engine import native
from singa.engine.native import attention as kernels
from singa.engine.native.attention import Hidden, Kind
from singa.operation.products import product
from singa.tape import wide, widened

_BLOCK = 256  # keys
_MANY = 2**24  # weights: from 64 MiB of them on, computing them twice beats keeping them


def takes(q: CTensor, k: CTensor, v: CTensor, hidden: Hidden) -> bool:
    """Whether there is a way that does not keep all weights, and is worth it."""
    return kernels.supports(q, k, v, hidden) or _is_large(q, k, hidden)


def _is_large(q: CTensor, k: CTensor, hidden: Hidden) -> bool:
    lead = jnp.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    return math.prod(lead) * q.shape[-2] * k.shape[-2] >= _MANY and not hidden.key.size


def attend(kind: Kind, hidden: Hidden, q: CTensor, k: CTensor, v: CTensor) -> Any:
    """The results, ``y`` and ``lse``."""
    return _run((kernels.forward, in_blocks, of_all), kind, hidden, (), q, k, v)


def gradients(
    kind: Kind, hidden: Hidden, back: tuple[CTensor, ...], q: CTensor, k: CTensor, v: CTensor
) -> Any:
    """The gradients of q, k and v, of shapes that broadcast with them, and at least float32.

    Args:
        back: y, lse and the gradient of y.
    """
    ways = kernels.backward, gradients_in_blocks, gradients_of_all
    return _run(ways, kind, hidden, back, q, k, v)


def scores_gradient(
    kind: Kind, hidden: Hidden, back: tuple[CTensor, ...], q: CTensor, k: CTensor, v: CTensor
) -> CTensor:
    """The gradient of the scores, (..., L, S)."""
    y, lse, dy = back
    return _weights_back(kind, y, lse, dy, *_aligned(q, k, v), *hidden)[1]


def _run(
    ways: tuple[Callable[..., Any], ...],
    kind: Kind,
    hidden: Hidden,
    back: tuple[CTensor, ...],
    q: CTensor,
    k: CTensor,
    v: CTensor,
) -> Any:
    """By the native kernel, block by block, or from all weights, as all derivatives."""
    kernel, blocks, plain = (partial(way, kind) for way in ways)
    xs = (*back, *_aligned(q, k, v), *hidden)
    formula = native.differentiated(blocks, plain) if _is_large(q, k, hidden) else plain
    if kernels.supports(q, k, v, hidden):
        return native.run(kernel, formula, *xs)
    return formula(*xs)


def _aligned(q: CTensor, k: CTensor, v: CTensor) -> tuple[CTensor, CTensor, CTensor]:
    """The same, of one type, with equally many axes.

    The leading axes of q are all that there are. Those of keys and values are the same, but some of
    the last ones may be 1.
    """
    q, k, v = (x.astype(jnp.result_type(q, k, v)) for x in (q, k, v))
    shared = jnp.broadcast_shapes(k.shape[:-2], v.shape[:-2])
    lead = jnp.broadcast_shapes(q.shape[:-2], shared)
    shared = (*[1] * (len(lead) - len(shared)), *shared)
    same = next((i for i in range(len(lead)) if shared[i] != lead[i]), len(lead))
    if any(size != 1 for size in shared[same:]):
        shared = lead
    return (
        jnp.broadcast_to(q, (*lead, *q.shape[-2:])),
        jnp.broadcast_to(k, (*shared, *k.shape[-2:])),
        jnp.broadcast_to(v, (*shared, *v.shape[-2:])),
    )


def scores_of(
    kind: Kind, q: CTensor, k: CTensor, mask: CTensor, first: CTensor | int = 0
) -> CTensor:
    """The scores of queries and of the keys from number ``first`` on; -infinity if hidden."""
    scores = product(q, k, transpose_b=True, dtype=wide(q.dtype)) * kind.factor
    if mask.size and mask.dtype == bool_:
        scores = jnp.where(mask, scores, -jnp.inf)
    elif mask.size:
        scores += mask
    if kind.causal:
        row, column = (
            jax.lax.broadcasted_iota(jnp.int32, scores.shape[-2:], axis) for axis in (0, 1)
        )
        scores = jnp.where(column + first <= row, scores, -jnp.inf)
    return scores


def base_of(largest: CTensor) -> CTensor:
    """What scores are measured from: the largest, but 0 if all keys are hidden."""
    return jnp.where(largest == -jnp.inf, 0, largest)


def of_all(
    kind: Kind, q: CTensor, k: CTensor, v: CTensor, mask: CTensor, key: CTensor, kept: CTensor
) -> tuple[CTensor, CTensor]:
    """From the matrix of all weights."""
    scores = scores_of(kind, q, k, mask)
    base = base_of(scores.max(-1, keepdims=True, initial=-jnp.inf))
    exp = jnp.exp(scores - base)
    total = exp.sum(-1, keepdims=True)
    is_empty = total == 0
    total = jnp.where(is_empty, 1, total)
    lse = jnp.where(is_empty, jnp.inf, base + jnp.log(total))
    return _times(_dropped(exp / total, key, kept), v), lse[..., 0]


def gradients_of_all(
    kind: Kind,
    y: CTensor,
    lse: CTensor,
    dy: CTensor,
    q: CTensor,
    k: CTensor,
    v: CTensor,
    *hidden: CTensor,
) -> tuple[CTensor, CTensor, CTensor]:
    """The gradients of q, k and v from the matrix of all weights."""
    used, dscores = _weights_back(kind, y, lse, dy, q, k, v, *hidden)
    dq = _times(dscores, k) * kind.factor
    dk = _times(dscores, q, transpose_a=True) * kind.factor
    dv = _times(used, dy.astype(q.dtype), transpose_a=True)
    return dq, _summed(dk, k), _summed(dv, v)


def _weights_back(
    kind: Kind,
    y: CTensor,
    lse: CTensor,
    dy: CTensor,
    q: CTensor,
    k: CTensor,
    v: CTensor,
    *hidden: CTensor,
) -> tuple[CTensor, CTensor]:
    """The weights, after the dropout, and the gradients of the scores."""
    mask, key, kept = hidden
    weights = jnp.exp(scores_of(kind, q, k, mask) - lse[..., None])
    dweights = _dropped(_times(dy, v, transpose_b=True), key, kept)
    return _dropped(weights, key, kept), weights * (dweights - _delta(y, dy))


def _delta(y: CTensor, dy: CTensor) -> CTensor:
    """The sum of the weights times their gradients, of each query."""
    return (widened(dy) * y).sum(-1, keepdims=True)


def _summed(gradient: CTensor, like: CTensor) -> CTensor:
    """Over the heads of queries that share heads of keys or values."""
    shapes = enumerate(zip(gradient.shape, like.shape, strict=True))
    return gradient.sum([i for i, (size, own) in shapes if size != own], keepdims=True)


def _times(a: CTensor, b: CTensor, **turns: bool) -> CTensor:
    """A product of factors of b's type, with sums that are at least float32."""
    return product(a.astype(b.dtype), b, dtype=wide(b.dtype), **turns)


def _dropped(weights: CTensor, key: CTensor, kept: CTensor) -> CTensor:
    if not key.size:
        return weights
    return jnp.where(jax.random.bernoulli(key, kept[0], weights.shape), weights / kept[1], 0)


def in_blocks(
    kind: Kind, q: CTensor, k: CTensor, v: CTensor, mask: CTensor, *_: CTensor
) -> tuple[CTensor, CTensor]:
    """Block by block of keys, with the largest score and the sums so far; without dropout."""

    def step(state: Any, block: Any) -> Any:
        largest, total, y = state
        first, keys, values, seen = block
        scores = _block_scores(kind, q, keys, seen, first, k.shape[-2])
        now = jnp.maximum(largest, scores.max(-1, keepdims=True))
        shrunk = jnp.exp(largest - base_of(now))
        exp = jnp.exp(scores - base_of(now))
        total = total * shrunk + exp.sum(-1, keepdims=True)
        return (now, total, y * shrunk + _times(exp, values)), None

    zeros = jnp.zeros((*q.shape[:-1], 1), wide(q.dtype))
    start = zeros - jnp.inf, zeros, jnp.zeros((*q.shape[:-1], v.shape[-1]), zeros.dtype)
    (largest, total, y), _ = jax.lax.scan(step, start, _blocks(k, v, mask))
    is_empty = total == 0
    total = jnp.where(is_empty, 1, total)
    lse = jnp.where(is_empty, jnp.inf, base_of(largest) + jnp.log(total))
    return y / total, lse[..., 0]


def gradients_in_blocks(
    kind: Kind,
    y: CTensor,
    lse: CTensor,
    dy: CTensor,
    q: CTensor,
    k: CTensor,
    v: CTensor,
    mask: CTensor,
    *_: CTensor,
) -> tuple[CTensor, CTensor, CTensor]:
    """The gradients of q, k and v, block by block of keys."""
    delta, dy = _delta(y, dy), dy.astype(q.dtype)

    def step(dq: CTensor, block: Any) -> tuple[CTensor, Any]:
        first, keys, values, seen = block
        scores = _block_scores(kind, q, keys, seen, first, k.shape[-2])
        weights = jnp.exp(scores - lse[..., None])
        dscores = weights * (_times(dy, values, transpose_b=True) - delta)
        dk = _summed(_times(dscores, q, transpose_a=True) * kind.factor, keys)
        dv = _summed(_times(weights, dy, transpose_a=True), values)
        return dq + _times(dscores, keys), (dk, dv)

    dq, found = jax.lax.scan(step, jnp.zeros(q.shape, wide(q.dtype)), _blocks(k, v, mask))
    dk, dv = (_joined(each, k.shape[-2]) for each in found)
    return dq * kind.factor, dk, dv


def _block_scores(
    kind: Kind, q: CTensor, keys: CTensor, mask: CTensor, first: CTensor, count: int
) -> CTensor:
    scores = scores_of(kind, q, keys, mask, first)
    column = jax.lax.broadcasted_iota(jnp.int32, scores.shape[-2:], 1)
    return jnp.where(column + first < count, scores, -jnp.inf)


def _blocks(k: CTensor, v: CTensor, mask: CTensor) -> tuple[CTensor, ...]:
    """For each block its first key's number, keys, values and mask, padded with zeros."""
    first = jnp.arange(0, k.shape[-2], _BLOCK, dtype=jnp.int32)
    if mask.shape[-1] in (0, 1):
        masks = jnp.broadcast_to(mask, (len(first), *mask.shape))
    else:
        masks = _cut(mask, -1)
    return first, _cut(k, -2), _cut(v, -2), masks


def _cut(x: CTensor, axis: int) -> CTensor:
    """(blocks, ...): an axis in blocks."""
    axis += x.ndim
    blocks = -(-x.shape[axis] // _BLOCK)
    pad = [(0, 0)] * x.ndim
    pad[axis] = (0, blocks * _BLOCK - x.shape[axis])
    shape = (*x.shape[:axis], blocks, _BLOCK, *x.shape[axis + 1 :])
    return jnp.moveaxis(jnp.pad(x, pad).reshape(shape), axis, 0)


def _joined(x: CTensor, count: int) -> CTensor:
    """(..., count, features) from blocks (blocks, ..., keys, features)."""
    x = jnp.moveaxis(x, 0, -3)
    return x.reshape(*x.shape[:-3], -1, x.shape[-1])[..., :count, :]
