"""check_gradients finds a wrong backward, and says where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd
from singa.errors import GradientError
from singa.tensor import Tensor


class Cube(autograd.Operation):
    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return 3 * dy * self.x**2


class WrongAtOnePlace(Cube):
    def backward(self, dy):
        return super().backward(dy).at[1, 0].add(0.5)


class TwoResults(autograd.Operation):
    """In five lines: jax derives the backward."""

    def forward(self, x, ids):
        return jnp.sin(x) * ids, ids + 1, x.sum()


X = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)


def test_a_right_backward_passes_in_both_orders():
    autograd.check_gradients(Cube(), [X], order=2)
    autograd.check_gradients(TwoResults(), [X, np.array([1, 2])], order=2)
    autograd.check_gradients(lambda a, b: a @ b, [Tensor(data=X), X], order=2)


def test_the_worst_element_of_a_wrong_one_is_shown():
    expected = (
        r"check_gradients: WrongAtOnePlace: input 0, element \(1, 0\), where it is 2: backward "
        r"gives 6\.99\d+, the slope of forward is 6\.49\d+"
    )
    with pytest.raises(GradientError, match=expected):
        autograd.check_gradients(WrongAtOnePlace(), [X])


def test_a_wrong_second_derivative_is_found():
    class Broken(Cube):
        def backward(self, dy):
            return 3 * dy * jax.lax.stop_gradient(self.x) ** 2

    autograd.check_gradients(Broken(), [X])
    with pytest.raises(GradientError, match=r"the gradient of Broken: input 0, element"):
        autograd.check_gradients(Broken(), [X], order=2)


def test_what_is_random_has_no_slope():
    def noisy(x):
        return x * Tensor(x.shape, dtype=x.dtype).uniform()

    with pytest.raises(GradientError, match="noisy gives different results for the same inputs"):
        autograd.check_gradients(noisy, [X])


def test_a_missing_gradient_is_one_of_zero():
    with pytest.raises(GradientError, match=r"input 1, element \(1, 0\).*backward gives 0,"):
        autograd.check_gradients(lambda a, b: a * b.detach(), [X, X])
