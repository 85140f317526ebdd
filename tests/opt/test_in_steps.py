"""Hyper-parameters that a step itself reads and assigns: the same eagerly and compiled."""

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt
from singa.errors import CaptureError
from singa.tensor import Tensor

CPU = device.get_default_device()
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


class Net(model.Model):
    def __init__(self, change):
        super().__init__()
        self.linear = layer.Linear(1)
        self.optimizer = opt.SGD(0.25, momentum=0.5)
        self.change = change

    def forward(self, x):
        return self.linear(x)

    def train_one_batch(self, x, *args):
        read = self.change(self.optimizer, *args)
        loss = (self.forward(x) ** 2).sum()
        self.optimizer(loss)
        return loss * (1.0 if read is None else read)

    def seen(self):
        found = {name: repr(value) for name, value in self.optimizer.schedules().items()}
        found["lr_value"] = self.optimizer.lr_value.to_numpy()
        return found


def history(change, arguments, graph, between=None):
    """What there is to see after each call."""
    CPU.set_rand_seed(1)
    net = Net(change)
    net.compile([Tensor(data=X)], is_train=True, use_graph=graph)
    seen = []
    for args in arguments:
        loss = net(Tensor(data=X), *args)
        seen.append({"loss": loss.to_numpy(), **net.seen()})
        if between is not None:
            between(net.optimizer)
            seen.append(net.seen())
    return seen


def assert_same(change, arguments, between=None):
    eager, compiled = (history(change, arguments, graph, between) for graph in (False, True))
    assert len(eager) == len(compiled)
    for a, b in zip(eager, compiled, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            if isinstance(value, str):
                assert b[name] == value, name
            else:
                np.testing.assert_allclose(b[name], value, rtol=1e-5, err_msg=name)


def assign(name):
    return lambda optimizer, value: setattr(optimizer, name, value)


NUMBERS = [(0.5,), (0.125,), (0.5,), (0.0,), (0.0,), (0.125,), (0.5,)]
SCHEDULE = opt.StepDecay(0.25, 2, 0.5)


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "clip_value", "clip_norm"])
def test_a_number_that_each_call_assigns(name):
    assert_same(assign(name), NUMBERS)


@pytest.mark.parametrize("values", [[SCHEDULE], [0.5, SCHEDULE], [SCHEDULE, 0.5, 0.25, SCHEDULE]])
def test_a_schedule_that_each_call_assigns(values):
    assert_same(assign("lr"), [(value,) for value in values * 2])


def test_what_a_step_assigns_can_be_assigned_from_outside_too():
    assert_same(assign("lr"), NUMBERS, between=lambda optimizer: assign("lr")(optimizer, 0.75))
    assert_same(assign("lr"), NUMBERS, between=lambda optimizer: assign("lr")(optimizer, SCHEDULE))


def test_a_constant_that_is_set_in_a_step():
    assert_same(lambda optimizer, value: optimizer.lr.set(value), NUMBERS)


def test_a_group_and_an_optimizer_that_a_step_makes():
    def add_group(optimizer):
        optimizer.add_group(lambda name: name.endswith("b"), lr=0.125)

    def make(optimizer, lr):
        return opt.SGD(lr).lr_value

    assert_same(make, NUMBERS)
    assert_same(add_group, [()] * 3)


def test_a_number_that_is_read_as_such():
    changes = iter([0.5, 0.125] * 10)

    def change(optimizer):
        optimizer.lr = next(changes)

    assert_same(lambda optimizer: optimizer.lr.init_value, [()] * 4, between=change)
    assert_same(lambda optimizer: eval(repr(optimizer.lr)[20:-1]), [()] * 4, between=change)


def test_a_number_that_is_not_read_as_such_makes_no_other_program():
    net = Net(lambda optimizer: None)
    net.compile([Tensor(data=X)], is_train=True, use_graph=True)
    captures = []
    for lr in (0.5, 0.25, 0.125):
        net.optimizer.lr = lr
        net(Tensor(data=X))
        captures.append(net.captures)
    assert captures == [1, 1, 1]


@pytest.mark.parametrize("graph", [False, True])
def test_a_step_that_fails_has_set_no_number(graph):
    def fail(optimizer):
        optimizer.lr, optimizer.momentum = 0.5, SCHEDULE
        raise KeyError

    net = Net(fail)
    net.compile([Tensor(data=X)], is_train=True, use_graph=graph)
    before = net.seen()
    with pytest.raises(KeyError):
        net(Tensor(data=X))
    assert net.seen() == before


@pytest.mark.parametrize("make", [lambda: opt.SGD(0.1, ema_decay=0.5), lambda: opt.Adam(0.1)])
def test_a_state_that_begins_with_a_value_that_the_step_assigns_is_refused(make):
    class Assigning(model.Model):
        def __init__(self):
            super().__init__()
            self.w = Tensor(data=np.ones((3, 1), np.float32), stores_grad=True, name="w")
            self.optimizer = make()

        def train_one_batch(self, x):
            self.w.set_value(5.0)
            loss = autograd.matmul(x, self.w).sum()
            self.optimizer(loss)
            return loss

    found = []
    for graph in (False, True):
        net, x = Assigning(), Tensor(data=np.ones((2, 3), np.float32))
        net.train()
        net.graph(graph)
        if graph and net.optimizer.ema_decay.is_on:
            with pytest.raises(CaptureError, match="the state of the parameter w begins with its"):
                net(x)
            net.graph(False)
        net(x)
        states = net.optimizer.get_states({net.w: "w"})
        found.append({name: t.to_numpy() for name, t in states.items()})
    for name in found[0]:
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-6, err_msg=name)
