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
}  # fmt: skip
