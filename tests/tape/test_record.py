"""An operation is its configuration: it may be kept, called, copied and changed in any order."""

import copy
import gc
import pickle
import random
import weakref
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, model, opt
from singa.core.journal import Journal
from singa.errors import ArgumentError
from singa.graph import Steps
from singa.tensor import Tensor

# Steps here compute without learning, and their models have optimizers.
pytestmark = pytest.mark.filterwarnings("ignore::singa.errors.TrainingWarning")


class Told(autograd.Operation):
    """x times a number that tells its configuration apart; what it saves is x."""

    def __init__(self, setting):
        super().__init__("told")
        self.setting = setting

    def forward(self, x):
        self.x = x
        return x * number(self.setting)

    def backward(self, dy):
        return dy * number(self.setting) + 0 * self.x


def number(value):
    """A small number that only values which compute the same have in common."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (tuple, list)):
        return 1.0 + sum((i + 2) * number(item) for i, item in enumerate(value))
    kinds = (bool, int, float, np.float32, str)
    return kinds.index(type(value)) + (0.5 if str(value).startswith("-") else float(value))


SETTINGS = (
    0, 1, True, False, 1.0, 0.0, -0.0, np.float32(0.0), np.float32(-0.0), "2",
    (0, 1), (False, True), (0.0, 1), (-0.0, 1), ((1, (0.0,)),), ((1, (-0.0,)),), ((True, (0.0,)),),
    [0.0], [-0.0], [(1,)], [(True,)],
)  # fmt: skip


class Keeps(model.Model):
    """A model that keeps the operation it calls."""

    def __init__(self, setting):
        super().__init__()
        self.operation = Told(setting)
        self.w = Tensor(data=np.array([1.0, 2.0], np.float32), stores_grad=True)
        self.optimizer = opt.SGD(0.0)

    def forward(self, x):
        return self.operation(self.w * x)[0]

    def train_one_batch(self, x):
        y = self.forward(x)
        loss = autograd.reduce_sum(y)
        [(_, dw)] = autograd.backward(loss)
        return y, dw


X = Tensor(data=np.array([3.0, 4.0], np.float32))


def agrees(net):
    y, dw = net(X)
    factor = np.float32(number(net.operation.setting))
    np.testing.assert_array_equal(y, np.array([3, 8], np.float32) * factor)
    np.testing.assert_array_equal(dw, np.array([3, 4], np.float32) * factor)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_done_with_an_operation_that_a_model_keeps_it_computes_what_a_new_one_does(
    seed,
):
    draw = random.Random(seed)
    net = Keeps(draw.choice(SETTINGS))
    net.compile([X], is_train=True, use_graph=False)
    for _ in range(40):
        match draw.randrange(6):
            case 0:
                net.operation = copy.copy(net.operation)
                net.operation.setting = draw.choice(SETTINGS)
            case 1:
                net.graph(draw.random() < 0.5, draw.random() < 0.3)
            case 2:
                net.operation = copy.deepcopy(net.operation)
            case 3:
                net.operation = pickle.loads(pickle.dumps(net.operation))
            case 4:
                net.operation = Told(net.operation.setting)
            case 5:
                net = copy.deepcopy(net)
        agrees(net)
        assert vars(net.operation) == {"setting": net.operation.setting}
        assert net.operation.name == "told"


def test_settings_that_are_equal_in_python_are_different_configurations():
    x = Tensor(data=np.array([1.0, 2.0], np.float32))
    for setting in (*SETTINGS, *SETTINGS[::-1]):
        np.testing.assert_allclose(Told(setting)(x)[0], x.to_numpy() * np.float32(number(setting)))


def test_nan_is_one_configuration():
    runs = []

    class Scaled(autograd.Operation):
        def __init__(self, by):
            super().__init__()
            self.by = by

        def forward(self, x):
            runs.append(self.by)
            return x * self.by[0]

    for nan in (float("nan"), float("-nan"), np.nan, np.float64("nan")):
        assert np.isnan(Scaled((float(nan),))(X)[0].to_numpy()).all()
    assert len(runs) == 1


def test_what_cannot_be_told_apart_is_refused():
    class Anything:
        __hash__ = None

    with pytest.raises(ArgumentError, match="'setting' is a Anything, and nothing says when"):
        Told((Anything(),))(X)
    with pytest.raises(ArgumentError, match="the Tensor in its attribute 'setting' would be"):
        Told(({"a": [X]},))(X)


def test_arrays_within_lists_are_configurations_by_value():
    class Sum(autograd.Operation):
        def __init__(self, arrays):
            super().__init__()
            self.arrays = arrays

        def forward(self, x):
            return x + sum(self.arrays)

    for value in (1.0, 2.0, 1.0):
        y = Sum([np.full(2, value, np.float32), jnp.ones(2, jnp.float32)])(X)[0]
        np.testing.assert_array_equal(y, X.to_numpy() + value + 1)


def test_another_forward_or_backward_of_the_class_is_another_kernel(monkeypatch):
    class Mine(autograd.Operation):
        def forward(self, x):
            return x * 2

    x = Tensor(data=[1.0], stores_grad=True)

    def both():
        with autograd.enable_grad():
            y = Mine()(x)[0]
        return y.item(), autograd.grad(y, x).item()

    assert both() == (2, 2)
    monkeypatch.setattr(Mine, "forward", lambda self, x: x * 5)
    assert both() == (5, 5)
    monkeypatch.setattr(Mine, "backward", lambda self, dy: dy * 7)
    assert both() == (5, 7)
    monkeypatch.undo()
    assert both() == (2, 2)


def test_a_record_shows_the_call_that_it_is_of():
    operation = Told(3.0)
    x = Tensor(data=[1.0, 2.0], stores_grad=True)
    with autograd.enable_grad():
        y = operation(x)[0]
        operation.setting = 4.0
        z = operation(y)[0]
    record = y.creator
    assert record.operation is z.creator.operation is operation
    assert (record.name, record.setting, z.creator.setting) == ("told", 3.0, 4.0)
    assert record.src == ((None, 0, x),)
    assert record.requires_grad
    np.testing.assert_array_equal(record.x, x.data)
    np.testing.assert_array_equal(record.backward(jnp.ones(2)), [5, 5])
    np.testing.assert_array_equal(record.input_gradients({0: jnp.ones(2)}, (True,))[0], [5, 5])
    assert autograd.grad(z.sum(), x).tolist() == [30, 30]
    assert repr(record) == "<Record of Told(setting=4.0)>"
    with pytest.raises(AttributeError, match="'Told' object has no attribute 'nothing'"):
        _ = record.nothing


def test_an_operation_that_is_kept_keeps_nothing_alive():
    operation = Told(2.0)
    steps = Steps()
    x = Tensor(data=[1.0, 2.0], stores_grad=True)
    with autograd.enable_grad():
        record = weakref.ref(operation(x * 1.0)[0].creator)
        steps(lambda: autograd.grad(operation(x)[0].sum(), x), (), {}, False)
    assert record() is None
    gc.collect()
    assert not any(
        isinstance(referent, (jax.Array, autograd.Operation))
        for referent in gc.get_referents(operation)
        if referent is not operation
    )


def test_threads_may_share_an_operation():
    operation = Told(2.0)

    def gradient(value):
        x = Tensor(data=[value], stores_grad=True)
        with autograd.enable_grad():
            y = operation(x)[0]
            return autograd.grad(operation(y)[0] * x, x, [1.0]).item()

    with ThreadPoolExecutor(4) as pool:
        values = [float(i) for i in range(40)]
        expected = [2 * number(2.0) ** 2 * value for value in values]
        assert list(pool.map(gradient, values)) == expected


def test_what_another_step_has_computed_is_a_leaf():
    x, w = (Tensor(data=[value], stores_grad=True) for value in (2.0, 3.0))
    with autograd.enable_grad():
        before = x * x
        kept = w * w
        kept.stores_grad = True
        with Journal():
            y = (before * w + kept * w).sum()
            found = autograd.gradients(y)
            assert set(found) == {w, kept}
            assert found[w].tolist() == [4 + 9]
            assert autograd.grad(y, [kept, w])[0].tolist() == [3]
            assert autograd.grad(y, x).tolist() == [0]
        assert autograd.gradients((before * w).sum())[x].tolist() == [12]
