from functools import partial

import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

X = [(2, 3, 4)]


def plain_exclusive_reverse(x):
    later = jnp.flip(jnp.cumsum(jnp.flip(x, 1), 1), 1)
    return later - x


ROWS = {
    "cumsum": Row(ops.CumSum, partial(ops.cumsum, axis=-1), partial(jnp.cumsum, axis=-1), X),
    "cumsum of what is later": Row(
        ops.CumSum, partial(ops.cumsum, axis=1, exclusive=True, reverse=True),
        plain_exclusive_reverse, X,
    ),
    "cumprod": Row(ops.CumProd, partial(ops.cumprod, axis=1), partial(jnp.cumprod, axis=1), X),
    "logcumsumexp": Row(
        ops.LogCumSumExp, partial(ops.logcumsumexp, axis=1),
        partial(jax.lax.cumlogsumexp, axis=1), X,
    ),
    "cummax": Row(
        ops.CumMax, lambda x: ops.cummax(x, -1)[0], partial(jax.lax.cummax, axis=2), X
    ),
    "cummin": Row(ops.CumMin, lambda x: ops.cummin(x, 1)[0], partial(jax.lax.cummin, axis=1), X),
}  # fmt: skip
