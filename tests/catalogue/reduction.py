from functools import partial

import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

X = [(2, 3, 4)]


ROWS = {
    "reduce_sum": Row(
        ops.ReduceSum, lambda x: ops.reduce_sum(x, (0, -1)),
        lambda x: x.sum((0, 2), keepdims=True), X,
    ),
    "reduce_mean": Row(
        ops.ReduceMean, lambda x: ops.reduce_mean(x, 1, keepdims=False), lambda x: x.mean(1), X
    ),
    "reduce_prod": Row(
        ops.ReduceProd, lambda x: ops.reduce_prod(x, (0, 1), keepdims=False),
        lambda x: x.prod((0, 1)), X,
    ),
    "reduce_max": Row(
        ops.ReduceMax, lambda x: ops.reduce_max(x, (0, -1), keepdims=False),
        lambda x: x.max((0, 2)), X,
    ),
    "reduce_min": Row(
        ops.ReduceMin, lambda x: ops.reduce_min(x, 1), lambda x: x.min(1, keepdims=True), X
    ),
    "norm": Row(ops.Norm, partial(ops.norm, axis=-1), partial(jnp.linalg.norm, axis=-1), X),
    "1-norm": Row(
        ops.Norm, partial(ops.norm, p=1, axis=1), partial(jnp.linalg.norm, ord=1, axis=1), X
    ),
    "inf-norm": Row(
        ops.Norm, partial(ops.norm, p=float("inf"), axis=1, keepdims=True),
        partial(jnp.linalg.norm, ord=jnp.inf, axis=1, keepdims=True), X,
    ),
    "p-norm": Row(
        ops.Norm, partial(ops.norm, p=3.5, axis=(0, 2)),
        lambda x: (abs(x) ** 3.5).sum((0, 2)) ** (1 / 3.5), X,
    ),
    "logsumexp": Row(
        ops.LogSumExp, partial(ops.logsumexp, axis=(0, 2)),
        partial(jax.nn.logsumexp, axis=(0, 2)), X,
    ),
    # The test wants a float and a gradient: the bool is added to 0 times the input.
    "reduce_all": Row(
        ops.ReduceAll, lambda x: x * 0.0 + ops.reduce_all(x > -1, 2),
        lambda x: x * 0 + (x > -1).all(2, keepdims=True), X,
    ),
    "reduce_any": Row(
        ops.ReduceAny, lambda x: x * 0.0 + ops.reduce_any(x > 1, (0, 2)),
        lambda x: x * 0 + (x > 1).any((0, 2), keepdims=True), X,
    ),
}  # fmt: skip
