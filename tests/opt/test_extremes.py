"""Gradients near the limits of their types, and Adafactor against optax's, for random shapes."""

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd, layer, model, opt
from singa.tensor import Tensor


def moved(grads, **options):
    """What one step of SGD subtracts."""
    params = [Tensor(data=np.zeros_like(g), stores_grad=True) for g in grads]
    opt.SGD(1.0, **options).update_all(
        [(p, Tensor(data=g)) for p, g in zip(params, grads, strict=True)]
    )
    return [-p.to_numpy() for p in params]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-3, 3, width=32), min_size=5, max_size=5),
    st.integers(-34, 38),
    st.sampled_from([1.0, 1e-20, 1e20]),
)
def test_the_norm_of_huge_and_tiny_gradients(values, power, most):
    exact = np.array(values) * 10.0**power
    exact[np.abs(exact) < 1e-37] = 0
    flat = exact.astype(np.float32)
    found = np.concatenate(moved([flat[:2], flat[2:]], clip_norm=most))
    length = np.linalg.norm(flat.astype(np.float64))
    expected = flat * min(1.0, most / length if length else 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1.0, 1e22, 1e30])
def test_a_step_of_lamb_is_as_long_as_the_parameter_whatever_its_size(size):
    p = Tensor(data=np.array([3.0, 4.0], np.float32) * np.float32(size), stores_grad=True)
    before = p.to_numpy()
    opt.LAMB(0.5, weight_decay=0).update(p, Tensor(data=[1.0, -1.0]))
    step = (p.to_numpy() - before).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(step / size), 0.5 * 5, rtol=1e-5)


def test_not_a_number_makes_all_gradients_so_and_infinity_its_own():
    nan, inf = np.nan, np.inf
    for bad, expected in (
        (nan, [[nan, nan], [nan]]),
        (inf, [[nan, 0], [0]]),
        (-inf, [[nan, 0], [0]]),
    ):
        found = moved([np.array([bad, 1], np.float32), np.array([2], np.float32)], clip_norm=1.0)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        moved([np.zeros((0, 2), np.float32)], clip_norm=1.0)[0].shape, (0, 2)
    )


class Classifier(model.Model):
    def __init__(self, optimizer):
        super().__init__()
        self.words, self.linear = layer.Embedding(200, 4), layer.Linear(200)
        self.optimizer = optimizer

    def forward(self, x):
        return self.linear(self.words(x))

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y, ignore_index=-100)
        self.optimizer(loss)
        return out, loss


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "compiled"])
def test_a_batch_without_targets_leaves_a_model_as_it_was(graph):
    net = Classifier(opt.Adam(0.1, clip_norm=1.0))
    x = Tensor(data=np.array([3, 199, 0], np.uint8))
    net.compile([x], is_train=True, use_graph=graph)
    before = {name: p.to_numpy() for name, p in net.get_params().items()}
    _, loss = net(x, Tensor(data=np.full(3, -100, np.int8)))
    assert np.isnan(loss.item())
    for name, p in net.get_params().items():
        np.testing.assert_array_equal(p, before[name])
    _, loss = net(x, Tensor(data=np.array([-100, 127, 3], np.int8)))
    assert loss.item() == pytest.approx(np.log(200), rel=0.5)
    assert all(np.isfinite(p.to_numpy()).all() for p in net.get_params().values())


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 4))
def test_adafactor_is_that_of_optax_for_all_shapes(shape, factored_from):
    rng = np.random.default_rng(sum(shape))
    start = rng.standard_normal(shape).astype(np.float32)
    ours = opt.Adafactor(0.01, factored_from=factored_from)
    theirs = optax.adafactor(0.01, min_dim_size_to_factor=factored_from)
    p, other = Tensor(data=start, stores_grad=True), jax.device_put(start)
    state = theirs.init(other)

    @jax.jit
    def updated(g, state, other):
        updates, state = theirs.update(g, state, other)
        return optax.apply_updates(other, updates), state

    for _ in range(2):
        g = rng.standard_normal(shape).astype(np.float32)
        ours.update(p, Tensor(data=g))
        other, state = updated(g, state, other)
    np.testing.assert_allclose(p, other, rtol=1e-5, atol=1e-6)
