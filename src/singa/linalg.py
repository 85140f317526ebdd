"""Linear algebra: factorizations, inverses, determinants and norms of matrices.

``from singa import linalg``. The matrices are along the last two axes, (..., M, N); all axes before
them are a batch. The inputs are of a float type, which the results have too; half precision is
computed in float32. All results have gradients. Where a matrix has no inverse, or no Cholesky
factor, the results are NaN or infinite, and no error is raised: in a block of
``autograd.detect_anomaly`` one is.
"""

from singa.operation.factorization import (
    cholesky,
    eigh,
    eigvalsh,
    matrix_norm,
    qr,
    svd,
    svdvals,
)
from singa.operation.systems import (
    det,
    expm,
    inv,
    lstsq,
    matrix_power,
    pinv,
    slogdet,
    solve,
    solve_triangular,
)

__all__ = [
    "cholesky", "det", "eigh", "eigvalsh", "expm", "inv", "lstsq", "matrix_norm", "matrix_power",
    "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
]  # fmt: skip
