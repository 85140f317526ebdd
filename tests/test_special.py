"""Special functions beside SciPy's: all sizes, ends and tails, their gradients, and all types."""

import numpy as np
import pytest
from scipy import special as scipy
from scipy import stats

from catalogue.tensors import gradient, param
from singa import autograd, special
from singa.device import DTYPES
from singa.errors import ArgumentError, DTypeError, GradientError
from singa.tensor import Tensor

INF, NAN = np.inf, np.nan
TYPES = ["float16", "bfloat16", "float32", "float64"]

SIZES = np.array([0, 1e-20, 1e-5, 0.03, 0.4, 1, 1.3, 2.5, 4.7, 8.1, 19.9, 20.3, 60, 1e4, 1e10, INF])
SIGNED = np.concatenate([SIZES, -SIZES[1:], [NAN]])
SHARES = np.array([0, 1e-20, 1e-7, 1e-3, 0.1, 0.3, 0.5, 0.8, 0.99, 0.999, 1])
AROUND = np.concatenate([SHARES, -SHARES[1:], [1.5, NAN]])

pytestmark = pytest.mark.usefixtures("recording")


def gauss(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def of_tail(x):
    """The density over the share below x, by the scaled function: without underflow."""
    return np.sqrt(2 / np.pi) / scipy.erfcx(-x / np.sqrt(2))


def erfcx_slope(x):
    """For large x without the difference of two numbers that are nearly equal."""
    x = np.asarray(x)
    large = -1 / (np.sqrt(np.pi) * x * x) * (1 - 1.5 / x**2 + 3.75 / x**4 - 13.125 / x**6)
    return np.where(x > 60, large, 2 * x * scipy.erfcx(x) - 2 / np.sqrt(np.pi))


def i0e_slope(x):
    size = np.abs(x)
    large = -np.sqrt(0.5 / (np.pi * size)) * (0.5 / size + 3 / 16 / size**2 + 45 / 256 / size**3)
    small = scipy.i1e(size) - scipy.i0e(size)
    return np.sign(x) * np.where(size > 1e3, large, small)


def sinc_slope(x):
    with np.errstate(all="ignore"):
        near = -(np.pi**2) * x / 3 * (1 - np.pi**2 * x**2 / 10)
        return np.where(np.abs(x) < 1e-3, near, (np.cos(np.pi * x) - np.sinc(x)) / x)


# The points, SciPy's values and slopes.
FUNCTIONS = {
    "lgamma": (SIGNED[:-3], scipy.gammaln, scipy.digamma),
    "digamma": (SIZES[1:], scipy.digamma, lambda x: scipy.polygamma(1, x)),
    "erf": (SIGNED, scipy.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "erfc": (SIGNED, scipy.erfc, lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "erfcx": (np.concatenate([SIZES[:-1], -SIZES[:9]]), scipy.erfcx, erfcx_slope),
    "erfinv": (AROUND, scipy.erfinv, lambda x: np.sqrt(np.pi) / 2 * np.exp(scipy.erfinv(x) ** 2)),
    "ndtr": (SIGNED, scipy.ndtr, gauss),
    "log_ndtr": (
        np.concatenate([SIGNED[:-3], [-30, -0.999, -1, -1.001]]), scipy.log_ndtr, of_tail
    ),
    "ndtri": (SHARES, scipy.ndtri, lambda x: np.sqrt(2 * np.pi) * np.exp(scipy.ndtri(x) ** 2 / 2)),
    "i0": (SIGNED[abs(SIGNED) < 1e3], scipy.i0, scipy.i1),
    "i1": (
        SIGNED[abs(SIGNED) < 1e3], scipy.i1, lambda x: (scipy.i0(x) + scipy.iv(2, x)) / 2
    ),
    "i0e": (SIGNED[abs(SIGNED) < 1e9], scipy.i0e, i0e_slope),
    "i1e": (
        SIGNED[(abs(SIGNED) < 1e9) & (SIGNED != 0)], scipy.i1e,
        lambda x: -np.sign(x) * i0e_slope(x) - scipy.i1e(x) / x,
    ),
    "entr": (SIGNED, scipy.entr, lambda x: np.where(x < 0, NAN, -np.log(x) - 1)),
    "logit": (AROUND[:11], scipy.logit, lambda x: 1 / (x * (1 - x))),
    "expit": (SIGNED, scipy.expit, lambda x: scipy.expit(x) * scipy.expit(-x)),
    "sinc": (np.concatenate([SIGNED[abs(SIGNED) < 1e3], [0.149, 0.151]]), np.sinc, sinc_slope),
}  # fmt: skip


def nearly(found, expected, dtype, lost):
    """Equal up to so many rounding errors; below the smallest normal number all is 0."""
    info = np.finfo(dtype)
    with np.errstate(over="ignore"):
        expected = expected.astype(dtype)
    error = lost * info.eps
    np.testing.assert_allclose(found, expected, rtol=error, atol=max(error / 4, 4 * info.tiny))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_are_scipys(name, dtype):
    points, value, slope = FUNCTIONS[name]
    points = points.astype(dtype)
    x = param(points, dtype)
    y = getattr(special, name)(x)
    (dx,) = gradient(y, x)
    with np.errstate(all="ignore"):
        nearly(y.to_numpy(), value(points.astype(np.float64)), dtype, 16)
        nearly(dx, slope(points.astype(np.float64)), dtype, 64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_precision_is_computed_in_float32(name):
    points, value, _ = FUNCTIONS[name]
    for dtype in map(DTYPES.get, TYPES[:2]):
        with np.errstate(all="ignore"):
            x = points.astype(dtype)
            found = getattr(special, name)(Tensor(data=x)).to_numpy()
            assert found.dtype == dtype
            expected = value(x.astype(np.float64)).astype(np.float32).astype(dtype)
        np.testing.assert_allclose(
            found.astype(float), expected.astype(float), rtol=2**-7, atol=1e-6
        )


def test_lgamma_has_all_its_digits_near_its_roots():
    for dtype in (np.float32, np.float64):
        x = np.array([0.51, 0.999, 1, 1.001, 1.499, 1.501, 1.999, 2, 2.001, 2.49], dtype)
        np.testing.assert_allclose(
            special.lgamma(param(x, dtype)), scipy.gammaln(x.astype(np.float64)),
            rtol=8 * np.finfo(dtype).eps, atol=4e-16,  # the error of SciPy
        )  # fmt: skip


def test_tails_have_relative_precision():
    """What is far below 1 has all of its digits, and the gradients too."""
    x = param([-10.0, -30.0, -1e3])
    y = special.log_ndtr(x)
    np.testing.assert_allclose(y, scipy.log_ndtr(np.array([-10.0, -30, -1e3])), rtol=1e-6)
    np.testing.assert_allclose(gradient(y, x)[0], of_tail(np.array([-10.0, -30, -1e3])), rtol=1e-6)
    x = param([3.0, 5.0, 8.0])
    np.testing.assert_allclose(
        special.log_ndtr(x), scipy.log_ndtr(np.array([3.0, 5.0, 8.0])), rtol=2e-5
    )
    x = param([10.0, 1e3, 1e6])
    for name in ("erfcx", "i0e", "i1e"):
        y = getattr(special, name)(x)
        _, value, slope = FUNCTIONS[name]
        points = np.array([10.0, 1e3, 1e6])
        np.testing.assert_allclose(y, value(points), rtol=2e-6)
        np.testing.assert_allclose(gradient(y, x)[0], slope(points), rtol=2e-5)


def test_products_with_logarithms_are_nothing_where_the_factor_is_0():
    a = param([0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 2.0])
    b = param([0.0, 2.0, -1.0, NAN, 0.0, 0.0, 3.0])
    y = special.xlogy(a, b)
    np.testing.assert_allclose(y, [0, 0, 0, NAN, -INF, INF, 2 * np.log(3)], rtol=1e-6)
    da, db = gradient(y, a, b)
    np.testing.assert_allclose(da, [0, np.log(2), 0, NAN, -INF, -INF, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(db, [0, 0, 0, NAN, INF, -INF, 2 / 3], rtol=1e-6)
    b1 = param(b.to_numpy() - 1)
    y1 = special.xlog1py(a, b1)
    np.testing.assert_allclose(y1, y, rtol=1e-6)
    for one, other in zip(gradient(y1, a, b1), (da, db), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    # An infinite logarithm that does not count does not spoil the gradient.
    p = param([0.0, 1.0])
    found = autograd.gradients(special.xlogy(p, p), np.array([1, 0], np.float32))[p]
    np.testing.assert_array_equal(found, [0, 0])


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 3e-5), (np.float64, 1e-11)])
def test_functions_of_several_numbers_are_scipys(dtype, rtol):
    rng = np.random.default_rng(3)
    a, b = (np.exp(rng.uniform(-4, 4, 40)).astype(dtype) for _ in range(2))
    x = rng.gamma(a.astype(float)).astype(dtype) + dtype(1e-3)
    u = rng.uniform(0.01, 0.99, 40).astype(dtype)
    wide = [each.astype(np.float64) for each in (a, b, x, u)]
    for found, expected in (
        (special.gammainc(param(a, dtype), param(x, dtype)), scipy.gammainc(wide[0], wide[2])),
        (special.gammaincc(param(a, dtype), param(x, dtype)), scipy.gammaincc(wide[0], wide[2])),
        (special.betainc(Tensor(data=a), Tensor(data=b), param(u, dtype)),
         scipy.betainc(wide[0], wide[1], wide[3])),
        (special.zeta(Tensor(data=a + 1), param(b, dtype)), scipy.zeta(a + 1, b)),
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol / 10)
    far_a = np.array([1e-30, 1e10, 1e30, 1, 1e6, 50, 1e3, 7.9, -1.5, 0], dtype)
    far_b = np.array([1, 1e-5, 2, 1e-3, 1e6, 3, 0.1, 8.1, 0.7, 2], dtype)
    expected = scipy.betaln(far_a.astype(np.float64), far_b.astype(np.float64))
    expected[1] = 11.512689434386527  # 1e10 and 1e-5, of 40 digits; SciPy's has 13
    np.testing.assert_allclose(
        special.betaln(param(far_a, dtype), param(far_b, dtype)), expected, rtol=20 * rtol / 100
    )


@pytest.mark.parametrize("a", [150.0, 250.0, 1e3, 1e5])
def test_incomplete_gamma_functions_of_large_shapes_have_their_digits_in_float32(a):
    """And so have their derivatives; XLA's are wrong by a tenth for 1e5."""
    x = (a + np.array([-7, -3, -1, -0.1, 0, 0.1, 1, 3, 9]) * np.sqrt(a)).astype(np.float32)
    x = np.concatenate([x, np.float32([0, 0.5, 4, INF]) * np.float32(a)])
    shapes, points = param(np.full(len(x), a)), param(x)
    wide = x.astype(np.float64)
    exact = scipy.gammainc(a, wide), scipy.gammaincc(a, wide)
    h = 1e-4 * np.sqrt(a)
    slope = scipy.gammainc(a + h, wide) - scipy.gammainc(a - h, wide)
    slope /= 2 * h
    for function, sign, expected in (
        (special.gammainc, 1, exact[0]), (special.gammaincc, -1, exact[1])
    ):  # fmt: skip
        y = function(shapes, points)
        da, dx = gradient(y, shapes, points)
        np.testing.assert_allclose(y, expected, rtol=2e-4 if a < 200 else 5e-5, atol=1e-30)
        with np.errstate(invalid="ignore"):
            density = np.where(np.isinf(wide), 0, stats.gamma.pdf(wide, a))
        np.testing.assert_allclose(dx, sign * density, rtol=2e-4, atol=1e-30)
        np.testing.assert_allclose(da, sign * slope, rtol=3e-4, atol=1e-7 / np.sqrt(a))


def test_ends_of_the_incomplete_functions():
    x = param([0.0, 0.0, 0.0, INF, -1.0])
    a = param([1.0, 2.0, 0.5, 1.0, 1.0])
    y = special.gammainc(a, x)
    np.testing.assert_array_equal(y, [0, 0, 0, 1, NAN])
    np.testing.assert_allclose(gradient(y, x)[0][:4], [1, 0, INF, 0], rtol=1e-6)
    u = param([0.0, 1.0, 0.0, 1.0, 1.5])
    y = special.betainc(Tensor(data=[1.0, 2, 1, 2, 2]), Tensor(data=[1.0, 1, 2, 3, 2]), u)
    np.testing.assert_array_equal(y, [0, 1, 0, 1, NAN])
    np.testing.assert_allclose(gradient(y, u)[0][:4], [1, 2, 2, 0], rtol=1e-6)


def test_polygamma_of_negative_numbers_and_of_infinity():
    x = np.array([0.5, -0.5, -1.3, 7.0, INF])
    y = param(x, np.float64)
    for order in (0, 1, 2, 4):
        found = special.polygamma(order, y)
        expected = scipy.polygamma(order, x) if order else scipy.digamma(x)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    zero = special.digamma(param([0.0, -0.0, -1.0]))
    np.testing.assert_array_equal(zero, [-INF, INF, NAN])


def test_where_no_derivative_is_known_it_is_refused():
    a, x = param([2.0]), param([0.5])
    for call, name in (
        (lambda: special.betainc(a, 1.0, x), "in a is"),
        (lambda: special.betainc(1.0, a * 2, x), "in b is"),
        (lambda: special.zeta(a, x), "in s is"),
    ):
        with pytest.raises(GradientError, match=name):
            call()
    constant = special.betainc(a.detach(), 1.0, x)
    np.testing.assert_allclose(gradient(constant, x)[0], [1.0], rtol=1e-6)
    with autograd.no_grad():
        np.testing.assert_allclose(special.betainc(a, 1.0, x), [0.25], rtol=1e-6)
    # By the operation itself: NaN, and no zero.
    one = Tensor(data=[1.0])
    assert np.isnan(gradient(autograd.BetaInc()(a, one, x)[0], a)[0]).all()
    assert np.isnan(gradient(autograd.Zeta()(a, x)[0], a)[0]).all()


def test_second_derivatives_exist_but_for_those_in_the_shape():
    a, x = param([2.0, 300.0]), param([1.5, 290.0])
    y = special.gammainc(a, x)
    da, dx = autograd.grad(y, [a, x], np.ones(2, np.float32), create_graph=True)
    density = stats.gamma.pdf([1.5, 290.0], [2.0, 300.0])
    log = np.log([1.5, 290.0]) - scipy.digamma([2.0, 300.0])
    by_x = density * (np.array([1.0, 299.0]) / [1.5, 290.0] - 1)
    np.testing.assert_allclose(gradient(dx, x)[0], by_x, rtol=1e-3)
    np.testing.assert_allclose(gradient(da, x)[0], density * log, rtol=1e-3)
    np.testing.assert_allclose(gradient(dx, a)[0], density * log, rtol=1e-3)
    assert np.isnan(gradient(da, a)[0][0])


def test_numbers_and_integers_are_taken_and_others_refused():
    assert special.lgamma(Tensor(data=[5])).item() == pytest.approx(np.log(24))
    assert special.gammainc(2.0, 1.0).item() == pytest.approx(scipy.gammainc(2, 1))
    assert special.xlogy(2, Tensor(data=[3], dtype="int32")).dtype == np.float32
    with pytest.raises(DTypeError, match="float"):
        special.erfinv(Tensor(data=[True]))
    with pytest.raises(ArgumentError, match="order"):
        special.polygamma(-1, Tensor((2,)))


def test_bessel_functions_are_infinite_at_infinity():
    x = Tensor(data=[INF, -INF], stores_grad=True)
    for function, values, slopes in (
        (special.i0, [INF, INF], [INF, -INF]),
        (special.i1, [INF, -INF], [INF, INF]),
    ):
        y = function(x)
        assert y.tolist() == values
        assert autograd.gradients(y.sum())[x].tolist() == slopes
