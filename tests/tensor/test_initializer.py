"""Initializers: their random numbers, the layout of a weight, and determinism."""

import math

import jax
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import device, initializer, tensor
from singa.core import random
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

CPU = device.get_default_device()


@pytest.fixture(autouse=True)
def _seed():
    CPU.set_rand_seed(7)


def truncated(std):
    """The distribution by SciPy: a normal cut off at two of its own standard deviations."""
    wider = std / scipy.stats.truncnorm(-2, 2).std()
    return scipy.stats.truncnorm(-2, 2, scale=wider)


def uniform(std):
    return scipy.stats.uniform(-std * math.sqrt(3), 2 * std * math.sqrt(3))


def normal(std):
    return scipy.stats.norm(0, std)


IN, OUT = 300, 100  # of a matrix (in, out)

DISTRIBUTIONS = {
    "lecun_uniform": uniform(math.sqrt(1 / IN)),
    "lecun_normal": truncated(math.sqrt(1 / IN)),
    "glorot_uniform": uniform(math.sqrt(2 / (IN + OUT))),
    "glorot_normal": truncated(math.sqrt(2 / (IN + OUT))),
    "he_uniform": uniform(math.sqrt(2 / IN)),
    "he_normal": truncated(math.sqrt(2 / IN)),
    "xavier": uniform(math.sqrt(2 / (IN + OUT))),
    "glorot": normal(math.sqrt(2 / (IN + OUT))),
    "msra": normal(math.sqrt(2 / IN)),
    "uniform": scipy.stats.uniform(0, 1),
    "normal": normal(1),
    "trunc_normal": truncated(1),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_are_of_the_stated_distribution(name):
    t = Tensor((IN, OUT))
    assert getattr(initializer, name)(t) is t
    values, expected = t.to_numpy().ravel(), DISTRIBUTIONS[name]
    assert scipy.stats.kstest(values, expected.cdf).pvalue > 0.001
    assert values.std() == pytest.approx(expected.std(), rel=0.02)
    low, high = expected.support()
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6


@pytest.mark.parametrize(
    ("fans", "variance"), [((30, 0), 1 / 30), ((0, 20), 1 / 20), ((30, 20), 2 / 50)]
)
def test_singas_gaussian_takes_the_fans(fans, variance):
    values = initializer.gaussian(Tensor((200, 200)), *fans).to_numpy()
    assert values.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "data_format", "fans"),
    [
        ((7, 5), "channels_first", (7, 5)),  # Linear
        ((7, 5), "channels_last", (7, 5)),
        ((8, 3, 5, 2), "channels_first", (3 * 10, 8 * 10)),  # Conv2d
        ((8, 3, 4), "channels_first", (3 * 4, 8 * 4)),  # Conv1d
        ((8, 1, 5, 2), "channels_first", (10, 8 * 10)),  # depthwise
        ((5, 2, 3, 8), "channels_last", (3 * 10, 8 * 10)),
        ((3, 8, 5, 2), "transposed", (3 * 10, 8 * 10)),
        ((3, 8), "transposed", (3, 8)),
        ((1000, 16), "embedding", (1, 16)),
        ((16,), "channels_first", (4, 4)),
        ((), "channels_first", (1, 1)),
    ],
)
def test_the_fans_of_every_layout(shape, data_format, fans):
    assert initializer._compute_fans(shape, data_format) == fans


def test_initializers_take_the_layout():
    t = initializer.he_uniform(Tensor((3, 50, 5, 5)), data_format="transposed").to_numpy()
    assert abs(t).max() == pytest.approx(math.sqrt(6 / 75), rel=0.01)
    rows = initializer.lecun_normal(Tensor((500, 40)), data_format="embedding").to_numpy()
    assert rows.std() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", initializer.__all__)
def test_every_initializer_fills_every_float_type(name, dtype):
    required = {"constant": (3.0,), "gaussian": (4, 0)}.get(name, ())
    t = Tensor((4, 6), dtype=dtype)
    assert getattr(initializer, name)(t, *required) is t
    assert t.shape == (4, 6)
    assert str(t.dtype) == dtype
    values = t.to_numpy().astype(float)
    assert np.isfinite(values).all()
    assert (values != 0).any() == (name != "zeros")


@settings(max_examples=12)  # each shape is compiled
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple),
    gain=st.sampled_from([1.0, 0.5, 2.0]),
)
def test_orthogonal_is_orthogonal(shape, gain):
    t = initializer.orthogonal(Tensor(shape, dtype="float64"), gain).to_numpy()
    matrix = t.reshape(shape[0], -1)
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    np.testing.assert_allclose(product, gain**2 * np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_prefers_no_sign():
    signs = [np.sign(initializer.orthogonal(Tensor((3, 3))).to_numpy()) for _ in range(200)]
    assert abs(np.mean(signs, axis=0)).max() < 0.25


def test_a_truncated_normal_has_the_stated_mean():
    values = initializer.trunc_normal(Tensor((300, 300)), mean=5.0, std=2.0).to_numpy()
    assert (values.mean(), values.std()) == pytest.approx((5, 2), rel=0.02)


@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "orthogonal", "msra"])
def test_the_device_s_seed_decides(name):
    def draw():
        return getattr(initializer, name)(Tensor((5, 5))).to_numpy()

    CPU.set_rand_seed(3)
    first, second = draw(), draw()
    CPU.set_rand_seed(3)
    np.testing.assert_array_equal(draw(), first)
    assert not np.array_equal(first, second)


def test_defect_27_eye_and_orthogonal_take_matrices():
    np.testing.assert_array_equal(initializer.eye(Tensor((2, 3))), np.eye(2, 3))
    q = initializer.orthogonal(Tensor((3, 3))).to_numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(3), atol=1e-6)


def test_wrong_tensors_are_refused_with_words():
    t = Tensor((2, 2, 2)).set_value(5.0)
    for name in ("eye", "xavier", "glorot", "msra"):
        with pytest.raises(ShapeError, match=rf"{name}: a Tensor with two axes .* \(2, 2, 2\)"):
            getattr(initializer, name)(t)
    with pytest.raises(ShapeError, match=r"orthogonal: .* two or more axes is needed, got \(3,\)"):
        initializer.orthogonal(Tensor((3,)))
    with pytest.raises(ArgumentError, match="'NCHW' is not one of channels_first, channels_last"):
        initializer.he_normal(t, data_format="NCHW")
    with pytest.raises(ArgumentError, match="fan_in=0 and fan_out=0 give no variance"):
        initializer.gaussian(t)
    with pytest.raises(DTypeError, match="a float Tensor is needed, not int32"):
        initializer.trunc_normal(Tensor((2, 2), dtype="int32"))
    np.testing.assert_array_equal(t, np.full((2, 2, 2), 5))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "fill",
    [
        lambda t: t.gaussian(0.5, 2.0),
        lambda t: t.uniform(-0.5, 2.0),
        lambda t: t.bernoulli(0.25),
        initializer.lecun_normal,
    ],
)
def test_a_shape_s_own_kernel_draws_the_same_numbers_as_a_shared_one(fill, dtype, monkeypatch):
    drawn = []
    for enough in (None, 0):
        CPU.set_rand_seed(3)
        random._by_shared_kernels.cache_clear()
        if enough is not None:
            monkeypatch.setattr(random, "_ENOUGH", enough)
        drawn.append(fill(Tensor((3, 5, 11), dtype=dtype)).to_numpy())
    np.testing.assert_array_equal(*drawn)
    assert drawn[0].std() > 0


def test_numbers_of_a_shared_kernel_do_not_keep_its_others_alive():
    found = random.drawn(
        random.normal, jax.random.key(0), 0.0, 1.0, shape=(3, 4), dtype=tensor.float32
    )
    assert found.base is None or found.base.size == found.size
