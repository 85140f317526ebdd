"""jax functions as operations, our functions in jax's transformations, Tensors in jax functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, layer
from singa.errors import CaptureError, DTypeError
from singa.graph import Steps
from singa.tensor import Tensor

X = np.array([0.5, -1.0, 2.0], np.float32)


def test_a_jax_function_is_an_operation_eagerly_and_compiled():
    sinc = autograd.from_jax(jnp.sinc)
    x = Tensor(data=X, stores_grad=True)
    expected = jax.grad(lambda x: (jnp.sinc(x) ** 2).sum())(X)

    def step(t):
        return autograd.gradients((sinc(x * t) ** 2).sum())[x]

    with autograd.enable_grad():
        y = sinc(x)
        assert y.creator.name == "sinc"
        eager, compiled = step(Tensor(data=1.0)), Steps()(step, (Tensor(data=1.0),), {}, False)
    np.testing.assert_allclose(eager, expected, rtol=1e-5)
    np.testing.assert_allclose(compiled, expected, rtol=1e-5)


def test_a_jax_function_of_several_results():
    both = autograd.from_jax(lambda a, b: (a * b, a + b))
    product, total = both(Tensor(data=X), Tensor(data=X))
    np.testing.assert_allclose(product, X * X)
    np.testing.assert_allclose(total, X + X)
    autograd.check_gradients(both, [X, X], order=2)


def test_ours_in_jax():
    linear = layer.Linear(2)
    linear(Tensor((1, 3)))

    def ours(x):
        return autograd.tanh(linear(x)).sum()

    def plain(x):
        return jnp.tanh(x @ linear.W.data + linear.b.data).sum()

    rows = np.stack([X, 2 * X])[:, None]
    pure = autograd.to_jax(ours)
    np.testing.assert_allclose(jax.jit(pure)(rows[0]), plain(rows[0]), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(pure)(rows[0]), jax.grad(plain)(rows[0]), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(pure)(rows), jax.vmap(plain)(rows), rtol=1e-6)
    np.testing.assert_allclose(jax.hessian(pure)(rows[0]), jax.hessian(plain)(rows[0]), rtol=1e-4)


def test_ours_in_jax_changes_nothing_outside():
    counter = Tensor(data=[0.0])

    def counts(x):
        t = x * 1.0
        t += 1.0
        counter.data = t.data
        return t

    with pytest.raises(CaptureError, match="assigns a Tensor from outside"):
        jax.jit(autograd.to_jax(counts))(X[:1])
    assert counter.item() == 0
    with pytest.raises(DTypeError, match="must return Tensors, got int"):
        autograd.to_jax(lambda x: 1)(X)


def test_tensors_go_into_jax_functions():
    np.testing.assert_allclose(jnp.sin(jnp.asarray(Tensor(data=X))), np.sin(X), rtol=1e-6)
