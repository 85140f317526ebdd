"""Defects of the original SINGA in optimizers; the numbers are those of the list of defects."""

import numpy as np
import pytest

from singa import autograd, model, opt
from singa.tensor import Tensor


def parameter(values, dtype=np.float32):
    return Tensor(data=np.asarray(values, dtype), stores_grad=True)


def trained(optimizer, use, steps=5, graph=False):
    """A parameter after so many steps, eagerly or captured."""

    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.p = parameter([1.0, -2.0])

        def train_one_batch(self):
            loss = autograd.reduce_sum(self.p * self.p)
            use(optimizer, loss)
            return loss

    net = Net()
    net.train()
    net.graph(graph)
    for _ in range(steps):
        net()
    return net.p.to_numpy()


def by_update(optimizer, loss):
    for p, g in autograd.backward(loss):
        optimizer.update(p, g)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_defect_18_update_steps(graph):
    def adam():
        return opt.Adam(opt.ExponentialDecay(0.1, 1, 0.5))

    optimizer = adam()
    by_hand = trained(optimizer, by_update, graph=graph)
    assert optimizer.step_counter.item() == 5
    assert optimizer.lr_value.item() == pytest.approx(0.1 / 32)
    np.testing.assert_array_equal(by_hand, trained(adam(), lambda o, loss: o(loss), graph=graph))
    # Adam's first steps are lr long, and lr is halved each time.
    far = 0.1 * (2 - 1 / 16)
    np.testing.assert_allclose(by_hand, [1 - far, far - 2], rtol=2e-2)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_defect_27_rmsprop_takes_a_schedule_for_epsilon(graph):
    rms = opt.RMSProp(0.1, epsilon=opt.Sequential([1.0, 100.0], [1]))
    p, v = np.array([1.0, -2.0]), 0
    for epsilon in (1.0, 100.0, 100.0):
        v = 0.9 * v + 0.1 * (2 * p) ** 2
        p = p - 0.1 * 2 * p / np.sqrt(v + epsilon)
    got = trained(rms, lambda o, loss: o(loss), steps=3, graph=graph)
    np.testing.assert_allclose(got, p, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "rule", [opt.SGD, opt.RMSProp, opt.AdaGrad, opt.Adam, opt.NAdam, opt.LAMB, opt.Adafactor]
)
def test_defect_40_half_precision_parameters_are_updated_exactly_but_for_rounding(rule, dtype):
    start = np.linspace(-1, 1, 6)
    half = Tensor(data=Tensor(data=start), dtype=dtype, stores_grad=True)
    single = Tensor(data=Tensor(data=half, dtype="float32"), stores_grad=True)
    optimizers = rule(0.1), rule(0.1)
    for _ in range(5):
        g = Tensor(data=np.full(6, 1e-4), dtype=dtype)  # whose square float16 does not know
        optimizers[0].update(half, g)
        optimizers[1].update(single, Tensor(data=g, dtype="float32"))
    assert str(half.dtype) == dtype
    rounding = {"float16": 1e-3, "bfloat16": 1e-2}[dtype]
    np.testing.assert_allclose(
        half.to_numpy().astype(float), single, rtol=5 * rounding, atol=5 * rounding
    )
    assert not np.array_equal(half.to_numpy().astype(float), start)


ZERO_AT_FIRST = opt.LinearWarmup(0.5, 2)  # 0, 0.25, 0.5, 0.5, ...


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "dampening"])
def test_defect_46_a_schedule_that_starts_at_zero_acts(name, graph):
    numbers = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0, "dampening": 0.0}
    sgd = opt.SGD(**{**numbers, name: ZERO_AT_FIRST})
    p, v = np.array([1.0, -2.0]), 0
    for value in (0.0, 0.25, 0.5, 0.5):
        now = {**numbers, name: value}
        v = now["momentum"] * v + (1 - now["dampening"]) * (2 + now["weight_decay"]) * p
        p = p - now["lr"] * v
    got = trained(sgd, lambda o, loss: o(loss), steps=4, graph=graph)
    np.testing.assert_allclose(got, p, rtol=1e-5)


def test_defect_46_a_constant_that_is_set_from_zero_acts_in_a_captured_step():
    sgd = opt.SGD(0.1)
    p = parameter([1.0])

    class Net(model.Model):
        def train_one_batch(self):
            loss = autograd.reduce_sum(p * 1.0)
            self.optimizer(loss)
            return loss

    net = Net()
    net.optimizer = sgd
    net.train()
    net.graph(True)
    net()
    sgd.weight_decay.set(1.0)
    net()
    np.testing.assert_allclose(p, [0.9 - 0.1 * 1.9], rtol=1e-6)
