from __future__ import annotations

import numpy as np

from benchmarks.cases import Case, Inputs, Parameter

SIZES = ((16, 8), (16, 32), (32, 64))  # matrices, and their rows


def matrices(symmetric: bool = False, columns: float = 1.0) -> Inputs:
    """Small batches of matrices that have an inverse, and all eigenvalues different."""

    def made(size: int) -> list[Parameter]:
        count, n = SIZES[size]
        a = np.random.default_rng(size).uniform(-0.2, 0.2, (count, n, n)) / n
        a = a + np.diag(np.linspace(0.5, 2, n))
        a = (a + a.swapaxes(1, 2)) / 2 if symmetric else a
        return [Parameter(a[..., : int(n * columns)].astype(np.float32))]

    return made


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops
    from singa import linalg

    theirs = torch.linalg
    square, symmetric, tall = matrices(), matrices(symmetric=True), matrices(columns=0.5)

    def systems(size: int) -> list[object]:
        return [*square(size), (*SIZES[size], SIZES[size][1])]

    # Of several results one that is the same whatever signs the vectors have.
    return {
        ops.Cholesky: Case(linalg.cholesky, theirs.cholesky, symmetric),
        ops.OrthogonalTriangular: Case(
            lambda a: linalg.qr(a)[1], lambda a: theirs.qr(a)[1], square
        ),
        ops.SymmetricEigen: Case(
            lambda a: linalg.eigh(a)[0], lambda a: theirs.eigh(a)[0], symmetric
        ),
        ops.SingularValues: Case(
            lambda a: linalg.svd(a)[1], lambda a: theirs.svd(a, full_matrices=False)[1], square
        ),
        ops.Solve: Case(linalg.solve, theirs.solve, systems),
        ops.SolveTriangular: Case(
            lambda a, b: linalg.solve_triangular(a, b, upper=False),
            lambda a, b: theirs.solve_triangular(a, b, upper=False),
            systems,
        ),
        ops.Inverse: Case(linalg.inv, theirs.inv, square),
        ops.PseudoInverse: Case(linalg.pinv, theirs.pinv, tall),
        ops.Determinant: Case(linalg.det, theirs.det, square),
        ops.LogDeterminant: Case(
            lambda a: linalg.slogdet(a)[1], lambda a: theirs.slogdet(a)[1], square
        ),
        ops.MatrixPower: Case(
            lambda a: linalg.matrix_power(a, 5), lambda a: theirs.matrix_power(a, 5), square
        ),
        ops.MatrixExponential: Case(linalg.expm, theirs.matrix_exp, square),
    }
