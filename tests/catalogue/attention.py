from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

SEEN = np.array([[True, False, True], [False, True, True]])


def plain(q, k, v, mask=None, causal=False):
    scores = jnp.einsum("...le,...se->...ls", q, k) / np.sqrt(q.shape[-1]).astype(q.dtype)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = jnp.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -jnp.inf)
    return jax.nn.softmax(scores, -1) @ v


def grouped(q, k, v, bias):
    """Grouped queries with a bias, and the weights beside the results."""
    y, weights = attention(q, k, v, bias, enable_gqa=True, need_weights=True, scale=0.4)
    return ops.cat((y, weights), -1)


def plain_causal_groups(q, k, v):
    return plain(q, *(jnp.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v)), causal=True)


def plain_grouped(q, k, v, bias):
    k, v = (jnp.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    places = jnp.broadcast_to(jnp.eye(k.shape[2], dtype=q.dtype), (*k.shape[:3], k.shape[2]))
    return plain(q * (0.4 * np.sqrt(q.shape[-1])), k, jnp.concatenate((v, places), -1), bias)


attention = ops.scaled_dot_product_attention
QKV = [(2, 2, 2, 4), (2, 1, 3, 4), (2, 1, 3, 5)]  # keys and values are shared by the heads

ROWS = {
    "attention": Row(ops.ScaledDotProductAttention, attention, plain, QKV),
    "attention, causal": Row(
        ops.ScaledDotProductAttention, partial(attention, causal=True),
        partial(plain, causal=True), [(2, 3, 2), (3, 2), (2, 3, 2)],
    ),
    "attention with a mask": Row(
        ops.ScaledDotProductAttention, attention, plain, QKV, constants=(SEEN,)
    ),
    "attention with a bias": Row(
        ops.ScaledDotProductAttention, attention, plain, [*QKV, (2, 2, 3)]
    ),
    "attention, grouped": Row(
        ops.ScaledDotProductAttention, partial(attention, causal=True, enable_gqa=True),
        plain_causal_groups, [(2, 4, 3, 2), (2, 2, 3, 2), (2, 2, 3, 2)],
    ),
    "attention, grouped, with weights": Row(
        ops.ScaledDotProductAttention, grouped, plain_grouped,
        [(2, 4, 2, 3), (2, 2, 3, 3), (2, 2, 3, 2), (4, 2, 3)],
    ),
}  # fmt: skip
