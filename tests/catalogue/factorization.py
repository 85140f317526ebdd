from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops
from singa import linalg
from singa.tensor import Tensor

SQUARE, BATCH = [(2, 2)], [(2, 2, 2)]


def definite(a):
    """A symmetric and positive definite matrix, from any matrix."""
    return ops.matmul(a, ops.transpose(a, (1, 0))) + Tensor(data=np.eye(2), dtype=a.dtype)


def stacked(us):
    """Matrices, and vectors as matrices of one row, one below the other."""
    return ops.cat([u if u.ndim == 3 else ops.unsqueeze(u, 1) for u in us], -2)


def plain_stacked(us):
    return jnp.concatenate([u if u.ndim == 3 else u[:, None] for u in us], -2)


def plain_r(a):
    q, r = jnp.linalg.qr(a[:, :2])
    return jnp.concatenate([r, q.T @ a[:, 2:]], 1)


def plain_expm(a):
    return reduce(lambda y, n: jnp.eye(2) + a @ y / n, range(40, 0, -1), jnp.eye(2))


ROWS = {
    "cholesky": Row(
        ops.Cholesky, lambda a: linalg.cholesky(definite(a)),
        lambda a: jnp.linalg.cholesky(a @ a.T + jnp.eye(2)), SQUARE,
    ),
    "det": Row(ops.Determinant, linalg.det, jnp.linalg.det, BATCH),
    "slogdet": Row(
        ops.LogDeterminant, lambda a: linalg.slogdet(a)[1], lambda a: jnp.linalg.slogdet(a)[1],
        BATCH,
    ),
    "inv": Row(ops.Inverse, linalg.inv, jnp.linalg.inv, BATCH),
    "pinv": Row(
        ops.PseudoInverse, linalg.pinv, lambda a: jnp.linalg.inv(a.T @ a) @ a.T, [(4, 2)]
    ),
    "solve": Row(ops.Solve, linalg.solve, jnp.linalg.solve, [(2, 2, 2), (2, 3)]),
    "solve, vectors": Row(
        ops.Solve, linalg.solve, lambda a, b: jnp.linalg.solve(a, b[..., None])[..., 0],
        [(2, 2, 2), (2, 2)],
    ),
    "solve_triangular": Row(
        ops.SolveTriangular, lambda a, b: linalg.solve_triangular(a, b, upper=True),
        jax.scipy.linalg.solve_triangular, [(2, 2), (2,)],
    ),
    "matrix_power": Row(
        ops.MatrixPower, lambda a: linalg.matrix_power(a, -2),
        lambda a: jnp.linalg.inv(a) @ jnp.linalg.inv(a), SQUARE,
    ),
    "expm": Row(
        ops.MatrixExponential, linalg.expm,
        plain_expm, SQUARE,
    ),
    "qr": Row(ops.OrthogonalTriangular, lambda a: linalg.qr(a)[1], plain_r, [(2, 3)]),
    "eigh": Row(
        ops.SymmetricEigen, lambda a: stacked(linalg.eigh(a)),
        lambda a: plain_stacked(jnp.linalg.eigh(a)), BATCH,
    ),
    "svd": Row(
        ops.SingularValues, lambda a: stacked(linalg.svd(a)),
        lambda a: plain_stacked(jnp.linalg.svd(a, full_matrices=False)), [(2, 3, 2)],
    ),
}  # fmt: skip
