import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

THREE = [(2, 3), (3,), (2, 1)]

ROWS = {
    "sum": Row(ops.Sum, ops.sum, lambda a, b, c: a + b + c, THREE),
    "mean": Row(ops.Mean, ops.mean, lambda a, b, c: (a + b + c) / 3, THREE),
    "max": Row(ops.Max, ops.max, lambda a, b, c: jnp.maximum(jnp.maximum(a, b), c), THREE),
    "min": Row(ops.Min, ops.min, lambda a, b, c: jnp.minimum(jnp.minimum(a, b), c), THREE),
}  # fmt: skip
