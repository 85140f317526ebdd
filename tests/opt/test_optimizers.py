"""Optimizers: the rule, the schedules, and the three ways of using one."""

import numpy as np
import pytest

from singa import autograd, layer, model, opt
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor


def sgd_in_numpy(p, grads, lr, momentum, dampening, weight_decay, nesterov):
    v = np.zeros_like(p)
    for i, g in enumerate(grads):
        g = g + weight_decay(i) * p
        v = momentum(i) * v + (1 - dampening(i)) * g
        p = p - lr(i) * (g + momentum(i) * v if nesterov else v)
    return p


def always(value):
    return lambda step: value


def decay(init, steps, rate):
    return lambda step: init * rate ** (step / steps)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, {}),
        ({"momentum": 0.9}, {}),
        ({"momentum": 0.9, "dampening": 0.3}, {}),
        ({"weight_decay": 0.1}, {}),
        ({"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {}),
        ({"momentum": opt.ExponentialDecay(0.9, 4, 0.5)}, {"momentum": decay(0.9, 4, 0.5)}),
        (
            {"weight_decay": opt.ExponentialDecay(0.1, 2, 0.7), "momentum": 0.5},
            {"weight_decay": decay(0.1, 2, 0.7)},
        ),
        ({"lr": opt.ExponentialDecay(0.1, 3, 0.5)}, {"lr": decay(0.1, 3, 0.5)}),
    ],
    ids=["plain", "momentum", "dampening", "decay", "nesterov", "s_momentum", "s_decay", "s_lr"],
)
def test_sgd_follows_its_rule(options, rule):
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((3, 2)), rng.standard_normal((10, 3, 2))
    p = Tensor(data=start, stores_grad=True)
    sgd = opt.SGD(**{"lr": 0.1, "dtype": "float64", **options})
    for g in grads:
        sgd.update(p, Tensor(data=g))
    plain = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
    plain |= {name: value for name, value in options.items() if isinstance(value, (int, float))}
    numbers = {
        name: value if name == "nesterov" else always(value) for name, value in plain.items()
    }
    expected = sgd_in_numpy(start, grads, **(numbers | rule))
    np.testing.assert_allclose(p, expected, rtol=1e-6 if rule else 1e-12)


class Ramp(opt.DecayScheduler):
    """A schedule as a user writes it, in Tensor arithmetic, that starts from 0."""

    def __call__(self, step):
        return step * self.init_value


def test_a_schedule_that_starts_at_zero_acts_later():
    p = Tensor(data=np.array([0.0]), stores_grad=True)
    sgd = opt.SGD(Ramp(0.5))
    seen = []
    for _ in range(4):
        sgd.update(p, Tensor(data=np.array([1.0])))
        seen.append(p.item())
    np.testing.assert_allclose(seen, [0, -0.5, -1.5, -3.0], rtol=1e-6)


def test_a_staircase_falls_in_jumps():
    schedule = opt.ExponentialDecay(1.0, 2, 0.1, staircase=True)
    values = [schedule(Tensor(data=step)).item() for step in range(5)]
    np.testing.assert_allclose(values, [1, 1, 0.1, 0.1, 0.01], rtol=1e-6)


def three_parameters():
    rng = np.random.default_rng(1)
    return [Tensor(data=rng.standard_normal(n).astype("f"), stores_grad=True) for n in (2, 3, 4)]


def loss_of(params):
    total = autograd.reduce_sum(params[0] * params[0])
    for p in params[1:]:
        total = total + autograd.reduce_sum(autograd.exp(p))
    return total


def by_call(sgd, loss):
    sgd(loss)


def by_update(sgd, loss):
    for p, g in autograd.backward(loss):
        sgd.update(p, g)


def by_apply(sgd, loss):
    for p, g in autograd.backward(loss):
        sgd.apply(p.name, p, g)
    sgd.step()


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "compiled"])
def test_three_ways_of_using_an_optimizer_give_the_same_bits(graph):
    results = []
    for way in (by_call, by_update, by_apply):

        class Net(model.Model):
            def __init__(self):
                super().__init__()
                self.params = three_parameters()
                lr = opt.ExponentialDecay(0.1, 2, 0.5)
                self.optimizer = opt.SGD(lr, momentum=0.9, weight_decay=Ramp(0.01), nesterov=True)

            def train_one_batch(self, way=way):
                loss = loss_of(self.params)
                way(self.optimizer, loss)
                return loss

        net = Net()
        net.train()
        net.graph(graph)
        losses = [net().item() for _ in range(6)]
        assert net.optimizer.step_counter.item() == 6
        results.append((losses, [p.to_numpy().tolist() for p in net.params]))
    assert results[0] == results[1] == results[2]


def test_all_parameters_are_updated_in_one_compiled_call(monkeypatch):
    sgd, params = opt.SGD(0.1, momentum=0.9), three_parameters()
    sgd(loss_of(params))
    calls = []
    [(key, (version, plan))] = sgd._plans.items()
    counted = plan._replace(kernel=lambda *a: (calls.append(len(a[0])), plan.kernel(*a))[1])
    monkeypatch.setitem(sgd._plans, key, (version, counted))
    sgd(loss_of(params))
    assert calls == [3]


def test_gradients_are_left_alone():
    p = Tensor(data=np.array([1.0]), stores_grad=True)
    sgd = opt.SGD(0.1, momentum=0.9, weight_decay=0.5, nesterov=True)
    [(_, g)] = autograd.backward(autograd.reduce_sum(p * 3.0))
    sgd.update(p, g)
    assert g.item() == 3.0


def test_state_belongs_to_the_parameter_and_not_to_its_name():
    a, b = (Tensor(data=np.ones(n), stores_grad=True, name="W") for n in (2, 3))
    sgd = opt.SGD(0.1, momentum=0.9)
    sgd(autograd.reduce_sum(a) + autograd.reduce_sum(b * 2.0))
    shapes = {name: t.shape for name, t in sgd.get_states().items()}
    assert {shapes["0:momentum"], shapes["1:momentum"]} == {(2,), (3,)}


def test_stand_alone_layers_share_nothing():
    layers = [layer.Linear(4), layer.Linear(3), layer.Linear(2)]
    sgd = opt.SGD(0.1, momentum=0.9)
    y = Tensor(data=np.ones((2, 5), np.float32))
    for one in layers:
        y = one(y)
    sgd(autograd.reduce_sum(y))
    assert sum(name.endswith(":momentum") for name in sgd.get_states()) == 6


def test_two_optimizers_train_two_halves_of_a_model():
    a, b = three_parameters()[:2]
    first, second = opt.SGD(0.1), opt.SGD(0.5)
    before = a.to_numpy(), b.to_numpy()
    loss = autograd.reduce_sum(a) + autograd.reduce_sum(b)
    for p, g in autograd.backward(loss):
        (first if p is a else second).update(p, g)
    np.testing.assert_allclose(a, before[0] - 0.1, rtol=1e-6)
    np.testing.assert_allclose(b, before[1] - 0.5, rtol=1e-6)


def test_states_go_out_and_come_back():
    options = {"lr": opt.ExponentialDecay(0.1, 2, 0.5), "momentum": 0.9}
    one, two = three_parameters(), three_parameters()
    sgd, other = opt.SGD(**options), opt.SGD(**options)
    for _ in range(3):
        sgd(loss_of(one))
    for p, q in zip(one, two, strict=True):
        q.copy_data(p)
    names = [dict(zip(params, "abc", strict=True)) for params in (one, two)]
    other.set_states(sgd.get_states(names[0]), names[1])
    for _ in range(3):
        sgd(loss_of(one))
        other(loss_of(two))
    for p, q in zip(one, two, strict=True):
        np.testing.assert_array_equal(p, q)
    with pytest.raises(ShapeError, match="'z:momentum' belongs to no parameter here"):
        other.set_states({"z:momentum": Tensor((2,))}, names[1])
    with pytest.raises(ShapeError, match=r"'a:momentum' is of shape \(9,\)"):
        other.set_states({"a:momentum": Tensor((9,))}, names[1])


def test_half_precision_parameters_stay_half_precision_and_their_state_is_wider():
    p = Tensor(data=np.ones(2, np.float16), stores_grad=True)
    sgd = opt.SGD(0.1, momentum=0.9)
    sgd(autograd.reduce_sum(p * p))
    assert [str(t.dtype) for t in (p, sgd.get_states()["0:momentum"])] == ["float16", "float32"]


def test_wrong_arguments_are_refused_with_words():
    with pytest.raises(ArgumentError, match="SGD: lr must be at least 0, got -1"):
        opt.SGD(-1)
    with pytest.raises(DTypeError, match="momentum must be a number or a DecayScheduler"):
        opt.SGD(0.1, momentum="much")
    with pytest.raises(ArgumentError, match="nesterov needs a momentum and no dampening"):
        opt.SGD(0.1, nesterov=True)
    with pytest.raises(ArgumentError, match="decay_steps must be > 0"):
        opt.ExponentialDecay(0.1, 0, 0.5)
    p = Tensor((2,), stores_grad=True)
    with pytest.raises(ShapeError, match=r"parameter is of shape \(2,\), its gradient of \(3,\)"):
        opt.SGD(0.1).update(p, Tensor((3,)))
    with pytest.raises(DTypeError, match="two Tensors are expected, got Tensor and ndarray"):
        opt.SGD(0.1).update(p, np.ones(2))
    with pytest.raises(NotImplementedError, match="DecayScheduler does not say its value"):
        opt.DecayScheduler(0.1)(Tensor())


def test_numbers_of_any_kind_are_learning_rates():
    assert opt.SGD(np.float32(0.5)).lr_value.item() == 0.5
    sgd = opt.SGD(1)
    sgd.lr = 0.25
    assert sgd.lr_value.item() == 0.25
    assert repr(sgd.lr) == "Constant(init_value=0.25)"
