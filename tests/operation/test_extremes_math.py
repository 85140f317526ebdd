"""Values at the edge for elementwise functions, reductions, orders and losses."""

import jax
import numpy as np
import pytest
from scipy import special

from catalogue.tensors import gradient, param
from singa import autograd
from singa.errors import ArgumentError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

# What depends on how XLA computes, not on which elements go where.
as_for_users = pytest.mark.usefixtures("optimized_once")

INF, NAN = np.inf, np.nan
EDGES = np.array([0.0, -0.0, 1e-37, -1e-37, 1.0, -1.0, 1e38, -1e38, INF, -INF, NAN], np.float32)

pytestmark = pytest.mark.usefixtures("recording")


def half_away(x):
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


# What NumPy or SciPy gives for all of EDGES, in float64.
AT_EDGES = {
    "cosh": np.cosh, "acos": np.arccos, "acosh": np.arccosh, "sinh": np.sinh, "asin": np.arcsin,
    "asinh": np.arcsinh, "atan": np.arctan, "atanh": np.arctanh, "erf": special.erf,
    "sign": np.sign, "reciprocal": np.reciprocal, "log1p": np.log1p, "expm1": np.expm1,
    "ceil": np.ceil, "floor": np.floor, "round": half_away, "rounde": np.rint,
    "exp2": np.exp2, "log2": np.log2, "log10": np.log10, "trunc": np.trunc,
    "rsqrt": lambda x: 1 / np.sqrt(x), "nan_to_num": lambda x: np.nan_to_num(x.astype(np.float32)),
    "square": np.square, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "softplus": lambda x: np.logaddexp(x, 0), "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "leakyrelu": lambda x: np.where(x > 0, x, 0.01 * x),
    "hardsigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
}  # fmt: skip


@as_for_users
def test_values_at_the_edges_are_numpys():
    def step(x):  # one program is compiled much sooner than one for each function
        return [getattr(autograd, name)(x) for name in AT_EDGES]

    found = Steps()(step, (param(EDGES),), {}, False)
    for (name, function), y in zip(AT_EDGES.items(), found, strict=True):
        with np.errstate(all="ignore"):
            expected = function(EDGES.astype(np.float64))
            if expected.dtype != bool:
                expected = expected.astype(np.float32)
        # XLA on CPUs takes what is below the smallest normal number for 0.
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=2e-38, err_msg=name)


SMOOTH = [
    "relu", "sigmoid", "tanh", "softplus", "softsign", "log_sigmoid", "relu6", "hardswish",
    "hardsigmoid", "silu", "mish", "elu", "selu", "leakyrelu", "gelu", "erf", "atan", "asinh",
    "gelu by tanh",
]  # fmt: skip


@as_for_users
@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 1e38), (np.float16, 6e4)])
def test_activations_and_their_slopes_are_finite_for_all_finite_numbers(dtype, large):
    def step(x):
        found = []
        for name in SMOOTH:
            options = {"approximate": "tanh"} if "by tanh" in name else {}
            y = getattr(autograd, name.split()[0])(x, **options)
            found.append((y, autograd.grad(y.sum(), x)))
        return found

    x = param([0, large, -large, 100, -100, 10, -10], dtype)
    for name, (y, dx) in zip(SMOOTH, Steps()(step, (x,), {}, False), strict=True):
        assert np.isfinite(y.to_numpy()).all(), name
        assert np.isfinite(dx.to_numpy()).all(), name
        assert (np.abs(dx.to_numpy()) < 1.8).all(), name


@as_for_users
def test_softmaxes_bear_minus_infinity():
    x = param([[0.0, -INF], [1e38, -1e38]])
    y = autograd.log_softmax(x)
    np.testing.assert_allclose(y, [[0, -INF], [0, -2e38]])
    found = autograd.gradients(y, np.array([[1, 0], [1, 0]], np.float32))[x]
    np.testing.assert_array_equal(found, np.zeros((2, 2)))


@as_for_users
def test_halves_are_rounded_away_from_zero_or_to_even():
    x = param([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 8388609.0])
    np.testing.assert_array_equal(autograd.round(x), [1, 2, 3, -1, -2, 0, 8388609])
    np.testing.assert_array_equal(autograd.rounde(x), [0, 2, 2, 0, -2, 0, 8388609])
    np.testing.assert_array_equal(gradient(autograd.round(x), x)[0], np.zeros(7))


def test_clip_has_bounds_on_either_side_and_lets_gradients_through_at_them():
    x = param([-2.0, -1.0, 0.0, 1.0, 2.0, NAN, INF])
    np.testing.assert_array_equal(autograd.clip(x, -1, 1), [-1, -1, 0, 1, 1, NAN, 1])
    np.testing.assert_array_equal(autograd.clip(x, min=0), [0, 0, 0, 1, 2, NAN, INF])
    np.testing.assert_array_equal(autograd.clip(x, max=0), [-2, -1, 0, 0, 0, NAN, 0])
    np.testing.assert_array_equal(autograd.clip(x), x)
    np.testing.assert_array_equal(autograd.clip(param([0.0]), 2, 1), [1])
    np.testing.assert_array_equal(gradient(autograd.clip(x, -1, 1), x)[0], [0, 1, 1, 1, 0, 0, 0])


def test_ties_share_the_gradient():
    a, b, c = param([1.0, 2.0]), param([1.0, 1.0]), param([1.0, 2.0])
    for function, shares in (
        (autograd.max, ([1 / 3, 0.5], [1 / 3, 0], [1 / 3, 0.5])),
        (autograd.min, ([1 / 3, 0], [1 / 3, 1], [1 / 3, 0])),
    ):
        np.testing.assert_allclose(gradient(function(a, b, c), a, b, c), shares)
    x = param([[2.0, 2.0, 1.0], [-INF, -INF, -INF]])
    np.testing.assert_allclose(
        gradient(autograd.reduce_max(x, 1), x)[0], [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    )
    x = param([[-2.0, 2.0, 1.0]])
    np.testing.assert_array_equal(gradient(autograd.norm(x, INF), x)[0], [[-0.5, 0.5, 0]])


@as_for_users
def test_min_and_max_pass_nan_on():
    a, b = param([NAN, 1.0]), param([0.0, NAN])
    assert np.isnan(autograd.max(a, b).to_numpy()).all()
    assert np.isnan(autograd.minimum(a, 0.0).to_numpy()[0])
    assert np.isnan(autograd.reduce_min(a).item())


@as_for_users
def test_products_bear_zeros():
    x = param([[2.0, 0.0, 5.0], [0.0, 0.0, 5.0]])
    dx = gradient(autograd.reduce_prod(x, 1), x)[0]
    np.testing.assert_array_equal(dx, [[0, 10, 0], [0, 0, 0]])


@as_for_users
def test_norms_and_deviations_have_gradient_zero_at_zero():
    x = param(np.zeros((2, 3)))
    for y in (*(autograd.norm(x, p, 1) for p in (1, 2, INF)), autograd.std(x, 1)):
        np.testing.assert_array_equal(y, [0, 0])
        np.testing.assert_array_equal(gradient(y, x)[0], np.zeros((2, 3)))
    one = param([[3.0]])
    assert autograd.var(one).item() == 0
    assert np.isnan(autograd.var(one, ddof=1).item())
    assert autograd.norm(param([3e-30, 4e-30], np.float64)).item() == pytest.approx(5e-30)


@as_for_users
def test_logsumexp_bears_large_and_impossible_values():
    x = param([[1e38, 1e38], [-INF, 0.0], [-INF, -INF]])
    y = autograd.logsumexp(x, 1)
    np.testing.assert_allclose(y, [1e38, 0, -INF])
    np.testing.assert_allclose(gradient(y, x)[0], [[1, 1], [0, 1], [0, 0]])


def test_running_sums_in_all_four_ways():
    x = param([1.0, 2.0, 3.0])
    for exclusive, reverse, sums, counts in (
        (False, False, [1, 3, 6], [3, 2, 1]), (True, False, [0, 1, 3], [2, 1, 0]),
        (False, True, [6, 5, 3], [1, 2, 3]), (True, True, [5, 3, 0], [0, 1, 2]),
    ):  # fmt: skip
        y = autograd.cumsum(x, 0, exclusive, reverse)
        np.testing.assert_array_equal(y, sums)
        np.testing.assert_array_equal(gradient(y, x)[0], counts)
    y = autograd.cumsum(param([1.0, INF, 1.0]), exclusive=True)
    np.testing.assert_array_equal(y, [0, 1, INF])


def test_the_gradient_of_a_running_extreme_is_its_indexs():
    x = param([2.0, 3.0, 3.0, 1.0, NAN, 5.0])
    for function, extreme, index, dx in (
        (autograd.cummax, [2, 3, 3, 3, NAN, NAN], [0, 1, 2, 2, 4, 4], [1, 1, 2, 0, 2, 0]),
        (autograd.cummin, [2, 2, 2, 1, NAN, NAN], [0, 0, 0, 3, 4, 4], [3, 0, 0, 1, 2, 0]),
    ):
        y, places = function(x)
        np.testing.assert_array_equal(y, extreme)
        np.testing.assert_array_equal(places, index)
        np.testing.assert_array_equal(gradient(y, x)[0], dx)


@as_for_users
@pytest.mark.parametrize(
    "values", [[-INF, -INF, 0, 3], [-1, -INF, INF, 3, INF], [1e3, 0, -1e3, 2e3]]
)
def test_running_logsumexps_are_those_of_the_beginnings(values):
    x, expected, slopes = param(values), [], np.zeros(len(values))
    y = autograd.logcumsumexp(x)
    for end in range(1, len(values) + 1):
        part = param(values[:end])
        total = autograd.logsumexp(part)
        expected.append(total.item())
        slopes[:end] += gradient(total, part)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient(y, x)[0], slopes, rtol=1e-6)


def test_quantiles_bear_infinities_and_pass_nan_on():
    x = np.array([3.0, 1.0, INF, 2.0], np.float32)
    for q in (0, 0.3, 0.5, 1):
        assert autograd.quantile(Tensor(data=x), q).item() == pytest.approx(np.quantile(x, q))
    assert np.isnan(autograd.median(Tensor(data=[1.0, NAN, 2.0])).item())
    for way in ("lower", "higher", "midpoint", "nearest"):
        y = autograd.quantile(Tensor(data=x[:2]), (0.2, 0.6), interpolation=way)
        np.testing.assert_allclose(y, np.quantile(x[:2], (0.2, 0.6), method=way))


def test_a_histogram_is_numpys():
    x = np.array([1, 2, 3, NAN, 9, 0, 1.5, 2.5], np.float32)
    for values, bins, where in ((x, 4, (1, 3)), (x[:3], 3, None), (x[:1], 2, None)):
        counts, edges = autograd.histogram(Tensor(data=values), bins, where)
        expected = np.histogram(values, bins, where)
        np.testing.assert_array_equal(counts, expected[0])
        np.testing.assert_allclose(edges, expected[1], rtol=1e-6)


@as_for_users
@pytest.mark.parametrize("p", [0, 0.5, 3, -1, -2.5, -INF])
def test_norms_for_any_power_are_numpys(p):
    for values in ([3.0, -4, 1], [0, 0, 0], [0, 2, -1], [INF, 1, 2], [INF, -INF, 1]):
        x = param(values)
        with np.errstate(all="ignore"):
            expected = np.linalg.norm(np.array(values), p)
        y = autograd.norm(x, p)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert np.isfinite(gradient(y, x)[0]).all()
    x = param([1e38, 1e38, 0] if p > 0 else [1e-37, 1e-37, 1])
    assert 0 < autograd.norm(x, max(p, 1.5) if p > 0 else p).item() < 3e38


def test_indices_of_extremes_and_orders():
    x = Tensor(data=np.array([[3, 1, 3], [2, 2, 2]], np.int32))
    np.testing.assert_array_equal(autograd.argmax(x), [0, 0])
    np.testing.assert_array_equal(autograd.argmax(x, select_last_index=True), [2, 2])
    np.testing.assert_array_equal(autograd.argmin(x, 0, keepdims=True), [[1, 0, 1]])
    np.testing.assert_array_equal(autograd.ArgMax()(x)[0], [[0, 1, 0]])
    np.testing.assert_array_equal(autograd.argsort(x), [[1, 0, 2], [0, 1, 2]])
    np.testing.assert_array_equal(autograd.argsort(x, descending=True), [[0, 2, 1], [0, 1, 2]])
    assert str(autograd.argsort(x).dtype) == str(autograd.argmax(x).dtype) == "int32"
    values, indices = autograd.topk(x, 2)
    np.testing.assert_array_equal(values, [[3, 3], [2, 2]])
    np.testing.assert_array_equal(indices, [[0, 2], [0, 1]])
    values, indices = autograd.topk(x, 1, 0, largest=False)
    np.testing.assert_array_equal(values, [[2, 1, 2]])
    np.testing.assert_array_equal(indices, [[1, 0, 1]])
    y = param([NAN, INF, -INF, 0.0])
    np.testing.assert_array_equal(autograd.sort(y), [-INF, 0, INF, NAN])
    assert autograd.argmax(y).item() == 0


def test_empty_and_one_element_axes():
    x = param(np.zeros((0, 3)))
    for function in (autograd.cos, autograd.gelu, autograd.log_softmax, autograd.sort):
        assert function(x).shape == (0, 3)
    assert autograd.cumsum(x, exclusive=True).shape == (0, 3)
    assert autograd.reduce_prod(x).item() == 1
    assert autograd.norm(x).item() == 0
    assert autograd.norm(x, INF).item() == 0
    assert autograd.reduce_max(x, 1).shape == (0, 1)
    assert autograd.topk(x, 2)[0].shape == (0, 2)
    assert autograd.argmax(x).shape == (0,)
    for function in (autograd.reduce_max, autograd.reduce_min, autograd.logsumexp):
        with pytest.raises(ShapeError, match="there is nothing along axes"):
            function(x, 0)
    with pytest.raises(ShapeError, match="there is nothing along axis 0"):
        autograd.argmin(x, 0)
    one = param([[7.0]])
    for y in (
        autograd.sum(one), autograd.max(one), autograd.reduce_max(one), autograd.cumsum(one),
        autograd.sort(one), autograd.topk(one, 1)[0], autograd.reduce_prod(one),
    ):  # fmt: skip
        assert (y.item(), gradient(y, one)[0]) == (7, 1)


@as_for_users
def test_probability_losses_are_finite_at_both_ends():
    x = param([[0.0, 1.0], [1.0, 0.0]])
    t = Tensor(data=[0, 0])
    loss = autograd.cross_entropy(x, t)
    assert loss.item() == 50
    (dx,) = gradient(loss, x)
    assert np.isfinite(dx).all()
    assert dx[0, 0] < -1e6
    np.testing.assert_array_equal(dx[1], [-0.5, 0])
    logits = param([[1e38, -1e38, 0.0]])
    loss = autograd.binary_cross_entropy_with_logits(logits, Tensor(data=[[1.0, 0.0, 0.5]]))
    assert loss.item() == pytest.approx(np.log(2))
    np.testing.assert_array_equal(gradient(loss, logits)[0], [[0, 0, 0]])
    p = param([[0.0, 1.0]])
    loss = autograd.kl_div(param([[-INF, 0.0]]), p)
    assert loss.item() == 0
    assert np.isfinite(gradient(loss, p)[0]).all()


@as_for_users
def test_losses_of_numbers_bear_large_errors():
    x, t = param([1e38, -1e38]), Tensor(data=np.zeros(2, np.float32))
    for loss in (autograd.huber_loss(x, t), autograd.l1_loss(x, t), autograd.smooth_l1_loss(x, t)):
        assert loss.item() == pytest.approx(1e38)
        np.testing.assert_array_equal(gradient(loss, x)[0], [0.5, -0.5])


@as_for_users
def test_cosines_bear_zero_tiny_and_huge_vectors():
    a = param([[0.0, 0.0], [1e-37, 0.0], [3e37, 4e37]])
    b = param([[1.0, 0.0], [1.0, 0.0], [1e38, 0.0]])
    y = autograd.cossim(a, b)
    np.testing.assert_allclose(y, [0, 1, 0.6], rtol=1e-6)
    da, db = gradient(y, a, b)
    assert np.isfinite(da).all()
    assert np.isfinite(db).all()
    np.testing.assert_array_equal(da[0], [0, 0])


@as_for_users
def test_pairs_at_distance_zero_have_finite_gradients():
    a, t = param(np.ones((2, 3))), Tensor(data=[1, 0])
    same = Tensor(data=np.ones((2, 3), np.float32))
    for loss, value in (
        (autograd.contrastive_loss(a, same, t), 0.25), (autograd.triplet_loss(a, same, same), 1.0),
    ):  # fmt: skip
        assert loss.item() == value
        np.testing.assert_array_equal(gradient(loss, a)[0], np.zeros((2, 3)))


def ctc(log_p, labels, frames, counts):
    arrays = (np.array(x, np.int32) for x in (labels, frames, counts))
    return autograd.ctc_loss(log_p, *(Tensor(data=x) for x in arrays))


def test_ctc_of_no_labels_and_of_too_few_frames():
    rng = np.random.default_rng(0)
    x = param(jax.nn.log_softmax(rng.standard_normal((3, 1, 3))))
    nothing = ctc(x, np.zeros((1, 0)), [3], [0])
    assert nothing.item() == pytest.approx(-x.to_numpy()[:, 0, 0].sum(), rel=1e-5)
    impossible = ctc(x, [[1, 1]], [2], [2])  # a blank would have to be between them
    assert impossible.item() == INF
    np.testing.assert_array_equal(gradient(impossible, x)[0], np.zeros((3, 1, 3)))
    certain = param(np.where(np.eye(3)[[1, 0, 2]] > 0, 0, -INF)[:, None])
    loss = ctc(certain, [[1, 2]], [3], [2])
    assert loss.item() == 0
    assert np.isfinite(gradient(loss, certain)[0]).all()


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_clip_by_norm_scales_what_is_too_long_and_leaves_the_rest(axis):
    x = param(
        np.random.default_rng(0).normal(size=(3, 4, 2)) * [[[0.1]], [[1.0]], [[10.0]]], np.float64
    )
    norms = np.sqrt((x.to_numpy() ** 2).sum(axis, keepdims=True))
    expected = x.to_numpy() * np.minimum(1, 2.0 / norms)

    np.testing.assert_allclose(autograd.clip_by_norm(x, 2.0, axis), expected, rtol=1e-12)
    autograd.check_gradients(lambda x: autograd.clip_by_norm(x, 2.0, axis), [x])
    zero = param(np.zeros(3))
    (dx,) = gradient(autograd.clip_by_norm(zero, 2.0), zero)
    np.testing.assert_array_equal(dx, 1.0)
    with pytest.raises(ArgumentError, match="above 0, got 0"):
        autograd.clip_by_norm(x, 0)
