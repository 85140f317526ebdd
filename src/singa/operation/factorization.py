"""Factorizations of matrices, and norms that follow from them.

The matrices are along the last two axes, (..., M, N); all axes before them are a batch. Half
precision is computed in float32.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation.matrices import OfMatrices
from singa.operation.reduction import norm, reduce_max, reduce_min, reduce_sum

__all__ = [
    "Cholesky", "OrthogonalTriangular", "SingularValues", "SymmetricEigen", "cholesky", "eigh",
    "eigvalsh", "matrix_norm", "qr", "svd", "svdvals",
]  # fmt: skip


class Cholesky(OfMatrices):
    """y is lower triangular, and a = y yᵀ, for a symmetric and positive definite: else NaN.

    The mean of a and aᵀ is used, so the gradient is symmetric.
    """

    def compute(self, a: CTensor) -> CTensor:
        return jnp.linalg.cholesky(a)


class OrthogonalTriangular(OfMatrices):
    """q (..., M, K) with orthonormal columns, and r (..., K, N) upper triangular; a = q r.

    K is the smaller one of M and N. The first K columns of a must be linearly independent for a
    gradient.
    """

    def check(self, *xs: CTensor) -> None:
        self.expect_matrices(*xs)

    def compute(self, a: CTensor) -> tuple[CTensor, CTensor]:
        rows, columns = a.shape[-2:]
        q, r = jnp.linalg.qr(a[..., : min(rows, columns)])
        if columns > rows:
            r = jnp.concatenate([r, q.mT @ a[..., rows:]], -1)
        return q, r


def _over_gaps(terms: CTensor, values: CTensor, is_used: CTensor, size: int) -> CTensor:
    """The terms [i, j] divided by values[j] - values[i]; 0 on the diagonal.

    Values that differ by less than the rounding error of a factorization of this size are equal.
    The choice of their vectors is arbitrary. If one of them is used, the gradient is NaN, because
    it does not exist, or does not follow from the terms; else it does not depend on them.

    Args:
        terms: (..., K, K).
        values: (..., K).
        is_used: (..., K), whether the function depends on the vectors of each value.
        size: the larger one of the matrix's sizes.
    """
    gaps = values[..., None, :] - values[..., :, None]
    largest = jnp.abs(values).max(-1, initial=0)[..., None, None]
    are_equal = jnp.abs(gaps) <= largest * (size * jnp.finfo(values.dtype).eps)
    of_equals = jnp.where(is_used[..., None, :] | is_used[..., :, None], jnp.nan, 0)
    numbers = jnp.arange(values.shape[-1])
    of_equals = jnp.where(numbers[:, None] == numbers, 0, of_equals)
    return jnp.where(are_equal, of_equals, terms / jnp.where(are_equal, 1, gaps))


def _columns_used(*dys: CTensor) -> CTensor:
    """Which columns of any of these gradients are not all 0."""
    return jnp.stack([(dy != 0).any(-2) for dy in dys]).any(0)


class SymmetricEigen(OfMatrices):
    """The eigenvalues w in ascending order, and the eigenvectors v as columns, of symmetric a.

    a v = v diag(w). The mean of a and aᵀ is used, so the gradient is symmetric. The gradient of a
    function of vectors whose eigenvalues are equal is NaN.
    """

    def compute(self, a: CTensor) -> tuple[CTensor, CTensor]:
        self.w, self.v = jnp.linalg.eigh(a)
        return self.w, self.v

    def backward(self, dw: CTensor, dv: CTensor) -> CTensor:
        v = self.v
        inner = _over_gaps(v.mT @ dv, self.w, _columns_used(dv), v.shape[-1])
        da = (v @ inner + v * dw[..., None, :]) @ v.mT
        return (da + da.mT) / 2


class SingularValues(OfMatrices):
    """u (..., M, K), s (..., K) in descending order, and vᵀ (..., K, N); a = u diag(s) vᵀ.

    K is the smaller one of M and N. The gradient (Townsend, 2016) of a function of s exists for all
    matrices. That of a function of vectors whose singular values are equal, or 0 if a is not
    square, is NaN.
    """

    def check(self, *xs: CTensor) -> None:
        self.expect_matrices(*xs)

    def compute(self, a: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        u, s, vt = jnp.linalg.svd(a, full_matrices=False)
        self.u, self.s, self.vt = u, s, vt
        return u, s, vt

    def backward(self, du: CTensor, ds: CTensor, dvt: CTensor) -> CTensor:
        u, s, vt, dv = self.u, self.s, self.vt, dvt.mT
        rows, columns = u.shape[-2], vt.shape[-1]
        size, is_used = max(rows, columns), _columns_used(du, dv)
        of_u, of_v = u.mT @ du, vt @ dv
        # Divided by s[j]² - s[i]² as by two factors: squares lose digits, and overflow.
        sums = s[..., None, :] + s[..., :, None]
        sums = jnp.where(sums > 0, sums, 1)
        inner = (of_u - of_u.mT) * (s[..., None, :] / sums)
        inner += (of_v - of_v.mT) * (s[..., :, None] / sums)
        da = (u @ _over_gaps(inner, s, is_used, size) + u * ds[..., None, :]) @ vt
        # The part outside of the space that the vectors span.
        is_zero = s <= s.max(-1, initial=0)[..., None] * (size * jnp.finfo(s.dtype).eps)
        inverse = jnp.where(is_zero, jnp.where(is_used, jnp.nan, 0), 1 / jnp.where(is_zero, 1, s))
        if rows > columns:
            da += ((du - u @ of_u) * inverse[..., None, :]) @ vt
        if columns > rows:
            da += u @ ((dv - vt.mT @ of_v) * inverse[..., None, :]).mT
        return da


def cholesky(a: Tensor) -> Tensor:
    """The lower triangular l with ``a = l lᵀ``, for symmetric and positive definite ``a``.

    The mean of ``a`` and ``aᵀ`` is factorized. If it is not positive definite, the result is NaN.

    Args:
        a: (..., N, N).

    Example:
        >>> linalg.cholesky(Tensor(data=[[4.0, 2.0], [2.0, 5.0]])).to_numpy()
        array([[2., 0.],
               [1., 2.]], dtype=float32)
    """
    return Cholesky()(a)[0]


def qr(a: Tensor) -> tuple[Tensor, Tensor]:
    """Q with orthonormal columns, and an upper triangular r, with ``a = q r``.

    Args:
        a: (..., M, N); its first K columns have to be linearly independent for a gradient.

    Returns:
        q (..., M, K) and r (..., K, N), with K the smaller one of M and N.

    Example:
        >>> q, r = linalg.qr(Tensor(data=[[3.0, 1.0], [4.0, 2.0]]))
        >>> abs(r.to_numpy()).round(4)
        array([[5. , 2.2],
               [0. , 0.4]], dtype=float32)
    """
    q, r = OrthogonalTriangular()(a)
    return q, r


def svd(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition ``a = u diag(s) vᵀ``, without the vectors that s lacks.

    Functions of ``s`` alone have a gradient for all matrices. The vectors of equal singular values
    are not unique; if a function uses one of them, the gradient is NaN: also if the value is the
    same for all choices, because the gradient does not follow from one of them. Values are equal if
    they differ by no more than the rounding error. The same holds for values that are 0, if a is
    not square.

    Args:
        a: (..., M, N).

    Returns:
        u (..., M, K), s (..., K) in descending order, and vᵀ (..., K, N), with K the smaller one
        of M and N.

    Example:
        >>> u, s, vt = linalg.svd(Tensor(data=[[0.0, 2.0], [3.0, 0.0]]))
        >>> s.to_numpy()
        array([3., 2.], dtype=float32)
    """
    u, s, vt = SingularValues()(a)
    return u, s, vt


def svdvals(a: Tensor) -> Tensor:
    """The singular values of each matrix in descending order: (..., K), see :func:`svd`.

    Example:
        >>> linalg.svdvals(Tensor(data=[[0.0, 2.0], [3.0, 0.0]])).to_numpy()
        array([3., 2.], dtype=float32)
    """
    return svd(a)[1]


def eigh(a: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues in ascending order, and the eigenvectors as columns, of symmetric matrices.

    The mean of ``a`` and ``aᵀ`` is used. Functions of the eigenvalues alone have a gradient for all
    matrices. If a function uses eigenvectors whose eigenvalues are equal, the gradient is NaN; see
    :func:`svd`.

    Args:
        a: (..., N, N).

    Returns:
        w (..., N) and v (..., N, N), with ``a v = v diag(w)``.

    Example:
        >>> w, v = linalg.eigh(Tensor(data=[[2.0, 1.0], [1.0, 2.0]]))
        >>> w.to_numpy().round(4)
        array([1., 3.], dtype=float32)
    """
    w, v = SymmetricEigen()(a)
    return w, v


def eigvalsh(a: Tensor) -> Tensor:
    """The eigenvalues of symmetric matrices in ascending order: (..., N), see :func:`eigh`.

    Example:
        >>> linalg.eigvalsh(Tensor(data=[[2.0, 1.0], [1.0, 2.0]])).to_numpy().round(4)
        array([1., 3.], dtype=float32)
    """
    return eigh(a)[0]


def matrix_norm(a: Tensor, ord: str | float = "fro") -> Tensor:
    """A norm of each matrix: (...) for ``a`` (..., M, N).

    Args:
        a: the matrices.
        ord: ``"fro"``, the root of the sum of squares; ``"nuc"``, the sum of the singular values;
            2 or -2, the largest or the smallest one; 1 or -1, the largest or the smallest sum of
            sizes in a column; ``math.inf`` or ``-math.inf``, in a row.

    Raises:
        ArgumentError: another ``ord``.

    Example:
        >>> a = Tensor(data=[[0.0, 2.0], [3.0, 0.0]])
        >>> [round(linalg.matrix_norm(a, ord).item(), 4) for ord in ("fro", "nuc", 2, 1)]
        [3.6056, 5.0, 3.0, 3.0]
    """
    if a.ndim < 2:
        raise ShapeError(f"matrix_norm: a must be (..., M, N), got shape {a.shape}")
    if ord == "fro":
        return norm(a, 2, (-2, -1))
    if ord == "nuc":
        return reduce_sum(svdvals(a), -1, keepdims=False)
    if ord not in (2, 1, math.inf, -2, -1, -math.inf):
        raise ArgumentError(
            f"matrix_norm: ord must be 'fro', 'nuc', 1, 2, infinity or one of these three "
            f"negative, got {ord!r}"
        )
    sizes = svdvals(a) if abs(ord) == 2 else norm(a, 1, -2 if abs(ord) == 1 else -1)
    reduce = reduce_max if ord > 0 else reduce_min
    return reduce(sizes, -1, keepdims=False)
