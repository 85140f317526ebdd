"""Functions of matrices: shapes, conventions where a factorization has no derivative, errors."""

import math

import numpy as np
import pytest

from singa import autograd, linalg
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

RANDOM = np.random.default_rng(5)


def parameter(values):
    return Tensor(data=np.asarray(values, np.float64), stores_grad=True)


def gradient(function, values):
    """The gradient of a scalar function of one matrix."""
    autograd.training = True
    try:
        a = parameter(values)
        return autograd.gradients(function(a))[a].to_numpy()
    finally:
        autograd.training = False


def rotation(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 3)])
def test_factorizations_of_all_shapes_have_the_slopes_of_their_values(shape):
    weights = [RANDOM.standard_normal((8, 8)) for _ in range(3)]

    def mixed(ys):
        """A function of all elements: its factors tell the elements apart."""
        total = 0.0
        for y, w in zip(ys, weights, strict=False):
            w = w[: y.shape[-2], : y.shape[-1]] if y.ndim > 1 else w[0, : y.shape[-1]]
            total = total + (y * y * Tensor(data=w)).sum()
        return total

    a = RANDOM.standard_normal(shape)
    for function in (linalg.svd, linalg.qr):
        autograd.check_gradients(lambda x, f=function: mixed(f(x)), [parameter(a)])
    if shape[-1] == shape[-2]:
        autograd.check_gradients(lambda x: mixed(linalg.eigh(x)), [parameter(a)])


def nearly(a):
    """The same matrix in other axes: its values are equal but for rounding."""
    turn = np.eye(3)
    turn[:2, :2] = rotation(0.3)
    return turn @ a @ turn.T


@pytest.mark.parametrize("change", [np.array, nearly])
@pytest.mark.parametrize("values", [[1.0, 1, 1], [0.0, 0, 0], [2.0, 2, 1], [3.0, 1, 0]])
def test_functions_of_the_values_alone_have_gradients_for_all_matrices(values, change):
    a = change(np.diag(values))
    for function in (linalg.svdvals, linalg.eigvalsh):
        slope = gradient(lambda x, f=function: (f(x) ** 2).sum(), a)
        np.testing.assert_allclose(slope, 2 * a, atol=1e-12)


def by_eigh(x):
    """The matrix, put together again."""
    w, v = linalg.eigh(x)
    return (v * w) @ v.transpose((1, 0))


def by_svd(x):
    u, s, vt = linalg.svd(x)
    return (u * s) @ vt


@pytest.mark.parametrize("change", [np.array, nearly])
@pytest.mark.parametrize("function", [by_eigh, by_svd])
def test_functions_of_vectors_of_equal_values_have_nan(function, change):
    weights = np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T

    def weighted(x):
        return (function(x) * Tensor(data=weights)).sum()

    distinct = gradient(weighted, change(np.diag([3.0, 2.0, 1.0])))
    np.testing.assert_allclose(distinct, weights, atol=1e-10)
    assert np.isnan(gradient(weighted, change(np.diag([2.0, 2.0, 1.0])))).any()


def test_vectors_of_a_single_value_have_a_gradient_beside_equal_ones():
    def last(x):
        return (linalg.eigh(x)[1][:, 2] ** 2 * Tensor(data=[1.0, 2.0, 3.0])).sum()

    found = gradient(last, nearly(np.diag([1.0, 1.0, 2.0])))
    np.testing.assert_allclose(found, [[0, 0, 0], [0, 0, 0], [0, 0, 0]], atol=1e-12)
    turned = nearly(np.diag([2.0, 1.0, 1.0]))[::-1, ::-1]
    slope, h, e = gradient(last, turned), 1e-6, np.ones((3, 3))
    change = last(parameter(turned + h * e)).item() - last(parameter(turned - h * e)).item()
    assert slope.sum() == pytest.approx(change / (2 * h), abs=1e-6)


def test_vectors_of_zero_have_nan_if_the_matrix_is_not_square():
    tall = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert np.isnan(gradient(lambda x: (linalg.svd(x)[0][:, 1] ** 3).sum(), tall)).any()
    assert np.isfinite(gradient(lambda x: (linalg.svd(x)[0][:, 0] ** 3).sum(), tall)).all()


def test_the_nuclear_norm_of_an_orthogonal_matrix_has_this_matrix_as_gradient():
    q = rotation(0.7)
    np.testing.assert_allclose(gradient(lambda a: linalg.matrix_norm(a, "nuc"), q), q, atol=1e-12)


def test_a_singular_matrix_has_cofactors_and_no_logarithm():
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(gradient(linalg.det, a), [[4, -2], [-2, 1]], atol=1e-12)
    sign, log_size = linalg.slogdet(parameter(np.zeros((2, 2))))
    assert (sign.item(), log_size.item()) == (0, -math.inf)


def test_least_squares_of_any_rank():
    for rows, columns, rank in ((4, 2, 2), (4, 3, 1), (2, 4, 2)):
        a = RANDOM.standard_normal((rows, rank)) @ RANDOM.standard_normal((rank, columns))
        b = RANDOM.standard_normal((rows, 2))
        found = linalg.lstsq(parameter(a), parameter(b)).to_numpy()
        np.testing.assert_allclose(found, np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-10)
    a, b = RANDOM.standard_normal((4, 2)), RANDOM.standard_normal(4)
    autograd.check_gradients(linalg.lstsq, [parameter(a), parameter(b)])


@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf])
def test_norms_are_numpys(ord):
    a = RANDOM.standard_normal((2, 3, 4))
    expected = [np.linalg.norm(each, ord) for each in a]
    np.testing.assert_allclose(linalg.matrix_norm(parameter(a), ord).to_numpy(), expected)


def test_batches_broadcast_and_the_other_triangle_is_not_read():
    a, b = RANDOM.standard_normal((2, 1, 3, 3)), RANDOM.standard_normal((4, 3, 2))
    y = linalg.solve(parameter(a), parameter(b)).to_numpy()
    np.testing.assert_allclose(a @ y, np.broadcast_to(b, y.shape), atol=1e-10)
    garbled = np.tril(a) + np.triu(np.full((3, 3), math.nan), 1)
    y = linalg.solve_triangular(parameter(garbled), parameter(b), upper=False).to_numpy()
    np.testing.assert_allclose(np.tril(a) @ y, np.broadcast_to(b, y.shape), atol=1e-10)
    ones = np.tril(a, -1) + np.eye(3)
    y = linalg.solve_triangular(parameter(a), parameter(b), False, unit_diagonal=True).to_numpy()
    np.testing.assert_allclose(ones @ y, np.broadcast_to(b, y.shape), atol=1e-10)


def test_powers():
    a = RANDOM.standard_normal((3, 3))
    for n in (0, 1, 3, -2):
        np.testing.assert_allclose(
            linalg.matrix_power(parameter(a), n).to_numpy(), np.linalg.matrix_power(a, n)
        )


def test_what_has_no_factor_is_nan_and_detect_anomaly_says_where():
    a = Tensor(data=[[1.0, 2.0], [2.0, 1.0]], stores_grad=True)
    assert np.isnan(linalg.cholesky(a).to_numpy()).any()
    with autograd.detect_anomaly(), pytest.raises(ArithmeticError, match="Cholesky"):
        linalg.cholesky(a)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: linalg.det(Tensor((2, 3))), ShapeError, "Determinant: a must be square"),
        (lambda: linalg.svd(Tensor((3,))), ShapeError, r"a must be \(..., M, N\), got shape"),
        (lambda: linalg.solve(Tensor((2, 2)), Tensor((3,))), ShapeError, r"K\) or \(2,\)"),
        (lambda: linalg.solve(Tensor((2, 2)), Tensor((3, 2))), ShapeError, r"K\) or \(2,\)"),
        (lambda: linalg.solve(Tensor((4, 2, 2)), Tensor((3, 2, 1))), ShapeError, "broadcast"),
        (lambda: linalg.inv(Tensor(data=np.eye(2, dtype=np.int32))), DTypeError, "float"),
        (lambda: linalg.matrix_norm(Tensor((2, 2)), 3), ArgumentError, "ord must be"),
        (lambda: linalg.matrix_norm(Tensor((2,))), ShapeError, "matrix_norm"),
        (lambda: linalg.matrix_power(Tensor((2, 2)), 0.5), ArgumentError, "integer"),
    ],
)
def test_wrong_inputs_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_systems_of_nothing_have_solutions_of_nothing():
    for solve in (linalg.solve, lambda a, b: linalg.solve_triangular(a, b, upper=True)):
        assert solve(Tensor((0, 0)), Tensor((0, 2))).shape == (0, 2)
        assert solve(Tensor((2, 2)), Tensor((2, 0))).shape == (2, 0)
        assert solve(Tensor((3, 0, 0)), Tensor((0,))).shape == (3, 0)
    assert gradient(linalg.det, np.zeros((0, 0))).shape == (0, 0)
    assert linalg.det(Tensor((0, 0))).item() == 1
