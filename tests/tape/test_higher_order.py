"""The backward pass recorded: derivatives of derivatives, of formulas and of networks.

Those of every operation are in tests/operation/test_table.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, device, layer, tensor
from singa.errors import GradientError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor


def test_powers_down_to_a_constant():
    x = Tensor(data=np.array([0.5, -2.0]), stores_grad=True)
    with autograd.enable_grad():
        y, expected = x**4, [4 * x**3, 12 * x**2, 24 * x, Tensor(data=[24.0, 24.0]), x * 0]
        for derivative in expected:
            y = autograd.grad(y.sum(), x, create_graph=True)
            np.testing.assert_allclose(y, derivative)


def test_a_gradient_penalty_trains_like_the_plain_formula():
    rng = np.random.default_rng(0)
    w = [rng.standard_normal(s) for s in ((3, 8), (8, 1))]
    x = rng.standard_normal((5, 3))

    def plain(w):
        def critic(x):
            return jnp.tanh(x @ w[0]) @ w[1]

        dx = jax.grad(lambda x: critic(x).sum())(x)
        return critic(x).mean() + 10 * ((jnp.sqrt((dx**2).sum(1)) - 1) ** 2).mean()

    params = [Tensor(data=a, stores_grad=True) for a in w]
    images = Tensor(data=x, stores_grad=True)
    with autograd.enable_grad():
        critic = autograd.tanh(images @ params[0]) @ params[1]
        dx = autograd.grad(critic.sum(), images, create_graph=True)
        loss = critic.mean() + 10.0 * ((dx.norm(axis=1) - 1.0) ** 2).mean()
    found = autograd.gradients(loss)
    for p, expected in zip(params, jax.grad(plain)(w), strict=True):
        np.testing.assert_allclose(found[p], expected, rtol=1e-9)


def test_a_penalty_through_layers_eagerly_and_compiled():
    device.get_default_device().SetRandSeed(0)
    parts = [layer.Conv2d(4, 3, padding=1), layer.BatchNorm2d(), layer.ReLU(), layer.MaxPool2d(2),
             layer.Flatten(), layer.Linear(1)]  # fmt: skip
    net = layer.Sequential(*parts)
    x = Tensor((2, 1, 8, 8)).gaussian()

    def penalty(x):
        images = Tensor(data=x.data, stores_grad=True)
        with autograd.enable_grad():
            dx = autograd.grad(net(images).sum(), images, create_graph=True)
            loss = (dx * dx).sum()
        return loss, autograd.gradients(loss)[parts[0].W]

    autograd.training = True
    try:
        penalty(x)
        eager, compiled = penalty(x), Steps()(penalty, (x,), {}, False)
    finally:
        autograd.training = False
    assert np.abs(eager[1].to_numpy()).max() > 0
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_one_inner_step_of_maml():
    w, x = np.array([1.5, -0.5]), np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])

    def task(w, x):
        return ((x @ w) ** 2).mean()

    expected = jax.grad(lambda w: task(w - 0.1 * jax.grad(task)(w, x[:2]), x[2:]))(w)
    p, data = Tensor(data=w, stores_grad=True), Tensor(data=x)
    with autograd.enable_grad():
        adapted = p - 0.1 * autograd.grad(task(p, data[:2]), p, create_graph=True)
        outer = task(adapted, data[2:])
    np.testing.assert_allclose(autograd.grad(outer, p), expected)


def test_a_parameter_that_was_assigned_since_is_differentiated_where_it_was():
    w = Tensor(data=np.array([3.0]), stores_grad=True)
    with autograd.enable_grad():
        dw = autograd.grad((w**3).sum(), w, create_graph=True)
        w -= 1.0
        second = autograd.grad(dw.sum(), w)
    assert dw.item() == 27
    assert second.item() == 18


def test_backward_and_gradients_record_too():
    w = Tensor(data=np.array([3.0]), stores_grad=True)
    with autograd.enable_grad():
        y = (w**3).sum()
        [(same, dw)] = autograd.backward(y, create_graph=True)
        assert same is w
        assert autograd.gradients(dw.sum())[w].item() == 18
    assert autograd.gradients(y)[w].creator is None


def test_grad_computes_only_what_it_is_asked_for():
    class Watched(autograd.Operation):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            raise AssertionError("nobody needs this")

    a, b = (Tensor(data=[1.0, 2.0], stores_grad=True) for _ in "ab")
    with autograd.enable_grad():
        h = b * 3.0
        y = (Watched()(a)[0] * h).sum()
    np.testing.assert_array_equal(autograd.grad(y, b), [6, 12])
    np.testing.assert_array_equal(autograd.grad(y, h), [2, 4])
    first, second = autograd.grad(y, [h, b])
    np.testing.assert_array_equal(second, 3 * first.to_numpy())


def test_a_result_is_found_whatever_handle_it_has():
    x = Tensor(data=[1.0, 2.0], stores_grad=True)
    with autograd.enable_grad():
        h = x * 2.0
        other = Tensor((2,))
        tensor.add(h, 0.0, ret=other)
        y = (other * other).sum()
    np.testing.assert_array_equal(autograd.grad(y, other), [4, 8])
    np.testing.assert_array_equal(autograd.grad(y, y), 1)


def test_what_was_not_used_has_a_gradient_of_zeros():
    x, unused = (Tensor(data=[1.0, 2.0], stores_grad=True) for _ in range(2))
    with autograd.enable_grad():
        y = (x * x).sum()
    np.testing.assert_array_equal(autograd.grad(y, [x, unused])[1], [0, 0])


def test_mistakes_are_named():
    x, plain = Tensor(data=[1.0, 2.0], stores_grad=True), Tensor((2,))
    with autograd.enable_grad():
        y = x * plain
    with pytest.raises(GradientError, match=r"grad: xs\[1\], of shape \(2,\), has no gradient"):
        autograd.grad(y.sum(), [x, plain])
    with pytest.raises(GradientError, match=r"grad: y is of shape \(2,\)"):
        autograd.grad(y, x)
    with pytest.raises(ShapeError, match=r"grad: dy is of shape \(3,\), y of \(2,\)"):
        autograd.grad(y, x, np.ones(3))
    with pytest.raises(GradientError, match="in a block of no_grad"):
        autograd.grad((x * 2.0).sum(), x)

    class OnHost(autograd.Operation):
        traceable = False

        def forward(self, x):
            return np.asarray(x) * 2

        def backward(self, dy):
            return np.asarray(dy) * 2

    with autograd.enable_grad():
        y = OnHost()(x)[0].sum()
    with pytest.raises(GradientError, match="OnHost runs as Python on the host"):
        autograd.grad(y, x, create_graph=True)


def f(x):
    return autograd.sin(x[:2] * x[1:]).sum() + (x**3).sum()


def plain_f(x):
    return jnp.sin(x[:2] * x[1:]).sum() + (x**3).sum()


X = np.array([0.5, -1.0, 2.0])


def test_hessians_and_products_with_them():
    x, v = Tensor(data=X), np.array([1.0, 2.0, -1.0])
    expected = jax.hessian(plain_f)(X)
    np.testing.assert_allclose(autograd.hessian(f, x), expected, rtol=1e-10)
    np.testing.assert_allclose(autograd.hvp(f, x, v), expected @ v, rtol=1e-10)


def test_jacobians():
    def outer(x):
        return autograd.exp(x.reshape((3, 1)) * x)

    def plain(x):
        return jnp.exp(x[:, None] * x)

    np.testing.assert_allclose(autograd.jacobian(outer, Tensor(data=X)), jax.jacobian(plain)(X))
    assert autograd.jacobian(lambda x: x[:0], Tensor(data=X)).shape == (0, 3)
    constant = autograd.jacobian(lambda x: Tensor(data=[1.0]), Tensor(data=X))
    np.testing.assert_array_equal(constant, np.zeros((1, 3)))


def test_products_with_a_jacobian_from_both_sides():
    def g(a, b):
        return autograd.tanh(a) * b

    def plain(a, b):
        return jnp.tanh(a) * b

    a, b = X, X[::-1].copy()
    va, vb = np.array([1.0, -1.0, 0.5]), np.array([0.3, 0.2, 0.1])
    y, moved = autograd.jvp(g, [Tensor(data=a), Tensor(data=b)], [va, vb])
    expected, expected_moved = jax.jvp(plain, (a, b), (va, vb))
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(moved, expected_moved)
    y, gradients = autograd.vjp(g, [Tensor(data=a), Tensor(data=b)], va)
    for ours, theirs in zip(gradients, jax.vjp(plain, a, b)[1](jnp.asarray(va)), strict=True):
        np.testing.assert_allclose(ours, theirs)
    with pytest.raises(ShapeError, match=r"jvp: vs\[1\] is of shape \(2,\), xs\[1\] of \(3,\)"):
        autograd.jvp(g, [Tensor(data=a), Tensor(data=b)], [va, vb[:2]])


def test_blocks_turn_recording_on_and_off():
    x = Tensor(data=[1.0], stores_grad=True)

    @autograd.no_grad()
    def unrecorded():
        return x * 2.0

    autograd.training = True
    try:
        assert unrecorded().creator is None
        assert unrecorded().creator is None
        with autograd.no_grad(), autograd.enable_grad():
            assert (x * 2.0).creator is not None
        assert (x * 2.0).creator is not None
        with autograd.no_grad():
            dropped = autograd.dropout(tensor.ones((1000,)), 0.5)
            assert 200 < (dropped == 0).sum().item() < 800  # layers behave as in training
    finally:
        autograd.training = False
    with autograd.enable_grad():
        kept = autograd.dropout(x, 0.5)
        assert kept.item() == 1
        assert (x * 2.0).creator is not None
    assert (x * 2.0).creator is None


def test_a_function_is_compiled_for_each_kind_of_recording():
    x = Tensor(data=[3.0], stores_grad=True)

    def recorded(x):
        y = x * x * Tensor(data=[1.0], stores_grad=True)
        return Tensor(data=float(y.creator is not None))

    steps = Steps()
    with autograd.enable_grad():
        assert steps(recorded, (x,), {}, False).item() == 1
    with autograd.no_grad():
        assert steps(recorded, (x,), {}, False).item() == 0
