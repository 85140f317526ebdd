"""autograd.checkpoint: the same numbers with less memory, eagerly and in compiled steps."""

import gc
import weakref

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt
from singa.tensor import Tensor

WIDTH = 16


class Net(model.Model):
    """Blocks of a linear layer with batch norm, dropout and a shortcut."""

    def __init__(self, checkpointed, blocks=4):
        super().__init__()
        self.checkpointed = checkpointed
        self.linears = [layer.Linear(WIDTH) for _ in range(blocks)]
        self.norms = [layer.BatchNorm2d() for _ in range(blocks)]
        self.loss = layer.MeanSquareError()

    def block(self, x, i):
        y = autograd.relu(self.norms[i](self.linears[i](x)))
        return autograd.dropout(y, 0.3) * 0.5 + x

    def forward(self, x):
        for i in range(len(self.linears)):
            x = autograd.checkpoint(self.block, x, i) if self.checkpointed else self.block(x, i)
        return x

    def train_one_batch(self, x, y):
        loss = self.loss(self.forward(x), y)
        self.optimizer(loss)
        return loss


def batch(rows=8):
    rng = np.random.default_rng(0)
    return (Tensor(data=rng.standard_normal((rows, WIDTH), np.float32)) for _ in range(2))


def trained(checkpointed, use_graph, steps=5):
    x, y = batch()
    device.get_default_device().set_rand_seed(7)
    net = Net(checkpointed)
    net.optimizer = opt.SGD(0.1, momentum=0.9)
    net.compile([x], is_train=True, use_graph=use_graph)
    losses = [net(x, y).item() for _ in range(steps)]
    return losses, {name: state.to_numpy() for name, state in net.get_states().items()}


@pytest.mark.parametrize("use_graph", [False, True])
def test_a_training_with_dropout_and_running_statistics_is_what_it_is_without(use_graph):
    plain_losses, plain = trained(False, use_graph)
    losses, states = trained(True, use_graph)
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-5)
    assert states.keys() == plain.keys()
    for name, value in states.items():
        if use_graph:
            np.testing.assert_allclose(value, plain[name], rtol=1e-4, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(value, plain[name], err_msg=name)


def parameter(*shape):
    return Tensor(data=np.random.default_rng(1).standard_normal(shape), stores_grad=True)


@pytest.mark.usefixtures("recording")
class TestEagerly:
    def test_the_function_runs_once_and_its_operations_twice(self):
        calls, computed = [], []

        class Counted(autograd.Operation):
            traceable = False

            def forward(self, x):
                computed.append(1)
                return x * 2

            def backward(self, dy):
                return dy * 2

        def function(x):
            calls.append(1)
            return autograd.tanh(Counted()(autograd.exp(x))[0])

        x = parameter(3)
        y = autograd.checkpoint(function, x)
        found = autograd.gradients(y, np.ones(3))[x].to_numpy()
        e = 2 * np.exp(x.to_numpy())
        np.testing.assert_allclose(found, (1 - np.tanh(e) ** 2) * e, rtol=1e-12)
        assert len(calls) == len(computed) == 1  # host code keeps what it has

    def test_what_is_saved_is_freed_at_once_and_made_again_when_it_is_due(self):
        x, w = parameter(4, 4), parameter(4, 4)
        freed = []

        def function(x):
            hidden = autograd.exp(autograd.matmul(x, w))
            freed.append(weakref.ref(hidden.data))
            return autograd.reduce_sum(autograd.matmul(hidden, w))

        gc.disable()
        try:
            y = autograd.checkpoint(function, x)
            assert freed[0]() is None
            twice = [autograd.gradients(y)[w].to_numpy() for _ in range(2)]
            record = weakref.ref(y.creator)
            del y
            assert record() is None  # no cycle: nothing waits for the collector
        finally:
            gc.enable()
        np.testing.assert_array_equal(*twice)
        plain = function(x)
        np.testing.assert_array_equal(autograd.gradients(plain)[w], twice[0])

    def test_several_inputs_and_outputs_one_unused_and_a_frozen_input(self):
        a, b, frozen = parameter(3), parameter(3), Tensor(data=np.arange(3.0), requires_grad=False)

        def function(a, b, c, factor=1.0):
            product = a * b * c
            return product * factor, autograd.exp(product), a - b

        plain = function(a, b, frozen, factor=3.0)
        y = autograd.checkpoint(function, a, b, frozen, factor=3.0)
        for chosen in ([0, 1], [1], [2], [0, 1, 2]):
            expected = autograd.gradients(sum(plain[i] for i in chosen), np.ones(3))
            found = autograd.gradients(sum(y[i] for i in chosen), np.ones(3))
            assert found.keys() == expected.keys() == {a, b}
            for x in (a, b):
                np.testing.assert_array_equal(found[x], expected[x])

    def test_a_checkpoint_in_a_checkpoint_and_derivatives_of_derivatives(self):
        x = parameter(3)

        def inner(x):
            return autograd.exp(x * x)

        def outer(x):
            return autograd.tanh(autograd.checkpoint(inner, x) * 0.1)

        def second(function):
            y = autograd.reduce_sum(function(x))
            dx = autograd.grad(y, x, create_graph=True)
            return autograd.grad(autograd.reduce_sum(dx * dx), x).to_numpy()

        found = second(lambda x: autograd.checkpoint(outer, x))
        plain = second(lambda x: autograd.tanh(inner(x) * 0.1))
        np.testing.assert_array_equal(found, plain)

    def test_attributes_of_its_operations_can_be_looked_at(self):
        y = autograd.checkpoint(autograd.exp, parameter(3))
        np.testing.assert_array_equal(y.creator.y, y.data)

    def test_after_an_error_operations_keep_what_they_have_again(self):
        x = parameter(3)
        with pytest.raises(ZeroDivisionError):
            autograd.checkpoint(lambda x: autograd.exp(x) * (1 / 0), x)
        y = autograd.exp(x)
        assert y.creator._saved[0] is y.data

    def test_hooks_see_the_gradients(self):
        x, seen = parameter(3), []

        def function(x):
            hidden = autograd.exp(x)
            hidden.register_hook(lambda g: seen.append(g.shape))
            return autograd.tanh(hidden)

        autograd.gradients(autograd.checkpoint(function, x), np.ones(3))
        assert seen == [(3,)]


@pytest.mark.slow
def test_a_compiled_step_takes_less_memory():
    def scratch(checkpointed):
        x, y = batch(1024)
        net = Net(checkpointed, blocks=8)
        net.optimizer = opt.SGD(0.1)
        net.compile([x], is_train=True, use_graph=True)
        net(x, y)
        return net.memory_report().scratch

    assert scratch(True) < 0.6 * scratch(False)
