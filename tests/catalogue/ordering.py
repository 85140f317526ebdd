from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

X = [(2, 3, 4)]


def index_row(op, ours, plain):
    """The test wants a float and a gradient: the index is added to the input's sum."""
    return Row(
        op, lambda x: ops.cast(ours(x, 1), x.dtype) + ops.reduce_sum(x, 1, keepdims=False),
        lambda x: plain(x, 1).astype(x.dtype) + x.sum(1), X,
    )  # fmt: skip


ROWS = {
    "argmax": index_row(ops.ArgMax, ops.argmax, jnp.argmax),
    "argmin": index_row(ops.ArgMin, ops.argmin, jnp.argmin),
    "sort": Row(ops.Sort, partial(ops.sort, axis=1), partial(jnp.sort, axis=1), X),
    "sort downwards": Row(
        ops.Sort, partial(ops.sort, descending=True), lambda x: -jnp.sort(-x), X
    ),
    "topk": Row(
        ops.TopK, lambda x: ops.topk(x, 2, 1)[0], lambda x: -jnp.sort(-x, 1)[:, :2], X
    ),
    "searchsorted": Row(
        ops.SearchSorted, lambda x: x + ops.cast(ops.searchsorted(ops.sort(x), x), x.dtype),
        lambda x: x + jnp.argsort(jnp.argsort(x)).astype(x.dtype), X,
    ),
    "unique": Row(
        ops.Unique, lambda x: x + ops.cast(ops.unique(x, return_inverse=True)[1], x.dtype),
        lambda x: x + jnp.argsort(jnp.argsort(x.ravel())).reshape(x.shape).astype(x.dtype), X,
    ),
}  # fmt: skip
