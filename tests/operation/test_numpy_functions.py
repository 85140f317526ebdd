"""NumPy's functions on Tensors: recorded, or refused where a gradient would be lost."""

import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd
from singa.errors import DTypeError, GradientError
from singa.operation.numpy_functions import FUNCTIONS, UFUNCS
from singa.tensor import Tensor

X = np.array([[0.25, 0.5, 0.75], [0.9, 0.1, 0.6]], np.float32)
ABOVE_ONE = {np.arccosh}
OF_BOOLS = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert}

ARGUMENTS = {
    np.reshape: ((3, 2),),
    np.broadcast_to: ((2, 2, 3),),
    np.expand_dims: (1,),
    np.argmax: (1,),
    np.argmin: (1,),
    np.clip: (0.2, 0.7),
    np.quantile: (0.3, 1),
    np.round: (1,),
    np.moveaxis: (0, 1),
    np.swapaxes: (0, 1),
    np.roll: (2,),
    np.take: ([0, 5],),
    np.take_along_axis: (np.array([[1], [0]]), 1),
    np.outer: (X,),
    np.kron: (X,),
}


def parameter(data):
    return Tensor(data=data, stores_grad=True)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_an_elementwise_function_is_the_operation(ufunc, training):
    x = X + 1 if ufunc in ABOVE_ONE else X > 0.5 if ufunc in OF_BOOLS else X
    other = x[::-1].copy() if ufunc is not np.matmul else X.T.copy()
    arrays = [x, other][: ufunc.nin]
    expected = ufunc(*arrays)
    mine = parameter(arrays[-1])
    found = ufunc(*arrays[:-1], mine)  # with NumPy's array on the left, if there are two
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=2e-6, atol=1e-6)
    if found.dtype == np.float32:
        again = parameter(arrays[-1])
        theirs = UFUNCS[ufunc](*map(_constant, arrays[:-1]), again)
        np.testing.assert_array_equal(_gradient(found, mine), _gradient(theirs, again))


def _constant(array):
    return Tensor(data=array, requires_grad=False)


def _gradient(y, x):
    return autograd.grad(y, x, dy=Tensor(data=np.ones(y.shape, np.float32))).to_numpy()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_another_function_is_an_operation(function, training):
    x = parameter(X)
    if function in (np.concatenate, np.stack):
        found, expected = function([X, x], axis=1), function([X, X], axis=1)
    elif function in (np.hstack, np.vstack):
        found, expected = function([X, x]), function([X, X])
    elif function is np.where:
        found, expected = function(x > 0.5, x, 0.0), function(X > 0.5, X, 0.0)
    else:
        more = ARGUMENTS.get(function, ())
        found, expected = function(x, *more), function(X, *more)
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-6)
    if found.dtype == np.float32:
        assert found.creator is not None


def test_the_place_of_the_largest_is_that_of_all_elements_by_default():
    x = Tensor(data=X)
    for function in (np.argmax, np.argmin):
        assert function(x).item() == function(X)
        assert function(x, keepdims=True).shape == (1, 1)


def test_operators_of_bools_take_them_on_both_sides():
    t, array = Tensor(data=[True, False, True]), np.array([True, True, False])
    for found in (array & t, t & array, array | t, array ^ t, True & t, np.True_ | t):
        assert isinstance(found, Tensor)
    assert (array ^ t).tolist() == [False, True, True]
    assert (False | t).tolist() == t.tolist()
    for numbers in (array.astype(int), array.astype(np.float32)):
        with pytest.raises(DTypeError, match="are for bool Tensors"):
            numbers & t


@pytest.fixture
def training():
    with autograd.enable_grad():
        yield


def test_a_penalty_with_numpys_factor_has_a_gradient(training):
    w = parameter([1.0, 2.0])
    loss = np.float32(0.5) * (w * w).sum() + (np.ones(2, np.float32) - w).sum()
    [(_, gradient)] = autograd.backward(loss)
    assert gradient.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "compute",
    [
        lambda w: np.percentile(w, 50),
        lambda w: np.cbrt(w),
        lambda w: np.add.reduce(w),
        lambda w: np.linalg.norm(w),
        lambda w: np.interp(w, [0, 3], [0, 1]),
        lambda w: np.ones(2).__iadd__(w),
        lambda w: np.sum(w, dtype=np.float64),
        lambda w: jnp.ones(2) * w,
    ],
)
def test_a_gradient_is_not_lost_without_a_word(compute, training):
    with pytest.raises(GradientError, match="gradient"):
        compute(parameter([1.0, 2.0]))
    without = compute(Tensor(data=[1.0, 2.0]))
    assert not isinstance(without, Tensor)


def test_what_has_no_gradient_may_be_asked_of_numpy(training):
    w = parameter([[1.0, 2.0]])
    assert (np.shape(w), np.ndim(w), np.size(w)) == ((1, 2), 2, 2)
    assert np.allclose(w, [[1, 2]])
    assert np.array_equal(w, [[1, 2]])
    assert np.argsort(w).tolist() == [[0, 1]]
    np.testing.assert_allclose(w, [[1, 2]])
    assert np.asarray(w).tolist() == [[1, 2]]
    with autograd.no_grad():
        assert np.percentile(w, 50) == 1.5


def test_it_is_the_same_in_a_compiled_step():
    from singa import layer, model, opt

    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.linear = layer.Linear(2)

        def forward(self, x):
            return np.float32(2) * self.linear(x) - np.ones(2, np.float32)

        def train_one_batch(self, x):
            loss = np.mean(np.square(self.forward(x)))
            self.optimizer(loss)
            return loss

    losses = []
    for use_graph in (False, True):
        net, x = Net(), Tensor(data=X)
        net.set_optimizer(opt.SGD(0.1))
        net.compile([x], use_graph=use_graph)
        net.linear.W.set_value(0.5)
        losses.append([net(x).item() for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0][2] < losses[0][0]
