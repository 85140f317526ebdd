"""Systems of linear equations, inverses, determinants, and powers of matrices.

The matrices are along the last two axes, (..., M, N); all axes before them are a batch. Half
precision is computed in float32.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ShapeError
from singa.operation import checks
from singa.operation.linear import matmul
from singa.operation.matrices import OfMatrices

__all__ = [
    "Determinant", "Inverse", "LogDeterminant", "MatrixExponential", "MatrixPower", "PseudoInverse",
    "Solve", "SolveTriangular", "det", "expm", "inv", "lstsq", "matrix_power", "pinv", "slogdet",
    "solve", "solve_triangular",
]  # fmt: skip


class _System(OfMatrices):
    """A system of equations a y = b: (..., N, N), and b (..., N, K) or (N,)."""

    def is_of_vectors(self, a: CTensor, b: CTensor) -> bool:
        """Whether b is a vector, or a vector for each matrix."""
        return b.ndim == 1

    def check(self, *xs: CTensor) -> None:
        a, b = xs
        super().check(a)
        checks.float_input(self, "b", b)
        size = a.shape[-1]
        if self.is_of_vectors(a, b) and b.shape[-1:] == (size,):
            return
        if b.shape[-2:-1] != (size,):
            raise ShapeError(
                f"{self.name}: for a of shape {a.shape}, b must be (..., {size}, K) or ({size},), "
                f"got shape {b.shape}"
            )
        if b.ndim > 1:
            batches: list[Any] = [jax.ShapeDtypeStruct(x.shape[:-2], x.dtype) for x in (a, b)]
            checks.broadcastable(self, *batches)

    def compute(self, a: CTensor, b: CTensor) -> CTensor:
        is_of_vectors = self.is_of_vectors(a, b)
        columns = b[..., None] if is_of_vectors else b
        if a.size and b.size:
            y = self.solved(a, columns)
        else:
            batch = jnp.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
            y = jnp.zeros((*batch, *columns.shape[-2:]), b.dtype)
        return y[..., 0] if is_of_vectors else y

    def solved(self, a: CTensor, b: CTensor) -> CTensor:
        """The solution, for b (..., N, K); nothing is empty."""
        raise NotImplementedError


class Solve(_System):
    """y solves a y = b; b of the shape of the matrices' rows is a vector for each of them."""

    def is_of_vectors(self, a: CTensor, b: CTensor) -> bool:
        return b.ndim == 1 or b.shape == a.shape[:-1]

    def solved(self, a: CTensor, b: CTensor) -> CTensor:
        return jnp.linalg.solve(a, b)


class SolveTriangular(_System):
    """y solves a y = b, for a triangular; elements of its other triangle are not read."""

    def __init__(self, lower: bool, unit_diagonal: bool = False) -> None:
        super().__init__()
        self.lower, self.unit_diagonal = bool(lower), bool(unit_diagonal)

    def solved(self, a: CTensor, b: CTensor) -> CTensor:
        batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return jax.lax.linalg.triangular_solve(
            jnp.broadcast_to(a, (*batch, *a.shape[-2:])),
            jnp.broadcast_to(b, (*batch, *b.shape[-2:])),
            left_side=True,
            lower=self.lower,
            unit_diagonal=self.unit_diagonal,
        )


class Inverse(OfMatrices):
    """y is the inverse of each matrix."""

    def compute(self, a: CTensor) -> CTensor:
        self.y = jnp.linalg.inv(a)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return -(self.y.mT @ dy @ self.y.mT)


class PseudoInverse(OfMatrices):
    """y is the Moore-Penrose inverse; singular values below ``rtol`` times the largest are 0.

    The gradient is that of matrices of the same rank.
    """

    def __init__(self, rtol: float | None = None) -> None:
        super().__init__()
        self.rtol = None if rtol is None else checks.number(f"{self.name}: rtol", rtol)

    def check(self, *xs: CTensor) -> None:
        self.expect_matrices(*xs)

    def compute(self, a: CTensor) -> CTensor:
        rtol = max(a.shape[-2:]) * jnp.finfo(a.dtype).eps if self.rtol is None else self.rtol
        return jnp.linalg.pinv(a, rtol=rtol)


class Determinant(OfMatrices):
    """y is the determinant of each matrix. The gradient is the matrix of its cofactors."""

    def compute(self, a: CTensor) -> CTensor:
        if not a.shape[-1]:  # the product of nothing
            return jnp.ones(a.shape[:-2], a.dtype)
        return jnp.linalg.det(a)


class LogDeterminant(OfMatrices):
    """The sign of the determinant, and the logarithm of its size (minus infinity if it is 0)."""

    def compute(self, a: CTensor) -> tuple[CTensor, CTensor]:
        sign, log_size = jnp.linalg.slogdet(a)
        return sign, log_size


class MatrixPower(OfMatrices):
    """y is the product of n factors a; of -n inverses if n is negative."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = checks.integer(f"{self.name}: n", n)

    def compute(self, a: CTensor) -> CTensor:
        return jnp.linalg.matrix_power(a, self.n)


class MatrixExponential(OfMatrices):
    """y = I + a + a a / 2! + ..., by a Padé approximation (Al-Mohy and Higham, 2009)."""

    def compute(self, a: CTensor) -> CTensor:
        return jax.scipy.linalg.expm(a)


def solve(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of ``a x = b``.

    Args:
        a: (..., N, N), invertible.
        b: (..., N, K), whose batch broadcasts with that of ``a``; or one vector (N,); or (..., N)
            with exactly the batch of ``a``: a vector for each matrix, as in PyTorch. This has
            priority, where the shape allows for both.

    Returns:
        x, of b's shape, with the batches broadcast.

    Raises:
        ShapeError: ``a`` is not square, or ``b`` does not fit to it.
        DTypeError: an input is not of a float type.

    Example:
        >>> a = Tensor(data=[[2.0, 1.0], [0.0, 4.0]])
        >>> linalg.solve(a, Tensor(data=[4.0, 8.0])).to_numpy()
        array([1., 2.], dtype=float32)
    """
    return Solve()(a, b)[0]


def solve_triangular(a: Tensor, b: Tensor, upper: bool, unit_diagonal: bool = False) -> Tensor:
    """The solution x of ``a x = b`` for a triangular ``a``.

    Args:
        a: (..., N, N); the elements of the other triangle are not read.
        b: (..., N, K), whose batch broadcasts with that of ``a``; or one vector (N,).
        upper: whether ``a`` is upper triangular; else it is lower triangular.
        unit_diagonal: take the diagonal for ones, without reading it.

    Raises:
        ShapeError: ``a`` is not square, or ``b`` does not fit to it.
        DTypeError: an input is not of a float type.

    Example:
        >>> a = Tensor(data=[[2.0, 1.0], [0.0, 4.0]])
        >>> linalg.solve_triangular(a, Tensor(data=[4.0, 8.0]), upper=True).to_numpy()
        array([1., 2.], dtype=float32)
    """
    return SolveTriangular(not upper, unit_diagonal)(a, b)[0]


def inv(a: Tensor) -> Tensor:
    """The inverse of each matrix, (..., N, N). ``solve`` is faster and more exact than a product.

    Raises:
        ShapeError: ``a`` is not square.
        DTypeError: it is not of a float type.

    Example:
        >>> linalg.inv(Tensor(data=[[2.0, 0.0], [0.0, 4.0]])).to_numpy()
        array([[0.5 , 0.  ],
               [0.  , 0.25]], dtype=float32)
    """
    return Inverse()(a)[0]


def pinv(a: Tensor, rtol: float | None = None) -> Tensor:
    """The Moore-Penrose inverse of each matrix: (..., N, M) for ``a`` (..., M, N).

    Args:
        a: of any rank.
        rtol: singular values smaller than this times the largest one count as 0; the precision of
            the type times the larger one of M and N if not given. The gradient is that of matrices
            of the same rank.

    Example:
        >>> linalg.pinv(Tensor(data=[[2.0, 0.0], [0.0, 0.0]])).to_numpy()
        array([[0.5, 0. ],
               [0. , 0. ]], dtype=float32)
    """
    return PseudoInverse(rtol)(a)[0]


def lstsq(a: Tensor, b: Tensor, rtol: float | None = None) -> Tensor:
    """The x with the least squares ``|a x - b|²``; of all such x, the shortest: ``pinv(a) @ b``.

    Args:
        a: (..., M, N), of any rank.
        b: (..., M, K), or one vector (M,).
        rtol: see :func:`pinv`.

    Example:
        >>> a = Tensor(data=[[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> linalg.lstsq(a, Tensor(data=[1.0, 3.0, 5.0])).to_numpy().round(4)
        array([1., 2.], dtype=float32)
    """
    return matmul(pinv(a, rtol), b)


def det(a: Tensor) -> Tensor:
    """The determinant of each matrix (..., N, N): (...). The gradient exists for singular ones too.

    Example:
        >>> linalg.det(Tensor(data=[[2.0, 1.0], [0.0, 4.0]])).item()
        8.0
    """
    return Determinant()(a)[0]


def slogdet(a: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of each determinant, and the logarithm of its size, which does not overflow.

    Args:
        a: (..., N, N).

    Returns:
        The signs, (...): 1, -1, or 0 for a singular matrix; and the logarithms, (...): minus
        infinity for a singular one.

    Example:
        >>> sign, log_size = linalg.slogdet(Tensor(data=[[0.0, 1.0], [1.0, 0.0]]))
        >>> sign.item(), log_size.item()
        (-1.0, 0.0)
    """
    sign, log_size = LogDeterminant()(a)
    return sign, log_size


def matrix_power(a: Tensor, n: int) -> Tensor:
    """The product of ``n`` factors ``a``, (..., N, N); of inverses if ``n`` is negative.

    Example:
        >>> linalg.matrix_power(Tensor(data=[[1.0, 1.0], [0.0, 1.0]]), 3).to_numpy()
        array([[1., 3.],
               [0., 1.]], dtype=float32)
    """
    return MatrixPower(n)(a)[0]


def expm(a: Tensor) -> Tensor:
    """The matrix exponential ``I + a + a a / 2! + ...`` of each matrix (..., N, N).

    Example:
        >>> linalg.expm(Tensor(data=[[0.0, 1.0], [0.0, 0.0]])).to_numpy()
        array([[1., 1.],
               [0., 1.]], dtype=float32)
    """
    return MatrixExponential()(a)[0]
