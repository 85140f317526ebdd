"""Random numbers: their moments, one stream eagerly and compiled, gradients, wrong parameters."""

import math

import numpy as np
import pytest
from scipy import special, stats

from catalogue.random import key
from catalogue.tensors import gradient, param
from singa import autograd, device, random
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

INF, NAN = math.inf, math.nan
COUNT = 20000


@pytest.fixture(autouse=True)
def _recording():
    autograd.training = True
    device.get_default_device().set_rand_seed(5)
    yield
    autograd.training = False


def vectors(shape):
    return random.multivariate_normal([1.0, -2.0], [[2.0, 0.5], [0.5, 1.0]], shape)


# With SciPy's distributions; None for those with other tests.
DRAWS = {
    "normal": (lambda s: random.normal(2.0, 0.5, s), stats.norm(2, 0.5)),
    "uniform": (lambda s: random.uniform(-1.0, 3.0, s), stats.uniform(-1, 4)),
    "exponential": (lambda s: random.exponential(4.0, s), stats.expon(scale=0.25)),
    "laplace": (lambda s: random.laplace(1.0, 2.0, s), stats.laplace(1, 2)),
    "gumbel": (lambda s: random.gumbel(1.0, 2.0, s), stats.gumbel_r(1, 2)),
    "gamma": (lambda s: random.gamma(0.7, 2.0, s), stats.gamma(0.7, scale=0.5)),
    "beta": (lambda s: random.beta(0.7, 2.0, s), stats.beta(0.7, 2)),
    "bernoulli": (lambda s: random.bernoulli(0.3, s), stats.bernoulli(0.3)),
    "poisson": (lambda s: random.poisson(3.5, s), stats.poisson(3.5)),
    "many events": (lambda s: random.poisson(4e5, s), stats.norm(4e5, math.sqrt(4e5))),
    "randint": (lambda s: random.randint(-2, 4, s), stats.randint(-2, 4)),
    "categorical": (lambda s: random.categorical(np.log([0.2, 0.3, 0.5]), s), None),
    "dirichlet": (lambda s: random.dirichlet([0.5, 1.0, 2.0], s), None),
    "multivariate_normal": (vectors, None),
    "permutation": (lambda s: random.permutation(math.prod(s)), None),
}


@pytest.mark.parametrize("name", [name for name, (_, law) in DRAWS.items() if law is not None])
def test_numbers_are_of_their_distribution(name):
    draw, law = DRAWS[name]
    y = draw((COUNT,)).to_numpy().astype(np.float64)
    assert abs(y.mean() - law.mean()) < 5 * law.std() / math.sqrt(COUNT)
    steps = [float(moment) for moment in (law.var(), law.stats("k"))]
    assert abs(y.var() / steps[0] - 1) < 5 * math.sqrt((steps[1] + 2) / COUNT)
    if isinstance(law.dist, stats.rv_continuous):
        assert stats.kstest(y, law.cdf).pvalue > 1e-4
    else:
        values, counts = np.unique(y, return_counts=True)
        expected = law.pmf(values) * COUNT
        common = expected > 20
        assert (abs(counts - expected) < 5 * np.sqrt(expected))[common].all()
        assert law.pmf(values).min() > 0


def test_vectors_and_classes_are_of_their_distribution():
    y = vectors((COUNT,)).to_numpy()
    np.testing.assert_allclose(np.cov(y.T), [[2, 0.5], [0.5, 1]], atol=0.1)
    np.testing.assert_allclose(y.mean(0), [1, -2], atol=0.05)
    y = random.dirichlet([0.5, 1.0, 2.0], COUNT).to_numpy()
    np.testing.assert_allclose(y.mean(0), np.array([0.5, 1, 2]) / 3.5, atol=0.02)
    np.testing.assert_allclose(y.var(0), stats.dirichlet([0.5, 1, 2]).var(), atol=0.005)
    shares = np.array([[0.2, 0.3, 0.5], [1, 0, 0]])
    with np.errstate(divide="ignore"):
        logits = Tensor(data=np.log(shares).astype(np.float32))
    drawn = random.categorical(logits, (COUNT, 2)).to_numpy()
    np.testing.assert_allclose((drawn[..., None] == range(3)).mean(0), shares, atol=0.02)
    first = random.categorical(logits.T(), (COUNT, 2), axis=0)
    np.testing.assert_allclose((first.to_numpy()[..., None] == range(3)).mean(0), shares, atol=0.02)


def test_indices_without_replacement_are_different_and_the_first_is_as_with_it():
    logits = Tensor(data=np.tile(np.log([0.2, 0.3, 0.5]), (3000, 1)))
    drawn = random.categorical(logits, (3, 3000), replace=False).to_numpy()
    np.testing.assert_array_equal(np.sort(drawn, 0), np.tile([[0], [1], [2]], (1, 3000)))
    np.testing.assert_allclose((drawn[0][:, None] == range(3)).mean(0), [0.2, 0.3, 0.5], atol=0.05)
    order = np.stack([random.permutation(3).to_numpy() for _ in range(30)])
    assert (np.sort(order, 1) == [0, 1, 2]).all()
    assert len(np.unique(order, axis=0)) == 6
    x = param(np.arange(6.0).reshape(2, 3))
    y = random.permutation(x, 1)
    np.testing.assert_array_equal(np.sort(y.to_numpy(), 1), x.to_numpy())
    np.testing.assert_array_equal(gradient(y, x)[0], np.ones((2, 3)))


def test_the_same_seed_gives_the_same_numbers_eagerly_and_in_compiled_steps():
    def step():
        return [draw((3,)) for draw, _ in DRAWS.values()]

    eager = [step(), step()]
    device.get_default_device().set_rand_seed(5)
    steps = Steps()
    compiled = [steps(step, (), {}, False) for _ in range(2)]
    for one, other in zip(eager, compiled, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
    for a, b in zip(*eager, strict=True):
        assert a.dtype.kind == "i" or not np.array_equal(a, b)


def test_types_shapes_and_short_floats():
    assert random.normal(shape=(2, 3)).shape == (2, 3)
    assert random.normal([0.0, 1.0], [[1.0], [2.0]]).shape == (2, 2)
    assert random.normal(param([0.0], np.float16), 1.0).dtype == np.float16
    assert random.exponential(2, 3, dtype="float64").dtype == np.float64
    assert random.bernoulli(Tensor(data=[1, 0])).tolist() == [1, 0]
    assert random.randint(5).shape == ()
    assert random.randint(0, 256, 100, dtype="uint8").dtype == np.uint8
    assert random.permutation(0).shape == (0,)
    assert random.gamma(2.0, shape=()).shape == ()
    # 16 bits of their own would have neither the tails nor the mean.
    y = random.exponential(1.0, (COUNT,), dtype="bfloat16").to_numpy().astype(float)
    assert y.max() > 7
    assert abs(y.mean() - 1) < 0.05


def test_gradients_flow_to_parameters():
    mean, std = param([1.0, 2.0]), param([0.5])
    y = random.normal(mean, std, (3, 2))
    z = (y.to_numpy() - mean.to_numpy()) / std.to_numpy()
    dm, ds = gradient(y, mean, std)
    np.testing.assert_allclose(dm, [3, 3])
    np.testing.assert_allclose(ds, [z.sum()], rtol=1e-5, atol=1e-5)
    rate = param([4.0])
    y = random.exponential(rate)
    np.testing.assert_allclose(gradient(y, rate)[0], -y.to_numpy() / 4, rtol=1e-6)
    factor = param(np.eye(2))
    y = random.multivariate_normal(np.zeros(2, np.float32), scale_tril=factor)
    found = autograd.gradients(y, np.array([1.0, 0.0], np.float32))[factor].to_numpy()
    np.testing.assert_allclose(found, [[y.to_numpy()[0], 0], [0, 0]], rtol=1e-6)
    for constant in (random.bernoulli(param([0.5])), random.poisson(param([0.5]))):
        assert not constant.requires_grad


@pytest.mark.parametrize("concentration", [0.02, 0.3, 1.0, 2.5, 60.0])
def test_the_gradient_of_a_gamma_number_is_that_of_its_quantile(concentration):
    for dtype, tolerance in ((np.float64, 1e-5), (np.float32, 1e-3)):
        a = param(np.full(40, concentration), dtype)
        y = random.gamma(a, 2.0)
        (found,) = gradient(y, a)
        share, h = special.gammainc(concentration, 2 * y.to_numpy().astype(float)), 1e-6
        high, low = (special.gammaincinv(concentration * (1 + e), share) / 2 for e in (h, -h))
        numeric = (high - low) / (2 * h * concentration)
        # Where the share is near 1 it does not tell the quantile.
        good = (share < 0.999) & (y.to_numpy() > 1e-30)
        np.testing.assert_allclose(found[good], numeric[good], rtol=tolerance)


def test_the_logarithm_of_a_tiny_gamma_number_has_the_slope_of_its_quantile():
    """The number itself is 0 in floats: e ** -1000."""
    a = param(np.full(20, 1e-3), np.float64)
    y = autograd.DrawLogGamma()(a, key())[0]
    log = y.to_numpy()
    np.testing.assert_allclose(gradient(y, a)[0], (special.digamma(1.001) - log) / 1e-3, rtol=1e-12)
    assert log.min() < -700


def test_the_mean_of_gradients_is_the_gradient_of_the_mean():
    a, b = param([2.0]), param([0.5])
    y = random.beta(a, b, (COUNT,)).mean()
    da, db = gradient(y, a, b)
    np.testing.assert_allclose([da[0], db[0]], [0.5 / 6.25, -2 / 6.25], rtol=0.08)
    c = param([0.5, 1.0, 2.0])
    y = random.dirichlet(c, COUNT).mean(0)
    found = autograd.gradients(y, np.array([1.0, 0.0, 0.0], np.float32))[c].to_numpy()
    np.testing.assert_allclose(found, [3 / 3.5**2, -0.5 / 3.5**2, -0.5 / 3.5**2], rtol=0.1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: random.normal(0.0, -1.0), ArgumentError, "std must be 0 or more, got -1.0"),
        (lambda: random.normal(0.0, Tensor(data=[1.0, NAN])), ArgumentError, "got nan"),
        (lambda: random.normal(shape=2, dtype="int32"), DTypeError, "float type"),
        (lambda: random.normal([0.0, 1.0], shape=3), ShapeError, "do not broadcast to shape 3"),
        (lambda: random.normal([0.0, 1.0], [1.0, 2.0, 3.0]), ShapeError, "do not broadcast"),
        (lambda: random.normal([0.0, 1.0], shape=()), ShapeError, "do not broadcast"),
        (lambda: random.uniform(2.0, [3.0, 1.0]), ArgumentError, "got 2.0 and 1.0"),
        (lambda: random.exponential(0), ArgumentError, "rate must be above 0"),
        (lambda: random.laplace(0.0, 0.0), ArgumentError, "scale must be above 0"),
        (lambda: random.gumbel(0.0, -2.0), ArgumentError, "scale must be above 0"),
        (lambda: random.gamma(0.0), ArgumentError, "concentration must be above 0"),
        (lambda: random.beta(1.0, -1.0), ArgumentError, "b must be above 0"),
        (lambda: random.dirichlet([1.0, 0.0]), ArgumentError, "concentration must be above 0"),
        (lambda: random.dirichlet(1.0), ShapeError, "along the last axis"),
        (lambda: random.bernoulli(1.5), ArgumentError, "p must be from 0 to 1, got 1.5"),
        (lambda: random.poisson([-1.0]), ArgumentError, "rate must be 0 or more"),
        (lambda: random.multivariate_normal([0.0]), ArgumentError, "either covariance or"),
        (lambda: random.multivariate_normal([0.0], np.eye(2)), ShapeError, r"\(..., 1, 1\)"),
        (lambda: random.randint(3, 3), ArgumentError, "no integers from 3"),
        (lambda: random.randint(0, 300, 2, dtype="int8"), ArgumentError, "does not hold"),
        (lambda: random.randint(0, 2**63, 2, dtype="int64"), ArgumentError, "does not hold"),
        (lambda: random.randint(1.5), ArgumentError, "an integer is expected"),
        (lambda: random.randint(3, dtype="float32"), DTypeError, "integer type"),
        (lambda: random.permutation(-1), ArgumentError, "0 or more"),
        (lambda: random.permutation(Tensor((2,)), 1), ShapeError, "axis 1"),
        (lambda: random.categorical([0.0, NAN]), ArgumentError, "logits must be numbers"),
        (lambda: random.categorical([-INF, -INF]), ArgumentError, "1 or more of them above"),
        (lambda: random.categorical([0.0, -INF], 2, replace=False), ArgumentError, "2 or more"),
        (lambda: random.categorical([0.0], 2, replace=False), ArgumentError, "2 different"),
        (lambda: random.categorical(np.zeros((2, 3)), (3,)), ShapeError, "must end with"),
        (lambda: random.categorical([0.0], axis=1), ShapeError, "axis 1"),
    ],
)
def test_wrong_parameters_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_compiled_steps_look_at_numbers_and_under_detect_anomaly_at_tensors():
    p = Tensor(data=[2.0, -1.0, 0.0])
    found = Steps()(lambda x: (random.bernoulli(x), random.poisson(x)), (p,), {}, False)
    assert [np.isnan(y.to_numpy()).tolist() for y in found] == [
        [True, True, False], [False, True, False]
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="std must be"):
        Steps()(lambda x: random.normal(x, -1.0), (p,), {}, False)
    with autograd.detect_anomaly(), pytest.raises(ArgumentError, match="rate must be"):
        Steps()(lambda x: random.exponential(x), (p,), {}, False)
