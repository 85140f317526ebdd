from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "matmul": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 3), (3, 4)]),
    "matmul of batches": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 1, 2, 3), (3, 3, 4)]),
    "matmul by matrix": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 2, 3), (3, 4)]),
    "matmul of vectors": Row(ops.Matmul, ops.matmul, jnp.matmul, [(3,), (2, 3, 4)]),
    "affine": Row(ops.Affine, ops.affine, lambda x, w, b: x @ w + b, [(2, 3), (3, 4), (4,)]),
    "affine of batches": Row(
        ops.Affine, ops.affine, lambda x, w, b: x @ w + b, [(2, 1, 3), (3, 4), (4,)]
    ),
    "add_bias": Row(ops.AddBias, ops.add_bias, jnp.add, [(4, 3), (1, 3)]),
    "add_bias by column": Row(
        ops.AddBias, partial(ops.add_bias, axis=1), lambda x, b: x + b[:, None], [(4, 3), (4,)]
    ),
}  # fmt: skip
