import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "reshape": Row(
        ops.Reshape, lambda x: ops.reshape(x, (0, -1)), lambda x: x.reshape(2, 6), [(2, 3, 2)]
    ),
    "flatten": Row(ops.Flatten, ops.flatten, lambda x: x.reshape(2, 6), [(2, 3, 2)]),
    "transpose": Row(
        ops.Transpose,
        lambda x: ops.transpose(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), [(2, 3, 4)],
    ),
    "cat": Row(
        ops.Concat,
        lambda *xs: ops.cat(xs, 1), lambda *xs: jnp.concatenate(xs, 1), [(2, 3), (2, 1), (2, 2)],
    ),
    "cast": Row(ops.Cast, lambda x: ops.cast(x, x.dtype), lambda x: x, [(2, 3)]),
}  # fmt: skip
