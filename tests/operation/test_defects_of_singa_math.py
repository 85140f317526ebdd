"""Defects of the original SINGA in arithmetic, activations, losses and logic are fixed here.

The numbers are those of the list of its defects.
"""

import numpy as np
import pytest

from catalogue.tensors import param
from singa import autograd
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("recording")


def weighted(y, dy, *xs):
    found = autograd.gradients(y, np.array(dy, np.float32))
    return [found[x].to_numpy() for x in xs]


def test_a_gradient_that_goes_two_ways_is_not_shared_in_memory():
    """Number 3: loss = mse(a c + (a + b)) gave b the gradient 42 instead of 7."""
    for same in (autograd.add, autograd.sum, lambda a, b: autograd.identity(a) + b):
        a, b, c = param([2.0]), param([1.5]), param([0.0])
        y = autograd.add(autograd.mul(a, c), same(a, b))
        da, db, dc = weighted(autograd.mse_loss(y, Tensor(data=[0.0])), 1, a, b, c)
        assert (da, db, dc) == (7, 7, 14)


def test_the_gradient_of_min_and_max_is_the_incoming_one():
    """Number 5: it was a mask of ones, and did not sum over broadcast axes."""
    a, b = param([[1.0, 5.0], [7.0, 2.0]]), param([3.0, 3.0])
    dy = [[2.0, 3.0], [4.0, 5.0]]
    da, db = weighted(autograd.max(a, b), dy, a, b)
    np.testing.assert_array_equal(da, [[0, 3], [4, 0]])
    np.testing.assert_array_equal(db, [2, 5])
    da, db = weighted(autograd.min(a, b), dy, a, b)
    np.testing.assert_array_equal(da, [[2, 0], [0, 5]])
    np.testing.assert_array_equal(db, [4, 3])


def test_the_slope_of_erf_is_taken_at_x():
    """Number 6: it was taken at dy."""
    x = param([0.5])
    expected = 3 * 2 / np.sqrt(np.pi) * np.exp(-0.25)
    np.testing.assert_allclose(weighted(autograd.erf(x), [3.0], x)[0], expected, rtol=1e-6)


ONE_HOT = np.array([[1, 0], [0, 1]], np.float32)
LOSSES = [
    "softmax_cross_entropy", "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "huber_loss",
    "smooth_l1_loss", "hinge_loss", "kl_div", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "ranking_loss",
]  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_can_be_scaled_and_added_to_another(name):
    """Number 8: softmax_cross_entropy and ranking_loss ignored dy."""
    loss = getattr(autograd, name)
    x, t = param([[0.3, 0.6], [0.2, 0.9]]), Tensor(data=ONE_HOT)
    (alone,) = weighted(loss(x, t), 1, x)
    assert np.abs(alone).max() > 0
    (scaled,) = weighted(loss(x, t) * 3.0 + autograd.reduce_sum(x, keepdims=False), 2, x)
    np.testing.assert_allclose(scaled, 6 * alone + 2, rtol=1e-5)


def test_binary_cross_entropy_pushes_a_wrong_certainty_down():
    """Number 11: for x = 0.9999 and t = 0 the gradient was -9998 instead of about 10000."""
    x = param([[0.9999]])
    (dx,) = weighted(autograd.binary_cross_entropy(x, Tensor(data=np.zeros((1, 1)))), 1, x)
    assert dx.item() == pytest.approx(1e4, rel=0.01)


def test_a_loss_can_be_differentiated_twice():
    """Number 23: mse_loss changed the error that it had saved."""
    x = param([[1.0, 2.0]])
    loss = autograd.mse_loss(x, Tensor(data=np.zeros((1, 2), np.float32)))
    first, second = weighted(loss, 1, x), weighted(loss, 1, x)
    np.testing.assert_array_equal(first, second)


def test_sum_and_mean_of_several_tensors_have_gradients_and_broadcast():
    """Number 24: their backward returned a list in place of the gradients."""
    a, b, c = param([[1.0, 2.0], [3.0, 4.0]]), param([3.0, 6.0]), param(0.0)
    np.testing.assert_array_equal(autograd.mean(a, b, c) * 3.0, [[4, 8], [6, 10]])
    da, db, dc = weighted(autograd.sum(a, b, c), np.ones((2, 2)), a, b, c)
    np.testing.assert_array_equal(da, np.ones((2, 2)))
    np.testing.assert_array_equal(db, [2, 2])
    assert dc == 4
    assert weighted(autograd.mean(a, b, c), np.full((2, 2), 3), a, b, c)[2] == 4


def test_add_all_returns_the_sum():
    """Number 27: it returned None."""
    xs = [param([1.0]), param([2.0]), param([4.0])]
    assert autograd.add_all(*xs).item() == 7
    assert autograd.add_all(xs[0]).item() == 1


def test_exponential_units_and_softplus_bear_large_numbers():
    """Number 38: for x > 88 the gradients were NaN, and softplus infinite."""
    x = param([100.0, 1e38])
    for function, slope in (
        (autograd.elu, 1), (autograd.selu, 1.0507009873554805), (autograd.softplus, 1)
    ):  # fmt: skip
        y = function(x)
        np.testing.assert_allclose(y, slope * x.to_numpy(), rtol=1e-6)
        np.testing.assert_allclose(weighted(y, [1, 1], x)[0], [slope, slope], rtol=1e-6)


def test_half_floats_stay_half_floats():
    """Number 40: arithmetic on float16 gave float32."""
    x = Tensor(data=np.array([0.5, 0.25], np.float16), stores_grad=True)
    y = autograd.clip(autograd.mean(autograd.erf(x), x * 2.0), 0.1, None)
    assert str(y.dtype) == "float16"
    assert str(autograd.gradients(y, np.ones(2))[x].dtype) == "float16"


def test_comparisons_do_not_subtract():
    """Less and Greater computed a - b first, which is wrong for infinities."""
    a = param([np.inf, -np.inf, np.inf])
    b = param([np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(autograd.less(a, b), [False, False, False])
    np.testing.assert_array_equal(autograd.greater(a, b), [False, False, True])
    np.testing.assert_array_equal(autograd.equal(a, b), [True, True, False])


def test_logic_does_not_multiply():
    """``_and`` multiplied, and the product of tiny numbers is 0."""
    a, b = param([1e-30, 1e-30, 0.0, 0.0]), param([1e-30, 0.0, 1e-30, 0.0])
    np.testing.assert_array_equal(autograd._and(a, b), [True, False, False, False])
    np.testing.assert_array_equal(autograd._or(a, b), [True, True, True, False])
    np.testing.assert_array_equal(autograd._xor(a, b), [False, True, True, False])
    np.testing.assert_array_equal(autograd._not(a), [False, False, True, True])


def test_where_sums_its_gradients_over_broadcast_axes_and_takes_a_tensor_as_condition():
    """It did not, and the condition was an array fixed at construction."""
    a, b = param([[1.0, 2.0], [3.0, 4.0]]), param([9.0, 8.0])
    y = autograd.where(a, b, Tensor(data=[[True, False], [False, False]]))
    np.testing.assert_array_equal(y, [[1, 8], [9, 8]])
    da, db = weighted(y, [[1, 2], [3, 4]], a, b)
    np.testing.assert_array_equal(da, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(db, [3, 6])


def test_builtins_are_still_those_of_python():
    """Number 44: sum, min, max, abs, pow and round of the module were used for Python's."""
    assert autograd.softmax(param([[1.0, 2.0]])).shape == (1, 2)
    x = param(np.ones((2, 3)))
    assert autograd.reduce_max(x, [0, 1]).shape == (1, 1)
    assert autograd.rounde(x).shape == (2, 3)
