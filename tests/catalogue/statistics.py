from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

X = [(2, 3, 4)]


def with_gaps(nan_function):
    """A function that ignores NaN, of inputs with some; there the gradient is 0."""
    return lambda x: nan_function(ops.where(x, float("nan"), x > -1))


ROWS = {
    "var": Row(ops.Var, partial(ops.var, axis=(0, 1)), partial(jnp.var, axis=(0, 1)), X),
    "std": Row(ops.Std, partial(ops.std, axis=1, ddof=1), partial(jnp.std, axis=1, ddof=1), X),
    "quantile": Row(
        ops.Quantile, lambda x: ops.quantile(x, (0.3, 1.0), axis=(0, -1), keepdims=True),
        lambda x: jnp.quantile(x, jnp.array([0.3, 1.0]), axis=(0, 2), keepdims=True), X,
    ),
    "median": Row(ops.Quantile, partial(ops.median, axis=2), partial(jnp.median, axis=2), X),
    "nanmean": Row(
        ops.ReduceSum, with_gaps(partial(ops.nanmean, axis=1)),
        lambda x: (x * (x > -1)).sum(1) / (x > -1).sum(1), X,
    ),
    # The test wants a float and a gradient: the counts are added to 0 times the input.
    "histogram": Row(
        ops.Histogram,
        lambda x: ops.reshape(x, (4, 6)) * 0.0
        + ops.cast(ops.histogram(x, 6, (-1, 1))[0], x.dtype),
        lambda x: x.reshape(4, 6) * 0 + jnp.histogram(x, 6, (-1, 1))[0], X,
    ),
}  # fmt: skip
