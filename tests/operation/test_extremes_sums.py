"""Sums, means, products and norms of many, huge, tiny, infinite or no elements."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.tensors import gradient, param
from singa import autograd
from singa.device import bfloat16
from singa.errors import ArgumentError
from singa.graph import Steps
from singa.tensor import Tensor

# What depends on how XLA computes, not on which elements go where.
as_for_users = pytest.mark.usefixtures("optimized_once")

INF, NAN = np.inf, np.nan
HALVES = (np.float16, bfloat16)
floats = st.floats(-4, 4, width=32)

pytestmark = pytest.mark.usefixtures("recording")


def close(found, expected, dtype):
    """Equal but for the last rounding."""
    found, expected = (np.asarray(x).astype(np.float64) for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=2.0**-7 if dtype == bfloat16 else 2.0**-10)


# Sums over many equal elements: what is summed, and what it is of that many ones times x.
MANY = 5000
COUNTED = {
    "x[ids]": lambda x, ones: x[Tensor(data=np.zeros(MANY, np.uint8))],
    "gather": lambda x, ones: autograd.gather(x, 0, Tensor(data=np.zeros(MANY, np.uint8))),
    "embedding": lambda x, ones: autograd.embedding(
        Tensor(data=np.zeros(MANY, np.uint8)), x.reshape((1, 1))
    ),
    "gather_elements": lambda x, ones: autograd.gather_elements(
        x, Tensor(data=np.zeros(MANY, np.uint8))
    ),
    "broadcast": lambda x, ones: ones * x,
    "expand": lambda x, ones: autograd.expand(x, (MANY,)),
    "tile": lambda x, ones: autograd.tile(x, MANY),
    "repeat": lambda x, ones: autograd.repeat(x, MANY),
    "repeat each": lambda x, ones: autograd.repeat(x, [MANY], 0),
    "pad": lambda x, ones: autograd.pad(x, "edge", (0, MANY - 1)),
    "upsample": lambda x, ones: autograd.upsample(x, "nearest", (MANY,)),
    "resize": lambda x, ones: autograd.resize(x.reshape((1, 1, 1)), MANY),
    "add_bias": lambda x, ones: autograd.add_bias(ones.reshape((MANY, 1)), x),
    "affine": lambda x, ones: autograd.affine(ones.reshape((MANY, 1)), Tensor((1, 1)), x),
    "matmul": lambda x, ones: ones.reshape((MANY, 1)) @ x.reshape((1, 1)),
    "einsum": lambda x, ones: autograd.einsum("n,i->n", ones, x),
    "conv1d bias": lambda x, ones: autograd.conv1d(
        ones.reshape((1, 1, MANY)), Tensor((1, 1, 1), dtype=x.dtype), x
    ),
    "conv1d": lambda x, ones: autograd.conv1d(ones.reshape((1, 1, MANY)), x.reshape((1, 1, 1))),
    "layer_norm": lambda x, ones: autograd.layer_norm(
        ones.reshape((MANY, 1)), Tensor((1,), dtype=x.dtype), x
    ),
}  # fmt: skip


@as_for_users
@pytest.mark.parametrize("name", COUNTED)
def test_gradients_of_what_is_used_often_are_added_up_in_float32(name):
    for dtype in HALVES:
        x = param([1.0], dtype)
        (dx,) = gradient(COUNTED[name](x, Tensor(data=np.ones(MANY, dtype))), x)
        assert dx.dtype == dtype
        close(dx, [MANY], dtype)  # in bfloat16 a sum of ones ends at 256


def windows(x):
    return (x * 180.0).reshape((1, 1, -1))


SUMMED = {
    "reduce_mean": (autograd.reduce_mean, 16),
    "var": (autograd.var, 0),
    "std": (autograd.std, 0),
    "globalaveragepool": (lambda x: autograd.globalaveragepool(x.reshape((1, 1, -1))), 16),
    "avg_pool_1d": (lambda x: autograd.avg_pool_1d(windows(x), 25), 2880),
    "adaptive_avg_pool": (lambda x: autograd.adaptive_avg_pool(windows(x), 200), 2880),
    "mean": (lambda x: autograd.mean(*[x * 250.0] * 20), 4000),
    "mse_loss": (lambda x: autograd.mse_loss(x, x * 0.0), 256),
    "l1_loss": (lambda x: autograd.l1_loss(x, x * 0.0), 16),
    "hinge_loss": (lambda x: autograd.hinge_loss(x, x * 0.0 - 1.0), 17),
    "cumsum": (lambda x: autograd.cumsum(x * 0.5)[-1], MANY * 8),
    "norm": (lambda x: autograd.norm(x), 16 * MANY**0.5),
}


@as_for_users
@pytest.mark.parametrize("name", SUMMED)
def test_half_precision_overflows_only_where_the_result_does(name):
    function, expected = SUMMED[name]
    for dtype in HALVES:
        x = param(np.full(MANY, 16.0), dtype)
        y = function(x)
        assert y.dtype == dtype
        close(y, np.full(y.shape, expected), dtype)
        assert np.isfinite(gradient(y, x)[0].astype(np.float32)).all()


@as_for_users
def test_overlapping_windows_add_up_in_float32():
    for dtype in HALVES:
        x = param([[[0.0] * 32 + [1.0] + [0.0] * 32]], dtype)
        dy = np.full((1, 1, 33), 1 + 2.0**-7, dtype)  # of which only 1 is added to more than 2
        for function, total in ((autograd.max_pool_1d, 33), (autograd.avg_pool_1d, 1)):
            dx = autograd.gradients(function(x, 33, 1), dy)[x].to_numpy()
            np.testing.assert_allclose(float(dx[0, 0, 32]), total * float(dy[0, 0, 0]), rtol=2**-8)


# -- products --------------------------------------------------------------------------------------


@as_for_users
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1, 2, width=32), st.integers(-100, 100), st.sampled_from([-1, 1])),
        min_size=7, max_size=7,
    ),
    st.integers(0, 2),
)  # fmt: skip
def test_products_are_what_the_type_can_hold_whatever_their_parts(parts, zeros):
    exact = np.array([np.float32(m * s) * 2.0**e for m, e, s in parts])
    exact[:zeros] = 0
    x = param(exact)
    y = autograd.reduce_prod(x, keepdims=False)
    others = [math.prod(np.delete(exact, k).tolist()) for k in range(7)]
    whole = math.prod(exact.tolist())
    for found, expected in ((y.to_numpy(), whole), (gradient(y, x)[0], others)):
        expected = np.asarray(expected)
        with np.errstate(over="ignore"):
            rounded = expected.astype(np.float32)
        # XLA on CPUs takes what is below the smallest normal number for 0.
        tiny = np.abs(expected) < 1e-37
        np.testing.assert_allclose(np.where(tiny, 0, found), np.where(tiny, 0, rounded), rtol=1e-5)


@as_for_users
def test_products_of_infinities_and_of_nothing():
    for values, product, slopes in (
        ([INF, 2.0], INF, [2, INF]), ([INF, -1e-30, 1e-30], -INF, [0, INF, -INF]),
        ([0.0, INF, 2.0], NAN, [INF, 0, NAN]), ([NAN, 0.0, 2.0], NAN, [0, NAN, NAN]),
        ([], 1, []), ([1e30] * 3 + [0.0], 0, [0, 0, 0, INF]),
    ):  # fmt: skip
        x = param(values)
        y = autograd.reduce_prod(x, keepdims=False)
        np.testing.assert_array_equal(y, product)
        np.testing.assert_array_equal(gradient(y, x)[0], np.array(slopes, np.float32))
    x = param(np.random.default_rng(0).uniform(0.5, 2, (3, 2)), np.float64)
    autograd.check_gradients(lambda x: autograd.reduce_prod(x, 0), [x])
    autograd.check_gradients(lambda x: autograd.vjp(autograd.reduce_prod, [x], [[1.0]])[1][0], [x])


# -- norms -----------------------------------------------------------------------------------------


@as_for_users
@settings(max_examples=40, deadline=None)
@given(st.lists(floats, min_size=4, max_size=4), st.integers(-34, 36))
def test_norms_of_huge_and_of_tiny_vectors(values, power):
    exact = np.array(values, np.float32).astype(np.float64) * 10.0**power
    exact[np.abs(exact) < 1e-37] = 0
    x, exact = param(exact), exact.astype(np.float32).astype(np.float64)
    length = np.linalg.norm(exact)
    unit = exact / (length or 1)
    for y, expected, slopes in (
        (autograd.norm(x), length, unit),
        (autograd.std(x), exact.std(), (exact - exact.mean()) / (4 * exact.std() or 1)),
        (autograd.clip_by_norm(x, 2.0), unit * min(length, 2.0), None),
    ):
        if 0 < np.max(expected) < 1e-36:
            continue
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-37)
        (dx,) = gradient(y, x)
        assert np.isfinite(dx).all()
        if slopes is not None and exact.std() > length / 100:
            np.testing.assert_allclose(dx, slopes, rtol=1e-3, atol=1e-4)
        elif slopes is None and length < 2:
            np.testing.assert_array_equal(dx, 1)


@as_for_users
def test_infinite_elements_share_what_is_theirs():
    for values, shares in (([INF, 1.0], [1, 0]), ([INF, -1e30, INF], [0.5, 0, 0.5])):
        x = param(values)
        y = autograd.logsumexp(x)
        assert y.item() == INF
        np.testing.assert_array_equal(gradient(y, x)[0], shares)
        y = autograd.norm(x)
        assert y.item() == INF
        np.testing.assert_allclose(gradient(y, x)[0], np.sqrt(shares), rtol=1e-6)
        np.testing.assert_allclose(autograd.clip_by_norm(x, 2.0), 2 * np.sqrt(shares), rtol=1e-6)
        assert np.isfinite(gradient(autograd.cossim(x, x), x)[0]).all()
    assert np.isnan(autograd.norm(param([NAN, 1.0])).item())
    assert np.isnan(autograd.clip_by_norm(param([NAN, 1.0]), 2.0).to_numpy()).all()


@as_for_users
def test_slopes_at_the_ends_of_a_bend():
    x = param([-3.0, 3.0, 2.9999998])
    np.testing.assert_allclose(gradient(autograd.hardswish(x), x)[0], [0, 1, 1.5])


# -- windows and orders ----------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from([-INF, -INF, 0.0, 1.0, NAN, INF]), min_size=9, max_size=9),
    st.tuples(*[st.integers(0, 1)] * 4),
    st.sampled_from([np.float32, np.float64]),  # of which a native kernel may take the first
)
def test_each_window_gives_its_gradient_to_an_element_of_its_own(values, pads, dtype):
    x = param(np.reshape(values, (1, 1, 3, 3)), dtype)
    y = autograd.max_pool_2d(x, 2, 1, pads)
    (dx,) = gradient(y, x)
    expected = np.zeros((3, 3))
    top, bottom, left, right = pads
    for i, j in np.ndindex(2 + top + bottom, 2 + left + right):
        rows, columns = (range(max(k - b, 0), min(k - b + 2, 3)) for k, b in ((i, top), (j, left)))
        seen = [(a, b) for a in rows for b in columns]
        inside = [x.to_numpy()[0, 0, a, b] for a, b in seen]
        broken = [k for k, v in enumerate(inside) if np.isnan(v)]
        best = broken[-1] if broken else int(np.argmax(inside))
        np.testing.assert_array_equal(y.to_numpy()[0, 0, i, j], inside[best])
        expected[seen[best]] += 1
    np.testing.assert_array_equal(dx[0, 0], expected)


@as_for_users
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([-0.0, 0.0, 1.0, -1.0, INF, -INF, NAN, -NAN]), min_size=6, max_size=6),
    st.sampled_from([np.float32, np.float16]),
)
def test_the_greatest_come_in_the_order_of_sort(values, dtype):
    x = param(values, dtype)
    for largest in (True, False):
        found, places = autograd.topk(x, 4, largest=largest)
        order = autograd.argsort(x, descending=largest).to_numpy()[:4]
        np.testing.assert_array_equal(places, order)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(x.to_numpy()[order]))
        np.testing.assert_array_equal(gradient(found, x)[0], np.isin(np.arange(6), order))
    assert autograd.argmax(x).item() == autograd.topk(x, 1)[1].item()


# -- nothing ---------------------------------------------------------------------------------------


def test_an_empty_axis_has_gradients():
    a, b, bias = param(np.zeros((2, 0))), param(np.zeros((0, 3))), param(np.ones(3))
    for y in (
        a @ b,
        autograd.affine(a, b, bias),
        autograd.gemm(a, b),
        autograd.einsum("ik,kj", a, b),
    ):
        assert y.shape == (2, 3)
        found = gradient(y, a, b)
        assert [g.shape for g in found] == [(2, 0), (0, 3)]
    np.testing.assert_array_equal(gradient(autograd.affine(a, b, bias), bias)[0], [2, 2, 2])
    one = param(np.zeros(0))
    for norm in (autograd.layer_norm, autograd.rms_norm):
        y = norm(a, one, one)
        assert y.shape == (2, 0)
        assert [g.shape for g in gradient(y, a, one)] == [(2, 0), (0,)]
    x = param(np.zeros((4, 2, 0)))
    w_ih, w_hh = param(np.zeros((0, 6))), param(np.ones((2, 6)))
    y, _ = autograd.gru(x, w_ih, w_hh)
    assert [g.shape for g in gradient(y, x, w_ih, w_hh)] == [(4, 2, 0), (0, 6), (2, 6)]


def test_no_axis_at_all_is_refused():
    x = param([[1.0, 2.0]])
    for function in (autograd.reduce_sum, autograd.norm, autograd.flip, autograd.unsqueeze):
        with pytest.raises(ArgumentError, match="one or more integers are expected"):
            function(x, axes=[]) if function is autograd.reduce_sum else function(x, axis=[])


def test_a_single_number_is_a_batch_of_one_and_has_no_axes():
    x, t = param(0.25), param(1.0)
    for loss, expected in (
        (autograd.binary_cross_entropy(x, t), -np.log(0.25)),
        (autograd.binary_cross_entropy_with_logits(x, t), np.log1p(np.exp(-0.25))),
        (autograd.kl_div(x, t), -0.25),
    ):
        assert loss.item() == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(gradient(loss, x)[0])
    assert autograd.nonzero(x).shape == (0, 1)
    assert autograd.nonzero(x * 0.0).shape == (0, 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "cross_entropy", "nll_loss"])
def test_a_batch_that_is_ignored_leaves_the_parameters_alone(name, weighted):
    x = param(np.random.default_rng(0).uniform(0.1, 0.9, (3, 4)))
    weight = Tensor(data=np.ones(4, np.float32)) if weighted else None

    def step(x, t):
        loss = getattr(autograd, name)(x, t, weight, -100, 0.1)
        return loss, autograd.gradients(loss)[x]

    t = Tensor(data=np.full(3, -100, np.int16))
    for loss, dx in (step(x, t), Steps()(step, (x, t), {}, False)):
        assert np.isnan(loss.item())
        np.testing.assert_array_equal(dx, np.zeros((3, 4)))
    loss, dx = step(x, Tensor(data=np.array([-100, 1, -100], np.int16)))
    plain = {
        "softmax_cross_entropy": jax.nn.log_softmax, "cross_entropy": jnp.log,
        "nll_loss": lambda x: x,
    }[name]  # fmt: skip
    expected, dexpected = jax.value_and_grad(
        lambda x: -(plain(x)[1] * (0.9 * jnp.eye(4)[1] + 0.025)).sum()
    )(x.data)
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(dx, dexpected, rtol=1e-4, atol=1e-6)


def test_labels_behind_the_end_may_be_anything_and_others_must_be_classes():
    x = param(jax.nn.log_softmax(np.random.default_rng(0).standard_normal((4, 2, 3))))
    frames, counts = Tensor(data=[4, 300]), Tensor(data=[2, 1])
    losses = [
        autograd.ctc_loss(x, Tensor(data=[[1, 2], [1, behind]]), frames, counts)
        for behind in (0, -1, 99)
    ]
    for loss in losses[1:]:
        assert loss.item() == losses[0].item()
        np.testing.assert_array_equal(gradient(loss, x)[0], gradient(losses[0], x)[0])
    wrong = autograd.ctc_loss(x, Tensor(data=[[1, 3], [1, 0]]), frames, counts)
    assert np.isnan(wrong.item())
