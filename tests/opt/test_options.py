"""The options of all optimizers: clipping, micro-batches, groups of parameters, averages."""

import inspect
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singa import autograd, device, layer, model, opt, tensor
from singa.errors import (
    ArgumentError,
    CheckpointError,
    CheckpointWarning,
    DTypeError,
    GradientError,
    ShapeError,
)
from singa.tensor import Tensor

RULES = [
    opt.SGD, opt.RMSProp, opt.AdaGrad, opt.Adam, opt.AdamW, opt.NAdam, opt.Lion, opt.LAMB,
    opt.Adafactor, opt.Adadelta, opt.Adamax, opt.RAdam, opt.Muon,
]  # fmt: skip
CPU = device.get_default_device()


def parameter(values, name=None):
    return Tensor(data=np.asarray(values, np.float32), stores_grad=True, name=name)


def gradient(values):
    return Tensor(data=np.asarray(values, np.float32))


class Net(model.Model):
    """Two layers; the batches' means are the loss, so that micro-batches add up to a batch."""

    def __init__(self, optimizer):
        super().__init__()
        self.first, self.second = layer.Linear(4), layer.Linear(3)
        self.optimizer = optimizer

    def forward(self, x):
        return self.second(autograd.tanh(self.first(x)))

    def train_one_batch(self, x, y):
        loss = autograd.softmax_cross_entropy(self.forward(x), y)
        self.optimizer(loss)
        return loss


RNG = np.random.default_rng(5)
X = RNG.standard_normal((24, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 24).astype(np.int32)


def make(optimizer, graph=True, batch=6):
    CPU.set_rand_seed(1)
    net = Net(optimizer)
    net.compile([Tensor(data=X[:batch])], is_train=True, use_graph=graph)
    return net


def train(net, steps, batch=6, start=0):
    losses = []
    for i in range(start, start + steps):
        rows = np.arange(i * batch, (i + 1) * batch) % len(X)
        losses.append(net(Tensor(data=X[rows]), Tensor(data=Y[rows])).item())
    return losses


def values(net):
    return {name: p.to_numpy() for name, p in net.get_params().items()}


def assert_same(one, two, **tolerance):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(one[name], two[name], err_msg=name, **tolerance)


# -- clipping ------------------------------------------------------------------------------------


@given(
    grads=st.lists(
        st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=2), min_size=1, max_size=3
    ),
    most=st.sampled_from([0.5, 3.0]),
)
def test_all_gradients_together_are_at_most_clip_norm_long(grads, most):
    params = [parameter([0, 0]) for _ in grads]
    sgd = opt.SGD(1.0, clip_norm=most)
    sgd.update_all(zip(params, map(gradient, grads), strict=True))
    moved = np.concatenate([-p.to_numpy() for p in params])
    given_ = np.concatenate(grads).astype(np.float32)
    length = np.linalg.norm(given_)
    np.testing.assert_allclose(
        moved, given_ * min(1, most / length) if length else 0, rtol=1e-5, atol=1e-6
    )


def test_elements_are_clipped_before_the_norm_is_taken():
    p = parameter([0, 0])
    opt.SGD(1.0, clip_value=3.0, clip_norm=2.5).update_all([(p, gradient([300, -4]))])
    np.testing.assert_allclose(p, np.array([-3, 3]) * 2.5 / np.sqrt(18), rtol=1e-6)


def test_one_by_one_gradients_cannot_be_clipped_together():
    sgd, p = opt.SGD(1.0, clip_norm=1.0), parameter([0, 0])
    with pytest.raises(ArgumentError, match=r"SGD\.update: clip_norm needs all gradients"):
        sgd.update(p, gradient([3, 4]))
    with pytest.raises(ArgumentError, match=r"use optimizer\(loss\)"):
        sgd.apply("p", p, gradient([3, 4]))
    np.testing.assert_array_equal(p, [0, 0])
    assert sgd.step_counter.item() == 0
    sgd.clip_norm = 0
    sgd.update(p, gradient([3, 4]))
    np.testing.assert_array_equal(p, [-3, -4])


def test_half_precision_gradients_are_clipped_without_overflow():
    p = Tensor(data=np.zeros(4, np.float16), stores_grad=True)
    big = Tensor(data=np.full(4, 6e4, np.float16))  # their squares are not float16 numbers
    opt.SGD(1.0, clip_norm=1.0).update_all([(p, big)])
    np.testing.assert_allclose(p, np.full(4, -0.5), rtol=1e-3)


# -- micro-batches -------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("rule", [opt.SGD, opt.Adam, opt.LAMB])
def test_micro_batches_make_the_step_of_the_whole_batch(rule, graph):
    lr = opt.ExponentialDecay(0.05, 2, 0.5)
    whole = make(rule(lr, clip_norm=0.5, ema_decay=0.5), graph)
    parts = make(rule(lr, clip_norm=0.5, ema_decay=0.5, accumulate=3), graph)
    for i in range(4):
        train(whole, 1, 24)
        before = values(parts)
        train(parts, 2, 8, start=3 * i)
        assert_same(values(parts), before, rtol=0)
        train(parts, 1, 8, start=3 * i + 2)
        assert_same(values(parts), values(whole), rtol=1e-3, atol=1e-5)
    assert whole.optimizer.step_counter.item() == parts.optimizer.step_counter.item() == 4
    assert parts.captures == parts.compilations == int(graph)
    with whole.optimizer.averaged(), parts.optimizer.averaged():
        assert_same(values(parts), values(whole), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_a_micro_batch_updates_what_an_earlier_one_has_reached(graph):
    """Also by a program that was compiled before the parameter was ever reached."""
    a, b = parameter([1.0]), parameter([1.0])

    class Parts(model.Model):
        optimizer = opt.SGD(0.5, momentum=0.5, accumulate=2)

        def train_one_batch(self, g, which):
            loss = autograd.reduce_sum((b if which else a) * g)
            self.optimizer(loss)
            return loss

    net = Parts()
    net.train()
    net.graph(graph)
    seen = []
    for which in (0, 0, 1, 0, 0, 1, 0, 0):
        net(gradient([1.0]), which)
        seen.append((a.item(), b.item()))
    # a: means 1, 1/2, 1/2, 1; b: none, 1/2, 1/2, none, and then its momentum does not move it.
    assert [pair[0] for pair in seen[1::2]] == [0.5, 0.0, -0.5, -1.25]
    assert [pair[1] for pair in seen[1::2]] == [1.0, 0.75, 0.375, 0.375]
    assert seen[::2] == [(1.0, 1.0), *seen[1:-1:2]]


def test_one_by_one_gradients_cannot_be_added_up():
    sgd, p = opt.SGD(1.0, accumulate=2), parameter([0, 0])
    with pytest.raises(ArgumentError, match=r"SGD\.update: accumulate needs all gradients at once"):
        sgd.update(p, gradient([3, 4]))
    with pytest.raises(ArgumentError, match=r"use optimizer\(loss\)"):
        sgd.apply("p", p, gradient([3, 4]))
    assert sgd.get_states().keys() == {
        "step_counter", "micro_step", "is_open", "loss_scale", "good_steps"
    }  # fmt: skip


def test_micro_batches_of_gradients():
    params = parameter([1.0]), parameter([2.0])
    sgd = opt.SGD(opt.ExponentialDecay(1.0, 1, 0.5), accumulate=2)
    for g in (1.0, 3.0, 4.0, 0.0):
        sgd.update_all([(p, gradient([g])) for p in params])
    # Two steps, with the means 2 and 2, at the rates 1 and 1/2.
    np.testing.assert_allclose([p.item() for p in params], [1 - 3, 2 - 3])
    assert sgd.step_counter.item() == 2


# -- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_a_parameter_that_comes_later_has_its_first_step_then(graph):
    """Adam's correction is that of the parameter's own steps, as in PyTorch."""
    early, late = parameter([1.0]), parameter([1.0])

    class Two(model.Model):
        optimizer = opt.Adam(0.5)

        def train_one_batch(self, g, both):
            pairs = [(early, g), (late, g)]
            self.optimizer.update_all(pairs if both else pairs[:1])
            return g * 1.0

    net = Two()
    net.train()
    net.graph(graph)
    for _ in range(30):
        net(gradient([0.25]), False)
    for t in range(1, 4):
        before = late.item()
        net(gradient([4.0 if t == 1 else 0.25]), True)
        assert t > 1 or before - late.item() == pytest.approx(0.5, rel=1e-5)  # lr * sign(g)
    turns = net.optimizer.get_states({early: "early", late: "late"})
    assert turns["early:turn"].to_numpy().tolist() == [33, 33]
    assert turns["late:turn"].to_numpy().tolist() == [3, 33]


def test_a_step_without_updates_counts():
    sgd = opt.SGD(opt.StepDecay(1.0, step_size=1, gamma=0.5))
    sgd.step()
    assert sgd.lr_value.item() == 0.5
    p = parameter([1.0])
    sgd.update(p, gradient([1.0]))
    sgd.step()
    sgd.step()
    assert p.item() == 0.5
    assert sgd.lr_value.item() == 0.125


def test_parameters_of_any_number_have_turns():
    params = [parameter([1.0]) for _ in range(150)]
    sgd = opt.SGD(0.5)
    sgd.update_all([(p, gradient([1.0])) for p in params])
    for p in (params[0], params[70], params[149]):
        sgd.update(p, gradient([1.0]))
    turns = [t.to_numpy().tolist() for n, t in sgd.get_states().items() if n.endswith(":turn")]
    expected = [[1, 1]] * 150
    for i in (0, 70, 149):
        expected[i] = [2, 2]
    assert turns == expected
    other = opt.SGD(0.5)
    other.set_states(sgd.get_states())  # which does not know a parameter yet
    assert other.step_counter.item() == 2


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_loss_that_is_no_scalar_is_refused_in_any_precision(precision, graph):
    net = Net(opt.SGD(0.1))
    net.train_one_batch = lambda x, y: net.optimizer(net.forward(x))
    net.compile([Tensor(data=X)], use_graph=graph, precision=precision)
    with pytest.raises(GradientError, match="without dy a scalar is needed"):
        net(Tensor(data=X), Tensor(data=Y))
    with autograd.mixed_precision(precision), pytest.raises(DTypeError, match="a Tensor is exp"):
        net.optimizer(3.0)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: setattr(p, "data", p.data.reshape(3, 2)), r"float32\[3, 2\]"),
        (lambda p: setattr(p, "data", p.data[:1]), r"float32\[1, 3\]"),
        (lambda p: p.to_type("float64"), r"float64\[2, 3\]"),
    ],
)
def test_a_state_of_another_shape_or_type_is_never_used(graph, change, words):
    p = Tensor((2, 3), stores_grad=True, name="p")

    class Own(model.Model):
        optimizer = opt.SGD(0.5, momentum=0.5)

        def train_one_batch(self):
            self.optimizer(autograd.reduce_sum(p * 1.0))
            return autograd.reduce_sum(p)

    net = Own()
    net.train()
    net.graph(graph)
    for _ in range(2):
        net()
    change(p)
    before = p.to_numpy()
    with pytest.raises(ShapeError, match=f"SGD: the state of the parameter p .* {words}"):
        net()
    np.testing.assert_array_equal(p, before)
    net.optimizer.set_states({})
    net()
    np.testing.assert_array_equal(p, before - 0.5)


MOVING = """
import jax, numpy as np
from singa import autograd, model, opt
from singa.device import Device, get_default_device
from singa.errors import DeviceError
from singa.tensor import Tensor

cpu, other = get_default_device(), Device(jax.devices("cpu")[1])

def train(graph, accumulate, moves):
    p = Tensor(data=np.ones(3, np.float32), stores_grad=True)
    class Net(model.Model):
        optimizer = opt.Adam(opt.StepDecay(0.1, 2, 0.5), accumulate=accumulate, ema_decay=0.5)
        def train_one_batch(self):
            self.optimizer(autograd.reduce_sum(p * p))
            return p * 1.0
    net = Net()
    net.train()
    net.graph(graph)
    for i in range(8):
        if i in moves:
            p.to_device(moves[i])
        net()
    assert net.optimizer.step_counter.device is p.device
    return p

for accumulate in (1, 2):
    expected = train(False, accumulate, {}).to_numpy()
    for graph in (False, True):
        p = train(graph, accumulate, {2: other, 5: cpu, 7: other})
        np.testing.assert_allclose(p.to_numpy(), expected, rtol=1e-6)
try:
    opt.SGD(0.1).update_all([(q, q) for q in (p, Tensor((2,)))])
except DeviceError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_parameter_that_is_moved_takes_its_state_along():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    said = subprocess.check_output(
        [sys.executable, "-c", MOVING], env={**os.environ, **flags}, text=True, timeout=300
    )
    assert "SGD: the parameters of one update are on several devices: cpu, cpu:1" in said


def test_a_number_changes_only_what_is_the_optimizers_own():
    shared = opt.Constant(0.5)
    one, two = opt.SGD(shared), opt.Adam(shared, epsilon=0.5)
    one.lr = 0.25
    assert (one.lr_value.item(), two.lr_value.item(), shared.init_value) == (0.25, 0.5, 0.5)
    one.lr = 0.125  # its own now
    made = one.lr
    one.lr = 0.25
    assert one.lr is made
    other = opt.SGD(one.lr)  # and no longer
    one.lr = 1.0
    assert (one.lr_value.item(), other.lr_value.item()) == (1.0, 0.25)
    other.add_group([], lr=two.epsilon)
    two.epsilon = 0.125
    assert other._groups[0].schedules["lr"].init_value == 0.5
    shared.set(2.0)
    assert two.lr_value.item() == 2.0


# -- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_groups_have_hyper_parameters_of_their_own(graph):
    grouped = make(opt.SGD(0.1, momentum=0.9, weight_decay=0.1), graph)
    grouped.optimizer.add_group(lambda name: name.endswith(".b"), weight_decay=0, momentum=0)
    grouped.optimizer.add_group(grouped.second.get_params().values(), lr=0.5)
    by_hand = make(None, graph=False)
    rules = {
        "first.W": opt.SGD(0.1, momentum=0.9, weight_decay=0.1),
        "first.b": opt.SGD(0.1),
        "second.W": opt.SGD(0.5, momentum=0.9, weight_decay=0.1),
        "second.b": opt.SGD(0.5),
    }
    names = {p: name for name, p in by_hand.get_params().items()}
    by_hand.optimizer = lambda loss: [
        rules[names[p]].update(p, g) for p, g in autograd.backward(loss)
    ]
    train(grouped, 5)
    train(by_hand, 5)
    assert_same(values(grouped), values(by_hand), rtol=1e-5, atol=1e-6)
    states = grouped.optimizer.get_states({p: n for n, p in grouped.get_params().items()})
    kept = [name for name in states if ":" in name and not name.endswith(":turn")]
    assert sorted(kept) == ["first.W:momentum", "second.W:momentum"]


def test_what_the_last_group_says_of_a_hyper_parameter_holds():
    a, b = parameter([1.0]), parameter([1.0])
    sgd = opt.SGD(0.5)
    sgd.add_group([a, b], lr=0.25)
    sgd.add_group([b], lr=opt.ExponentialDecay(2.0, 1, 0.5))
    sgd.update_all([(a, gradient([1.0])), (b, gradient([1.0]))])
    assert (a.item(), b.item()) == (0.75, -1.0)


def test_a_group_that_is_added_later_reaches_a_captured_step():
    nets = [make(opt.SGD(0.1), graph) for graph in (True, False)]
    for net in nets:
        train(net, 2)
        net.optimizer.add_group(lambda name: name == "first.W", lr=0)
        before = net.first.W.to_numpy()
        train(net, 2, start=2)
        np.testing.assert_array_equal(net.first.W, before)
    assert_same(*map(values, nets), rtol=1e-5, atol=1e-6)


def test_wrong_groups_are_refused_with_words():
    sgd, p = opt.SGD(0.1), parameter([1.0, 2.0])
    for name in ("beta_1", "clip_norm", "nesterov", "accumulate"):
        with pytest.raises(
            ArgumentError, match=f"'{name}' is none of .* lr, clip_value, ema_decay"
        ):
            sgd.add_group([p], **{name: 1})
    with pytest.raises(ArgumentError, match="SGD: momentum must be at least 0"):
        sgd.add_group([p], momentum=-1)
    for wrong in (p, ["first.W"], {"first.W": p}):
        with pytest.raises(DTypeError, match="a list of parameters, or a predicate on names"):
            sgd.add_group(wrong, lr=1)
    sgd.update(p, gradient([1.0, 1.0]))
    np.testing.assert_allclose(p, [0.9, 1.9], rtol=1e-6)
    sgd.add_group(lambda name: True, lr=1)
    with pytest.raises(ArgumentError, match=r"parameter of shape \(2,\) has none"):
        sgd.update(p, gradient([1.0, 1.0]))
    assert sgd.step_counter.item() == 1


# -- averages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
def test_averaged_weights_are_lent_and_given_back(graph):
    net = make(opt.SGD(0.5, ema_decay=0.9), graph)
    average = values(net)
    for i in range(6):
        train(net, 1, start=i)
        for name, p in values(net).items():
            average[name] = 0.9 * average[name] + 0.1 * p
    now = values(net)
    net.eval()
    outside = net(Tensor(data=X)).to_numpy()
    with pytest.raises(ZeroDivisionError), net.optimizer.averaged():  # noqa: PT012 (all of it is in the block)
        assert_same(values(net), average, rtol=1e-5, atol=1e-6)
        assert not np.allclose(net(Tensor(data=X)).to_numpy(), outside, rtol=1e-3)
        raise ZeroDivisionError
    assert_same(values(net), now, rtol=0)
    np.testing.assert_array_equal(net(Tensor(data=X)), outside)


def test_averages_are_wider_than_half_precision_parameters():
    p = Tensor(data=np.ones(1, np.float16), stores_grad=True)
    sgd = opt.SGD(1e-4, ema_decay=0.99)
    for _ in range(50):
        sgd.update(p, Tensor(data=np.ones(1, np.float16)))
    assert sgd.get_states()["0:average"].dtype == tensor.float32
    with sgd.averaged():
        assert p.dtype == tensor.float16


def test_without_averages_there_is_nothing_to_lend():
    for optimizer in (opt.SGD(0.1), opt.SGD(0.1, ema_decay=0.9)):
        with pytest.raises(ArgumentError, match=r"SGD\.averaged: there are no averages"):
            optimizer.averaged().__enter__()


# -- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_training_goes_on_bit_for_bit_from_the_middle_of_a_step(rule, tmp_path):
    def fresh():
        lr = opt.LinearWarmup(opt.CosineDecay(0.01, 20), 3)
        optimizer = rule(lr, clip_norm=1.0, accumulate=2, ema_decay=0.9)
        optimizer.add_group(lambda name: name.endswith(".b"), weight_decay=0)
        if rule is opt.Adafactor:
            optimizer.factored_from = 3
        return make(optimizer)

    net = fresh()
    train(net, 5)
    assert net.optimizer.micro_step.item() == 1
    net.save_states(tmp_path / "net.zip")
    expected = train(net, 5, start=5), values(net)
    other = fresh()
    train(other, 2, start=9)
    other.load_states(tmp_path / "net.zip")
    assert train(other, 5, start=5) == expected[0]
    assert_same(values(other), expected[1], rtol=0)
    with net.optimizer.averaged(), other.optimizer.averaged():
        assert_same(values(other), values(net), rtol=0)


def test_a_checkpoint_of_another_optimizer_says_what_does_not_fit(tmp_path):
    net = make(opt.Adam(0.01, accumulate=2))
    train(net, 1)
    net.save_states(tmp_path / "net.zip")
    with pytest.raises(CheckpointError, match=r"is of Adam, and not of the model's SGD"):
        make(opt.SGD(0.1)).load_states(tmp_path / "net.zip")
    with pytest.warns(CheckpointWarning, match="gradient_sum of 'optimizer' was left out"):
        make(opt.Adam(0.01)).load_states(tmp_path / "net.zip")
    without = make(None)
    without.load_states(tmp_path / "net.zip")
    assert_same(values(without), values(net), rtol=0)


def test_states_of_any_shape_go_out_and_come_back():
    p, q = parameter(np.ones((3, 4)), "p"), parameter(np.ones((3, 4)), "q")
    one, two = (opt.Adafactor(0.1, factored_from=2) for _ in range(2))
    one.update(p, gradient(np.arange(12).reshape(3, 4)))
    states = one.get_states({p: "w"})
    shapes = {name: t.shape for name, t in states.items() if ":" in name}
    assert shapes == {"w:row": (3, 1), "w:column": (1, 4), "w:turn": (2,)}
    two.set_states(states, {q: "w"})
    again = two.get_states({q: "w"})
    assert_same(
        {n: t.to_numpy() for n, t in states.items()}, {n: t.to_numpy() for n, t in again.items()}
    )
    with pytest.raises(ShapeError, match=r"'w:row' is of shape \(3, 4\), \(3, 1\) is expected"):
        two.set_states({"w:row": Tensor((3, 4))}, {q: "w"})
    with pytest.raises(DTypeError, match="'step_counter': float32 values do not fit into int32"):
        two.set_states({**states, "step_counter": Tensor(data=1.5)}, {q: "w"})
    assert_same(two.get_states({q: "w"}), states, rtol=0)


# -- arguments -----------------------------------------------------------------------------------


def test_constructors_take_what_singa_documents():
    arguments = {
        rule.__name__: [
            str(p)
            for p in inspect.signature(rule).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        for rule in RULES
    }
    dtype = "dtype=dtype('float32')"
    assert arguments["SGD"] == [
        "lr=0.1", "momentum=0.0", "dampening=0.0", "weight_decay=0.0", "nesterov=False", dtype
    ]  # fmt: skip
    assert arguments["RMSProp"] == ["lr=0.1", "rho=0.9", "epsilon=1e-08", "weight_decay=0.0", dtype]
    assert arguments["AdaGrad"] == ["lr=0.1", "epsilon=1e-08", "weight_decay=0.0", dtype]
    assert arguments["Adam"] == [
        "lr=0.1", "beta_1=0.9", "beta_2=0.999", "epsilon=1e-08", "weight_decay=0.0", dtype
    ]  # fmt: skip
    adam = opt.Adam(0.2, 0.8, 0.99, 1e-6, 0.1, "float64", clip_norm=2)
    names = ["lr", "beta_1", "beta_2", "epsilon", "weight_decay", "clip_norm"]
    assert [getattr(adam, n).init_value for n in names] == [0.2, 0.8, 0.99, 1e-6, 0.1, 2]
    assert adam.lr_value.dtype == tensor.float64
    assert adam.lr_value.item() == 0.2


def test_an_algorithm_of_one_s_own_is_declared_like_ours():
    class SignSGD(opt.Optimizer):
        power: int = 1

        def rule(self, p, g, state, hyper, step):
            return p - hyper["lr"] * g**self.power / abs(g) ** self.power, state

    p = parameter([1.0, 1.0])
    signs = SignSGD(0.25, power=3)
    signs.update(p, gradient([2.0, -3.0]))
    np.testing.assert_array_equal(p, [0.75, 1.25])
    signs.power = 2
    signs.update(p, gradient([2.0, -3.0]))
    np.testing.assert_array_equal(p, [0.5, 1.0])


def test_numbers_that_change_compile_nothing():
    peak, own = opt.Constant(0.1), opt.Constant(0.5)
    net = make(opt.AdamW(opt.LinearWarmup(peak, 2)))
    net.optimizer.add_group(lambda name: name.endswith(".b"), weight_decay=own)
    train(net, 3)
    peak.set(0.2)
    own.set(0.25)
    net.optimizer.beta_1 = 0.8
    assert net.optimizer.lr_value.item() == pytest.approx(0.2)
    train(net, 3)
    assert net.captures == net.compilations == 1
    own.set(0)  # a term disappears
    train(net, 1)
    assert net.captures == net.compilations == 2


def test_turns_of_many_parameters_are_one_small_program(caplog):
    """One that gives them all would be another one for each number of parameters."""
    sgd, params = opt.SGD(0.1), [parameter([1.0]) for _ in range(70)]  # of two pages
    sgd.update(params[0], gradient([1.0]))
    sgd.get_states()
    for i, p in enumerate(params):
        sgd.update(p, gradient([1.0]))
        if i % 3 == 0:
            sgd.update(p, gradient([1.0]))
    with jax.log_compiles():
        states = sgd.get_states()
    assert not [record.message for record in caplog.records if "Compiling" in record.message]
    updates = [t.tolist()[0] for name, t in states.items() if name.endswith(":turn")]
    assert updates == [3, *[2 if i % 3 == 0 else 1 for i in range(1, 70)]]


@pytest.mark.parametrize("graph", [False, True])
def test_a_first_step_does_not_read_the_state_by_name(graph):
    class Unread(opt.SGD):
        def get_states(self, names=None):
            raise AssertionError("for many parameters this takes long")

    train(make(Unread(0.1, momentum=0.9), graph), 2)


def test_singas_other_words_for_a_step():
    p = parameter([1.0])
    sgd = opt.SGD(0.25, momentum=0.5)
    sgd.call(autograd.reduce_sum(p * 1.0))
    sgd.backward_and_update(autograd.reduce_sum(p * 1.0))
    assert p.item() == 1 - 0.25 - 0.375
    assert sgd.step_counter.item() == 2


def test_an_optimizer_s_states_are_tensors_that_may_be_saved_as_aux(tmp_path):
    net = make(opt.SGD(0.1, momentum=0.9))
    train(net, 3)
    net.save_states(tmp_path / "net.zip", aux_states=net.optimizer.get_states())
    aux = net.load_states(tmp_path / "net.zip")
    assert aux["step_counter"].item() == 3
    assert aux.keys() == net.optimizer.get_states().keys()


def test_wrong_arguments_are_refused_with_words():
    with pytest.raises(ArgumentError, match="Adam: beta_1 must be below 1, got 1"):
        opt.Adam(beta_1=1)
    with pytest.raises(ArgumentError, match=r"RMSProp: rho must be at least 0, got -0\.1"):
        opt.RMSProp(rho=-0.1)
    with pytest.raises(DTypeError, match="AdaGrad: epsilon must be a number or a DecayScheduler"):
        opt.AdaGrad(epsilon="tiny")
    with pytest.raises(TypeError, match="unexpected keyword argument 'momentum'"):
        opt.Adam(momentum=0.9)
    for wrong in (0, 1.5, "two"):
        with pytest.raises(ArgumentError, match="LAMB: accumulate must be an integer"):
            opt.LAMB(accumulate=wrong)
    lion, p = opt.Lion(), parameter([1.0])
    lion.accumulate = 0
    with pytest.raises(ArgumentError, match="Lion: accumulate must be an integer"):
        lion.update(p, gradient([1.0]))
    with pytest.raises(ArgumentError, match="update_all: a parameter is there twice"):
        opt.Lion().update_all([(p, gradient([1.0]))] * 2)
    with pytest.raises(NotImplementedError, match="Optimizer has no update rule"):
        opt.Optimizer(0.1).update(p, gradient([1.0]))
    assert p.item() == 1.0


def test_wrong_schedules_are_refused_with_words():
    for make_it in (opt.CosineDecay, opt.PolynomialDecay, opt.OneCycle, opt.LinearWarmup):
        with pytest.raises(ArgumentError, match=f"{make_it.__name__}: .*steps must be > 0, got 0"):
            make_it(0.1, 0)
    with pytest.raises(ArgumentError, match="StepDecay: step_size must be > 0"):
        opt.StepDecay(0.1, 0)
    with pytest.raises(ArgumentError, match=r"MultiStep: milestones must rise, got \[3, 2\]"):
        opt.MultiStep(0.1, [3, 2])
    with pytest.raises(ArgumentError, match="2 schedules need one boundary fewer, got 2"):
        opt.Sequential([0.1, 0.2], [1, 2])
    with pytest.raises(ArgumentError, match="pct_start must be between 0 and 1"):
        opt.OneCycle(0.1, 10, pct_start=1)
    with pytest.raises(DTypeError, match="LinearWarmup: after must be a number"):
        opt.LinearWarmup("cosine", 10)


def test_an_intermediate_result_that_stores_its_gradient_is_no_parameter():
    p = parameter([2.0])
    y = p * 3.0
    y.stores_grad = True
    sgd = opt.SGD(0.1, momentum=0.9)
    sgd(autograd.reduce_sum(y * y))
    assert y.item() == 6.0
    assert [name for name in sgd.get_states() if ":" in name] == ["0:momentum", "0:turn"]
