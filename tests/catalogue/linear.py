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
    "gemm": Row(
        ops.Gemm, lambda a, b, c: ops.gemm(a, b, c, 0.5, 2.0, 1, 1),
        lambda a, b, c: 0.5 * a.T @ b.T + 2 * c, [(3, 2), (4, 3), (4,)],
    ),
    "gemm without C": Row(
        ops.Gemm, lambda a, b: ops.gemm(a, b, alpha=3), lambda a, b: 3 * a @ b, [(2, 3), (3, 4)]
    ),
    "einsum": Row(
        ops.Einsum, partial(ops.einsum, "...ij,kj,k->...ki"),
        lambda a, b, c: (a @ b.T).mT * c[:, None], [(2, 2, 3), (4, 3), (4,)],
    ),
    "cross": Row(ops.Cross, ops.cross, jnp.cross, [(2, 3), (3,)]),
    "cross along the first axis": Row(
        ops.Cross, lambda a, b: ops.cross(a, b, 0), lambda a, b: jnp.cross(a, b, axis=0),
        [(3, 2), (3, 1)],
    ),
    "bilinear": Row(
        ops.Einsum, ops.bilinear,
        lambda a, b, w, c: jnp.einsum("ni,oij,nj->no", a, w, b) + c,
        [(2, 3), (2, 2), (4, 3, 2), (4,)],
    ),
    "kron": Row(ops.Mul, ops.kron, jnp.kron, [(2, 3), (2,)]),
}  # fmt: skip
