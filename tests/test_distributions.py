"""Distributions beside SciPy's: densities, moments, divergences, shapes, gradients, errors."""

import math

import numpy as np
import pytest
from scipy import stats

from catalogue.tensors import gradient, param
from singa import autograd, device, distributions, linalg, special
from singa.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    Gumbel,
    Laplace,
    MultivariateNormal,
    Normal,
    Poisson,
    Uniform,
)
from singa.errors import ArgumentError, GradientError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

INF, NAN = math.inf, math.nan
FACTOR = np.array([[1.0, 0.0], [0.5, 2.0]])
OTHER_FACTOR = np.array([[2.0, 0.0], [-0.5, 1.5]])
COVARIANCE = FACTOR @ FACTOR.T


def test_densities_of_large_parameters_keep_their_digits():
    """The terms of these logarithms are of the size of a million, the logarithms are not."""
    a, b = np.float32([1e2, 1e4, 1e5]), np.float32([3e2, 2e4, 7e5])
    x = np.float32(a / (a + b) * (1 + 1 / np.sqrt(a)))
    many, wide = np.round(a + np.sqrt(a)), [np.float64(each) for each in (a, b, x)]
    for ours, theirs in (
        (Beta(a, b).log_prob(x), stats.beta.logpdf(wide[2], wide[0], wide[1])),
        (
            Gamma(a, 2.0).log_prob(a / 2 + 1),
            stats.gamma.logpdf(wide[0] / 2 + 1, wide[0], scale=0.5),
        ),
        (Poisson(a).log_prob(many), stats.poisson.logpmf(many.astype(int), wide[0])),
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    shares = special.betainc(Tensor(data=a), Tensor(data=b), Tensor(data=x))
    np.testing.assert_allclose(shares, stats.beta.cdf(wide[2], wide[0], wide[1]), rtol=1e-6)
    at = Tensor(data=np.float32([1e6]), stores_grad=True)
    slope = autograd.gradients(Gamma(at, 1.0).log_prob(1.001e6))[at]
    np.testing.assert_allclose(slope, np.log(1.001) + 0.5e-6, rtol=1e-5)


@pytest.fixture(autouse=True)
def _recording():
    autograd.training = True
    device.get_default_device().set_rand_seed(3)
    yield
    autograd.training = False


# Each with parameters, SciPy's distribution, points, and other parameters.
CASES = {
    "Normal": (Normal, [1.0, 2.0], stats.norm(1, 2), [-30, 0, 1, 5.5], [0.5, 3.0]),
    "Uniform": (Uniform, [-1.0, 3.0], stats.uniform(-1, 4), [-2, -1, 0.5, 3, 4, INF], [-2, 3.5]),
    "Laplace": (Laplace, [1.0, 2.0], stats.laplace(1, 2), [-30, 0, 0.9, 5.5], [0.5, 3.0]),
    "Gumbel": (Gumbel, [1.0, 2.0], stats.gumbel_r(1, 2), [-9, 0, 1, 80], [0.5, 3.0]),
    "Exponential": (Exponential, [2.0], stats.expon(scale=0.5), [-1, 0, 0.1, 40], [3.0]),
    "Gamma": (Gamma, [2.5, 2.0], stats.gamma(2.5, scale=0.5), [-1, 0, 0.1, 40], [1.5, 3.0]),
    "Gamma of 1": (Gamma, [1.0, 2.0], stats.gamma(1, scale=0.5), [-1, 0, 0.1, 40], [0.5, 3.0]),
    "Beta": (Beta, [2.5, 0.7], stats.beta(2.5, 0.7), [-1, 0, 0.1, 0.999, 2], [1.5, 3.0]),
    "Beta of 1": (Beta, [1.0, 1.0], stats.beta(1, 1), [-1, 0, 0.1, 1, 2], [1.5, 3.0]),
    "Bernoulli": (Bernoulli, [0.3], stats.bernoulli(0.3), [-1, 0, 0.5, 1, 2], [0.6]),
    "Poisson": (Poisson, [2.5], stats.poisson(2.5), [-1, 0, 0.5, 1, 20], [4.0]),
    "Dirichlet": (
        Dirichlet, [np.array([0.5, 1.0, 2.5])], stats.dirichlet([0.5, 1.0, 2.5]),
        [[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]], [np.array([1.5, 1.0, 2.0])],
    ),
    "MultivariateNormal": (
        MultivariateNormal, [np.array([1.0, -1.0]), FACTOR],
        stats.multivariate_normal([1, -1], COVARIANCE),
        [[0.0, 0.0], [5.0, -9.0]], [np.array([0.0, 1.0]), OTHER_FACTOR],
    ),
    "Categorical": (
        Categorical, [np.array([0.2, 0.5, 0.3])],
        stats.rv_discrete(values=([0, 1, 2], [0.2, 0.5, 0.3])), [0, 1, 2, 1],
        [np.array([0.4, 0.4, 0.2])],
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", CASES)


def made(name, which=1, dtype=np.float64):
    """The distribution, and its parameters."""
    params = [param(value, dtype) for value in CASES[name][which]]
    return CASES[name][0](*params), params


@EVERY
def test_densities_and_moments_are_scipys(name):
    kind, _, law, points, _ = CASES[name]
    ours, _ = made(name)
    log = law.logpdf if hasattr(law, "logpdf") else law.logpmf
    if kind is Dirichlet:
        expected = [law.logpdf(point) for point in points]
    elif hasattr(getattr(law, "dist", law), "logpmf"):
        expected = law.logpmf(points)
    else:
        expected = log(points)
    np.testing.assert_allclose(ours.log_prob(np.array(points)), expected, rtol=1e-12, atol=1e-12)
    if kind is not Poisson:
        np.testing.assert_allclose(ours.entropy(), law.entropy(), rtol=1e-12, atol=1e-12)
    if kind is not Categorical:
        variance = np.diag(COVARIANCE) if kind is MultivariateNormal else law.var()
        mean = law.mean if kind is MultivariateNormal else law.mean()
        np.testing.assert_allclose(ours.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(ours.variance, variance, rtol=1e-12)
        np.testing.assert_allclose(ours.std, np.sqrt(variance), rtol=1e-12)


@EVERY
def test_gradients_are_slopes(name):
    """Of the density, the entropy and the divergence, in all parameters and in the points."""
    kind, _, _, points, _ = CASES[name]
    _, params = made(name)
    _, others = made(name, -1)
    inside = [p for p in points if kind is not Uniform or -1 < p < 3]
    if kind in (Exponential, Gamma, Beta):
        inside = [0.1, 0.6]
    if kind is Bernoulli:
        inside = [0.0, 1.0]
    is_whole = kind in (Bernoulli, Categorical, Poisson)
    x = param([p for p in inside if not is_whole or (p >= 0 and p % 1 == 0)], np.float64)

    def total(*tensors):
        ours, more, at = tensors[: len(params)], tensors[len(params) : -1], tensors[-1]
        p, q = kind(*ours), kind(*more)
        at = at.detach() if is_whole else at
        if kind is Dirichlet:
            at = at / at.sum(-1, keepdims=True)
        rest = 0.0 if kind is Poisson else p.entropy()
        return (p.log_prob(at) * at.sum()).sum() + rest + 3.0 * distributions.kl(p, q)

    used = [*params, *others] if is_whole else [*params, *others, x]
    function = (lambda *xs: total(*xs, x)) if is_whole else total
    autograd.check_gradients(function, used)


@EVERY
def test_divergences_are_means_over_samples(name):
    (p, _), (q, _) = made(name), made(name, -1)
    found = distributions.kl(p, q).item()
    x = p.sample((20000,))
    terms = (p.log_prob(x) - q.log_prob(x)).to_numpy()
    error = terms.std() / math.sqrt(20000)
    assert abs(terms.mean() - found) <= 5 * error + 1e-12
    assert distributions.kl(p, p).item() == pytest.approx(0, abs=1e-12)
    if p.reparametrized or name != "Categorical":
        moments = x.to_numpy().mean(0), p.mean.to_numpy(), p.std.to_numpy()
        assert (np.abs(moments[0] - moments[1]) < 5 * moments[2] / math.sqrt(20000)).all()


@EVERY
def test_samples_of_which_the_mean_has_the_gradient_of_the_mean(name):
    p, params = made(name, dtype=np.float32)
    assert not p.sample((2,)).requires_grad
    if not p.reparametrized:
        with pytest.raises(GradientError, match="rsample: whole numbers have no gradient"):
            p.rsample()
        return
    weights = np.arange(1.0, 1 + math.prod(p.event_shape)).reshape(p.event_shape)
    weights = Tensor(data=weights.astype(np.float32))
    sampled = gradient((p.rsample((20000,)).mean(0) * weights).sum(), *params)
    again, params = made(name, dtype=np.float32)
    exact = gradient((again.mean * weights).sum(), params[0])
    np.testing.assert_allclose(sampled[0], exact[0], rtol=0.1, atol=0.05)
    for g, value in zip(sampled, params, strict=True):
        assert g.shape == value.shape
        assert np.isfinite(g).all()


def test_compiled_steps_give_the_same():
    def step(*params):
        found, rest = [], list(params)
        for kind, values, _, points, _ in CASES.values():
            p = kind(*[rest.pop(0) for _ in values])
            found.append(p.log_prob(np.array(points, np.float64)))
            at = p.mean if p.reparametrized else 1.0
            found += autograd.gradients(p.log_prob(at).sum()).values()
            if kind in (Normal, Categorical):  # tests of singa.random draw the others
                found.append(p.sample((2,)))
        return found

    values = [param(v, np.float64) for case in CASES.values() for v in case[1]]
    eager = step(*values)
    device.get_default_device().set_rand_seed(3)
    compiled = Steps()(step, tuple(values), {}, False)
    assert len(eager) > 2 * len(CASES)
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def shapes():
    normal = Normal([[0.0], [1.0]], [1.0, 2.0, 3.0])
    assert (normal.batch_shape, normal.event_shape) == ((2, 3), ())
    assert repr(normal) == "Normal(batch_shape=(2, 3), event_shape=())"
    assert normal.sample(4).shape == (4, 2, 3)
    assert normal.mean.shape == normal.variance.shape == normal.entropy().shape == (2, 3)
    assert normal.log_prob(np.zeros((5, 1, 1), np.float32)).shape == (5, 2, 3)
    assert distributions.kl(normal, Normal([0.0, 1.0, 2.0])).shape == (2, 3)
    vectors = MultivariateNormal(np.zeros((3, 1, 2)), np.tile(np.eye(2), (4, 1, 1)))
    assert (vectors.batch_shape, vectors.event_shape) == ((3, 4), (2,))
    assert vectors.sample((5,)).shape == (5, 3, 4, 2)
    assert vectors.log_prob(vectors.sample((5,))).shape == (5, 3, 4)
    assert distributions.kl(vectors, vectors).shape == vectors.entropy().shape == (3, 4)
    classes = Categorical(logits=np.zeros((2, 3), np.float32))
    assert classes.sample((4,)).shape == (4, 2)
    assert classes.log_prob([[0], [1]]).shape == (2, 2)
    probabilities = Dirichlet(np.ones((2, 3)))
    assert (probabilities.batch_shape, probabilities.event_shape) == ((2,), (3,))
    assert probabilities.log_prob(probabilities.sample((4,))).shape == (4, 2)
    for p in (Gamma(np.ones((2, 1)), [1.0, 2.0]), Beta([1.0, 2.0], [[1], [2]])):
        assert p.rsample((3,)).shape == (3, 2, 2)
    assert Poisson([1, 2]).sample((3,)).shape == (3, 2)
    assert Bernoulli(logits=[0.0, 1.0]).sample((3,)).shape == (3, 2)


def test_shapes():
    Steps()(shapes, (), {}, False)  # which compiles nothing, as it gives nothing


def test_probabilities_and_logits_are_two_ways_of_saying_the_same():
    p = np.array([0.2, 0.5, 0.3], np.float32)
    for one, other in (
        (Categorical(p), Categorical(logits=np.log(p) + 7)),
        (Bernoulli(p), Bernoulli(logits=np.log(p / (1 - p)))),
    ):
        np.testing.assert_allclose(one.probs, other.probs, rtol=1e-6)
        np.testing.assert_allclose(one.entropy(), other.entropy(), rtol=1e-6)
        np.testing.assert_allclose(one.log_prob([1, 0, 1]), other.log_prob([1, 0, 1]), rtol=1e-5)
        np.testing.assert_allclose(distributions.kl(one, other), 0 * one.entropy(), atol=1e-6)
    np.testing.assert_allclose(Bernoulli(p).logits, np.log(p / (1 - p)), atol=1e-6)
    far = Bernoulli(logits=param([100.0, -100.0]))
    np.testing.assert_allclose(far.log_prob([0, 1]), [-100, -100])
    np.testing.assert_allclose(far.entropy(), [0, 0], atol=1e-30)


def test_what_is_impossible_or_certain_has_no_nan():
    p = param([0.0, 1.0, 0.5])
    classes = Categorical(p)
    np.testing.assert_array_equal(classes.log_prob([0])[0].item(), -INF)
    entropy = classes.entropy()
    assert entropy.item() == pytest.approx(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3))
    assert np.isfinite(gradient(entropy, p)[0]).all()
    logits = param([-INF, 0.0, 1.0])
    masked = Categorical(logits=logits)
    for y in (masked.entropy(), masked.log_prob(1), distributions.kl(masked, masked)):
        assert np.isfinite(gradient(y, logits)[0]).all()
    assert distributions.kl(Categorical([0.5, 0.5]), Categorical([1.0, 0.0])).item() == INF
    assert distributions.kl(Categorical([1.0, 0.0]), Categorical([0.5, 0.5])).item() > 0
    assert 0 not in masked.sample((100,)).tolist()
    certain = Bernoulli(param([0.0, 1.0]))
    np.testing.assert_array_equal(certain.log_prob([0, 1]), [0, 0])
    np.testing.assert_array_equal(certain.log_prob([1, 0]), [-INF, -INF])
    np.testing.assert_array_equal(certain.entropy(), [0, 0])
    none = Poisson(param([0.0]))
    np.testing.assert_array_equal(none.log_prob([0]), [0])
    np.testing.assert_array_equal(none.log_prob([1]), [-INF])
    assert distributions.kl(Uniform(0.0, 2.0), Uniform(0.0, 1.0)).item() == INF
    # What is outside spoils neither the gradient of what is inside, nor its own.
    rate = param([2.0])
    x = param([-1.0, 1.0])
    y = Gamma(2.0, rate).log_prob(x)
    found = autograd.gradients(y, np.array([0, 1], np.float32))
    np.testing.assert_allclose(found[rate], [0.0], atol=1e-6)
    np.testing.assert_allclose(found[x], [0.0, -1.0], atol=1e-6)
    assert np.isnan(Gamma(2.0, 1.0).log_prob(NAN).item())
    assert Dirichlet([1.0, 1.0]).log_prob([[0.5, 0.6], [1.5, -0.5]]).tolist() == [-INF, -INF]


def test_half_precision_and_numbers():
    for name in ("Normal", "Gamma", "Bernoulli", "Categorical", "MultivariateNormal"):
        p = CASES[name][0](*[np.asarray(v, np.float16) for v in CASES[name][1]])
        assert p.sample((2,)).dtype in (np.float16, np.int32)
        assert p.log_prob(p.sample((2,))).dtype == np.float16
    assert Normal(0, 1).log_prob(0).dtype == np.float32
    assert Normal(Tensor(data=[0, 1]), 2).mean.dtype == np.float32


def test_vectors_with_one_matrix_or_many_have_the_same_density():
    x = np.random.default_rng(0).standard_normal((5, 3, 2))
    one = MultivariateNormal(np.ones(2), FACTOR + np.array([[0, 9], [0, 0]]))
    many = MultivariateNormal(np.ones((3, 2)), FACTOR)
    np.testing.assert_allclose(one.log_prob(x), many.log_prob(x), rtol=1e-12)
    whole = linalg.cholesky(Tensor(data=COVARIANCE))
    np.testing.assert_allclose(
        MultivariateNormal(np.ones(2), whole).log_prob(x), one.log_prob(x), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Normal(0.0, -1.0), ArgumentError, "Normal: scale must be above 0, got -1.0"),
        (lambda: Normal([0.0, 1.0], [1.0, 2.0, 3.0]), ShapeError, "do not broadcast together"),
        (lambda: Laplace(0.0, [1.0, 0.0]), ArgumentError, "scale must be above 0, got 0.0"),
        (lambda: Gumbel(0.0, NAN), ArgumentError, "scale must be above 0"),
        (lambda: Uniform(1.0, 1.0), ArgumentError, "high must be above low, got 1.0 and 1.0"),
        (lambda: Exponential(0.0), ArgumentError, "rate must be above 0"),
        (lambda: Gamma(1.0, -1.0), ArgumentError, "rate must be above 0"),
        (lambda: Beta(0.0, 1.0), ArgumentError, "a must be above 0"),
        (lambda: Dirichlet([1.0, -1.0]), ArgumentError, "concentration must be above 0"),
        (lambda: Dirichlet(1.0), ShapeError, "along the last axis"),
        (lambda: Dirichlet([1.0, 1.0]).log_prob([1.0]), ShapeError, r"an event, \(2,\)"),
        (lambda: Poisson(-1.0), ArgumentError, "rate must be 0 or more"),
        (lambda: Poisson(1.0).entropy(), ArgumentError, "Poisson.entropy: there is no formula"),
        (lambda: Bernoulli(1.5), ArgumentError, "probs must be from 0 to 1, got 1.5"),
        (lambda: Bernoulli(), ArgumentError, "either probs or logits"),
        (lambda: Bernoulli(0.5, 0.5), ArgumentError, "either probs or logits"),
        (lambda: Categorical([0.0, 0.0]), ArgumentError, "not all 0"),
        (lambda: Categorical([0.5, -0.5]), ArgumentError, "probs must be 0 or more"),
        (lambda: Categorical(np.zeros((2, 0))), ShapeError, "no classes"),
        (lambda: Categorical([0.5, 0.5]).mean, ArgumentError, "Categorical.mean"),
        (lambda: Categorical([0.5, 0.5]).log_prob(2), ArgumentError, "from 0 to 1, got 2"),
        (lambda: Categorical([0.5, 0.5]).log_prob(0.5), ArgumentError, "whole numbers"),
        (lambda: MultivariateNormal([0.0], [[0.0]]), ArgumentError, "diagonal of scale_tril"),
        (lambda: MultivariateNormal([0.0], np.eye(2)), ShapeError, r"\(..., 1, 1\)"),
        (lambda: distributions.kl(Normal(), Uniform()), ArgumentError, "for Normal and Uniform"),
    ],
)
def test_wrong_arguments_are_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_compiled_steps_check_under_detect_anomaly_and_unknown_classes_are_nan():
    scale, ids = Tensor(data=[1.0, -1.0]), Tensor(data=[0, 2])
    found = Steps()(lambda x: Categorical([0.5, 0.5]).log_prob(x), (ids,), {}, False)
    np.testing.assert_allclose(found, [math.log(0.5), NAN], rtol=1e-6)
    with autograd.detect_anomaly(), pytest.raises(ArgumentError, match="scale must be above 0"):
        Steps()(lambda x: Normal(0.0, x).entropy(), (scale,), {}, False)
